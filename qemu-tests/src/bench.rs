//! `lab bench`: what the manager is worth, measured beside the kernel alone, in turns, on this machine.
//!
//! Each measurement runs in a process and a sandbox of its own and prints `metric value` lines; `lab bench` runs
//! all of them several times, kernel and manager in turns, and prints medians.

use std::collections::BTreeMap;
use std::env;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::by_hand;
use crate::check;
use crate::counters::Reading;
use crate::endpoint_watch::EndpointWatch;
use crate::failure::{Doing, Result, failed};
use crate::link::Wan;
use crate::manager::Manager;
use crate::route_watch::RouteWatch;
use crate::sandbox;
use crate::topology::Lab;
use crate::traffic::Transfer;

/// The hidden subcommand that makes one measurement in this process.
pub const MEASURE_COMMAND: &str = "measure";
/// Runs of each measurement unless told otherwise.
const RUNS: usize = 5;
/// Until both subflows have found their rates.
const WARM_UP: Duration = Duration::from_secs(4);
/// How long a break lasts.
const OUTAGE: Duration = Duration::from_secs(8);
const SETTLE: Duration = Duration::from_secs(10);
const LONG: Duration = Duration::from_secs(30);

/// Who looks after the WANs.
#[derive(Clone, Copy, PartialEq)]
enum Keeper {
    Kernel,
    Manager,
}

type Measurement = fn(Keeper) -> Result;

/// Name, whether it says something of the kernel alone, and how it is made.
const MEASUREMENTS: [(&str, bool, Measurement); 6] = [
    ("goodput", true, goodput),
    ("loaded", true, loaded),
    ("idle", false, idle),
    ("two_of_four", false, two_of_four),
    ("carrier", false, carrier),
    ("cost", false, cost),
];

/// `lab bench [RUNS]`.
pub fn run(arguments: &[String]) -> Result<ExitCode> {
    let runs = match arguments {
        [] => RUNS,
        [runs] => runs.parse().map_err(|_| "RUNS is no number").or_else(failed)?,
        _ => return failed("usage: lab bench [RUNS]"),
    };
    let mut results: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for run in 1..=runs {
        for (name, of_kernel, _) in MEASUREMENTS {
            let keepers: &[&str] = if of_kernel { &["kernel", "bsbf"] } else { &["bsbf"] };
            for keeper in keepers {
                eprintln!("run {run} of {runs}: {name} {keeper}");
                for (metric, value) in measure_apart(name, keeper)? {
                    results.entry(format!("{keeper:6} {name}.{metric}")).or_default().push(value);
                }
            }
        }
    }
    println!("{:48} {:>9} {:>9} {:>9}", "medians", "median", "least", "most");
    for (metric, values) in &mut results {
        values.sort_by(f64::total_cmp);
        let (least, most) = (values[0], values[values.len() - 1]);
        println!("{metric:48} {:9.3} {least:9.3} {most:9.3}", values[values.len() / 2]);
    }
    Ok(ExitCode::SUCCESS)
}

fn measure_apart(name: &str, keeper: &str) -> Result<Vec<(String, f64)>> {
    let output = Command::new(env::current_exe()?)
        .args([MEASURE_COMMAND, name, keeper])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .doing("start a measurement")?;
    let text = String::from_utf8_lossy(&output.stdout);
    check!(output.status.success(), "{name} {keeper}: {text}");
    let value = |line: &str| {
        let (metric, value) = line.split_once(' ')?;
        Some((metric.to_string(), value.parse().ok()?))
    };
    Ok(text.lines().filter_map(value).collect())
}

/// `lab measure NAME kernel|bsbf`: the measurement itself.
pub fn measure(name: &str, keeper: &str) -> Result<ExitCode> {
    let Some((.., measurement)) = MEASUREMENTS.into_iter().find(|(known, ..)| *known == name) else {
        return failed(format!("there is no measurement {name}"));
    };
    sandbox::enter()?;
    measurement(if keeper == "kernel" { Keeper::Kernel } else { Keeper::Manager })?;
    Ok(ExitCode::SUCCESS)
}

/// Starts whoever looks after the WANs; the manager lives as long as what is returned.
fn keep(lab: &Lab, keeper: Keeper) -> Result<Option<Manager>> {
    if keeper == Keeper::Kernel {
        by_hand::set_up(lab)?;
        return Ok(None);
    }
    let mut manager = Manager::start(lab, &[], Path::new("/run/bsbf-bond.log"))?;
    manager.settle(lab, SETTLE)?;
    Ok(Some(manager))
}

fn print(metric: &str, value: Option<Duration>) {
    match value {
        Some(value) => println!("{metric}_ms {}", value.as_secs_f64() * 1000.0),
        None => println!("{metric}_never 1"),
    }
}

/// Two WANs in peace: payload as a part of the sum of the links' rates.
fn goodput(keeper: Keeper) -> Result {
    let lab = Lab::two_wans()?;
    let _manager = keep(&lab, keeper)?;
    let transfer = Transfer::start(&lab)?;
    sleep(WARM_UP);
    let from = Instant::now();
    sleep(Duration::from_secs(10));
    println!("of_sum {}", transfer.timeline.goodput(from, Instant::now()) / 30e6);
    transfer.finish().map(drop)
}

/// A download over two WANs, the faster of which goes silent and comes back.
fn loaded(keeper: Keeper) -> Result {
    let lab = Lab::two_wans()?;
    let _manager = keep(&lab, keeper)?;
    let routes = RouteWatch::start(&lab.client)?;
    let endpoints = EndpointWatch::start(&lab.client)?;
    let transfer = Transfer::start(&lab)?;
    sleep(WARM_UP);
    let cut = Instant::now();
    lab.blackhole(1, true);
    sleep(OUTAGE);
    print("stall", Some(transfer.timeline.longest_stall(cut, Instant::now())));
    if keeper == Keeper::Manager {
        print("route_moved", routes.moved_to(2, cut, OUTAGE));
        print("endpoint_removed", endpoints.removed(&lab.netifd.address(1), cut, OUTAGE));
    }
    let repaired = Instant::now();
    lab.blackhole(1, false);
    print("data_again", carries_again(&lab, 1, repaired)?);
    transfer.finish().map(drop)
}

/// When the WAN has carried 100 kB since; probes and handshakes do not count.
fn carries_again(lab: &Lab, wan: usize, since: Instant) -> Result<Option<Duration>> {
    let before = Reading::now(lab)?;
    while since.elapsed() < LONG {
        sleep(Duration::from_millis(20));
        let now = Reading::now(lab)?;
        if now.rx_rates(&before)[wan - 1] * now.at.duration_since(before.at).as_secs_f64() > 800e3 {
            return Ok(Some(since.elapsed()));
        }
    }
    Ok(None)
}

/// An idle WAN goes silent and comes back.
fn idle(keeper: Keeper) -> Result {
    let lab = Lab::two_wans()?;
    let _manager = keep(&lab, keeper)?;
    // Cuts fall anywhere between two probes.
    sleep(Duration::from_millis(3000 + u64::from(std::process::id()) * 137 % 1000));
    break_and_repair(&lab, 1, 2)
}

/// The same with four WANs, two of them dead already.
fn two_of_four(keeper: Keeper) -> Result {
    let lab = (0..4).fold(Lab::builder(), |lab, _| lab.wan(Wan::mbit(10).delay_ms(20))).build()?;
    let _manager = keep(&lab, keeper)?;
    lab.blackhole(2, true);
    lab.blackhole(3, true);
    sleep(Duration::from_millis(5000 + u64::from(std::process::id()) * 137 % 1000));
    break_and_repair(&lab, 1, 4)
}

fn break_and_repair(lab: &Lab, wan: usize, next: usize) -> Result {
    let routes = RouteWatch::start(&lab.client)?;
    let endpoints = EndpointWatch::start(&lab.client)?;
    let cut = Instant::now();
    lab.blackhole(wan, true);
    print("route_moved", routes.moved_to(next, cut, LONG));
    print("endpoint_removed", endpoints.removed(&lab.netifd.address(wan), cut, LONG));
    sleep(Duration::from_secs(3));
    let repaired = Instant::now();
    lab.blackhole(wan, false);
    print("route_back", routes.moved_to(wan, repaired, LONG));
    print("endpoint_back", endpoints.present(&lab.netifd.address(wan), repaired, LONG));
    Ok(())
}

/// A cable is pulled at the far side; the kernel's link watch is part of the time.
fn carrier(keeper: Keeper) -> Result {
    let lab = Lab::two_wans()?;
    let _manager = keep(&lab, keeper)?;
    let routes = RouteWatch::start(&lab.client)?;
    let endpoints = EndpointWatch::start(&lab.client)?;
    sleep(Duration::from_secs(2));
    let cut = Instant::now();
    lab.far_carrier(1, false)?;
    print("route_moved", routes.moved_to(2, cut, LONG));
    print("endpoint_removed", endpoints.removed(&lab.netifd.address(1), cut, LONG));
    Ok(())
}

/// Eight idle WANs for a minute.
fn cost(keeper: Keeper) -> Result {
    let lab = (0..8).fold(Lab::builder(), |lab, _| lab.wan(Wan::mbit(10).delay_ms(20))).build()?;
    let Some(mut manager) = keep(&lab, keeper)? else { return Ok(()) };
    sleep(Duration::from_secs(5));
    let before = manager.cpu_seconds()?;
    sleep(Duration::from_secs(60));
    println!("cpu_s_a_minute {}", manager.cpu_seconds()? - before);
    println!("rss_kib {}", manager.status_field("VmRSS")?);
    Ok(())
}
