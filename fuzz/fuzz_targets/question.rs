//! A line that a client of the status socket sends.
#![no_main]

use bsbf_fuzz::wire::question::{MAX_LINE, Question};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|sent: &[u8]| {
    // As the socket cuts it: at the line's end, at the limit.
    let line = sent.split(|&b| b == b'\n').next().unwrap_or_default();
    let line = line.get(..MAX_LINE).unwrap_or(line);
    match Question::parse(line) {
        Ok(question) => {
            let asked = question.to_string();
            assert_eq!(asked.as_bytes(), line, "one way only to ask it");
            assert_eq!(Question::parse(asked.as_bytes()), Ok(question));
        }
        Err(why) => assert!(!why.is_empty() && !why.contains('\n'), "the answer is one line: {why:?}"),
    }
});
