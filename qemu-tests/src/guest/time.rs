//! How long a program takes from exec to exit.

use std::process::{Command, Stdio};
use std::time::Instant;

use crate::failure::{Doing, Result, failed};

/// Runs the program so many times and prints the median in microseconds, the time of fork and wait included.
pub(super) fn median(count: &str, program: &str, arguments: &[&str]) -> Result {
    let Ok(count @ 1..) = count.parse::<usize>() else { return failed(format!("{count:?} is no count")) };
    let mut took = Vec::with_capacity(count);
    for _ in 0..count {
        let start = Instant::now();
        let status =
            Command::new(program).args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).status();
        let status = status.doing(format_args!("run {program}"))?;
        took.push(start.elapsed().as_micros());
        if !status.success() {
            return failed(format!("{program} ended with {status}"));
        }
    }
    took.sort_unstable();
    println!("{}", took[count / 2]);
    Ok(())
}
