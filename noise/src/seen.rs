//! Which handshakes of a client there have been, by their times, so that none is answered twice.
//!
//! Connections are opened at once and over several WANs, so their times come in any order: the latest are remembered, and
//! what is before all of them is taken for one that has been.
//!
//! A router's clock may be set back: one without a battery begins in the past, or somebody had set it ahead. Its times
//! are old then, and it is not let in until its clock is right, or nobody of its key has been let in for
//! [`FORGOTTEN`]. Then all begins anew with its time; who says old handshakes again just then learns that somebody is
//! there, and no more.

use std::collections::BTreeSet;
use std::time::Duration;

/// More are not opened while one is on its way.
const REMEMBERED: usize = 256;
/// So long a client is away before an old time of its may be a clock's fault.
pub const FORGOTTEN: Duration = Duration::from_secs(60);

/// The handshakes of one client.
#[derive(Default)]
pub struct Seen {
    /// The latest of their times.
    times: BTreeSet<u64>,
    /// When the last one was let in, by the server's clock.
    last: Duration,
}

impl Seen {
    /// Whether a handshake of this time may be answered, which is `now` by a clock that is never set. It is remembered then.
    pub fn admits(&mut self, time: u64, now: Duration) -> bool {
        let is_old = self.times.len() >= REMEMBERED && self.times.first().is_some_and(|first| time < *first);
        if is_old {
            if now.saturating_sub(self.last) < FORGOTTEN {
                return false;
            }
            self.times.clear();
        }
        if !self.times.insert(time) {
            return false;
        }
        if self.times.len() > REMEMBERED {
            self.times.pop_first();
        }
        self.last = now;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn none_is_answered_twice_in_whatever_order_they_come() {
        let mut seen = Seen::default();
        for time in [3, 1, 2, 9, 7] {
            assert!(seen.admits(time, SECOND));
        }
        for time in [3, 1, 2, 9, 7] {
            assert!(!seen.admits(time, 100 * FORGOTTEN), "{time}");
        }
    }

    #[test]
    fn what_is_older_than_all_that_are_remembered_is_refused() {
        let mut seen = Seen::default();
        assert!((1000..1300).all(|time| seen.admits(time, SECOND)));
        assert!(!seen.admits(999, SECOND));
        assert!(!seen.admits(1000, SECOND), "one that is forgotten");
        assert!(!seen.admits(1299, SECOND));
        assert!(seen.admits(1300, SECOND));
    }

    #[test]
    fn one_that_is_forgotten_is_not_answered_again_beside_one_that_was_late() {
        let mut seen = Seen::default();
        assert!([1000, 5].into_iter().chain(1001..1300).all(|time| seen.admits(time, SECOND)));
        assert!(!seen.admits(1000, SECOND));
    }

    #[test]
    fn a_clock_that_was_set_back_keeps_nobody_out_for_ever() {
        let mut seen = Seen::default();
        assert!((1000..1300).all(|time| seen.admits(time, SECOND)));
        assert!(!seen.admits(5, FORGOTTEN));
        assert!(seen.admits(5, SECOND + FORGOTTEN));
        assert!(!seen.admits(5, SECOND + FORGOTTEN));
        // Its clock goes on, and so does it.
        assert!((6..1000).all(|time| seen.admits(time, SECOND + FORGOTTEN)));
    }
}
