//! Whether the bonding server answers on one WAN, which matters for the WAN's endpoint alone.
//!
//! It counts once it answered somewhere: a server that is away everywhere, or that does not answer pings, is no
//! WAN's fault. So here too another WAN has to vouch for it, answered in the same time.

use std::time::Duration;

use crate::types::Time;

/// This many of its answers must be missing in a row: 1.5 s at the interval below, longer than any handover.
const LOST: usize = 6;
/// A full queue drops questions like all else: half of those to a flooded WAN, so that six in a row is a matter of
/// seconds, and twice as many is not.
const LOST_IN_QUEUE: usize = 2 * LOST;
/// After so many the questions go back to their turns: nobody vouches for the server.
const GIVEN_UP: usize = 3 * LOST;
/// A server that misses a question is asked again this often.
pub const INTERVAL: Duration = Duration::from_millis(250);
/// A witness's answer stands for what was sent this much later.
const REACH: Duration = Duration::from_millis(300);

/// What the server's answers say on one WAN.
#[derive(Clone, Debug)]
pub struct ServerWatch {
    ok: bool,
    /// When the questions were sent whose answers are missing in a row, the last of them.
    missing: heapless::Deque<Time, GIVEN_UP>,
    count: usize,
    /// Answers in a row.
    streak: u32,
    /// When the newest answered question was sent, and the first one of that run without a miss.
    answered: Option<Time>,
    answers_since: Option<Time>,
}

impl ServerWatch {
    /// A server of which nothing is known is taken for fine.
    pub fn new() -> ServerWatch {
        ServerWatch {
            ok: true,
            missing: heapless::Deque::new(),
            count: 0,
            streak: 0,
            answered: None,
            answers_since: None,
        }
    }

    /// It answers, as far as anyone knows.
    pub fn is_ok(&self) -> bool {
        self.ok
    }

    /// A question sent at `at` was answered.
    pub fn answered(&mut self, at: Time) {
        self.answered = Some(self.answered.map_or(at, |newest| newest.max(at)));
        self.answers_since.get_or_insert(at);
        self.streak += 1;
        self.missing.clear();
        self.count = 0;
    }

    /// A question sent at `at` was not.
    pub fn missed(&mut self, at: Time) {
        if self.missing.is_full() {
            self.missing.pop_front();
        }
        let _ = self.missing.push_back(at); // a place was just made
        self.count += 1;
        self.streak = 0;
        self.answers_since = None;
    }

    /// It used to answer, and does not just now: worth asking more often.
    pub fn is_doubtful(&self) -> bool {
        self.ok && self.answered.is_some() && (1..GIVEN_UP).contains(&self.count)
    }

    /// Its answers are missing here, and `witness` had one for what was asked in the same time. More are to be missing
    /// where packets are `queueing`.
    pub fn is_lost_by(&self, witness: &ServerWatch, queueing: bool) -> bool {
        let (Some(since), Some(last)) = (witness.answers_since, witness.answered) else { return false };
        let vouched = self.missing.iter().filter(|&&at| at >= since && at <= last + REACH).count();
        self.ok && vouched >= if queueing { LOST_IN_QUEUE } else { LOST }
    }

    /// It answers again.
    pub fn is_back(&self, replies: u32) -> bool {
        !self.ok && self.streak >= replies
    }

    /// Notes the verdict.
    pub fn set_ok(&mut self, ok: bool) {
        self.ok = ok;
        self.forget();
    }

    /// Forgets what was missed: nothing passed at all.
    pub fn forget(&mut self) {
        self.missing.clear();
        self.count = 0;
        self.streak = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A watch on questions sent at these times in ms; positive ones were answered.
    fn watch(questions: &[i64]) -> ServerWatch {
        let mut watch = ServerWatch::new();
        for &ms in questions {
            let at = Time(ms.unsigned_abs() * 1000);
            if ms > 0 { watch.answered(at) } else { watch.missed(at) }
        }
        watch
    }

    const SILENT: [i64; 7] = [1000, -2000, -2250, -2500, -2750, -3000, -3250];

    #[test]
    fn a_server_that_answers_elsewhere_is_lost_here() {
        assert!(watch(&SILENT).is_lost_by(&watch(&[1000, 2000, 3000]), false));
        assert!(!watch(&SILENT).is_lost_by(&watch(&[1000, 2000]), false), "not asked lately");
    }

    #[test]
    fn a_full_queue_is_given_twice_as_long() {
        let witness = watch(&[1000, 2000, 3000, 4000, 5000]);
        let silent =
            |count| watch(&[&[1000][..], &(0..count).map(|i| -2000 - 250 * i).collect::<Vec<_>>()].concat());
        assert!(silent(6).is_lost_by(&witness, false));
        assert!(!silent(11).is_lost_by(&witness, true));
        assert!(silent(12).is_lost_by(&witness, true));
        assert!(silent(12).is_doubtful(), "asked often until then");
    }

    #[test]
    fn one_that_was_away_everywhere_is_not() {
        let first_to_hear = watch(&[1000, -2000, -2250, -2500, -2750, -3000, 3300]);
        assert!(!watch(&SILENT).is_lost_by(&first_to_hear, false));
        assert!(!watch(&SILENT).is_lost_by(&watch(&SILENT), false));
    }
}
