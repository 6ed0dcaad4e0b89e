//! Managers side by side and one after another.

use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::cases;
use super::managed::{AT_ONCE, LOG, Managed, SETTLE, SILENCE, SOON, until};
use crate::check;
use crate::failure::Result;
use crate::manager::{self, Manager};
use crate::route_watch::preferred_wan;
use crate::runner::Case;
use crate::topology::{INTERNET_HOSTS, Lab, SERVER};

pub const CASES: &[Case] = cases!("locks":
    a_second_manager_says_who_holds_the_lock,
    the_halves_do_together_what_the_whole_does,
    a_kill_frees_the_lock,
    clean_takes_everything_away,
    without_a_manager_there_is_no_status,
);

const ASK: [&str; 6] = ["--server", SERVER, "--target", INTERNET_HOSTS[0], "--target", INTERNET_HOSTS[1]];

/// A manager that may not start: it names the one that runs.
fn is_refused(lab: &Lab, command: &str, holder: &str) -> Result {
    let ran = manager::run(lab, &[command, "--server", SERVER])?;
    check!(ran.code == Some(4) && ran.stderr.contains(holder), "{command} beside {holder}: {ran:?}");
    Ok(())
}

fn a_second_manager_says_who_holds_the_lock() -> Result {
    let mut managed = Managed::start(Lab::two_wans()?, &[])?;
    let start = Instant::now();
    let holder = format!("bsbf-bond (pid {})", managed.manager()?.pid());
    for command in ["bond", "route", "mptcp"] {
        is_refused(&managed.lab, command, &holder)?;
    }
    let ran = manager::run(&managed.lab, &["bond", "--clean"])?;
    check!(ran.code == Some(4), "--clean beside a manager: {ran:?}");
    sleep(Duration::from_millis(500));
    managed.stays(start)?;
    managed.end(start)
}

fn the_halves_do_together_what_the_whole_does() -> Result {
    let managed = Managed::unmanaged(Lab::two_wans()?)?;
    let mut halves = Vec::new();
    for half in ["route", "mptcp"] {
        halves.push(Manager::start_command(&managed.lab, half, &ASK, Path::new(LOG))?);
    }
    let complete = managed.endpoints.endpoints.wait(Instant::now(), SETTLE, |list| list.len() == 2);
    check!(complete.is_some(), "endpoints {:?}", managed.endpoints.endpoints.now());
    let [route, mptcp] = &mut halves[..] else { return Ok(()) };
    is_refused(&managed.lab, "bond", "bsbf-route")?;
    is_refused(&managed.lab, "route", &format!("bsbf-route (pid {})", route.pid()))?;
    is_refused(&managed.lab, "mptcp", &format!("bsbf-mptcp (pid {})", mptcp.pid()))?;
    let shown = manager::run(&managed.lab, &["status"])?;
    let both = ["bsbf-route", "bsbf-mptcp"].iter().all(|name| shown.stdout.contains(name));
    check!(shown.code == Some(0) && both, "status: {shown:?}");
    sleep(Duration::from_secs(1));
    let cut = Instant::now();
    managed.lab.blackhole(1, true);
    managed.leaves(&[1], cut, SILENCE)?;
    let repaired = Instant::now();
    managed.lab.blackhole(1, false);
    managed.returns(&[1], repaired, 2 * SILENCE)?;
    for half in halves {
        let status = half.end(SOON)?;
        check!(status.success(), "a half ended with {status}");
    }
    check!(managed.routes.first_gap(cut).is_none(), "for a moment there was no default route");
    Ok(())
}

fn a_kill_frees_the_lock() -> Result {
    let mut managed = Managed::start(Lab::two_wans()?, &[])?;
    let start = Instant::now();
    managed.crash();
    managed.begin(&[])?;
    managed.stays(start)?;
    managed.end(start)
}

fn clean_takes_everything_away() -> Result {
    let mut managed = Managed::start(Lab::two_wans()?, &[])?;
    // Even a route that a killed manager had moved goes home.
    let cut = Instant::now();
    managed.lab.far_carrier(1, false)?;
    managed.leaves(&[1], cut, AT_ONCE)?;
    managed.crash();
    managed.lab.client.run("ip mptcp endpoint add 192.0.2.9 signal")?;
    let ran = manager::run(&managed.lab, &["bond", "--clean"])?;
    check!(ran.code == Some(0), "{ran:?}");
    let restored = until(SOON, || Ok(preferred_wan(&managed.routes.routes.now()) == Some(1)))?;
    check!(restored.is_some(), "defaults {:?}", managed.routes.routes.now());
    for words in ["rule show", "route show table all", "-6 rule show", "-6 route show table all"] {
        let left = managed.lab.client.run(&format!("ip -N {words}"))?;
        check!(!left.contains("proto 152"), "something of ours is left: {left}");
    }
    let endpoints = managed.lab.client.run("ip mptcp endpoint show")?;
    check!(
        endpoints.lines().count() == 1 && endpoints.contains("192.0.2.9"),
        "only the foreign endpoint should be left: {endpoints}"
    );
    Ok(())
}

fn without_a_manager_there_is_no_status() -> Result {
    let lab = Lab::two_wans()?;
    let ran = manager::run(&lab, &["status"])?;
    check!(ran.code == Some(3) && ran.stderr.contains("bsbf-bond"), "{ran:?}");
    let ran = manager::run(&lab, &["bond", "--release", "wan1"])?;
    check!(ran.code == Some(1) && ran.stderr.contains("no bsbf-bond is running"), "{ran:?}");
    Ok(())
}
