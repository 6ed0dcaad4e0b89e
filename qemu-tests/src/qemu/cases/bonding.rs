//! Three WANs carry one MPTCP connection, each its share; endpoints come and go under it.

use std::sync::atomic::Ordering::Relaxed;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::cases::cases;
use crate::check;
use crate::failure::Result;
use crate::link::Wan;
use crate::qemu::rig::Rig;
use crate::qemu::transfer::Download;
use crate::qemu::watch::Watch;
use crate::runner::Case;

pub const CASES: &[Case] = cases!("bonding":
    three_wans_carry_one_download within 300,
    an_endpoint_taken_away_and_put_back_carries_again within 300,
);

/// Mbit/s and one-way delay in ms. An emulated router has to carry the sum with ease.
const WANS: [(u64, u64); 3] = [(6, 20), (4, 40), (2, 60)];
/// Until every subflow has found its rate.
const WARM_UP: Duration = Duration::from_secs(4);
const WINDOW: Duration = Duration::from_secs(4);
/// Enough to see whether a WAN is used at all.
const BRIEF: Duration = Duration::from_secs(2);
/// Less than this part of the traffic means that a WAN is not used.
const IDLE: f64 = 0.05;
/// How far a WAN's part of the traffic may be from its part of the rates.
const MARGIN: f64 = 0.15;
/// Payload, of the sum of the rates. Head of line blocking between 40 and 120 ms of RTT takes a part.
const GOOD: f64 = 0.7;

/// Each WAN's bytes towards the router from now on for so long, as parts of their sum.
pub(super) fn shares(rig: &Rig, time: Duration) -> Vec<f64> {
    let bytes =
        || -> Vec<u64> { rig.far.links.iter().map(|link| link.down.counters.bytes.load(Relaxed)).collect() };
    let before = bytes();
    sleep(time);
    let moved: Vec<f64> = bytes().iter().zip(before).map(|(now, then)| (now - then) as f64).collect();
    let sum: f64 = moved.iter().sum();
    moved.iter().map(|bytes| bytes / sum.max(1.0)).collect()
}

fn three_wans_carry_one_download() -> Result {
    let rig = Rig::start(&WANS.map(|(rate, delay)| Wan::mbit(rate).delay_ms(delay)))?;
    let watch = Watch::start(&rig.agent)?;
    // The kernel alone has no endpoints: a connection is one subflow.
    let download = Download::start(&rig)?;
    sleep(Duration::from_secs(1));
    let alone = shares(&rig, Duration::from_secs(2));
    download.finish()?;
    check!(alone[0] > 1.0 - IDLE, "without a manager the shares are {alone:.2?}: this shows nothing");

    let _manager = rig.manage(&watch)?;
    let download = Download::start(&rig)?;
    sleep(WARM_UP);
    let start = Instant::now();
    let managed = shares(&rig, WINDOW);
    let goodput = download.timeline.goodput(start, Instant::now());
    let ended = download.finish()?;
    let sum: u64 = WANS.iter().map(|(rate, _)| rate * 1_000_000).sum();
    println!("= {:.2} of the sum of three WANs' rates, shares {managed:.2?}", goodput / sum as f64);
    check!(ended.is_mptcp, "the connection fell back to TCP");
    for ((rate, _), share) in WANS.iter().zip(&managed) {
        let fair = (rate * 1_000_000) as f64 / sum as f64;
        check!((share - fair).abs() < MARGIN, "the shares are {managed:.2?}");
    }
    check!(goodput > GOOD * sum as f64, "goodput is {goodput:.0} bit/s of {sum}");
    Ok(())
}

/// Linux 6.1 closes a connection's first subflow with its endpoint, and opens another one when it is back.
fn an_endpoint_taken_away_and_put_back_carries_again() -> Result {
    let rig = Rig::start(&[Wan::mbit(6).delay_ms(20), Wan::mbit(4).delay_ms(40)])?;
    let watch = Watch::start(&rig.agent)?;
    rig.by_hand()?;
    let download = Download::start(&rig)?;
    sleep(WARM_UP);
    let before = shares(&rig, BRIEF);
    let removed = Instant::now();
    rig.agent.shell("bsbf-mptcp-helper remove wan1")?;
    let gone = watch.wait(removed, Duration::from_secs(5), |now| !now.has_endpoint(&rig.address(1)));
    sleep(Duration::from_secs(1));
    let during = shares(&rig, BRIEF);
    rig.agent.shell("bsbf-mptcp-helper add wan1")?;
    sleep(WARM_UP);
    let after = shares(&rig, BRIEF);
    let ended = download.finish()?;
    println!("shares {before:.2?}, {during:.2?}, {after:.2?}");
    check!(gone.is_some(), "the endpoint is still there: {:?}", watch.seen.now());
    check!(before[0] > 2.0 * IDLE && before[1] > 2.0 * IDLE, "the shares were {before:.2?} at first");
    check!(during[1] > 1.0 - IDLE, "without WAN 1's endpoint the shares were {during:.2?}");
    check!(after[0] > 2.0 * IDLE, "WAN 1 does not carry again: {after:.2?}");
    check!(ended.is_mptcp, "the connection fell back to TCP");
    Ok(())
}
