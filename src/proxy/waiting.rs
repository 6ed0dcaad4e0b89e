//! Who has connected to the server and has yet to say who he is.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use smol::Task;

use crate::types::Time;

/// Connections of one host that may wait for longer than a burst of new ones takes, without a word; of more, the oldest
/// have to go.
const MOST_WAITING: usize = 256;
/// What such a burst takes, on the slowest of WANs.
const BURST: Duration = Duration::from_secs(3);
/// Connections of one host without a word, however new.
const MOST_AT_ONCE: usize = 4096;
/// The same of all hosts.
const MOST_AT_ONCE_OF_ALL: usize = 16_384;

/// Connections that have said nothing yet, numbered in the order in which they came. Dropping a task ends its connection.
#[derive(Default)]
pub struct Waiting {
    all: BTreeMap<u64, (IpAddr, Time, Task<()>)>,
    of: HashMap<IpAddr, BTreeSet<u64>>,
}

impl Waiting {
    /// How many there are.
    pub fn count(&self) -> usize {
        self.all.len()
    }

    /// Adds one, for which others may have to go.
    pub fn add(&mut self, peer: IpAddr, number: u64, task: Task<()>, now: Time) {
        self.all.insert(number, (peer, now, task));
        self.of.entry(peer).or_default().insert(number);
        while let Some(oldest) = self.one_too_many(peer, now) {
            drop(self.remove(oldest));
        }
    }

    /// The one that has to go, if there are too many of this host or of all.
    fn one_too_many(&self, peer: IpAddr, now: Time) -> Option<u64> {
        if self.all.len() > MOST_AT_ONCE_OF_ALL {
            return self.all.keys().next().copied();
        }
        let his = self.of.get(&peer)?;
        let oldest = *his.first()?;
        let (_, since, _) = self.all.get(&oldest)?;
        let has_to_go = his.len() > MOST_AT_ONCE || his.len() > MOST_WAITING && now.since(*since) >= BURST;
        has_to_go.then_some(oldest)
    }

    /// Takes one out: it has said something.
    pub fn remove(&mut self, number: u64) -> Option<Task<()>> {
        let (peer, _, task) = self.all.remove(&number)?;
        if let Entry::Occupied(mut his) = self.of.entry(peer) {
            his.get_mut().remove(&number);
            if his.get().is_empty() {
                his.remove();
            }
        }
        Some(task)
    }
}

/// Whose address it is, as far as it tells: of IPv6 everybody has a /64 at least.
pub fn host(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => ip,
        IpAddr::V6(ip) => Ipv6Addr::from(u128::from(ip) >> 64 << 64).into(),
    }
}
