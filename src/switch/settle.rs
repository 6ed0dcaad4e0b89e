//! When the link of a port counts, and what is done to a network then.

use std::time::Duration;

use crate::types::Time;
use crate::wire::ubus::Interface;

/// A link counts once it has been so for this long: a cable that is plugged in bounces, and one that is back at once need
/// not cost a network its lease.
pub const SETTLE: Duration = Duration::from_millis(300);

/// How a link became known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// It changed, or somebody says that it did.
    Event,
    /// It was asked for.
    Reading,
}

/// A link that has settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settled {
    /// Which of the ports.
    pub port: usize,
    /// It is there.
    pub up: bool,
    /// It was not so before, as far as anybody knows.
    pub changed: bool,
}

/// The links of all ports, by number.
#[derive(Debug)]
pub struct Links(Vec<Link>);

#[derive(Clone, Debug, Default)]
struct Link {
    settled: Option<bool>,
    /// What is to count, whether somebody said that it changed, and when it will count.
    next: Option<(bool, bool, Time)>,
}

impl Links {
    /// Nothing is known of so many ports.
    pub fn new(ports: usize) -> Links {
        Links(vec![Link::default(); ports])
    }

    /// The link of a port is so now. The last news count, and those that repeat others do not make them wait.
    pub fn see(&mut self, port: usize, up: bool, news: News, now: Time) {
        let Some(link) = self.0.get_mut(port) else { return };
        let told = news == News::Event || link.settled.is_some();
        match &mut link.next {
            Some((next, changed, _)) if *next == up => *changed |= told,
            _ if link.settled == Some(up) => link.next = None,
            _ => link.next = Some((up, told, now + SETTLE)),
        }
    }

    /// What could not be done is to be done then, unless there are news.
    pub fn again(&mut self, Settled { port, up, changed }: Settled, at: Time) {
        let Some(link) = self.0.get_mut(port) else { return };
        if link.next.is_none() {
            (link.settled, link.next) = (None, Some((up, changed, at)));
        }
    }

    /// When the next link counts.
    pub fn next_deadline(&self) -> Option<Time> {
        self.0.iter().filter_map(|link| link.next.map(|(_, _, at)| at)).min()
    }

    /// A link that counts by now.
    pub fn due(&mut self, now: Time) -> Option<Settled> {
        for (port, link) in self.0.iter_mut().enumerate() {
            if let Some((up, changed, at)) = link.next
                && at <= now
            {
                (link.settled, link.next) = (Some(up), None);
                return Some(Settled { port, up, changed });
            }
        }
        None
    }
}

/// What is done to a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// netifd brings it up.
    Up,
    /// netifd takes it down.
    Down,
    /// Nothing, and why.
    Leave(&'static str),
}

/// What to do to a network once the link of its port has settled; `ours` is one that was taken down here.
///
/// netifd has no "autostart" for a network that somebody took down, until somebody brings it up. Without news of a link
/// that came, such a one is left to him; a cable that is plugged in is a reason to try it.
pub fn step(link: Settled, ours: bool, network: Option<&Interface>) -> Step {
    let Some(network) = network else { return Step::Leave("is not there") };
    let active = network.up || network.autostart == Some(true);
    match (link.up, network.up) {
        (true, true) => Step::Leave("is up"),
        (true, false) if ours || link.changed => Step::Up,
        (true, false) if active => Step::Leave("is coming up"),
        (true, false) => Step::Leave("was taken down by somebody"),
        (false, _) if active => Step::Down,
        (false, _) => Step::Leave("is down"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const T0: Time = Time(1_000_000_000);

    fn at(millis: u64) -> Time {
        T0 + Duration::from_millis(millis)
    }

    /// What counts, after these news at these milliseconds.
    fn settle(news: &[(u64, bool)]) -> Vec<(u64, bool)> {
        let mut links = Links::new(1);
        let mut settled = Vec::new();
        let mut news = news.iter().copied().peekable();
        for now in 0..5000 {
            while let Some((_, up)) = news.next_if(|(when, _)| *when == now) {
                links.see(0, up, News::Event, at(now));
            }
            settled.extend(std::iter::from_fn(|| links.due(at(now))).map(|settled| (now, settled.up)));
        }
        settled
    }

    #[test]
    fn the_last_of_a_burst_counts_once_it_has_stayed() {
        assert_eq!(settle(&[(0, true)]), [(300, true)]);
        assert_eq!(settle(&[(0, true), (10, false), (20, true), (30, false)]), [(330, false)]);
        // Repeated, it does not take longer.
        assert_eq!(settle(&[(0, false), (250, false), (400, false)]), [(300, false)]);
        // Back before it counted: as if nothing had been.
        assert_eq!(settle(&[(0, true), (1000, false), (1200, true)]), [(300, true)]);
        assert_eq!(
            settle(&[(0, true), (1000, false), (2000, true)]),
            [(300, true), (1300, false), (2300, true)]
        );
    }

    #[test]
    fn a_first_reading_is_no_change_and_a_later_one_may_be() {
        let mut links = Links::new(2);
        links.see(0, true, News::Reading, T0);
        links.see(1, true, News::Reading, T0);
        links.see(1, true, News::Event, T0);
        links.see(7, true, News::Event, T0);
        assert_eq!(links.next_deadline(), Some(T0 + SETTLE));
        assert_eq!(links.due(at(299)), None);
        assert_eq!(links.due(at(300)), Some(Settled { port: 0, up: true, changed: false }));
        assert_eq!(links.due(at(300)), Some(Settled { port: 1, up: true, changed: true }));
        links.see(0, false, News::Reading, at(1000));
        let lost = Settled { port: 0, up: false, changed: true };
        assert_eq!(links.due(at(1300)), Some(lost));
        // It could not be done; then it could, or there are news.
        links.again(lost, at(6000));
        assert_eq!(links.due(at(6000)), Some(lost));
        links.again(lost, at(9000));
        links.see(0, true, News::Event, at(6100));
        assert_eq!(links.due(at(6400)), Some(Settled { port: 0, up: true, changed: true }));
        assert_eq!(links.next_deadline(), None);
    }

    #[test]
    fn a_network_is_changed_only_if_it_is_not_so_and_nobody_else_wanted_it_so() {
        let network =
            |up, autostart| Interface { name: "wan2".into(), up, l3_device: None, device: None, autostart };
        let link = |up, changed| Settled { port: 0, up, changed };
        for (settled, ours, up, autostart, expected) in [
            (link(true, true), false, true, Some(true), Step::Leave("is up")),
            (link(true, true), false, false, Some(false), Step::Up),
            (link(true, true), false, false, None, Step::Up),
            (link(true, false), false, false, Some(true), Step::Leave("is coming up")),
            (link(true, false), false, false, Some(false), Step::Leave("was taken down by somebody")),
            (link(true, false), true, false, Some(false), Step::Up),
            (link(false, true), false, true, Some(true), Step::Down),
            (link(false, false), false, true, None, Step::Down),
            (link(false, false), false, false, Some(true), Step::Down),
            (link(false, false), false, false, Some(false), Step::Leave("is down")),
            (link(false, false), true, false, None, Step::Leave("is down")),
        ] {
            assert_eq!(
                step(settled, ours, Some(&network(up, autostart))),
                expected,
                "{settled:?} {ours} {up} {autostart:?}"
            );
        }
        assert_eq!(step(link(true, true), true, None), Step::Leave("is not there"));
    }

    proptest! {
        /// After any news and some quiet the last ones count, and no state counts twice in a row.
        #[test]
        fn the_last_news_win(mut news in prop::collection::vec((0u64..4000, any::<bool>()), 1..40)) {
            news.sort_by_key(|(when, _)| *when);
            let settled = settle(&news);
            prop_assert_eq!(settled.last().map(|(_, up)| *up), news.last().map(|(_, up)| *up));
            prop_assert!(settled.windows(2).all(|pair| pair[0].1 != pair[1].1));
        }
    }
}
