//! Runs tests one after another, each in a process and a sandbox of its own.

use std::env;
use std::io::{Read, pipe};
use std::process::{Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::failure::{Doing, Failure, Result, failed};
use crate::{cases, sandbox};

/// Exit code of a process whose test was skipped, as automake has it.
const SKIPPED: u8 = 77;
/// How often a running test is looked at.
const INTERVAL: Duration = Duration::from_millis(10);
/// How long a test may take unless it says otherwise.
const LIMIT: Duration = Duration::from_secs(30);
/// The hidden subcommand that runs one test in this process.
pub const CASE_COMMAND: &str = "case";

/// One test.
#[derive(Clone, Copy)]
pub struct Case {
    /// Group and claim: `links::rate_holds`.
    pub name: &'static str,
    /// The test, called inside a sandbox.
    pub run: fn() -> Result,
    /// It fails if it takes longer.
    pub limit: Duration,
}

impl Case {
    /// A test with the usual limit.
    pub const fn new(name: &'static str, run: fn() -> Result) -> Case {
        Case { name, run, limit: LIMIT }
    }

    /// Another limit.
    pub const fn within(mut self, seconds: u64) -> Case {
        self.limit = Duration::from_secs(seconds);
        self
    }
}

enum Verdict {
    Passed,
    Failed(String),
    Skipped(String),
}

/// `lab test [--list] [FILTER...]`: tests whose name contains any of the filters; all without one.
pub fn test(arguments: &[String]) -> Result<ExitCode> {
    let (options, filters): (Vec<&String>, Vec<&String>) =
        arguments.iter().partition(|argument| argument.starts_with("--"));
    let chosen: Vec<Case> = cases::all()
        .into_iter()
        .filter(|case| filters.is_empty() || filters.iter().any(|filter| case.name.contains(filter.as_str())))
        .collect();
    match options.as_slice() {
        [] => {}
        [only] if *only == "--list" => {
            chosen.iter().for_each(|case| println!("{}", case.name));
            return Ok(ExitCode::SUCCESS);
        }
        _ => return failed(format!("unknown option {:?}; usage: lab test [--list] [FILTER...]", options)),
    }
    let (mut passed, mut failures, mut skips) = (0, 0, 0);
    for case in &chosen {
        let start = Instant::now();
        let verdict = run_apart(case)?;
        let seconds = start.elapsed().as_secs_f32();
        match verdict {
            Verdict::Passed => {
                passed += 1;
                println!("{} ... ok ({seconds:.1} s)", case.name);
            }
            Verdict::Skipped(why) => {
                skips += 1;
                println!("{} ... skipped: {why}", case.name);
            }
            Verdict::Failed(output) => {
                failures += 1;
                println!("{} ... FAILED ({seconds:.1} s)", case.name);
                output.lines().for_each(|line| println!("    {line}"));
            }
        }
    }
    println!("lab: {passed} passed, {failures} failed, {skips} skipped");
    Ok(if failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs a test in a process of its own; killing that one ends all that the test has started.
fn run_apart(case: &Case) -> Result<Verdict> {
    let (mut reader, writer) = pipe()?;
    let mut command = Command::new(env::current_exe()?);
    command.args([CASE_COMMAND, case.name]).stdin(Stdio::null());
    command.stdout(writer.try_clone()?).stderr(writer);
    let mut child = command.spawn().doing("start a test")?;
    // Our copies of the pipe's writing end go with the command, so that the reader sees the end.
    drop(command);
    let output = thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = reader.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    });
    let start = Instant::now();
    let code = loop {
        if let Some(status) = child.try_wait()? {
            break status.code();
        }
        if start.elapsed() > case.limit {
            child.kill()?;
            child.wait()?;
            let said = output.join().unwrap_or_default();
            return Ok(Verdict::Failed(format!("{said}no end within {:?}", case.limit)));
        }
        thread::sleep(INTERVAL);
    };
    let output = output.join().unwrap_or_default();
    Ok(match code {
        Some(0) => Verdict::Passed,
        Some(code) if code == i32::from(SKIPPED) => {
            Verdict::Skipped(output.lines().last().unwrap_or_default().to_string())
        }
        _ => Verdict::Failed(output),
    })
}

/// `lab case NAME`: the test itself, in this process. Its last line of output is the failure or the reason
/// for the skip.
pub fn case(name: &str) -> Result<ExitCode> {
    let Some(case) = cases::all().into_iter().find(|case| case.name == name) else {
        return failed(format!("there is no test {name}"));
    };
    match sandbox::enter().and_then(|()| (case.run)()) {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(Failure::Failed(text)) => {
            println!("{text}");
            Ok(ExitCode::FAILURE)
        }
        Err(Failure::Skipped(why)) => {
            println!("{why}");
            Ok(ExitCode::from(SKIPPED))
        }
    }
}
