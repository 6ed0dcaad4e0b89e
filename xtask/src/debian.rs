//! Debian packages: installed when a tool is missing, never otherwise.

use std::process::Command;
use std::sync::{Mutex, PoisonError};

use crate::{Result, process};

/// Installs `packages`, and says so. Without the rights or without apt the error names them, so that a
/// person can install what gives the same tools on another system.
pub fn install(packages: &[&str]) -> Result<()> {
    // Two steps may run at a time, and dpkg's own lock makes the second one fail.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let list = packages.join(" ");
    if process::find("apt-get").is_none() {
        return Err(format!("this needs what Debian's packages have: {list}; there is no apt-get here"));
    }
    let as_root = process::output(Command::new("id").arg("-u"))?.trim() == "0";
    if !as_root && process::find("sudo").is_none() {
        return Err(format!("install these Debian packages first (needs root): {list}"));
    }
    println!("xtask: installing Debian packages: {list}");
    // A new machine has no package lists, an old one has outdated lists: update only then.
    let known = process::output(Command::new("apt-cache").args(["show", "--no-all-versions"]).args(packages));
    if known.is_err() {
        process::run(apt_get(as_root).arg("update"))?;
    }
    // Without removals: a compiler that the developer chose is not to vanish for ours.
    let install = || {
        let mut command = apt_get(as_root);
        command.args(["install", "--yes", "--no-install-recommends", "--no-remove"]).args(packages);
        process::run(&mut command)
    };
    install().or_else(|why| {
        if known.is_err() {
            return Err(why);
        }
        process::run(apt_get(as_root).arg("update"))?;
        install()
    })
}

/// `apt-get` with the rights to install, that asks nothing.
fn apt_get(as_root: bool) -> Command {
    // sudo drops the environment, hence env(1).
    let mut command = Command::new(if as_root { "env" } else { "sudo" });
    if !as_root {
        command.arg("env");
    }
    command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get", "--quiet"]);
    command
}

/// Makes sure that `program` is there, by `package` if need be.
pub fn need(program: &str, package: &str) -> Result<()> {
    if process::find(program).is_none() {
        install(&[package])?;
    }
    match process::find(program) {
        Some(_) => Ok(()),
        None => Err(format!("the package {package} has no {program}")),
    }
}
