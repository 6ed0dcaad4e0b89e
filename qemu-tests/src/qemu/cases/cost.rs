//! What the manager costs on this architecture. Numbers are printed, not judged: an emulator's clock is no
//! router's, and counts what it waits for the host as work. Memory is judged, which does not depend on that.

use std::sync::atomic::Ordering::Relaxed;
use std::thread::sleep;
use std::time::Duration;

use crate::cases::cases;
use crate::check;
use crate::failure::{Result, failed};
use crate::link::Wan;
use crate::qemu::rig::Rig;
use crate::qemu::watch::Watch;
use crate::runner::Case;

pub const CASES: &[Case] = cases!("cost":
    eight_idle_wans within 300,
);

/// The path manager's limit of endpoints is eight.
const WANS: usize = 8;
const CALM: Duration = Duration::from_secs(5);
const WINDOW: Duration = Duration::from_secs(15);
/// Ticks a second of /proc/PID/stat, on every architecture here (USER_HZ).
const TICKS: f64 = 100.0;
/// KiB. A router with 64 MB has to run other things as well.
const MEMORY: u64 = 4096;
/// Runs of each program.
const RUNS: &str = "51";

fn number(rig: &Rig, line: &str) -> Result<u64> {
    let text = rig.agent.shell(line)?;
    text.trim().parse().or_else(|_| failed(format!("`{line}` says {text:?}")))
}

fn eight_idle_wans() -> Result {
    let rig = Rig::start(&[Wan::mbit(10).delay_ms(20); WANS])?;
    let watch = Watch::start(&rig.agent)?;
    let _manager = rig.manage(&watch)?;
    // It asks the kernel 200 times a second; let the router be idle.
    drop(watch);
    sleep(CALM);
    let ticks = "awk '{ print $14 + $15 }' /proc/$(pidof bsbf-bond)/stat";
    // Frames of the idle WANs: probes, and an ARP request now and then.
    let asked = || -> u64 { rig.far.links.iter().map(|link| link.up.counters.frames.load(Relaxed)).sum() };
    let (before, probes) = (number(&rig, ticks)?, asked());
    sleep(WINDOW);
    let (ticks, probes) = (number(&rig, ticks)? - before, asked() - probes);
    let peak = number(&rig, "awk '/^VmHWM/ { print $2 }' /proc/$(pidof bsbf-bond)/status")?;
    let seconds = ticks as f64 / TICKS;
    let cycles = probes as f64 / WANS as f64;
    println!(
        "= {:.2} ms of CPU a probe cycle of {WANS} WANs, {:.1} ms a second; VmHWM {peak} KiB",
        seconds * 1000.0 / cycles,
        seconds * 1000.0 / WINDOW.as_secs_f64()
    );
    let version = number(&rig, &format!("lab guest time {RUNS} bsbf --version"))?;
    let shell = number(&rig, &format!("lab guest time {RUNS} busybox ash -c :"))?;
    let event = "ACTION=ifupdate INTERFACE=wan1 DEVICE=wan1";
    let hotplug = number(&rig, &format!("{event} lab guest time {RUNS} bsbf-hotplug iface"))?;
    println!(
        "= from exec to exit: bsbf --version {version} us, bsbf-hotplug iface {hotplug} us (the manager's answer \
         included), busybox ash with an empty script {shell} us"
    );
    check!(probes > 0, "nothing was asked");
    check!(peak < MEMORY, "the manager took {peak} KiB");
    Ok(())
}
