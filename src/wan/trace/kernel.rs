//! The kernel as lines: seven lists, of which a trace has what differs from the last one.
//!
//! The devices' byte counters are left out (they differ in every dump, and the mind takes them from
//! `Event::Counters` alone).

use std::fmt::Display;
use std::net::{IpAddr, Ipv6Addr};
use std::str::{FromStr, Split};

use crate::types::{EndpointId, IfIndex, Metric};
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
    let endpoints = match endpoints {
        None => vec![NO_MPTCP.to_string()],
        Some(endpoints) => endpoints.iter().map(endpoint_line).collect(),
    };
    let limit = |l: &Limits| {
        let Limits { subflows, add_addr_accepted } = l;
        format!("{subflows} {add_addr_accepted}")
    };
    [
        links.iter().map(link_line).collect(),
        addresses.iter().map(address_line).collect(),
        routes.iter().map(route_line).collect(),
        rules.iter().map(rule_line).collect(),
        endpoints,
        limits.iter().map(limit).collect(),
        modems.iter().map(|index| index.0.to_string()).collect(),
    ]
}

fn link_line(link: &Link) -> String {
    let Link { index, name, up, carrier, kind, arphrd, rx_bytes: _, tx_bytes: _ } = link;
    let line = format!("{} {name} {} {} {arphrd}", index.0, u8::from(*up), u8::from(*carrier));
    // A kind that is no word (no driver of Linux has one) is none that we tell apart.
    match kind.chars().all(|c| c.is_ascii_graphic()) && !kind.is_empty() {
        true => format!("{line} {kind}"),
        false => line,
    }
}

fn address_line(address: &Address) -> String {
    let Address { index, local, peer, prefix, scope, flags } = address;
    format!("{} {local} {} {prefix} {scope} {flags}", index.0, or_dash(peer))
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
    let family = if *family == Family::V4 { 4 } else { 6 };
    let (oif, gateway, prefsrc) = (or_dash(&oif.map(|i| i.0)), or_dash(gateway), or_dash(prefsrc));
    let source = or_dash(&source.map(|(address, len)| format!("{address}/{len}")));
    let mut rest: String = rest.iter().map(|byte| format!("{byte:02x}")).collect();
    if rest.is_empty() {
        rest.push('-');
    }
    format!(
        "{family} {table} {protocol} {scope} {tos} {flags} {metric} {oif} {gateway} {prefsrc} {source} {} {rest}",
        or_dash(nexthop_id)
    )
}

fn rule_line(rule: &Rule) -> String {
    let Rule { priority, source, table, no_default } = rule;
    format!("{priority} {source} {table} {}", u8::from(*no_default))
}

fn endpoint_line(endpoint: &Endpoint) -> String {
    let Endpoint { id, address, index, flags } = endpoint;
    format!("{id} {address} {} {flags}", or_dash(&index.map(|i| i.0)))
}

fn or_dash<T: Display>(value: &Option<T>) -> String {
    value.as_ref().map_or_else(|| "-".to_string(), T::to_string)
}

/// Takes a line of a list into the world.
pub(super) fn read_line(world: &mut World, list: usize, line: &str) -> Result<(), String> {
    let mut words = Words::of(line);
    match list {
        0 => world.links.push(read_link(&mut words)?),
        1 => world.addresses.push(Address {
            index: IfIndex(words.value()?),
            local: words.value()?,
            peer: words.optional()?,
            prefix: words.value()?,
            scope: words.value()?,
            flags: words.value()?,
        }),
        2 => world.routes.push(read_route(&mut words)?),
        3 => world.rules.push(Rule {
            priority: words.value()?,
            source: words.value()?,
            table: words.value()?,
            no_default: words.flag()?,
        }),
        4 if line == NO_MPTCP => return Ok(()),
        4 => world.endpoints.get_or_insert_default().push(Endpoint {
            id: EndpointId(words.value()?),
            address: words.value()?,
            index: words.optional()?.map(IfIndex),
            flags: words.value()?,
        }),
        5 => {
            world.limits = Some(Limits { subflows: words.value()?, add_addr_accepted: words.value()? });
        }
        _ => world.modems.push(IfIndex(words.value()?)),
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

fn read_link(words: &mut Words) -> Result<Link, String> {
    Ok(Link {
        index: IfIndex(words.value()?),
        name: words.value()?,
        up: words.flag()?,
        carrier: words.flag()?,
        arphrd: words.value()?,
        kind: match words.0.next() {
            None => heapless::String::new(),
            Some(kind) => heapless::String::try_from(kind).map_err(|_| alien(kind))?,
        },
        rx_bytes: 0,
        tx_bytes: 0,
    })
}

fn read_route(words: &mut Words) -> Result<Route, String> {
    Ok(Route {
        family: match words.word()? {
            "4" => Family::V4,
            "6" => Family::V6,
            other => return Err(alien(other)),
        },
        table: words.value()?,
        protocol: words.value()?,
        scope: words.value()?,
        tos: words.value()?,
        flags: words.value()?,
        metric: Metric(words.value()?),
        oif: words.optional()?.map(IfIndex),
        gateway: words.optional::<IpAddr>()?,
        prefsrc: words.optional::<IpAddr>()?,
        source: match words.word()? {
            "-" => None,
            word => {
                let (address, len) = word.split_once('/').ok_or_else(|| alien(word))?;
                let address: Ipv6Addr = address.parse().map_err(|_| alien(word))?;
                Some((address, len.parse().map_err(|_| alien(word))?))
            }
        },
        nexthop_id: words.optional()?,
        rest: match words.word()? {
            "-" => Vec::new(),
            hex => read_hex(hex).ok_or_else(|| alien(hex))?,
        },
    })
}

fn read_hex(hex: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u32>> = hex.chars().map(|c| c.to_digit(16)).collect();
    let pairs = digits?;
    let byte = |pair: &[u32]| match pair {
        [high, low] => u8::try_from(high * 16 + low).ok(),
        _ => None,
    };
    pairs.chunks(2).map(byte).collect()
}

/// The words of a line, one after the other.
pub(super) struct Words<'a>(Split<'a, char>);

impl<'a> Words<'a> {
    pub(super) fn of(line: &'a str) -> Words<'a> {
        Words(line.split(' '))
    }

    pub(super) fn word(&mut self) -> Result<&'a str, String> {
        self.0.next().ok_or_else(|| "it ends too early".to_string())
    }

    pub(super) fn value<T: FromStr>(&mut self) -> Result<T, String> {
        let word = self.word()?;
        word.parse().map_err(|_| alien(word))
    }

    /// A value or a dash.
    pub(super) fn optional<T: FromStr>(&mut self) -> Result<Option<T>, String> {
        match self.word()? {
            "-" => Ok(None),
            word => word.parse().map(Some).map_err(|_| alien(word)),
        }
    }

    fn flag(&mut self) -> Result<bool, String> {
        match self.word()? {
            "0" => Ok(false),
            "1" => Ok(true),
            other => Err(alien(other)),
        }
    }

    pub(super) fn end(mut self) -> Result<(), String> {
        self.0.next().map_or(Ok(()), |word| Err(alien(word)))
    }
}

/// A word that does not belong where it stands.
pub(super) fn alien(word: &str) -> String {
    format!("'{word}' does not belong here")
}
