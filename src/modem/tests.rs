//! What modems say, in pieces of any size, with anything in between.

use std::collections::VecDeque;
use std::time::Duration;

use embedded_io::{ErrorKind, ErrorType, Read, Write};
use proptest::prelude::*;

use super::at::{Client, LINE, Port, Text, Trouble};
use super::dialogue::{Unknown, know, set, wake};
use super::*;

const SOON: Duration = Duration::from_secs(1);

/// A port whose other end has said all that it is ever going to say, in pieces.
struct Script {
    pieces: VecDeque<Vec<u8>>,
    /// What comes after the last piece: silence, or the end.
    end: Result<usize, ErrorKind>,
    sent: Vec<u8>,
}

impl Script {
    fn new(said: &[u8], size: usize) -> Script {
        let pieces = said.chunks(size.max(1)).map(<[u8]>::to_vec).collect();
        Script { pieces, end: Err(ErrorKind::TimedOut), sent: Vec::new() }
    }

    fn ending(said: &str, end: Result<usize, ErrorKind>) -> Script {
        Script { end, ..Script::new(said.as_bytes(), 7) }
    }
}

impl ErrorType for Script {
    type Error = ErrorKind;
}

impl Read for Script {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, ErrorKind> {
        let Some(mut piece) = self.pieces.pop_front() else { return self.end };
        let count = piece.len().min(buffer.len());
        let rest = piece.split_off(count);
        buffer[..count].copy_from_slice(&piece);
        if !rest.is_empty() {
            self.pieces.push_front(rest);
        }
        Ok(count)
    }
}

impl Write for Script {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, ErrorKind> {
        // In pieces too.
        let count = bytes.len().min(3);
        self.sent.extend(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> Result<(), ErrorKind> {
        Ok(())
    }
}

impl Port for &mut Script {
    fn within(&mut self, _: Duration) {}
}

/// The answer to `AT+SER?` in this text, whatever the pieces.
fn mode_in(said: &str) -> Result<String, Trouble> {
    let answers = [1, 2, 3, 5, 64, 1000].map(|size| {
        let mut script = Script::new(said.as_bytes(), size);
        let answer = Client::new(&mut script).ask("AT+SER?", "+SER:", SOON);
        assert_eq!(script.sent, b"AT+SER?\r");
        answer.map(|text| text.as_str().to_owned())
    });
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    answers[0].clone()
}

fn refused(words: &str) -> Result<String, Trouble> {
    Err(Trouble::Refused(Text::try_from(words).unwrap()))
}

#[test]
fn an_answer_is_found_among_all_else() {
    let long = "x".repeat(3000);
    for said in [
        "\r\n+SER: 7\r\n\r\nOK\r\n",
        // Echo, as V.250 has it, and with an end of its own.
        "AT+SER?\r\r\n+SER: 7\r\n\r\nOK\r\n",
        "AT+SER?\r\n+SER:7\nOK\n",
        // What nobody has asked for, before, between and after.
        "\r\nRDY\r\n\r\n+CREG: 1,\"12AB\"\r\n\r\n+SER: 7\r\n\r\n+QIND: SMS DONE\r\n\r\nOK\r\n\r\n+CREG: 2\r\n",
        // The end of an earlier answer that was late.
        "\r\nOK\r\n\r\nOK\r\n\r\n+SER: 7\r\n\r\nOK\r\n",
        &format!("\r\n+QIND: {long}\r\n{long}\r\n+SER: 7\r\nOK\r\n"),
        "\x00\u{fffd}\x07\r\n+SER: 7\r\n\x00\r\nOK\r\n",
    ] {
        assert_eq!(mode_in(said), Ok("7".to_owned()), "{said:?}");
    }
    // The first counts.
    assert_eq!(mode_in("+SER: 1\r\n+SER: 2\r\nOK\r\n"), Ok("1".to_owned()));
}

#[test]
fn no_answer_is_told_from_half_of_one_and_from_a_refusal() {
    assert_eq!(mode_in(""), Err(Trouble::Silent));
    for half in ["\r\n+SER: 7\r\n", "\r\n+SER: 7", "\r\nOK\r\n", "AT+SER?\r", "\r\n+SER: 7\r\n\r\nO"] {
        assert_eq!(mode_in(half), Err(Trouble::Unfinished), "{half:?}");
    }
    for words in ["ERROR", "+CME ERROR: 50", "+CME ERROR: operation not allowed", "COMMAND NOT SUPPORT"] {
        assert_eq!(mode_in(&format!("AT+SER?\r\r\n{words}\r\n")), refused(words));
    }
    // No line is so long that it takes all memory; none that was cut is an answer that it was not.
    let long = mode_in(&format!("+CME ERROR: {}\r\n", "e".repeat(100_000)));
    assert!(matches!(&long, Err(Trouble::Refused(words)) if words.len() == LINE), "{long:?}");
}

#[test]
fn a_port_that_ends_is_gone_whatever_it_said() {
    for end in [Ok(0), Err(ErrorKind::BrokenPipe), Err(ErrorKind::Other)] {
        for said in ["", "\r\n+SER: 7\r\n"] {
            let mut script = Script::ending(said, end);
            assert_eq!(Client::new(&mut script).ask("AT+SER?", "+SER:", SOON), Err(Trouble::Gone));
        }
        assert!(Client::new(&mut Script::ending("\r\nPOWERED DOWN\r\n", end)).ends(SOON));
    }
    assert!(!Client::new(&mut Script::new(b"RDY\r\n", 2)).ends(SOON));
}

#[test]
fn half_a_line_is_not_lost_by_waiting() {
    // The rest comes with the next question.
    struct Twice<'a>(&'a mut Script, u8);
    impl ErrorType for Twice<'_> {
        type Error = ErrorKind;
    }
    impl Read for Twice<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> Result<usize, ErrorKind> {
            self.0.read(buffer)
        }
    }
    impl Write for Twice<'_> {
        fn write(&mut self, bytes: &[u8]) -> Result<usize, ErrorKind> {
            self.0.write(bytes)
        }
        fn flush(&mut self) -> Result<(), ErrorKind> {
            Ok(())
        }
    }
    impl Port for Twice<'_> {
        fn within(&mut self, _: Duration) {
            self.1 += 1;
            if self.1 == 2 {
                self.0.pieces.push_back(b"R: 3\r\n\r\nOK\r\n".to_vec());
            }
        }
    }
    let mut script = Script::new(b"\r\n+SE", 9);
    let mut client = Client::new(Twice(&mut script, 0));
    assert_eq!(client.ask("AT+SER?", "+SER:", SOON), Err(Trouble::Unfinished));
    assert_eq!(client.ask("AT+SER?", "+SER:", SOON).unwrap(), "3");
}

/// Who this says it is, and in which mode.
fn who(said: &str, family: Option<&'static Family>, product: Option<u16>) -> String {
    match know(&mut Client::new(&mut Script::new(said.as_bytes(), 4)), family, product, SOON) {
        Err(unknown) => unknown.to_string(),
        Ok(known) => {
            let mode = known.mode().map_or("unknown", Mode::name);
            format!(
                "{} {}, {} is {mode} of {}",
                known.family.maker,
                known.name,
                known.number,
                known.model.names()
            )
        }
    }
}

#[test]
fn a_modem_says_who_it_is() {
    for (said, told) in [
        (
            "Quectel\r\n\r\nOK\r\nRM500U-CN\r\nOK\r\n+QCFG: \"usbnet\",5\r\nOK\r\n",
            "Quectel RM500U-CN, 5 is ncm of ecm, mbim, rndis, ncm",
        ),
        (
            "AT+CGMI\rQUECTEL INCORPORATED\r\nOK\r\nAT+CGMM\rEC25\r\nOK\r\n+QCFG: \"usbnet\", 2\r\nOK\r\n",
            "Quectel EC25, 2 is mbim of qmi, ecm, mbim, rndis",
        ),
        (
            "+CGMI: \"MeiG Smart\"\r\nOK\r\n+CGMM: \"srm825n\"\r\nOK\r\n+SER: 7,1\r\nOK\r\n",
            "MeiG srm825n, 7 is mbim of qmi, ecm, rndis, mbim",
        ),
        ("MEIG\r\nOK\r\nSRM821\r\nOK\r\n+SER: 1\r\nOK\r\n", "MeiG SRM821, 1 is ncm of ncm, ecm, rndis"),
        // Of one that nobody has written down, nothing is guessed.
        ("MEIG\r\nOK\r\nSLM999\r\nOK\r\n+SER: 1\r\nOK\r\n", "MeiG SLM999, 1 is unknown of "),
        // HiSilicon's number, which means two things.
        (
            "Quectel\r\nOK\r\nX\r\nOK\r\n+QCFG: \"usbnet\",4\r\nOK\r\n",
            "Quectel X, 4 is unknown of qmi, ecm, mbim, rndis",
        ),
        ("Huawei\r\nOK\r\n", "a modem of 'Huawei', which is no family known here"),
        ("ERROR\r\nERROR\r\n", "it refuses: ERROR"),
        (
            "Quectel\r\nOK\r\nEC25\r\nOK\r\n+QCFG: \"usbnet\",x\r\nOK\r\n",
            "it calls its mode 'x', which is no number",
        ),
    ] {
        assert_eq!(who(said, None, None), told);
    }
    // One that does not say its name is known by its product.
    let meig = named("meig");
    assert_eq!(
        who("ERROR\r\nERROR\r\n+SER: 3\r\nOK\r\n", meig, Some(0x4d58)),
        "MeiG , 3 is rndis of ecm, rndis"
    );
}

#[test]
fn every_family_is_told_apart_by_usb_too() {
    let of = |vendor, product| of_usb(vendor, product).map(|(family, asks)| (family.name, asks));
    assert_eq!(of(0x2c7c, 0x0125), Some(("quectel", false)));
    assert_eq!(of(0x2dee, 0x4d57), Some(("meig", false)));
    assert_eq!(of(0x05c6, 0xf601), Some(("meig", false)));
    assert_eq!(of(0x05c6, 0x9025), None, "Qualcomm's own, and many makers'");
    assert_eq!(of(0x1782, 0x4d00), Some(("meig", true)));
    assert_eq!(of(0x0403, 0x6001), None);
}

#[test]
fn tables_are_without_contradictions() {
    for family in FAMILIES {
        assert!(named(family.name).is_some_and(|same| same.maker == family.maker));
        assert!(made_by(family.maker).is_some_and(|same| same.maker == family.maker));
        for model in family.models.iter().chain([&family.other]) {
            for (number, mode) in model.modes {
                assert_eq!((model.mode(*number), model.number(*mode)), (Some(*mode), Some(*number)));
            }
        }
    }
}

/// The answers to the orders that set a mode, and what was sent.
fn setting(family: &Family, said: &str, end: Result<usize, ErrorKind>) -> (Result<(), Trouble>, String) {
    let mut script = Script::ending(said, end);
    let done = set(&mut Client::new(&mut script), family, 2);
    (done, String::from_utf8(script.sent).unwrap())
}

#[test]
fn a_restart_is_no_failure_and_a_refusal_is_one() {
    let silence = Err(ErrorKind::TimedOut);
    let [quectel, meig] = FAMILIES;
    let orders = "AT+QCFG=\"usbnet\",2\rAT+CFUN=1,1\r".to_owned();
    for (said, end) in [("OK\r\nOK\r\n", silence), ("OK\r\n", Ok(0)), ("OK\r\n", silence)] {
        assert_eq!(setting(quectel, said, end), (Ok(()), orders.clone()));
    }
    let order = "AT+QCFG=\"usbnet\",2\r".to_owned();
    assert_eq!(setting(quectel, "", Ok(0)), (Err(Trouble::Gone), order.clone()));
    assert_eq!(setting(quectel, "", silence), (Err(Trouble::Silent), order.clone()));
    let error = refused("ERROR").map(drop);
    assert_eq!(setting(quectel, "ERROR\r\n", silence), (error.clone(), order));
    assert_eq!(setting(quectel, "OK\r\nERROR\r\n", silence), (error.clone(), orders));
    let order = "AT+SER=2,1\r".to_owned();
    for (said, end) in [("OK\r\n", silence), ("", Ok(0))] {
        assert_eq!(setting(meig, said, end), (Ok(()), order.clone()));
    }
    assert_eq!(setting(meig, "ERROR\r\n", silence), (error, order));
}

#[test]
fn whoever_answers_is_awake() {
    for (said, end, awake) in [
        ("OK\r\n", Err(ErrorKind::TimedOut), Ok(())),
        ("ERROR\r\n", Err(ErrorKind::TimedOut), Ok(())),
        ("RDY\r\n", Err(ErrorKind::TimedOut), Err(Trouble::Unfinished)),
        ("RDY\r\n", Ok(0), Err(Trouble::Gone)),
    ] {
        assert_eq!(wake(&mut Client::new(&mut Script::ending(said, end)), SOON), awake);
    }
}

proptest! {
    /// No bytes make it panic, or go on for ever, or keep more than a line.
    #[test]
    fn anything_may_come(
        said in proptest::collection::vec(any::<u8>(), 0..2000),
        size in 1_usize..80,
        family in 0_usize..2,
    ) {
        let family = FAMILIES[family];
        for known in [Some(family), None] {
            match know(&mut Client::new(&mut Script::new(&said, size)), known, None, SOON) {
                Ok(known) => prop_assert!(known.name.len() <= LINE),
                Err(Unknown::Trouble(trouble)) => prop_assert!(trouble != Trouble::Gone),
                Err(_) => {}
            }
        }
        let _ = set(&mut Client::new(&mut Script::new(&said, size)), family, 1);
    }

    /// The same of what looks more like a modem.
    #[test]
    fn any_lines_may_come(
        lines in proptest::collection::vec(
            prop_oneof![
                Just("OK".to_owned()), Just("ERROR".to_owned()), Just("+SER: 7".to_owned()), Just("AT+SER?".to_owned()),
                Just("+CME ERROR: 3".to_owned()), Just("RDY".to_owned()), "[ -~]{0,20}", "\\+SER:.{0,9}", Just(String::new()),
            ],
            0..20,
        ),
        size in 1_usize..20,
    ) {
        let said = lines.join("\r\n");
        let answer = Client::new(&mut Script::new(said.as_bytes(), size)).ask("AT+SER?", "+SER:", SOON);
        if let Ok(text) = answer {
            let is_in = lines.iter().any(|line| line.contains("+SER:") && line.contains(text.as_str()));
            prop_assert!(is_in || text.contains('?'), "{text:?} was never said");
        }
    }

    #[test]
    fn a_number_is_one_or_none(rest in ".{0,12}") {
        for family in FAMILIES {
            if let Some(number) = family.number(&rest) {
                prop_assert!(rest.trim().trim_start_matches('0').starts_with(&number.to_string()) || number == 0);
            }
        }
    }
}
