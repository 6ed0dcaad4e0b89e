//! The manager under test: `bsbf bond` on the lab's router, and what it says of itself.

use std::env;
use std::fs::File;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use miniserde::{Deserialize, json};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::failure::{Doing, Result, failed, skipped};
use crate::ns::Running;
use crate::topology::{INTERNET_HOSTS, Lab, SERVER};

/// Names the binary under test in the environment.
const BINARY: &str = "BSBF";
/// Where the manager answers questions; the lab's /run is its own.
const SOCKET: &str = "/var/run/bsbf/bond.sock";
/// Of a question over the socket: longer means that the manager hangs.
const PATIENCE: Duration = Duration::from_millis(500);
/// How often the manager is asked while waiting for it.
const INTERVAL: Duration = Duration::from_millis(20);

/// What the manager answers to "status".
#[derive(Deserialize, Debug, Clone)]
pub struct Status {
    /// Every WAN that it manages.
    pub wans: Vec<WanStatus>,
    /// Its latest decisions, with their reasons.
    pub events: Vec<Decision>,
}

/// One WAN in the manager's eyes.
#[derive(Deserialize, Debug, Clone)]
pub struct WanStatus {
    /// The device.
    pub name: String,
    /// "up", "suspect", "down" or "testing".
    pub state: String,
    /// Why.
    pub reason: String,
    /// Round-trip time in ms, if one was measured.
    pub rtt_ms: Option<f64>,
    /// The metric of its default route, if it has one.
    pub metric: Option<u32>,
}

/// One line of the manager's record.
#[derive(Deserialize, Debug, Clone)]
pub struct Decision {
    /// How long ago.
    pub ago_ms: u64,
    /// What and why.
    pub text: String,
}

/// A running manager; it is killed when this is dropped.
pub struct Manager {
    process: Running,
}

/// The binary under test: `BSBF`, or the one built beside the lab.
pub fn binary() -> Result<PathBuf> {
    if let Some(path) = env::var_os(BINARY) {
        return Ok(path.into());
    }
    let lab = env::current_exe()?;
    let here = lab.parent().unwrap_or(Path::new("."));
    let places = [here.join("bsbf"), here.join("../release/bsbf"), here.join("../debug/bsbf")];
    match places.into_iter().find(|path| path.is_file()) {
        Some(path) => Ok(path),
        None => skipped(format!("there is no bsbf beside {} and {BINARY} is not set", lab.display())),
    }
}

impl Manager {
    /// Starts it with the lab's server and probe targets, and `more` arguments; its log goes to `log`.
    pub fn start(lab: &Lab, more: &[&str], log: &Path) -> Result<Manager> {
        let binary = binary()?;
        let help = Command::new(&binary).args(["bond", "--help"]).output();
        if !help.doing(format_args!("run {}", binary.display()))?.status.success() {
            return skipped(format!("{} has no command 'bond'", binary.display()));
        }
        let log = File::create(log).doing(format_args!("create {}", log.display()))?;
        let mut command = lab.client.command(&binary.to_string_lossy());
        command.args(["bond", "--server", SERVER, "--target", SERVER]);
        command.args(INTERNET_HOSTS.iter().flat_map(|host| ["--target", host]));
        command.args(more).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        Ok(Manager { process: lab.client.spawn(&mut command)? })
    }

    /// Waits until it holds every WAN of the lab for up.
    pub fn settle(&mut self, lab: &Lab, within: Duration) -> Result {
        let start = Instant::now();
        while start.elapsed() < within {
            let ups = status().map_or(0, |now| now.wans.iter().filter(|wan| wan.state == "up").count());
            if ups == lab.wans() {
                return Ok(());
            }
            if !self.process.is_alive() {
                return failed("the manager has ended");
            }
            sleep(INTERVAL);
        }
        failed(format!("the manager did not hold every WAN for up within {within:?}: {:?}", status()))
    }

    /// Whether it still runs.
    pub fn is_alive(&mut self) -> bool {
        self.process.is_alive()
    }

    /// Asks it to end (SIGTERM) and waits.
    pub fn end(mut self, within: Duration) -> Result<ExitStatus> {
        let child = self.process.child();
        kill(Pid::from_raw(child.id() as i32), Signal::SIGTERM)?;
        let start = Instant::now();
        while start.elapsed() < within {
            if let Some(status) = child.try_wait()? {
                return Ok(status);
            }
            sleep(INTERVAL);
        }
        failed(format!("the manager did not end within {within:?} of SIGTERM"))
    }
}

/// What the manager says now; None if it does not answer or its answer cannot be read.
pub fn status() -> Option<Status> {
    let mut socket = UnixStream::connect(SOCKET).ok()?;
    socket.set_read_timeout(Some(PATIENCE)).ok()?;
    socket.write_all(b"status\n").ok()?;
    socket.shutdown(Shutdown::Write).ok()?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer).ok()?;
    json::from_str(answer.trim()).ok()
}
