//! The kernel as lines: seven lists, of which a trace has what differs from the last one.
//!
//! The devices' byte counters are left out (they differ in every dump, and the mind takes them from
//! `Event::Counters` alone).

use std::net::IpAddr;

use crate::wan::world::World;
use crate::wire::mptcp_pm::{Endpoint, Limits};
use crate::wire::rtnl::{Address, Family, Link, Route, Rule};

/// How the lists are called: devices, addresses, routes, rules, endpoints, limits, modems.
pub(super) const LISTS: [&str; 7] = ["l", "a", "r", "u", "e", "m", "d"];
/// In the list of endpoints: the kernel has no MPTCP.
pub(super) const NO_MPTCP: &str = "none";

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
