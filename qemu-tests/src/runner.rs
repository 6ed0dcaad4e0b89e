//! Runs tests, each in a process and a sandbox of its own: those that measure under load one after another,
//! the others, which mostly wait, several at a time.

use std::env;
use std::fs;
use std::io::{Read, pipe};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{LazyLock, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::failure::{Doing, Failure, Result, failed, skipped};
use crate::qemu::machine::{ASKED, MACHINE, Machine, last_lines};
use crate::{cases, qemu, sandbox};

/// Exit code of a process whose test was skipped, as automake has it.
const SKIPPED: u8 = 77;
/// What a test prints after this is shown though it passed: a measurement.
const RESULT: &str = "= ";
/// How often a running test is looked at.
const INTERVAL: Duration = Duration::from_millis(10);
/// How long a test may take unless it says otherwise.
const LIMIT: Duration = Duration::from_secs(30);
/// A machine on which only the tests that mostly wait make sense may take so many times as long for them, and for
/// each thing that they wait for.
const SLOWER: u32 = 4;
/// Tells a test's process of it.
const PATIENCE: &str = "LAB_PATIENCE";
/// How many of the tests that mostly wait run at a time.
const JOBS: usize = 4;
/// The same on a slow machine: an emulated one has one processor.
const SLOW_JOBS: usize = 2;
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
    /// Others may run at the same time.
    pub together: bool,
    /// It, and each thing that it waits for, may take so many times as long.
    patience: u32,
}

impl Case {
    /// A test with the usual limit.
    pub const fn new(name: &'static str, run: fn() -> Result) -> Case {
        Case { name, run, limit: LIMIT, together: false, patience: 1 }
    }

    /// Another limit.
    pub const fn within(mut self, seconds: u64) -> Case {
        self.limit = Duration::from_secs(seconds);
        self
    }

    /// Others may run at the same time: it measures nothing that depends on the machine's load.
    pub const fn together(mut self) -> Case {
        self.together = true;
        self
    }
}

/// The virtual machine that is tested.
#[derive(Clone, Copy)]
struct Vm<'a> {
    /// The file that describes it.
    description: &'a Path,
    machine: &'a Machine,
    /// Tests were asked for by their names.
    asked: bool,
}

/// How many times as long as on a machine of the usual speed things may take on this one.
pub fn patience() -> u32 {
    static TIMES: LazyLock<u32> =
        LazyLock::new(|| env::var(PATIENCE).ok().and_then(|number| number.parse().ok()).unwrap_or(1));
    *TIMES
}

/// Skips on a machine that is not of the usual speed: `why` it cannot be waited for.
pub fn needs_speed(why: &str) -> Result {
    if patience() > 1 { skipped(format!("needs a faster machine: {why}")) } else { Ok(()) }
}

enum Verdict {
    /// With the lines that the test wants to be seen: they begin with [`RESULT`].
    Passed(Vec<String>),
    Failed(String),
    Skipped(String),
}

/// `lab test [--list | --slow] [--again] [FILTER...]`: tests whose name contains any of the filters; all without one.
pub fn test(arguments: &[String]) -> Result<ExitCode> {
    run(cases::all(), None, arguments)
}

/// `lab qemu MACHINE.json [--list] [--again] [FILTER...]`: the same for the tests of that virtual machine.
pub fn qemu(machine: &str, arguments: &[String]) -> Result<ExitCode> {
    let path = fs::canonicalize(machine).doing(format_args!("find {machine}"))?;
    let machine = Machine::read(&path)?;
    let vm = Vm {
        description: &path,
        machine: &machine,
        asked: arguments.iter().any(|word| !word.starts_with("--")),
    };
    run(qemu::cases::all(), Some(vm), arguments)
}

fn run(all: Vec<Case>, machine: Option<Vm<'_>>, arguments: &[String]) -> Result<ExitCode> {
    let (options, filters): (Vec<&String>, Vec<&String>) =
        arguments.iter().partition(|argument| argument.starts_with("--"));
    let mut chosen: Vec<Case> = all
        .into_iter()
        .filter(|case| filters.is_empty() || filters.iter().any(|filter| case.name.contains(filter.as_str())))
        .collect();
    // A virtual machine keeps a processor busy for itself, and xtask runs several at a time.
    let mut jobs = if machine.is_some() { 1 } else { JOBS };
    let mut again = false;
    for option in options {
        match option.as_str() {
            "--slow" => {
                chosen.retain(|case| case.together);
                chosen.iter_mut().for_each(|case| case.patience = SLOWER);
                jobs = SLOW_JOBS;
            }
            "--again" => again = true,
            "--list" => {
                chosen.iter().for_each(|case| println!("{}", case.name));
                return Ok(ExitCode::SUCCESS);
            }
            _ => {
                return failed(format!(
                    "unknown option {option:?}; usage: lab test [--list | --slow] [--again] [FILTER...]"
                ));
            }
        }
    }
    let run = Run { machine, again, tally: Mutex::new(Tally::default()) };
    let (mut together, alone): (Vec<Case>, Vec<Case>) = chosen.into_iter().partition(|case| case.together);
    for case in &alone {
        run.one(case)?;
    }
    // The long ones first, so that no core waits for one of them at the end.
    together.sort_by_key(|case| std::cmp::Reverse(case.limit));
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        let work = || -> Result {
            while let Some(case) = together.get(next.fetch_add(1, Relaxed)) {
                run.one(case)?;
            }
            Ok(())
        };
        let workers: Vec<_> = (0..jobs).map(|_| scope.spawn(work)).collect();
        workers
            .into_iter()
            .try_for_each(|worker| worker.join().unwrap_or_else(|_| failed("a worker panicked")))
    })?;
    run.end()
}

/// Tests that are being run.
struct Run<'a> {
    machine: Option<Vm<'a>>,
    /// What fails is run once more when all others have ended: on a machine that others keep busy, a test that waits
    /// for something fails now and then, and a fault of ours fails again. That it failed once is told.
    again: bool,
    tally: Mutex<Tally>,
}

/// How they went so far.
#[derive(Default)]
struct Tally {
    passed: u32,
    failures: u32,
    skips: u32,
    /// To be run once more.
    doubtful: Vec<Case>,
}

impl Run<'_> {
    fn one(&self, case: &Case) -> Result {
        let start = Instant::now();
        let verdict = run_apart(case, self.machine)?;
        let seconds = start.elapsed().as_secs_f32();
        let console = self.machine.map(|vm| vm.machine.console(case.name));
        // Held while printing, so that lines of different tests do not mix.
        let mut tally = self.tally.lock().unwrap_or_else(|e| e.into_inner());
        match verdict {
            Verdict::Passed(results) => {
                tally.passed += 1;
                println!("{} ... ok ({seconds:.1} s)", case.name);
                results.iter().for_each(|line| println!("    {line}"));
            }
            Verdict::Skipped(why) => {
                tally.skips += 1;
                println!("{} ... skipped: {why}", case.name);
            }
            Verdict::Failed(output) => {
                if self.again {
                    tally.doubtful.push(*case);
                    println!("{} ... failed, to be run once more ({seconds:.1} s)", case.name);
                } else {
                    tally.failures += 1;
                    println!("{} ... FAILED ({seconds:.1} s)", case.name);
                }
                if let Some(console) = &console {
                    last_lines(console).lines().for_each(|line| println!("    {line}"));
                }
                output.lines().for_each(|line| println!("    {line}"));
                return Ok(());
            }
        }
        if let Some(console) = &console {
            // Nobody asks for it; it may not be there.
            let _ = fs::remove_file(console);
        }
        Ok(())
    }

    /// Runs once more what failed if that was asked for, and prints the closing line.
    fn end(self) -> Result<ExitCode> {
        let mut tally = self.tally.into_inner().unwrap_or_else(|e| e.into_inner());
        let doubtful = std::mem::take(&mut tally.doubtful);
        let last = Run { machine: self.machine, again: false, tally: Mutex::new(tally) };
        for case in &doubtful {
            last.one(case)?;
        }
        let Tally { passed, failures, skips, .. } =
            last.tally.into_inner().unwrap_or_else(|e| e.into_inner());
        println!("lab: {passed} passed, {failures} failed, {skips} skipped");
        Ok(if failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// Runs a test in a process of its own; killing that one ends all that the test has started.
fn run_apart(case: &Case, machine: Option<Vm<'_>>) -> Result<Verdict> {
    let (mut reader, writer) = pipe()?;
    let mut command = Command::new(env::current_exe()?);
    command.args([CASE_COMMAND, case.name]).stdin(Stdio::null());
    command.env(PATIENCE, case.patience.to_string());
    if let Some(vm) = machine {
        command.env(MACHINE, vm.description);
        if vm.asked {
            command.env(ASKED, "1");
        }
    }
    command.stdout(writer.try_clone()?).stderr(writer);
    let mut child = command.spawn().doing("start a test")?;
    // Our copies of the pipe's writing end go with the command, so that the reader sees the end.
    drop(command);
    let output = thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = reader.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    });
    let limit = case.limit * case.patience;
    let start = Instant::now();
    let code = loop {
        if let Some(status) = child.try_wait()? {
            break status.code();
        }
        if start.elapsed() > limit {
            child.kill()?;
            child.wait()?;
            let said = output.join().unwrap_or_default();
            return Ok(Verdict::Failed(format!("{said}no end within {limit:?}")));
        }
        thread::sleep(INTERVAL);
    };
    let output = output.join().unwrap_or_default();
    Ok(match code {
        Some(0) => {
            let results = output.lines().filter(|line| line.starts_with(RESULT));
            Verdict::Passed(results.map(str::to_string).collect())
        }
        Some(code) if code == i32::from(SKIPPED) => {
            Verdict::Skipped(output.lines().last().unwrap_or_default().to_string())
        }
        _ => Verdict::Failed(output),
    })
}

/// `lab case NAME`: the test itself, in this process. Its last line of output is the failure or the reason
/// for the skip.
pub fn case(name: &str) -> Result<ExitCode> {
    let Some(case) = cases::all().into_iter().chain(qemu::cases::all()).find(|case| case.name == name) else {
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
