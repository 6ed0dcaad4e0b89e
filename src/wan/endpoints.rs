//! Which MPTCP endpoints exist: one for each live WAN and family, keyed by address and device.
//!
//! Deleting an endpoint closes its subflows on every connection; adding one opens them at once. So a dead WAN's
//! endpoint goes (its subflows would else wait for retransmission time-outs of up to a minute), and comes back
//! with the WAN. The last one is never taken away because of a probe. Endpoints of others are left alone.

use std::net::{IpAddr, Ipv6Addr};

use super::world::{Change, Memory, World};
use crate::types::{EndpointId, IfIndex, IfName};
use crate::wire::mptcp_pm::{Endpoint, FLAG_BACKUP, FLAG_IMPLICIT, FLAG_SUBFLOW, Limits, MAX};
use crate::wire::rtnl::{Address, Family, TABLE_MAIN};

/// The kernel's highest limits, which are also the most it has endpoints.
const LIMITS: Limits = Limits { subflows: MAX as u32, add_addr_accepted: MAX as u32 };
const IFA_F_TEMPORARY: u32 = 0x01;
const IFA_F_DADFAILED: u32 = 0x08;
const IFA_F_DEPRECATED: u32 = 0x20;
const IFA_F_TENTATIVE: u32 = 0x40;

/// What a WAN's endpoint should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// It should be there, as a backup or not.
    Present {
        /// Subflows carry data only when no other can.
        backup: bool,
    },
    /// Not known yet: what is there stays.
    Unknown,
    /// A probe, or the kernel, says that it does not work now.
    Unfit,
    /// The link itself is away.
    Absent,
}

/// A WAN as this planner sees it.
#[derive(Clone, Debug)]
pub struct WanView {
    /// Its device.
    pub name: IfName,
    /// The device's number.
    pub index: IfIndex,
    /// What its endpoint should be.
    pub want: Want,
}

/// Changes, and what kept a WAN from having an endpoint.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// In this order.
    pub changes: Vec<Change>,
    /// Reasons, by device.
    pub notes: Vec<(IfIndex, String)>,
}

/// The changes that bring the endpoints to what the WANs should have. `v6` asks for IPv6 endpoints too.
pub fn plan(world: &World, wans: &[WanView], v6: bool, memory: &Memory) -> Plan {
    let mut plan = Plan::default();
    let Some(present) = &world.endpoints else { return plan };
    if world.limits.is_some_and(|l| l != LIMITS) {
        plan.changes.push(Change::SetLimits(LIMITS));
    }
    let is_ours = |e: &Endpoint| memory.endpoints.contains(&e.address) && e.flags & FLAG_IMPLICIT == 0;
    let wanted = wanted(world, wans, v6, present, &mut plan.notes);

    let mut removals: Vec<(&Endpoint, Want)> = Vec::new();
    let mut kept = 0;
    for endpoint in present {
        let same = wanted.iter().find(|w| w.address == endpoint.address && w.index == endpoint.index);
        if endpoint.flags & FLAG_IMPLICIT != 0 {
            continue;
        }
        if !is_ours(endpoint) {
            kept += usize::from(same.is_some());
            if let (None, Some(w)) = (same, wanted.iter().find(|w| w.address == endpoint.address)) {
                let note = format!("{} is an endpoint of somebody else's", endpoint.address);
                plan.notes.extend(w.index.map(|i| (i, note)));
            }
            continue;
        }
        match same {
            Some(wanted) => {
                kept += 1;
                if wanted.flags & FLAG_BACKUP != endpoint.flags & FLAG_BACKUP {
                    // The kernel overwrites all flags it can change, so the others are given back.
                    let flags = endpoint.flags & !FLAG_BACKUP | wanted.flags & FLAG_BACKUP;
                    plan.changes.push(Change::SetFlags(Endpoint { flags, ..endpoint.clone() }));
                }
            }
            None => {
                let want =
                    wans.iter().find(|w| Some(w.index) == endpoint.index).map_or(Want::Absent, |w| w.want);
                removals.push((endpoint, want));
            }
        }
    }
    let mut missing: Vec<&Endpoint> = wanted
        .iter()
        .filter(|w| {
            // The kernel puts ours in the place of an implicit one (since 5.18, net/mptcp/pm_netlink.c).
            let explicit = present.iter().filter(|e| e.flags & FLAG_IMPLICIT == 0);
            !explicit.clone().any(|e| e.address == w.address && (e.index == w.index || !is_ours(e)))
        })
        .collect();
    // The address is the kernel's key: where it is on another device now, or the table is full, the old one goes first.
    let full = present.len() + missing.len() > MAX;
    let (first, last): (Vec<_>, Vec<_>) = removals.into_iter().partition(|(endpoint, want)| {
        let moved = missing.iter().any(|m| m.address == endpoint.address);
        moved || full && *want != Want::Unknown
    });
    plan.changes.extend(first.iter().map(|(e, _)| Change::DeleteEndpoint((*e).clone())));
    let room = MAX.saturating_sub(present.len() - first.len());
    for left_out in missing.drain(room.min(missing.len())..) {
        plan.notes.extend(left_out.index.map(|i| (i, format!("the kernel has {MAX} endpoints already"))));
    }
    let mut addresses: Vec<IpAddr> = memory.endpoints.clone();
    addresses.retain(|a| wanted.iter().any(|w| w.address == *a) || present.iter().any(|e| e.address == *a));
    addresses.extend(missing.iter().map(|m| m.address).filter(|a| !memory.endpoints.contains(a)));
    if addresses != memory.endpoints {
        plan.changes.push(Change::Remember(Memory { endpoints: addresses, ..memory.clone() }));
    }
    kept += missing.len();
    plan.changes.extend(missing.into_iter().cloned().map(Change::AddEndpoint));
    for (endpoint, want) in last {
        // With none that works, one that may work again is better than none.
        let spared = match want {
            Want::Unknown => true,
            Want::Unfit => kept == 0,
            Want::Present { .. } | Want::Absent => false,
        };
        if !spared {
            plan.changes.push(Change::DeleteEndpoint(endpoint.clone()));
        }
    }
    plan
}

fn wanted(
    world: &World,
    wans: &[WanView],
    v6: bool,
    present: &[Endpoint],
    notes: &mut Vec<(IfIndex, String)>,
) -> Vec<Endpoint> {
    let mut wanted: Vec<Endpoint> = Vec::new();
    // IPv4 first: where eight are not enough for both, the family that every WAN has goes first.
    for family in if v6 { &Family::BOTH[..] } else { &[Family::V4][..] } {
        for wan in wans {
            let Want::Present { backup } = wan.want else { continue };
            let Some(address) = pick(world, wan.index, *family, present) else { continue };
            if let Some(other) = wanted.iter().find(|e| e.address == address).and_then(|e| e.index) {
                let name =
                    wans.iter().find(|w| w.index == other).map_or(String::new(), |w| w.name.to_string());
                notes.push((
                    wan.index,
                    format!("same address {address} as {name}, so no endpoint of its own"),
                ));
                continue;
            }
            wanted.push(Endpoint {
                id: EndpointId(0),
                address,
                index: Some(wan.index),
                flags: FLAG_SUBFLOW | if backup { FLAG_BACKUP } else { 0 },
            });
        }
    }
    wanted
}

/// The address a WAN's endpoint has: the one it has already if that still serves, else the default route's source,
/// else the first.
fn pick(world: &World, index: IfIndex, family: Family, present: &[Endpoint]) -> Option<IpAddr> {
    let fit: Vec<&Address> = world.global_addresses(index, family).filter(|a| is_fit(a)).collect();
    let default = world.defaults(TABLE_MAIN, family, index).next()?;
    let has = present.iter().find(|e| e.index == Some(index) && fit.iter().any(|a| a.local == e.address));
    has.map(|e| e.address)
        .or_else(|| default.prefsrc.filter(|p| fit.iter().any(|a| a.local == *p)))
        .or_else(|| fit.first().map(|a| a.local))
}

/// An address that stays and that the Internet answers to.
fn is_fit(address: &Address) -> bool {
    match address.local {
        IpAddr::V4(_) => true,
        IpAddr::V6(local) => {
            let passing = IFA_F_TEMPORARY | IFA_F_DADFAILED | IFA_F_DEPRECATED | IFA_F_TENTATIVE;
            address.flags & passing == 0 && !is_ula(local)
        }
    }
}

/// fc00::/7, RFC 4193.
fn is_ula(address: Ipv6Addr) -> bool {
    address.octets()[0] & 0xfe == 0xfc
}

#[cfg(test)]
mod tests;
