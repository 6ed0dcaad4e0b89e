//! What a client reads from a manager's socket.
#![no_main]

use bsbf_fuzz::wire::status::Status;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some(status) = std::str::from_utf8(bytes).ok().and_then(|text| Status::from_json(text).ok()) else {
        return;
    };
    let json = status.to_json();
    assert!(json.ends_with('\n') && json.lines().count() == 1, "more than one line");
    assert_eq!(Status::from_json(&json), Ok(status));
});
