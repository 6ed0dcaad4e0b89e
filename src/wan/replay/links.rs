//! What a trace knows of the links, for a mind that asks other questions than the recorded one did.
//!
//! A probe has the fate of the recorded probe on the same device that is nearest in time, at most 1.5 s away: it is
//! answered after the same time, or not. Probes to the same target and by the same method come first: another
//! target counts as 0.3 s further away, another method as 0.6 s, for one target may be silent, and ICMP may be held
//! back where TCP is answered.
//!
//! - A loss between two answered probes is a single packet's. It befalls one probe, not all that a mind which asks
//!   more often sends around that time.
//! - Farther from all recorded probes than that, a probe is lost only if the recorded ones on both sides were: a
//!   link that answered before or after is taken to have answered in between. Such fates are guesses and counted.
//! - Where nothing was ever asked nothing is known, and no probe is answered: a guess too.
//! - What was under way when the trace ended is not known to be lost.
//!
//! Byte counters are read whenever the mind wants them, on a straight line between the two readings around. They
//! have the recorded mind's own probes in them, not this one's.

use std::net::IpAddr;
use std::time::Duration;

use crate::types::{IfIndex, Time};
use crate::wan::liveness::Method;
use crate::wan::mind::Event;
use crate::wan::settings::Target;
use crate::wan::trace::{BadLine, Entry, Reader};

/// How far a recorded probe's fate reaches.
const WINDOW: Duration = Duration::from_millis(1_500);
/// What another target, and another method, count as distance.
const OTHER_TARGET: Duration = Duration::from_millis(300);
const OTHER_METHOD: Duration = Duration::from_millis(600);
/// This long before the trace's end a probe without answer may still have been answered.
const UNDER_WAY: Duration = Duration::from_secs(1);
/// Probes that a mind remembers (wan/probes.rs); answers to older ones count for nothing.
const REMEMBERED: usize = 64;

/// A probe of the trace.
#[derive(Debug)]
struct Asked {
    at: Time,
    seq: u16,
    target: IpAddr,
    method: Method,
    rtt: Option<Duration>,
    /// Lost, and the ones before and after it were answered.
    lone: bool,
    used: bool,
}

/// What becomes of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fate {
    /// After how long it is answered.
    pub rtt: Option<Duration>,
    /// No recorded probe is near enough to tell.
    pub guessed: bool,
}

/// A device's readings: received, sent.
type Readings = Vec<(Time, u64, u64)>;

/// The links of a trace.
#[derive(Debug, Default)]
pub(super) struct Links {
    probes: Vec<(IfIndex, Vec<Asked>)>,
    counters: Vec<(IfIndex, Readings)>,
}

impl Links {
    /// Reads all of a trace.
    pub(super) fn of(mut reader: Reader) -> Result<Links, BadLine> {
        let mut links = Links::default();
        let mut targets = reader.head().settings.targets.clone();
        for entry in &mut reader {
            match entry? {
                (at, Entry::Probe(index, probe)) => {
                    let Some(target) = targets.get(usize::from(probe.target)) else { continue };
                    let (target, method, seq) = (target.address, probe.method, probe.seq);
                    let asked = Asked { at, seq, target, method, rtt: None, lone: false, used: false };
                    list(&mut links.probes, index).push(asked);
                }
                (at, Entry::Event(Event::Answer { index, seq })) => {
                    let mut last = list(&mut links.probes, index).iter_mut().rev().take(REMEMBERED);
                    if let Some(asked) = last.find(|asked| asked.seq == seq && asked.rtt.is_none()) {
                        asked.rtt = Some(at.since(asked.at));
                    }
                }
                (at, Entry::Event(Event::Counters(counters))) => {
                    for (index, rx, tx) in counters {
                        list(&mut links.counters, index).push((at, rx, tx));
                    }
                }
                (_, Entry::Event(Event::Settings(settings))) => targets = settings.targets,
                _ => {}
            }
        }
        let known_until = reader.now() - UNDER_WAY;
        for (_, probes) in &mut links.probes {
            probes.retain(|asked| asked.rtt.is_some() || asked.at < known_until);
            let answered: Vec<bool> = probes.iter().map(|asked| asked.rtt.is_some()).collect();
            for (at, asked) in probes.iter_mut().enumerate().skip(1) {
                asked.lone = answered.get(at - 1..at + 2) == Some(&[true, false, true]);
            }
        }
        Ok(links)
    }

    /// What becomes of a probe that is sent at `at`.
    pub(super) fn fate(&mut self, index: IfIndex, target: &Target, method: Method, at: Time) -> Fate {
        let probes = list(&mut self.probes, index);
        let first = probes.partition_point(|asked| asked.at < at - WINDOW);
        let end = probes.partition_point(|asked| asked.at <= at + WINDOW);
        let distance = |asked: &Asked| {
            let mut distance = at.since(asked.at).max(asked.at.since(at));
            if asked.target != target.address {
                distance += OTHER_TARGET;
            }
            if asked.method != method {
                distance += OTHER_METHOD;
            }
            distance
        };
        let near = probes.get_mut(first..end).unwrap_or_default().iter_mut();
        if let Some(nearest) = near.filter(|a| !(a.lone && a.used)).min_by_key(|a| distance(a)) {
            nearest.used = true;
            return Fate { rtt: nearest.rtt, guessed: false };
        }
        let before = first.checked_sub(1).and_then(|at| probes.get(at)).and_then(|asked| asked.rtt);
        let after = probes.get(end).and_then(|asked| asked.rtt);
        Fate { rtt: before.or(after), guessed: true }
    }

    /// A device's counters at `at`; None before the first reading.
    pub(super) fn counters(&self, index: IfIndex, at: Time) -> Option<(u64, u64)> {
        let (_, readings) = self.counters.iter().find(|(i, _)| *i == index)?;
        let next = readings.partition_point(|(read, ..)| *read <= at);
        let &(from, rx, tx) = readings.get(next.checked_sub(1)?)?;
        let Some(&(to, rx_next, tx_next)) = readings.get(next) else { return Some((rx, tx)) };
        let part = |a: u64, b: u64| {
            // One that fell begins anew with the next reading.
            let (grown, passed) = (u128::from(b.saturating_sub(a)), at.since(from).as_micros());
            let share = grown * passed / to.since(from).as_micros().max(1);
            a.saturating_add(u64::try_from(share).unwrap_or(0))
        };
        Some((part(rx, rx_next), part(tx, tx_next)))
    }
}

/// The list of a device, made if it is missing.
fn list<T>(lists: &mut Vec<(IfIndex, Vec<T>)>, index: IfIndex) -> &mut Vec<T> {
    let at = lists.iter().position(|(i, _)| *i == index).unwrap_or_else(|| {
        lists.push((index, Vec::new()));
        lists.len() - 1
    });
    &mut lists[at].1
}
