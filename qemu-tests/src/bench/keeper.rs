//! Starts whoever looks after the WANs, and says when a measurement may begin.

use std::env;
use std::fs::{self, File};
use std::path::Path;
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::scenario::Contender;
use crate::by_hand;
use crate::check;
use crate::endpoint_watch::EndpointWatch;
use crate::failure::{Doing, Result, failed};
use crate::manager::Manager;
use crate::ns::Running;
use crate::topology::{INTERNET_HOSTS, Lab, SERVER, device};

/// Hands the command line of `--against` to the measuring process.
pub const COMMAND: &str = "BENCH_COMMAND";
/// Where contenders log; the lab's /run is its own.
const LOG: &str = "/run/contender.log";
/// So many lines of the log are shown with a failure.
const LOG_LINES: usize = 20;
/// Until the manager holds every WAN for up.
const SETTLE: Duration = Duration::from_secs(10);
/// Until it has an endpoint for each.
const SOON: Duration = Duration::from_secs(2);
/// The same of another command, which cannot be asked what it holds for up.
const SETTLE_OTHER: Duration = Duration::from_secs(15);
/// The manager's probe interval: breaks fall everywhere between two probes.
const INTERVAL: Duration = Duration::from_secs(1);

/// A contender at work; it ends when this is dropped.
pub struct Keeper {
    started: Instant,
    who: Who,
}

enum Who {
    Nobody,
    Manager(Manager),
    Other(Other),
}

/// Another command and all that it has started.
struct Other {
    process: Running,
}

impl Keeper {
    /// Starts a contender and waits until it is ready. `more` are arguments of our manager.
    pub fn start(
        lab: &Lab,
        contender: Contender,
        endpoints: &EndpointWatch,
        more: &[&str],
    ) -> Result<Keeper> {
        let started = Instant::now();
        let complete = |within| {
            let wans = lab.wans();
            endpoints.endpoints.wait(started, within, |list| list.len() >= wans)
        };
        let who = match contender {
            Contender::Kernel => {
                by_hand::set_up(lab)?;
                Who::Nobody
            }
            Contender::Bsbf => {
                let mut manager = Manager::start(lab, more, Path::new(LOG))?;
                manager.settle(lab, SETTLE)?;
                check!(complete(SETTLE + SOON).is_some(), "endpoints: {:?}", endpoints.endpoints.now());
                Who::Manager(manager)
            }
            Contender::Other => {
                let other = Other::start(lab)?;
                // Endpoints need not be its business: then it has had the time.
                let _ = complete(SETTLE_OTHER);
                sleep(SOON);
                Who::Other(other)
            }
        };
        Ok(Keeper { started, who })
    }

    /// Waits for at least `calm`, and then until this part (0.0 to 1.0) of the probe interval has passed,
    /// counted from the contender's start.
    pub fn wait_for_phase(&self, calm: Duration, part: f64) {
        let intervals = ((self.started.elapsed() + calm).as_secs_f64() / INTERVAL.as_secs_f64()).ceil();
        self.wait_until(INTERVAL.mul_f64(intervals + part));
    }

    /// Waits until this long after the contender's start.
    pub fn wait_until(&self, after: Duration) {
        sleep(after.saturating_sub(self.started.elapsed()));
    }

    /// Fails if the contender has ended by itself.
    pub fn lives(&mut self) -> Result {
        let lives = match &mut self.who {
            Who::Nobody => true,
            Who::Manager(manager) => manager.is_alive(),
            Who::Other(other) => other.process.is_alive(),
        };
        if lives { Ok(()) } else { failed("the contender has ended") }
    }
}

impl Other {
    fn start(lab: &Lab) -> Result<Other> {
        use std::os::unix::process::CommandExt;
        let line = env::var(COMMAND).map_err(|_| format!("{COMMAND} is not set")).or_else(failed)?;
        let log = File::options().create(true).append(true).open(LOG).doing("open the log")?;
        let wans: Vec<String> = (1..=lab.wans()).map(device).collect();
        let mut command = lab.client.command("sh");
        command.args(["-c", &line]).process_group(0);
        command.env("BENCH_SERVER", SERVER).env("BENCH_TARGETS", INTERNET_HOSTS.join(" "));
        command.env("BENCH_WANS", wans.join(" "));
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        Ok(Other { process: lab.client.spawn(&mut command)? })
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        // What has left the group dies with the sandbox.
        let _ = killpg(Pid::from_raw(self.process.child().id() as i32), Signal::SIGKILL);
    }
}

/// The end of the contender's log, to explain a failure.
pub fn end_of_log() -> String {
    let text = fs::read_to_string(LOG).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LOG_LINES)..].iter().map(|line| format!("    {line}\n")).collect()
}
