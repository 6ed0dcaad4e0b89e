//! A table and rules for each WAN, so that what has a WAN's address as its source leaves by that WAN.
//!
//! Sockets that are bound to no device, such as the first subflow of every MPTCP connection, follow the best
//! default of the main table whatever address they have. When the defaults change places their packets would
//! leave by a WAN that drops foreign sources (measured: 28 Mbit/s fell to 9 and stayed there).
//!
//! For each address two rules: first main without its default routes, so that the LAN and the modem's own page are
//! reached, then the WAN's table. They stand as long as the WAN has the address and a default, live or not: on a
//! dead WAN they keep probes' answers from a strict rp_filter, and packets from a wrong way out.
//!
//! Packets that carry anybody else's mark are passed over: another policy router (mwan3, pbr, a VPN) has chosen their
//! way, and its rules stand behind ours (pbr's at 30000) or before (mwan3's at 1001 to 3250).

use std::net::IpAddr;

use super::settings::MAX_WANS;
use super::world::{Change, World};
use crate::types::{IfIndex, Metric};
use crate::wire::rtnl::{Family, RTPROT_BSBF, Route, Rule, TABLE_MAIN};

/// Tables of the WANs: 5201 to 5208, clear of mwan3 (1-250), pbr (256 and up) and the system's.
const FIRST_TABLE: u32 = 5201;
/// Priorities of the rules, two a WAN, 5100 to 5115: behind the local table, the proxy's mark rule (0) and mwan3's
/// (it deletes what stands between 1000 and 4000 for its interfaces: mwan3_delete_iface_rules in openwrt/packages),
/// before Tailscale's (5210 to 5270; it deletes by priority and table alone, whosever rule that is: delIPRules in its
/// router_linux.go), netifd's (10000), pbr's (30000 and what is next to it) and main (32766).
const FIRST_PRIORITY: u32 = 5100;
/// Our own marks: 1 to the proxy, 2 to our server, 4 direct traffic and probes.
pub const OUR_MARKS: u32 = 1 | 2 | 4;
/// Where the WAN's default stands in its table. IPv6 would take 0 for 1024.
const METRIC: Metric = Metric(1);

/// A WAN as this planner sees it: its device and its table.
#[derive(Clone, Copy, Debug)]
pub struct Slot {
    /// 0 to 7.
    pub number: u8,
    /// The device.
    pub index: IfIndex,
}

impl Slot {
    /// The table of a slot.
    pub fn table(number: u8) -> u32 {
        FIRST_TABLE + u32::from(number)
    }

    /// The slot whose table has a default by this device, from an earlier run.
    pub fn adopted(world: &World, index: IfIndex) -> Option<u8> {
        (0u8..).take(MAX_WANS).find(|&n| {
            world.routes.iter().any(|r| r.table == Slot::table(n) && r.is_ours() && r.oif == Some(index))
        })
    }
}

/// Changes in the order in which they have to happen: `before` the endpoints of the WANs, `after` them.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// What subflows need before they open.
    pub before: Vec<Change>,
    /// What they do not need once they are closed.
    pub after: Vec<Change>,
}

/// The changes that bring tables and rules to what `slots` need; with no slots, everything of ours goes.
pub fn plan(world: &World, slots: &[Slot]) -> Plan {
    let mut plan = Plan::default();
    let (mut tables, mut rules) = (Vec::new(), Vec::new());
    for slot in slots {
        for family in Family::BOTH {
            if let Some(route) = table_route(world, *slot, family) {
                rules.extend(rules_of(world, *slot, family));
                tables.push(route);
            }
        }
    }
    let present: Vec<&Route> = world.routes.iter().filter(|r| is_our_table(r.table) && r.is_ours()).collect();
    let missing = tables.iter().filter(|t| !present.contains(t)).cloned();
    plan.before.extend(missing.map(Change::ReplaceRoute));
    plan.before.extend(rules.iter().filter(|r| !world.rules.contains(r)).cloned().map(Change::AddRule));
    let spare_rules = world.rules.iter().filter(|r| !rules.contains(r)).cloned();
    plan.after.extend(spare_rules.map(Change::DeleteRule));
    let place = |r: &Route| (r.table, r.family, r.metric);
    let spare = present.into_iter().filter(|p| !tables.iter().any(|t| place(t) == place(p)));
    plan.after.extend(spare.cloned().map(Change::DeleteRoute));
    plan
}

/// One of the WANs' tables.
pub fn is_our_table(table: u32) -> bool {
    (FIRST_TABLE..FIRST_TABLE + MAX_WANS as u32).contains(&table)
}

/// The WAN's default as its table has it: the best of main, whoever made it.
fn table_route(world: &World, slot: Slot, family: Family) -> Option<Route> {
    let best = world.defaults(TABLE_MAIN, family, slot.index).min_by_key(|r| (r.is_ours(), r.metric))?;
    Some(Route { table: Slot::table(slot.number), protocol: RTPROT_BSBF, metric: METRIC, ..best.clone() })
}

fn rules_of(world: &World, slot: Slot, family: Family) -> Vec<Rule> {
    let first = FIRST_PRIORITY + 2 * u32::from(slot.number);
    let mut rules = Vec::new();
    let mut seen: Vec<IpAddr> = Vec::new();
    for address in world.global_addresses(slot.index, family) {
        let source = address.local;
        if seen.contains(&source) {
            continue;
        }
        seen.push(source);
        let to = |priority, table, no_default| Rule { priority, source, mask: !OUR_MARKS, table, no_default };
        rules.push(to(first, TABLE_MAIN, true));
        rules.push(to(first + 1, Slot::table(slot.number), false));
    }
    rules
}
