//! Hosts of the LAN that have connections: none of them takes all descriptors, neither a scanner of ports nor a broken
//! program, and the others still get in.

use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::time::Duration;

use super::room::Room;
use crate::types::Time;

/// Between two words about hosts that are refused.
const QUIET: Duration = Duration::from_secs(60);

/// How many connections each has.
pub struct LanHosts {
    room: Room,
    /// Only those that have some. A list, for a LAN has few hosts; one that uses address after address of IPv6 still leaves
    /// some to others, if fewer.
    open: RefCell<Vec<(IpAddr, usize)>>,
    /// When it was last told that one is refused.
    told: Cell<Option<Time>>,
}

impl LanHosts {
    /// With none yet, in a process with so many descriptors.
    pub fn new(descriptors: usize) -> LanHosts {
        LanHosts { room: Room::new(descriptors), open: RefCell::default(), told: Cell::new(None) }
    }

    /// Counts a new connection of a host; false if it may have no more.
    pub fn lets_in(&self, host: IpAddr, now: Time) -> bool {
        let mut open = self.open.borrow_mut();
        let place = open.iter_mut().find(|(known, _)| *known == host);
        let his = place.as_ref().map_or(0, |(_, his)| *his);
        if !self.room.lets(his) {
            if self.told.get().is_none_or(|told| now.since(told) >= QUIET) {
                self.told.set(Some(now));
                log::warn!("{host} has {his} connections: it gets no more until some have ended");
            }
            return false;
        }
        self.room.take();
        match place {
            Some((_, his)) => *his += 1,
            None => open.push((host, 1)),
        }
        true
    }

    /// One of its connections has ended.
    pub fn leaves(&self, host: IpAddr) {
        self.room.give();
        let mut open = self.open.borrow_mut();
        if let Some(at) = open.iter().position(|(known, _)| *known == host)
            && let Some((_, his)) = open.get_mut(at)
        {
            *his -= 1;
            if *his == 0 {
                open.swap_remove(at);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time(1);

    #[test]
    fn a_host_without_end_leaves_room_for_another() {
        let hosts = LanHosts::new(8 * 80);
        let [greedy, other] = [[192, 168, 1, 2], [192, 168, 1, 3]].map(IpAddr::from);
        let mut his = 0;
        while hosts.lets_in(greedy, NOW) {
            his += 1;
        }
        assert_eq!(his, 120);
        assert!(hosts.lets_in(other, NOW));
        hosts.leaves(greedy);
        assert!(hosts.lets_in(greedy, NOW));
        assert!(!hosts.lets_in(greedy, NOW));
    }

    #[test]
    fn who_has_no_connection_any_more_is_forgotten() {
        let hosts = LanHosts::new(8000);
        let ip = |i: u8| IpAddr::from([192, 168, 1, i]);
        for round in [1, 2] {
            (0..=255).for_each(|i| assert!(hosts.lets_in(ip(i), NOW), "round {round}"));
        }
        assert_eq!(hosts.open.borrow().len(), 256);
        for _ in [1, 2] {
            (0..=255).for_each(|i| hosts.leaves(ip(i)));
        }
        assert!(hosts.open.borrow().is_empty());
    }
}
