//! What `ubus` prints: netifd's networks on stdout, a complaint on stderr after any exit code.
#![no_main]

use bsbf_fuzz::wire::ubus::{parse_dump, trouble};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((code, text)) = input.split_first() else { return };
    match parse_dump(text) {
        Ok(networks) => assert!(networks.len() <= text.len()),
        Err(why) => assert!(why.starts_with("its answer is")),
    }
    match trouble((*code).into(), text) {
        None => assert_eq!(*code, 0),
        Some(words) => assert!(!words.is_empty() && !words.contains('\n'), "one line: {words:?}"),
    }
});
