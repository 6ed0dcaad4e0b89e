//! Every value that was measured, and what failed.

use super::apart::Job;
use super::quantity::{self, Quantity};
use super::scenario::{Contender, Scenario};
use super::stats::{Summary, summary};
use crate::failure::Result;

/// The outcome of all measurements.
#[derive(Default)]
pub struct Results {
    values: Vec<Value>,
    /// The names of the measurements that failed, each with its reason.
    pub failures: Vec<(String, String)>,
}

struct Value {
    scenario: Scenario,
    contender: Contender,
    quantity: &'static Quantity,
    repetition: usize,
    value: f64,
}

impl Results {
    /// Takes what a job gave.
    pub fn add(&mut self, job: &Job, outcome: Result<Vec<(&'static Quantity, f64)>>) {
        let Job { scenario, contender, repetition, .. } = *job;
        match outcome {
            Ok(values) => self.values.extend(values.into_iter().map(|(quantity, value)| Value {
                scenario,
                contender,
                quantity,
                repetition,
                value,
            })),
            Err(why) => {
                eprintln!("bench: {} FAILED: {why}", job.name());
                self.failures.push((job.name(), why.to_string()));
            }
        }
    }

    /// The values of one quantity, in the order of the repetitions.
    pub fn of(&self, scenario: Scenario, quantity: &Quantity, contender: Contender) -> Vec<f64> {
        let mut found: Vec<&Value> = self
            .values
            .iter()
            .filter(|v| v.scenario == scenario && v.contender == contender && v.quantity == quantity)
            .collect();
        found.sort_by_key(|v| v.repetition);
        found.into_iter().map(|v| v.value).collect()
    }

    /// What they come to, if there are any.
    pub fn summary(&self, scenario: Scenario, quantity: &Quantity, contender: Contender) -> Option<Summary> {
        summary(&self.of(scenario, quantity, contender))
    }

    /// The quantities that a scenario gave for any contender.
    pub fn quantities(&self, scenario: Scenario) -> Vec<&'static Quantity> {
        let is_there = |q: &&Quantity| self.values.iter().any(|v| v.scenario == scenario && v.quantity == *q);
        quantity::ALL.into_iter().filter(is_there).collect()
    }

    /// Whether this contender has any values.
    pub fn has(&self, contender: Contender) -> bool {
        self.values.iter().any(|v| v.contender == contender)
    }
}
