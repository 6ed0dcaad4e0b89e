//! The probes of one WAN: which are under way, which are lost, and for what their answers bear witness.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::types::Time;

/// Probes under way or lost that are remembered: the most that may be wanted for a verdict (40, in rounds of seven, and
/// a fifth more by the other method), and eight rounds that still wait. Older ones change no verdict.
const LOG: usize = 128;
/// Answers that are remembered for bearing witness.
const ANSWERS: usize = 16;
/// Two answers of a witness at most this far apart vouch for the time between; its own probes are a second apart.
const WITNESS_GAP: Duration = Duration::from_millis(1_200);
/// A witness's last answer stands for what was sent this much later.
const WITNESS_REACH: Duration = Duration::from_millis(300);
/// What was sent this soon after an answered probe of the witness met the same world.
const SAME_ROUND: Duration = Duration::from_millis(110);

/// Bytes of headers: IPv4, IPv6, our echo with its payload (`wire::icmp`), TCP with what Linux puts into a SYN (MSS,
/// SACK, timestamp, window scale), with a timestamp, and without options.
const IPV4: u64 = 20;
const IPV6: u64 = 40;
const ECHO: u64 = 16;
const TCP_SYN: u64 = 40;
const TCP_ACK: u64 = 32;
const TCP_RESET: u64 = 20;

/// An unanswered SYN is sent again this long after it, until the knock is given up: every second (tcp_syn_linear_timeouts
/// is 4 since Linux 6.5). Before, it was not at 2 s (TCP_TIMEOUT_INIT, include/net/tcp.h, doubling); an answer that
/// counts as to a later SYN than it was claims too little rather than too much.
pub const SENT_AGAIN: [Duration; 3] =
    [Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(3)];

/// How a probe asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// ICMP echo.
    Icmp,
    /// TCP SYN; a refusal is an answer too.
    Tcp,
}

impl Method {
    /// The one that may pass where this one does not.
    pub fn other(self) -> Method {
        match self {
            Method::Icmp => Method::Tcp,
            Method::Tcp => Method::Icmp,
        }
    }
}

/// A probe to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Number that the answer carries.
    pub seq: u16,
    /// Index into the settings' targets.
    pub target: u8,
    /// How to ask.
    pub method: Method,
}

/// A probe that was sent.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    /// What was asked.
    pub probe: Probe,
    /// When.
    pub at: Time,
    /// Asked to learn about another WAN; its loss says nothing about this one.
    pub witness: bool,
    /// Its SYN was sent again meanwhile.
    pub again: bool,
    /// Its time-out is over.
    lost: bool,
}

/// What speaks against a WAN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// Probes lost since the last answered one.
    pub lost: usize,
    /// Of so many that were sent since the first of them; the others still wait.
    pub sent: usize,
    /// Different targets among them.
    pub targets: usize,
    /// From the sending of the first to now.
    pub span: Duration,
    /// From the sending of the first to that of the last.
    pub covers: Duration,
}

/// The probes of one WAN.
#[derive(Clone, Debug, Default)]
pub struct ProbeLog {
    log: heapless::Deque<Sent, LOG>,
    /// When the answered probes were sent, in that order.
    answers: heapless::Deque<Time, ANSWERS>,
    next_seq: u16,
    /// Asked over IPv6; else over IPv4.
    v6: bool,
    /// Probes ever: sent, answered.
    counts: (u64, u64),
    /// Bytes of IP that they took: sent, received.
    bytes: (u64, u64),
}

impl ProbeLog {
    /// Notes a probe sent at `at` and gives it a number.
    pub fn send(&mut self, target: u8, method: Method, at: Time, witness: bool) -> Probe {
        let probe = Probe { seq: self.next_seq, target, method };
        self.next_seq = self.next_seq.wrapping_add(1);
        if self.log.is_full() {
            self.log.pop_front();
        }
        let _ = self.log.push_back(Sent { probe, at, witness, again: false, lost: false }); // a place was just made
        self.counts.0 += 1;
        self.bytes.0 += self.size(method);
        probe
    }

    fn header(&self) -> u64 {
        if self.v6 { IPV6 } else { IPV4 }
    }

    /// A question, or its answer.
    fn size(&self, method: Method) -> u64 {
        self.header() + if method == Method::Icmp { ECHO } else { TCP_SYN }
    }

    /// Probes ever: sent, answered.
    pub fn counts(&self) -> (u64, u64) {
        self.counts
    }

    /// Bytes of IP that they took: sent, received. TCP's are estimated: a SYN with Linux's options, its answer as
    /// long, an acknowledgement with a timestamp and a reset; retransmissions are not seen.
    pub fn bytes(&self) -> (u64, u64) {
        self.bytes
    }

    /// Questions go over another family from now on; the answers to those under way say nothing any more.
    pub fn change_family(&mut self, v4: bool) {
        self.v6 = !v4;
        self.clear();
    }

    /// Marks as lost what waits longer than `patience` and hands each to `on_loss`.
    pub fn expire(&mut self, now: Time, patience: Duration, mut on_loss: impl FnMut(&Sent)) {
        for sent in self.log.iter_mut().filter(|s| !s.lost && now.since(s.at) >= patience) {
            sent.lost = true;
            on_loss(sent);
        }
    }

    /// Takes in an answer; None if the question is not known (any more). An answer that may be to a SYN that was sent
    /// again counts as to the last of them: it says nothing of the time before.
    pub fn answered(&mut self, seq: u16, now: Time) -> Option<Sent> {
        let mut sent = *self.log.iter().find(|s| s.probe.seq == seq)?;
        self.log.retain(|s| s.probe.seq != seq);
        if sent.probe.method == Method::Tcp {
            let again = SENT_AGAIN.iter().rev().map(|after| sent.at + *after).find(|at| *at <= now);
            sent.again = again.is_some();
            sent.at = again.unwrap_or(sent.at);
        }
        self.counts.1 += 1;
        self.bytes.1 += self.size(sent.probe.method);
        if sent.probe.method == Method::Tcp {
            self.bytes.0 += self.header() + TCP_ACK + self.header() + TCP_RESET;
        }
        if self.last_answered().is_none_or(|last| last < sent.at) {
            if self.answers.is_full() {
                self.answers.pop_front();
            }
            let _ = self.answers.push_back(sent.at); // a place was just made
        }
        Some(sent)
    }

    /// When the newest answered probe was sent.
    pub fn last_answered(&self) -> Option<Time> {
        self.answers.back().copied()
    }

    /// When the oldest probe that still waits was sent.
    pub fn oldest_waiting(&self) -> Option<Time> {
        self.log.iter().filter(|s| !s.lost).map(|s| s.at).min()
    }

    /// When the oldest probe sent after `since` that was not answered was sent.
    pub fn first_unanswered(&self, since: Time) -> Option<Time> {
        self.log.iter().map(|s| s.at).filter(|&at| at > since).min()
    }

    /// Forgets everything under way, and all evidence.
    pub fn clear(&mut self) {
        self.log.clear();
    }

    /// What was lost since the last answer; `method` is what counts, None for any.
    pub fn evidence(&self, now: Time, method: Option<Method>) -> Evidence {
        self.evidence_between(Time(0)..=now, now, method)
    }

    /// The evidence that `witness` vouches for: sent while the witness was answered without a long gap, and
    /// lost in a round (after `since`) of which the witness's question was answered. Without that, the world
    /// may have been away from all of them, and the witness merely heard first that it is back. What was sent
    /// before `from`, or less than `patience` ago, does not count: it may stand in a queue.
    pub fn vouched_by(
        &self,
        witness: &ProbeLog,
        since: Time,
        from: Time,
        now: Time,
        patience: Duration,
        method: Option<Method>,
    ) -> Option<Evidence> {
        let last = witness.last_answered()?;
        let mut start = last;
        for &at in witness.answers.iter().rev() {
            if start.since(at) > WITNESS_GAP {
                break;
            }
            start = at;
        }
        let same_round = self
            .against(method)
            .filter(|s| s.lost)
            .any(|s| witness.answers.iter().any(|&at| at >= since && at <= s.at && s.at <= at + SAME_ROUND));
        let until = (last + WITNESS_REACH).min(now - patience);
        same_round.then(|| self.evidence_between(start.max(from)..=until, now, method))
    }

    fn evidence_between(&self, sent: RangeInclusive<Time>, now: Time, method: Option<Method>) -> Evidence {
        let mut evidence =
            Evidence { lost: 0, sent: 0, targets: 0, span: Duration::ZERO, covers: Duration::ZERO };
        let (mut targets, mut first, mut last) = (0u16, None, Time(0));
        for sent in self.against(method).filter(|s| s.lost && sent.contains(&s.at)) {
            evidence.lost += 1;
            last = last.max(sent.at);
            targets |= 1 << (sent.probe.target & 15);
            first = Some(first.unwrap_or(sent.at));
        }
        evidence.targets = targets.count_ones() as usize;
        if let Some(first) = first {
            (evidence.span, evidence.covers) = (now.since(first), last.since(first));
            evidence.sent = self.against(method).filter(|s| s.at >= first).count();
        }
        evidence
    }

    /// Probes without an answer, that no later answer refutes.
    fn against(&self, method: Option<Method>) -> impl Iterator<Item = &Sent> {
        let answered = self.last_answered();
        self.log.iter().filter(move |s| {
            !s.witness && answered.is_none_or(|at| s.at > at) && method.is_none_or(|m| m == s.probe.method)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_millis(100);

    fn t(ms: u64) -> Time {
        Time(ms * 1000)
    }

    /// A log with probes sent at the given times, in ms; positive ones are answered, negative ones not.
    fn log(probes: &[i64], now: u64) -> ProbeLog {
        let mut log = ProbeLog::default();
        for &at in probes {
            let probe = log.send(0, Method::Icmp, t(at.unsigned_abs()), false);
            if at > 0 {
                log.answered(probe.seq, t(at.unsigned_abs()));
            }
        }
        log.expire(t(now), PATIENCE, |_| {});
        log
    }

    #[track_caller]
    fn check(suspect: &[i64], witness: &[i64], now: u64, vouched: Option<usize>) {
        let (suspect, witness) = (log(suspect, now), log(witness, now));
        let evidence = suspect.vouched_by(&witness, t(1100), t(0), t(now), PATIENCE, None);
        assert_eq!(evidence.map(|e| e.lost), vouched);
    }

    #[test]
    fn a_witness_in_the_same_rounds_vouches_for_all_of_them() {
        check(&[0, -1000, -1100, -1200, -1300], &[1, 1000, 1100, 1200, 1300], 1400, Some(4));
    }

    #[test]
    fn a_witness_that_answered_only_before_vouches_for_nothing() {
        check(&[0, -1000, -1100, -1200, -1300], &[1, 1000], 1400, None);
    }

    #[test]
    fn the_first_to_hear_that_the_world_is_back_vouches_for_nothing() {
        // Away from 1.0 to 2.05 s: the witness's answer of 2.1 comes before the suspect's.
        check(&[1, -1000, -1100, -1500, -1900, -2000], &[1, 1000, -1500, 2100], 2120, None);
    }

    #[test]
    fn a_witness_asked_once_a_second_is_enough() {
        check(&[0, -1000, -1100, -1200, -1300, -2000], &[1, 1000, 2000], 2100, Some(5));
    }

    #[test]
    fn an_answer_counts_as_to_the_last_syn_that_it_may_be_to() {
        for (after, counts) in [(900, 0), (1_020, 1_000), (2_020, 2_000), (3_500, 3_000)] {
            let mut log = ProbeLog::default();
            let probe = log.send(0, Method::Tcp, t(10), false);
            let sent = log.answered(probe.seq, t(10 + after)).unwrap();
            assert_eq!((sent.at, sent.again), (t(10 + counts), counts > 0), "{after} ms");
        }
    }

    #[test]
    fn bytes_stay_counted_when_the_family_changes() {
        let mut log = ProbeLog::default();
        let ask = |log: &mut ProbeLog, method| {
            let probe = log.send(0, method, t(0), false);
            log.answered(probe.seq, t(1));
            log.bytes()
        };
        assert_eq!(ask(&mut log, Method::Icmp), (36, 36));
        log.change_family(false);
        assert_eq!(log.bytes(), (36, 36));
        assert_eq!(ask(&mut log, Method::Icmp), (36 + 56, 36 + 56));
        log.change_family(true);
        // SYN 60, acknowledgement 52, reset 40.
        assert_eq!(ask(&mut log, Method::Tcp), (92 + 152, 92 + 60));
        assert_eq!(log.counts(), (3, 3));
    }

    #[test]
    fn an_answer_refutes_what_was_lost_before_it() {
        let log = log(&[-1000, -1100, 1150, -1200], 1400);
        assert_eq!(log.evidence(t(1400), None).lost, 1);
    }
}
