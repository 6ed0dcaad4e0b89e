//! What tests share: dice with a seed, and a kernel that does what it is told.

use crate::types::{EndpointId, IfIndex, Metric};
use crate::wan::world::{Change, Memory, World};
use crate::wire::mptcp_pm::{FLAG_IMPLICIT, Limits, MAX};
use crate::wire::rtnl::{Address, Family, Link, Route, TABLE_MAIN};

/// SplitMix64 (Steele, Lea, Flood 2014): the same numbers for the same seed everywhere.
pub struct Dice(u64);

impl Dice {
    /// Dice that fall as `seed` says.
    pub fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from 0 to `n` - 1.
    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    /// A number from `low` to `high` - 1.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low)
    }
}

/// A kernel that keeps routes, rules and endpoints by the rules of the real one, and nothing more.
pub struct ModelKernel {
    /// Its state.
    pub world: World,
    /// What would outlive a process.
    pub memory: Memory,
    next_id: u8,
}

/// The default route that netifd gives WAN `index`.
pub fn netifd_default(index: IfIndex) -> Route {
    let n = index.0;
    Route {
        family: Family::V4,
        table: TABLE_MAIN,
        protocol: libc::RTPROT_STATIC,
        scope: 0,
        tos: 0,
        flags: 0,
        metric: Metric(n),
        oif: Some(index),
        gateway: Some(format!("192.0.{n}.1").parse().unwrap()),
        prefsrc: Some(format!("192.0.{n}.2").parse().unwrap()),
        source: None,
        nexthop_id: None,
        rest: Vec::new(),
    }
}

impl ModelKernel {
    /// Devices wan1, wan2... with an address and a default route each, as netifd makes them.
    pub fn with_wans(indices: &[IfIndex]) -> ModelKernel {
        let mut world = World {
            endpoints: Some(Vec::new()),
            limits: Some(Limits { subflows: 2, add_addr_accepted: 0 }),
            ..World::default()
        };
        for &index in indices {
            world.links.push(Link {
                index,
                name: format!("wan{}", index.0).parse().unwrap(),
                up: true,
                carrier: true,
                kind: heapless::String::new(),
                arphrd: 1,
                rx_bytes: 0,
                tx_bytes: 0,
            });
            world.addresses.push(Address {
                index,
                local: format!("192.0.{}.2", index.0).parse().unwrap(),
                peer: None,
                prefix: 24,
                scope: 0,
                flags: 0,
            });
            world.routes.push(netifd_default(index));
        }
        ModelKernel { world, memory: Memory::default(), next_id: 1 }
    }

    /// Does a change as the kernel would; panics where it would refuse.
    pub fn apply(&mut self, change: &Change) {
        let world = &mut self.world;
        let key = |r: &Route| (r.family, r.table, r.metric, r.source);
        match change {
            Change::Remember(memory) => self.memory = memory.clone(),
            Change::AddRoute(route) => {
                let clash = world.routes.iter().find(|r| key(r) == key(route));
                assert!(clash.is_none(), "EEXIST: {change}");
                world.routes.push(route.clone());
            }
            Change::ReplaceRoute(route) => {
                world.routes.retain(|r| key(r) != key(route));
                world.routes.push(route.clone());
            }
            Change::DeleteRoute(route) => {
                let before = world.routes.len();
                world.routes.retain(|r| r != route);
                assert_eq!(world.routes.len() + 1, before, "ESRCH: {change}");
            }
            Change::AddRule(rule) => {
                assert!(!world.rules.contains(rule), "EEXIST: {change}");
                world.rules.push(rule.clone());
            }
            Change::DeleteRule(rule) => world.rules.retain(|r| r != rule),
            Change::AddEndpoint(endpoint) => {
                let endpoints = world.endpoints.as_mut().expect("no MPTCP");
                // An implicit one gives way (mptcp_pm_nl_append_new_local_addr).
                endpoints.retain(|e| e.address != endpoint.address || e.flags & FLAG_IMPLICIT == 0);
                assert!(endpoints.len() < MAX, "ERANGE: {change}");
                assert!(endpoints.iter().all(|e| e.address != endpoint.address), "EEXIST: {change}");
                let id = EndpointId(self.next_id);
                self.next_id = self.next_id.wrapping_add(1).max(1);
                endpoints.push(crate::wire::mptcp_pm::Endpoint { id, ..endpoint.clone() });
            }
            Change::DeleteEndpoint(endpoint) => {
                world.endpoints.as_mut().expect("no MPTCP").retain(|e| e.id != endpoint.id);
            }
            Change::SetFlags(endpoint) => {
                for e in
                    world.endpoints.as_mut().expect("no MPTCP").iter_mut().filter(|e| e.id == endpoint.id)
                {
                    e.flags = endpoint.flags;
                }
            }
            Change::SetLimits(limits) => world.limits = Some(*limits),
        }
    }
}
