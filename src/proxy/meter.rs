//! What somebody has sent and received, and how fast he may.

use std::cell::Cell;
use std::num::NonZeroU32;
use std::time::Duration;

use crate::sys::clock;
use crate::types::Time;

/// A burst of so long at full rate is let through: a queue would do so too.
const BURST: Duration = Duration::from_millis(100);

/// One direction of somebody's traffic.
#[derive(Debug)]
pub struct Flow {
    /// Bytes that it has carried.
    pub bytes: Cell<u64>,
    /// In bytes a second; 0 is no limit.
    rate: Cell<u64>,
    /// When what was carried so far has been paid for at that rate.
    paid: Cell<Time>,
    /// The same of datagrams alone. Connections that wait for their turn are always ahead of it, each by what it has in
    /// hand; by their account no datagram would get through beside them.
    #[cfg(feature = "server")]
    datagrams: Cell<Time>,
}

impl Flow {
    fn new(mbps: Option<NonZeroU32>) -> Flow {
        let now = clock::now();
        let flow = Flow {
            bytes: Cell::new(0),
            rate: Cell::new(0),
            paid: Cell::new(now),
            #[cfg(feature = "server")]
            datagrams: Cell::new(now),
        };
        flow.set_rate(mbps);
        flow
    }

    fn set_rate(&self, mbps: Option<NonZeroU32>) {
        self.rate.set(mbps.map_or(0, |mbps| u64::from(mbps.get()) * 125_000));
    }

    /// Counts bytes that were carried.
    pub fn count(&self, bytes: usize) {
        self.bytes.set(self.bytes.get() + bytes as u64);
    }

    /// Counts them; how long to wait until they are paid for, if that is to be waited for: whoever is not read cannot send.
    pub fn wait(&self, bytes: usize) -> Option<Duration> {
        self.count(bytes);
        if self.rate.get() == 0 {
            return None;
        }
        Some(self.charge(&self.paid, bytes, clock::now())).filter(|wait| !wait.is_zero())
    }

    /// The same of a datagram: false if it has to be lost.
    #[cfg(feature = "server")]
    pub fn admits(&self, bytes: usize) -> bool {
        let now = clock::now();
        if self.rate.get() != 0 {
            if self.datagrams.get().since(now) > BURST {
                return false;
            }
            self.charge(&self.datagrams, bytes, now);
            // And connections make room for them.
            self.charge(&self.paid, bytes, now);
        }
        self.count(bytes);
        true
    }

    /// How long to wait after these bytes, by one of the accounts.
    fn charge(&self, account: &Cell<Time>, bytes: usize, now: Time) -> Duration {
        let cost =
            Duration::from_nanos((bytes as u64).saturating_mul(1_000_000_000) / self.rate.get().max(1));
        // Time that passed unused is lost, but for a burst's.
        let paid = account.get().max(now - BURST) + cost;
        account.set(paid);
        paid.since(now)
    }
}

/// What somebody has sent and received.
#[derive(Debug)]
pub struct Meter {
    /// From him.
    pub up: Flow,
    /// To him.
    pub down: Flow,
}

impl Meter {
    /// With a rate in Mbit/s each way, or without one.
    pub fn new(mbps: Option<NonZeroU32>) -> Meter {
        Meter { up: Flow::new(mbps), down: Flow::new(mbps) }
    }

    /// Another rate from now on.
    #[cfg(feature = "server")]
    pub fn set_rate(&self, mbps: Option<NonZeroU32>) {
        self.up.set_rate(mbps);
        self.down.set_rate(mbps);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_holds_over_time_and_lets_a_burst_through() {
        let flow = Flow::new(NonZeroU32::new(8));
        let start = Time(10_000_000);
        flow.paid.set(Time(0));
        // A megabyte a second: 100 ms of it at once, and no more for having waited longer.
        assert_eq!(flow.charge(&flow.paid, 100_000, start), Duration::ZERO);
        assert_eq!(flow.charge(&flow.paid, 50_000, start), Duration::from_millis(50));
        // Whoever waits as he is told gets just his rate.
        let mut now = start;
        for _ in 0..100 {
            now = now + flow.charge(&flow.paid, 25_000, now);
        }
        let ideal = Duration::from_millis(50 + 2_500);
        assert_eq!(now.since(start), ideal);
    }

    #[cfg(feature = "server")]
    #[test]
    fn datagrams_get_through_beside_connections_at_the_rate() {
        let flow = Flow::new(NonZeroU32::new(8));
        // Eight connections with a chunk each in hand: two seconds ahead.
        for _ in 0..8 {
            let _ = flow.charge(&flow.paid, 256 << 10, clock::now());
        }
        assert!(flow.admits(1_000));
        let before = flow.paid.get();
        assert!(flow.admits(1_000));
        assert!(flow.paid.get() > before, "connections make no room for it");
    }

    #[cfg(feature = "server")]
    #[test]
    fn datagrams_above_the_rate_are_lost_and_without_a_rate_none_is() {
        let admitted = |mbps| {
            let flow = Flow::new(mbps);
            (0..1_000).filter(|_| flow.admits(1_000)).count()
        };
        assert_eq!(admitted(None), 1_000);
        let some = admitted(NonZeroU32::new(8));
        assert!((100..1_000).contains(&some), "{some}");
    }
}
