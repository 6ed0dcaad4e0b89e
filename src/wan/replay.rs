//! A trace told again to a new mind, on virtual time: exactly as it was, or with other settings.

use std::collections::VecDeque;

use super::mind::{Action, Event, Mind};
use super::trace::{self, BadLine, Entry, Head, Reader, SetOption};
use crate::types::Time;

mod links;
mod what_if;

pub use what_if::{WhatIf, overridden, what_if};

/// Sees what a mind asks for, when.
pub type Watch<'w> = &'w mut dyn FnMut(Time, &Mind, &Action);

/// Where a mind decided otherwise than the one that was recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// When.
    pub at: Time,
    /// What was decided then; None if nothing.
    pub recorded: Option<String>,
    /// What is decided now.
    pub now: Option<String>,
}

/// A trace told again exactly.
#[derive(Clone, Debug)]
pub struct Exact {
    /// Its beginning.
    pub head: Head,
    /// The time of its last entry.
    pub end: Time,
    /// Decisions in the trace.
    pub recorded: usize,
    /// The first difference, if any.
    pub difference: Option<Difference>,
    /// The trace was cut off within its last line.
    pub torn: bool,
}

/// Tells a trace to a new mind and compares its decisions with the recorded ones.
pub fn exact(bytes: &[u8], set: SetOption, watch: Watch) -> Result<Exact, BadLine> {
    let mut reader = Reader::new(bytes, set)?;
    let mut teller = Teller::new(reader.head());
    for entry in &mut reader {
        let (at, entry) = entry?;
        teller.tell(at, entry, watch);
    }
    let torn = reader.is_torn();
    if !torn {
        teller.expect_no_more();
    }
    let Teller { recorded, difference, .. } = teller;
    Ok(Exact { head: reader.head().clone(), end: reader.now(), recorded, difference, torn })
}

/// A mind that is told what another one was told.
struct Teller {
    mind: Mind,
    /// Its decisions that the trace has not confirmed yet.
    pending: VecDeque<(Time, String)>,
    recorded: usize,
    difference: Option<Difference>,
}

impl Teller {
    fn new(head: &Head) -> Teller {
        Teller {
            mind: Mind::new(head.settings.clone(), head.memory.clone(), head.start),
            pending: VecDeque::new(),
            recorded: 0,
            difference: None,
        }
    }

    fn tell(&mut self, at: Time, entry: Entry, watch: Watch) {
        match entry {
            Entry::Event(event) => self.tell_mind(at, event, watch),
            Entry::Recall(memory) => self.mind.recall(memory),
            Entry::Probe(..) => {}
            Entry::Decision(recorded) => {
                self.recorded += 1;
                let now = self.pending.pop_front().map(|(_, text)| text);
                if now.as_ref() != Some(&recorded) {
                    self.note(Difference { at, recorded: Some(recorded), now });
                }
            }
        }
    }

    fn tell_mind(&mut self, at: Time, event: Event, watch: Watch) {
        self.expect_no_more();
        for action in self.mind.handle(event, at) {
            if let Action::Tell(decision) = &action {
                self.pending.push_back((at, trace::decision_line(decision)));
            }
            watch(at, &self.mind, &action);
        }
    }

    /// Everything that was decided is in the trace.
    fn expect_no_more(&mut self) {
        for (at, text) in std::mem::take(&mut self.pending) {
            self.note(Difference { at, recorded: None, now: Some(text) });
        }
    }

    fn note(&mut self, difference: Difference) {
        self.difference.get_or_insert(difference);
    }
}

#[cfg(test)]
mod tests;
