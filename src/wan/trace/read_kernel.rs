//! The kernel in a trace, read back: the words of its lines.

use std::net::{IpAddr, Ipv4Addr};
use std::str::Split;

use super::kernel::{LISTS, NO_MPTCP};
use crate::types::{EndpointId, IfIndex, IfName, Metric};
use crate::wan::world::World;
use crate::wire::mptcp_pm::{Endpoint, Limits};
use crate::wire::rtnl::{Address, Family, Link, Route, Rule};

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
