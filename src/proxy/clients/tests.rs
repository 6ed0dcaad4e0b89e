use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

/// The UUID that ends with this number.
fn uuid(n: u32) -> Uuid {
    let mut bytes = [0; 16];
    bytes[12..].copy_from_slice(&n.to_be_bytes());
    Uuid(bytes)
}

fn limit(mbps: u32) -> Option<NonZeroU32> {
    NonZeroU32::new(mbps)
}

/// So many clients without a limit.
fn crowd(count: u32) -> Clients {
    let mut clients = Clients::default();
    for id in 0..count {
        clients
            .place(Client { id: id as u16, uuid: uuid(id), mbps: None, name: String::new(), key: None })
            .unwrap();
    }
    clients
}

#[test]
fn the_text_has_a_line_for_each_and_is_read_as_people_write_it() {
    let mut clients = Clients::default();
    assert_eq!(clients.text(), HEAD);
    clients.add(uuid(1), None, "").unwrap();
    clients.add(uuid(2), limit(50), "bus-7").unwrap();
    let lines = "0 00000000-0000-0000-0000-000000000001 -\n1 00000000-0000-0000-0000-000000000002 50 bus-7\n";
    assert_eq!(clients.text(), [HEAD, lines].concat());
    let by_hand = "\n  # the bus\r\n\t1  00000000000000000000000000000002 050 bus-7 \r\n\n0 00000000-0000-0000-0000-000000000001 -";
    assert_eq!(Clients::parse(by_hand), Ok(clients));
    assert_eq!(Clients::parse(""), Ok(Clients::default()));
}

#[test]
fn what_is_wrong_is_told_with_its_line() {
    const UUID: &str = "00000000-0000-0000-0000-000000000001";
    for (line, wrong) in [
        ("0".to_owned(), "ID UUID MBPS [NAME] expected, MBPS '-' without a limit"),
        (format!("0 {UUID}"), "ID UUID MBPS [NAME] expected, MBPS '-' without a limit"),
        (format!("16384 {UUID} -"), "'16384' is no client's number, 0 to 16383"),
        (format!("65536 {UUID} -"), "'65536' is no client's number, 0 to 16383"),
        (format!("+1 {UUID} -"), "'+1' is no client's number, 0 to 16383"),
        (format!("-1 {UUID} -"), "'-1' is no client's number, 0 to 16383"),
        ("1 0000 -".to_owned(), "'0000' is no UUID, 32 hexadecimal digits"),
        (format!("1 {UUID} 0"), "'0' is no rate, 1 to 100000 Mbit/s or '-'"),
        (format!("1 {UUID} 100001"), "'100001' is no rate, 1 to 100000 Mbit/s or '-'"),
        (format!("1 {UUID} 99999999999"), "'99999999999' is no rate, 1 to 100000 Mbit/s or '-'"),
        (format!("1 {UUID} 10-x"), "'10-x' is no rate, 1 to 100000 Mbit/s or '-'"),
        (format!("1 {UUID} - #bus"), "'#bus' is no name, at most 64 bytes, without '#' in front"),
        (format!("1 {UUID} - a\u{1b}[2J"), "'a\u{1b}[2J' is no name, at most 64 bytes, without '#' in front"),
        (format!("1 {UUID} - a b"), "'b' is no part of ID UUID MBPS [NAME], where a name is one word"),
        (format!("7 {UUID} -"), "there is a client 7 already"),
        ("9 00000000000000000000000000000007 -".to_owned(), "its UUID is that of client 7"),
    ] {
        let text = format!("#\n7 00000000-0000-0000-0000-000000000007 -\n{line}\n# end\n");
        assert_eq!(Clients::parse(&text), Err((3, wrong.to_owned())), "{line}");
    }
}

/// The public key whose last byte this is.
fn public(n: u8) -> PublicKey {
    PublicKey::new(&[[0; 31].as_slice(), &[n]].concat()).unwrap()
}

#[test]
fn a_key_stands_in_a_line_that_older_programs_take_for_a_note() {
    let mut clients = Clients::default();
    clients.add(uuid(1), None, "").unwrap();
    clients.add(uuid(2), limit(50), "bus-7").unwrap();
    assert_eq!(clients.known_by(&uuid(3), Some(public(1))), None);
    let before = clients.clone();
    assert_eq!(clients.known_by(&uuid(1), Some(public(1))).and_then(|it| it.key), Some(public(1)));
    let line = format!("#key {} {}", uuid(1).text(), public(1).text());
    let lines: Vec<String> = clients.text().lines().map(str::to_owned).collect();
    assert_eq!(lines[2], line);
    assert!(lines[2].starts_with('#') && lines.len() == 4, "{lines:?}");
    assert_eq!(Clients::parse(&clients.text()), Ok(clients.clone()));
    // In any order, for people sort.
    let backwards: Vec<&str> = lines.iter().rev().map(String::as_str).collect();
    assert_eq!(Clients::parse(&backwards.join("\n")), Ok(clients.clone()));
    // As an older program leaves the file.
    let rest: Vec<&str> = lines.iter().map(String::as_str).filter(|text| *text != line).collect();
    assert_eq!(Clients::parse(&rest.join("\n")), Ok(before));
    // That of nobody, and notes of people.
    let notes = format!("{}#key of the bus\n#key {} {}\n", clients.text(), uuid(9).text(), public(9).text());
    assert_eq!(Clients::parse(&notes), Ok(clients));
}

#[test]
fn what_is_wrong_with_a_key_is_told_with_its_line() {
    let [one, two] = [uuid(1).text(), uuid(2).text()];
    let key = public(1).text();
    let expected = "#key UUID KEY expected, where a key is 64 hexadecimal digits";
    for (line, wrong) in [
        (format!("#key {one}"), expected),
        (format!("#key {one} {}", &key[1..]), expected),
        (format!("#key {one} {key} x"), expected),
        (format!("#key {two} {key}"), "its key is that of client 0"),
        (format!("#key {one} {key}"), "its key is that of client 0"),
        (format!("#key {one} {}", public(2).text()), "client 0 has a key already"),
    ] {
        let text = format!("0 {one} -\n1 {two} -\n#key {one} {key}\n{line}\n");
        assert_eq!(Clients::parse(&text), Err((4, wrong.to_owned())), "{line}");
    }
}

#[test]
fn the_first_line_that_repeats_another_is_told() {
    let line = |id: u32, n: u32| format!("{id} {} -\n", uuid(n).text());
    let text = [line(0, 9), line(1, 5), line(2, 9), line(3, 5), line(4, 5)].concat();
    assert_eq!(Clients::parse(&text), Err((3, "its UUID is that of client 0".to_owned())));
}

#[test]
fn numbers_are_the_lowest_free_ones_until_none_is() {
    let mut clients = crowd(MOST.into());
    assert_eq!(clients.add(uuid(20_000), None, ""), Err("there are 16384, which is all that have ports"));
    for gone in [9000, 3, 16_383] {
        assert_eq!(clients.remove(&uuid(gone)).unwrap().id, gone as u16);
        assert_eq!(clients.remove(&uuid(gone)), None);
    }
    assert_eq!(clients.add(uuid(4), None, ""), Err("there is a client with its UUID already"));
    assert_eq!(clients.add(uuid(3), None, "a b"), Err("its name is none"));
    for id in [3, 9000, 16_383] {
        assert_eq!(clients.add(uuid(30_000 + id), None, "").unwrap().id, id as u16);
    }
    assert_eq!(clients.iter().count(), MOST.into());
}

#[test]
fn the_whole_of_all_clients_is_read_at_once() {
    let mut clients = crowd(MOST.into());
    for (id, client) in (0u16..).zip(clients.places.iter_mut().flatten()) {
        client.key = PublicKey::new(&[[7; 30].as_slice(), &id.to_be_bytes()].concat());
        client.name = "a".repeat(LONGEST_NAME);
    }
    let text = clients.text();
    assert!(text.len() < 4 << 20, "{} bytes, more than are read", text.len());
    assert_eq!(Clients::parse(&text).unwrap(), clients);
    let backwards: Vec<&str> = text.lines().rev().collect();
    assert_eq!(Clients::parse(&backwards.join("\n")).unwrap(), clients);
}

#[test]
fn ports_and_marks_are_those_of_servers_in_the_field() {
    let of = |id| {
        let client = Client { id, uuid: uuid(0), mbps: None, name: String::new(), key: None };
        (client.port(), client.marks())
    };
    assert_eq!(of(0), (32_768, (512, 1024)));
    assert_eq!(of(511), (33_279, (1023, 1535)));
    assert_eq!(of(512), (33_280, (0x1_0200, 0x2_0200)));
    assert_eq!(of(16_383), (49_151, (0x1_3fff, 0x2_3fff)));
    let marks: BTreeSet<u32> = (0..MOST).flat_map(|id| <[u32; 2]>::from(of(id).1)).collect();
    assert_eq!(marks.len(), 2 * usize::from(MOST));
}

#[test]
fn a_token_is_a_link_that_others_know_too() {
    let mut client = Client { id: 2, uuid: uuid(1), mbps: limit(7), name: String::new(), key: None };
    let start = "vless://00000000-0000-0000-0000-000000000001@";
    let rest = ":32770?encryption=none&type=tcp";
    for (text, host_in_link) in [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:DB8::1", "[2001:db8::1]"),
        ("[2001:db8::1]", "[2001:db8::1]"),
        ("bond.example.org", "bond.example.org"),
    ] {
        assert_eq!(client.token(&host(text).unwrap()), [start, host_in_link, rest].concat());
    }
    client.name = "Zürich/bus+7~a".to_owned();
    assert_eq!(client.token("h"), [start, "h", rest, "#Z%C3%BCrich%2Fbus%2B7~a"].concat());
}

#[test]
fn what_would_break_a_link_is_no_host() {
    let long = "a".repeat(254);
    for text in ["", "a b", "a@b", "a/b", "host:443", "fe80::1%eth0", "[192.0.2.1]", "[a]", "a#b", &long] {
        assert_eq!(host(text), None, "{text:?}");
    }
}

#[test]
fn a_rate_is_a_whole_number() {
    assert_eq!((mbps("1"), mbps("100000")), (limit(1), limit(100_000)));
    for text in ["", "0", "100001", "+1", "-1", "1.5", "10-x", " 1", "1 ", "1M"] {
        assert_eq!(mbps(text), None, "{text:?}");
    }
}

/// Clients by add and remove: what is added, or removed by its place.
fn changes() -> impl Strategy<Value = Vec<(bool, u32, u32, String)>> {
    prop::collection::vec((any::<bool>(), 0..40u32, 0..=MOST_MBPS, "[a-z./ü%-]{0,9}"), 0..60)
}

proptest! {
    #[test]
    fn numbers_stay_unique_and_lowest_and_all_is_read_as_it_was_written(changes in changes()) {
        let mut clients = Clients::default();
        for (adds, n, rate, name) in changes {
            let taken: BTreeSet<u16> = clients.iter().map(|client| client.id).collect();
            let known = clients.iter().find(|client| client.uuid == uuid(n)).cloned();
            if adds {
                let lowest = (0..).find(|id| !taken.contains(id));
                let added = clients.add(uuid(n), limit(rate), &name);
                match known {
                    Some(_) => prop_assert!(added.is_err()),
                    None => prop_assert_eq!(added.ok().map(|client| client.id), lowest),
                }
            } else {
                // Half of them had keys.
                if n % 2 == 0 && known.is_some() && !taken.is_empty() {
                    clients.known_by(&uuid(n), Some(public(n as u8)));
                    prop_assert_eq!(&Clients::parse(&clients.text()), &Ok(clients.clone()));
                }
                let known = clients.iter().find(|client| client.uuid == uuid(n)).cloned();
                prop_assert_eq!(clients.remove(&uuid(n)), known);
                prop_assert!(clients.iter().all(|client| client.uuid != uuid(n)));
            }
            let ids: Vec<u16> = clients.iter().map(|client| client.id).collect();
            prop_assert!(ids.is_sorted_by(|one, other| one < other), "{:?}", ids);
            prop_assert_eq!(&Clients::parse(&clients.text()), &Ok(clients.clone()));
        }
    }

    #[test]
    fn whatever_is_read_is_written_alike(text in "([0-9]{1,5} [0-9a-f]{32} (-|[0-9]{1,6}) ?[a-z#]{0,3}\n){0,4}") {
        if let Ok(clients) = Clients::parse(&text) {
            prop_assert_eq!(Clients::parse(&clients.text()), Ok(clients));
        }
    }

    #[test]
    fn no_text_makes_it_panic(text: String) {
        let _ = Clients::parse(&text);
    }
}
