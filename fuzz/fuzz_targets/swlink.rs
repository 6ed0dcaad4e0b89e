//! What RUTOS tells of the links of ports: the log and ubus by a pipe, in whatever pieces; answers of ubus and swconfig.
#![no_main]

use bsbf_fuzz::wire::lines::Lines;
use bsbf_fuzz::wire::swlink::{event_line, log_line, shown, swconfig_link};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((cut, text)) = input.split_first() else { return };
    let mut lines = Lines::default();
    let mut all = Vec::new();
    for mut part in text.chunks(usize::from(*cut).max(1)) {
        while let Some(line) = lines.next(&mut part) {
            all.push(line);
        }
    }
    let mut whole: Vec<&[u8]> = text.split(|&byte| byte == b'\n').collect();
    whole.pop();
    assert_eq!(all, whole, "however it is cut");
    for line in all {
        for link in log_line(&line).into_iter().chain(event_line(&line)) {
            assert!((1..=15).contains(&link.port.len()) && link.port.is_ascii(), "{link:?}");
        }
    }
    assert!(shown(text).is_none_or(|links| links.len() <= text.len()));
    swconfig_link(text);
});
