//! What the kernel does without a manager: it bonds, and it does not notice silent failures. The manager's
//! tests are worth what these baselines show to be missing.

use std::thread::sleep;
use std::time::{Duration, Instant};

use super::cases;
use crate::by_hand;
use crate::check;
use crate::counters::Reading;
use crate::endpoint_watch::EndpointWatch;
use crate::failure::Result;
use crate::ping_pong::{PingPong, slowest};
use crate::route_watch::{RouteWatch, preferred_wan};
use crate::runner::Case;
use crate::topology::Lab;
use crate::traffic::{Protocol, Transfer, Way};

pub const CASES: &[Case] = cases!("kernel_alone":
    two_wans_carry_one_transfer_together,
    plain_tcp_uses_one_wan,
    an_upload_arrives_whole,
    a_blackhole_moves_no_route_and_loses_no_byte,
    carrier_loss_moves_no_route,
    a_small_request_survives_a_blackhole,
    endpoint_changes_are_seen_within_10_ms,
);

/// Until both subflows have found their rates.
const WARM_UP: Duration = Duration::from_secs(3);
/// The sum of the rates of [`Lab::two_wans`], in bit/s.
const SUM: f64 = 30e6;

fn two_wans_carry_one_transfer_together() -> Result {
    let lab = Lab::two_wans()?;
    by_hand::set_up(&lab)?;
    let transfer = Transfer::start(&lab)?;
    sleep(WARM_UP);
    let before = Reading::now(&lab)?;
    sleep(Duration::from_secs(5));
    let after = Reading::now(&lab)?;
    let part = transfer.timeline.goodput(before.at, after.at) / SUM;
    let shares = after.rx_shares(&before);
    println!("goodput {part:.3} of the sum, shares {shares:.3?}");
    let ended = transfer.finish()?;
    check!(ended.is_mptcp, "the connection fell back to TCP");
    check!(part > 0.8, "goodput is {part:.3} of the sum of the links");
    for (share, wanted) in shares.iter().zip([2.0 / 3.0, 1.0 / 3.0]) {
        check!((share - wanted).abs() < 0.08, "shares are {shares:.3?}");
    }
    Ok(())
}

fn plain_tcp_uses_one_wan() -> Result {
    let lab = Lab::two_wans()?;
    by_hand::set_up(&lab)?;
    let before = Reading::now(&lab)?;
    let transfer = Transfer::start_as(&lab, Protocol::Tcp, Way::Download)?;
    sleep(Duration::from_secs(2));
    let shares = Reading::now(&lab)?.rx_shares(&before);
    let ended = transfer.finish()?;
    check!(!ended.is_mptcp, "a plain TCP connection says it is MPTCP");
    check!(shares[0] > 0.99, "shares are {shares:.3?}");
    Ok(())
}

fn an_upload_arrives_whole() -> Result {
    let lab = Lab::two_wans()?;
    by_hand::set_up(&lab)?;
    let transfer = Transfer::start_as(&lab, Protocol::Mptcp, Way::Upload)?;
    sleep(Duration::from_secs(2));
    let ended = transfer.finish()?;
    check!(ended.bytes > 1_000_000, "only {} bytes in 2 s", ended.bytes);
    Ok(())
}

fn a_blackhole_moves_no_route_and_loses_no_byte() -> Result {
    let lab = Lab::two_wans()?;
    by_hand::set_up(&lab)?;
    let routes = RouteWatch::start(&lab.client)?;
    let endpoints = EndpointWatch::start(&lab.client)?;
    let transfer = Transfer::start(&lab)?;
    sleep(WARM_UP);
    let cut = Instant::now();
    lab.blackhole(1, true);
    sleep(Duration::from_secs(4));
    check!(preferred_wan(&routes.routes.now()) == Some(1), "a route moved: {:?}", routes.routes.now());
    check!(endpoints.endpoints.now().len() == 2, "an endpoint went: {:?}", endpoints.endpoints.now());
    println!("longest stall {:?}", transfer.timeline.longest_stall(cut, Instant::now()));
    lab.blackhole(1, false);
    transfer.finish()?;
    Ok(())
}

fn carrier_loss_moves_no_route() -> Result {
    let lab = Lab::two_wans()?;
    let routes = RouteWatch::start(&lab.client)?;
    lab.far_carrier(1, false)?;
    let moved = routes.moved_to(2, Instant::now(), Duration::from_secs(2));
    check!(moved.is_none(), "the route moved after {moved:?}");
    Ok(())
}

fn a_small_request_survives_a_blackhole() -> Result {
    let lab = Lab::two_wans()?;
    by_hand::set_up(&lab)?;
    let flow = PingPong::start(&lab)?;
    let start = Instant::now();
    sleep(Duration::from_secs(1));
    let cut = Instant::now();
    lab.blackhole(1, true);
    sleep(Duration::from_secs(4));
    let exchanges = flow.finish()?;
    println!("slowest answer {:?}", slowest(&exchanges, start));
    let after = exchanges.iter().filter(|(at, _)| *at > cut + Duration::from_secs(2)).count();
    check!(after > 10, "only {after} exchanges later than 2 s after the cut");
    Ok(())
}

fn endpoint_changes_are_seen_within_10_ms() -> Result {
    let lab = Lab::two_wans()?;
    let watch = EndpointWatch::start(&lab.client)?;
    let address = lab.netifd.address(2);
    let start = Instant::now();
    lab.client.run(&format!("ip mptcp endpoint add {address} dev wan2 subflow"))?;
    let added = Instant::now();
    let seen = watch.present(&address, start, Duration::from_secs(1));
    check!(
        seen.is_some_and(|after| start + after < added + Duration::from_millis(10)),
        "seen after {seen:?}"
    );
    let id = watch.endpoints.now()[0].id;
    let start = Instant::now();
    lab.client.run(&format!("ip mptcp endpoint delete id {id}"))?;
    let deleted = Instant::now();
    let seen = watch.removed(&address, start, Duration::from_secs(1));
    check!(
        seen.is_some_and(|after| start + after < deleted + Duration::from_millis(10)),
        "seen after {seen:?}"
    );
    Ok(())
}
