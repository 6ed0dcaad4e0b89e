//! What a contender and everything that it has started use: all processes of the sandbox but the lab itself.

use std::fs;
use std::process;

use nix::unistd::{SysconfVar, sysconf};

use crate::check;
use crate::failure::{Doing, Result, failed};

/// Fields of /proc/PID/stat (proc(5)): user and system time, and those of children that were waited for.
const TIMES: [usize; 2] = [14, 15];
const CHILDREN_TIMES: [usize; 2] = [16, 17];

/// What all of them together use.
pub struct Usage {
    /// CPU seconds so far.
    pub cpu: f64,
    /// Resident memory in KiB.
    pub rss: u64,
    /// The number of the newest process or thread of the sandbox: grows by one with each that is started.
    pub newest: u64,
}

/// Asks /proc. This program must start no process and no thread between two calls.
pub fn usage() -> Result<Usage> {
    let me = process::id();
    let own = fs::read_link("/proc/self").is_ok_and(|link| link.as_os_str() == me.to_string().as_str());
    check!(own, "this system does not let the sandbox have a /proc of its own");
    let ticks = sysconf(SysconfVar::CLK_TCK)?.unwrap_or(100) as f64;
    let mut usage = Usage { cpu: 0.0, rss: 0, newest: newest()? };
    for entry in fs::read_dir("/proc")?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        // One that ends meanwhile is counted with its parent's children.
        let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { continue };
        if pid == me {
            continue;
        }
        let own = ran(pid).unwrap_or_else(|| fields(&stat, TIMES) / ticks);
        usage.cpu += own + fields(&stat, CHILDREN_TIMES) / ticks;
        usage.rss += rss(pid).unwrap_or(0);
    }
    Ok(usage)
}

/// Seconds that the process's threads have run, to the nanosecond where the kernel counts so
/// (CONFIG_SCHED_INFO); ticks of 10 ms are too coarse for a quiet manager.
pub(super) fn ran(pid: u32) -> Option<f64> {
    let mut sum = 0.0;
    for task in fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten() {
        let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
        sum += text.split_whitespace().next()?.parse::<f64>().ok()? / 1e9;
    }
    Some(sum)
}

/// The sum of two fields. The name, in brackets, may hold anything; after it comes field 3.
fn fields(stat: &str, numbers: [usize; 2]) -> f64 {
    let words: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let field = |number: usize| words.get(number - 3).and_then(|word| word.parse::<f64>().ok());
    numbers.into_iter().filter_map(field).sum()
}

/// Its resident memory in KiB.
pub(super) fn rss(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    text.lines().find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse().ok())
}

fn newest() -> Result<u64> {
    let text = fs::read_to_string("/proc/loadavg").doing("read the newest process's number")?;
    let last = text.split_whitespace().last().and_then(|word| word.parse().ok());
    last.map_or_else(|| failed(format!("/proc/loadavg is {text:?}")), Ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_found_behind_any_name() {
        let stat = "7 (a) b (c)) S 1 7 7 0 -1 4194560 100 0 0 0 11 22 33 44 20 0 1 0 5 1 1";
        assert_eq!((fields(stat, TIMES), fields(stat, CHILDREN_TIMES)), (33.0, 77.0));
    }
}
