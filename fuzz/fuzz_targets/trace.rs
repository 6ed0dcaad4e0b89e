//! A trace, as anyone may hand it over to be replayed.
#![no_main]

use std::time::Duration;

use bsbf_fuzz::options;
use bsbf_fuzz::wan::replay::replay;
use libfuzzer_sys::fuzz_target;

/// The mind with other options goes through all the time of a trace; much of it would only be slow.
const LONG: Duration = Duration::from_secs(10);

fuzz_target!(|bytes: &[u8]| {
    let Ok(told) = replay(bytes, options::set, &Vec::new(), &mut |_, _, _, _| {}) else { return };
    if told.end.since(told.head.start) < LONG {
        let other = vec![("replies".to_string(), vec!["5".to_string()])];
        let told_again = replay(bytes, options::set, &other, &mut |_, _, _, _| {});
        assert!(told_again.is_ok_and(|again| again.difference == told.difference));
    }
});
