//! Rate, delay, jitter, loss and queue of the links are what was asked for.

use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;

use super::cases;
use crate::check;
use crate::datagrams::{Outcome, Series, send};
use crate::failure::{Doing, Result, failed};
use crate::link::Wan;
use crate::runner::Case;
use crate::topology::{Lab, MAX_WANS, SERVER};

pub const CASES: &[Case] = cases!("links":
    rate_holds,
    rate_can_change_while_traffic_flows,
    eight_links_hold_their_rates_together,
    delay_holds,
    jitter_spreads_the_delay_and_keeps_the_order,
    loss_holds,
    queue_drops_at_its_limit,
);

const SECOND: Duration = Duration::from_secs(1);

/// Sends a series from the server to a WAN's address.
fn down(lab: &Lab, wan: usize, series: Series) -> Result<Outcome> {
    let address = lab.netifd.address(wan);
    send((&lab.server, SERVER), (&lab.client, &address), series)
}

fn one_wan(wan: Wan) -> Result<Lab> {
    let lab = Lab::builder().wan(wan).build()?;
    // Neighbours are resolved before anything is measured.
    down(&lab, 1, Series { count: 1, frame: 100, interval: SECOND })?;
    Ok(lab)
}

fn rate_within_a_tenth(seen: &Outcome, mbit: f64) -> Result {
    let rate = seen.rate() / 1e6;
    check!((rate / mbit - 1.0).abs() < 0.1, "{rate:.2} Mbit/s on a link of {mbit}");
    println!("{rate:.2} Mbit/s of {mbit}");
    Ok(())
}

fn rate_holds() -> Result {
    let rates = [1, 20, 100];
    let lab = rates.iter().fold(Lab::builder(), |builder, mbit| builder.wan(Wan::mbit(*mbit))).build()?;
    for (wan, mbit) in (1..).zip(rates) {
        let seen = down(&lab, wan, Series::at_mbit(mbit * 3 / 2 + 1, SECOND))?;
        rate_within_a_tenth(&seen, mbit as f64)?;
    }
    Ok(())
}

fn rate_can_change_while_traffic_flows() -> Result {
    let lab = one_wan(Wan::mbit(20))?;
    lab.link(1).down.set_rate(5_000_000);
    rate_within_a_tenth(&down(&lab, 1, Series::at_mbit(10, SECOND))?, 5.0)?;
    lab.link(1).down.set_rate(10_000_000);
    rate_within_a_tenth(&down(&lab, 1, Series::at_mbit(15, SECOND))?, 10.0)
}

fn eight_links_hold_their_rates_together() -> Result {
    let mut builder = Lab::builder();
    for _ in 0..MAX_WANS {
        builder = builder.wan(Wan::mbit(20));
    }
    let lab = builder.build()?;
    let lab = &lab;
    let outcomes: Result<Vec<Outcome>> = thread::scope(|scope| {
        let start = |wan| scope.spawn(move || down(lab, wan, Series::at_mbit(22, 2 * SECOND)));
        let running: Vec<_> = (1..=MAX_WANS).map(start).collect();
        running.into_iter().map(|one| one.join().unwrap_or_else(|_| failed("a sender panicked"))).collect()
    });
    for outcome in outcomes? {
        rate_within_a_tenth(&outcome, 20.0)?;
    }
    let usage = getrusage(UsageWho::RUSAGE_SELF).doing("read the time used")?;
    println!(
        "CPU of sending, relaying and receiving 160 Mbit/s for 2 s: {} ms",
        usage.user_time().num_milliseconds() + usage.system_time().num_milliseconds()
    );
    Ok(())
}

fn delay_holds() -> Result {
    let lab = one_wan(Wan::mbit(20).delay_ms(30))?;
    let seen = down(&lab, 1, Series { count: 100, frame: 100, interval: Duration::from_millis(5) })?;
    let (min, median) = (seen.min_delay(), seen.delay_of(0.5));
    println!("from {min:?}, median {median:?}");
    check!(min >= Duration::from_millis(30), "a packet took {min:?} on a link of 30 ms");
    check!(median < Duration::from_millis(33), "half of the packets took {median:?} on a link of 30 ms");
    Ok(())
}

fn jitter_spreads_the_delay_and_keeps_the_order() -> Result {
    let lab = one_wan(Wan::mbit(20).delay_ms(20).jitter_ms(20))?;
    let seen = down(&lab, 1, Series { count: 300, frame: 100, interval: Duration::from_millis(3) })?;
    let (min, high) = (seen.min_delay(), seen.delay_of(0.9));
    println!("from {min:?}, nine tenths below {high:?}");
    check!(min >= Duration::from_millis(20), "a packet took {min:?}");
    check!((35..43).contains(&high.as_millis()), "nine tenths took up to {high:?}");
    check!(seen.order.is_sorted(), "packets overtook each other");
    Ok(())
}

fn loss_holds() -> Result {
    let lab = one_wan(Wan::mbit(20))?;
    lab.link(1).down.set_loss(0.2);
    let seen = down(&lab, 1, Series { count: 2000, frame: 100, interval: Duration::from_millis(1) })?;
    // 2000 draws at 0.2 have a standard deviation of 0.009.
    check!((seen.loss() - 0.2).abs() < 0.04, "{:.3} lost, 0.2 asked for", seen.loss());
    let counted = lab.link(1).down.counters.dropped_by_loss.load(Relaxed);
    check!(counted > 300, "the link counts {counted} lost frames");
    Ok(())
}

fn queue_drops_at_its_limit() -> Result {
    let lab = one_wan(Wan::mbit(10).queue_ms(100))?;
    let seen = down(&lab, 1, Series::at_mbit(20, SECOND))?;
    let full = seen.delay_of(0.8);
    println!("{:.2} lost, four fifths within {full:?}", seen.loss());
    check!((90..=110).contains(&full.as_millis()), "a full queue of 100 ms delayed by {full:?}");
    check!((seen.loss() - 0.45).abs() < 0.1, "{:.2} lost of twice the rate", seen.loss());
    Ok(())
}
