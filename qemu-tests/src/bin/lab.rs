//! The lab's command line.

use std::env;
use std::process::ExitCode;

use qemu_tests::failure::{Failure, Result, failed};
use qemu_tests::{bench, demo, guest, runner};

const USAGE: &str = "\
Usage: lab test [--list | --slow] [--again] [FILTER...]
       lab qemu MACHINE.json [--list] [--again] [FILTER...]
       lab demo [--plain] [--keep] [--no-manager] [--picture FILE.svg]
       lab bench [OPTIONS]

test          run the tests whose names contain a FILTER, all without one
  --list      only print their names
  --slow      only those that need no fast machine, and more patiently
  --again     what fails is run once more at the end
qemu          run the tests of a virtual router, as cargo xtask qemu describes it
demo          two WANs, one download, two failures, under a minute
  --plain     a line a second instead of a picture (so without a terminal)
  --keep      a shell on the router at the end
  --no-manager  the kernel alone with static endpoints and rules, for comparison
  --picture FILE.svg  draw what happened, with what was measured
bench         measure the manager beside the kernel alone, or beside another command line, in turns;
              see lab bench --help

BSBF names the binary under test; otherwise it is the bsbf beside this program.
Everything happens in namespaces of its own; root is not needed where the system
lets users make namespaces.";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    run(&arguments).unwrap_or_else(|failure| {
        match failure {
            Failure::Failed(text) => eprintln!("lab: {text}"),
            Failure::Skipped(why) => eprintln!("lab: skipped: {why}"),
        }
        ExitCode::FAILURE
    })
}

fn run(arguments: &[String]) -> Result<ExitCode> {
    match arguments {
        [command, rest @ ..] if command == "test" => runner::test(rest),
        [command, machine, rest @ ..] if command == "qemu" => runner::qemu(machine, rest),
        [command, name] if command == runner::CASE_COMMAND => runner::case(name),
        [command, rest @ ..] if command == "demo" => demo::run(rest),
        [command, rest @ ..] if command == "bench" => bench::run(rest),
        [command, rest @ ..] if command == bench::MEASURE_COMMAND => bench::measure(rest),
        [command, rest @ ..] if command == guest::COMMAND => guest::run(rest),
        [help] if help == "--help" || help == "-h" => {
            println!("{USAGE}");
            Ok(ExitCode::SUCCESS)
        }
        _ => failed(format!("what to do?\n{USAGE}")),
    }
}
