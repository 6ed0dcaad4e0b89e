//! What is said to the proxy's server before it knows who is there, and what it answers: changed in whatever way.
#![no_main]

use bsbf_noise::handshake::{HELLO, Identity, Initiator, Responder};
use bsbf_noise::keys::SecretKey;
use libfuzzer_sys::fuzz_target;

/// Changes the bytes that the input has a bit for; what is left of it.
fn change<'a>(bytes: &mut [u8], input: &'a [u8]) -> &'a [u8] {
    bytes.iter_mut().zip(input).for_each(|(byte, change)| *byte ^= change);
    input.get(bytes.len()..).unwrap_or_default()
}

fuzz_target!(|input: &[u8]| {
    let [client, server] = [1, 2].map(|byte| Identity::new(SecretKey::new([byte; 32])));
    let (initiator, hello) = Initiator::new(&client, server.public(), 5, &[3; 32]).unwrap();
    let mut said = hello;
    let rest = change(&mut said, input);
    let read = Responder::read(&server, &said, &[4; 32]);
    assert_eq!(read.is_ok(), said == hello);
    let Ok(responder) = read else { return };
    assert_eq!((&responder.client, responder.time), (client.public(), 5));
    let (reply, _) = responder.reply().unwrap();
    let mut answered = reply;
    change(&mut answered, rest);
    assert_eq!(initiator.finish(&answered).is_ok(), answered == reply);
    // Nor is anything else a beginning.
    if let Some(bytes) = input.first_chunk::<HELLO>() {
        assert!(Responder::read(&server, bytes, &[4; 32]).is_err());
    }
});
