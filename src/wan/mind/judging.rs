//! Suspicions, verdicts and recoveries: what is made of probes, answers and silence.

use super::super::liveness::State;
use super::super::record::Reason;
use super::{Action, Mind, Wan, is_live, is_up};
use crate::types::Time;

impl Mind {
    /// Looks at every WAN.
    pub(super) fn judge(&mut self, now: Time, actions: &mut Vec<Action>) {
        for at in 0..self.wans.len() {
            let Some(wan) = self.wans.get_mut(at) else { break };
            let load = wan.load(now);
            if wan.liveness.expire(now, load, &self.is_server) {
                // What the traffic has been like matters now.
                self.counters_at = now;
                let (name, rtt) = (wan.name.clone(), wan.liveness.rtt().average().unwrap_or_default());
                self.tell(&name, State::Up, Reason::Missing { rtt }, now, actions);
            }
        }
        for at in 0..self.wans.len() {
            self.condemn(at, now, actions);
            self.judge_server(at, now, actions);
            self.recover(at, now, actions);
        }
    }

    fn condemn(&mut self, at: usize, now: Time, actions: &mut Vec<Action>) {
        let Some(wan) = self.wans.get(at) else { return };
        let load = wan.load(now);
        let verdict = self.wans.iter().enumerate().filter(|(i, _)| *i != at).find_map(|(_, other)| {
            let evidence = wan.liveness.condemned_by(&other.liveness, now, load, &self.settings)?;
            Some((evidence, other.name.clone()))
        });
        let Some((evidence, witness)) = verdict else { return self.note_unvouched(at, now, actions) };
        let (name, from) = (wan.name.clone(), wan.liveness.state());
        let (rtt, carried) = (wan.liveness.rtt().average(), wan.traffic.carried_since_life());
        if let Some(wan) = self.wans.get_mut(at) {
            wan.liveness.condemn(now, &self.settings);
        }
        self.tell(&name, from, Reason::Lost { evidence, carried, rtt, witness }, now, actions);
        self.replan = true;
    }

    /// Tells once of each suspicion for which nobody vouches.
    fn note_unvouched(&mut self, at: usize, now: Time, actions: &mut Vec<Action>) {
        let Some(wan) = self.wans.get_mut(at) else { return };
        let suspicion = Some(wan.liveness.since());
        let Some(evidence) = wan.liveness.unvouched(now, &self.settings) else { return };
        if wan.unvouched == suspicion {
            return;
        }
        wan.unvouched = suspicion;
        let (name, state) = (wan.name.clone(), wan.liveness.state());
        let carried = wan.traffic.carried_since_life();
        self.tell(&name, state, Reason::NoWitness { evidence, carried }, now, actions);
    }

    fn judge_server(&mut self, at: usize, now: Time, actions: &mut Vec<Action>) {
        let Some(wan) = self.wans.get(at) else { return };
        let others = self.wans.iter().enumerate().filter(|(i, _)| *i != at);
        let (server, queueing) = (wan.liveness.server(), wan.liveness.rtt().is_queueing());
        let witness =
            others.map(|(_, w)| w).find(|w| is_up(wan) && server.is_lost_by(w.liveness.server(), queueing));
        let (ok, reason) = match witness {
            Some(witness) => (false, Reason::ServerLost { witness: witness.name.clone() }),
            None if wan.liveness.server().is_back(self.settings.replies) => (true, Reason::ServerBack),
            None => return,
        };
        let (name, state) = (wan.name.clone(), wan.liveness.state());
        if let Some(wan) = self.wans.get_mut(at) {
            wan.liveness.server_mut().set_ok(ok);
        }
        self.tell(&name, state, reason, now, actions);
        self.replan = true;
    }

    fn recover(&mut self, at: usize, now: Time, actions: &mut Vec<Action>) {
        let another = self.wans.iter().enumerate().any(|(i, w)| i != at && is_live(w));
        let Some(wan) = self.wans.get_mut(at) else { return };
        let from = wan.liveness.state();
        // Held down only while there is something better.
        if !wan.liveness.is_recovered(now, &self.settings, another) {
            let replies = self.settings.replies;
            if from == State::Down && wan.liveness.streak() == replies && wan.liveness.obstacle().is_none() {
                let (flaps, hold) = (wan.liveness.flaps(now), wan.liveness.hold(now));
                let held = Reason::HeldDown { flaps, hold };
                if !hold.is_zero() && wan.reason != held {
                    let name = wan.name.clone();
                    self.tell(&name, from, held, now, actions);
                }
            }
            return;
        }
        let reason = match from {
            State::Testing => Reason::Answered { rtt: wan.liveness.waited() },
            _ => Reason::Recovered { replies: wan.liveness.streak(), lasted: now.since(wan.liveness.left()) },
        };
        wan.liveness.recover(now);
        let name = wan.name.clone();
        self.tell(&name, from, reason, now, actions);
        self.replan = true;
    }

    /// Which WANs prove to be backups, or none any more.
    pub(super) fn watch_backups(&mut self, now: Time, actions: &mut Vec<Action>) {
        let up = |w: &&Wan| w.liveness.state() == State::Up;
        let best = self.wans.iter().filter(up).filter_map(|w| w.liveness.rtt().average()).min();
        let Some(best) = best else { return };
        for at in 0..self.wans.len() {
            let others = self.wans.iter().enumerate().filter(|(i, w)| *i != at && up(w));
            let others_rate =
                others.map(|(_, w)| w.traffic.rates()).map(|(rx, tx)| rx + tx).max().unwrap_or(0);
            let Some(wan) = self.wans.get_mut(at) else { break };
            let (rx, tx) = wan.traffic.rates();
            let rtt = wan.liveness.rtt().average().unwrap_or(best);
            if !wan.backup.watch(now, rtt, best, rx + tx, others_rate) {
                continue;
            }
            let reason =
                if wan.backup.is_backup() { Reason::MadeBackup { rtt, best } } else { Reason::NoBackup };
            let (name, state) = (wan.name.clone(), wan.liveness.state());
            self.tell(&name, state, reason, now, actions);
            self.replan = true;
        }
    }
}
