//! One network namespace: run programs and code in it.

use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns, unshare};

use crate::failure::{Doing, Result, failed};
use crate::sys;

/// A network namespace, also known to `ip netns exec` by its name. Cloning is cheap.
#[derive(Clone)]
pub struct Ns {
    name: Arc<str>,
    fd: Arc<OwnedFd>,
}

impl Ns {
    /// Makes the namespace, with loopback up.
    pub fn new(name: &str) -> Result<Ns> {
        output(Command::new("ip").args(["netns", "add", name]))?;
        let path = format!("/run/netns/{name}");
        let fd = File::open(&path).doing(format_args!("open {path}"))?;
        let ns = Ns { name: name.into(), fd: Arc::new(fd.into()) };
        ns.run("ip link set lo up")?;
        Ok(ns)
    }

    /// The namespace of this process.
    pub fn own() -> Result<Ns> {
        let path = "/proc/self/ns/net";
        Ok(Ns {
            name: "own".into(),
            fd: Arc::new(File::open(path).doing(format_args!("open {path}"))?.into()),
        })
    }

    /// Runs a command line (words split at blanks, no shell) to its end and returns what it printed.
    /// An exit code other than 0 is a failure with the command's own words.
    pub fn run(&self, line: &str) -> Result<String> {
        let mut words = line.split_whitespace();
        let Some(program) = words.next() else { return failed("an empty command line") };
        output(self.command(program).args(words))
    }

    /// Runs many `ip` commands, each line without the leading "ip", in one process.
    pub fn ip_batch(&self, lines: &str) -> Result {
        let path = format!("/run/{}.batch", self.name);
        fs::write(&path, lines).doing(format_args!("write {path}"))?;
        output(self.command("ip").args(["-batch", &path])).map(|_| ())
    }

    /// Starts a program that is killed when the result is dropped.
    pub fn spawn(&self, command: &mut Command) -> Result<Running> {
        let child = command.spawn().doing(format_args!("start {:?}", command.get_program()))?;
        Ok(Running { child })
    }

    /// A command that will run in this namespace and see its devices in /sys.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let ns = self.fd.clone();
        sys::before_exec(&mut command, move || {
            setns(&*ns, CloneFlags::CLONE_NEWNET)?;
            unshare(CloneFlags::CLONE_NEWNS)?;
            // sysfs shows the network namespace of whoever mounted it. Not every container allows the mount.
            let none: Option<&str> = None;
            let _ = mount(Some("sysfs"), "/sys", Some("sysfs"), MsFlags::empty(), none);
            Ok(())
        });
        command
    }

    /// Runs `code` on a fresh thread of this namespace and waits for it. Sockets that it opens belong to
    /// the namespace for good.
    pub fn enter<T: Send>(&self, code: impl FnOnce() -> T + Send) -> T {
        thread::scope(|scope| {
            let thread = scope.spawn(|| {
                self.join();
                code()
            });
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Starts a thread of this namespace and does not wait.
    pub fn thread<T: Send + 'static>(
        &self,
        name: &str,
        code: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<thread::JoinHandle<T>> {
        let ns = self.clone();
        thread::Builder::new().name(name.into()).spawn(move || {
            ns.join();
            code()
        })
    }

    /// Writes a sysctl, named by its path below /proc/sys ("net/ipv4/ip_forward").
    pub fn sysctl(&self, path: &str, value: impl ToString) -> Result {
        let value = value.to_string();
        self.enter(|| fs::write(format!("/proc/sys/{path}"), &value))
            .doing(format_args!("set {path} to {value} in {}", self.name))
    }

    /// Moves the calling thread into the namespace.
    fn join(&self) {
        setns(&*self.fd, CloneFlags::CLONE_NEWNET).expect("an open namespace of ours can be entered");
    }
}

/// Runs a command to its end; its output, or its complaint.
fn output(command: &mut Command) -> Result<String> {
    let line = format!("{command:?}");
    let done = command.stdin(Stdio::null()).output().doing(format_args!("run {line}"))?;
    if !done.status.success() {
        let said = String::from_utf8_lossy(&done.stderr);
        return failed(format!("{line} ended with {}: {}", done.status, said.trim()));
    }
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}

/// A child process that ends with this value.
pub struct Running {
    child: Child,
}

impl Running {
    /// The process, for its id or to wait.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Whether it still runs.
    pub fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
