//! Where the default routes of the main table stand: live WANs in front, in their owner's order, the others behind.
//!
//! IPv4: a default that must go behind is copied with all its attributes to a metric behind, marked as ours, and
//! then the original is deleted; a copy goes home the same way. Between any two of these changes the WAN has a
//! default, and so has every live one.
//!
//! IPv6: routes of router advertisements and odhcp6c are never moved, since the next advertisement would put them
//! back (measured: at metric 1024). Copies of the live WANs' defaults stand in front instead, for as long as a
//! default that does not work would win otherwise.
//!
//! With no live WAN nothing changes: there is nothing better to move to.

use std::net::IpAddr;

use super::world::{Change, Memory, Moved, World};
use crate::types::{IfIndex, IfName, Metric};
use crate::wire::rtnl::{Family, RTPROT_BSBF, Route, TABLE_MAIN};

/// Metrics 1-8 belong to the system at bring-up; from here on they are ours.
const FIRST_METRIC: u32 = 9;
/// The last metric of ours, unless the live ones stand further behind.
const LAST_METRIC: u32 = 100;
/// RTNH_F_ONLINK: the gateway needs no prefix that covers it.
const ONLINK: u32 = 4;

/// What a WAN's default is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Works.
    Live,
    /// Works, but connections that begin there cannot be MPTCP, or only late, and on another WAN they can.
    LiveWithoutMptcp,
    /// Works, but the owner wants it behind.
    LiveBackup,
    /// Not known yet, or being taken down by its owner: its routes stay as they are.
    Unknown,
    /// Does not work.
    Dead,
    /// No WAN of ours any more, by the settings: what was moved comes home.
    Left,
}

impl Class {
    fn is_usable(self) -> bool {
        self <= Class::LiveBackup
    }
}

/// A WAN as the planner sees it.
#[derive(Clone, Debug)]
pub struct WanView {
    /// Its device.
    pub name: IfName,
    /// The device's number.
    pub index: IfIndex,
    /// What its default is worth.
    pub class: Class,
}

/// The changes that bring the main table's defaults to where they belong; none if they are there.
pub fn plan(world: &World, wans: &[WanView], memory: &Memory) -> Vec<Change> {
    let mut plan = Plan { world, wans, memory: memory.clone(), changes: Vec::new(), taken: taken(world) };
    plan.remove_stale();
    wans.iter().filter(|w| w.class == Class::Left).for_each(|wan| plan.bring_home(wan));
    if wans.iter().any(|w| w.class.is_usable()) {
        for wan in wans {
            match wan.class {
                Class::Live => plan.bring_home(wan),
                Class::LiveWithoutMptcp | Class::LiveBackup | Class::Dead => plan.put_behind(wan),
                Class::Unknown | Class::Left => {}
            }
        }
        plan.stand_in_front();
    }
    plan.forget_what_is_home();
    plan.changes
}

/// The changes that give every route back, as when the manager ends.
pub fn restore(world: &World, memory: &Memory, names: &[(IfName, IfIndex)]) -> Vec<Change> {
    let wans: Vec<WanView> = names
        .iter()
        .map(|(name, index)| WanView { name: name.clone(), index: *index, class: Class::Live })
        .collect();
    let mut plan =
        Plan { world, wans: &wans, memory: memory.clone(), changes: Vec::new(), taken: taken(world) };
    plan.remove_stale();
    wans.iter().for_each(|wan| plan.bring_home(wan));
    plan.stand_in_front();
    plan.forget_what_is_home();
    plan.changes
}

fn taken(world: &World) -> Vec<Metric> {
    world
        .routes
        .iter()
        .filter(|r| r.table == TABLE_MAIN && r.family == Family::V4)
        .map(|r| r.metric)
        .collect()
}

struct Plan<'a> {
    world: &'a World,
    wans: &'a [WanView],
    memory: Memory,
    changes: Vec<Change>,
    /// Metrics of IPv4 defaults in main, ours and others', planned ones included.
    taken: Vec<Metric>,
}

impl Plan<'_> {
    fn main(&self, family: Family, wan: &WanView) -> (Vec<Route>, Vec<Route>) {
        self.world.defaults(TABLE_MAIN, family, wan.index).cloned().partition(|r| !r.is_ours())
    }

    /// Deletes IPv4 copies that lead nowhere any more: no address on the device, or the gateway out of reach. The word
    /// that an interface is taken down is not enough: it may be of a sibling on the same device, or come late, and
    /// whoever had made the original would not make it again.
    fn remove_stale(&mut self) {
        for wan in self.wans {
            let (_, ours) = self.main(Family::V4, wan);
            for route in ours {
                if !self.is_reachable(&route) {
                    self.delete(route);
                }
            }
        }
    }

    fn is_reachable(&self, route: &Route) -> bool {
        let Some(oif) = route.oif else { return true };
        let mut addresses =
            self.world.addresses.iter().filter(|a| a.index == oif && a.local.is_ipv4()).peekable();
        if addresses.peek().is_none() {
            return false;
        }
        // With its source goes the route, by the kernel's own hand; with it there the route leads where it led.
        if route.prefsrc.is_some() {
            return addresses.any(|a| Some(a.local) == route.prefsrc);
        }
        let onlink = route.flags & ONLINK != 0 || route.nexthop_id.is_some();
        match route.gateway {
            Some(IpAddr::V4(gateway)) if !onlink => addresses.any(|a| match (a.peer, a.local) {
                (Some(peer), _) if peer == IpAddr::V4(gateway) => true,
                // A host prefix covers nothing: its gateway is reached by a route of its own (facts: dhcp.script).
                (_, IpAddr::V4(local)) => {
                    a.prefix >= 31 || same_prefix(local.into(), gateway.into(), a.prefix)
                }
                _ => false,
            }),
            _ => true,
        }
    }

    /// Restores a live WAN's default to where its maker had put it.
    fn bring_home(&mut self, wan: &WanView) {
        let (foreign, ours) = self.main(Family::V4, wan);
        for route in ours {
            if self.is_planned_away(&route) {
                continue;
            }
            if !self.is_replaced(wan, &route, &foreign) {
                let Some(entry) = self.memory.moved(&wan.name, &route).cloned() else { continue };
                // Somebody else stands there now: better behind than gone.
                if self.taken.contains(&entry.metric) {
                    continue;
                }
                self.taken.push(entry.metric);
                let home = Route { metric: entry.metric, protocol: entry.protocol, ..route.clone() };
                self.changes.push(Change::AddRoute(home));
            }
            self.delete(route);
        }
    }

    /// Whoever had made the default that `copy` was made of has put another in its place: by the same gateway, or
    /// with the same metric. A second default of the device is none of that.
    fn is_replaced(&self, wan: &WanView, copy: &Route, foreign: &[Route]) -> bool {
        let home = self.memory.moved(&wan.name, copy).map(|entry| entry.metric);
        foreign.iter().any(|f| f.gateway == copy.gateway || home.is_none_or(|metric| metric == f.metric))
    }

    /// Puts the defaults of a WAN behind those of all better ones.
    fn put_behind(&mut self, wan: &WanView) {
        let better: Vec<IfIndex> = self
            .wans
            .iter()
            .filter(|w| w.class < wan.class && w.class != Class::Unknown)
            .map(|w| w.index)
            .collect();
        let floor = self
            .world
            .routes
            .iter()
            .filter(|r| {
                r.table == TABLE_MAIN && r.family == Family::V4 && r.oif.is_some_and(|i| better.contains(&i))
            })
            .map(|r| r.metric)
            .max();
        let Some(floor) = floor else { return };
        let (foreign, mut ours) = self.main(Family::V4, wan);
        ours.retain(|r| !self.is_planned_away(r));
        // Copies that stand well and lead the same way as something that must move serve again.
        let mut spare: Vec<Route> = ours.iter().filter(|r| r.metric > floor).cloned().collect();
        let in_front: Vec<Route> =
            foreign.iter().chain(&ours).filter(|r| r.metric <= floor).cloned().collect();
        for route in in_front {
            // A gateway that is reached by ways we do not see: its copy would be taken for stale.
            if !self.is_reachable(&route) {
                continue;
            }
            if !route.is_ours() {
                self.remember(wan, &route);
            }
            match spare.iter().position(|s| s.same_path(&route)) {
                Some(at) => {
                    spare.remove(at);
                }
                None => {
                    let metric = self.free_metric(floor);
                    let copy = Route { metric, protocol: RTPROT_BSBF, ..route.clone() };
                    self.changes.push(Change::AddRoute(copy));
                }
            }
            self.delete(route);
        }
        // What is left over stands beside the WAN's real default, which changed or came back behind.
        for route in spare {
            if self.is_replaced(wan, &route, &foreign) {
                self.delete(route);
            }
        }
    }

    fn remember(&mut self, wan: &WanView, route: &Route) {
        let entry = Moved {
            name: wan.name.clone(),
            gateway: route.gateway,
            family: route.family,
            metric: route.metric,
            protocol: route.protocol,
        };
        if self.memory.moved.contains(&entry) {
            return;
        }
        self.memory.moved.retain(|m| !m.is_of(&wan.name, route));
        self.memory.moved.push(entry);
        self.changes.push(Change::Remember(self.memory.clone()));
    }

    /// The first free metric behind `floor`.
    fn free_metric(&mut self, floor: Metric) -> Metric {
        let first = floor.0.saturating_add(1).max(FIRST_METRIC);
        let ours = (first..=LAST_METRIC).map(Metric).find(|m| !self.taken.contains(m));
        let metric = ours
            .or_else(|| (floor.0.saturating_add(1)..u32::MAX).map(Metric).find(|m| !self.taken.contains(m)))
            .unwrap_or(Metric(u32::MAX));
        self.taken.push(metric);
        metric
    }

    /// IPv6: puts copies of the usable WANs' defaults in front of those that must not win.
    fn stand_in_front(&mut self) {
        let wanted = self.wanted_in_front();
        let present: Vec<Route> = self
            .world
            .routes
            .iter()
            .filter(|r| r.table == TABLE_MAIN && r.family == Family::V6 && r.is_ours())
            .cloned()
            .collect();
        for route in &wanted {
            if present.contains(route) {
                continue;
            }
            // A copy of ours with this metric gives way in one step.
            let change = match present.iter().any(|p| p.metric == route.metric && p.source == route.source) {
                true => Change::ReplaceRoute(route.clone()),
                false => Change::AddRoute(route.clone()),
            };
            self.changes.push(change);
        }
        for route in present {
            let replaced = wanted.iter().any(|w| w.metric == route.metric && w.source == route.source);
            if !wanted.contains(&route) && !replaced {
                self.delete(route);
            }
        }
    }

    fn wanted_in_front(&self) -> Vec<Route> {
        let mut defaults: Vec<(Class, Route)> = Vec::new();
        for wan in self.wans {
            let (foreign, _) = self.main(Family::V6, wan);
            defaults.extend(foreign.into_iter().map(|r| (wan.class, r)));
        }
        // Source-specific defaults are chosen by the source address; order among them means nothing.
        if defaults.iter().all(|(_, r)| r.source.is_some()) {
            return Vec::new();
        }
        let best_of = |wrong: Class| {
            defaults.iter().filter(|(c, r)| *c == wrong && r.source.is_none()).map(|(_, r)| r.metric).min()
        };
        let winner_behind = |class: Class| {
            defaults.iter().filter(|(c, _)| c.is_usable() && *c < class).map(|(_, r)| r.metric).min()
        };
        let barrier = [Class::Dead, Class::LiveBackup, Class::LiveWithoutMptcp]
            .into_iter()
            .filter_map(|class| {
                let (wrong, right) = (best_of(class)?, winner_behind(class)?);
                (wrong <= right).then_some(wrong)
            })
            .min();
        let Some(barrier) = barrier else { return Vec::new() };
        let mut ranked: Vec<(Class, Route)> = defaults.into_iter().filter(|(c, _)| c.is_usable()).collect();
        ranked.sort_by_key(|(class, route)| (*class, route.metric, route.oif));
        let copies = (FIRST_METRIC..).zip(ranked).map(|(metric, (_, route))| Route {
            metric: Metric(metric),
            protocol: RTPROT_BSBF,
            ..route
        });
        copies.take_while(|copy| copy.metric < barrier).collect()
    }

    fn is_planned_away(&self, route: &Route) -> bool {
        self.changes.iter().any(|c| matches!(c, Change::DeleteRoute(r) if r == route))
    }

    fn delete(&mut self, route: Route) {
        self.changes.push(Change::DeleteRoute(route));
    }

    /// Drops entries whose copy is gone or going; comes last, so that nothing is forgotten before it is home.
    fn forget_what_is_home(&mut self) {
        let name_of = |index: IfIndex| self.wans.iter().find(|w| w.index == index).map(|w| &w.name);
        let planned = self.changes.iter().filter_map(|c| match c {
            Change::AddRoute(r) => Some(r),
            _ => None,
        });
        let stand: Vec<&Route> = self
            .world
            .routes
            .iter()
            .filter(|r| !self.is_planned_away(r))
            .chain(planned)
            .filter(|r| r.is_ours() && r.table == TABLE_MAIN)
            .collect();
        let needed = |m: &Moved| stand.iter().any(|r| r.oif.and_then(name_of).is_some_and(|n| m.is_of(n, r)));
        let kept: Vec<Moved> = self.memory.moved.iter().filter(|m| needed(m)).cloned().collect();
        if kept != self.memory.moved {
            self.memory.moved = kept;
            self.changes.push(Change::Remember(self.memory.clone()));
        }
    }
}

fn same_prefix(a: u32, b: u32, len: u8) -> bool {
    let mask = u32::MAX.checked_shl(32 - u32::from(len)).unwrap_or(0);
    a & mask == b & mask
}

#[cfg(test)]
mod tests;
