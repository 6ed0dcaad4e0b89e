//! The commands that end with a closing line: `test`, `build` and all of `ci`.

use std::path::Path;
use std::process::{Command, ExitCode};
use std::thread;
use std::time::Instant;

use crate::paths::Paths;
use crate::tally::Tally;
use crate::targets::Target;
use crate::{Result, cross, fuzz, lab, package, process, qemu, targets};

/// How long `ci` runs each fuzz target: long enough to find what a change breaks, not to find what is rare.
const FUZZ_SECONDS: u32 = 6;

/// The virtual routers of `test`: 32 and 64 bits. `ci` runs all.
const ROUTERS: [&str; 2] = ["mipsel_24kc", "aarch64_cortex-a53"];

/// Unit and property tests, the lab's, and those of two virtual routers. A filter is for the first two.
pub fn test(paths: &Paths, filter: Option<&str>) -> ExitCode {
    let mut sum = Tally::default();
    run_tests(paths, filter, &mut sum);
    if let Some(filter) = filter {
        if sum.passed + sum.failed == 0 {
            sum.check(
                "test",
                Err(format!("no test's name has {filter:?} in it; see xtask qemu for a router's")),
            );
        }
        return close(sum);
    }
    let routers: Result<Vec<_>> =
        ROUTERS.iter().map(|arch| targets::named(&paths.root, Some(*arch))).collect();
    match routers {
        Ok(routers) => qemu::run(paths, &routers.concat(), &[], &mut sum),
        Err(why) => sum.check("targets", Err(why)),
    }
    close(sum)
}

/// The release binaries for `arch`, or for every router.
pub fn build(paths: &Paths, arch: Option<&str>) -> Result<ExitCode> {
    let targets = targets::named(&paths.root, arch)?;
    let mut sum = Tally::default();
    run_builds(paths, &targets, &mut sum);
    Ok(close(sum))
}

/// What a change has to pass, and how long each part of it took: CI has an hour.
pub fn all(paths: &Paths) -> ExitCode {
    let mut sum = Tally::default();
    let mut parts = Parts { start: Instant::now(), line: String::new() };
    sum.check("formatting", formatting(paths));
    sum.check("lints", process::run(&mut clippy(paths)));
    parts.end("lints");
    run_unit_tests(paths, None, &mut sum);
    parts.end("unit tests");
    let targets = targets::all(&paths.root).unwrap_or_else(|why| {
        sum.check("targets", Err(why));
        Vec::new()
    });
    thread::scope(|scope| {
        // The lab leaves the processors idle for most of its time, and so do builds, which link with one of them: the
        // kernels of the virtual routers are compiled in no more than that.
        scope.spawn(|| {
            process::step_back();
            qemu::fetch(paths, &targets);
        });
        // With what ships: static, and with another C library than the host's own.
        match cross::build_own(paths, &targets) {
            Ok(binary) => run_lab(paths, None, Some(&binary), &mut sum),
            Err(why) => {
                println!("xtask: the lab runs the host's dynamic build: {why}");
                run_lab(paths, None, None, &mut sum);
            }
        }
        parts.end("lab");
        fuzz::run(paths, FUZZ_SECONDS, &mut sum);
        parts.end("fuzz");
        run_builds(paths, &targets, &mut sum);
    });
    parts.end("builds");
    package::run(paths, &targets, &mut sum);
    parts.end("packages");
    qemu::run(paths, &targets, &[], &mut sum);
    parts.end("virtual routers");
    println!("xtask: took{}", parts.line);
    close(sum)
}

/// How long the parts of a run took, each since the one before.
struct Parts {
    start: Instant,
    line: String,
}

impl Parts {
    fn end(&mut self, name: &str) {
        let comma = if self.line.is_empty() { "" } else { "," };
        self.line += &format!("{comma} {name} {} s", self.start.elapsed().as_secs());
        self.start = Instant::now();
    }
}

/// The fuzz targets are a workspace of their own.
fn formatting(paths: &Paths) -> Result<()> {
    for manifest in ["Cargo.toml", "fuzz/Cargo.toml"] {
        let mut fmt = process::cargo(&paths.root);
        process::run(fmt.args(["fmt", "--all", "--check", "--manifest-path", manifest]))?;
    }
    Ok(())
}

fn clippy(paths: &Paths) -> Command {
    let mut clippy = process::cargo(&paths.root);
    clippy.args(["clippy", "--locked", "--workspace", "--all-targets", "--", "-Dwarnings"]);
    clippy
}

fn run_tests(paths: &Paths, filter: Option<&str>, sum: &mut Tally) {
    run_unit_tests(paths, filter, sum);
    run_lab(paths, filter, None, sum);
}

fn run_unit_tests(paths: &Paths, filter: Option<&str>, sum: &mut Tally) {
    let (counted, outcome) = lab::cargo_test(paths, filter);
    sum.step("unit tests", counted, outcome);
}

fn run_lab(paths: &Paths, filter: Option<&str>, binary: Option<&Path>, sum: &mut Tally) {
    let (counted, outcome) = lab::lab_test(paths, filter, binary);
    sum.step("lab", counted, outcome);
}

fn run_builds(paths: &Paths, targets: &[Target], sum: &mut Tally) {
    let results = cross::build(paths, targets);
    print!("\n{}\n", cross::table(&results));
    for (target, result) in targets.iter().zip(results) {
        sum.check(&target.arch, result.outcome);
    }
}

/// Repeats what failed and prints the closing line; the exit status says whether anything failed.
pub fn close(sum: Tally) -> ExitCode {
    if !sum.failures.is_empty() {
        print!("\n{}", sum.told());
    }
    println!("{sum}");
    if sum.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
