//! What a manager is asked over its socket: one line, a verb and for some what it is about.

use std::fmt;
use std::net::IpAddr;

use crate::types::IfName;

/// The longest line that is read, its end not counted: the longest question has 49 bytes.
pub const MAX_LINE: usize = 64;

/// A question to a running manager.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// The WANs, the notes and the last decisions, as [`super::status`] has them.
    Status,
    /// Every decision that is kept.
    Decisions,
    /// Not a question but a wish: this interface is being taken down, let it go.
    Release(IfName),
    /// Not a question but news: the system's network of this name is up and has this device.
    Up {
        /// As in /etc/config/network.
        network: IfName,
        /// Its device.
        device: IfName,
    },
    /// The same: this network goes down.
    Down(IfName),
    /// The same: a connection from this address was to be MPTCP and came to be plain TCP.
    FellBack(IpAddr),
}

impl Question {
    /// From a line without its end.
    ///
    /// # Errors
    /// Another line; the text names what was asked and what is expected.
    pub fn parse(line: &[u8]) -> Result<Question, String> {
        let words = std::str::from_utf8(line).ok();
        match words.map(|text| text.split_once(' ').map_or((text, None), |(verb, rest)| (verb, Some(rest)))) {
            Some(("status", None)) => Ok(Question::Status),
            Some(("decisions", None)) => Ok(Question::Decisions),
            Some(("release", Some(name))) => name.parse().map(Question::Release),
            Some(("ifdown", Some(name))) => name.parse().map(Question::Down),
            Some(("fell-back", Some(address))) => match address.parse() {
                Ok(address) => Ok(Question::FellBack(address)),
                Err(_) => Err(["'", &address.escape_debug().to_string(), "' is not an address"].concat()),
            },
            Some(("ifup", Some(names))) => match names.split_once(' ') {
                Some((network, device)) => {
                    Ok(Question::Up { network: network.parse()?, device: device.parse()? })
                }
                None => Err("'ifup' takes two names: expected ifup NETWORK IFACE".to_string()),
            },
            _ => Err(format!(
                "unknown question '{}': expected status, decisions, release IFACE, ifup NETWORK IFACE, \
                 ifdown NETWORK or fell-back ADDR",
                line.escape_ascii()
            )),
        }
    }
}

/// The line that asks it, without its end.
impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Question::Status => f.write_str("status"),
            Question::Decisions => f.write_str("decisions"),
            Question::Release(name) => write!(f, "release {name}"),
            Question::Up { network, device } => write!(f, "ifup {network} {device}"),
            Question::Down(network) => write!(f, "ifdown {network}"),
            Question::FellBack(address) => write!(f, "fell-back {address}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_question_reads_back_from_its_line() {
        let name = |text: &str| text.parse().unwrap();
        let longest = Question::Up { network: name("abcdefghijklmno"), device: name("qrstuvwxyzabcde") };
        let address = "2001:db8:1111:2222:3333:4444:5555:6666".parse().unwrap();
        assert!(Question::FellBack(address).to_string().len() + 2 < MAX_LINE);
        for (question, line) in [
            (Question::Status, "status"),
            (Question::Decisions, "decisions"),
            (longest, "ifup abcdefghijklmno qrstuvwxyzabcde"),
            (Question::Release(name("wan")), "release wan"),
            (Question::Down(name("wan")), "ifdown wan"),
            (Question::FellBack(address), "fell-back 2001:db8:1111:2222:3333:4444:5555:6666"),
        ] {
            assert_eq!(question.to_string(), line);
            assert_eq!(Question::parse(line.as_bytes()), Ok(question));
        }
    }

    #[test]
    fn another_line_is_refused_with_what_was_asked_and_what_is_expected() {
        for (line, asked) in [
            (&b""[..], "''"),
            (b"stat", "'stat'"),
            (b"status ", "'status '"),
            (b"decisions wan", "'decisions wan'"),
            (b"release", "'release'"),
            (b"status\r", "'status\\r'"),
            (b"release \xff\x1b", "'release \\xff\\x1b'"),
        ] {
            let expected = format!(
                "unknown question {asked}: expected status, decisions, release IFACE, ifup NETWORK IFACE, ifdown NETWORK or fell-back ADDR"
            );
            assert_eq!(Question::parse(line), Err(expected));
        }
        assert_eq!(Question::parse(b"fell-back wan").unwrap_err(), "'wan' is not an address");
        assert!(Question::parse(b"ifup wan").unwrap_err().contains("takes two names"));
        assert!(Question::parse(b"ifup wan eth1 more").unwrap_err().contains("'eth1 more'"));
        assert_eq!(
            Question::parse(b"release a/b").unwrap_err(),
            "'a/b' is not an interface name (1 to 15 bytes, no '/', ':' or blank)"
        );
    }
}
