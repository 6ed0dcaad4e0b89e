//! The one table of commands, and how a name on the command line becomes a command.
//!
//! `--list`, `--install`, help, the README's table and the tests all derive from [`APPLETS`].
//! Adding a command is one file in `applets/` and one row here.

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use argh::EarlyExit;

use crate::applets;
use crate::error::{EXIT_DONE, EXIT_UNKNOWN_COMMAND, EXIT_USAGE, Error, Outcome};
use crate::sys;

/// One command: a row of the table.
pub struct Applet {
    /// The symlink's name and argv[0].
    pub name: &'static str,
    /// One line for `--list`; the command's `--help` opens with the same words.
    pub summary: &'static str,
    /// Parses the arguments (without the name) and runs.
    pub run: fn(&[&str]) -> Outcome,
}

/// Every command, sorted by name.
pub const APPLETS: &[Applet] = &[
    applets::clients::ADD,
    applets::autoconf::CELLULAR,
    applets::autoconf::DHCP,
    applets::bond::APPLET,
    applets::config::APPLET,
    applets::hotplug::APPLET,
    applets::clients::LIST,
    applets::mptcp::APPLET,
    applets::mptcp_helper::APPLET,
    applets::netspeed::APPLET,
    applets::proxy::APPLET,
    applets::proxy_rules::APPLET,
    applets::usbnet::OLD,
    applets::clients::REMOVE,
    applets::route::APPLET,
    applets::setup_router::APPLET,
    applets::status::APPLET,
    applets::tlt_sw_link::APPLET,
    applets::autoconf::USB,
    applets::usbnet::APPLET,
];

const USAGE: &str = "Usage: bsbf COMMAND [ARGUMENTS]
       bsbf --list | --install [DIR] | --version | --help

  --list           print every command and what it does
  --install [DIR]  make a symlink to this binary for every command in DIR
                   (default: the directory of this binary)
  --version        print the version
";

/// Runs the command that `args` asks for and gives the process's exit code.
pub fn main(args: impl Iterator<Item = OsString>) -> ExitCode {
    // argh takes &str and would panic on other bytes; refuse them here, with the place.
    let mut words = Vec::new();
    for (position, arg) in args.enumerate() {
        match arg.into_string() {
            Ok(word) => words.push(word),
            Err(arg) => {
                complain(&format!("argument {position} is not UTF-8: {arg:?}"));
                return ExitCode::from(EXIT_USAGE);
            }
        }
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let code = dispatch(&words).unwrap_or_else(|error| {
        complain(&error.to_string());
        error.exit
    });
    ExitCode::from(code)
}

/// Writes one line to stderr; a closed stderr is no reason to panic.
pub fn complain(line: &str) {
    let _ = writeln!(std::io::stderr(), "bsbf: {line}");
}

/// Writes to stdout, for people: whoever does not read it misses nothing else.
pub fn say(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

/// Writes to stdout what somebody may keep.
///
/// # Errors
/// What could not be written (the disk is full). A reader that went away is none: he has what he wanted.
pub fn print(text: &str) -> Result<(), Error> {
    print_bytes(text.as_bytes())
}

/// The same of what need not be UTF-8.
///
/// # Errors
/// As [`print`].
pub fn print_bytes(bytes: &[u8]) -> Result<(), Error> {
    match std::io::stdout().write_all(bytes) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => Err(Error::new("write to", "stdout", e)),
        _ => Ok(()),
    }
}

fn dispatch(words: &[&str]) -> Outcome {
    let [called, rest @ ..] = words else {
        say(&overview());
        return Ok(EXIT_USAGE);
    };
    let called = Path::new(called).file_name().and_then(|n| n.to_str()).unwrap_or("bsbf");
    if let Some(applet) = find(called) {
        return (applet.run)(rest);
    }
    match rest {
        // A link that another version had made.
        [] if called.starts_with("bsbf-") => Ok(unknown(called)),
        [] | ["--help" | "-h", ..] => {
            say(&overview());
            Ok(EXIT_DONE)
        }
        ["--version" | "-V"] => {
            say(concat!("bsbf ", env!("CARGO_PKG_VERSION"), "\n"));
            Ok(EXIT_DONE)
        }
        ["--list"] => {
            say(&list());
            Ok(EXIT_DONE)
        }
        ["--install"] => install(None),
        ["--install", dir] => install(Some(Path::new(dir))),
        [name, arguments @ ..] => match find(name).or_else(|| find(&format!("bsbf-{name}"))) {
            Some(applet) => (applet.run)(arguments),
            None if name.starts_with('-') => {
                complain(&format!("unknown option '{name}'"));
                let _ = std::io::stderr().write_all(USAGE.as_bytes());
                Ok(EXIT_USAGE)
            }
            None => Ok(unknown(name)),
        },
    }
}

fn unknown(name: &str) -> u8 {
    complain(&format!("no command '{name}'; there are:"));
    let _ = std::io::stderr().write_all(list().as_bytes());
    EXIT_UNKNOWN_COMMAND
}

fn find(name: &str) -> Option<&'static Applet> {
    APPLETS.iter().find(|applet| applet.name == name)
}

fn list() -> String {
    let widest = APPLETS.iter().map(|a| a.name.len()).max().unwrap_or(0);
    APPLETS.iter().map(|a| format!("{:widest$}  {}\n", a.name, a.summary)).collect()
}

fn overview() -> String {
    format!("bsbf: WAN bonding for routers\n\n{USAGE}\nCommands (each has --help):\n{}", list())
}

/// Makes a symlink per command. Links of ours are left or renewed; anything else is refused, all at once
/// before the first link is made, so that nothing is half done.
fn install(dir: Option<&Path>) -> Outcome {
    let binary = sys::files::own_path().map_err(|e| Error::new("find", "this binary's path", e))?;
    let dir: PathBuf = match dir {
        Some(dir) => dir.to_path_buf(),
        None => binary.parent().unwrap_or(Path::new("/")).to_path_buf(),
    };
    // Beside the binary a relative link survives a move of the whole tree (an image's root directory).
    let target = match binary.parent() == sys::files::canonical(&dir).ok().as_deref() {
        true => PathBuf::from(binary.file_name().unwrap_or_default()),
        false => binary.clone(),
    };
    let mut foreign = Vec::new();
    for applet in APPLETS {
        let link = dir.join(applet.name);
        match sys::files::link_state(&link, &binary) {
            Ok(sys::files::LinkState::Foreign) => foreign.push(link.display().to_string()),
            Ok(_) => {}
            Err(e) => return Err(Error::new("look at", link.display(), e)),
        }
    }
    if !foreign.is_empty() {
        return Err(Error::new("install over", foreign.join(", "), "not a link to bsbf; remove it first"));
    }
    for applet in APPLETS {
        let link = dir.join(applet.name);
        sys::files::replace_link(&target, &link).map_err(|e| Error::new("link", link.display(), e))?;
    }
    say(&format!("{} links in {}\n", APPLETS.len(), dir.display()));
    Ok(EXIT_DONE)
}

/// Parses `arguments` for the command `name` and hands them to `run`.
///
/// `--help` (or `-h`) prints to stdout and exits 0; wrong arguments print the error and the usage on
/// stderr and exit 2.
pub fn with_args<A: argh::FromArgs>(
    name: &str,
    arguments: &[&str],
    run: impl FnOnce(A) -> Outcome,
) -> Outcome {
    if let ["--version" | "-V"] = arguments {
        version(name);
        return Ok(EXIT_DONE);
    }
    match A::from_args(&[name], &habitual(arguments)) {
        Ok(args) => run(args),
        Err(early) => Ok(end_early(name, early, |name| A::from_args(&[name], &["--help"]).err())),
    }
}

// These would be there once for each command within `with_args`: 5 KB of them on MIPS.

fn version(name: &str) {
    say(&format!("{name} (bsbf) {}\n", env!("CARGO_PKG_VERSION")));
}

/// argh knows --help and help; -h is what habit types.
fn habitual<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
    arguments.iter().map(|&a| if a == "-h" { "--help" } else { a }).collect()
}

fn end_early(name: &str, early: EarlyExit, help: fn(&str) -> Option<EarlyExit>) -> u8 {
    if early.status.is_ok() {
        say(&early.output);
        say("\n");
        return EXIT_DONE;
    }
    complain(early.output.trim_end());
    if let Some(help) = help(name) {
        let _ = writeln!(std::io::stderr(), "\n{}", help.output);
    }
    EXIT_USAGE
}

/// The log level for `-v` given `verbose` times: info, then debug, then trace.
pub fn level(verbose: u8) -> log::LevelFilter {
    match verbose {
        0 => log::LevelFilter::Info,
        1 => log::LevelFilter::Debug,
        _ => log::LevelFilter::Trace,
    }
}
