//! The frames of an encrypted connection, of which one byte is changed on the way, in whatever pieces.
#![no_main]

use bsbf_noise::frames::{self, EXTRA, Session};
use bsbf_noise::handshake::{Identity, Initiator, Responder};
use bsbf_noise::keys::SecretKey;
use libfuzzer_sys::fuzz_target;

fn sessions() -> (Session, Session) {
    let [client, server] = [1, 2].map(|byte| Identity::new(SecretKey::new([byte; 32])));
    let (initiator, hello) = Initiator::new(&client, server.public(), 5, &[3; 32]).unwrap();
    let (reply, theirs) = Responder::read(&server, &hello, &[4; 32]).unwrap().reply().unwrap();
    (initiator.finish(&reply).unwrap(), theirs)
}

/// What the frames carry up to the first that is none.
fn opened(session: &mut Session, mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    while let Ok(Some(body)) = frames::next(bytes) {
        let mut out = vec![0; frames::carried(body)];
        match session.open(body, &mut out) {
            Ok(length) => assert_eq!(length, out.len()),
            Err(_) => break,
        }
        all.push(out);
        bytes = &bytes[frames::whole(body)..];
    }
    all
}

fuzz_target!(|input: &[u8]| {
    let (mut client, mut server) = sessions();
    assert!(opened(&mut server, input).is_empty(), "somebody else's are taken");
    // Where a byte is changed and how; and texts, each behind its length.
    let [high, low, change, texts @ ..] = input else { return };
    let (mut said, mut sealed, mut rest) = (Vec::new(), Vec::new(), texts);
    while let [length, more @ ..] = rest {
        let (text, after) = more.split_at(more.len().min(usize::from(*length)));
        let mut frame = vec![0; text.len() + EXTRA];
        assert_eq!(client.seal(text, &mut frame), Ok(frame.len()));
        said.push(text);
        sealed.push(frame);
        rest = after;
    }
    let mut all = sealed.concat();
    let at = usize::from(u16::from_be_bytes([*high, *low]));
    // Those before the one that is changed arrive.
    let mut whole = said.len();
    if *change != 0
        && let Some(byte) = all.get_mut(at)
    {
        *byte ^= change;
        let mut end = 0;
        whole = sealed
            .iter()
            .take_while(|frame| {
                end += frame.len();
                end <= at
            })
            .count();
    }
    assert_eq!(opened(&mut server, &all), said[..whole]);
});
