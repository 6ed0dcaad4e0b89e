//! Connections to the server that are opened before anybody wants one, so that a host's first byte does not wait for
//! the way to the server and back.
//!
//! None of them is old. One that has carried nothing has no second subflow (the path manager adds them once data was
//! acknowledged), so when its WAN dies it hangs, for over 20 s as measured; so a verdict about a WAN ends all of them.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::time::Duration;

use super::channel::Channel;
use crate::types::Time;

/// Below the half minute after which a carrier may have forgotten it.
const OLD: Duration = Duration::from_secs(25);
/// At most so many wait; a page's hosts come within a moment.
const MOST: usize = 8;
/// So long after news of a WAN none is opened. A manager takes several steps, the endpoints last, and a connection that
/// was opened while there was no endpoint at all never gets a second subflow (work_pending in mptcp_pm_data_reset,
/// net/mptcp/pm.c).
const UNSETTLED: Duration = Duration::from_secs(1);
/// Over so long demand is counted.
const WINDOW: Duration = Duration::from_secs(2);

/// Those that wait.
#[derive(Default)]
pub struct Ahead {
    waiting: RefCell<VecDeque<(Channel, Time)>>,
    /// Taken in this window, and when it began.
    taken: Cell<usize>,
    began: Cell<Time>,
    /// Those before a verdict are of another generation.
    generation: Cell<u32>,
    /// Until then it is not quiet about WANs.
    unsettled: Cell<Time>,
}

impl Ahead {
    /// The next one that is still good.
    pub fn take(&self, now: Time) -> Option<Channel> {
        self.count(now);
        self.taken.set(self.taken.get() + 1);
        let mut waiting = self.waiting.borrow_mut();
        while let Some((stream, opened)) = waiting.pop_front() {
            if now.since(opened) < OLD && stream.is_fresh() {
                return Some(stream);
            }
        }
        None
    }

    /// Which generation a connection that is opened now is of.
    pub fn generation(&self) -> u32 {
        self.generation.get()
    }

    /// Takes one in, if nothing has been said about WANs since it was begun.
    pub fn add(&self, stream: Channel, generation: u32, now: Time) {
        if generation == self.generation.get() {
            self.waiting.borrow_mut().push_back((stream, now));
        }
    }

    /// Something is changing about WANs: all of them end, and the next are opened when that is over.
    pub fn unsettle(&self, now: Time) {
        self.unsettled.set(now + UNSETTLED);
        self.end_all();
    }

    /// Ends all of them.
    pub fn end_all(&self) {
        self.generation.set(self.generation.get().wrapping_add(1));
        self.waiting.borrow_mut().clear();
    }

    /// How many more there should be, once the old ones are gone and those that the server has ended.
    pub fn lacks(&self, now: Time) -> usize {
        self.count(now);
        let mut waiting = self.waiting.borrow_mut();
        waiting.retain(|(stream, opened)| now.since(*opened) < OLD && stream.is_fresh());
        if now < self.unsettled.get() {
            return 0;
        }
        (1 + self.taken.get()).min(MOST).saturating_sub(waiting.len())
    }

    fn count(&self, now: Time) {
        if now.since(self.began.get()) >= WINDOW {
            self.began.set(now);
            self.taken.set(0);
        }
    }
}
