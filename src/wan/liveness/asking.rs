//! Which probes are due, and to whom: turns of a quiet WAN, rounds of a suspect one.

use std::time::Duration;

use super::super::server_watch;
use super::super::settings::{MAX_TARGETS, Settings};
use super::super::traffic::Load;
use super::{Liveness, Method, Probe, State};
use crate::types::{Time, micros};

/// Rounds go on this long at the fast interval, then at the dead one: nobody else answered either.
const DOUBT: Duration = Duration::from_secs(4);
/// Between two rounds when loaded traffic fell silent: five of them and one time-out fit into 500 ms.
const SILENT_INTERVAL: Duration = Duration::from_millis(50);
/// Between two rounds of a WAN that never answered yet: a modem's radio may sleep.
const TESTING_INTERVAL: Duration = Duration::from_millis(250);
/// Rounds under way at once when answers may be late for long: more would only deepen the queue.
const ROUNDS_UNDER_WAY: u32 = 8;
/// A target that missed this many questions in a row, while others answered, is left out of the turns: one that
/// never answers must not raise a suspicion each time it is its turn.
const SILENT_TARGET: u8 = 3;
/// It is asked again every so many turns, in case it is back.
const SILENT_TARGET_TURNS: u32 = 30;

/// A dead WAN that answered once is asked by the other method too after this long, in one of so many questions: behind
/// another SIM or line, ICMP alone may pass, or TCP alone.
const OTHER_METHOD: Duration = Duration::from_secs(10);
const OTHER_METHOD_TURNS: u32 = 4;

/// Whom to ask.
enum Turn {
    Next,
    Servers,
    All,
}

impl Liveness {
    /// The probes that are due, into `out`; `regular` is the interval while the WAN is up. Gives true when the
    /// verdict on them needs witnesses.
    pub fn probe(
        &mut self,
        now: Time,
        settings: &Settings,
        load: Load,
        regular: Duration,
        out: &mut Vec<Probe>,
    ) -> bool {
        if self.obstacle.is_some() {
            return false;
        }
        if let (State::Up, Load::Pausing { since }) = (self.state, load) {
            // Asked before the pause is long enough to be suspicious, so that a verdict need not wait.
            let asked = self.log.last_answered() > Some(since) || self.log.first_unanswered(since).is_some();
            if !asked {
                self.ask(now, settings, Turn::Next, self.method(), false, out);
            }
        }
        // A metered WAN that became the best default, or busy, does not finish its long wait.
        if self.state == State::Up && self.due > now + regular {
            self.due = next_beat(now, regular);
        }
        if now < self.due {
            return false;
        }
        match self.state {
            State::Up => {
                let doubtful = self.server.is_doubtful();
                let every_other = !self.server.is_ok() && self.rounds % 2 == 1;
                self.rounds = self.rounds.wrapping_add(1);
                let turn = if doubtful || every_other { Turn::Servers } else { Turn::Next };
                self.ask(now, settings, turn, self.method(), false, out);
                self.due = next_beat(now, if doubtful { server_watch::INTERVAL } else { regular });
                doubtful
            }
            State::Suspect | State::Testing => {
                self.round(now, settings, out);
                let next = now + self.round_interval(now, load, settings);
                // One round falls on the end of a handover, so that a verdict comes no later than it must.
                let handover = self.first_missing + self.handover;
                self.due = if now < handover { next.min(handover) } else { next };
                true
            }
            State::Down => {
                let in_vain = self.streak == 0 && now.since(self.since) >= OTHER_METHOD;
                let other = match self.has_answered() {
                    true => in_vain && self.rounds % OTHER_METHOD_TURNS == 1,
                    false => self.rounds % 2 == 1,
                };
                let method = if other { self.method().other() } else { self.method() };
                self.rounds = self.rounds.wrapping_add(1);
                self.ask(now, settings, Turn::Next, method, false, out);
                // One answer brings the next questions forward: recovery takes no three dead intervals.
                let fast = now < self.eager_until || (1..settings.replies).contains(&self.streak);
                self.due = now + if fast { settings.fast_interval } else { settings.dead_interval };
                false
            }
        }
    }

    fn round_interval(&self, now: Time, load: Load, settings: &Settings) -> Duration {
        let interval = match (self.state, load) {
            _ if now.since(self.doubt_since) > DOUBT => settings.dead_interval,
            (State::Testing, _) => TESTING_INTERVAL,
            (_, Load::Silent { .. }) => SILENT_INTERVAL.min(settings.fast_interval),
            _ => settings.fast_interval,
        };
        interval.max(self.patience(load) / ROUNDS_UNDER_WAY)
    }

    /// All targets at once; from the second round on by the other method too, in case only one is held back.
    fn round(&mut self, now: Time, settings: &Settings, out: &mut Vec<Probe>) {
        let method = self.method();
        self.ask(now, settings, Turn::All, method, false, out);
        // A SYN that waits for its answer need not be repeated ten times a second.
        if self.rounds % 5 == 1 {
            self.ask(now, settings, Turn::All, method.other(), false, out);
        }
        self.rounds = self.rounds.wrapping_add(1);
    }

    /// One question to learn whether the world, or the server, is there, on behalf of another WAN.
    pub fn bear_witness(&mut self, now: Time, settings: &Settings, of_server: bool, out: &mut Vec<Probe>) {
        if self.state == State::Up {
            let turn = if of_server { Turn::Servers } else { Turn::Next };
            self.ask(now, settings, turn, self.method(), true, out);
        }
    }

    fn ask(
        &mut self,
        now: Time,
        settings: &Settings,
        turn: Turn,
        method: Method,
        witness: bool,
        out: &mut Vec<Probe>,
    ) {
        let all: heapless::Vec<(u8, bool), MAX_TARGETS> =
            settings.targets_for(self.v4).map(|(i, t)| (i, t.is_server)).collect();
        match turn {
            Turn::All => {
                for &(target, _) in &all {
                    out.push(self.log.send(target, method, now, witness));
                }
            }
            Turn::Servers if all.iter().any(|&(_, server)| server) => {
                for &(target, _) in all.iter().filter(|&&(_, server)| server) {
                    out.push(self.log.send(target, method, now, witness));
                }
            }
            Turn::Next | Turn::Servers => self.ask_next(now, &all, method, witness, out),
        }
    }

    /// The next target in turn, of those that are known to answer; now and then one of the others too.
    fn ask_next(
        &mut self,
        now: Time,
        all: &[(u8, bool)],
        method: Method,
        witness: bool,
        out: &mut Vec<Probe>,
    ) {
        let silent = |target: u8| self.missed.get(usize::from(target)).is_some_and(|&n| n >= SILENT_TARGET);
        let (mute, lively): (Vec<u8>, Vec<u8>) =
            all.iter().map(|&(target, _)| target).partition(|&t| silent(t));
        let turn = self.turns;
        self.turns = self.turns.wrapping_add(1);
        let nth = |of: &[u8], n: u32| of.get(n as usize % of.len().max(1)).copied();
        if let Some(target) = nth(&lively, turn).or_else(|| nth(&mute, turn)) {
            out.push(self.log.send(target, method, now, witness));
        }
        if !lively.is_empty() && turn.is_multiple_of(SILENT_TARGET_TURNS) {
            // Its loss is expected and says nothing, as a witness's.
            let target = nth(&mute, turn / SILENT_TARGET_TURNS);
            out.extend(target.map(|target| self.log.send(target, method, now, true)));
        }
    }
}

/// The next multiple of `interval`: WANs with the same interval are asked together, in one wake-up.
pub(super) fn next_beat(now: Time, interval: Duration) -> Time {
    let interval = micros(interval).max(1);
    Time((now.0 / interval + 1).saturating_mul(interval))
}
