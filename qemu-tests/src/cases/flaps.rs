//! Hundreds of random breaks and repairs of four WANs, with kills of the manager in between: whenever some WAN
//! works there is a default route through one that does. More than that: a WAN whose link and address are
//! there, working or not, is never without a default route of its own.
//!
//! `BSBF_LAB_LONG=1` makes it a thousand flaps, `BSBF_LAB_SEED` repeats a run's breaks (not its timing).

use std::env;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::cases;
use super::managed::{Managed, RECOVERY};
use crate::check;
use crate::failure::{Result, failed};
use crate::link::Wan;
use crate::random::Random;
use crate::route_watch::DefaultRoutes;
use crate::runner::Case;
use crate::topology::{Lab, ifindex};

pub const CASES: &[Case] = cases!("flaps":
    no_moment_without_a_usable_default within 900,
);

const WANS: usize = 4;
const FLAPS: u32 = 200;
const LONG: u32 = 1000;
/// The longest pause between two flaps, in ms; one in ten is ten times as long.
const PAUSE_MS: u64 = 200;
/// A WAN counts as configured this long after its repair: the watch sees what a repair does a little later than it.
const GRACE: Duration = Duration::from_millis(200);

/// How a WAN is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Break {
    Blackhole,
    Carrier,
    Link,
    Ifdown,
}

impl Break {
    /// The kernel or netifd takes the default route away.
    fn takes_the_route(self) -> bool {
        matches!(self, Break::Link | Break::Ifdown)
    }
}

const BREAKS: [Break; 4] = [Break::Blackhole, Break::Carrier, Break::Link, Break::Ifdown];

/// What is broken, and since when each WAN has what a default route needs.
struct Flaps {
    managed: Managed,
    random: Random,
    broken: [Option<Break>; WANS],
    /// WAN (from 0) and whether it is configured from then on.
    changes: Vec<(Instant, usize, bool)>,
    kills: u32,
}

impl Flaps {
    fn flap(&mut self) -> Result {
        let at = self.random.below(WANS as u64) as usize;
        match self.broken[at] {
            None => {
                let way = BREAKS[self.random.below(BREAKS.len() as u64) as usize];
                self.changes.push((Instant::now(), at, !way.takes_the_route()));
                self.broken[at] = Some(way);
                self.set(at + 1, way, true)
            }
            Some(way) => self.repair(at, way),
        }
    }

    fn repair(&mut self, at: usize, way: Break) -> Result {
        self.set(at + 1, way, false)?;
        self.broken[at] = None;
        self.changes.push((Instant::now(), at, true));
        Ok(())
    }

    fn set(&self, wan: usize, way: Break, broken: bool) -> Result {
        let lab = &self.managed.lab;
        match (way, broken) {
            (Break::Blackhole, _) => lab.blackhole(wan, broken),
            (Break::Carrier, _) => lab.far_carrier(wan, !broken)?,
            (Break::Link, true) => lab.link_down(wan)?,
            (Break::Link, false) => lab.link_up(wan)?,
            (Break::Ifdown, true) => lab.netifd.ifdown(wan)?,
            (Break::Ifdown, false) => lab.netifd.ifup(wan)?,
        }
        Ok(())
    }

    /// Renewals, kills and restarts between the flaps.
    fn disturb(&mut self) -> Result {
        match self.random.below(10) {
            0 | 1 => {
                let at = self.random.below(WANS as u64) as usize;
                // netifd renews only what is up.
                if matches!(self.broken[at], None | Some(Break::Blackhole)) {
                    self.managed.lab.netifd.renew(at + 1)?;
                }
            }
            2 => {
                self.managed.crash();
                self.kills += 1;
                sleep(Duration::from_millis(self.random.below(PAUSE_MS)));
                self.managed.launch(&[])?;
            }
            _ => {}
        }
        let long = if self.random.below(10) == 0 { 10 } else { 1 };
        sleep(Duration::from_millis(long * self.random.below(PAUSE_MS)));
        Ok(())
    }

    /// Which WANs had link and address during all of this time.
    fn configured(&self, from: Instant, to: Instant) -> [bool; WANS] {
        let mut configured = [true; WANS];
        for (at, wan, is_configured) in self.changes.iter().take_while(|(at, ..)| *at <= to) {
            configured[*wan] = *is_configured && (*at <= from || configured[*wan]);
        }
        configured
    }

    fn judge(&self, since: Instant) -> Result {
        let states = self.managed.routes.routes.since(since);
        for (at, routes) in &states {
            let configured = self.configured(*at - GRACE, *at);
            let missing: Vec<usize> =
                (1..=WANS).filter(|i| configured[i - 1] && !has_default(routes, *i)).collect();
            check!(
                missing.is_empty(),
                "{}: {:?} after the start WANs {missing:?} had no default route: {routes:#?}",
                self.random,
                at.duration_since(since)
            );
        }
        println!("{} moments, {} kills", states.len(), self.kills);
        check!(states.len() > self.changes.len(), "the watch saw only {} changes", states.len());
        Ok(())
    }
}

fn has_default(routes: &DefaultRoutes, wan: usize) -> bool {
    routes.iter().any(|route| !route.v6 && route.ifindex == ifindex(wan))
}

fn no_moment_without_a_usable_default() -> Result {
    let flaps = if env::var_os("BSBF_LAB_LONG").is_some() { LONG } else { FLAPS };
    let lab =
        (1..=WANS).fold(Lab::builder(), |lab, i| lab.wan(Wan::mbit(50).delay_ms(5 * i as u64))).build()?;
    let random = Random::seeded();
    println!("{random}");
    let managed = Managed::start(lab, &[])?;
    let start = Instant::now();
    let mut run = Flaps { managed, random, broken: [None; WANS], changes: Vec::new(), kills: 0 };
    for _ in 0..flaps {
        run.flap()?;
        run.disturb()?;
        if !run.managed.manager()?.is_alive() {
            return failed(format!("{}: the manager has ended", run.random));
        }
    }
    println!("{flaps} flaps in {:?}", start.elapsed());
    for at in 0..WANS {
        if let Some(way) = run.broken[at] {
            run.repair(at, way)?;
        }
    }
    run.judge(start)?;
    // A fresh manager does not hold flapping WANs down.
    run.managed.crash();
    let begun = Instant::now();
    run.managed.begin(&[])?;
    run.managed.returns(&[1, 2, 3, 4], begun, RECOVERY)?;
    check!(
        run.managed.endpoints.endpoints.now().len() == WANS,
        "{:?}",
        run.managed.endpoints.endpoints.now()
    );
    run.managed.end(begun)
}
