//! The kernel as it was dumped, the changes asked of it, and what must outlive the process.

use std::fmt;
use std::net::IpAddr;

use crate::types::{IfIndex, IfName, Metric};
use crate::wire::mptcp_pm::{Endpoint, Limits};
use crate::wire::rtnl::{Address, Family, Link, Route, Rule};

/// What the kernel said, all of it at one time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct World {
    /// Devices.
    pub links: Vec<Link>,
    /// Addresses.
    pub addresses: Vec<Address>,
    /// Unicast default routes of all tables.
    pub routes: Vec<Route>,
    /// Rules of ours.
    pub rules: Vec<Rule>,
    /// Endpoints; None where the kernel has no MPTCP.
    pub endpoints: Option<Vec<Endpoint>>,
    /// Limits of the path manager, if it has any.
    pub limits: Option<Limits>,
    /// Devices whose driver is a modem's or a phone's.
    pub modems: Vec<IfIndex>,
}

impl World {
    /// The device with this name.
    pub fn link(&self, name: &IfName) -> Option<&Link> {
        self.links.iter().find(|l| &l.name == name)
    }

    /// Default routes of `family` in `table` that leave by `oif`.
    pub fn defaults(&self, table: u32, family: Family, oif: IfIndex) -> impl Iterator<Item = &Route> {
        self.routes.iter().filter(move |r| r.table == table && r.family == family && r.oif == Some(oif))
    }

    /// Addresses of a device that reach beyond it.
    pub fn global_addresses(&self, index: IfIndex, family: Family) -> impl Iterator<Item = &Address> {
        self.addresses.iter().filter(move |a| {
            a.index == index && Family::of(a.local) == family && a.scope == libc::RT_SCOPE_UNIVERSE
        })
    }
}

/// One thing that is asked of the kernel, or of the file that outlives us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Write down what is needed to put everything back; comes before what it describes.
    Remember(Memory),
    /// Add a route.
    AddRoute(Route),
    /// Put a route in the place of the one with its metric.
    ReplaceRoute(Route),
    /// Delete a route.
    DeleteRoute(Route),
    /// Add a rule.
    AddRule(Rule),
    /// Delete a rule.
    DeleteRule(Rule),
    /// Add an endpoint; the kernel gives it an id.
    AddEndpoint(Endpoint),
    /// Delete an endpoint.
    DeleteEndpoint(Endpoint),
    /// Set the flags of an endpoint.
    SetFlags(Endpoint),
    /// Set the path manager's limits.
    SetLimits(Limits),
}

impl Change {
    /// The device that it concerns.
    pub fn index(&self) -> Option<IfIndex> {
        match self {
            Change::AddRoute(r) | Change::ReplaceRoute(r) | Change::DeleteRoute(r) => r.oif,
            Change::AddEndpoint(e) | Change::DeleteEndpoint(e) | Change::SetFlags(e) => e.index,
            Change::Remember(_) | Change::AddRule(_) | Change::DeleteRule(_) | Change::SetLimits(_) => None,
        }
    }
}

/// What must not be done any more because something before it failed: a route whose copy could not be made, or of
/// which nothing could be written down, stays where it is.
#[derive(Debug, Default)]
pub struct Failures {
    memory: bool,
    routes: Vec<(Option<IfIndex>, Family)>,
}

impl Failures {
    /// Notes that a change failed.
    pub fn note(&mut self, change: &Change) {
        match change {
            Change::Remember(_) => self.memory = true,
            Change::AddRoute(r) | Change::ReplaceRoute(r) => self.routes.push((r.oif, r.family)),
            _ => {}
        }
    }

    /// Where a route could not be added, what was to be forgotten is not home yet: `written`, what was written down
    /// last, is kept beside what is to be remembered now.
    pub fn mend(&self, change: &mut Change, written: &Memory) {
        let Change::Remember(memory) = change else { return };
        if self.routes.is_empty() {
            return;
        }
        for old in &written.moved {
            let same = |m: &Moved| (&m.name, m.family, m.gateway) == (&old.name, old.family, old.gateway);
            if !memory.moved.iter().any(same) {
                memory.moved.push(old.clone());
            }
        }
    }

    /// This change rests on one that failed.
    pub fn bar(&self, change: &Change) -> bool {
        match change {
            Change::AddRoute(_) | Change::AddEndpoint(_) => self.memory,
            Change::DeleteRoute(r) => self.memory || self.routes.contains(&(r.oif, r.family)),
            _ => false,
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let route = |f: &mut fmt::Formatter<'_>, verb: &str, r: &Route| {
            write!(f, "{verb} {} default", r.family)?;
            if let Some(gateway) = r.gateway {
                write!(f, " via {gateway}")?;
            }
            if let Some(oif) = r.oif {
                write!(f, " dev {oif}")?;
            }
            write!(f, " metric {} table {}", r.metric, r.table)
        };
        match self {
            Change::Remember(memory) => write!(f, "remember {} moved routes", memory.moved.len()),
            Change::AddRoute(r) => route(f, "add", r),
            Change::ReplaceRoute(r) => route(f, "replace", r),
            Change::DeleteRoute(r) => route(f, "delete", r),
            Change::AddRule(r) => write!(f, "add rule from {} lookup {}", r.source, r.table),
            Change::DeleteRule(r) => write!(f, "delete rule from {} lookup {}", r.source, r.table),
            Change::AddEndpoint(e) => write!(f, "add endpoint {}", e.address),
            Change::DeleteEndpoint(e) => write!(f, "delete endpoint {} {}", e.id, e.address),
            Change::SetFlags(e) => write!(f, "set flags {} of endpoint {} {}", e.flags, e.id, e.address),
            Change::SetLimits(l) => write!(f, "set limits to {} subflows", l.subflows),
        }
    }
}

/// A default route of somebody else that stands elsewhere now, by our hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// Whose default it is.
    pub name: IfName,
    /// Together with the name, which one.
    pub gateway: Option<IpAddr>,
    /// Its family, told when there is no gateway.
    pub family: Family,
    /// Where it stood.
    pub metric: Metric,
    /// Who had made it.
    pub protocol: u8,
}

/// What a restart, and the one who comes after kill -9, must know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Default routes that were moved.
    pub moved: Vec<Moved>,
    /// Addresses of endpoints that we added.
    pub endpoints: Vec<IpAddr>,
}

impl Memory {
    /// The entry of a route of ours.
    pub fn moved(&self, name: &IfName, route: &Route) -> Option<&Moved> {
        self.moved.iter().find(|m| m.is_of(name, route))
    }

    /// As text, one line an entry.
    pub fn to_text(&self) -> String {
        let moved = self.moved.iter().map(|m| {
            let gateway = m.gateway.map_or_else(|| "-".to_string(), |g| g.to_string());
            let family = if m.family == Family::V4 { 4 } else { 6 };
            format!("route {} {family} {gateway} {} {}\n", m.name, m.metric, m.protocol)
        });
        moved.chain(self.endpoints.iter().map(|a| format!("endpoint {a}\n"))).collect()
    }

    /// From that text. A line that is none (a crash, another version) is left out: the kernel's own state
    /// is the better part of what we know.
    pub fn from_text(text: &str) -> Memory {
        let mut memory = Memory::default();
        for line in text.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            match words[..] {
                ["route", name, family, gateway, metric, protocol] => {
                    let family = if family == "4" { Family::V4 } else { Family::V6 };
                    let entry = (name.parse(), metric.parse(), protocol.parse());
                    if let (Ok(name), Ok(metric), Ok(protocol)) = entry {
                        let gateway = gateway.parse().ok();
                        memory.moved.push(Moved { name, gateway, family, metric: Metric(metric), protocol });
                    }
                }
                ["endpoint", address] => memory.endpoints.extend(address.parse::<IpAddr>()),
                _ => {}
            }
        }
        memory
    }
}

impl Moved {
    /// This entry is of that route.
    pub fn is_of(&self, name: &IfName, route: &Route) -> bool {
        &self.name == name && self.family == route.family && self.gateway == route.gateway
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_route_whose_copy_failed_stays() {
        let (one, two) =
            (crate::testing::netifd_default(IfIndex(1)), crate::testing::netifd_default(IfIndex(2)));
        let mut failures = Failures::default();
        failures.note(&Change::AddRoute(one.clone()));
        assert!(failures.bar(&Change::DeleteRoute(one.clone())));
        assert!(
            !failures.bar(&Change::DeleteRoute(two.clone())) && !failures.bar(&Change::AddRoute(two.clone()))
        );
        failures.note(&Change::Remember(Memory::default()));
        assert!(failures.bar(&Change::DeleteRoute(two.clone())) && failures.bar(&Change::AddRoute(two)));
    }

    #[test]
    fn a_failed_route_costs_no_other_its_way_home() {
        let of = |name: &str, metric| Moved {
            name: name.parse().unwrap(),
            gateway: None,
            family: Family::V4,
            metric: Metric(metric),
            protocol: 4,
        };
        let memory = |moved: &[Moved]| Memory { moved: moved.to_vec(), endpoints: Vec::new() };
        let mended = |failures: &Failures, moved: &[Moved]| {
            let mut change = Change::Remember(memory(moved));
            failures.mend(&mut change, &memory(&[of("wan1", 1), of("wan3", 3)]));
            change
        };
        let (mut failures, new) = (Failures::default(), [of("wan1", 7), of("wan2", 2)]);
        assert_eq!(mended(&failures, &new), Change::Remember(memory(&new)));
        failures.note(&Change::AddRoute(crate::testing::netifd_default(IfIndex(1))));
        // The new entries hold, and what was to be forgotten stays.
        let all = [of("wan1", 7), of("wan2", 2), of("wan3", 3)];
        assert_eq!(mended(&failures, &new), Change::Remember(memory(&all)));
    }

    #[test]
    fn memory_reads_back_and_survives_a_torn_line() {
        let memory = Memory {
            moved: vec![
                Moved {
                    name: "wan".parse().unwrap(),
                    gateway: Some("192.0.2.1".parse().unwrap()),
                    family: Family::V4,
                    metric: Metric(1),
                    protocol: 4,
                },
                Moved {
                    name: "wwan0".parse().unwrap(),
                    gateway: None,
                    family: Family::V4,
                    metric: Metric(0),
                    protocol: 16,
                },
            ],
            endpoints: vec!["192.0.2.2".parse().unwrap(), "2001:db8::2".parse().unwrap()],
        };
        let text = memory.to_text();
        assert_eq!(Memory::from_text(&text), memory);
        assert_eq!(Memory::from_text(&format!("{text}route wan 4 192.0")), memory);
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in "(route|endpoint|x)?[ -~\n]{0,60}") {
            let memory = Memory::from_text(&text);
            prop_assert_eq!(Memory::from_text(&memory.to_text()), memory);
        }
    }
}
