//! What the byte counters say about a WAN: busy or quiet, and two-way traffic gone silent.
//!
//! Received bytes never prove that a WAN works: ARP, multicast and a modem's own page arrive on dead ones.
//! They tell how much patience a missing answer deserves, because our own traffic may queue in front of it.

use std::time::Duration;

use super::record::Carried;
use crate::types::{Time, micros};

/// Below this a direction counts as quiet, bytes per second: ARP, multicast and our probes stay under it,
/// one phone call (8 kB/s and more each way) does not.
const FLOW: u64 = 4_000;
/// More than any device carries, bytes per second: whatever the counters do, sums stay within 64 bits.
const MOST: u64 = 1 << 40;
/// Acknowledgements of a download: the least that makes traffic two-way, bytes per second.
const ACKS: u64 = 500;
/// A rate this much above that of the last answered probe makes a new load, of which no RTT is known: half as much again.
const NEW_LOAD_PERCENT: u64 = 150;
/// The deepest queue that modems build, and so how long an answer may be delayed by our own sending.
pub const DEEP_QUEUE: Duration = Duration::from_secs(3);
/// Silence of two-way traffic is none before this, however short the RTT is.
const MIN_SILENCE: Duration = Duration::from_millis(150);
/// This long without a byte, busy traffic pauses: worth one question.
const PAUSE: Duration = Duration::from_millis(60);
/// A probe as the counters see it, at most: a SYN with options (60) and the Ethernet header (14), and a reset for its
/// answer (54).
const PROBE: u64 = 128;
/// What a silent sender may still send: last probes of TCP's and retransmissions, in bytes; and a tenth of a second of
/// what it sent before.
const RETRANSMITTED: u64 = 4_000;
/// TCP stops sending this soon after the last acknowledgement, but for a few retransmissions.
const ACK_CLOCK: Duration = Duration::from_millis(100);
/// How often the counters are read while there is traffic.
pub const BUSY_SAMPLE: Duration = Duration::from_millis(40);

/// What the traffic of a WAN is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Load {
    /// Next to nothing either way.
    Quiet,
    /// Bytes flow in.
    Receiving,
    /// They just stopped; perhaps they only pause.
    Pausing {
        /// When the last bytes arrived.
        since: Time,
    },
    /// Bytes go out, nothing comes in, and no probe was answered at this rate with an empty queue.
    Sending,
    /// Bytes go out at a rate at which probes were answered without queueing.
    SendingKnown,
    /// It was two-way, and nothing came in since.
    Silent {
        /// When the last bytes arrived.
        since: Time,
    },
}

impl Load {
    /// The word for status.
    pub fn as_str(self) -> &'static str {
        match self {
            Load::Quiet => "quiet",
            Load::Receiving => "receiving",
            Load::Pausing { .. } => "pausing",
            Load::Sending => "sending",
            Load::SendingKnown => "sending-known",
            Load::Silent { .. } => "silent",
        }
    }
}

/// Counters of one WAN over time.
#[derive(Clone, Debug, Default)]
pub struct Traffic {
    last: Option<(Time, u64, u64)>,
    /// Bytes per second, averaged over about half a second.
    rx: u64,
    tx: u64,
    /// The newest sample alone.
    tx_now: u64,
    rx_now: u64,
    /// When bytes last flowed in, and the averages then.
    flowed: Option<(Time, u64, u64)>,
    /// The sending rate at the last answered probe.
    tx_answered: u64,
    /// Until when unanswered probes may stand in a queue of our making.
    queue_until: Option<Time>,
    /// Bytes of our probes and their answers since the last sample: a suspicion's rounds are no traffic.
    own_rx: u64,
    own_tx: u64,
    /// Bytes sent since two-way traffic fell silent.
    sent_silent: u64,
    /// The counters at the last sign of life, an answered probe or bytes flowing in: received, sent.
    at_life: (u64, u64),
}

impl Traffic {
    /// Takes in the device's counters, in bytes since whenever; a counter that fell starts again.
    pub fn sample(&mut self, now: Time, rx_bytes: u64, tx_bytes: u64, queueing: bool) {
        let Some((then, rx_then, tx_then)) = self.last.replace((now, rx_bytes, tx_bytes)) else { return };
        let elapsed = micros(now.since(then)).max(1);
        let rate = |new: u64, old: u64, own: u64| {
            (new.saturating_sub(old).saturating_sub(own).saturating_mul(1_000_000) / elapsed).min(MOST)
        };
        self.rx_now = rate(rx_bytes, rx_then, std::mem::take(&mut self.own_rx));
        self.tx_now = rate(tx_bytes, tx_then, std::mem::take(&mut self.own_tx));
        let weight = elapsed.min(500_000);
        let blend = |old: u64, new: u64| (old * (500_000 - weight) + new * weight) / 500_000;
        // "Still flowing" is measured against what it was: a trickle of ARP is no download.
        if self.rx_now >= FLOW.max(self.rx / 16) {
            self.flowed = Some((now, blend(self.rx, self.rx_now), blend(self.tx, self.tx_now)));
            self.at_life = (rx_bytes, tx_bytes);
        }
        (self.rx, self.tx) = (blend(self.rx, self.rx_now), blend(self.tx, self.tx_now));
        let known = self.tx_now <= self.tx_answered.max(FLOW) * NEW_LOAD_PERCENT / 100 && !queueing;
        let sends = match self.silence(now) {
            Some((_, tx)) => {
                self.sent_silent += self.tx_now * elapsed / 1_000_000;
                self.sent_silent > RETRANSMITTED + tx / 10
            }
            None => {
                self.sent_silent = 0;
                self.tx_now >= FLOW
            }
        };
        if sends && !known {
            self.queue_until = Some(now + DEEP_QUEUE);
        }
    }

    /// The device is gone and nothing flows any more; its totals stay.
    pub fn stop(&mut self) {
        *self = Traffic { last: self.last, at_life: self.at_life, ..Traffic::default() };
    }

    /// So many probes were sent.
    pub fn probed(&mut self, probes: usize) {
        self.own_tx += PROBE * u64::try_from(probes).unwrap_or(0);
    }

    /// A probe was answered; `queueing` says that the answer was late. Without, the present rate fits the link.
    pub fn answered(&mut self, queueing: bool) {
        self.own_rx += PROBE;
        self.tx_answered = self.tx;
        self.at_life = self.totals();
        if !queueing {
            self.queue_until = None;
        }
    }

    /// The class of the traffic at `now`; `rtt` is the one measured lately.
    pub fn load(&self, now: Time, rtt: Duration) -> Load {
        let silence = MIN_SILENCE.max(rtt * 2);
        let queue = self.queue_until.is_some_and(|until| now < until);
        match self.flowed {
            Some((at, ..)) if now.since(at) >= PAUSE && now.since(at) < silence && self.rx >= FLOW => {
                Load::Pausing { since: at }
            }
            Some((at, ..)) if now.since(at) < silence && self.rx >= FLOW => Load::Receiving,
            // Nothing of ours is queueing: the sender fell silent too, as TCP does without acknowledgements,
            // or it sends at a rate that the link is known to carry.
            Some((at, ..)) if self.silence(now).is_some() && (!queue || self.fell_silent_too(at)) => {
                Load::Silent { since: at }
            }
            _ if queue => Load::Sending,
            _ if self.tx_now >= FLOW => Load::SendingKnown,
            _ => Load::Quiet,
        }
    }

    /// Two-way traffic has stopped coming in, not long ago: since when, and how much went out before, in bytes per second.
    fn silence(&self, now: Time) -> Option<(Time, u64)> {
        let (at, rx, tx) = self.flowed?;
        let is_silent = at < now && now.since(at) < DEEP_QUEUE && rx >= FLOW && tx >= ACKS;
        is_silent.then_some((at, tx))
    }

    /// Sending at a rate of which nothing is known ended with the receiving, at `at`.
    fn fell_silent_too(&self, at: Time) -> bool {
        self.queue_until.is_none_or(|until| until <= at + DEEP_QUEUE + ACK_CLOCK)
    }

    /// When the counters of a busy link are worth reading again: soon, and when silence becomes suspicious.
    pub fn next_sample(&self, now: Time, rtt: Duration) -> Time {
        let stopped = self.flowed.map(|(at, ..)| [at + PAUSE, at + MIN_SILENCE.max(rtt * 2)]);
        let marks = stopped.into_iter().flatten().filter(|&mark| mark > now);
        marks.chain([now + BUSY_SAMPLE]).min().unwrap_or(now)
    }

    /// There is traffic, so the counters are worth reading often.
    pub fn is_busy(&self) -> bool {
        self.rx >= FLOW || self.tx >= FLOW
    }

    /// Average rates now, bytes per second: received, sent.
    pub fn rates(&self) -> (u64, u64) {
        (self.rx, self.tx)
    }

    /// What the device carried since the last answered probe, or since bytes flowed in if that was later, as far as
    /// the counters were read.
    pub fn carried_since_life(&self) -> Carried {
        let ((rx, tx), (rx_then, tx_then)) = (self.totals(), self.at_life);
        Carried { sent: tx.saturating_sub(tx_then), received: rx.saturating_sub(rx_then) }
    }

    /// Totals of the device: received, sent.
    pub fn totals(&self) -> (u64, u64) {
        self.last.map_or((0, 0), |(_, rx, tx)| (rx, tx))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RTT: Duration = Duration::from_millis(20);

    /// Feeds steps of 40 ms with (rx, tx) bytes per second.
    fn run(steps: &[(u64, u64)]) -> (Traffic, Time) {
        let mut traffic = Traffic::default();
        let (mut now, mut rx, mut tx) = (Time(1_000_000), 0, 0);
        traffic.sample(now, rx, tx, false);
        for &(rx_rate, tx_rate) in steps {
            now = now + BUSY_SAMPLE;
            (rx, tx) = (rx + rx_rate / 25, tx + tx_rate / 25);
            traffic.sample(now, rx, tx, false);
        }
        (traffic, now)
    }

    fn steps(parts: &[(usize, u64, u64)]) -> Vec<(u64, u64)> {
        parts.iter().flat_map(|&(n, rx, tx)| std::iter::repeat_n((rx, tx), n)).collect()
    }

    #[track_caller]
    fn check(parts: &[(usize, u64, u64)], expected: &str) {
        let (traffic, now) = run(&steps(parts));
        let load = format!("{:?}", traffic.load(now, RTT));
        assert!(load.starts_with(expected), "{load}, expected {expected}");
    }

    #[test]
    fn classes() {
        check(&[(40, 100, 100)], "Quiet");
        check(&[(40, 2_000_000, 60_000)], "Receiving");
        check(&[(40, 2_000_000, 60_000), (5, 0, 0)], "Silent");
        check(&[(40, 2_000_000, 60_000), (5, 300, 0)], "Silent"); // ARP goes on
        check(&[(40, 60_000, 2_000_000), (5, 0, 0)], "Silent"); // an upload
        check(&[(40, 60_000, 2_000_000), (5, 0, 2_000_000)], "Sending"); // not clocked by acknowledgements
        check(&[(40, 0, 2_000_000)], "Sending");
        check(&[(40, 0, 2_000_000), (10, 0, 0)], "Sending"); // its queue may still drain
        check(&[(40, 0, 2_000_000), (90, 0, 0)], "Quiet");
        check(&[(40, 2_000_000, 60_000), (90, 0, 0)], "Quiet"); // long over
    }

    #[test]
    fn our_own_probes_are_no_traffic() {
        let (mut traffic, mut now) = run(&steps(&[(40, 2_000_000, 60_000), (2, 0, 0)]));
        let (mut rx, mut tx) = traffic.totals();
        for _ in 0..10 {
            now = now + BUSY_SAMPLE;
            (rx, tx) = (rx + 42, tx + 6 * 74); // a round by ICMP and TCP, and somebody's ARP
            traffic.probed(6);
            traffic.sample(now, rx, tx, true);
        }
        assert!(matches!(traffic.load(now, RTT), Load::Silent { .. }));
    }

    #[test]
    fn a_rate_that_was_answered_without_queueing_is_known() {
        let (mut traffic, now) = run(&steps(&[(40, 0, 12_000)]));
        traffic.answered(false);
        assert_eq!(traffic.load(now, RTT), Load::SendingKnown);
    }
}
