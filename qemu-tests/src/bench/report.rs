//! The JSON file: every single value, and what is needed to judge it.

use miniserde::{Serialize, json};

use super::machine::Machine;
use super::options::Options;
use super::results::Results;
use super::scenario::Contender;
use super::sizes::Sizes;
use super::stats::{NEVER, summary};

/// Changes whenever a field changes its meaning.
const SCHEMA: u32 = 1;

#[derive(Serialize)]
struct Report<'a> {
    schema: u32,
    command: &'a str,
    against: Option<&'a String>,
    date: &'a str,
    kernel: &'a str,
    cpus: usize,
    binary: Binary<'a>,
    runs: usize,
    quantities: Vec<Row>,
    sizes: Vec<Size<'a>>,
    own_code: Vec<Size<'a>>,
    failures: Vec<Failed<'a>>,
}

#[derive(Serialize)]
struct Binary<'a> {
    path: &'a str,
    version: &'a str,
    bytes: u64,
    commands: usize,
}

/// One quantity of one contender; what never happened is null.
#[derive(Serialize)]
struct Row {
    scenario: String,
    quantity: &'static str,
    contender: &'static str,
    unit: &'static str,
    median: Option<f64>,
    least: Option<f64>,
    most: Option<f64>,
    never: usize,
    values: Vec<Option<f64>>,
}

#[derive(Serialize)]
struct Size<'a> {
    of: &'a str,
    bytes: u64,
}

#[derive(Serialize)]
struct Failed<'a> {
    measurement: &'a str,
    why: &'a str,
}

/// The whole file.
pub fn report(options: &Options, machine: &Machine, results: &Results, sizes: &Sizes) -> String {
    let report = Report {
        schema: SCHEMA,
        command: &machine.command,
        against: options.against.as_ref(),
        date: &machine.date,
        kernel: &machine.kernel,
        cpus: machine.cpus,
        binary: Binary {
            path: &machine.binary,
            version: &machine.version,
            bytes: machine.bytes,
            commands: machine.commands,
        },
        runs: options.runs,
        quantities: rows(options, results),
        sizes: list(&sizes.binaries),
        own_code: list(&sizes.own_code),
        failures: results.failures.iter().map(|(measurement, why)| Failed { measurement, why }).collect(),
    };
    json::to_string(&report) + "\n"
}

fn list(sizes: &[(String, u64)]) -> Vec<Size<'_>> {
    sizes.iter().map(|(of, bytes)| Size { of, bytes: *bytes }).collect()
}

fn rows(options: &Options, results: &Results) -> Vec<Row> {
    let mut rows = Vec::new();
    for scenario in &options.scenarios {
        for quantity in results.quantities(*scenario) {
            for contender in Contender::ALL {
                let values = results.of(*scenario, quantity, contender);
                let Some(sum) = summary(&values) else { continue };
                rows.push(Row {
                    scenario: scenario.name(),
                    quantity: quantity.name,
                    contender: contender.name(),
                    unit: quantity.unit,
                    median: finite(sum.median),
                    least: finite(sum.least),
                    most: finite(sum.most),
                    never: sum.never,
                    values: values.into_iter().map(finite).collect(),
                });
            }
        }
    }
    rows
}

fn finite(value: f64) -> Option<f64> {
    (value < NEVER).then_some(value)
}
