//! `cargo xtask fuzz`: the targets of `fuzz/`, each for a bounded time.
//!
//! What the program cargo-fuzz would do, with any Rust: libFuzzer comes as source with a crate, and the flags by
//! which rustc counts coverage for it are stable. Without AddressSanitizer, which is not; `wire` and `wan` have
//! no unsafe code.

use std::ffi::OsString;
use std::fs;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::thread;

use crate::paths::Paths;
use crate::tally::Tally;
use crate::{Result, ci, debian, process};

/// How long each target runs when nobody says.
pub const SECONDS: u32 = 20;

/// Coverage for libFuzzer, as cargo-fuzz 0.13 asks for it (its `src/project.rs`).
const FLAGS: [&str; 8] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Cdebug-assertions",
    "-Coverflow-checks",
    "--cfg=fuzzing",
];

/// The same start for everyone: what is found in CI is found again at the desk.
const SEED: &str = "-seed=1";
/// Of megabytes; a parser of messages that needs more is wrong.
const MEMORY: &str = "-rss_limit_mb=512";
/// Of seconds for one input, on a busy machine.
const PATIENCE: &str = "-timeout=10";
/// Of bytes: more than any message or file of ours, and less than what makes each run slow.
const LENGTH: &str = "-max_len=4096";
/// Lines of a failed target that are shown: the panic and libFuzzer's verdict.
const LAST_LINES: usize = 30;

/// What libFuzzer said at the end.
#[derive(Debug, Default, PartialEq, Eq)]
struct Numbers {
    executions: u64,
    /// Edges of the program that some input has reached.
    coverage: u64,
}

/// Builds and runs all targets; the closing line counts them.
pub fn all(paths: &Paths, seconds: u32) -> ExitCode {
    let mut sum = Tally::default();
    run(paths, seconds, &mut sum);
    ci::close(sum)
}

/// The same as a part of `ci`: each target counts one.
pub fn run(paths: &Paths, seconds: u32, sum: &mut Tally) {
    let built = targets(paths).and_then(|names| Ok((build(paths)?, names)));
    match built {
        Ok((programs, names)) => {
            let processors = thread::available_parallelism().map_or(1, NonZero::get);
            for names in names.chunks(processors) {
                let outcomes = thread::scope(|scope| {
                    let run = |name| {
                        let programs = &programs;
                        scope.spawn(move || fuzz(paths, programs, name, seconds))
                    };
                    let running: Vec<_> = names.iter().map(|name| run(name)).collect();
                    let panicked = |_| Err("its thread panicked".to_string());
                    running.into_iter().map(|one| one.join().unwrap_or_else(panicked)).collect::<Vec<_>>()
                });
                for (name, outcome) in names.iter().zip(outcomes) {
                    sum.check(&format!("fuzz {name}"), outcome);
                }
            }
        }
        Err(why) => sum.check("fuzz", Err(why)),
    }
}

/// The targets' names, from their files.
fn targets(paths: &Paths) -> Result<Vec<String>> {
    let dir = paths.root.join("fuzz/fuzz_targets");
    let cannot = |e| format!("cannot list {}: {e}", dir.display());
    let mut names = Vec::new();
    for entry in fs::read_dir(&dir).map_err(cannot)? {
        let path = entry.map_err(cannot)?.path();
        names.extend(path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
    }
    names.sort();
    if names.is_empty() { Err(format!("no target in {}", dir.display())) } else { Ok(names) }
}

/// Builds all targets and says where their programs are.
fn build(paths: &Paths) -> Result<PathBuf> {
    debian::need("g++", "g++")?;
    let host = host(paths)?;
    let target = directory(paths);
    let mut build = process::cargo(&paths.root);
    // With the target named, the flags do not reach build scripts and procedural macros.
    build.args([
        "build",
        "--release",
        "--locked",
        "--bins",
        "--manifest-path",
        "fuzz/Cargo.toml",
        "--target",
    ]);
    build.arg(&host).arg("--target-dir").arg(&target);
    // Of cargo's ways to take flags the one that precedes the others.
    build.env("CARGO_ENCODED_RUSTFLAGS", FLAGS.join("\x1f"));
    process::run(&mut build)?;
    Ok(target.join(host).join("release"))
}

/// The triple of this machine.
fn host(paths: &Paths) -> Result<String> {
    let told = process::output(process::cargo(&paths.root).arg("-vV"))?;
    let host = told.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_string).ok_or_else(|| "cargo -vV names no host".to_string())
}

/// Everything of ours that is not in the source tree.
fn directory(paths: &Paths) -> PathBuf {
    paths.target.join("fuzz")
}

/// Runs one target and prints its line.
fn fuzz(paths: &Paths, programs: &Path, name: &str, seconds: u32) -> Result<()> {
    let [corpus, artifacts] = ["corpus", "artifacts"].map(|kind| directory(paths).join(kind).join(name));
    for dir in [&corpus, &artifacts] {
        fs::create_dir_all(dir).map_err(|e| format!("cannot create {}: {e}", dir.display()))?;
    }
    let mut prefix = OsString::from("-artifact_prefix=");
    prefix.push(artifacts.join("")); // with the slash at its end
    let mut program = Command::new(programs.join(name));
    program.args([SEED, MEMORY, PATIENCE, LENGTH, "-print_final_stats=1"]).arg(prefix);
    // What is new goes to the first directory; the seeds are only read.
    program.arg(format!("-max_total_time={seconds}")).arg(&corpus).args(seeds(paths, name)?);
    let output = program
        .stdin(Stdio::null())
        .output()
        .map_err(|e| format!("cannot start {}: {e}", process::words(&program)))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let numbers = read(&said);
    if output.status.success() && numbers.executions > 0 {
        let Numbers { executions, coverage } = numbers;
        println!("fuzz: {name:<10} {executions:>10} executions, {coverage:>5} edges, {seconds} s");
        return Ok(());
    }
    let lines: Vec<&str> = said.lines().collect();
    for line in lines.iter().skip(lines.len().saturating_sub(LAST_LINES)) {
        eprintln!("{line}");
    }
    let what = artifact(&said).map_or_else(
        || format!("no input was kept, {} ended it", output.status),
        |file| format!("{} with {file}", output.status),
    );
    Err(format!("{what}: {}", process::words(&program)))
}

/// Directories of inputs to begin with: the target's own, and the recorded files that are fit for it.
fn seeds(paths: &Paths, name: &str) -> Result<Vec<PathBuf>> {
    let mut dirs = vec![paths.root.join("fuzz/seeds").join(name)];
    if ["uci", "settings"].contains(&name) {
        dirs.push(paths.root.join("tests/vectors/uci/read"));
    }
    match dirs.iter().find(|dir| !dir.is_dir()) {
        Some(missing) => Err(format!("no seeds: {} is missing", missing.display())),
        None => Ok(dirs),
    }
}

/// From libFuzzer's output, `#4096 pulse  cov: 123 ft: 456 ...` and `stat::number_of_executed_units: 4096`.
fn read(said: &str) -> Numbers {
    let mut numbers = Numbers::default();
    for line in said.lines() {
        if let Some((_, rest)) = line.split_once(" cov: ") {
            let word = rest.split(' ').next().unwrap_or_default();
            numbers.coverage = word.parse().unwrap_or(numbers.coverage);
        }
        if let Some(units) = line.strip_prefix("stat::number_of_executed_units:") {
            numbers.executions = units.trim().parse().unwrap_or_default();
        }
    }
    numbers
}

/// The file of the input that broke a target, from `artifact_prefix='...'; Test unit written to FILE`.
fn artifact(said: &str) -> Option<&str> {
    said.lines().find_map(|line| Some(line.split_once("Test unit written to ")?.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_the_last_lines() {
        let said = "INFO: seed corpus: files: 9\n#10\tINITED cov: 88 ft: 120 corp: 9/1Kb\n\
                    #4096\tpulse  cov: 123 ft: 456 corp: 20/2Kb lim: 43 exec/s: 2048 rss: 44Mb\n\
                    #9000\tDONE   cov: 124 ft: 460 corp: 21/2Kb\nDone 9000 runs in 11 second(s)\n\
                    stat::number_of_executed_units: 9000\nstat::average_exec_per_sec:     818\n";
        assert_eq!(read(said), Numbers { executions: 9000, coverage: 124 });
        assert_eq!(artifact(said), None);
        assert_eq!(read("no such file"), Numbers::default(), "a program that ran nothing has not passed");
    }

    #[test]
    fn a_crash_is_named_by_its_file() {
        let said = "==7== ERROR: libFuzzer: deadly signal\nMS: 1 EraseBytes-; base unit: adc83b\n\
                    artifact_prefix='/t/fuzz/'; Test unit written to /t/fuzz/crash-0a\nBase64: aQ==\n";
        assert_eq!(artifact(said), Some("/t/fuzz/crash-0a"));
    }
}
