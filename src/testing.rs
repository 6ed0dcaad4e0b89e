//! What tests share: dice with a seed, and a kernel that does what it is told.

use crate::types::{IfIndex, Metric};
use crate::wan::model;
use crate::wan::world::{Change, Memory, World};
use crate::wire::mptcp_pm::Limits;
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
        if let Change::Remember(memory) = change {
            self.memory = memory.clone();
        }
        let done = model::apply(&mut self.world, &mut self.next_id, change);
        assert!(done.is_ok(), "{}: {change}", done.unwrap_err());
    }
}
