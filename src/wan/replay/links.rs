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
//! Byte counters are read whenever the mind wants them, on a straight line between the two readings around. The
//! recorded mind's probes and answers are taken out of them and this one's are put in: else a recorded suspicion's
//! rounds would pass for traffic, with the patience that traffic deserves.

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
/// Bytes of an echo, asked or answered, and of a SYN (net of IPv6's 20 more); measured on Ethernet.
const ECHO: u64 = 50;
const SYN: u64 = 74;
/// Probes that a mind remembers (wan/probes.rs); answers to older ones count for nothing.
const REMEMBERED: usize = 64;

/// A probe of the trace.
#[derive(Debug)]
struct Asked {
    at: Time,
    index: IfIndex,
    seq: u16,
    target: IpAddr,
    method: Method,
    rtt: Option<Duration>,
    /// Lost, and the ones before and after it on this device were answered.
    lone: bool,
    used: bool,
}

/// A device's counters: bytes received and sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bytes {
    pub index: IfIndex,
    pub rx: u64,
    pub tx: u64,
}

/// The place of a device in a list, made if it is missing.
pub(super) fn of_device(list: &mut Vec<Bytes>, index: IfIndex) -> Option<&mut Bytes> {
    let at = list.iter().position(|bytes| bytes.index == index).unwrap_or_else(|| {
        list.push(Bytes { index, rx: 0, tx: 0 });
        list.len() - 1
    });
    list.get_mut(at)
}

/// What a probe, or its answer, adds to a counter.
pub(super) fn size(method: Method) -> u64 {
    match method {
        Method::Icmp => ECHO,
        Method::Tcp => SYN,
    }
}

/// What becomes of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fate {
    /// After how long it is answered.
    pub rtt: Option<Duration>,
    /// No recorded probe is near enough to tell.
    pub guessed: bool,
}

/// The links of a trace.
#[derive(Debug, Default)]
pub(super) struct Links {
    /// In the order in which they were sent.
    probes: Vec<Asked>,
    /// Received and sent, in the order in which they were read.
    counters: Vec<(Time, IfIndex, u64, u64)>,
}

impl Links {
    /// Reads all of a trace.
    pub(super) fn of(mut reader: Reader) -> Result<Links, BadLine> {
        let mut links = Links::default();
        let mut targets = reader.head().settings.targets.clone();
        // What was read last, what of it was others', and what was the mind's own since.
        let (mut read, mut others, mut own) = (Vec::new(), Vec::new(), Vec::new());
        for entry in &mut reader {
            match entry? {
                (at, Entry::Probe(index, probe)) => {
                    let Some(target) = targets.get(usize::from(probe.target)) else { continue };
                    let (target, method, seq) = (target.address, probe.method, probe.seq);
                    if let Some(own) = of_device(&mut own, index) {
                        own.tx += size(method);
                    }
                    let (rtt, lone, used) = (None, false, false);
                    links.probes.push(Asked { at, index, seq, target, method, rtt, lone, used });
                }
                (at, Entry::Event(Event::Answer { index, seq })) => {
                    let last = links.probes.iter_mut().rev().filter(|asked| asked.index == index);
                    let mut last = last.take(REMEMBERED);
                    if let Some(asked) = last.find(|asked| asked.seq == seq && asked.rtt.is_none()) {
                        asked.rtt = Some(at.since(asked.at));
                        if let Some(own) = of_device(&mut own, index) {
                            own.rx += size(asked.method);
                        }
                    }
                }
                (at, Entry::Event(Event::Counters(counters))) => {
                    for (index, rx, tx) in counters {
                        let places = (of_device(&mut read, index), of_device(&mut others, index));
                        let ((Some(read), Some(others)), Some(own)) = (places, of_device(&mut own, index))
                        else {
                            continue;
                        };
                        others.rx = others.rx.saturating_add(without(rx, &mut read.rx, &mut own.rx));
                        others.tx = others.tx.saturating_add(without(tx, &mut read.tx, &mut own.tx));
                        links.counters.push((at, index, others.rx, others.tx));
                    }
                }
                (_, Entry::Event(Event::Settings(settings))) => targets = settings.targets,
                _ => {}
            }
        }
        let known_until = reader.now() - UNDER_WAY;
        links.probes.retain(|asked| asked.rtt.is_some() || asked.at < known_until);
        for at in 0..links.probes.len() {
            let is_lone = links.is_lone(at);
            if let Some(asked) = links.probes.get_mut(at) {
                asked.lone = is_lone;
            }
        }
        Ok(links)
    }

    fn is_lone(&self, at: usize) -> bool {
        let Some(asked) = self.probes.get(at) else { return false };
        let [before, after] = self.around(asked.index, at, at + 1);
        let answered = |asked: Option<&Asked>| asked.is_some_and(|asked| asked.rtt.is_some());
        asked.rtt.is_none() && answered(before) && answered(after)
    }

    /// The last probe of a device before place `first`, and the first from place `end` on.
    fn around(&self, index: IfIndex, first: usize, end: usize) -> [Option<&Asked>; 2] {
        let of_it = |asked: &&Asked| asked.index == index;
        let before = self.probes.get(..first).and_then(|probes| probes.iter().rev().find(of_it));
        [before, self.probes.get(end..).and_then(|probes| probes.iter().find(of_it))]
    }

    /// What becomes of a probe that is sent at `at`.
    pub(super) fn fate(&mut self, index: IfIndex, target: &Target, method: Method, at: Time) -> Fate {
        let first = self.probes.partition_point(|asked| asked.at < at - WINDOW);
        let end = self.probes.partition_point(|asked| asked.at <= at + WINDOW);
        let mut nearest: Option<(Duration, &mut Asked)> = None;
        for asked in self.probes.get_mut(first..end).unwrap_or_default() {
            if asked.index != index || asked.lone && asked.used {
                continue;
            }
            let mut distance = at.since(asked.at).max(asked.at.since(at));
            if asked.target != target.address {
                distance += OTHER_TARGET;
            }
            if asked.method != method {
                distance += OTHER_METHOD;
            }
            if nearest.as_ref().is_none_or(|(least, _)| distance < *least) {
                nearest = Some((distance, asked));
            }
        }
        if let Some((_, asked)) = nearest {
            asked.used = true;
            return Fate { rtt: asked.rtt, guessed: false };
        }
        let [before, after] = self.around(index, first, end).map(|asked| asked.and_then(|asked| asked.rtt));
        Fate { rtt: before.or(after), guessed: true }
    }

    /// A device's counters at `at`, without the mind's own probes; None before the first reading.
    pub(super) fn counters(&self, index: IfIndex, at: Time) -> Option<(u64, u64)> {
        let next = self.counters.partition_point(|(read, ..)| *read <= at);
        let of_it = |reading: &&(Time, IfIndex, u64, u64)| reading.1 == index;
        let &(from, _, rx, tx) = self.counters.get(..next)?.iter().rev().find(of_it)?;
        let Some(&(to, _, rx_next, tx_next)) = self.counters.get(next..)?.iter().find(of_it) else {
            return Some((rx, tx));
        };
        let part = |a: u64, b: u64| {
            let (grown, passed, span) = (b.saturating_sub(a), at.0 - from.0, (to.0 - from.0).max(1));
            let share = grown.checked_mul(passed).map_or(grown / span * passed, |product| product / span);
            a.saturating_add(share)
        };
        Some((part(rx, rx_next), part(tx, tx_next)))
    }
}

/// How much a counter has grown by others' traffic; one that fell has begun anew.
fn without(now: u64, last: &mut u64, own: &mut u64) -> u64 {
    let grown = now.saturating_sub(std::mem::replace(last, now));
    let others = grown.saturating_sub(*own);
    // What is sent just before a reading may come with the next.
    *own = own.saturating_sub(grown);
    others
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::options;

    const HEAD: &str = "bsbf-trace 1\nkind bond\nstart 0\n: server 192.0.2.1\n: target 192.0.2.2\n";

    fn links(lines: &str) -> Links {
        Links::of(Reader::new(format!("{HEAD}{lines}").as_bytes(), options::set).unwrap()).unwrap()
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// Asks on device 3 and gives the answer's delay, or None; and whether it is a guess.
    fn ask(links: &mut Links, target: &str, method: Method, at: u64) -> (Option<Duration>, bool) {
        let target = Target { address: target.parse().unwrap(), port: 53, is_server: false };
        let fate = links.fate(IfIndex(3), &target, method, Time(at * 1000));
        (fate.rtt, fate.guessed)
    }

    /// Probes to target 0 at 1 and 2 s answered after 20 ms, at 3, 4 and 5 s lost; at 6 s answered after 40 ms.
    fn an_outage() -> Links {
        let (mut text, mut passed) = (String::new(), 0);
        for (seq, rtt) in [Some(20_000), Some(20_000), None, None, None, Some(40_000)].into_iter().enumerate()
        {
            text += &format!("{} t\np 3 {seq} 0 i\n", 1_000_000 - passed);
            passed = rtt.unwrap_or(0);
            if rtt.is_some() {
                text += &format!("{passed} a 3 {seq}\n");
            }
        }
        links(&format!("{text}20000000 t\n"))
    }

    #[test]
    fn a_probe_has_the_fate_of_the_nearest() {
        let mut links = an_outage();
        let mut icmp = |at| ask(&mut links, "192.0.2.1", Method::Icmp, at);
        assert_eq!(icmp(900), (Some(ms(20)), false));
        assert_eq!(icmp(2_400), (Some(ms(20)), false));
        for at in [2_700, 3_500, 4_400, 5_300] {
            assert_eq!(icmp(at), (None, false), "{at}");
        }
        assert_eq!(icmp(5_700), (Some(ms(40)), false));
    }

    #[test]
    fn far_from_all_probes_one_is_lost_only_between_losses() {
        let mut links = an_outage();
        // Long before the first and after the last; nothing is known of other devices.
        assert_eq!(ask(&mut links, "192.0.2.1", Method::Icmp, 9_000), (Some(ms(40)), true));
        let other = Target { address: "192.0.2.1".parse().unwrap(), port: 53, is_server: true };
        let fate = links.fate(IfIndex(4), &other, Method::Icmp, Time(3_000_000));
        assert_eq!((fate.rtt, fate.guessed), (None, true));
    }

    #[test]
    fn the_same_target_and_method_come_first() {
        // Target 0 silent to ICMP and answered by TCP, target 1 answered.
        let mut links = links(
            "1000000 t\np 3 1 0 i\np 3 2 1 i\np 3 3 0 t\n20000 a 3 2\n10000 a 3 3\n\
             900000 t\np 3 4 0 i\n20000000 t\n",
        );
        assert_eq!(ask(&mut links, "192.0.2.1", Method::Icmp, 1_100), (None, false));
        assert_eq!(ask(&mut links, "192.0.2.2", Method::Icmp, 1_100), (Some(ms(20)), false));
        assert_eq!(ask(&mut links, "192.0.2.1", Method::Tcp, 1_100), (Some(ms(30)), false));
    }

    #[test]
    fn a_single_loss_befalls_one_probe() {
        let mut text = String::new();
        for seq in 0..5 {
            text += &format!("1000000 t\np 3 {seq} 0 i\n");
            if seq != 2 {
                text += &format!("0 a 3 {seq}\n");
            }
        }
        let mut links = links(&format!("{text}20000000 t\n"));
        let lost = (20..40).filter(|at| ask(&mut links, "192.0.2.1", Method::Icmp, at * 100).0.is_none());
        assert_eq!(lost.count(), 1);
    }

    #[test]
    fn what_was_under_way_at_the_end_is_not_lost() {
        let mut links = links("1000000 t\np 3 1 0 i\n20000 a 3 1\n980000 t\np 3 2 0 i\n50000 t\n");
        assert_eq!(ask(&mut links, "192.0.2.1", Method::Icmp, 2_000), (Some(ms(20)), false));
    }

    #[test]
    fn counters_run_straight_between_two_readings() {
        let links = links("1000000 c 3,100,7\n1000000 c 3,1000,0\n1000000 c 3,-1100,0\n");
        let read = |at| links.counters(IfIndex(3), Time(at));
        assert_eq!(read(999_999), None);
        assert_eq!(read(1_000_000), Some((100, 7)));
        assert_eq!(read(1_250_000), Some((350, 7)));
        assert_eq!((read(2_500_000), read(9_000_000)), (Some((1_100, 7)), Some((1_100, 7))));
    }

    #[test]
    fn the_recorded_minds_probes_are_no_traffic() {
        let links = links("0 c 3,0,0\n0 t\np 3 1 0 i\np 3 2 1 t\n20000 a 3 1\n980000 c 3,50,424\n");
        assert_eq!(links.counters(IfIndex(3), Time(1_000_000)), Some((0, 300)));
    }
}
