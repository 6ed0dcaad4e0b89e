//! What counts as an answer, and for what.

use std::sync::atomic::Ordering::Relaxed;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::cases;
use super::managed::{Managed, RECOVERY, SILENCE, SOON, defaults};
use crate::check;
use crate::failure::Result;
use crate::link::Wan;
use crate::manager;
use crate::runner::Case;
use crate::topology::{Lab, SERVER};

pub const CASES: &[Case] = cases!("judgement":
    where_icmp_is_never_answered_tcp_is within 60,
    icmp_that_ends_while_tcp_is_answered_moves_nothing within 60,
    icmp_limited_to_one_a_second_moves_nothing within 60,
    a_wan_without_the_server_loses_its_endpoint_alone within 60,
    with_all_wans_dead_nothing_is_torn_down within 60,
    a_metered_wan_is_asked_rarely within 60,
);

/// The servers answer no ICMP echo any more, or do again.
fn ignore_echoes(lab: &Lab, on: bool) -> Result {
    lab.server.sysctl("net/ipv4/icmp_echo_ignore_all", u8::from(on))
}

fn where_icmp_is_never_answered_tcp_is() -> Result {
    let lab = Lab::two_wans()?;
    ignore_echoes(&lab, true)?;
    let managed = Managed::start(lab, &[])?;
    sleep(Duration::from_secs(3));
    let cut = Instant::now();
    managed.stays(cut)?;
    managed.lab.blackhole(1, true);
    managed.leaves(&[1], cut, 2 * SILENCE)?;
    let repaired = Instant::now();
    managed.lab.blackhole(1, false);
    managed.returns(&[1], repaired, 2 * RECOVERY)?;
    managed.end(cut)
}

fn icmp_that_ends_while_tcp_is_answered_moves_nothing() -> Result {
    let managed = Managed::start(Lab::two_wans()?, &[])?;
    let start = Instant::now();
    ignore_echoes(&managed.lab, true)?;
    sleep(Duration::from_secs(15));
    managed.stays(start)?;
    let cut = Instant::now();
    managed.lab.blackhole(1, true);
    managed.leaves(&[1], cut, 2 * SILENCE)?;
    managed.end(start)
}

fn icmp_limited_to_one_a_second_moves_nothing() -> Result {
    let lab = Lab::two_wans()?;
    // Echo replies (bit 0) count against the limit, one in so many ms for each destination.
    lab.server.sysctl("net/ipv4/icmp_ratemask", 1)?;
    lab.server.sysctl("net/ipv4/icmp_ratelimit", 1000)?;
    let managed = Managed::start(lab, &[])?;
    let start = Instant::now();
    sleep(Duration::from_secs(20));
    managed.stays(start)?;
    managed.end(start)
}

fn a_wan_without_the_server_loses_its_endpoint_alone() -> Result {
    let managed = Managed::start(Lab::two_wans()?, &[])?;
    let cut = Instant::now();
    managed.lab.isp(1).run(&format!("ip route add blackhole {SERVER}/32"))?;
    let address = managed.lab.netifd.address(1);
    let gone = managed.endpoints.removed(&address, cut, 3 * SILENCE);
    println!("endpoint removed after {gone:?}");
    check!(gone.is_some(), "the endpoint stayed; {:?}", manager::status());
    check!(defaults(&managed.lab)? == managed.original, "routes moved: {:#?}", defaults(&managed.lab)?);
    let repaired = Instant::now();
    managed.lab.isp(1).run(&format!("ip route del blackhole {SERVER}/32"))?;
    let back = managed.endpoints.present(&address, repaired, 3 * RECOVERY);
    println!("endpoint back after {back:?}");
    check!(back.is_some(), "the endpoint did not come back; {:?}", manager::status());
    managed.end(cut)
}

fn with_all_wans_dead_nothing_is_torn_down() -> Result {
    let lab = (1..=3).fold(Lab::builder(), |lab, wan| lab.wan(Wan::mbit(50).delay_ms(10 * wan))).build()?;
    let managed = Managed::start(lab, &[])?;
    let cut = Instant::now();
    (1..=3).for_each(|wan| managed.lab.blackhole(wan, true));
    sleep(Duration::from_secs(8));
    managed.stays(cut)?;
    // The first that answers gets the traffic; the others are dead then.
    managed.lab.blackhole(3, false);
    let repaired = Instant::now();
    managed.leaves(&[1, 2], repaired, 2 * SILENCE)?;
    managed.lab.blackhole(1, false);
    managed.lab.blackhole(2, false);
    managed.returns(&[1, 2, 3], Instant::now(), RECOVERY)?;
    // Pulled cables leave no doubt, but the last one's route and endpoint stay.
    for wan in 1..=3 {
        managed.lab.far_carrier(wan, false)?;
    }
    sleep(SOON);
    let defaults = defaults(&managed.lab)?;
    check!(defaults.len() == 3, "a WAN lost its default: {defaults:#?}");
    managed.end(cut)
}

fn a_metered_wan_is_asked_rarely() -> Result {
    let managed = Managed::start(Lab::two_wans()?, &["--metered", "wan2"])?;
    sleep(Duration::from_secs(3));
    let sent = |wan: usize| managed.lab.link(wan).up.counters.frames.load(Relaxed);
    let (start, before) = (Instant::now(), [sent(1), sent(2)]);
    sleep(Duration::from_secs(20));
    let (one, two) = (sent(1) - before[0], sent(2) - before[1]);
    println!("in 20 s {one} frames on WAN 1, {two} on the metered one");
    // Two or three probes, and the neighbour discovery around each.
    check!(one >= 20 && two <= 8, "in 20 s {one} frames on WAN 1, {two} on the metered one");
    managed.stays(start)?;
    managed.end(start)
}
