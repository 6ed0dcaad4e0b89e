//! A trace with other settings: a mind beside the recorded one, in a kernel and on links that are models.
//!
//! The links are what the trace knows of them (`links.rs`). The kernel is the recorded one without the recorded
//! manager's doings, to which this mind's changes are made and others' recorded ones carried over (`wan/model.rs`).
//! Interfaces that were taken down and subflows that failed come at their recorded times, though a subflow might
//! not have been there with these settings.

use std::time::Duration;

use super::links::{Bytes, Links, of_device, size};
use super::{Watch, Whose};
use crate::types::{IfIndex, Time};
use crate::wan::mind::{Action, Event, Mind};
use crate::wan::model;
use crate::wan::settings::Settings;
use crate::wan::trace::SetOption;
use crate::wan::world::{Change, Failures, Memory, World};

/// Nobody wakes at the very microsecond.
const WAKE: Duration = Duration::from_micros(100);
/// After a change that was refused the kernel is read again, as the manager does.
const RETRY: Duration = Duration::from_secs(1);

/// Options to be set, with their values.
pub type Options = [(String, Vec<String>)];

/// The settings with these options.
pub fn overridden(settings: &Settings, options: &Options, set: SetOption) -> Result<Settings, String> {
    let mut settings = settings.clone();
    for (option, values) in options {
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        set(&mut settings, option, &values).map_err(|e| format!("{option}: {e}"))?;
    }
    Ok(settings)
}

/// The other mind and its models.
pub(super) struct Other {
    mind: Mind,
    now: Time,
    links: Links,
    /// The recorded kernel without the recorded manager, as seen last.
    plain: World,
    /// The kernel of this mind.
    world: World,
    next_id: u8,
    /// What would stand in the run directory.
    written: Memory,
    /// When the kernel is to be read anew.
    read_at: Option<Time>,
    answers: Vec<(Time, IfIndex, u16)>,
    /// Bytes of its probes, and of their answers from the time on when they are sent.
    own: Vec<Bytes>,
    pub(super) probes: usize,
    pub(super) guessed: usize,
}

impl Other {
    pub(super) fn new(settings: Settings, start: Time, links: Links) -> Other {
        Other {
            mind: Mind::new(settings, Memory::default(), start),
            now: start,
            links,
            plain: World::default(),
            world: World::default(),
            next_id: 1,
            written: Memory::default(),
            read_at: None,
            answers: Vec::new(),
            own: Vec::new(),
            probes: 0,
            guessed: 0,
        }
    }

    /// Lets everything happen that is due before `until`.
    pub(super) fn pass(&mut self, until: Time, watch: Watch) {
        loop {
            let deadline = self.mind.next_deadline(self.now).max(self.now) + WAKE;
            let answer = self.answers.iter().map(|(at, ..)| *at).min().unwrap_or(Time(u64::MAX));
            let next = deadline.min(answer).min(self.read_at.unwrap_or(deadline));
            if next >= until {
                self.now = self.now.max(until);
                return;
            }
            self.now = self.now.max(next);
            if self.read_at.is_some_and(|at| at <= self.now) {
                self.read_at = None;
                self.tell(Event::World(self.world.clone()), watch);
            } else if let Some(at) = self.answers.iter().position(|(at, ..)| *at <= self.now) {
                let (_, index, seq) = self.answers.swap_remove(at);
                self.tell(Event::Answer { index, seq }, watch);
            } else if self.mind.wants_counters(self.now) {
                let counters = self.mind.wans().iter().filter_map(|w| self.counters(w.index)).collect();
                self.tell(Event::Counters(counters), watch);
            } else {
                self.tell(Event::Tick, watch);
            }
        }
    }

    fn counters(&self, index: IfIndex) -> Option<(IfIndex, u64, u64)> {
        let (rx, tx) = self.links.counters(index, self.now)?;
        let own = self.own.iter().find(|own| own.index == index);
        let (own_rx, own_tx) = own.map_or((0, 0), |own| (own.rx, own.tx));
        Some((index, rx.saturating_add(own_rx), tx.saturating_add(own_tx)))
    }

    /// The recorded manager read the kernel; what others did to it meanwhile is done to this one too.
    pub(super) fn see(&mut self, plain: World, watch: Watch) {
        if self.plain.links.is_empty() {
            self.world = plain.clone();
        } else {
            model::carry_over(&mut self.world, &self.written, &self.plain, &plain);
        }
        self.plain = plain;
        self.tell(Event::World(self.world.clone()), watch);
    }

    pub(super) fn tell(&mut self, event: Event, watch: Watch) {
        let (mut failures, mut failed, mut changed) = (Failures::default(), false, false);
        for action in self.mind.handle(event, self.now) {
            watch(Whose::Other, self.now, &self.mind, &action);
            match action {
                Action::Tell(_) => {}
                Action::Change(change) if failures.bar(&change) => {}
                Action::Change(mut change) => {
                    changed = true;
                    failures.mend(&mut change, &self.written);
                    if let Change::Remember(memory) = &change {
                        self.written.clone_from(memory);
                    }
                    if model::apply(&mut self.world, &mut self.next_id, &change).is_err() {
                        failures.note(&change);
                        failed = true;
                    }
                }
                Action::Probe(index, probe, target) => {
                    let fate = self.links.fate(index, &target, probe.method, self.now);
                    self.probes += 1;
                    self.guessed += usize::from(fate.guessed);
                    if let Some(own) = of_device(&mut self.own, index) {
                        own.tx += size(probe.method);
                        own.rx += if fate.rtt.is_some() { size(probe.method) } else { 0 };
                    }
                    self.answers.extend(fate.rtt.map(|rtt| (self.now + rtt, index, probe.seq)));
                }
            }
        }
        if failed {
            self.mind.recall(self.written.clone());
        }
        if changed {
            self.read_at = Some(if failed { self.now + RETRY } else { self.now });
        }
    }
}
