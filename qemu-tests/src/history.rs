//! What something was, and since when: filled by a watching thread, asked by tests.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::runner::patience;

/// All states since the watch began, each with the time at which it was seen first.
pub struct History<T> {
    states: Mutex<Vec<(Instant, T)>>,
    changed: Condvar,
}

impl<T: Clone> History<T> {
    pub(crate) fn new(first: T) -> Arc<History<T>> {
        Arc::new(History { states: Mutex::new(vec![(Instant::now(), first)]), changed: Condvar::new() })
    }

    pub(crate) fn push(&self, at: Instant, state: T) {
        self.lock().push((at, state));
        self.changed.notify_all();
    }

    /// The state now.
    pub fn now(&self) -> T {
        // `new` put the first one in and nothing is ever taken out.
        self.lock().last().expect("a history has a first state").1.clone()
    }

    /// The state at `since` and every later one.
    pub fn since(&self, since: Instant) -> Vec<(Instant, T)> {
        let states = self.lock();
        let first = states.partition_point(|(at, _)| *at <= since).saturating_sub(1);
        states[first..].to_vec()
    }

    /// How long after `since` a state came for which `wanted` holds: zero if it held then already, None
    /// if it did not come within the time, which a slow machine lengthens ([`patience`]).
    pub fn wait(&self, since: Instant, within: Duration, wanted: impl Fn(&T) -> bool) -> Option<Duration> {
        let within = patience() * within;
        let mut states = self.lock();
        loop {
            let first = states.partition_point(|(at, _)| *at <= since).saturating_sub(1);
            if let Some((at, _)) = states[first..].iter().find(|(_, state)| wanted(state)) {
                return Some(at.saturating_duration_since(since)).filter(|after| *after <= within);
            }
            let left = (since + within).checked_duration_since(Instant::now())?;
            states = self.changed.wait_timeout(states, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(Instant, T)>> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
