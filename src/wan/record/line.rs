//! A decision as a line of text: `AT NAME FROM TO WORD key=number... [witness=NAME] [| key=number...]`.
//!
//! AT is in microseconds since the boot; NAME is `-` for the manager itself; what follows the bar is the outcome.

use std::fmt::Write;
use std::time::Duration;

use super::super::liveness::State;
use super::reason::{Fields, Reason};
use super::{Decision, Outcome};
use crate::types::{IfName, Time, micros};

impl Decision {
    /// As a line, with its end.
    pub fn to_line(&self) -> String {
        let mut line = String::with_capacity(192);
        let name = self.name.as_ref().map_or("-", IfName::as_str);
        // Writing to a string does not fail.
        let _ = write!(
            line,
            "{} {name} {} {} {}",
            self.at.0,
            self.from.as_str(),
            self.to.as_str(),
            self.reason.word()
        );
        for (key, value) in self.reason.values() {
            let _ = write!(line, " {key}={value}");
        }
        if let Some(witness) = self.reason.witness() {
            let _ = write!(line, " witness={witness}");
        }
        if self.outcome != Outcome::default() {
            line.push_str(" |");
            for (key, value) in self.outcome.values().into_iter().filter(|(_, value)| *value > 0) {
                let _ = write!(line, " {key}={value}");
            }
        }
        line.push('\n');
        line
    }

    /// From such a line; None if it is none.
    pub fn from_line(line: &str) -> Option<Decision> {
        let (decision, outcome) = line.split_once(" |").unwrap_or((line, ""));
        let mut words = decision.splitn(6, ' ');
        let at = Time(words.next()?.parse().ok()?);
        let name = match words.next()? {
            "-" => None,
            name => Some(name.parse().ok()?),
        };
        let (from, to) = (State::from_word(words.next()?)?, State::from_word(words.next()?)?);
        let word = words.next()?;
        let reason = Reason::read(word, &Text(words.next().unwrap_or_default()))?;
        Some(Decision { at, name, from, to, reason, outcome: Outcome::read(&Text(outcome)) })
    }
}

impl Outcome {
    /// Its numbers.
    pub fn values(&self) -> [(&'static str, u64); 6] {
        [
            ("routes", self.routes.into()),
            ("added", self.added.into()),
            ("removed", self.removed.into()),
            ("flagged", self.flagged.into()),
            ("failed", self.failed.into()),
            ("took_us", micros(self.took)),
        ]
    }

    fn read(fields: &dyn Fields) -> Outcome {
        let count = |name| fields.number(name).map_or(0, |n| u16::try_from(n).unwrap_or(u16::MAX));
        Outcome {
            routes: count("routes"),
            added: count("added"),
            removed: count("removed"),
            flagged: count("flagged"),
            failed: count("failed"),
            took: Duration::from_micros(fields.number("took_us").unwrap_or_default()),
        }
    }
}

/// `key=value` words.
struct Text<'a>(&'a str);

impl Text<'_> {
    fn find(&self, name: &str) -> Option<&str> {
        self.0.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
    }
}

impl Fields for Text<'_> {
    fn number(&self, name: &str) -> Option<u64> {
        self.find(name)?.parse().ok()
    }

    fn witness(&self) -> Option<IfName> {
        self.find("witness")?.parse().ok()
    }
}
