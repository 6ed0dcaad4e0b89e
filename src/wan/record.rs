//! What was decided, when, on which numbers, and what came of it.
//!
//! The record has a fixed size. It is written down line by line, so that a restart, or an operator after a crash,
//! finds it again: times count from the boot (CLOCK_MONOTONIC), as the run directory does.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use super::liveness::{NOTABLE, State};
use super::world::Change;
use crate::types::{IfIndex, IfName, Time, micros};
use crate::wire::rtnl::TABLE_MAIN;

mod line;
mod reason;

pub use reason::{Carried, Reason};

/// Decisions that are kept.
pub const KEPT: usize = 1024;
/// What is written down never takes more bytes than this.
pub const MIRROR: usize = 255 * 1024;
/// So many are left when it is written anew: room for every decision kept, a lost WAN's line being the longest.
const REWRITTEN: usize = 232 * 1024;

/// One decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// When.
    pub at: Time,
    /// About which WAN; None for the manager itself.
    pub name: Option<IfName>,
    /// Its state before.
    pub from: State,
    /// Its state from now on.
    pub to: State,
    /// Why.
    pub reason: Reason,
    /// What was done for it.
    pub outcome: Outcome,
}

/// What was done for a decision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Default routes of the main table that were put elsewhere.
    pub routes: u16,
    /// Endpoints that were added.
    pub added: u16,
    /// Endpoints that were removed.
    pub removed: u16,
    /// Endpoints that became backup, or no backup.
    pub flagged: u16,
    /// Changes that the kernel refused.
    pub failed: u16,
    /// From the decision until all of it was done.
    pub took: Duration,
}

impl Outcome {
    /// Counts a change.
    pub fn count(&mut self, change: &Change, done: bool) {
        let place = match change {
            _ if !done => &mut self.failed,
            Change::AddRoute(r) | Change::ReplaceRoute(r) if r.table == TABLE_MAIN => &mut self.routes,
            Change::AddEndpoint(_) => &mut self.added,
            Change::DeleteEndpoint(_) => &mut self.removed,
            Change::SetFlags(_) => &mut self.flagged,
            _ => return,
        };
        *place = place.saturating_add(1);
    }

    /// Nothing was done that anyone would look for.
    pub fn is_nothing(&self) -> bool {
        *self == Outcome { took: self.took, ..Outcome::default() }
    }

    /// Both together; it took as long as the later one.
    fn and(self, later: Outcome) -> Outcome {
        Outcome {
            routes: self.routes.saturating_add(later.routes),
            added: self.added.saturating_add(later.added),
            removed: self.removed.saturating_add(later.removed),
            flagged: self.flagged.saturating_add(later.flagged),
            failed: self.failed.saturating_add(later.failed),
            took: later.took,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            (self.routes, "default route", "moved"),
            (self.removed, "endpoint", "removed"),
            (self.added, "endpoint", "added"),
            (self.flagged, "endpoint", "flagged"),
        ];
        let mut separator = "";
        for (n, what, done) in parts.into_iter().filter(|(n, ..)| *n > 0) {
            let plural = if n == 1 { "" } else { "s" };
            write!(f, "{separator}{n} {what}{plural} {done}")?;
            separator = ", ";
        }
        if self.failed > 0 {
            write!(f, "{separator}{} refused by the kernel", self.failed)?;
        }
        let took = micros(self.took);
        write!(f, " in {}.{} ms", took / 1000, took % 1000 / 100)
    }
}

impl Decision {
    /// A suspicion that began or soon ended: nothing was done for it.
    pub fn is_routine(&self) -> bool {
        match self.reason {
            Reason::Missing { .. } => true,
            Reason::Cleared { lasted, .. } => lasted < NOTABLE,
            _ => false,
        }
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            None => write!(f, "{}", self.reason)?,
            Some(name) if self.from == self.to => {
                write!(f, "{name}: {} ({})", self.to.as_str(), self.reason)?
            }
            Some(name) => {
                write!(f, "{name}: {} -> {} ({})", self.from.as_str(), self.to.as_str(), self.reason)?;
            }
        }
        if !self.outcome.is_nothing() {
            write!(f, "; {}", self.outcome)?;
        }
        Ok(())
    }
}

/// The last decisions, oldest first.
#[derive(Clone, Debug, Default)]
pub struct Record {
    ring: VecDeque<Decision>,
    /// Where the decisions begin whose outcome is not known yet, from the newest.
    open: usize,
}

impl Record {
    /// Keeps a decision; the oldest gives way.
    pub fn keep(&mut self, decision: Decision) {
        self.push(decision);
        self.open = (self.open + 1).min(KEPT);
    }

    fn push(&mut self, decision: Decision) {
        if self.ring.len() >= KEPT {
            self.ring.pop_front();
        }
        self.ring.push_back(decision);
    }

    /// What was done at `at` for the decisions since the last call: each change, by the device that it concerns, and
    /// whether it was. Changes without a decision follow what somebody else did. Gives the decisions that are
    /// complete now, to be written down.
    pub fn conclude(
        &mut self,
        at: Time,
        changes: &[(Change, bool)],
        took: Duration,
        name_of: impl Fn(IfIndex) -> Option<IfName>,
    ) -> impl Iterator<Item = &Decision> {
        let sum = |concerns: &dyn Fn(&Change) -> bool| {
            let mut outcome = Outcome { took, ..Outcome::default() };
            let those = changes.iter().filter(|(change, _)| concerns(change));
            those.for_each(|(change, done)| outcome.count(change, *done));
            if outcome.is_nothing() { Outcome::default() } else { outcome }
        };
        let mut open = std::mem::take(&mut self.open);
        if open == 0 && !sum(&|_| true).is_nothing() {
            self.follow(at, sum(&|_| true));
            open = 1;
        } else {
            let first = self.ring.len().saturating_sub(open);
            for at in first..self.ring.len() {
                let name_at = |at: usize| self.ring.get(at).and_then(|d| d.name.as_ref());
                let name = name_at(at);
                // Of several at once, each has what concerned its own device, and the first what concerned none of them.
                let own = |change: &Change| {
                    let device = change.index().and_then(&name_of);
                    let device = device.as_ref();
                    let is_nobodys = (first..self.ring.len()).all(|at| name_at(at) != device);
                    name.is_none() || device == name || at == first && is_nobodys
                };
                let outcome = sum(&own);
                if let Some(decision) = self.ring.get_mut(at) {
                    decision.outcome = outcome;
                }
            }
        }
        self.ring.iter().skip(self.ring.len().saturating_sub(open))
    }

    /// In a row these are one decision, or a fight would push out all others.
    fn follow(&mut self, at: Time, outcome: Outcome) {
        let mut decision = Decision {
            at,
            name: None,
            from: State::Testing,
            to: State::Testing,
            reason: Reason::Followed { times: 1, span: Duration::ZERO },
            outcome,
        };
        if let Some(Decision { at: first, reason: Reason::Followed { times, .. }, outcome: before, .. }) =
            self.ring.back()
        {
            decision.reason = Reason::Followed { times: times.saturating_add(1), span: at.since(*first) };
            decision.at = *first;
            decision.outcome = before.and(outcome);
            self.ring.pop_back();
        }
        self.push(decision);
    }

    /// The decisions, oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Decision> {
        self.ring.iter()
    }

    /// The newest decisions, a line for each, as many as fit.
    pub fn to_text(&self) -> String {
        let mut left = REWRITTEN;
        let fits = |line: &String| {
            left = left.saturating_sub(line.len());
            left > 0
        };
        let lines: Vec<String> = self.ring.iter().rev().map(Decision::to_line).take_while(fits).collect();
        lines.into_iter().rev().collect()
    }

    /// From such lines. One that is none (torn by a crash, of another version) is left out, and what lies ahead of
    /// `now`: it is from before a reboot. A line about the same moment and WAN as the one before stands in its place.
    pub fn from_text(text: &str, now: Time) -> Record {
        let mut record = Record::default();
        for decision in text.lines().filter_map(Decision::from_line).filter(|d| d.at <= now) {
            let same = |d: &Decision| {
                d.at == decision.at && d.name == decision.name && d.reason.word() == decision.reason.word()
            };
            if record.ring.back().is_some_and(same) {
                record.ring.pop_back();
            }
            record.push(decision);
        }
        record
    }
}

#[cfg(test)]
mod tests;
