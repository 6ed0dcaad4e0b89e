//! `lab demo`: a newcomer's show. Two WANs carry one download; each is broken in its own way and repaired;
//! at the end stands what was measured in this very run.

mod picture;
mod show;
mod summary;
mod view;

use std::fs::File;
use std::io::{IsTerminal, Write as _, stdout};
use std::path::Path;
use std::process::ExitCode;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::by_hand;
use crate::failure::{Doing, Failure, Result, failed};
use crate::manager::Manager;
use crate::sandbox;
use crate::topology::Lab;
use crate::traffic::Transfer;

use picture::Film;
use show::Show;
use summary::Summary;
use view::View;

/// Where the manager writes what it does; the lab's /run is its own.
const LOG: &str = "/run/bsbf-bond.log";
/// The manager knows every WAN before the show begins.
const SETTLE: Duration = Duration::from_secs(10);
/// After SIGTERM.
const END: Duration = Duration::from_secs(5);
/// Slow start and the joining of the second subflow are left out of the share.
const WARM_UP: Duration = Duration::from_secs(3);
const WITH_BOTH: Duration = Duration::from_secs(5);
const SILENT: Duration = Duration::from_secs(8);
const UNPLUGGED: Duration = Duration::from_secs(6);
/// For trying things by hand after the show.
const HINT: &str = "\
You are on the router. All of it lives until you leave this shell. Try:
  ip route; ip rule; ip mptcp endpoint      what is set up
  ip netns exec wire ip link set r1 down    pull the cable of WAN 1 (up: plug it in)
  ip link set wan2 down                     set WAN 2 down";

/// What the command line asks for.
struct Options {
    plain: bool,
    keep: bool,
    manager: bool,
    picture: Option<File>,
}

/// `lab demo [--plain] [--keep] [--no-manager] [--picture FILE.svg]`.
pub fn run(arguments: &[String]) -> Result<ExitCode> {
    let mut options = Options { plain: !stdout().is_terminal(), keep: false, manager: true, picture: None };
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--plain" => options.plain = true,
            "--keep" => options.keep = true,
            "--no-manager" => options.manager = false,
            "--picture" => options.picture = Some(open_picture(arguments.next())?),
            other => return failed(format!("unknown option {other}; see lab --help")),
        }
    }
    sandbox::enter()?;
    let lab = Lab::two_wans()?;
    let mut manager = start_manager(&lab, &options)?;
    let (summary, film) = play(&lab, &options)?;
    print!("{summary}");
    if let Some(mut file) = options.picture.take() {
        file.set_len(0).doing("empty the picture's file")?;
        file.write_all(film.to_svg().as_bytes()).doing("write the picture")?;
    }
    let alive = manager.as_mut().is_none_or(Manager::is_alive);
    if !alive {
        println!(
            "The manager ended by itself; its log:\n{}",
            std::fs::read_to_string(LOG).unwrap_or_default()
        );
    }
    if options.keep {
        println!("\n{HINT}");
        if options.manager {
            println!("  tail -f {LOG:<34}what the manager decides, and why");
        }
        let shell = std::env::var("SHELL").unwrap_or_else(|_| "/bin/sh".into());
        lab.client.command(&shell).status().doing(format_args!("start {shell}"))?;
    }
    if let Some(manager) = manager.filter(|_| alive) {
        manager.end(END)?;
    }
    Ok(if summary.is_good() && alive { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Opened before the show, so that a wrong path is told at once; an older picture stays until there is a new one.
fn open_picture(path: Option<&String>) -> Result<File> {
    let Some(path) = path else { return failed("--picture needs the name of a file; see lab --help") };
    File::options().create(true).append(true).open(path).doing(format_args!("write {path}"))
}

fn start_manager(lab: &Lab, options: &Options) -> Result<Option<Manager>> {
    if !options.manager {
        by_hand::set_up(lab)?;
        return Ok(None);
    }
    let mut manager = Manager::start(lab, &[], Path::new(LOG)).map_err(|failure| match failure {
        Failure::Skipped(why) => Failure::Skipped(format!("{why}; --no-manager shows the kernel alone")),
        failed => failed,
    })?;
    match manager.settle(lab, SETTLE) {
        Ok(()) => Ok(Some(manager)),
        Err(e) => failed(format!("{e}; its log:\n{}", std::fs::read_to_string(LOG).unwrap_or_default())),
    }
}

/// The script.
fn play(lab: &Lab, options: &Options) -> Result<(Summary, Film)> {
    let transfer = Transfer::start(lab)?;
    let log = options.manager.then_some(Path::new(LOG));
    let mut show = Show::new(lab, &transfer.timeline, View::new(options.plain, lab), log)?;
    let mut summary = Summary::new(options.manager);

    show.stage("Both WANs carry one download.")?;
    show.run_for(WARM_UP)?;
    let start = Instant::now();
    show.run_for(WITH_BOTH)?;
    summary.share = transfer.timeline.goodput(start, Instant::now()) / show.sum_of_rates();
    summary.steady = show.is_steady_since(transfer.timeline.start());

    show.stage("WAN 1 goes silent: the cable is in, nothing passes.")?;
    summary.breaks.push(show.during_break(1, "WAN 1 silent", SILENT, || {
        lab.blackhole(1, true);
        Ok(())
    })?);
    show.stage("WAN 1 passes packets again.")?;
    summary.repairs.push(show.during_repair(1, "WAN 1 passes again", SILENT, || {
        lab.blackhole(1, false);
        Ok(())
    })?);
    show.stage("The cable of WAN 2 is pulled out.")?;
    summary.breaks.push(show.during_break(2, "WAN 2 unplugged", UNPLUGGED, || lab.far_carrier(2, false))?);
    show.stage("The cable of WAN 2 is plugged in.")?;
    summary.repairs.push(show.during_repair(2, "WAN 2 plugged in", UNPLUGGED, || lab.far_carrier(2, true))?);

    summary.longest_stall = transfer.timeline.longest_stall(start, Instant::now());
    show.stage("The end: the rest of the download is checked byte by byte.")?;
    let mut film = show.end();
    // The last lines of the log belong to the show, not to the next prompt.
    sleep(Duration::from_millis(50));
    summary.transfer = Some(transfer.finish().map_err(|failure| failure.to_string()));
    // Not wider than this: the legend stands beside it.
    let who = if options.manager { "with bsbf bond" } else { "the kernel alone" };
    film.title = format!("One MPTCP download over {} WANs, {who}", lab.wans());
    film.caption = summary.lines();
    Ok((summary, film))
}
