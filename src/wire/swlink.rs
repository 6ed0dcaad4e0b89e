//! What RUTOS tells of the link of a switch's ports: lines of its log, events and answers of the ubus object
//! `port_events`, and the answer of `swconfig dev switch0 port N get link`.
//!
//! The words are those in the program `port_eventsd` of RUTOS 7.17; lines as a router writes them were not recorded yet.
//! So as little as possible is asked of them: what stands before and after, and the case of words, is nobody's business.

use miniserde::{Deserialize, json};

/// The link of a port, as RUTOS calls the port: `LAN1`, `WAN`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortLink {
    /// The port.
    pub port: String,
    /// Its link is there.
    pub up: bool,
}

impl PortLink {
    /// Of words that may be anything.
    fn new(port: &str, state: &str) -> Option<PortLink> {
        let legal =
            (1..=LONGEST_NAME).contains(&port.len()) && port.bytes().all(|byte| byte.is_ascii_graphic());
        Some(PortLink { port: legal.then(|| port.to_string())?, up: is_up(state)? })
    }
}

/// Of a port's name; a device's has 15 at most.
const LONGEST_NAME: usize = 15;

fn is_up(state: &str) -> Option<bool> {
    match state {
        _ if state.eq_ignore_ascii_case("up") => Some(true),
        _ if state.eq_ignore_ascii_case("down") => Some(false),
        _ => None,
    }
}

/// A line of the log, if it tells of a link: `... Port link state of port LAN1 (1000 baseT) changed to UP`, or without
/// the speed.
pub fn log_line(line: &[u8]) -> Option<PortLink> {
    let (_, told) = std::str::from_utf8(line).ok()?.split_once("Port link state of port ")?;
    let mut words = told.split_ascii_whitespace();
    PortLink::new(words.next()?, words.next_back()?)
}

#[derive(Deserialize)]
struct Notice {
    link_update: Update,
}

#[derive(Deserialize)]
struct Update {
    port: String,
    state: String,
}

/// A line of `ubus subscribe port_events`, if it tells of a link: `{ "link_update": {"port":"LAN1","state":"UP"} }`.
pub fn event_line(line: &[u8]) -> Option<PortLink> {
    let Notice { link_update: Update { port, state } } =
        json::from_str(std::str::from_utf8(line).ok()?).ok()?;
    PortLink::new(&port, &state)
}

#[derive(Deserialize)]
struct Shown {
    ports: Vec<Port>,
}

#[derive(Deserialize)]
struct Port {
    name: String,
    state: String,
}

/// What `ubus call port_events show` answers; ports in states of other names are left out. `None` if it is no list of
/// ports.
pub fn shown(answer: &[u8]) -> Option<Vec<PortLink>> {
    let Shown { ports } = json::from_str(std::str::from_utf8(answer).ok()?).ok()?;
    Some(ports.iter().filter_map(|port| PortLink::new(&port.name, &port.state)).collect())
}

/// What `swconfig dev switch0 port 2 get link` answers: `port:2 link:up speed:1000baseT full-duplex`.
pub fn swconfig_link(answer: &[u8]) -> Option<bool> {
    let words = std::str::from_utf8(answer).ok()?.split_ascii_whitespace();
    words.filter_map(|word| word.strip_prefix("link:")).find_map(is_up)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LOG: &str = include_str!("../../tests/vectors/logd/switch-events.txt");

    fn told(links: &[(&str, bool)]) -> Vec<PortLink> {
        links.iter().map(|(port, up)| PortLink { port: port.to_string(), up: *up }).collect()
    }

    #[test]
    fn of_a_log_the_lines_of_links_count_and_no_others() {
        let found: Vec<PortLink> = LOG.lines().filter_map(|line| log_line(line.as_bytes())).collect();
        let expected = [
            ("LAN1", true),
            ("LAN2", false),
            ("WAN", true),
            ("LAN1", false),
            ("LAN10", true),
            ("LAN1", true),
        ];
        assert_eq!(found, told(&expected));
        assert!(LOG.lines().count() > 40, "other lines are recorded ones");
    }

    #[test]
    fn what_is_no_line_of_a_link_tells_nothing() {
        for line in [
            "",
            "Port link state of port ",
            "Port link state of port LAN1",
            "Port link state of port LAN1 changed to",
            "Port link state of port UP",
            "Port link state of port LAN1 changed to UPPER",
            "Port link state of port a_port_of_a_long_name changed to UP",
            "Port link state of port L\u{c4}N changed to UP",
            "Port speed for port LAN1 changed from 100 baseT to 1000 baseT",
        ] {
            assert_eq!(log_line(line.as_bytes()), None, "{line}");
        }
        assert_eq!(log_line(b"Port link state of port LAN1 changed to UP \xff"), None);
        assert_eq!(
            log_line(b"Port link state of port lan1 changed to Up\r").unwrap(),
            told(&[("lan1", true)])[0]
        );
    }

    #[test]
    fn events_and_the_list_of_ports_are_read_with_what_they_have_beside() {
        let line = br#"{ "link_update": {"port":"LAN1","state":"UP"} }"#;
        assert_eq!(event_line(line).unwrap(), told(&[("LAN1", true)])[0]);
        let line = br#"{"more":[1],"link_update":{"speed":1000,"state":"down","port":"WAN","x":{"y":null}}}"#;
        assert_eq!(event_line(line).unwrap(), told(&[("WAN", false)])[0]);
        for line in [
            "{}",
            r#"{"link_update":{"port":"LAN1"}}"#,
            r#"{"link_update":{"port":"","state":"UP"}}"#,
            r#"{"link_update":{"port":"LAN1","state":"UP"}"#,
            r#"{"topo_update":{"port":"LAN1","state":"UP"}}"#,
        ] {
            assert_eq!(event_line(line.as_bytes()), None, "{line}");
        }
        let answer = br#"{"ports":[{"name":"LAN1","num":2,"state":"up","speed":1000,"topology":[{"MAC":"00:11","VID":1}]},
            {"name":"LAN2","state":"testing"},{"name":"WAN","state":"DOWN"}]}"#;
        assert_eq!(shown(answer).unwrap(), told(&[("LAN1", true), ("WAN", false)]));
        assert_eq!(shown(b"{\"ports\":[]}").unwrap(), []);
        assert_eq!(shown(b"Command failed: Not found"), None);
    }

    #[test]
    fn swconfig_tells_one_link() {
        assert_eq!(swconfig_link(b"port:2 link:up speed:1000baseT full-duplex auto\n"), Some(true));
        assert_eq!(swconfig_link(b"port:1 link:down\n"), Some(false));
        for answer in ["", "link: up", "port:1 link:", "Failed to connect to the switch"] {
            assert_eq!(swconfig_link(answer.as_bytes()), None, "{answer}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            log_line(&bytes);
            event_line(&bytes);
            shown(&bytes);
            swconfig_link(&bytes);
        }

        /// What stands around changes nothing, and what is found is a legal name.
        #[test]
        fn any_line_tells_its_port(before in ".{0,40}", port in "[!-~]{1,15}", middle in "( [!-~]{1,9}){0,4}", up in any::<bool>()) {
            let state = if up { "UP" } else { "down" };
            let line = format!("{}Port link state of port {port}{middle} {state}", before.replace("Port", ""));
            prop_assert_eq!(log_line(line.as_bytes()), Some(PortLink { port, up }));
        }
    }
}
