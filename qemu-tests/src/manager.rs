//! The manager under test: `bsbf bond` on the lab's router, and what it says of itself.

use std::env;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use miniserde::{Deserialize, json};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::failure::{Doing, Result, failed};
use crate::ns::Running;
use crate::runner::patience;
use crate::topology::{INTERNET_HOSTS, Lab, SERVER};

/// Names the binary under test in the environment.
const BINARY: &str = "BSBF";
/// Where the manager answers questions; the lab's /run is its own.
const SOCKET: &str = "/var/run/bsbf/bond.sock";
/// Stand-ins for what only a router has are here, before all other programs.
const TOOLS: &str = "/run/bin";
/// Of a question over the socket: longer means that the manager hangs.
const PATIENCE: Duration = Duration::from_millis(500);
/// How often the manager is asked while waiting for it.
const INTERVAL: Duration = Duration::from_millis(5);

/// What the manager answers to "status".
#[derive(Deserialize, Debug, Clone)]
pub struct Status {
    /// Every WAN that it manages.
    pub wans: Vec<WanStatus>,
    /// What it says of the machine.
    pub notes: Vec<String>,
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
    /// Its routing table.
    pub table: u32,
    /// Its endpoints.
    pub endpoints: Vec<EndpointStatus>,
    /// What becomes of MPTCP on its way: "passes", "stripped" or "dropped", once that was tested.
    pub mptcp: Option<String>,
    /// What became of it there.
    pub mptcp_counts: MptcpCounts,
}

/// MPTCP's connections and joins on a WAN.
#[derive(Deserialize, Debug, Clone)]
pub struct MptcpCounts {
    /// Connections that began there.
    pub connections: u64,
    /// Subflows that joined others.
    pub joins: u64,
    /// Those that were refused.
    pub joins_refused: u64,
}

/// An endpoint as the manager tells of it.
#[derive(Deserialize, Debug, Clone)]
pub struct EndpointStatus {
    /// Its address.
    pub address: String,
    /// Whether it is a backup.
    pub backup: bool,
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
        None => failed(format!("there is no bsbf beside {} and {BINARY} is not set", lab.display())),
    }
}

impl Manager {
    /// Starts it with the lab's server and probe targets, and `more` arguments; its log goes to `log`.
    pub fn start(lab: &Lab, more: &[&str], log: &Path) -> Result<Manager> {
        let mut arguments = vec!["--server", SERVER, "--target", SERVER];
        arguments.extend(INTERNET_HOSTS.iter().flat_map(|host| ["--target", host]));
        arguments.extend(more);
        Manager::start_command(lab, "bond", &arguments, log)
    }

    /// Starts a command of the binary ("bond", "route", "mptcp") with exactly these arguments. Logs of one
    /// test follow each other in the same file.
    pub fn start_command(lab: &Lab, name: &str, arguments: &[&str], log: &Path) -> Result<Manager> {
        let binary = binary()?;
        let log = File::options().create(true).append(true).open(log);
        let log = log.doing("open the manager's log")?;
        let mut command = lab.client.command(&binary.to_string_lossy());
        command
            .env("PATH", path())
            .arg(name)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        Ok(Manager { process: lab.client.spawn(&mut command)? })
    }

    /// Waits until it holds every WAN of the lab for up.
    pub fn settle(&mut self, lab: &Lab, within: Duration) -> Result {
        let within = patience() * within;
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

    /// Its process id.
    pub fn pid(&mut self) -> u32 {
        self.process.child().id()
    }

    /// Seconds of CPU that the process and all its threads have used.
    pub fn cpu_seconds(&mut self) -> Result<f64> {
        let pid = self.pid();
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).doing("read the manager's times")?;
        // The name, in brackets, may hold anything; after it come state (field 3) and the rest (proc(5)).
        let fields: Vec<&str> = text.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |field: usize| fields.get(field - 3).and_then(|word| word.parse::<f64>().ok());
        let per_second = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK)?.unwrap_or(100) as f64;
        match (ticks(14), ticks(15)) {
            (Some(user), Some(system)) => Ok((user + system) / per_second),
            _ => failed(format!("/proc/{pid}/stat is {text:?}")),
        }
    }

    /// A number from its /proc status: "VmRSS" (KiB), "Threads".
    pub fn status_field(&mut self, name: &str) -> Result<u64> {
        let pid = self.pid();
        let text = fs::read_to_string(format!("/proc/{pid}/status")).doing("read the manager's memory")?;
        let row = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let number = row.and_then(|row| row.split_whitespace().next()?.parse().ok());
        number.map_or_else(|| failed(format!("/proc/{pid}/status has no {name}")), Ok)
    }

    /// Sends it a signal.
    pub fn signal(&mut self, signal: Signal) -> Result {
        Ok(kill(Pid::from_raw(self.pid() as i32), signal)?)
    }

    /// Ends it at once (SIGKILL), as a crash would.
    pub fn crash(self) {
        drop(self.process);
    }

    /// Asks it to end (SIGTERM) and waits.
    pub fn end(mut self, within: Duration) -> Result<ExitStatus> {
        let within = patience() * within;
        self.signal(Signal::SIGTERM)?;
        let child = self.process.child();
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

/// How a command of the binary under test ended.
#[derive(Debug)]
pub struct Ran {
    /// Its exit code; None if a signal ended it.
    pub code: Option<i32>,
    /// What it printed.
    pub stdout: String,
    /// What it complained about.
    pub stderr: String,
}

/// Puts a script in the place of a program that only a router has.
pub fn stand_in(name: &str, script: &str) -> Result {
    fs::create_dir_all(TOOLS)?;
    let path = Path::new(TOOLS).join(name);
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).doing(format_args!("write {}", path.display()))?;
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(0o755))?)
}

/// Where the binary under test finds programs.
fn path() -> String {
    format!("{TOOLS}:{}", env::var("PATH").unwrap_or_default())
}

/// Runs the binary under test on the lab's router to its end.
pub fn run(lab: &Lab, arguments: &[&str]) -> Result<Ran> {
    run_as(lab, &[], arguments)
}

/// The same with another command in front, such as `setpriv`.
pub fn run_as(lab: &Lab, before: &[&str], arguments: &[&str]) -> Result<Ran> {
    let binary = binary()?;
    let binary = binary.to_string_lossy();
    let words: Vec<&str> =
        before.iter().copied().chain([&*binary]).chain(arguments.iter().copied()).collect();
    to_its_end(lab.client.command(words[0]).args(&words[1..]))
}

/// Runs the binary under test to its end where there is no network.
pub fn run_alone(arguments: &[&str]) -> Result<Ran> {
    to_its_end(Command::new(binary()?).args(arguments))
}

fn to_its_end(command: &mut Command) -> Result<Ran> {
    let done = command.env("PATH", path()).stdin(Stdio::null()).output();
    let done = done.doing(format_args!("run {command:?}"))?;
    Ok(Ran {
        code: done.status.code(),
        stdout: String::from_utf8_lossy(&done.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&done.stderr).into_owned(),
    })
}

/// What the manager says now; None if it does not answer or its answer cannot be read.
pub fn status() -> Option<Status> {
    json::from_str(ask("status")?.trim()).ok()
}

/// The manager's answer to a question over its socket; None if there is none.
pub fn ask(question: &str) -> Option<String> {
    let mut socket = UnixStream::connect(SOCKET).ok()?;
    socket.set_read_timeout(Some(PATIENCE)).ok()?;
    socket.write_all(format!("{question}\n").as_bytes()).ok()?;
    socket.shutdown(Shutdown::Write).ok()?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer).ok()?;
    Some(answer)
}
