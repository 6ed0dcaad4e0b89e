//! What the lab does inside a virtual router, where it was installed as `/usr/sbin/lab`: `lab guest COMMAND`.
//! The other end is in [`crate::qemu`].

pub mod agent;
mod time;
mod transfer;
pub mod watch;

use std::process::ExitCode;

use crate::failure::{Result, failed};

/// The first argument of the command line.
pub const COMMAND: &str = "guest";

/// `lab guest ...`.
pub fn run(arguments: &[String]) -> Result<ExitCode> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["agent"] => agent::serve()?,
        ["watch"] => watch::print()?,
        ["download", from] => transfer::download(from.parse()?)?,
        ["time", count, program, ref rest @ ..] => time::median(count, program, rest)?,
        _ => return failed(format!("no such guest command: {}", words.join(" "))),
    }
    Ok(ExitCode::SUCCESS)
}
