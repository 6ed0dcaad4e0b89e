//! A join token, as somebody has copied it; and the list of clients, as somebody has edited it.
#![no_main]

use bsbf_fuzz::clients::{Clients, host, is_name};
use bsbf_fuzz::join::Join;
use bsbf_fuzz::wire::hash::fnv1a;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|sent: &[u8]| {
    let text = String::from_utf8_lossy(sent);
    for text in [text.to_string(), token(sent)] {
        if let Ok(join) = Join::parse(&text) {
            let written: String = text.split_ascii_whitespace().collect();
            assert_eq!(join.token(), written.to_ascii_lowercase(), "one way only to write it");
            assert!(host(&join.host).is_some() && is_name(&join.name));
        }
    }
    if let Ok(clients) = Clients::parse(&text) {
        assert_eq!(Clients::parse(&clients.text()), Ok(clients));
    }
});

/// What was sent with the right length and sum around it, which would keep all but the seeds out.
fn token(sent: &[u8]) -> String {
    let length = (sent.len() + 6) as u16;
    let mut bytes = [&length.to_be_bytes(), sent].concat();
    bytes.extend(fnv1a(&bytes).to_be_bytes());
    let bits: Vec<u8> = bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1)).collect();
    let digit = |five: &[u8]| {
        let value = (0..5).fold(0, |value, bit| value << 1 | five.get(bit).copied().unwrap_or(0));
        char::from(b"abcdefghijklmnopqrstuvwxyz234567"[usize::from(value)])
    };
    format!("bsbf1:{}", bits.chunks(5).map(digit).collect::<String>())
}
