//! The lab's command line.

use std::env;
use std::process::ExitCode;

use qemu_tests::failure::{Failure, Result, failed};
use qemu_tests::runner;

const USAGE: &str = "usage: lab test [--list] [FILTER...]   run the tests whose names contain a FILTER";

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
        [command, name] if command == runner::CASE_COMMAND => runner::case(name),
        _ => failed(USAGE),
    }
}
