//! `lab bench`: what the manager is worth and what it costs, measured beside the kernel alone, and beside
//! another command line if one is given, in turns, on this machine.
//!
//! `scenario` lists what is measured, `plan` says in which order, `apart` makes each measurement in a process
//! and a sandbox of its own: `breaks`, `goodput`, `cost`, with the contender started by `keeper`. It prints
//! lines of a quantity's name and value. `results` keeps them all, `table` and `report` show them.

mod apart;
mod breaks;
mod cost;
mod goodput;
mod keeper;
mod machine;
mod options;
mod plan;
mod processes;
mod proxy;
mod quantity;
mod report;
mod results;
mod routers;
mod scenario;
mod sizes;
mod stats;
mod table;

use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

pub use apart::MEASURE_COMMAND;

use crate::failure::{Doing, Result, failed};
use crate::sandbox;
use options::Options;
use quantity::Quantity;
use scenario::{Contender, Scenario};
use sizes::Sizes;

/// What `--help` says.
const HELP: &str = "\
Usage: lab bench [OPTIONS]
       lab bench proxy [OPTIONS]
       lab bench routers [OPTIONS] MACHINE.json...

Measures failover, recovery, stalls, goodput and idle cost of the manager, beside the kernel
alone with static endpoints, in turns. Prints a table in Markdown.

  --runs N           repetitions of every measurement (10)
  --quick            2 repetitions, to try it
  --only NAME,...    only what has one of these in its name: blackhole, carrier_idle,
                     loaded_4, goodput, cost, probes, status, sizes...
  --json FILE        where every single value goes (TARGET/bench/bench.json)
  --table FILE       where the table goes as well (TARGET/bench/bench.md)
  --against COMMAND  another manager to measure in turns with ours
  --size ARCH=FILE   a binary whose size is to be told; may be repeated
  --symbols FILE     a build with symbols, to tell each command's own code

COMMAND is run by sh on the lab's router, once for each measurement, and killed at its end with
all that it has started. It finds in its environment:
  BENCH_WANS     the WANs' devices, best first: \"wan1 wan2\"
  BENCH_SERVER   the bonding server's address, which answers pings
  BENCH_TARGETS  more addresses that answer pings: \"203.0.113.11 203.0.113.12\"
Each WAN has an address and a default route by its gateway, its number as the metric. It has
settled 2 s after every WAN has an MPTCP endpoint, or 17 s after its start. For example:

  lab bench --against 'while sleep 1; do for wan in $BENCH_WANS; do
    metric=${wan#wan}; via=\"via 198.18.$metric.1 dev $wan\"
    if ping -c 1 -W 1 -I $wan $BENCH_SERVER >/dev/null
    then ip route del default $via metric 10$metric && ip route add default $via metric $metric
    else ip route del default $via metric $metric && ip route add default $via metric 10$metric
    fi; done; done 2>/dev/null'

lab bench proxy measures bsbf-proxy beside sing-box; see lab bench proxy --help.
lab bench routers measures it on the processors of virtual routers; see lab bench routers --help.
BSBF names the binary under test. The exit code is not 0 if a measurement failed.";

/// `lab bench [OPTIONS]`.
pub fn run(arguments: &[String]) -> Result<ExitCode> {
    if let [first, rest @ ..] = arguments {
        match first.as_str() {
            "proxy" => return proxy::run(rest),
            "routers" => return routers::run(rest),
            _ => {}
        }
    }
    let Some(options) = Options::parse(arguments)? else {
        println!("{HELP}");
        return Ok(ExitCode::SUCCESS);
    };
    let machine = machine::Machine::ask()?;
    let sizes = if options.sizes { Sizes::read(&options)? } else { Sizes::default() };
    let results = plan::run(&options);
    let table = table::table(&options, &machine, &results, &sizes);
    print!("{table}");
    write(&options.table, &table)?;
    write(&options.json, &report::report(&options, &machine, &results, &sizes))?;
    eprintln!("bench: wrote {} and {}", options.table.display(), options.json.display());
    Ok(if results.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn write(path: &Path, text: &str) -> Result {
    let dir = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(dir).doing(format_args!("make {}", dir.display()))?;
    fs::write(path, text).doing(format_args!("write {}", path.display()))
}

/// `lab measure SCENARIO CONTENDER REPETITION RUNS`: the measurement itself.
pub fn measure(arguments: &[String]) -> Result<ExitCode> {
    let [name, contender, repetition, runs] = arguments else { return failed("measure what?") };
    let (scenario, contender) = (Scenario::named(name), Contender::named(contender));
    let (Some(scenario), Some(contender)) = (scenario, contender) else {
        return failed(format!("there is no measurement {}", arguments.join(" ")));
    };
    let number = |word: &str| word.parse().map_err(|_| format!("{word} is no number")).or_else(failed);
    let (repetition, runs): (usize, usize) = (number(repetition)?, number(runs)?);
    sandbox::enter()?;
    let part = repetition as f64 / runs as f64;
    let outcome = match scenario {
        Scenario::Idle(way, wans) => breaks::idle(way, wans, contender, part),
        Scenario::Loaded(way, wans) => breaks::loaded(way, wans, contender, part),
        Scenario::Goodput(links) => goodput::goodput(links, contender),
        Scenario::Cost(wans) => cost::cost(wans, contender, runs),
        Scenario::Probes => cost::probes(contender, runs),
        Scenario::Status => cost::status(runs),
    };
    if outcome.is_err() {
        eprint!("{}", keeper::end_of_log());
    }
    outcome.map(|()| ExitCode::SUCCESS)
}

/// Hands a value to the process above.
fn say(quantity: &Quantity, value: f64) {
    println!("{} {value}", quantity.name);
}

/// The same for a time, in ms; None is never.
fn print(quantity: &Quantity, value: Option<Duration>) {
    match value {
        Some(value) => say(quantity, value.as_micros() as f64 / 1000.0),
        None => println!("{} {}", quantity.name, apart::NEVER_WORD),
    }
}
