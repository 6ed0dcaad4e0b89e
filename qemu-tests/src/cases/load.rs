//! The manager under load: breaks and changes of order while a transfer runs over both WANs. The baselines
//! without a manager are in `kernel_alone`.

use std::thread::sleep;
use std::time::{Duration, Instant};

use super::cases;
use super::managed::{AT_ONCE, Managed, RECOVERY};
use crate::check;
use crate::counters::Reading;
use crate::failure::{Result, failed};
use crate::manager;
use crate::route_watch::preferred_wan;
use crate::runner::Case;
use crate::topology::Lab;
use crate::traffic::{Protocol, Transfer, Way};

pub const CASES: &[Case] = cases!("load":
    a_blackhole_under_download_loses_nothing within 60,
    a_blackhole_under_upload_loses_nothing within 60,
    swapping_two_live_wans_stalls_nothing within 60,
    a_backup_wan_carries_only_when_the_other_is_dead within 60,
);

/// Until both subflows have found their rates.
const WARM_UP: Duration = Duration::from_secs(3);
/// Asked for: 500 ms or three loaded RTTs (60 + 200 ms of queue), whichever is more; three times that.
const UNDER_LOAD: Duration = Duration::from_millis(2400);
/// Asked for: 1.5 s from the repair until the WAN carries data again.
const CARRIES: Duration = Duration::from_millis(4500);
/// Less than this part of the traffic means that a WAN is not used.
const IDLE: f64 = 0.05;
/// Where both are used: 20 and 10 Mbit/s.
const FAIR: [f64; 2] = [0.67, 0.33];
/// How far from that.
const MARGIN: f64 = 0.15;

/// Each WAN's part of the bytes within a time from now on.
fn shares(lab: &Lab, way: Way, time: Duration) -> Result<Vec<f64>> {
    let before = Reading::now(lab)?;
    sleep(time);
    let now = Reading::now(lab)?;
    let rates = if way == Way::Download { now.rx_rates(&before) } else { now.tx_rates(&before) };
    let sum: f64 = rates.iter().sum();
    println!("rates {rates:.0?}");
    check!(sum > 1e6, "hardly anything flows: {rates:.0?} bit/s");
    Ok(rates.iter().map(|rate| rate / sum).collect())
}

/// How long after `since` WAN 1 carried a good part of its rate within 100 ms.
fn carries_again(lab: &Lab, way: Way, since: Instant) -> Result<Duration> {
    while since.elapsed() < CARRIES {
        let before = Reading::now(lab)?;
        sleep(Duration::from_millis(100));
        let now = Reading::now(lab)?;
        let rates = if way == Way::Download { now.rx_rates(&before) } else { now.tx_rates(&before) };
        if rates[0] > 4e6 {
            return Ok(since.elapsed());
        }
    }
    failed(format!("WAN 1 does not carry data {CARRIES:?} after its repair; {:?}", manager::status()))
}

fn are_fair(shares: &[f64]) -> bool {
    shares.iter().zip(FAIR).all(|(share, fair)| (share - fair).abs() < MARGIN)
}

fn blackhole(way: Way) -> Result {
    let managed = Managed::start(Lab::two_wans()?, &[])?;
    let transfer = Transfer::start_as(&managed.lab, Protocol::Mptcp, way)?;
    sleep(WARM_UP);
    let before = shares(&managed.lab, way, Duration::from_secs(2))?;
    let cut = Instant::now();
    managed.lab.blackhole(1, true);
    managed.leaves(&[1], cut, UNDER_LOAD)?;
    sleep(Duration::from_millis(1500));
    let during = shares(&managed.lab, way, Duration::from_secs(2))?;
    let stall = transfer.timeline.longest_stall(cut, Instant::now());
    let repaired = Instant::now();
    managed.lab.blackhole(1, false);
    let again = carries_again(&managed.lab, way, repaired)?;
    managed.returns(&[1], repaired, RECOVERY)?;
    sleep(WARM_UP);
    let after = shares(&managed.lab, way, Duration::from_secs(2))?;
    println!("stall {stall:?}, carries again after {again:?}");
    println!("shares {before:.2?}, {during:.2?}, {after:.2?}");
    let ended = transfer.finish()?;
    check!(ended.is_mptcp, "the connection fell back to TCP");
    check!(are_fair(&before), "shares before the break were {before:.3?}");
    check!(during[0] < IDLE, "shares during the break were {during:.3?}");
    check!(are_fair(&after), "shares after the repair were {after:.3?}");
    check!(stall < Duration::from_secs(2), "the transfer stalled for {stall:?}");
    managed.end(cut)
}

fn a_blackhole_under_download_loses_nothing() -> Result {
    blackhole(Way::Download)
}

fn a_blackhole_under_upload_loses_nothing() -> Result {
    blackhole(Way::Upload)
}

fn swapping_two_live_wans_stalls_nothing() -> Result {
    let managed = Managed::start(Lab::two_wans()?, &[])?;
    let transfer = Transfer::start(&managed.lab)?;
    sleep(WARM_UP);
    let before = shares(&managed.lab, Way::Download, Duration::from_secs(2))?;
    let swapped = Instant::now();
    // Head-of-line blocking between the two WANs: what there is without any swap.
    let usual = transfer.timeline.longest_stall(swapped - Duration::from_secs(2), swapped);
    managed.lab.netifd.set_metric(1, 5)?;
    let moved = managed.routes.moved_to(2, swapped, AT_ONCE);
    check!(moved.is_some(), "the swap did nothing: {:?}", managed.routes.routes.now());
    sleep(Duration::from_secs(1));
    let between = shares(&managed.lab, Way::Download, Duration::from_secs(2))?;
    managed.lab.netifd.set_metric(1, 1)?;
    sleep(Duration::from_secs(1));
    check!(preferred_wan(&managed.routes.routes.now()) == Some(1), "{:?}", managed.routes.routes.now());
    let after = shares(&managed.lab, Way::Download, Duration::from_secs(2))?;
    let stall = transfer.timeline.longest_stall(swapped, Instant::now());
    let goodput = transfer.timeline.goodput(swapped, Instant::now());
    println!(
        "stall {stall:?}, usually {usual:?}, {goodput:.0} bit/s, shares {before:.2?}, {between:.2?}, {after:.2?}"
    );
    transfer.finish()?;
    for shares in [&before, &between, &after] {
        check!(
            are_fair(shares),
            "shares before, between and after were {before:.2?} {between:.2?} {after:.2?}"
        );
    }
    // Without source rules it stalls for 0.8 s and goodput falls to 9 Mbit/s.
    check!(stall < Duration::from_millis(600), "the transfer stalled for {stall:?}, before for {usual:?}");
    check!(goodput > 22e6, "goodput fell to {goodput:.0} bit/s");
    for wan in [1, 2] {
        let address = managed.lab.netifd.address(wan);
        let gone = managed.endpoints.was_removed(&address, swapped);
        check!(gone.is_none(), "WAN {wan}'s endpoint went after {gone:?}; {:?}", manager::status());
    }
    managed.end(swapped)
}

fn a_backup_wan_carries_only_when_the_other_is_dead() -> Result {
    // The WAN that netifd prefers is the backup: it must go behind the other.
    let managed = Managed::start(Lab::two_wans()?, &["--backup", "wan1"])?;
    let start = Instant::now();
    let moved = managed.routes.moved_to(2, start, AT_ONCE);
    check!(moved.is_some(), "the backup is preferred: {:?}", managed.routes.routes.now());
    let is_backup = |wan: usize| {
        let address = managed.lab.netifd.address(wan);
        let list = managed.endpoints.endpoints.now();
        list.iter().any(|e| e.address.to_string() == address && e.is_backup())
    };
    check!(is_backup(1) && !is_backup(2), "endpoints {:?}", managed.endpoints.endpoints.now());
    let transfer = Transfer::start(&managed.lab)?;
    sleep(WARM_UP);
    let before = shares(&managed.lab, Way::Download, Duration::from_secs(2))?;
    let cut = Instant::now();
    managed.lab.blackhole(2, true);
    managed.leaves(&[2], cut, UNDER_LOAD)?;
    sleep(Duration::from_millis(1500));
    let during = shares(&managed.lab, Way::Download, Duration::from_secs(2))?;
    println!("shares {before:.2?}, {during:.2?}");
    managed.lab.blackhole(2, false);
    check!(before[0] < IDLE, "the backup carried its share while the other lived: {before:.3?}");
    check!(during[0] > 1.0 - IDLE, "the backup did not take over: {during:.3?}");
    transfer.finish()?;
    managed.end(start)
}
