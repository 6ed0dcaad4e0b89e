use proptest::prelude::*;

use super::*;

/// A token with keys, and one without.
fn joins() -> [Join; 2] {
    let uuid = Uuid::parse("6ba85e17-9dad-410e-809f-00c04fd430c8").unwrap();
    let key = SecretKey::new([7; 32]);
    let secure = Secure { port: 32767, server: SecretKey::new([9; 32]).public(), key };
    let join = Join {
        uuid,
        plain_port: 32768,
        secure: Some(secure),
        host: "203.0.113.1".to_owned(),
        name: "home".to_owned(),
    };
    let plain = Join { secure: None, host: "[2001:db8::1]".to_owned(), name: String::new(), ..join.clone() };
    [join, plain]
}

#[test]
fn it_is_one_word_that_nothing_breaks_and_says_all_again() {
    for join in joins() {
        let token = join.token();
        let digits = token.strip_prefix("bsbf1:").unwrap();
        assert!(digits.bytes().all(|b| b.is_ascii_lowercase() || (b'2'..=b'7').contains(&b)), "{token}");
        assert_eq!(Join::parse(&token).as_ref(), Ok(&join));
        // As a phone, a terminal and mail leave it.
        assert_eq!(Join::parse(&token.to_uppercase()).as_ref(), Ok(&join));
        let (one, other) = token.split_at(40);
        assert_eq!(Join::parse(&[" ", one, "\r\n ", other, "\n"].concat()).as_ref(), Ok(&join));
    }
    let [join, plain] = joins();
    // Other versions have to read it for ever.
    assert_eq!(plain.token(), "bsbf1:aauwxkc6c6o22qioqcpqbqcp2qymraaaaaaa2wzsgaydcotemi4duorrlualno7hvi");
    assert_eq!((join.port(true), join.port(false)), (Some(32767), Some(32768)));
    assert_eq!(plain.port(true), Some(32768));
    assert_eq!(Join { plain_port: 0, ..join }.port(false), None);
}

#[test]
fn one_that_was_cut_is_told_from_a_wrong_one() {
    for join in joins() {
        let token = join.token();
        for end in "bsbf1:".len()..token.len() {
            assert_eq!(Join::parse(&token[..end]), Err("its end is missing"), "{end} of {}", token.len());
        }
        for more in ["a", "aa", "aaaaaaaa"] {
            assert_eq!(Join::parse(&[&token, more].concat()), Err("it was mistyped, or is none"));
        }
    }
    for (text, wrong) in [
        ("", "it does not begin with bsbf1:"),
        ("bsbf", "it does not begin with bsbf1:"),
        ("bsbf1", "it does not begin with bsbf1:"),
        ("vless://6ba85e17-9dad-410e-809f-00c04fd430c8@203.0.113.1:32768", "it does not begin with bsbf1:"),
        ("bsbf2:aaaa", "it is for another version of bsbf"),
        ("bsbf1:aaa1", "it was mistyped, or is none"),
        ("bsbf1:\u{e4}", "it was mistyped, or is none"),
        ("bsbf1:aaaa", "it was mistyped, or is none"),
    ] {
        assert_eq!(Join::parse(text), Err(wrong), "{text}");
    }
    assert_eq!(Join::parse(&"a".repeat(LONGEST + 1)), Err("it is too long"));
}

#[test]
fn what_could_not_be_written_elsewhere_is_refused() {
    let [join, _] = joins();
    for host in ["", "a b", "2001:db8::1", "bond.example.org/x"] {
        let wrong = Join { host: host.to_owned(), ..join.clone() };
        assert_eq!(Join::parse(&wrong.token()), Err("it makes no sense"), "{host}");
    }
    let wrong = Join { name: "a\u{1b}[2J".to_owned(), ..join };
    assert_eq!(Join::parse(&wrong.token()), Err("it makes no sense"));
}

fn any_join() -> impl Strategy<Value = Join> {
    let secure = (1..=u16::MAX, any::<[u8; 32]>(), any::<[u8; 32]>()).prop_map(|(port, server, key)| {
        Secure { port, server: PublicKey::new(&server).unwrap(), key: SecretKey::new(key) }
    });
    let texts = ("[a-z0-9.-]{1,253}", "[a-zü.-]{0,40}");
    (any::<[u8; 16]>(), any::<u16>(), prop::option::of(secure), texts).prop_map(
        |(uuid, plain_port, secure, (host, name))| Join { uuid: Uuid(uuid), plain_port, secure, host, name },
    )
}

proptest! {
    #[test]
    fn each_is_read_as_it_was_written(join in any_join()) {
        let token = join.token();
        prop_assert!(token.len() <= LONGEST);
        prop_assert_eq!(Join::parse(&token), Ok(join));
    }

    #[test]
    fn no_typing_error_passes(join in any_join(), place: prop::sample::Index, digit in 0..32usize) {
        let mut token = join.token().into_bytes();
        let at = 6 + place.index(token.len() - 6);
        prop_assume!(token[at] != DIGITS[digit]);
        token[at] = DIGITS[digit];
        prop_assert!(Join::parse(std::str::from_utf8(&token).unwrap()).is_err());
    }

    #[test]
    fn no_text_makes_it_panic(text in "(bsbf1:)?[a-z2-7\u{e4} ]{0,200}") {
        if let Ok(join) = Join::parse(&text) {
            prop_assert_eq!(join.token(), text.split_ascii_whitespace().collect::<String>());
        }
    }
}
