use super::*;
use crate::frames::{self, LONGEST};
use proptest::prelude::*;

const PROLOGUE_OF_VECTORS: &[u8] = b"John Galt";

fn bytes(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap()).collect()
}

fn identity(of: u8) -> Identity {
    Identity::new(SecretKey::new([of; 32]))
}

/// A client's and a server's, after a handshake at this time.
pub fn sessions(time: u64) -> (Session, Session) {
    let (client, server) = (identity(1), identity(2));
    let (initiator, hello) = Initiator::new(&client, server.public(), time, &[3; 32]).unwrap();
    let responder = Responder::read(&server, &hello, &[4; 32]).unwrap();
    assert_eq!((&responder.client, responder.time), (client.public(), time));
    let (reply, ours) = responder.reply().unwrap();
    (initiator.finish(&reply).unwrap(), ours)
}

/// Those of cacophony, which other implementations are tested by too.
#[test]
fn it_is_the_protocol_that_others_mean_by_its_name() {
    let key = |text| SecretKey::parse(text).unwrap();
    let random = |text: &str| -> Random { bytes(text).try_into().unwrap() };
    let client = Identity::new(key("e61ef9919cde45dd5f82166404bd08e38bceb5dfdfded0a34c8df7ed542214d1"));
    let server = Identity::new(key("4a3acbfdb163dec651dfa3194dece676d437029c62a408b4c5ea9114246e4893"));
    assert_eq!(server.public().text(), "31e0303fd6418d2f8c0e78b91f22e8caed0fbe48656dcf4767e4834f701b8f62");
    let of_client = random("893e28b9dc6ca8d611ab664754b8ceb7bac5117349a4439a6b0569da977c464a");
    let of_server = random("bbdb4cdbd309f1a1f2e1456967fe288cadd6f712d65dc7b7793d5e63da6b375b");
    let mut initiator = client.begin(Some(server.public()), &of_client, PROLOGUE_OF_VECTORS).unwrap();
    let mut responder = server.begin(None, &of_server, PROLOGUE_OF_VECTORS).unwrap();
    let (mut sealed, mut opened) = ([0; 256], [0; 256]);

    let payload = bytes("4c756477696720766f6e204d69736573");
    let length = initiator.write_message(&payload, &mut sealed).unwrap();
    let expected = bytes(
        "ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c79440b03ddc7aac5123d06a1b23b71670e32\
         e76c28239a7ca4ac8f784de7e44c1adbfc6e83fef7352a58d9d56157400c0a737b1d171ce368229c7b752ac25b8faf4e\
         ca690f6d896f543be02c996ab2b86b76",
    );
    assert_eq!(sealed[..length], expected);
    let length = responder.read_message(&expected, &mut opened).unwrap();
    assert_eq!(opened[..length], payload);

    let payload = bytes("4d757272617920526f746862617264");
    let length = responder.write_message(&payload, &mut sealed).unwrap();
    let expected = bytes(
        "95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f144808843d9b5a8927f0ac9655ef76833bc7e5561\
         f42e691ac8404efd6fbd6308b6a27c",
    );
    assert_eq!(sealed[..length], expected);
    initiator.read_message(&expected, &mut opened).unwrap();

    let mut theirs = Session::new(initiator.into_transport_mode().unwrap());
    let mut ours = Session::new(responder.into_transport_mode().unwrap());
    for (is_client, payload, expected) in [
        (true, "462e20412e20486179656b", "2c256ed08fcd08c2980f954ee4beaccb61c9581340f5dd2fd1cf3b"),
        (false, "4361726c204d656e676572", "d6033f70eee20945c7c9dba304e397ee3b284ff5e00fd9efb095d3"),
        (
            true,
            "4a65616e2d426170746973746520536179",
            "a9c068ca5d8babf72560652d8e851adbfac35c8a66e810d560863173e96adf4cfe",
        ),
    ] {
        let (from, to) = if is_client { (&mut theirs, &mut ours) } else { (&mut ours, &mut theirs) };
        let length = from.seal(&bytes(payload), &mut sealed).unwrap();
        let body = frames::next(&sealed[..length]).unwrap().unwrap();
        assert_eq!(body, bytes(expected));
        let length = to.open(body, &mut opened).unwrap();
        assert_eq!(opened[..length], bytes(payload));
    }
}

#[test]
fn both_ends_understand_each_other() {
    let (mut client, mut server) = sessions(5);
    let (mut sealed, mut opened) = ([0; LONGEST], [0; LONGEST]);
    for text in [&b"a question"[..], b"", &[7; frames::MOST]] {
        for is_client in [true, false] {
            let (from, to) = if is_client { (&mut client, &mut server) } else { (&mut server, &mut client) };
            let length = from.seal(text, &mut sealed).unwrap();
            let body = frames::next(&sealed[..length]).unwrap().unwrap();
            assert_eq!((frames::whole(body), frames::carried(body)), (length, text.len()));
            let length = to.open(body, &mut opened).unwrap();
            assert_eq!(&opened[..length], text);
        }
    }
}

#[test]
fn a_change_of_any_byte_is_noticed() {
    let (client, server) = (identity(1), identity(2));
    let begin = || Initiator::new(&client, server.public(), 5, &[3; 32]).unwrap();
    let (_, hello) = begin();
    for at in 0..HELLO {
        let mut hello = hello;
        hello[at] ^= 1;
        assert!(Responder::read(&server, &hello, &[4; 32]).is_err(), "byte {at}");
    }
    let (reply, _) = Responder::read(&server, &hello, &[4; 32]).unwrap().reply().unwrap();
    for at in 0..REPLY {
        let mut reply = reply;
        reply[at] ^= 1;
        assert!(begin().0.finish(&reply).is_err(), "byte {at}");
    }
}

#[test]
fn who_means_another_server_or_answers_for_another_is_refused() {
    let (client, server, other) = (identity(1), identity(2), identity(9));
    let (initiator, hello) = Initiator::new(&client, server.public(), 5, &[3; 32]).unwrap();
    assert!(Responder::read(&other, &hello, &[4; 32]).is_err());
    let (_, hers) = Initiator::new(&client, other.public(), 5, &[3; 32]).unwrap();
    let (reply, _) = Responder::read(&other, &hers, &[4; 32]).unwrap().reply().unwrap();
    assert!(initiator.finish(&reply).is_err());
}

/// What was heard is of no use to somebody else.
#[test]
fn an_old_handshake_leads_to_nothing() {
    let (client, server) = (identity(1), identity(2));
    let (_, hello) = Initiator::new(&client, server.public(), 5, &[3; 32]).unwrap();
    let (_, mut old) = Responder::read(&server, &hello, &[4; 32]).unwrap().reply().unwrap();
    let (_, mut new) = Responder::read(&server, &hello, &[5; 32]).unwrap().reply().unwrap();
    let mut sealed = [0; LONGEST];
    let length = old.seal(b"x", &mut sealed).unwrap();
    let body = frames::next(&sealed[..length]).unwrap().unwrap();
    assert!(new.open(body, &mut [0; LONGEST]).is_err());
}

proptest! {
    #[test]
    fn bytes_of_a_stranger_are_no_handshake(hello: [u8; 32], rest in proptest::collection::vec(any::<u8>(), HELLO - 32)) {
        let hello: [u8; HELLO] = [&hello[..], &rest].concat().try_into().unwrap();
        prop_assert!(Responder::read(&identity(2), &hello, &[4; 32]).is_err());
    }
}
