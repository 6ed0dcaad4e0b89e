//! What a manager costs when nothing happens: the router's CPU and memory, and the links' bytes.

use std::process::Command;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::keeper::Keeper;
use super::processes::usage;
use super::scenario::Contender;
use super::{print, quantity, say};
use crate::check;
use crate::endpoint_watch::EndpointWatch;
use crate::failure::{Doing, Result};
use crate::link::{Direction, Link, Wan};
use crate::manager;
use crate::topology::Lab;

/// What is counted in one go; windows follow each other.
const WINDOW: Duration = Duration::from_secs(20);
/// From the start to the first window: everything that happens once has happened, and a window begins
/// between two probes of a metered WAN, which are 10 s apart.
const CALM: Duration = Duration::from_secs(15);
/// The header of an Ethernet frame, which is no part of what an ISP counts.
const ETHERNET: u64 = 14;
const MINUTE: f64 = 60.0;
const MONTH: f64 = 30.0 * 86_400.0;
/// Questions to the manager in one repetition.
const QUESTIONS: usize = 2;

fn idle_lab(wans: usize) -> Result<Lab> {
    (0..wans).fold(Lab::builder(), |lab, _| lab.wan(Wan::mbit(10).delay_ms(20))).build()
}

/// CPU, memory and processes started, in so many windows.
pub fn cost(wans: usize, contender: Contender, windows: usize) -> Result {
    let lab = idle_lab(wans)?;
    let endpoints = EndpointWatch::start(&lab.client)?;
    let mut keeper = Keeper::start(&lab, contender, &endpoints, &[])?;
    // It asks the kernel 200 times a second; let the machine be idle.
    drop(endpoints);
    keeper.wait_until(CALM);
    let mut before = usage()?;
    for _ in 0..windows {
        let start = Instant::now();
        sleep(WINDOW);
        let now = usage()?;
        let a_minute = MINUTE / start.elapsed().as_secs_f64();
        say(&quantity::CPU, (now.cpu - before.cpu) * a_minute);
        say(&quantity::FORKS, (now.newest - before.newest) as f64 * a_minute);
        say(&quantity::RSS, now.rss as f64);
        before = now;
    }
    keeper.lives()
}

/// Bytes on an ordinary and on a metered WAN, as IP packets (and ARP), both ways.
pub fn probes(contender: Contender, windows: usize) -> Result {
    let lab = idle_lab(2)?;
    // Router solicitations and reports of multicast groups are not the manager's.
    for ns in [&lab.client, lab.isp(1), lab.isp(2)] {
        let _ = ns.sysctl("net/ipv6/conf/all/disable_ipv6", 1);
    }
    let endpoints = EndpointWatch::start(&lab.client)?;
    let mut keeper = Keeper::start(&lab, contender, &endpoints, &["--metered", "wan2"])?;
    drop(endpoints);
    keeper.wait_until(CALM);
    let bytes = || [1, 2].map(|wan| carried(lab.link(wan)));
    let mut before = bytes();
    for _ in 0..windows {
        let start = Instant::now();
        sleep(WINDOW);
        let now = bytes();
        let a_month = MONTH / start.elapsed().as_secs_f64() / 1e6;
        say(&quantity::MONTH, (now[0] - before[0]) as f64 * a_month);
        if contender == Contender::Bsbf {
            say(&quantity::MONTH_METERED, (now[1] - before[1]) as f64 * a_month);
        }
        before = now;
    }
    keeper.lives()
}

/// Bytes that a link has delivered, both ways, without Ethernet headers.
fn carried(link: &Link) -> u64 {
    let of = |direction: &Direction| {
        let frames = direction.counters.frames.load(Relaxed);
        direction.counters.bytes.load(Relaxed).saturating_sub(ETHERNET * frames)
    };
    of(&link.down) + of(&link.up)
}

/// From the start of `bsbf status` to its end.
pub fn status(windows: usize) -> Result {
    let lab = idle_lab(2)?;
    let endpoints = EndpointWatch::start(&lab.client)?;
    let mut keeper = Keeper::start(&lab, Contender::Bsbf, &endpoints, &[])?;
    drop(endpoints);
    sleep(Duration::from_secs(1));
    for _ in 0..windows * QUESTIONS {
        let mut command = Command::new(manager::binary()?);
        command.arg("status");
        let start = Instant::now();
        let answer = command.output().doing("run bsbf status")?;
        let took = start.elapsed();
        let text = String::from_utf8_lossy(&answer.stdout);
        check!(answer.status.success() && text.contains("wan2"), "bsbf status said {text:?}");
        print(&quantity::ANSWER, Some(took));
        sleep(Duration::from_millis(100));
    }
    keeper.lives()
}
