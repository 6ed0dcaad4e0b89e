//! What a client of the proxy says first, and how its server's answer begins; in whatever pieces.
#![no_main]

use bsbf_fuzz::wire::vless::{MAX_REQUEST, Request, answer};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let whole = Request::parse(input);
    match &whole {
        Ok(Some((request, length))) => {
            assert!((1..=MAX_REQUEST).contains(length));
            // What follows is the payload, and a part is no request yet.
            assert_eq!(Request::parse(&input[..*length]), whole);
            assert!((0..*length).all(|part| Request::parse(&input[..part]) == Ok(None)));
            let again = request.bytes();
            assert_eq!(Request::parse(&again), Ok(Some((request.clone(), again.len()))));
        }
        Ok(None) => assert!(input.len() < MAX_REQUEST),
        // What is wrong stays wrong.
        Err(_) => assert_eq!(Request::parse(&[input, b"more"].concat()), whole),
    }
    if let Ok(Some(length)) = answer(input) {
        assert!((2..=257).contains(&length) && length <= input.len());
    }
});
