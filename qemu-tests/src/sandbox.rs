//! Namespaces around the whole lab, so that nothing of the host is touched and nothing outlives the lab.
//!
//! [`enter`] starts the program a second time inside: as pid 1 of a new pid namespace (when it dies, the
//! kernel kills the rest), with network and mounts of its own, and, if the user is not root, as root of a
//! new user namespace. The first process only waits and passes the exit code on.

use std::env;
use std::fs;
use std::process::{Command, exit};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::unistd::{getegid, geteuid};

use crate::failure::{Doing, Result, skipped};
use crate::sys;

/// Set in the environment of the program inside.
const INSIDE: &str = "LAB_INSIDE";

/// Returns inside the sandbox; outside, it does not return unless the sandbox cannot be made.
pub fn enter() -> Result {
    if env::var_os(INSIDE).is_some() {
        return furnish();
    }
    // Asked now: in a chroot the kernel tells another path once the mount namespace is a new one.
    let program = env::current_exe()?;
    match unshare_all() {
        Ok(()) => {}
        Err(e) => return skipped(format!("this system permits no namespaces ({e})")),
    }
    // After unshare: a change of credentials clears the setting.
    set_pdeathsig(Signal::SIGKILL)?;
    let mut command = Command::new(program);
    command.args(env::args_os().skip(1)).env(INSIDE, "1");
    sys::before_exec(&mut command, || Ok(set_pdeathsig(Signal::SIGKILL)?));
    let status = command.status().doing("start the lab inside its namespaces")?;
    exit(status.code().unwrap_or(1))
}

fn unshare_all() -> Result {
    let (uid, gid) = (geteuid(), getegid());
    if !uid.is_root() {
        unshare(CloneFlags::CLONE_NEWUSER).doing("make a user namespace")?;
        // Without "deny" an unprivileged process may not write gid_map (user_namespaces(7)).
        fs::write("/proc/self/setgroups", "deny").doing("write setgroups")?;
        fs::write("/proc/self/uid_map", format!("0 {uid} 1")).doing("write uid_map")?;
        fs::write("/proc/self/gid_map", format!("0 {gid} 1")).doing("write gid_map")?;
    }
    unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWPID)
        .doing("make mount, network and pid namespaces")
}

/// Mounts that belong to the lab alone.
fn furnish() -> Result {
    let none: Option<&str> = None;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).doing("make mounts private")?;
    // /run/netns of `ip netns` and /var/run/bsbf of the manager (/var/run is a link to /run).
    mount(Some("lab"), "/run", Some("tmpfs"), MsFlags::empty(), Some("mode=755")).doing("mount /run")?;
    fs::create_dir_all("/run/lock")?;
    // Containers that mask parts of /proc do not permit a new one; the old one shows other pids but works.
    let _ = mount(Some("proc"), "/proc", Some("proc"), MsFlags::empty(), none);
    need_tools()
}

fn need_tools() -> Result {
    let works = |program: &str, argument: &str| Command::new(program).arg(argument).output().is_ok();
    if !works("ip", "-V") {
        return skipped("there is no 'ip' (install iproute2)");
    }
    if fs::metadata("/proc/sys/net/mptcp/enabled").is_err() {
        return skipped("the kernel has no MPTCP (CONFIG_MPTCP)");
    }
    Ok(())
}
