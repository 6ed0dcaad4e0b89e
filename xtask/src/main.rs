//! `cargo xtask`: the one door for development. It installs what it needs and says so.
//!
//! A step that other programs carry out (cargo, the lab, qemu) keeps its output on the terminal;
//! what they count is summed up in one closing line, see [`tally`].

// clippy.toml's list keeps the product's layers pure. This crate is a tool for files and processes.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod bench;
mod ci;
mod cross;
mod debian;
mod elf;
mod files;
mod fuzz;
mod lab;
mod package;
mod paths;
mod process;
mod pypi;
mod qemu;
mod sing_box;
mod tally;
mod targets;
mod toolchain;
mod zig;

use std::process::ExitCode;

use paths::Paths;

/// What a step gives: a value, or a sentence for the person at the terminal.
type Result<T> = std::result::Result<T, String>;

const HELP: &str = "Usage: cargo xtask COMMAND [ARGUMENTS]

  demo [ARGUMENTS]   live view of a bonded router in a lab of network namespaces
  test [FILTER]      unit and property tests, the lab's tests, and those of two virtual routers; with FILTER
                     the first two, of those whose names have it in them
  build [ARCH|all]   static binaries for routers in target/dist/ARCH/bsbf, each one checked
  package [ARCH|all] [--format ipk|apk|rutos|all] [--key FILE] [--firmware VERSION]
                     packages and the index of a feed: for OpenWrt 24.10 in target/packages/ARCH, for 25.12 (apk) in
                     target/packages/apk/ARCH, signed with the private key if one is given; for Teltonika's RUTOS in
                     target/packages/rutos/ARCH, and with its version (00.07.17.1) its Package Manager's bundles.
                     package makefiles: writes the SDKs' Makefiles anew
  qemu [ARCH|all] [TEST...]
                     the lab's tests in virtual routers, in QEMU with the kernel and CPU of ARCH; TEST is a name
  fuzz [SECONDS]     every fuzz target for so long, 20 s if not said; fails with the input that broke one
  bench [OPTIONS]    failover, recovery, goodput and cost of the static binary beside the kernel alone;
                     under an hour, --quick: minutes; see bench --help
  bench proxy        the proxy beside sing-box on this machine; see bench proxy --help
  bench routers [--arch ARCH]... [OPTIONS]
                     the same on the processors of virtual routers, in QEMU; see bench routers --help
  ci                 formatting, lints, unit tests, lab, fuzz, build all, package all, qemu all
  help               this text

Architectures are the files in targets/. Missing Debian packages are installed, and it is said which.
What qemu fetches or compiles for its guests is kept in ~/.cache/bsbf/qemu, or below XDG_CACHE_HOME.
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match run(&words) {
        Ok(code) => code,
        Err(why) => {
            eprintln!("xtask: {why}");
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[&str]) -> Result<ExitCode> {
    let paths = Paths::find()?;
    match words {
        [] | ["help" | "--help" | "-h"] => {
            print!("{HELP}");
            Ok(ExitCode::SUCCESS)
        }
        ["demo", arguments @ ..] => lab::demo(&paths, arguments),
        ["test"] => Ok(ci::test(&paths, None)),
        ["test", filter] => Ok(ci::test(&paths, Some(filter))),
        ["build"] | ["build", "all"] => ci::build(&paths, None),
        ["build", arch] => ci::build(&paths, Some(arch)),
        ["package", words @ ..] => package::command(&paths, words),
        ["qemu", words @ ..] => qemu::command(&paths, words),
        ["fuzz"] => Ok(fuzz::all(&paths, fuzz::SECONDS)),
        ["fuzz", seconds] => match seconds.parse() {
            // libFuzzer takes 0 for "without end".
            Ok(seconds @ 1..) => Ok(fuzz::all(&paths, seconds)),
            _ => Err(format!("'{seconds}' is not a number of seconds")),
        },
        ["bench", arguments @ ..] => bench::run(&paths, arguments),
        ["ci"] => Ok(ci::all(&paths)),
        _ => Err(format!("no such command: {}\n\n{HELP}", words.join(" "))),
    }
}
