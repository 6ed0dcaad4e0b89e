//! Each way in which a WAN of real hardware dies, under a download: the manager leaves it, nothing is lost, and
//! it comes back. With the manager off the same break goes unanswered, which each test checks first.

use std::thread::sleep;
use std::time::{Duration, Instant};

use super::bonding::shares;
use crate::cases::cases;
use crate::check;
use crate::failure::{Result, failed};
use crate::guest::watch::Seen;
use crate::link::Wan;
use crate::qemu::rig::{Rig, foreign_machines};
use crate::qemu::transfer::Download;
use crate::qemu::watch::Watch;
use crate::runner::Case;

pub const CASES: &[Case] = cases!("breaks":
    a_blackhole_is_left_and_taken_back within 300,
    a_pulled_cable_is_left_and_taken_back within 300,
    an_unplugged_adapter_is_left_and_taken_back within 300,
);

/// How long the kernel alone is watched doing nothing.
const ALONE: Duration = Duration::from_secs(3);
const WARM_UP: Duration = Duration::from_secs(3);
/// Asked for are 1.5 s in a blackhole and 50 ms after the kernel's own news; an emulated router on a busy
/// machine gets this.
const LEFT: Duration = Duration::from_secs(6);
/// The same for 3 s until a repaired WAN is back.
const BACK: Duration = Duration::from_secs(15);
/// From the kernel's words to the scripts and back.
const CALM: Duration = Duration::from_secs(1);
/// Less than this part of the traffic means that a WAN is not used.
const IDLE: f64 = 0.05;

/// What is done to WAN 1.
type Act = fn(&mut Rig) -> Result;

/// WAN 1 is neither the way out nor an endpoint.
fn is_left(rig: &Rig) -> impl Fn(&Seen) -> bool {
    let address = rig.address(1);
    move |now| now.preferred() == Some("wan2") && !now.has_endpoint(&address)
}

fn is_back(rig: &Rig) -> impl Fn(&Seen) -> bool {
    let address = rig.address(1);
    move |now| now.preferred() == Some("wan1") && now.has_endpoint(&address)
}

/// WAN 1 is one of those `on_usb`, or on PCI like all others.
fn wan_dies(on_usb: &[usize], cut: Act, repair: Act) -> Result {
    foreign_machines("breaks")?;
    let mut rig =
        Rig::start_with(&[Wan::mbit(6).delay_ms(20), Wan::mbit(4).delay_ms(40).loss(0.005)], on_usb)?;
    let watch = Watch::start(&rig.agent)?;

    rig.by_hand()?;
    let since = Instant::now();
    cut(&mut rig)?;
    let left = watch.wait(since, ALONE, is_left(&rig));
    check!(left.is_none(), "without a manager WAN 1 was left too: this shows nothing");
    let since = Instant::now();
    repair(&mut rig)?;
    let back = watch.wait(since, BACK, |now| now.preferred() == Some("wan1"));
    check!(back.is_some(), "the repair itself failed: {:?}", watch.seen.now());
    rig.undo_by_hand()?;
    sleep(CALM);

    let _manager = rig.manage(&watch)?;
    let download = Download::start(&rig)?;
    sleep(WARM_UP);
    let since = Instant::now();
    cut(&mut rig)?;
    let Some(left) = watch.wait(since, LEFT, is_left(&rig)) else {
        return failed(format!("WAN 1 was not left within {LEFT:?}: {:?}", watch.seen.now()));
    };
    sleep(CALM);
    let during = shares(&rig, Duration::from_secs(2));
    let stall = download.timeline.longest_stall(since, Instant::now());
    let since = Instant::now();
    repair(&mut rig)?;
    let Some(back) = watch.wait(since, BACK, is_back(&rig)) else {
        return failed(format!("WAN 1 is not back within {BACK:?}: {:?}", watch.seen.now()));
    };
    sleep(WARM_UP);
    let after = shares(&rig, Duration::from_secs(2));
    let ended = download.finish()?;
    println!("= left after {left:.2?}, longest stall {stall:.2?}, back after {back:.2?}");
    println!("shares {during:.2?}, {after:.2?}");
    check!(during[1] > 1.0 - IDLE, "while WAN 1 was dead the shares were {during:.2?}");
    check!(stall < LEFT, "the download stalled for {stall:?}");
    check!(after[0] > 2.0 * IDLE, "WAN 1 does not carry again: {after:.2?}");
    check!(ended.is_mptcp, "the connection fell back to TCP");
    Ok(())
}

fn a_blackhole_is_left_and_taken_back() -> Result {
    wan_dies(
        &[],
        |rig| {
            rig.blackhole(1, true);
            Ok(())
        },
        |rig| {
            rig.blackhole(1, false);
            Ok(())
        },
    )
}

fn a_pulled_cable_is_left_and_taken_back() -> Result {
    wan_dies(&[], |rig| rig.cable(1, false), |rig| rig.cable(1, true))
}

/// As a modem does when it resets or is pulled out: the kernel loses the device, and another one comes.
fn an_unplugged_adapter_is_left_and_taken_back() -> Result {
    wan_dies(&[1], |rig| rig.unplug(1), |rig| rig.plug_in(1))
}
