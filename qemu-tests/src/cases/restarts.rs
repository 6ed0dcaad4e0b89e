//! The manager ends, is killed and comes back, at the worst of times.

use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::cases;
use super::managed::{AT_ONCE, END, Managed, RECOVERY, SETTLE, SILENCE, SOON, defaults, until};
use crate::check;
use crate::failure::{Result, failed};
use crate::manager;
use crate::random::Random;
use crate::route_watch::preferred_wan;
use crate::runner::Case;
use crate::topology::{Lab, ifindex};
use crate::traffic::{Protocol, Transfer, Way};

pub const CASES: &[Case] = cases!("restarts":
    sigterm_gives_a_dead_wans_route_back,
    a_killed_manager_is_continued,
    twenty_kills_amid_moves_lose_no_route within 120,
    sighup_with_good_settings_applies_them,
);

fn sigterm_gives_a_dead_wans_route_back() -> Result {
    let mut managed = Managed::start(Lab::two_wans()?, &[])?;
    let cut = Instant::now();
    managed.lab.blackhole(1, true);
    managed.leaves(&[1], cut, SILENCE)?;
    let Some(manager) = managed.manager.take() else { return failed("there is no manager") };
    let asked = Instant::now();
    let status = manager.end(END)?;
    println!("ended {:?} after SIGTERM", asked.elapsed());
    check!(status.success(), "the manager ended with {status}");
    check!(defaults(&managed.lab)? == managed.original, "defaults are {:#?}", defaults(&managed.lab)?);
    check!(managed.routes.first_gap(cut).is_none(), "for a moment there was no default route");
    // Routable: what has no source address yet goes out by netifd's best again, and that one works.
    managed.lab.blackhole(1, false);
    let transfer = Transfer::start_as(&managed.lab, Protocol::Tcp, Way::Download)?;
    sleep(Duration::from_millis(500));
    check!(transfer.finish()?.bytes > 0, "nothing arrived after the end of the manager");
    Ok(())
}

fn a_killed_manager_is_continued() -> Result {
    let mut managed = Managed::start(Lab::two_wans()?, &[])?;
    let cut = Instant::now();
    managed.lab.blackhole(1, true);
    managed.leaves(&[1], cut, SILENCE)?;
    let killed = Instant::now();
    managed.crash();
    sleep(Duration::from_secs(1));
    check!(preferred_wan(&managed.routes.routes.now()) == Some(2), "{:?}", managed.routes.routes.now());
    managed.launch(&[])?;
    managed.says(2, |wan| wan.state == "up", SETTLE)?;
    managed.says(1, |wan| wan.state == "down", SETTLE)?;
    check!(managed.metrics(1).len() == 1, "WAN 1 has the metrics {:?}", managed.metrics(1));
    let ever = managed.routes.routes.since(killed).into_iter().find(|(_, now)| preferred_wan(now) != Some(2));
    check!(ever.is_none(), "the dead WAN was preferred again: {ever:?}");
    let repaired = Instant::now();
    managed.lab.blackhole(1, false);
    managed.returns(&[1], repaired, RECOVERY)?;
    managed.end(cut)
}

fn twenty_kills_amid_moves_lose_no_route() -> Result {
    let mut managed = Managed::unmanaged(Lab::two_wans()?)?;
    let start = Instant::now();
    let mut random = Random::seeded();
    let mut moves = 0;
    for round in 0..20 {
        let down = round % 2 == 0;
        managed.lab.far_carrier(1, !down)?;
        managed.launch(&[])?;
        // A start learns the carrier at once and moves the route with WAN 2's first answer, 60 ms later; a
        // repaired WAN is back after some answers.
        sleep(Duration::from_millis(if down { 40 + random.below(120) } else { random.below(600) }));
        managed.crash();
        for wan in [1, 2] {
            let metrics = managed.metrics(wan);
            check!(!metrics.is_empty(), "round {round}, {random}: WAN {wan} has no default route");
        }
        moves += u32::from(down == (preferred_wan(&managed.routes.routes.now()) == Some(2)));
    }
    println!("{moves} of 20 kills came after the move");
    let lost = managed
        .routes
        .routes
        .since(start)
        .into_iter()
        .find(|(_, now)| [1, 2].iter().any(|wan| now.iter().all(|route| route.ifindex != ifindex(*wan))));
    check!(lost.is_none(), "{random}: a WAN had no default route: {lost:?}");
    managed.lab.far_carrier(1, true)?;
    let begun = Instant::now();
    managed.begin(&[])?;
    managed.returns(&[1, 2], begun, RECOVERY)?;
    managed.end(start)
}

fn sighup_with_good_settings_applies_them() -> Result {
    let file = "/run/bsbf.conf";
    let settings = |backup: &str| {
        std::fs::write(file, format!("config bond 'bond'\n\tlist server '203.0.113.1'\n{backup}"))
    };
    settings("")?;
    let mut managed = Managed::start(Lab::two_wans()?, &["--config", file])?;
    settings("\tlist backup 'wan1'\n")?;
    let told = Instant::now();
    managed.manager()?.signal(Signal::SIGHUP)?;
    let moved = managed.routes.moved_to(2, told, AT_ONCE);
    check!(moved.is_some(), "the new backup is still preferred; {:?}", manager::status());
    settings("")?;
    managed.manager()?.signal(Signal::SIGHUP)?;
    let restored = until(SOON, || Ok(defaults(&managed.lab)? == managed.original))?;
    check!(restored.is_some(), "defaults are {:#?}", defaults(&managed.lab)?);
    managed.end(told)
}
