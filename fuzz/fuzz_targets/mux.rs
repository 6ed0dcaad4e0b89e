//! The frames of a connection that many sessions share.
#![no_main]

use bsbf_fuzz::wire::mux::Frame;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let mut rest = input;
    while let Ok(Some((frame, length))) = Frame::parse(rest) {
        assert!((6..=rest.len()).contains(&length));
        assert_eq!(Frame::parse(&rest[..length - 1]), Ok(None));
        let mut again = Vec::new();
        frame.put(&mut again);
        assert_eq!(Frame::parse(&again), Ok(Some((frame, again.len()))));
        rest = &rest[length..];
    }
});
