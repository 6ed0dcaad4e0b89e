//! Makes one measurement in a process and a sandbox of its own; killing it ends all that it has started.

use std::env;
use std::process::{Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::keeper;
use super::quantity::{self, Quantity};
use super::scenario::{Contender, Scenario};
use super::stats::NEVER;
use crate::check;
use crate::failure::{Doing, Result, failed};

/// The hidden subcommand that makes one measurement in this process.
pub const MEASURE_COMMAND: &str = "measure";
/// What stands for [`NEVER`] between the processes.
pub const NEVER_WORD: &str = "never";
/// How often a running measurement is looked at.
const LOOK: Duration = Duration::from_millis(20);
/// A measurement may take this much longer than estimated.
const GRACE: Duration = Duration::from_secs(120);

/// One measurement to make.
#[derive(Clone, Copy, Debug)]
pub struct Job {
    /// What is measured.
    pub scenario: Scenario,
    /// Of whom.
    pub contender: Contender,
    /// Which of the repetitions, from 0.
    pub repetition: usize,
    /// How many repetitions there are.
    pub runs: usize,
}

impl Job {
    /// About how long it takes.
    pub fn estimate(&self) -> Duration {
        self.scenario.estimate(self.contender, self.runs)
    }

    /// "blackhole_idle_2 of bsbf, run 3 of 10".
    pub fn name(&self) -> String {
        let name = format!("{} of {}", self.scenario.name(), self.contender.name());
        if self.scenario.once() {
            return name;
        }
        format!("{name}, run {} of {}", self.repetition + 1, self.runs)
    }

    /// Makes the measurement. A failure tells why in one line; the process's own words are on standard error.
    pub fn run(&self, against: Option<&str>) -> Result<Vec<(&'static Quantity, f64)>> {
        let mut command = Command::new(env::current_exe()?);
        command.args([MEASURE_COMMAND, &self.scenario.name(), self.contender.name()]);
        command.args([self.repetition, self.runs].map(|number| number.to_string()));
        command.envs(against.map(|line| (keeper::COMMAND, line)));
        let output = run_within(&mut command, 2 * self.estimate() + GRACE)?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            eprint!("{said}");
            return failed(
                said.lines().last().unwrap_or("it ended without a word").trim_start_matches("lab: "),
            );
        }
        values(&String::from_utf8_lossy(&output.stdout))
    }
}

/// The output is short: it fits into the pipes.
pub(super) fn run_within(command: &mut Command, limit: Duration) -> Result<Output> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().doing("start a measurement")?;
    let start = Instant::now();
    while child.try_wait()?.is_none() {
        if start.elapsed() > limit {
            child.kill()?;
            child.wait()?;
            return failed(format!("no end within {limit:?}"));
        }
        sleep(LOOK);
    }
    child.wait_with_output().doing("read what was measured")
}

/// Reads lines of `name value`.
fn values(text: &str) -> Result<Vec<(&'static Quantity, f64)>> {
    let mut values = Vec::new();
    for line in text.lines() {
        let read = line.split_once(' ').and_then(|(name, value)| {
            let value = if value == NEVER_WORD { NEVER } else { value.parse().ok()? };
            Some((quantity::named(name)?, value))
        });
        match read {
            Some(read) => values.push(read),
            None => return failed(format!("a measurement printed {line:?}")),
        }
    }
    check!(!values.is_empty(), "nothing was measured");
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_and_never_are_read() {
        let read = values("route_moved 512.5\nendpoint_removed never\n").unwrap();
        assert_eq!(read, [(&quantity::MOVED, 512.5), (&quantity::REMOVED, NEVER)]);
    }

    #[test]
    fn nonsense_is_no_measurement() {
        for text in ["", "route_moved\n", "route_moved soon\n", "weather 5\n"] {
            assert!(values(text).is_err(), "{text:?}");
        }
    }
}
