//! The kernel as lines: seven lists, of which a trace has what differs from the last one.
//!
//! The devices' byte counters are left out (they differ in every dump, and the mind takes them from
//! `Event::Counters` alone).

use std::net::{IpAddr, Ipv4Addr};
use std::str::Split;

use crate::types::{EndpointId, IfIndex, IfName, Metric};
use crate::wan::world::World;
use crate::wire::mptcp_pm::{Endpoint, Limits};
use crate::wire::rtnl::{Address, Family, Link, Route, Rule};

/// How the lists are called: devices, addresses, routes, rules, endpoints, limits, modems.
pub(super) const LISTS: [&str; 7] = ["l", "a", "r", "u", "e", "m", "d"];
/// In the list of endpoints: the kernel has no MPTCP.
const NO_MPTCP: &str = "none";

/// The world as lines, list by list.
pub(super) fn lines(world: &World) -> [Vec<String>; LISTS.len()] {
    let World { links, addresses, routes, rules, endpoints, limits, modems } = world;
    let mut lines: [Vec<String>; LISTS.len()] = Default::default();
    let [to_links, to_addresses, to_routes, to_rules, to_endpoints, to_limits, to_modems] = &mut lines;
    for Link { index, name, up, carrier, kind, arphrd, rx_bytes: _, tx_bytes: _ } in links {
        let mut line = Line::default();
        line.number(index.0.into()).word(name.as_str());
        line.number((*up).into()).number((*carrier).into()).number((*arphrd).into());
        // A kind that is no word (no driver of Linux has one) is none that we tell apart.
        if !kind.is_empty() && kind.bytes().all(|c| c.is_ascii_graphic()) {
            line.word(kind);
        }
        to_links.push(line.0);
    }
    for Address { index, local, peer, prefix, scope, flags } in addresses {
        let mut line = Line::default();
        line.number(index.0.into()).ip(Some(*local)).ip(*peer);
        line.number((*prefix).into()).number((*scope).into()).number((*flags).into());
        to_addresses.push(line.0);
    }
    to_routes.extend(routes.iter().map(route_line));
    for Rule { priority, source, table, no_default, mask } in rules {
        let mut line = Line::default();
        line.number((*priority).into()).ip(Some(*source)).number((*table).into());
        to_rules.push(line.number((*no_default).into()).number((*mask).into()).take());
    }
    for Endpoint { id, address, index, flags } in endpoints.iter().flatten() {
        let mut line = Line::default();
        line.number(id.0.into()).ip(Some(*address)).optional(index.map(|i| i.0));
        to_endpoints.push(line.number((*flags).into()).take());
    }
    if endpoints.is_none() {
        to_endpoints.push(NO_MPTCP.to_string());
    }
    if let Some(Limits { subflows, add_addr_accepted }) = limits {
        to_limits.push(Line::default().number((*subflows).into()).number((*add_addr_accepted).into()).take());
    }
    to_modems.extend(modems.iter().map(|index| index.0.to_string()));
    lines
}

fn route_line(route: &Route) -> String {
    let Route {
        family,
        table,
        protocol,
        scope,
        tos,
        flags,
        metric,
        oif,
        gateway,
        prefsrc,
        source,
        nexthop_id,
        rest,
    } = route;
    let mut line = Line::default();
    line.number(if *family == Family::V4 { 4 } else { 6 });
    for number in [*table, u32::from(*protocol), u32::from(*scope), u32::from(*tos), *flags, metric.0] {
        line.number(number.into());
    }
    line.optional(oif.map(|i| i.0)).ip(*gateway).ip(*prefsrc);
    line.ip(source.map(|(address, _)| address.into())).optional(source.map(|(_, len)| len.into()));
    line.optional(*nexthop_id).hex(rest);
    line.take()
}

/// A line of words with blanks between them.
#[derive(Default)]
struct Line(String);

impl Line {
    fn word(&mut self, word: &str) -> &mut Line {
        if !self.0.is_empty() {
            self.0.push(' ');
        }
        self.0.push_str(word);
        self
    }

    fn number(&mut self, number: u64) -> &mut Line {
        self.word(&number.to_string())
    }

    fn optional(&mut self, number: Option<u32>) -> &mut Line {
        match number {
            Some(number) => self.number(number.into()),
            None => self.word("-"),
        }
    }

    fn ip(&mut self, address: Option<IpAddr>) -> &mut Line {
        match address {
            Some(address) => self.word(&address.to_string()),
            None => self.word("-"),
        }
    }

    fn hex(&mut self, bytes: &[u8]) {
        self.word(if bytes.is_empty() { "-" } else { "" });
        for byte in bytes {
            for digit in [byte >> 4, byte & 15] {
                self.0.extend(char::from_digit(digit.into(), 16));
            }
        }
    }

    fn take(&mut self) -> String {
        std::mem::take(&mut self.0)
    }
}

/// Takes a line of a list into the world; what is refused leaves it in disorder.
pub(super) fn read_line(world: &mut World, list: usize, line: &str) -> Result<(), String> {
    let mut words = Words::of(line);
    match list {
        0 => {
            let index = words.index();
            let Some(name) = words.name() else { return words.end() };
            world.links.push(Link {
                index,
                name,
                up: words.flag(),
                carrier: words.flag(),
                arphrd: words.short(),
                kind: match words.next() {
                    None => heapless::String::new(),
                    Some(kind) => heapless::String::try_from(kind).map_err(|_| alien(kind))?,
                },
                rx_bytes: 0,
                tx_bytes: 0,
            });
        }
        1 => world.addresses.push(Address {
            index: words.index(),
            local: words.address(),
            peer: words.ip(),
            prefix: words.byte(),
            scope: words.byte(),
            flags: words.whole(),
        }),
        2 => world.routes.push(read_route(&mut words)),
        3 => world.rules.push(Rule {
            priority: words.whole(),
            source: words.address(),
            table: words.whole(),
            no_default: words.flag(),
            mask: words.whole(),
        }),
        4 if line == NO_MPTCP => return Ok(()),
        4 => world.endpoints.get_or_insert_default().push(Endpoint {
            id: EndpointId(words.byte()),
            address: words.address(),
            index: words.optional().map(IfIndex),
            flags: words.whole(),
        }),
        5 => world.limits = Some(Limits { subflows: words.whole(), add_addr_accepted: words.whole() }),
        _ => world.modems.push(words.index()),
    }
    words.end()
}

/// The world of these lists.
pub(super) fn world(lists: &[Vec<&str>; LISTS.len()]) -> Result<World, String> {
    let mut world = World::default();
    if lists.get(4).is_some_and(|endpoints| endpoints.is_empty()) {
        world.endpoints = Some(Vec::new());
    }
    for (number, list) in lists.iter().enumerate() {
        for line in list {
            read_line(&mut world, number, line)?;
        }
    }
    Ok(world)
}

fn read_route(words: &mut Words) -> Route {
    Route {
        family: match words.number(6) {
            4 => Family::V4,
            6 => Family::V6,
            _ => {
                words.refuse("5");
                Family::V4
            }
        },
        table: words.whole(),
        protocol: words.byte(),
        scope: words.byte(),
        tos: words.byte(),
        flags: words.whole(),
        metric: Metric(words.whole()),
        oif: words.optional().map(IfIndex),
        gateway: words.ip(),
        prefsrc: words.ip(),
        source: match (words.ip(), words.optional().map(u8::try_from)) {
            (None, None) => None,
            (Some(IpAddr::V6(address)), Some(Ok(len))) => Some((address, len)),
            _ => {
                words.refuse("-");
                None
            }
        },
        nexthop_id: words.optional(),
        rest: words.hex(),
    }
}

/// The words of a line, one after the other. The first that does not fit is kept until the end, so that those who
/// read need not look after each.
pub(super) struct Words<'a> {
    words: Split<'a, char>,
    bad: Option<&'a str>,
}

impl<'a> Words<'a> {
    pub(super) fn of(line: &'a str) -> Words<'a> {
        Words { words: line.split(' '), bad: None }
    }

    /// The next word, if there is one.
    pub(super) fn next(&mut self) -> Option<&'a str> {
        self.words.next()
    }

    pub(super) fn word(&mut self) -> &'a str {
        self.next().unwrap_or_else(|| {
            self.refuse("");
            ""
        })
    }

    /// Notes that this one does not fit.
    pub(super) fn refuse(&mut self, word: &'a str) {
        self.bad.get_or_insert(word);
    }

    pub(super) fn number(&mut self, max: u64) -> u64 {
        let word = self.word();
        word.parse().ok().filter(|n| *n <= max).unwrap_or_else(|| {
            self.refuse(word);
            0
        })
    }

    fn whole(&mut self) -> u32 {
        self.number(u32::MAX.into()) as u32
    }

    pub(super) fn short(&mut self) -> u16 {
        self.number(u16::MAX.into()) as u16
    }

    pub(super) fn byte(&mut self) -> u8 {
        self.number(u8::MAX.into()) as u8
    }

    pub(super) fn index(&mut self) -> IfIndex {
        IfIndex(self.whole())
    }

    fn flag(&mut self) -> bool {
        self.number(1) == 1
    }

    /// A number or a dash.
    fn optional(&mut self) -> Option<u32> {
        let word = self.word();
        let number = word.parse().ok();
        if number.is_none() && word != "-" {
            self.refuse(word);
        }
        number
    }

    /// An address or a dash.
    fn ip(&mut self) -> Option<IpAddr> {
        let word = self.word();
        let address = word.parse().ok();
        if address.is_none() && word != "-" {
            self.refuse(word);
        }
        address
    }

    pub(super) fn address(&mut self) -> IpAddr {
        self.ip().unwrap_or_else(|| {
            self.refuse("-");
            Ipv4Addr::UNSPECIFIED.into()
        })
    }

    /// None is refused already.
    pub(super) fn name(&mut self) -> Option<IfName> {
        let word = self.word();
        let name = word.parse().ok();
        if name.is_none() {
            self.refuse(word);
        }
        name
    }

    /// Bytes in hex or a dash.
    fn hex(&mut self) -> Vec<u8> {
        let word = self.word();
        let mut bytes = Vec::new();
        if word == "-" {
            return bytes;
        }
        for pair in word.as_bytes().chunks(2) {
            let digit = |at: usize| pair.get(at).and_then(|&c| char::from(c).to_digit(16));
            match (digit(0), digit(1)) {
                (Some(high), Some(low)) => bytes.push((high * 16 + low) as u8),
                _ => self.refuse(word),
            }
        }
        bytes
    }

    /// Nothing is left and all of it did fit.
    pub(super) fn end(mut self) -> Result<(), String> {
        let left = self.words.next();
        match self.bad.or(left) {
            None => Ok(()),
            Some(word) => Err(alien(word)),
        }
    }
}

/// A word that does not belong where it stands.
pub(super) fn alien(word: &str) -> String {
    match word {
        "" => "a word is missing".to_string(),
        _ => format!("'{word}' does not belong here"),
    }
}
