//! `backup auto`: a WAN becomes a backup when it proves both slow and thin.
//!
//! RTT alone throws the bond away: 5 Mbit/s at 10 ms with 20 Mbit/s at 180 ms reach 0.95 of the sum.

use std::time::Duration;

use crate::types::Time;

/// Beyond the best WAN's RTT by this much is slow.
const SLOW: Duration = Duration::from_millis(150);
/// Less than this beyond it is not slow any more.
const NOT_SLOW: Duration = Duration::from_millis(100);
/// For this long in a row.
const PROOF: Duration = Duration::from_secs(30);
/// A comparison of rates says something when another WAN carries at least 1 Mbit/s, in bytes per second.
const MEANINGFUL: u64 = 125_000;

/// Watches one WAN.
#[derive(Clone, Copy, Debug, Default)]
pub struct BackupWatch {
    is_backup: bool,
    /// Since when everything speaks for the other state.
    since: Option<Time>,
}

impl BackupWatch {
    /// Takes in how the WAN does beside the others; rates in bytes per second. Gives true when the verdict changed.
    pub fn watch(&mut self, now: Time, rtt: Duration, best: Duration, rate: u64, others: u64) -> bool {
        let against = match self.is_backup {
            false => rtt > best + SLOW && others >= MEANINGFUL && rate < others / 10,
            true => rtt < best + NOT_SLOW,
        };
        if !against {
            self.since = None;
            return false;
        }
        let since = *self.since.get_or_insert(now);
        if now.since(since) < PROOF {
            return false;
        }
        *self = BackupWatch { is_backup: !self.is_backup, since: None };
        true
    }

    /// It is a backup now.
    pub fn is_backup(&self) -> bool {
        self.is_backup
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs for 40 s and gives whether it became a backup.
    fn becomes_backup(rtt: u64, rate: u64) -> bool {
        let mut watch = BackupWatch::default();
        let best = Duration::from_millis(10);
        (0..40).any(|s| watch.watch(Time(s * 1_000_000), Duration::from_millis(rtt), best, rate, 600_000))
    }

    #[test]
    fn only_slow_and_thin_makes_a_backup() {
        assert!(becomes_backup(180, 10_000));
        assert!(!becomes_backup(180, 2_500_000), "slow but it carries");
        assert!(!becomes_backup(150, 10_000), "thin but not slow");
    }
}
