//! The host's own binary, its tests, and the lab (`qemu-tests`) that runs it in network namespaces.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use crate::paths::Paths;
use crate::tally::Tally;
use crate::{Result, debian, process, sing_box};

/// Builds the release binary for this machine, with the toolchain that runs us.
pub fn build_host(paths: &Paths) -> Result<()> {
    let mut build = process::cargo(&paths.root);
    build.args(["build", "--release", "--locked", "--package", "bsbf", "--target-dir"]).arg(&paths.target);
    process::run(&mut build)
}

/// Builds the lab and gives its path.
pub fn build(paths: &Paths) -> Result<PathBuf> {
    let mut build = process::cargo(&paths.root);
    build.args(["build", "--quiet", "--release", "--locked", "--package", "qemu-tests", "--target-dir"]);
    process::run(build.arg(&paths.target))?;
    Ok(paths.target.join("release/lab"))
}

/// Unit and property tests of every crate.
pub fn cargo_test(paths: &Paths, filter: Option<&str>) -> (Tally, Result<()>) {
    let mut test = process::cargo(&paths.root);
    test.args(["test", "--locked", "--no-fail-fast", "--workspace"]).args(filter);
    count(&mut test, "")
}

/// The lab's tests, with this binary, or with the host's release binary.
pub fn lab_test(paths: &Paths, filter: Option<&str>, binary: Option<&Path>) -> (Tally, Result<()>) {
    // For the proxy's rules, and what is sent through it; what is without them skips their tests.
    for (program, package) in [
        ("nft", "nftables"),
        ("iptables-legacy", "iptables"),
        ("iperf3", "iperf3"),
        ("dropbear", "dropbear-bin"),
    ] {
        if let Err(why) = debian::need(program, package) {
            println!("xtask: {why}");
        }
    }
    let prepared = match binary {
        Some(binary) => lab_with(paths, "test", binary),
        None => lab(paths, "test"),
    };
    let (counted, outcome) = match prepared {
        Ok(mut lab) => {
            match sing_box::find(paths) {
                Ok(program) => drop(lab.env("SING_BOX", program)),
                Err(why) => println!("xtask: {why}"),
            }
            // One that is asked for by its name is looked at by somebody.
            let again = filter.is_none().then_some("--again");
            count(lab.args(again).args(filter), "")
        }
        Err(why) => (Tally::default(), Err(why)),
    };
    has_run(counted, outcome, filter.is_none())
}

/// The lab's tests in the guest of this architecture, which machine.json describes; `program` is the lab that
/// [`build`] gives.
pub fn qemu_test(program: &Path, arch: &str, machine: &Path, tests: &[&str]) -> (Tally, Result<()>) {
    // Behind a phone; without it its test is skipped.
    if let Err(why) = debian::need("dnsmasq", "dnsmasq-base") {
        println!("xtask: {why}");
    }
    let mut qemu = Command::new(program);
    let again = tests.is_empty().then_some("--again");
    qemu.arg("qemu").arg(machine).args(again).args(tests);
    let (counted, outcome) = count(&mut qemu, &format!("{arch}: "));
    let nothing = counted.passed + counted.failed == 0;
    match has_run(counted, outcome, true) {
        // A host without namespaces skips every test, and a router is not tested by that.
        (counted, Ok(())) if nothing => (counted, Err("every test was skipped".to_string())),
        outcome => outcome,
    }
}

/// A lab without a closing line has not done its job, whatever its exit status.
fn has_run(counted: Tally, outcome: Result<()>, has_tests: bool) -> (Tally, Result<()>) {
    match outcome {
        Ok(()) if counted == Tally::default() && has_tests => {
            (counted, Err("the lab ran no test".to_string()))
        }
        outcome => (counted, outcome),
    }
}

/// The lab's live view, on this terminal.
pub fn demo(paths: &Paths, arguments: &[&str]) -> Result<ExitCode> {
    let status =
        lab(paths, "demo")?.args(arguments).status().map_err(|e| format!("cannot start the lab: {e}"))?;
    // The lab has said what was wrong; a second message would only cover it.
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The lab's command line up to its own arguments, when all that it needs is there.
fn lab(paths: &Paths, command: &str) -> Result<Command> {
    build_host(paths)?;
    lab_with(paths, command, &paths.host_binary())
}

/// The same with another binary to test.
fn lab_with(paths: &Paths, command: &str, binary: &Path) -> Result<Command> {
    debian::need("ip", "iproute2")?;
    let mut lab = process::cargo(&paths.root);
    lab.args([
        "run",
        "--quiet",
        "--release",
        "--locked",
        "--package",
        "qemu-tests",
        "--bin",
        "lab",
        "--",
        command,
    ]);
    lab.env("BSBF", binary);
    Ok(lab)
}

/// Runs a test program, whose lines are shown after `title`, and adds up its summary lines.
fn count(command: &mut Command, title: &str) -> (Tally, Result<()>) {
    let mut counted = Tally::default();
    let outcome = process::watch(command, title, |line| counted.read(line));
    (counted, outcome)
}
