use proptest::prelude::*;

use super::*;
use crate::wire::vless::tests::destinations;

fn udp(address: &str) -> Option<(Network, Destination)> {
    Some((Network::Udp, Destination::Address(address.parse().unwrap())))
}

fn bytes(frame: &Frame<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame.put(&mut bytes);
    bytes
}

#[test]
fn a_datagram_is_as_xray_and_sing_box_write_it() {
    let new = Frame {
        session: 0,
        status: Status::New,
        target: udp("192.0.2.1:53"),
        global_id: [1, 2, 3, 4, 5, 6, 7, 8],
        data: Some(b"hi"),
    };
    let expected =
        [&[0, 20, 0, 0, 1, 1, 2, 0, 53, 1, 192, 0, 2, 1, 1, 2, 3, 4, 5, 6, 7, 8, 0, 2][..], b"hi"].concat();
    assert_eq!(bytes(&new), expected);
    assert_eq!(Frame::parse(&expected), Ok(Some((new, expected.len()))));
    let keep = [&[0, 12, 0, 7, 2, 1, 2, 0, 53, 1, 192, 0, 2, 1, 0, 0][..], b"next"].concat();
    let frame = Frame {
        session: 7,
        status: Status::Keep,
        target: udp("192.0.2.1:53"),
        global_id: [0; 8],
        data: Some(b""),
    };
    assert_eq!(Frame::parse(&keep), Ok(Some((frame, 16))));
}

#[test]
fn a_keep_without_an_address_and_an_end_with_an_error() {
    let frame = |status, data| Frame { session: 258, status, target: None, global_id: [0; 8], data };
    assert_eq!(Frame::parse(&[0, 4, 1, 2, 2, 1, 0, 1, 9]), Ok(Some((frame(Status::Keep, Some(&[9])), 9))));
    assert_eq!(Frame::parse(&[0, 4, 1, 2, 3, 2]), Ok(Some((frame(Status::End { broken: true }, None), 6))));
    assert_eq!(Frame::parse(&[0, 4, 1, 2, 4, 0]), Ok(Some((frame(Status::KeepAlive, None), 6))));
}

#[test]
fn what_is_no_frame_is_told_as_soon_as_its_head_is_there() {
    for bad in [
        &[0, 3, 0, 0][..],
        &[2, 1, 0, 0],
        &[0, 4, 0, 0, 5, 0],
        &[0, 4, 0, 0, 0, 0],
        // New without an address, and with half of one.
        &[0, 4, 0, 0, 1, 0],
        &[0, 9, 0, 0, 1, 0, 2, 0, 53, 1, 192],
        &[0, 12, 0, 0, 1, 0, 3, 0, 53, 1, 192, 0, 2, 1],
        &[0, 12, 0, 0, 1, 0, 2, 0, 53, 9, 192, 0, 2, 1],
    ] {
        assert_eq!(Frame::parse(bad), Err(Malformed), "{bad:?}");
    }
}

prop_compose! {
    fn frames()(
        session: u16,
        status in 0..4u8,
        target in destinations(),
        tcp: bool,
        has_target: bool,
        global_id: [u8; 8],
        data in prop::option::of(prop::collection::vec(any::<u8>(), 0..40)),
    ) -> (Frame<'static>, Option<Vec<u8>>) {
        let status = [Status::New, Status::Keep, Status::End { broken: tcp }, Status::KeepAlive][usize::from(status)];
        let network = if tcp { Network::Tcp } else { Network::Udp };
        let has_target = match status {
            Status::New => true,
            Status::Keep => has_target,
            _ => false,
        };
        let has_id = status == Status::New && !tcp;
        let target = has_target.then_some((network, target));
        let global_id = if has_id { global_id } else { [0; 8] };
        (Frame { session, status, target, global_id, data: None }, data)
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_once_it_is_whole(frames in prop::collection::vec(frames(), 1..5)) {
        let mut stream = Vec::new();
        for (frame, data) in &frames {
            Frame { data: data.as_deref(), ..frame.clone() }.put(&mut stream);
        }
        let mut rest = stream.as_slice();
        for (frame, data) in &frames {
            let (read, length) = Frame::parse(rest).unwrap().unwrap();
            prop_assert_eq!(&read, &Frame { data: data.as_deref(), ..frame.clone() });
            prop_assert_eq!(Frame::parse(&rest[..length - 1]), Ok(None));
            rest = &rest[length..];
        }
        prop_assert!(rest.is_empty());
    }

    #[test]
    fn whatever_comes_is_decided_within_the_longest_frame(start in prop::collection::vec(any::<u8>(), 0..64)) {
        let mut bytes = start;
        // The longest frame: its head, and data.
        bytes.resize(2 + 512 + 2 + 65_535, 0);
        prop_assert!(Frame::parse(&bytes) != Ok(None));
    }
}
