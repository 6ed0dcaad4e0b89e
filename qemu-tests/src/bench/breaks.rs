//! WAN 1 is broken and repaired: how long until it is left, and until it is back.

use std::sync::atomic::Ordering::Relaxed;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::keeper::Keeper;
use super::scenario::{Break, Contender};
use super::{print, quantity};
use crate::by_hand;
use crate::check;
use crate::endpoint_watch::{Endpoint, EndpointWatch};
use crate::failure::Result;
use crate::history::History;
use crate::link::Wan;
use crate::route_watch::{RouteWatch, preferred_wan};
use crate::topology::Lab;
use crate::traffic::Transfer;

/// What has not happened by then never happens.
const LIMIT: Duration = Duration::from_secs(30);
/// Nothing happens before a break for this long.
const CALM: Duration = Duration::from_millis(1500);
/// Until all subflows have found their rates.
const WARM_UP: Duration = Duration::from_secs(3);
/// From the last reaction to the repair. The kernel holds back news of a link that changes twice within a
/// second (net/core/link_watch.c).
const PAUSE: Duration = Duration::from_millis(1200);
/// A dead WAN is asked this often: repairs fall everywhere between two questions.
const DEAD_INTERVAL: Duration = Duration::from_millis(500);
/// How long a break under load lasts: from the one to the other, evenly over the repetitions, because TCP's
/// retransmissions back off, so that how late they notice a repair depends on it. The difference is an odd
/// number of half seconds: see `outage`.
const OUTAGE: [f64; 2] = [4.5, 9.0];
/// A reaction that is undone within this time was none.
const FOR_GOOD: Duration = Duration::from_secs(1);
/// The repaired WAN carries data when this much has come over it: probes and handshakes do not count.
const CARRIED: u64 = 100_000;
/// How often that is looked at.
const LOOK: Duration = Duration::from_millis(5);

/// 20 Mbit/s at 15 ms and 10 Mbit/s at 30 ms, or four of 10 Mbit/s at 20 ms.
fn lab(wans: usize) -> Result<Lab> {
    match wans {
        2 => Lab::two_wans(),
        _ => (0..wans).fold(Lab::builder(), |lab, _| lab.wan(Wan::mbit(10).delay_ms(20))).build(),
    }
}

/// The watches on what the contender does.
struct Watches {
    routes: RouteWatch,
    endpoints: EndpointWatch,
    address: String,
}

/// What happened to WAN 1 at a break; none of it is waited for again if it did not.
struct Left {
    route: Option<Duration>,
    endpoint: Option<Duration>,
}

impl Watches {
    fn start(lab: &Lab) -> Result<Watches> {
        Ok(Watches {
            routes: RouteWatch::start(&lab.client)?,
            endpoints: EndpointWatch::start(&lab.client)?,
            address: lab.netifd.address(1),
        })
    }

    /// The contender must be content with WAN 1 before it is broken.
    fn on_wan_1(&self) -> Result {
        let routes = self.routes.routes.now();
        check!(preferred_wan(&routes) == Some(1), "WAN 1 is not the best before the break: {routes:?}");
        Ok(())
    }

    /// Waits until WAN 1 has been left. An endpoint that it did not have cannot go.
    fn left(&self, cut: Instant, within: Duration) -> Left {
        let elsewhere = |wan: Option<usize>| wan.is_some_and(|wan| wan != 1);
        let route = self.routes.routes.wait(cut, within, |routes| elsewhere(preferred_wan(routes)));
        print(&quantity::MOVED, route);
        let had_endpoint = self.endpoints.present(&self.address, cut, Duration::ZERO).is_some();
        let endpoint = had_endpoint.then(|| self.endpoints.removed(&self.address, cut, within));
        if let Some(endpoint) = endpoint {
            print(&quantity::REMOVED, endpoint);
        }
        Left { route, endpoint: endpoint.flatten() }
    }

    /// Waits until what had left WAN 1 is back for good.
    fn back(&self, left: &Left, repaired: Instant) {
        let route = left.route.map(|_| self.routes.moved_to(1, repaired, LIMIT));
        let endpoint = left.endpoint.map(|_| self.endpoints.present(&self.address, repaired, LIMIT));
        // Whatever is back already may be undone yet.
        let settled =
            route.into_iter().chain(endpoint).flatten().max().map(|last| repaired + last + FOR_GOOD);
        sleep(settled.map_or(Duration::ZERO, |at| at.saturating_duration_since(Instant::now())));
        if left.route.is_some() {
            let back = for_good(&self.routes.routes, repaired, |routes| preferred_wan(routes) == Some(1));
            print(&quantity::ROUTE_BACK, back);
        }
        if left.endpoint.is_some() {
            let is_mine = |endpoint: &Endpoint| endpoint.address.to_string() == self.address;
            let back = for_good(&self.endpoints.endpoints, repaired, |list| list.iter().any(is_mine));
            print(&quantity::ENDPOINT_BACK, back);
        }
    }
}

/// How long after `since` the state became what is wanted, the last time and until now.
fn for_good<T: Clone>(history: &History<T>, since: Instant, wanted: impl Fn(&T) -> bool) -> Option<Duration> {
    let states = history.since(since);
    let at = match states.iter().rposition(|(_, state)| !wanted(state)) {
        None => states.first()?.0,
        Some(last) => states.get(last + 1)?.0,
    };
    Some(at.saturating_duration_since(since))
}

/// Nothing flows. `part` (0.0 to 1.0) is the repetition's place in all intervals.
pub fn idle(way: Break, wans: usize, contender: Contender, part: f64) -> Result {
    let lab = lab(wans)?;
    let watches = Watches::start(&lab)?;
    let mut keeper = Keeper::start(&lab, contender, &watches.endpoints, &[])?;
    keeper.wait_for_phase(CALM, part);
    watches.on_wan_1()?;
    let cut = Instant::now();
    way.cut(&lab)?;
    let left = watches.left(cut, LIMIT);
    sleep(PAUSE + DEAD_INTERVAL.mul_f64(part));
    let repaired = Instant::now();
    way.repair(&lab)?;
    watches.back(&left, repaired);
    keeper.lives()
}

/// A download flows over all WANs.
pub fn loaded(way: Break, wans: usize, contender: Contender, part: f64) -> Result {
    let lab = lab(wans)?;
    let watches = Watches::start(&lab)?;
    let mut keeper = Keeper::start(&lab, contender, &watches.endpoints, &[])?;
    let transfer = Transfer::start(&lab)?;
    keeper.wait_for_phase(WARM_UP, part);
    watches.on_wan_1()?;
    let cut = Instant::now();
    way.cut(&lab)?;
    let outage = outage(part);
    let left = watches.left(cut, outage);
    sleep(outage.saturating_sub(cut.elapsed()));
    print(&quantity::STALL, Some(transfer.timeline.longest_stall(cut, Instant::now())));
    let repaired = Instant::now();
    way.repair(&lab)?;
    if contender == Contender::Kernel && way == Break::LinkDown {
        by_hand::route(&lab, 1)?;
    }
    print(&quantity::DATA_AGAIN, carries_again(&lab, repaired));
    let ended = transfer.finish()?;
    watches.back(&left, repaired);
    check!(ended.is_mptcp, "the connection fell back to TCP");
    keeper.lives()
}

/// Repairs fall everywhere between two questions to the dead WAN, whether those are counted from the start or
/// from the break, which itself comes `part` of a second later.
fn outage(part: f64) -> Duration {
    Duration::from_secs_f64(OUTAGE[0] + (OUTAGE[1] - OUTAGE[0]) * part)
}

/// How long after the repair WAN 1 has carried data.
fn carries_again(lab: &Lab, repaired: Instant) -> Option<Duration> {
    let bytes = || lab.link(1).down.counters.bytes.load(Relaxed);
    let before = bytes();
    while repaired.elapsed() < LIMIT {
        if bytes() - before > CARRIED {
            return Some(repaired.elapsed());
        }
        sleep(LOOK);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repairs_are_spread_over_the_interval_of_a_dead_wan() {
        for runs in [2, 10] {
            for break_counts in [0.0, 1.0] {
                let phase = |run: usize| {
                    let part = run as f64 / runs as f64;
                    let intervals =
                        (outage(part).as_secs_f64() + part * break_counts) / DEAD_INTERVAL.as_secs_f64();
                    (intervals.fract() * runs as f64).round() as usize % runs
                };
                let mut phases: Vec<usize> = (0..runs).map(phase).collect();
                phases.sort();
                assert_eq!(phases, (0..runs).collect::<Vec<_>>(), "{break_counts}");
            }
        }
    }

    #[test]
    fn what_is_undone_was_not_for_good() {
        let start = Instant::now();
        let after = |ms| start + Duration::from_millis(ms);
        let history = History::new(1);
        for (ms, state) in [(10, 2), (20, 1), (30, 2), (50, 1), (60, 1)] {
            history.push(after(ms), state);
        }
        assert_eq!(for_good(&history, after(5), |s| *s == 1), Some(Duration::from_millis(45)));
        assert_eq!(for_good(&history, after(5), |s| *s == 2), None);
        assert_eq!(for_good(&history, after(55), |s| *s == 1), Some(Duration::ZERO));
    }
}
