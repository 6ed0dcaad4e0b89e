//! What becomes of MPTCP's connections and joins on each address, as the path manager's events tell.
//!
//! A join whose options a box on its way has taken out ends without an error and without having joined; so does an
//! orderly end look. Which is which is known of connections whose beginning was heard.

use std::net::IpAddr;
use std::time::Duration;

use crate::types::Time;
use crate::wire::mptcp_pm::{Event, Subflow};

/// Subflows that are remembered, in 8 bytes each. What goes beyond is not counted.
const MOST: usize = 8192;
/// Addresses whose counts are kept; a modem gets others all the time.
const ADDRESSES: usize = 32;

/// A server refuses a join (its limit is reached, the connection is ending) one way after it has answered it, which is when
/// it counts as one here. What ends so soon while its connection lives was refused.
const SOON: Duration = Duration::from_secs(1);
/// Joins that are remembered for that.
const RECENT: usize = 64;
/// Signs that are kept until somebody takes them.
const SIGNS: usize = 16;

/// What became of it on an address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections that began there, and are MPTCP.
    pub begun: u64,
    /// Subflows that joined others.
    pub joined: u64,
    /// Those that were refused, not answered with MPTCP, or not at all.
    pub refused: u64,
}

/// All connections that this machine has begun.
#[derive(Debug, Default)]
pub struct Subflows {
    /// Subflows that are, by their connections' tokens and their ports, in that order.
    live: Vec<(u32, u16)>,
    /// The joins that came last, and when.
    recent: heapless::Deque<(u32, u16, Time), RECENT>,
    /// The address that was counted last is the last.
    counts: Vec<(IpAddr, Counts)>,
    /// Addresses on which MPTCP was used, or refused.
    signs: heapless::Vec<(IpAddr, bool), SIGNS>,
}

impl Subflows {
    /// Takes in an event. Whether it is the end of a subflow that never was one: it says nothing of the WAN's life.
    pub fn hear(&mut self, event: &Event, now: Time) -> bool {
        match *event {
            Event::Created(subflow) => {
                self.remember(&[(subflow.token, 0), (subflow.token, subflow.port)]);
                self.count(subflow, |counts| counts.begun += 1);
                self.sign(subflow.source, true);
            }
            Event::Joined(subflow) if self.knows(subflow.token) => {
                self.remember(&[(subflow.token, subflow.port)]);
                self.count(subflow, |counts| counts.joined += 1);
                self.sign(subflow.source, true);
                if self.recent.is_full() {
                    self.recent.pop_front();
                }
                let _ = self.recent.push_back((subflow.token, subflow.port, now)); // a place was just made
            }
            Event::Ended { subflow, error } if self.knows(subflow.token) => {
                let entry = (subflow.token, subflow.port);
                let joined = self.live.binary_search(&entry).map(|at| self.live.remove(at));
                let is_recent =
                    |&(token, port, at): &(u32, u16, Time)| (token, port) == entry && now.since(at) < SOON;
                match joined {
                    // Its endpoint was taken away while it waited (net/mptcp/pm.c closes it with a reset).
                    Err(_) if i32::from(error) == libc::ECONNRESET => {}
                    Err(_) => self.count(subflow, |counts| counts.refused += 1),
                    Ok(_) if self.recent.iter().any(is_recent) => self.count(subflow, |counts| {
                        counts.joined = counts.joined.saturating_sub(1);
                        counts.refused += 1;
                    }),
                    Ok(_) => return false,
                }
                self.sign(subflow.source, false);
                return i32::from(error) != libc::ETIMEDOUT;
            }
            Event::Closed(token) => self.forget_one(token),
            Event::Joined(_) | Event::Ended { .. } => {}
        }
        false
    }

    /// The addresses on which something happened since the last call; whether MPTCP was used there.
    pub fn take_signs(&mut self) -> heapless::Vec<(IpAddr, bool), SIGNS> {
        std::mem::take(&mut self.signs)
    }

    fn sign(&mut self, address: IpAddr, is_good: bool) {
        if !self.signs.contains(&(address, is_good)) {
            // What does not fit happens again.
            let _ = self.signs.push((address, is_good));
        }
    }

    /// Some events were lost: of the connections that there are no more is counted.
    pub fn forget(&mut self) {
        self.live.clear();
    }

    /// What became of those on these addresses.
    pub fn counts(&self, addresses: impl Iterator<Item = IpAddr>) -> Counts {
        let mut sum = Counts::default();
        for address in addresses {
            let of = self.counts.iter().filter(|(known, _)| *known == address);
            for (_, Counts { begun, joined, refused }) in of {
                sum.begun += begun;
                sum.joined += joined;
                sum.refused += refused;
            }
        }
        sum
    }

    /// The beginning of a connection was heard; its entry without a port is there as long as it is.
    fn knows(&self, token: u32) -> bool {
        self.live.binary_search(&(token, 0)).is_ok()
    }

    fn forget_one(&mut self, token: u32) {
        let first = self.live.partition_point(|known| *known < (token, 0));
        let end = self.live.partition_point(|known| *known <= (token, u16::MAX));
        self.live.drain(first..end);
    }

    /// All of these, or no more of their connection.
    fn remember(&mut self, entries: &[(u32, u16)]) {
        for entry in entries {
            match self.live.binary_search(entry) {
                Err(at) if self.live.len() < MOST => self.live.insert(at, *entry),
                Err(_) => self.forget_one(entry.0),
                Ok(_) => {}
            }
        }
    }

    fn count(&mut self, subflow: Subflow, count: impl FnOnce(&mut Counts)) {
        let mut counts = Counts::default();
        match self.counts.iter().position(|(known, _)| *known == subflow.source) {
            Some(at) => counts = self.counts.remove(at).1,
            None if self.counts.len() >= ADDRESSES => drop(self.counts.remove(0)),
            None => {}
        }
        count(&mut counts);
        self.counts.push((subflow.source, counts));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn subflow(token: u32, wan: u8, port: u16) -> Subflow {
        Subflow { token, source: IpAddr::from([192, 0, 2, wan]), port }
    }

    /// Hears these, ten seconds after one another; the addresses on which something was refused.
    fn hear(subflows: &mut Subflows, events: &[Event]) -> Vec<IpAddr> {
        let mut refused = Vec::new();
        for (event, at) in events.iter().zip((0..).step_by(10_000_000)) {
            subflows.hear(event, Time(at));
            refused
                .extend(subflows.take_signs().iter().filter(|(_, good)| !good).map(|(address, _)| *address));
        }
        refused
    }

    fn counts(subflows: &Subflows, wan: u8) -> (u64, u64, u64) {
        let Counts { begun, joined, refused } = subflows.counts([subflow(0, wan, 0).source].into_iter());
        (begun, joined, refused)
    }

    #[test]
    fn a_join_that_ends_without_having_joined_was_refused() {
        let mut subflows = Subflows::default();
        let (first, good, bad) = (subflow(7, 1, 1000), subflow(7, 2, 2000), subflow(7, 3, 3000));
        let refused = hear(
            &mut subflows,
            &[
                Event::Created(first),
                Event::Joined(good),
                Event::Ended { subflow: bad, error: 0 },
                Event::Ended { subflow: good, error: 110 },
                Event::Ended { subflow: first, error: 0 },
                Event::Ended { subflow: bad, error: 111 },
            ],
        );
        assert_eq!(refused, [bad.source, bad.source]);
        assert_eq!([1, 2, 3].map(|wan| counts(&subflows, wan)), [(1, 0, 0), (0, 1, 0), (0, 0, 2)]);
    }

    #[test]
    fn a_join_that_ends_at_once_was_refused_by_the_server() {
        let mut subflows = Subflows::default();
        let (first, second) = (subflow(7, 1, 1000), subflow(7, 2, 2000));
        let mut at = |event, ms: u64| subflows.hear(&event, Time(ms * 1000));
        at(Event::Created(first), 0);
        at(Event::Joined(second), 100);
        assert!(at(Event::Ended { subflow: second, error: 0 }, 160));
        at(Event::Joined(second), 200);
        assert!(!at(Event::Ended { subflow: second, error: 110 }, 1_300));
        // It waited, and its endpoint was taken away.
        at(Event::Ended { subflow: second, error: 104 }, 2_000);
        assert_eq!(counts(&subflows, 2), (0, 1, 1));
        let signs = [(first.source, true), (second.source, true), (second.source, false)];
        assert_eq!((subflows.take_signs(), subflows.take_signs().len()), (signs.into_iter().collect(), 0));
    }

    #[test]
    fn of_what_began_unheard_nothing_is_counted() {
        let mut subflows = Subflows::default();
        let (first, second) = (subflow(7, 1, 1000), subflow(7, 2, 2000));
        let ends = [Event::Ended { subflow: second, error: 0 }, Event::Ended { subflow: first, error: 0 }];
        assert!(hear(&mut subflows, &ends).is_empty());
        // Events were lost.
        hear(&mut subflows, &[Event::Created(first), Event::Joined(second)]);
        subflows.forget();
        assert!(hear(&mut subflows, &ends).is_empty());
        // It has ended, and another has its number.
        hear(&mut subflows, &[Event::Created(first), Event::Closed(7)]);
        assert!(hear(&mut subflows, &ends).is_empty());
        assert_eq!(counts(&subflows, 2), (0, 1, 0));
    }

    #[test]
    fn memory_is_bounded_and_what_does_not_fit_is_not_taken_for_refused() {
        let mut subflows = Subflows::default();
        for token in 0..20_000 {
            hear(&mut subflows, &[Event::Created(subflow(token, 1, 1000))]);
        }
        assert_eq!(subflows.live.len(), MOST);
        for token in 0..20_000 {
            let second = subflow(token, 2, 2000);
            let events = [Event::Joined(second), Event::Ended { subflow: second, error: 0 }];
            assert!(hear(&mut subflows, &events).is_empty(), "{token}");
        }
        for wan in 0..=255 {
            hear(&mut subflows, &[Event::Created(subflow(u32::from(wan), wan, 1))]);
        }
        assert_eq!(subflows.counts.len(), ADDRESSES);
        assert_eq!((counts(&subflows, 0), counts(&subflows, 255)), ((0, 0, 0), (1, 0, 0)));
    }

    proptest! {
        /// Nothing of a connection stays when it has ended.
        #[test]
        fn what_has_closed_leaves_nothing(
            events in proptest::collection::vec((0u8..4, 0u32..4, 1u16..4), 0..60),
        ) {
            let mut subflows = Subflows::default();
            for (what, token, port) in events {
                let subflow = subflow(token, 1, port);
                let event = match what {
                    0 => Event::Created(subflow),
                    1 => Event::Joined(subflow),
                    2 => Event::Ended { subflow, error: 0 },
                    _ => Event::Closed(token),
                };
                subflows.hear(&event, Time(0));
            }
            for token in 0..4 {
                subflows.hear(&Event::Closed(token), Time(0));
            }
            prop_assert!(subflows.live.is_empty());
        }
    }
}
