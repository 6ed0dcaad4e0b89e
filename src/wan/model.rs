//! A kernel on paper: a world that changes as the real one would, by the rules of the real one and nothing more.
//! For replays, which must not touch the one that runs them, and for tests.

use std::net::IpAddr;

use super::source_rules;
use super::world::{Change, Memory, World};
use crate::types::EndpointId;
use crate::wire::mptcp_pm::{Endpoint, FLAG_IMPLICIT, MAX};
use crate::wire::rtnl::Route;

/// Its errno, by name.
pub type Refusal = &'static str;

/// Does a change as the kernel would; `next_id` is the id of the next endpoint.
pub fn apply(world: &mut World, next_id: &mut u8, change: &Change) -> Result<(), Refusal> {
    match change {
        Change::Remember(_) => {}
        Change::AddRoute(route) => {
            if world.routes.iter().any(|r| same_place(r, route)) {
                return Err("EEXIST");
            }
            world.routes.push(route.clone());
        }
        Change::ReplaceRoute(route) => {
            world.routes.retain(|r| !same_place(r, route));
            world.routes.push(route.clone());
        }
        Change::DeleteRoute(route) => {
            let at = world.routes.iter().position(|r| r == route).ok_or("ESRCH")?;
            world.routes.remove(at);
        }
        Change::AddRule(rule) => {
            if world.rules.contains(rule) {
                return Err("EEXIST");
            }
            world.rules.push(rule.clone());
        }
        Change::DeleteRule(rule) => world.rules.retain(|r| r != rule),
        Change::AddEndpoint(endpoint) => {
            let endpoints = world.endpoints.as_mut().ok_or("EOPNOTSUPP")?;
            // An implicit one gives way (mptcp_pm_nl_append_new_local_addr).
            endpoints.retain(|e| e.address != endpoint.address || e.flags & FLAG_IMPLICIT == 0);
            if endpoints.len() >= MAX {
                return Err("ERANGE");
            }
            if endpoints.iter().any(|e| e.address == endpoint.address) {
                return Err("EEXIST");
            }
            let id = EndpointId(*next_id);
            *next_id = next_id.wrapping_add(1).max(1);
            endpoints.push(Endpoint { id, ..endpoint.clone() });
        }
        Change::DeleteEndpoint(endpoint) => {
            world.endpoints.as_mut().ok_or("EOPNOTSUPP")?.retain(|e| e.id != endpoint.id);
        }
        Change::SetFlags(endpoint) => {
            let endpoints = world.endpoints.as_mut().ok_or("EOPNOTSUPP")?;
            for e in endpoints.iter_mut().filter(|e| e.id == endpoint.id) {
                e.flags = endpoint.flags;
            }
        }
        Change::SetLimits(limits) => world.limits = Some(*limits),
    }
    Ok(())
}

/// A table has one route of a family for a metric (and source).
fn same_place(a: &Route, b: &Route) -> bool {
    (a.family, a.table, a.metric, a.source) == (b.family, b.table, b.metric, b.source)
}

/// The world as it would be had there been no manager, whose memory this is: moved defaults stand where their
/// makers had put them; copies, tables, rules and endpoints of ours are gone.
pub fn without_us(world: &World, memory: &Memory) -> World {
    let mut plain = world.clone();
    plain.rules.clear();
    if let Some(endpoints) = &mut plain.endpoints {
        endpoints.retain(|e| !memory.endpoints.contains(&e.address) || e.flags & FLAG_IMPLICIT != 0);
    }
    plain.routes.retain(|r| !r.is_ours());
    for copy in world.routes.iter().filter(|r| r.is_ours() && !source_rules::is_our_table(r.table)) {
        let link = world.links.iter().find(|l| Some(l.index) == copy.oif);
        let Some(entry) = link.and_then(|link| memory.moved(&link.name, copy)) else { continue };
        let home = Route { metric: entry.metric, protocol: entry.protocol, ..copy.clone() };
        if !plain.routes.iter().any(|r| same_place(r, &home)) {
            plain.routes.push(home);
        }
    }
    plain
}

/// Does to `world`, in which a manager with this memory has been at work, what others did between `before` and
/// `after`, both without us.
pub fn carry_over(world: &mut World, memory: &Memory, before: &World, after: &World) {
    world.links.clone_from(&after.links);
    world.addresses.clone_from(&after.addresses);
    world.modems.clone_from(&after.modems);
    for gone in before.routes.iter().filter(|r| !after.routes.contains(r)) {
        // Where we moved it away, whoever deletes it finds nothing; but with its link or source goes the copy too.
        world.routes.retain(|r| r != gone);
    }
    for new in after.routes.iter().filter(|r| !before.routes.contains(r)) {
        world.routes.retain(|r| !same_place(r, new));
        world.routes.push(new.clone());
    }
    world.routes.retain(|r| !r.is_ours() || has_ground(r, after));
    let (before, after) = (before.endpoints.as_ref(), after.endpoints.as_ref());
    if let (Some(endpoints), Some(before), Some(after)) = (&mut world.endpoints, before, after) {
        let ours = |address: &IpAddr| memory.endpoints.contains(address);
        endpoints.retain(|e| ours(&e.address) || !before.contains(e) || after.contains(e));
        for new in after.iter().filter(|e| !before.contains(e)) {
            if endpoints.len() < MAX && !endpoints.iter().any(|e| e.address == new.address) {
                endpoints.push(new.clone());
            }
        }
    }
}

/// The kernel keeps a route only as long as its device is up and its source address there.
fn has_ground(route: &Route, world: &World) -> bool {
    let up = world.links.iter().any(|l| Some(l.index) == route.oif && l.up);
    let source = route.prefsrc.is_none_or(|source| world.addresses.iter().any(|a| a.local == source));
    (up || route.oif.is_none()) && source
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::ModelKernel;
    use crate::types::{IfIndex, Metric};
    use crate::wan::world::Moved;
    use crate::wire::rtnl::{Family, RTPROT_BSBF};

    /// Two WANs, the first one's default moved behind, as a manager leaves them.
    fn moved() -> (World, World, Memory) {
        let plain = ModelKernel::with_wans(&[IfIndex(1), IfIndex(2)]).world;
        let home = plain.routes[0].clone();
        let mut managed = plain.clone();
        managed.routes[0] = Route { metric: Metric(9), protocol: RTPROT_BSBF, ..home.clone() };
        managed.routes.push(Route { table: 5201, protocol: RTPROT_BSBF, metric: Metric(1), ..home.clone() });
        let entry = Moved {
            name: "wan1".parse().unwrap(),
            gateway: home.gateway,
            family: Family::V4,
            metric: home.metric,
            protocol: home.protocol,
        };
        (plain, managed, Memory { moved: vec![entry], endpoints: Vec::new() })
    }

    fn sorted(mut world: World) -> World {
        world.routes.sort_by_key(|r| (r.table, r.metric));
        world
    }

    #[test]
    fn what_the_manager_did_is_undone() {
        let (plain, managed, memory) = moved();
        assert_eq!(sorted(without_us(&managed, &memory)), plain);
        // A copy of which nothing is known stands for nothing.
        assert_eq!(without_us(&managed, &Memory::default()).routes, plain.routes[1..]);
    }

    #[test]
    fn a_link_that_goes_takes_the_copies_with_it_and_nothing_else_does() {
        let (plain, managed, memory) = moved();
        let mut world = managed.clone();
        carry_over(&mut world, &memory, &plain, &plain);
        assert_eq!(world, managed);
        let mut down = plain.clone();
        down.links[0].up = false;
        down.routes.remove(0);
        carry_over(&mut world, &memory, &plain, &down);
        assert_eq!(world.routes, plain.routes[1..]);
        assert!(!world.links[0].up);
        // And back: its default returns to where it was.
        carry_over(&mut world, &memory, &down, &plain);
        assert_eq!(sorted(world), plain);
    }
}
