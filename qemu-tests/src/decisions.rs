//! The manager's record of decisions, as it tells it over its socket.

use std::collections::BTreeMap;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};

use crate::failure::{Result, failed};
use crate::manager;
use crate::runner::patience;

/// How often the record is looked at while waiting.
const INTERVAL: Duration = Duration::from_millis(20);

/// One line of the record.
#[derive(Clone, Debug)]
pub struct Decision {
    /// Microseconds since the boot.
    pub at: u64,
    /// The device; "-" for the manager itself.
    pub wan: String,
    /// State before and after.
    pub states: (String, String),
    /// What was decided.
    pub kind: String,
    /// The numbers it was decided on.
    pub values: BTreeMap<String, u64>,
    /// The WAN that vouched.
    pub witness: Option<String>,
    /// What was done.
    pub outcome: BTreeMap<String, u64>,
}

impl Decision {
    /// A number it was decided on.
    pub fn value(&self, name: &str) -> Result<u64> {
        number(&self.values, name, self)
    }

    /// A number of what was done; nothing is written where it is 0.
    pub fn done(&self, name: &str) -> u64 {
        self.outcome.get(name).copied().unwrap_or(0)
    }

    /// A time among its numbers.
    pub fn duration(&self, name: &str) -> Result<Duration> {
        Ok(Duration::from_micros(self.value(name)?))
    }

    fn from_line(line: &str) -> Option<Decision> {
        let (decision, outcome) = line.split_once(" |").unwrap_or((line, ""));
        let mut words = decision.split(' ');
        let mut word = || Some(words.next()?.to_string());
        let (at, wan, from, to, kind) = (word()?.parse().ok()?, word()?, word()?, word()?, word()?);
        let fields = |text: &str| {
            let fields = text.split(' ').filter_map(|word| word.split_once('='));
            fields.map(|(key, value)| (key.to_string(), value.to_string())).collect::<Vec<_>>()
        };
        let numbers = |fields: &[(String, String)]| {
            fields.iter().filter_map(|(key, value)| Some((key.clone(), value.parse().ok()?))).collect()
        };
        let values = fields(decision);
        Some(Decision {
            at,
            wan,
            states: (from, to),
            kind,
            witness: values.iter().find(|(key, _)| key == "witness").map(|(_, name)| name.clone()),
            values: numbers(&values),
            outcome: numbers(&fields(outcome)),
        })
    }
}

fn number(of: &BTreeMap<String, u64>, name: &str, decision: &Decision) -> Result<u64> {
    of.get(name).copied().map_or_else(|| failed(format!("no {name} in {decision:?}")), Ok)
}

/// Now, in microseconds since the boot.
pub fn now() -> Result<u64> {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC)?;
    Ok(now.tv_sec() as u64 * 1_000_000 + now.tv_nsec() as u64 / 1000)
}

/// The whole record; empty if no manager answers.
pub fn all() -> Vec<Decision> {
    let text = manager::ask("decisions").unwrap_or_default();
    text.lines().filter_map(Decision::from_line).collect()
}

/// Waits for a decision of this kind about `wan` that is not older than `since`.
pub fn wait(kind: &str, wan: &str, since: u64, within: Duration) -> Result<Decision> {
    let within = patience() * within;
    let start = Instant::now();
    loop {
        let all = all();
        if let Some(found) = all.iter().find(|d| d.kind == kind && d.wan == wan && d.at >= since) {
            return Ok(found.clone());
        }
        if start.elapsed() > within {
            return failed(format!("no {kind} of {wan} within {within:?}: {all:#?}"));
        }
        sleep(INTERVAL);
    }
}
