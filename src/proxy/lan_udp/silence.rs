//! Whether a connection hangs: datagrams went into it, none comes back, and the other end has not even acknowledged any.

use std::cell::Cell;
use std::time::Duration;

use crate::types::Time;

/// A connection by which nothing has come for so long, although something was sent, may hang: its WAN has died, and no
/// other carries it (a carrier has made plain TCP of it, say). Nothing comes either where hosts send to somebody who never
/// answers, as cameras do; then the kernel tells how much of what was sent has arrived.
const SILENT: Duration = Duration::from_secs(3);

/// A connection's.
#[derive(Default)]
pub struct Silence(Cell<Option<Since>>);

/// It was silent since then.
#[derive(Clone, Copy)]
struct Since {
    time: Time,
    /// Of all bytes ever written so many had been acknowledged by then at most. Of a steady upload something is under way
    /// at any time; it is more than this that shows that it goes on.
    acknowledged: u64,
}

impl Silence {
    /// Something is sent, after so many bytes in all.
    pub fn begin(&self, now: Time, written: u64) {
        if self.0.get().is_none() {
            self.0.set(Some(Since { time: now, acknowledged: written }));
        }
    }

    /// Something has come.
    pub fn end(&self) {
        self.0.set(None);
    }

    /// Whether it is worth asking the kernel: a call that no datagram should cost.
    pub fn is_long(&self, now: Time) -> bool {
        self.0.get().is_some_and(|since| now.since(since.time) >= SILENT)
    }

    /// Whether it goes on, if so many of the bytes written are not acknowledged yet; if it does not, it begins anew.
    pub fn goes_on(&self, now: Time, written: u64, unacknowledged: u64) -> bool {
        let acknowledged = written.saturating_sub(unacknowledged);
        let waits = unacknowledged > 0;
        if waits && self.0.get().is_some_and(|since| acknowledged <= since.acknowledged) {
            return true;
        }
        self.0.set(waits.then_some(Since { time: now, acknowledged }));
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Time {
        Time::default() + Duration::from_secs(seconds)
    }

    /// Something is sent at 0 s, after 1000 bytes.
    fn begun() -> Silence {
        let silence = Silence::default();
        silence.begin(at(0), 1000);
        silence
    }

    #[test]
    fn it_is_long_unless_something_comes() {
        let silence = begun();
        silence.begin(at(2), 1100);
        assert!(!silence.is_long(at(2)) && silence.is_long(at(3)));
        silence.end();
        assert!(!silence.is_long(at(9)));
    }

    #[test]
    fn what_is_not_acknowledged_hangs() {
        let silence = begun();
        assert!(silence.goes_on(at(3), 1100, 100));
        assert!(silence.goes_on(at(4), 1200, 200));
        assert!(silence.is_long(at(4)));
    }

    #[test]
    fn what_was_acknowledged_is_over_however_long_ago() {
        let silence = begun();
        assert!(!silence.goes_on(at(3), 1100, 0));
        assert!(!silence.is_long(at(100)));
        silence.begin(at(100), 1100);
        assert!(!silence.is_long(at(102)));
    }

    /// Some of it is under way whenever one looks.
    #[test]
    fn a_steady_upload_goes_on_until_it_stops() {
        let silence = begun();
        let mut written = 1000;
        for second in (3..60).step_by(3) {
            written += 3000;
            assert!(silence.is_long(at(second)));
            assert!(!silence.goes_on(at(second), written, 500));
            assert!(!silence.is_long(at(second + 2)));
        }
        // It hangs right after a look, and the next one sees what had arrived until then.
        let stopped = written + 200;
        assert!(!silence.goes_on(at(60), written + 3000, written + 3000 - stopped));
        assert!(silence.goes_on(at(63), written + 6000, written + 6000 - stopped));
    }
}
