use super::*;
use crate::handshake::tests::sessions;
use proptest::collection::vec;
use proptest::prelude::*;

fn seal(session: &mut Session, plain: &[u8]) -> Vec<u8> {
    let mut out = vec![0; plain.len() + EXTRA];
    let length = session.seal(plain, &mut out).unwrap();
    assert_eq!(length, out.len());
    out
}

fn open(session: &mut Session, frame: &[u8]) -> Result<Vec<u8>, Forged> {
    let body = next(frame)?.ok_or(Forged)?;
    let mut out = vec![0; carried(body)];
    session.open(body, &mut out)?;
    Ok(out)
}

#[test]
fn a_change_of_any_byte_is_noticed() {
    for at in 0..EXTRA + 3 {
        let (mut client, mut server) = sessions(1);
        let mut frame = seal(&mut client, b"abc");
        frame[at] ^= 1;
        assert!(open(&mut server, &frame).is_err(), "byte {at}");
    }
}

#[test]
fn a_frame_that_is_late_early_or_there_twice_is_noticed() {
    let (mut client, mut server) = sessions(1);
    let [first, second] = [b"1", b"2"].map(|text| seal(&mut client, text));
    assert_eq!(open(&mut server, &second), Err(Forged));
    assert_eq!(open(&mut server, &first).unwrap(), b"1");
    assert_eq!(open(&mut server, &first), Err(Forged));
    assert_eq!(open(&mut server, &second).unwrap(), b"2");
    // Nor is one taken by the end that sent it.
    assert_eq!(open(&mut client, &second), Err(Forged));
}

#[test]
fn what_is_too_long_is_refused_on_both_sides() {
    let (mut client, mut server) = sessions(1);
    assert_eq!(client.seal(&[0; MOST + 1], &mut [0; 2 * MOST]), Err(Forged));
    assert_eq!(client.seal(b"abc", &mut [0; EXTRA + 2]), Err(Forged));
    assert_eq!(client.seal(b"abc", &mut []), Err(Forged));
    assert_eq!(next(&[0x40, 0x11]), Err(Forged));
    assert_eq!(next(&[0, 15]), Err(Forged));
    assert_eq!(next(&[0x40]), Ok(None));
    assert_eq!(next(&[0x40, 0x10, 9]), Ok(None));
    let frame = seal(&mut client, b"abc");
    assert_eq!(server.open(next(&frame).unwrap().unwrap(), &mut [0; 2]), Err(Forged));
}

/// More frames than one key is for, each way.
#[test]
fn both_ends_take_new_keys_at_the_same_frame() {
    let (mut client, mut server) = sessions(1);
    let mut frame = [0; EXTRA + 4];
    let mut out = [0; 4];
    for number in 0..2 * REKEY_AFTER + 2 {
        client.seal(&number.to_be_bytes(), &mut frame).unwrap();
        server.open(next(&frame).unwrap().unwrap(), &mut out).unwrap();
        assert_eq!(u32::from_be_bytes(out), number);
        if number % 3 == 0 {
            server.seal(&out, &mut frame).unwrap();
            client.open(next(&frame).unwrap().unwrap(), &mut out).unwrap();
        }
    }
}

proptest! {
    #[test]
    fn frames_are_found_in_whatever_pieces_they_come(
        texts in vec(vec(any::<u8>(), 0..300), 1..8),
        pieces in vec(1..200_usize, 1..8),
    ) {
        let (mut client, mut server) = sessions(1);
        let all: Vec<u8> = texts.iter().flat_map(|text| seal(&mut client, text)).collect();
        let (mut there, mut opened) = (Vec::new(), Vec::new());
        let (mut rest, mut pieces) = (&all[..], pieces.iter().cycle());
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(rest.len().min(*pieces.next().unwrap()));
            rest = after;
            there.extend(piece);
            while let Some(body) = next(&there).unwrap() {
                let length = whole(body);
                let mut out = vec![0; carried(body)];
                server.open(body, &mut out).unwrap();
                opened.push(out);
                there.drain(..length);
            }
        }
        prop_assert!(there.is_empty());
        prop_assert_eq!(opened, texts);
    }

    #[test]
    fn what_is_no_frame_is_never_opened(bytes in vec(any::<u8>(), 0..200)) {
        let (_, mut server) = sessions(1);
        prop_assert!(open(&mut server, &bytes).is_err());
    }
}
