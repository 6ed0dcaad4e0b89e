//! What the manager costs when nothing happens.

use std::fs;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::cases;
use super::managed::{LOG, Managed};
use crate::check;
use crate::failure::{Doing, Result, failed};
use crate::link::Wan;
use crate::runner::Case;
use crate::topology::{Lab, MAX_WANS};

pub const ALONE: &[Case] = cases!("idle":
    eight_wans_cost_next_to_nothing within 100,
);
pub const TOGETHER: &[Case] = cases!("idle":
    a_target_that_never_answers_costs_little,
);

const WATCHED: Duration = Duration::from_secs(30);
/// Eight WANs, each asked about once a second, wake it to send, for the answer and for the next probe's time: 1,700
/// times a minute were counted. A timer of 50 ms more would be seen. Seconds of CPU are only printed, and measured
/// by `cargo xtask bench`: for the same wakes one machine took ten times another's.
const WAKES_A_MINUTE: f64 = 2400.0;
/// Asked for: 2 MiB.
const RSS_KIB: u64 = 4096;

fn children(pid: u32) -> String {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok()).collect()
}

/// How often the threads of `pid` have gone to sleep of their own accord (proc(5), voluntary_ctxt_switches).
fn wakes(pid: u32) -> Result<u64> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).doing("list the manager's threads")?;
    let texts = tasks.flatten().filter_map(|task| fs::read_to_string(task.path().join("status")).ok());
    let counts = texts.filter_map(|text| {
        let row = text.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
        row.trim().parse::<u64>().ok()
    });
    Ok(counts.sum())
}

/// The number of the newest process or thread of this pid namespace.
fn last_pid() -> Result<u64> {
    let text = fs::read_to_string("/proc/loadavg").doing("read the last pid")?;
    let last = text.split_whitespace().last().and_then(|word| word.parse().ok());
    last.map_or_else(|| failed(format!("/proc/loadavg is {text:?}")), Ok)
}

fn eight_wans_cost_next_to_nothing() -> Result {
    let lab = (1..=MAX_WANS).fold(Lab::builder(), |lab, i| lab.wan(Wan::mbit(50).delay_ms(5 * i as u64)));
    let mut managed = Managed::start(lab.build()?, &[])?;
    sleep(Duration::from_secs(3));
    watch(&mut managed)?;
    managed.end(Instant::now())
}

/// A manager that nothing happens to sleeps, has no children and stays small.
fn watch(managed: &mut Managed) -> Result {
    let pid = managed.manager()?.pid();
    let start = Instant::now();
    let (cpu_before, last_before) = (managed.manager()?.cpu_seconds()?, last_pid()?);
    let wakes_before = wakes(pid)?;
    let mut had_children = String::new();
    while start.elapsed() < WATCHED {
        sleep(Duration::from_millis(50));
        had_children += &children(pid);
    }
    let a_minute = 60.0 / start.elapsed().as_secs_f64();
    let used = (managed.manager()?.cpu_seconds()? - cpu_before) * a_minute;
    let woken = (wakes(pid)? - wakes_before) as f64 * a_minute;
    let (rss, peak) = (managed.manager()?.status_field("VmRSS")?, managed.manager()?.status_field("VmHWM")?);
    println!(
        "{used:.3} s of CPU and {woken:.0} wakes a minute, {rss} KiB now, {peak} KiB at most, {} threads",
        managed.manager()?.status_field("Threads")?
    );
    check!(woken < WAKES_A_MINUTE, "{woken:.0} wakes a minute");
    check!(rss < RSS_KIB, "{rss} KiB of memory");
    check!(had_children.is_empty(), "it had children: {had_children}");
    // The lab starts nothing meanwhile either. Where /proc could not be mounted anew it counts the host's.
    if fs::read_link("/proc/self").is_ok_and(|me| me.as_os_str() == std::process::id().to_string().as_str()) {
        let last = last_pid()?;
        check!(last == last_before, "processes or threads were started: pid {last_before} became {last}");
    }
    managed.stays(start)
}

/// One of four targets is one that no ISP leads to: probes in turn, but no suspicion each time it is its turn.
fn a_target_that_never_answers_costs_little() -> Result {
    let managed = Managed::start(Lab::two_wans()?, &["--target", "192.0.2.1"])?;
    sleep(Duration::from_secs(5));
    let start = Instant::now();
    let frames = || managed.lab.link(1).up.counters.frames.load(Relaxed);
    let (sent, said) = (frames(), fs::read_to_string(LOG)?.lines().count());
    sleep(Duration::from_secs(15));
    let seconds = start.elapsed().as_secs_f64();
    let rate = (frames() - sent) as f64 / seconds;
    let lines = fs::read_to_string(LOG)?.lines().count() - said;
    println!("{rate:.1} frames a second on WAN 1, {lines} lines of log in {seconds:.0} s");
    check!(rate < 3.0, "{rate:.1} frames a second on an idle WAN");
    check!(lines < 4, "{lines} lines of log in {seconds:.0} s of nothing");
    managed.stays(start)?;
    managed.end(start)
}
