//! `bsbf-status`: what the running manager knows of the WANs, what it decided and why; and what can be seen when
//! none runs.
//!
//! It asks the sockets of the managers, one line each (`status`, `decisions`), and reads the kernel or the record
//! in the run directory only when nobody answers. What it prints for programs is documented in `wire/status.rs`.

use std::path::{Path, PathBuf};

use argh::FromArgs;
use miniserde::json;

use crate::applet::{self, Applet};
use crate::error::{EXIT_DONE, EXIT_NO_MANAGER, EXIT_USAGE, Error, Outcome};
use crate::manager::RUN_DIR;
use crate::sys::control;
use crate::types::IfName;
use crate::wire::question::Question;
use crate::wire::status::{ProxyStatus, Shown, Status, VERSION};

use times::Times;
use watch::Interval;

mod alone;
mod prometheus;
mod report;
mod table;
#[cfg(test)]
mod tests;
mod times;
mod watch;
mod why;

/// The row of the table.
pub const APPLET: Applet = Applet {
    name: "bsbf-status",
    summary: "Show the state of the WANs and the last decisions",
    run: |arguments| applet::with_args("bsbf-status", arguments, run),
};

/// Managers that may run: one of the whole, or up to two of the halves.
const DAEMONS: [&str; 3] = ["bond", "route", "mptcp"];
/// Decisions that `why` shows.
const COUNT: usize = 20;

/// Show the state of the WANs and the last decisions, as the running manager knows them.
///
/// A line for each WAN, and below it why it is in its state: RTT is the last answer's, LOSS that of the last 32
/// probes, DOWN and UP what it carries just now, PROBES what probing it took so far, A MONTH what that makes in 30
/// days (after the first minute), ENDPOINTS number, address and flags.
#[derive(FromArgs)]
#[argh(
    example = "{command_name}\n{command_name} --watch --interval 0.5\n{command_name} why wan2 --at 14:03\n{command_name} --debug-report > report.txt",
    note = "Asks the sockets bond.sock, route.sock, mptcp.sock and, of the proxy, proxy.sock in /var/run/bsbf. When no manager runs, it says so and shows the kernel's default routes, endpoints and limits.",
    note = "Local time is that of TZ, /etc/localtime or /etc/TZ.",
    note = "Exit codes: 0 shown, 1 failed, 2 wrong arguments, 3 no manager runs."
)]
struct Args {
    /// print one JSON object: version, time (seconds since 1970), managers, system (without a manager), proxy (if its client runs)
    #[argh(switch)]
    json: bool,

    /// print metrics for Prometheus (text format 0.0.4); bsbf_up is 0 when no manager runs, bsbf_proxy_up when no proxy's client does
    #[argh(switch)]
    prometheus: bool,

    /// draw again and again, with a graph of what each WAN, and the proxy, carried at the last 40 times, until interrupted
    #[argh(switch)]
    watch: bool,

    /// with --watch: between two pictures, in seconds, 0.2 to 60 (default: 1)
    #[argh(option, arg_name = "seconds")]
    interval: Option<Interval>,

    /// print all that somebody far away needs to understand this router, secrets masked
    #[argh(switch)]
    debug_report: bool,

    /// with --debug-report: the settings file (default: /etc/config/bsbf, /etc/bsbf/bsbf, /etc/config/bsbf-mptcp)
    #[argh(option, arg_name = "file")]
    config: Option<PathBuf>,

    /// the manager's directory (default: /var/run/bsbf)
    #[argh(option, arg_name = "dir")]
    run_dir: Option<PathBuf>,

    #[argh(subcommand)]
    command: Option<Command>,
}

#[derive(FromArgs)]
#[argh(subcommand)]
enum Command {
    Why(WhyArgs),
}

/// Tell what was decided about the WANs, when, and on which numbers.
///
/// Without --at: each WAN's state, and the last decisions. With --at: each WAN's state at that time, and the
/// decisions within 30 seconds of it.
#[derive(FromArgs)]
#[argh(
    subcommand,
    name = "why",
    example = "{command_name}\n{command_name} wan2 --count 5\n{command_name} --at 14:03:07.4\n{command_name} wan2 --at '2026-11-22 14:03'\n{command_name} --at -5m --json",
    note = "When no manager runs, it reads the record that the last one left in /var/run/bsbf since the last boot.",
    note = "Exit codes: 0 shown, 1 failed, 2 wrong arguments, 3 no manager runs and none left a record."
)]
struct WhyArgs {
    /// about one WAN (default: all)
    #[argh(positional, arg_name = "WAN")]
    wan: Option<IfName>,

    /// about this local time: 14:03, 14:03:07.4, '2026-11-22 14:03', or -90s, -5m, -2h, -1d; a time of day is the
    /// last one (default: now)
    #[argh(option, arg_name = "time")]
    at: Option<String>,

    /// without --at: how many decisions (default: 20)
    #[argh(option, arg_name = "n")]
    count: Option<usize>,

    /// print one JSON object: version, time, running, states, decisions with their numbers
    #[argh(switch)]
    json: bool,

    /// the manager's directory (default: /var/run/bsbf)
    #[argh(option, arg_name = "dir")]
    run_dir: Option<PathBuf>,
}

fn run(args: Args) -> Outcome {
    one_form(&args)?;
    let run_dir = args.run_dir.unwrap_or_else(|| Path::new(RUN_DIR).to_path_buf());
    match args.command {
        Some(Command::Why(why)) => tell_why(WhyArgs { json: why.json || args.json, ..why }, &run_dir),
        None if args.watch => {
            watch::run(&run_dir, args.interval.map_or(std::time::Duration::from_secs(1), |i| i.0))
        }
        None if args.debug_report => {
            applet::print(&report::text(&run_dir, args.config.as_deref(), &Times::read()))?;
            Ok(EXIT_DONE)
        }
        None => show(&run_dir, args.json, args.prometheus),
    }
}

/// Refuses what cannot be done at once.
fn one_form(args: &Args) -> Result<(), Error> {
    let forms = [
        (args.json, "--json"),
        (args.prometheus, "--prometheus"),
        (args.watch, "--watch"),
        (args.debug_report, "--debug-report"),
        // Its --json may stand before it.
        (args.command.is_some() && !args.json, "why"),
    ];
    let chosen: Vec<&str> = forms.into_iter().filter(|(is, _)| *is).map(|(_, name)| name).collect();
    let refuse = |what: &str, cause: &str| Err(Error::new("use", what, cause).with_exit(EXIT_USAGE));
    match chosen[..] {
        [_, _, ..] => refuse(&chosen.join(" and "), "one of them at a time"),
        _ if args.interval.is_some() && !args.watch => refuse("--interval", "it goes with --watch"),
        _ if args.config.is_some() && !args.debug_report => refuse("--config", "it goes with --debug-report"),
        _ => Ok(()),
    }
}

fn socket_of(dir: &Path, manager: &str) -> PathBuf {
    dir.join(format!("{manager}.sock"))
}

fn record_of(dir: &Path, manager: &str) -> PathBuf {
    dir.join(crate::manager::record_name(manager))
}

/// The status of each manager that runs.
fn ask(dir: &Path) -> Result<Vec<Status>, Error> {
    let mut managers = Vec::new();
    for daemon in DAEMONS {
        let socket = socket_of(dir, daemon);
        let answer =
            control::ask(&socket, &Question::Status).map_err(|e| Error::new("ask", socket.display(), e))?;
        let Some(answer) = answer else { continue };
        let status = Status::from_json(&answer)
            .ok()
            .filter(|s| s.version == VERSION)
            .ok_or_else(|| Error::new("understand", format!("bsbf-{daemon}"), "it is of another version"))?;
        managers.push(status);
    }
    Ok(managers)
}

/// The proxy's client, if one runs.
fn ask_proxy(dir: &Path) -> Result<Option<ProxyStatus>, Error> {
    let socket = socket_of(dir, "proxy");
    let answer = control::ask(&socket, &Question::Status);
    let answer = answer.map_err(|e| Error::new("ask", socket.display(), e))?;
    Ok(answer.and_then(|answer| ProxyStatus::from_json(&answer).ok()))
}

/// The same; one that does not answer says nothing about the WANs, and is told of beside them.
fn proxy_or_complaint(dir: &Path) -> Option<ProxyStatus> {
    ask_proxy(dir).unwrap_or_else(|e| {
        applet::complain(&e.to_string());
        None
    })
}

fn no_manager() -> Error {
    let cause = "none runs (bsbf-bond, bsbf-route or bsbf-mptcp)";
    Error::new("ask", "the manager", cause).with_exit(EXIT_NO_MANAGER)
}

fn show(dir: &Path, as_json: bool, as_metrics: bool) -> Outcome {
    let asked = ask(dir);
    let proxy = proxy_or_complaint(dir);
    if as_metrics {
        // One that hangs is not up either.
        applet::print(&prometheus::text(asked.as_deref().unwrap_or_default(), proxy.as_ref()))?;
    }
    let managers = asked?;
    let times = Times::read();
    if !as_metrics {
        let system = match managers.is_empty() {
            true => Some(alone::system(&alone::world()?)),
            false => None,
        };
        if as_json {
            let time = times::seconds(times.wall);
            let shown = Shown { version: VERSION, time, managers: &managers, system, proxy };
            applet::print(&(json::to_string(&shown) + "\n"))?;
        } else {
            let tables: Vec<String> = managers.iter().map(|status| table::status(status, &times)).collect();
            let wans = system.map_or_else(|| tables.join("\n"), |system| alone::text(&system));
            applet::print(&(wans + &proxy.map_or_else(String::new, |proxy| proxy.line())))?;
        }
    }
    if managers.is_empty() { Err(no_manager()) } else { Ok(EXIT_DONE) }
}

fn tell_why(args: WhyArgs, run_dir: &Path) -> Outcome {
    let dir = args.run_dir.as_deref().unwrap_or(run_dir);
    let times = Times::read();
    let at = args.at.as_deref().map(|text| why::time(text, &times)).transpose();
    let at = at.map_err(|e| Error::new("use", "--at", e).with_exit(EXIT_USAGE))?;
    if at.is_some() && args.count.is_some() {
        return Err(Error::new("use", "--count", "it does not go with --at").with_exit(EXIT_USAGE));
    }
    let (told, running) = why::read(dir, times.now)?;
    if told.is_empty() {
        return Err(no_manager());
    }
    let managers = if running { ask(dir)? } else { Vec::new() };
    if let Some(wan) = &args.wan {
        let known = why::known(&told, &managers);
        if !known.iter().any(|name| name == wan.as_str()) {
            let cause = format!("no such WAN is recorded; there are: {}", known.join(" "));
            return Err(Error::new("tell of", wan, cause));
        }
    }
    if !running {
        applet::complain(&format!(
            "no manager answers; this is what the last one wrote into {}",
            dir.display()
        ));
    }
    let question = why::Asked { wan: args.wan.as_ref(), at, count: args.count.unwrap_or(COUNT) };
    let answer = why::answer(&question, &told, &managers, &times, running);
    applet::print(&match args.json {
        true => json::to_string(&answer) + "\n",
        false => why::text(&answer, at, &times),
    })?;
    Ok(EXIT_DONE)
}
