use proptest::prelude::*;

use super::*;

const USER: Uuid =
    Uuid([0x6b, 0xa8, 0x5e, 0x17, 0x9d, 0xad, 0x41, 0x0e, 0x80, 0x9f, 0x00, 0xc0, 0x4f, 0xd4, 0x30, 0xc8]);

fn tcp(address: &str) -> Request {
    let destination = Destination::Address(address.parse().unwrap());
    Request { user: USER, command: Command::Tcp(destination) }
}

#[test]
fn a_request_is_as_xray_writes_it() {
    let mut expected = vec![0];
    expected.extend(USER.0);
    expected.extend([0, 1, 0x01, 0xbb, 1, 192, 0, 2, 7]);
    assert_eq!(tcp("192.0.2.7:443").bytes(), expected);
    let mux = Request { user: USER, command: Command::Mux };
    assert_eq!(mux.bytes().get(17..), Some(&[0, 3][..]));
}

#[test]
fn a_part_of_a_request_is_none_yet_and_the_payload_is_left() {
    let whole = tcp("[2001:db8::1]:22").bytes();
    for length in 0..whole.len() {
        assert_eq!(Request::parse(&whole[..length]), Ok(None), "{length}");
    }
    let mut more = whole.clone();
    more.extend(b"SSH-2.0");
    assert_eq!(Request::parse(&more), Ok(Some((tcp("[2001:db8::1]:22"), whole.len()))));
}

#[test]
fn names_are_for_the_server_to_look_up_and_addresses_as_text_are_addresses() {
    for (name, expected) in [
        ("example.org", Ok(Destination::Name("example.org".into(), 80))),
        ("192.0.2.1", Ok(Destination::Address("192.0.2.1:80".parse().unwrap()))),
        ("::1", Ok(Destination::Address("[::1]:80".parse().unwrap()))),
        ("", Err(Malformed)),
        ("a b", Err(Malformed)),
        ("a\nb", Err(Malformed)),
    ] {
        let mut bytes = vec![0];
        bytes.extend(USER.0);
        bytes.extend([0, 1, 0, 80, 2, name.len() as u8]);
        bytes.extend(name.bytes());
        let parsed = Request::parse(&bytes).map(|parsed| parsed.unwrap().0.command);
        assert_eq!(parsed, expected.map(Command::Tcp), "{name:?}");
    }
}

#[test]
fn an_ipv4_address_in_ipv6_is_an_ipv4_address() {
    let parsed = Request::parse(&tcp("[::ffff:10.0.0.1]:80").bytes());
    assert_eq!(parsed.unwrap().unwrap().0, tcp("10.0.0.1:80"));
}

#[test]
fn other_versions_flows_and_commands_are_refused_at_once() {
    let good = tcp("192.0.2.7:443").bytes();
    let mut version = good.clone();
    version[0] = 1;
    assert_eq!(Request::parse(&version[..1]), Err(Malformed));
    let mut command = good.clone();
    command[18] = 4;
    assert_eq!(Request::parse(&command), Err(Malformed));
    // {1: "xtls-rprx-vision"}
    let mut flow = good[..17].to_vec();
    flow.push(18);
    flow.extend([0x0a, 16]);
    flow.extend(b"xtls-rprx-vision");
    flow.extend(&good[18..]);
    assert_eq!(Request::parse(&flow), Err(Malformed));
    // Addons without a flow say nothing that matters.
    let mut seed = good[..17].to_vec();
    seed.extend([3, 0x12, 1, 0]);
    seed.extend(&good[18..]);
    assert!(matches!(Request::parse(&seed), Ok(Some(_))));
}

#[test]
fn uuids_are_read_as_people_write_them() {
    let text = "6ba85e17-9dad-410e-809f-00c04fd430c8";
    assert_eq!(Uuid::parse(text), Some(USER));
    assert_eq!(Uuid::parse(&text.to_uppercase().replace('-', "")), Some(USER));
    assert_eq!(USER.text(), text);
    for bad in
        ["", "6ba85e17", &text[1..], &format!("{text}0"), &format!("-{text}"), &format!("{text}-"), "x"]
    {
        assert_eq!(Uuid::parse(bad), None, "{bad:?}");
    }
    let random = Uuid::random([0xff; 16]).text();
    assert_eq!(random, "ffffffff-ffff-4fff-bfff-ffffffffffff");
}

#[test]
fn an_answers_head_may_have_addons() {
    assert_eq!(answer(&ANSWER), Ok(Some(2)));
    assert_eq!(answer(&[0]), Ok(None));
    assert_eq!(answer(&[]), Ok(None));
    assert_eq!(answer(&[0, 2, 9]), Ok(None));
    assert_eq!(answer(&[0, 2, 9, 9, b'x']), Ok(Some(4)));
    assert_eq!(answer(b"HTTP"), Err(Malformed));
}

pub fn destinations() -> impl Strategy<Value = Destination> {
    let v4 = (any::<[u8; 4]>(), any::<u16>()).prop_map(|(ip, port)| SocketAddr::new(IpAddr::from(ip), port));
    let v6 = (any::<[u8; 16]>(), any::<u16>())
        .prop_map(|(ip, port)| SocketAddr::new(Ipv6Addr::from(ip).to_canonical(), port));
    let name = ("[a-z]{1,20}(\\.[a-z]{2,10}){1,3}", any::<u16>())
        .prop_map(|(name, port)| Destination::Name(name.into(), port));
    prop_oneof![v4.prop_map(Destination::Address), v6.prop_map(Destination::Address), name]
}

proptest! {
    #[test]
    fn what_is_written_is_read(destination in destinations(), udp: bool, user: [u8; 16], rest: Vec<u8>) {
        let command = if udp { Command::Udp(destination) } else { Command::Tcp(destination) };
        let request = Request { user: Uuid(user), command };
        let mut bytes = request.bytes();
        let length = bytes.len();
        bytes.extend(rest);
        prop_assert_eq!(Request::parse(&bytes), Ok(Some((request, length))));
    }

    #[test]
    fn whatever_comes_is_decided_within_the_longest_request(bytes in prop::collection::vec(any::<u8>(), MAX_REQUEST..700)) {
        prop_assert!(Request::parse(&bytes) != Ok(None));
    }
}
