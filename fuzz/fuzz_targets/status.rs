//! What a client reads from a manager's socket.
#![no_main]

use bsbf_fuzz::wire::status::Status;
use libfuzzer_sys::fuzz_target;

/// Milliseconds that no RTT has, and what a reading may be off by, in parts: miniserde computes a decimal
/// fraction in floating point, so that its last binary digit is not always the nearest one.
const TOO_LONG: f64 = 1e15;
const EXACTNESS: f64 = 1e-12;

fuzz_target!(|bytes: &[u8]| {
    let Some(status) = std::str::from_utf8(bytes).ok().and_then(|text| Status::from_json(text).ok()) else {
        return;
    };
    let json = status.to_json();
    assert!(json.ends_with('\n') && json.lines().count() == 1, "more than one line");
    if fractions(&status).iter().flatten().any(|ms| ms.abs() > TOO_LONG) {
        return;
    }
    let Ok(again) = Status::from_json(&json) else { panic!("what was read does not read back: {json}") };
    for (one, other) in fractions(&status).into_iter().zip(fractions(&again)) {
        let close = |a: f64, b: f64| (a - b).abs() <= EXACTNESS * (1.0 + a.abs());
        assert!(one == other || one.zip(other).is_some_and(|(a, b)| close(a, b)), "{one:?} and {other:?}");
    }
    assert_eq!(without_fractions(again), without_fractions(status));
});

fn fractions(status: &Status) -> Vec<Option<f64>> {
    status.wans.iter().flat_map(|wan| [wan.rtt_ms, wan.rtt_average_ms]).collect()
}

fn without_fractions(mut status: Status) -> Status {
    for wan in &mut status.wans {
        (wan.rtt_ms, wan.rtt_average_ms) = (None, None);
    }
    status
}
