//! A trace told again to a new mind, on virtual time: exactly as it was, and to another one with other settings.

use std::collections::VecDeque;

use super::mind::{Action, Event, Mind};
use super::model;
use super::trace::{self, Entry, Head, Reader, SetOption};
use crate::types::Time;

mod links;
mod what_if;

use links::Links;
use what_if::Other;
pub use what_if::{Options, overridden};

/// Which mind does something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// The one that is told exactly what was recorded.
    Recorded,
    /// The one with other settings.
    Other,
}

/// Sees what a mind asks for, when.
pub type Watch<'w> = &'w mut dyn FnMut(Whose, Time, &Mind, &Action);

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

/// A trace told again.
#[derive(Clone, Debug)]
pub struct Replayed {
    /// Its beginning.
    pub head: Head,
    /// The time of its last entry.
    pub end: Time,
    /// Decisions in the trace.
    pub recorded: usize,
    /// The first difference between these and the same settings' decisions now, if any.
    pub difference: Option<Difference>,
    /// The trace was cut off within its last line.
    pub torn: bool,
    /// Probes sent with the other settings.
    pub probes: usize,
    /// Those of them whose fate is a guess.
    pub guessed: usize,
}

/// Tells a trace to a new mind and compares its decisions with the recorded ones; and with `options`, if there are
/// any, to another mind.
pub fn replay(bytes: &[u8], set: SetOption, options: &Options, watch: Watch) -> Result<Replayed, String> {
    let mut reader = Reader::new(bytes, set).map_err(|e| e.to_string())?;
    let head = reader.head().clone();
    let mut teller = Teller {
        mind: Mind::new(head.settings.clone(), head.memory.clone(), head.start),
        pending: VecDeque::new(),
        recorded: 0,
        difference: None,
    };
    let mut other = None;
    if !options.is_empty() {
        let links = Reader::new(bytes, set).and_then(Links::of).map_err(|e| e.to_string())?;
        other = Some(Other::new(overridden(&head.settings, options, set)?, head.start, links));
    }
    for entry in &mut reader {
        let (at, entry) = entry.map_err(|e| e.to_string())?;
        if let (Some(other), Entry::Event(event)) = (&mut other, &entry) {
            other.pass(at, watch);
            match event {
                Event::World(world) => other.see(model::without_us(world, teller.mind.memory()), watch),
                Event::Settings(settings) => {
                    let settings = overridden(settings, options, set)?;
                    other.tell(Event::Settings(Box::new(settings)), watch);
                }
                Event::SubflowFailed(_) | Event::Mptcp(..) | Event::Release(_) | Event::Keep(_) => {
                    other.tell(event.clone(), watch)
                }
                // It asks, reads and waits for itself.
                Event::Answer { .. } | Event::Counters(_) | Event::Tick => {}
            }
        }
        teller.tell(at, entry, watch);
    }
    let torn = reader.is_torn();
    if !torn {
        teller.expect_no_more();
    }
    let (probes, guessed) = other.map_or((0, 0), |other| (other.probes, other.guessed));
    let Teller { recorded, difference, .. } = teller;
    Ok(Replayed { head, end: reader.now(), recorded, difference, torn, probes, guessed })
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
    fn tell(&mut self, at: Time, entry: Entry, watch: Watch) {
        match entry {
            Entry::Event(event) => {
                self.expect_no_more();
                for action in self.mind.handle(event, at) {
                    if let Action::Tell(decision) = &action {
                        self.pending.push_back((at, trace::decision_line(decision)));
                    }
                    watch(Whose::Recorded, at, &self.mind, &action);
                }
            }
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

    /// Everything that was decided is in the trace.
    fn expect_no_more(&mut self) {
        if let Some((at, text)) = self.pending.pop_front() {
            self.pending.clear();
            self.note(Difference { at, recorded: None, now: Some(text) });
        }
    }

    fn note(&mut self, difference: Difference) {
        self.difference.get_or_insert(difference);
    }
}

#[cfg(test)]
mod tests;
