//! Silent failures of idle WANs: left and taken back, with everything else as it was. What the kernel alone
//! does with a blackhole is in `kernel_alone`: nothing.

use std::thread::sleep;
use std::time::{Duration, Instant};

use super::cases;
use super::managed::{AT_ONCE, Managed, RECOVERY, SILENCE, defaults, has_source_rule};
use crate::by_hand;
use crate::check;
use crate::failure::Result;
use crate::link::Wan;
use crate::manager;
use crate::route_watch::preferred_wan;
use crate::runner::Case;
use crate::topology::{Lab, RpFilter};

pub const CASES: &[Case] = cases!("failover":
    an_idle_blackhole_is_left_and_everything_is_put_back within 60,
    two_of_four_wans_die_at_once within 60,
    strict_rp_filter_hinders_nothing within 60,
    the_world_away_moves_nothing within 60,
    a_wan_that_dies_twice_is_taken_back_twice within 60,
);

/// 50 Mbit/s with 10 to 40 ms each way.
fn four_wans() -> Result<Lab> {
    (1..=4).fold(Lab::builder(), |lab, wan| lab.wan(Wan::mbit(50).delay_ms(10 * wan))).build()
}

fn an_idle_blackhole_is_left_and_everything_is_put_back() -> Result {
    let managed = Managed::start(Lab::two_wans()?, &[])?;
    let start = Instant::now();
    for wan in [1, 2] {
        check!(
            has_source_rule(&managed.lab, wan)?,
            "WAN {wan} has no rule of ours: {}",
            managed.lab.client.run("ip -N rule")?
        );
    }
    let cut = Instant::now();
    managed.lab.blackhole(1, true);
    managed.leaves(&[1], cut, SILENCE)?;
    let metrics = managed.metrics(1);
    check!(matches!(metrics[..], [9..=100]), "WAN 1's defaults have the metrics {metrics:?}");
    let moved = &defaults(&managed.lab)?[1];
    check!(
        moved.starts_with("default via 198.18.1.1 dev wan1 proto 152 src 198.18.1.2 metric "),
        "the copy is {moved:?}"
    );
    check!(has_source_rule(&managed.lab, 1)?, "the rule of the dead WAN is gone");
    managed.says(1, |wan| wan.state == "down" && wan.reason.contains("lost"), AT_ONCE)?;
    sleep(Duration::from_secs(1));
    let repaired = Instant::now();
    managed.lab.blackhole(1, false);
    managed.returns(&[1], repaired, RECOVERY)?;
    check!(
        managed.original[0] == "default via 198.18.1.1 dev wan1 proto 4 src 198.18.1.2 metric 1",
        "the original is {:?}",
        managed.original
    );
    managed.end(start)
}

fn two_of_four_wans_die_at_once() -> Result {
    let mut managed = Managed::unmanaged(four_wans()?)?;
    // Without a manager nothing happens, however many die.
    by_hand::set_up(&managed.lab)?;
    [1, 3].iter().for_each(|wan| managed.lab.blackhole(*wan, true));
    sleep(SILENCE);
    check!(preferred_wan(&managed.routes.routes.now()) == Some(1), "{:?}", managed.routes.routes.now());
    check!(managed.endpoints.endpoints.now().len() == 4, "{:?}", managed.endpoints.endpoints.now());
    [1, 3].iter().for_each(|wan| managed.lab.blackhole(*wan, false));
    by_hand::take_down(&managed.lab)?;
    managed.begin(&[])?;
    sleep(Duration::from_secs(1));

    let cut = Instant::now();
    [1, 3].iter().for_each(|wan| managed.lab.blackhole(*wan, true));
    managed.leaves(&[1, 3], cut, SILENCE)?;
    for wan in [2, 4] {
        let address = managed.lab.netifd.address(wan);
        let gone = managed.endpoints.was_removed(&address, cut);
        check!(gone.is_none(), "WAN {wan} lost its endpoint too; {:?}", manager::status());
        check!(managed.metrics(wan) == [wan as u32], "WAN {wan} stands at {:?}", managed.metrics(wan));
    }
    let behind = |wan| managed.metrics(wan).iter().all(|metric| *metric > 4);
    check!(behind(1) && behind(3), "not behind the live ones: {:?}", managed.routes.routes.now());
    let repaired = Instant::now();
    [1, 3].iter().for_each(|wan| managed.lab.blackhole(*wan, false));
    managed.returns(&[1, 3], repaired, RECOVERY)?;
    managed.end(cut)
}

fn strict_rp_filter_hinders_nothing() -> Result {
    let lab = Lab::builder().wan(Wan::mbit(20).delay_ms(15)).wan(Wan::mbit(10).delay_ms(30));
    let managed = Managed::start(lab.rp_filter(RpFilter::Strict).build()?, &[])?;
    for wan in [1, 2] {
        let cut = Instant::now();
        managed.lab.blackhole(wan, true);
        managed.leaves(&[wan], cut, SILENCE)?;
        let repaired = Instant::now();
        managed.lab.blackhole(wan, false);
        managed.returns(&[wan], repaired, RECOVERY)?;
    }
    let start = Instant::now();
    sleep(Duration::from_secs(3));
    managed.stays(start)?;
    managed.end(start)
}

fn the_world_away_moves_nothing() -> Result {
    let managed = Managed::start(four_wans()?, &[])?;
    let start = Instant::now();
    let away = |on: bool| (1..=4).for_each(|wan| managed.lab.blackhole(wan, on));
    away(true);
    sleep(Duration::from_secs(3));
    away(false);
    sleep(Duration::from_secs(4));
    managed.stays(start)?;
    // The same with the ISPs alive and the hosts beyond them gone.
    managed.lab.server.run("ip link set lo down")?;
    sleep(Duration::from_secs(3));
    managed.lab.server.run("ip link set lo up")?;
    sleep(Duration::from_secs(4));
    managed.stays(start)?;
    check!(managed.original == defaults(&managed.lab)?, "defaults changed: {:?}", defaults(&managed.lab)?);
    managed.end(start)
}

fn a_wan_that_dies_twice_is_taken_back_twice() -> Result {
    let managed = Managed::start(Lab::two_wans()?, &[])?;
    let start = Instant::now();
    for _ in 0..2 {
        let cut = Instant::now();
        managed.lab.far_carrier(1, false)?;
        managed.leaves(&[1], cut, AT_ONCE)?;
        // The kernel holds back news of a link that changes twice within a second (net/core/link_watch.c).
        sleep(Duration::from_millis(1100));
        let repaired = Instant::now();
        managed.lab.far_carrier(1, true)?;
        managed.returns(&[1], repaired, RECOVERY)?;
        sleep(Duration::from_millis(1100));
    }
    managed.end(start)
}
