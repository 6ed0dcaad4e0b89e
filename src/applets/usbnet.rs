//! `bsbf-usbnet`: which network a modem makes of its USB port (QMI, MBIM, an Ethernet card), shown and set.
//!
//! A modem is found by its USB ids and asked over its AT port. Once its mode is set, it alone starts anew; it is waited
//! for and asked again, so that one that has not kept the mode is an error and nothing is done twice: no restart of the
//! router, which the script before this one repeated at every boot for such a modem. Modems are asked side by side.
//!
//! With `--json`, one object: `{"modems": [...]}`, in the order of the text, each with
//! - `name`: its place on the USB bus, or the port that was named;
//! - `maker`, `model`, `port`: null as long as it has not answered;
//! - `mode`: "qmi", "ecm", "mbim", "rndis", "ncm"; null if its number has no name; `number`: the modem's own number;
//! - `before`: as `mode`, what was set when it was first asked;
//! - `modes`: the names of all that the model has;
//! - `result`: "shown"; "already", "changed", "sent" (with `--no-wait`), "would_change" (`--dry-run`); "failed";
//! - `error`: why it failed, in words, or null;
//! - `words`: what is said of the mode otherwise.

use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use argh::FromArgs;

use crate::applet::{self, Applet, complain};
use crate::error::{EXIT_DONE, EXIT_FAILED, EXIT_NO_MODEM, EXIT_USAGE, Error, Outcome};
use crate::modem::{self, Family, Mode};
use crate::sys::{child, clock, usb};

mod course;
mod report;

use course::{Job, Wish};
use report::{Ending, Report};

/// The row of the table.
pub const APPLET: Applet = Applet {
    name: "bsbf-usbnet",
    summary: "Show or set the USB network mode of modems",
    run: |arguments| start("bsbf-usbnet", arguments, 0),
};

/// The row of the name that the script of before had, which set Quectel's modems to MBIM.
pub const OLD: Applet = Applet {
    name: "bsbf-quectel-usbnet",
    summary: "Set Quectel's modems to MBIM (bsbf-usbnet --mode mbim --family quectel)",
    run: |arguments| {
        let whole = [&["--mode", "mbim", "--family", "quectel"][..], arguments].concat();
        start("bsbf-quectel-usbnet", &whole, APPEAR)
    },
};

/// The old name is for the boot, when not every modem may be there: so many seconds are waited for the first.
const APPEAR: u64 = 15;

fn start(name: &str, arguments: &[&str], appear: u64) -> Outcome {
    applet::with_args(name, arguments, |args| run(&args, Duration::from_secs(appear)))
}

/// Show or set the USB network mode of modems: Quectel's and MeiG's.
#[derive(FromArgs)]
#[argh(
    example = "{command_name}\n{command_name} --mode mbim\n{command_name} --device /dev/ttyUSB2 --mode ecm --dry-run",
    note = "Reads /sys/bus/usb and /proc; asks modems over their serial ports, side by side. Settings of the router are left as they are.",
    note = "bsbf-quectel-usbnet is bsbf-usbnet --mode mbim --family quectel, and waits 15 s for a first modem.",
    note = "Exit codes: 0 all as asked, 1 some not, 2 wrong arguments, 3 no modem found."
)]
struct Args {
    /// qmi, ecm, mbim, rndis or ncm, as far as a modem has it; then it restarts, and is asked again (default: show)
    #[argh(option, arg_name = "name")]
    mode: Option<Mode>,
    /// the modem's serial port, again for each (default: all that USB has)
    #[argh(option, arg_name = "tty")]
    device: Vec<PathBuf>,
    /// quectel or meig: only these; with --device, not asked whose it is
    #[argh(option, from_str_fn(family))]
    family: Option<&'static Family>,
    /// seconds for a modem to come back, up to 3600 (default: 60); to answer at first, 15 of them
    #[argh(option, arg_name = "s", default = "60", from_str_fn(seconds))]
    timeout: u64,
    /// do not wait for it to come back
    #[argh(switch)]
    no_wait: bool,
    /// say what would be set, and set nothing
    #[argh(switch)]
    dry_run: bool,
    /// restart the router if a mode was changed
    #[argh(switch)]
    reboot: bool,
    /// also where modems belong to RUTOS's gsmd
    #[argh(switch)]
    force: bool,
    /// print JSON (schema: src/applets/usbnet.rs)
    #[argh(switch)]
    json: bool,
    /// root directory of sys, proc and dev, for tests
    #[argh(option, hidden_help, default = "PathBuf::from(\"/\")")]
    root: PathBuf,
}

fn family(text: &str) -> Result<&'static Family, String> {
    modem::named(text).ok_or_else(|| ["'", text, "' is none of quectel, meig"].concat())
}

fn seconds(text: &str) -> Result<u64, String> {
    let seconds = text.parse().ok().filter(|seconds| (0..=3600).contains(seconds));
    seconds.ok_or_else(|| ["'", text, "' is no number of seconds from 0 to 3600"].concat())
}

fn run(args: &Args, appear: Duration) -> Outcome {
    if args.reboot && args.mode.is_none() {
        return Err(Error::new("understand", "--reboot", "it needs --mode").with_exit(EXIT_USAGE));
    }
    let sets = args.mode.is_some() && !args.dry_run;
    if sets && args.device.is_empty() && !args.force && usb::has_gsmd(&args.root) {
        let cause = "they belong to gsmd, which sets their mode itself: set it there; --force or --device goes past it";
        return Err(Error::new("set", "the modems of RUTOS", cause));
    }
    let jobs = jobs(args, appear);
    if jobs.is_empty() {
        let cause = "USB has none of those known here; --device names the serial port of another";
        return Err(Error::new("find", "a modem", cause).with_exit(EXIT_NO_MODEM));
    }
    let wish = Wish {
        mode: args.mode,
        dry_run: args.dry_run,
        wait: !args.no_wait,
        timeout: Duration::from_secs(args.timeout),
    };
    let mut reports = side_by_side(jobs, wish);
    // What only shares a vendor's id with a modem.
    reports.retain(|report| report.result != Ending::Stranger);
    if reports.is_empty() {
        return Err(
            Error::new("find", "a modem", "what USB has is no known maker's").with_exit(EXIT_NO_MODEM)
        );
    }
    if args.json {
        applet::print(&report::json(&reports))?;
    }
    let mut exit = EXIT_DONE;
    for report in &reports {
        let failed = report.result == Ending::Failed;
        if failed {
            exit = EXIT_FAILED;
        }
        match (args.json, failed) {
            (true, _) => {}
            (false, true) => complain(&report.line()),
            (false, false) => applet::print(&[&report.line(), "\n"].concat())?,
        }
    }
    let changed = |report: &Report| matches!(report.result, Ending::Changed | Ending::Sent);
    if args.reboot && reports.iter().any(changed) {
        let ran = child::run("reboot", &[], b"", Duration::from_secs(10));
        ran.map_err(|e| Error::new("restart", "the router", e))?;
    }
    Ok(exit)
}

/// A modem each. Those that are still being plugged in are waited for, until none has come for a while.
fn jobs(args: &Args, appear: Duration) -> Vec<Job> {
    if !args.device.is_empty() {
        return args.device.iter().map(|port| Job::of_port(&args.root, port, args.family)).collect();
    }
    /// Between two looks.
    const LOOK: Duration = Duration::from_secs(1);
    /// So many without a new one are enough.
    const CALM: u32 = 5;
    let until = clock::now() + appear;
    let (mut known, mut calm) = (0, 0);
    loop {
        let mut jobs = Vec::new();
        for place in usb::places(&args.root) {
            jobs.extend(Job::of_place(&args.root, place, args.family));
        }
        calm = if jobs.len() == known { calm + 1 } else { 0 };
        known = jobs.len();
        if clock::now() >= until || (known > 0 && calm >= CALM) {
            return jobs;
        }
        thread::sleep(LOOK);
    }
}

/// Each in a thread of its own, since ports make wait; so the slowest tells how long all of it takes.
fn side_by_side(jobs: Vec<Job>, wish: Wish) -> Vec<Report> {
    let mut running = Vec::new();
    for job in jobs {
        running.push(thread::spawn(move || course::run(&job, &wish)));
    }
    let mut reports = Vec::new();
    for thread in running {
        reports.extend(thread.join());
    }
    reports
}
