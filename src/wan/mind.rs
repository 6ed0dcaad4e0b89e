//! The manager's mind: events and the time go in, actions with their reasons come out.

use std::net::IpAddr;
use std::time::Duration;

use super::backup::BackupWatch;
use super::discover;
use super::liveness::{Liveness, Obstacle, Probe, State};
use super::mptcp::Mptcp;
use super::record::{Decision, Outcome, Reason, Record};
use super::settings::{MAX_TARGETS, MAX_WANS, Settings, Target};
use super::source_rules::Slot;
use super::traffic::Traffic;
use super::world::{Change, Memory, World};
use crate::types::{IfIndex, IfName, Time, micros};

mod judging;
mod mptcp;
mod planning;
mod wan;

use planning::CHANGES;
use wan::Release;
pub use wan::Wan;

/// Other WANs that are asked in each round of a suspicion: more would not make the verdict surer.
const WITNESSES: usize = 2;
/// Counters of quiet WANs are read this often, on the probes' beat.
const QUIET_SAMPLE: Duration = Duration::from_secs(1);
/// An interface that is being taken down shows it within this time.
const RELEASE_PATIENCE: Duration = Duration::from_secs(5);

/// The number of no device.
const NOWHERE: IfIndex = IfIndex(0);

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// The kernel was dumped.
    World(World),
    /// A probe was answered.
    Answer {
        /// On the device.
        index: IfIndex,
        /// The probe's number.
        seq: u16,
    },
    /// Devices' byte counters were read: received, sent.
    Counters(Vec<(IfIndex, u64, u64)>),
    /// A subflow from this address ended with an error.
    SubflowFailed(IpAddr),
    /// It was tested what becomes of MPTCP on the device's way to the server; nothing if that is not known any more.
    Mptcp(IfIndex, Option<Mptcp>),
    /// Somebody takes the interface down (hotplug ifdown).
    Release(IfName),
    /// It is up, whatever was said before (hotplug ifup).
    Keep(IfName),
    /// The settings were read again.
    Settings(Box<Settings>),
    /// A deadline has come.
    Tick,
}

/// Something to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Ask `target`, out of the device.
    Probe(IfIndex, Probe, Target),
    /// Change the kernel; in this order.
    Change(Change),
    /// Tell people.
    Tell(Decision),
}

/// The mind of one manager.
#[derive(Debug)]
pub struct Mind {
    settings: Settings,
    is_server: [bool; MAX_TARGETS],
    world: World,
    memory: Memory,
    wans: heapless::Vec<Wan, MAX_WANS>,
    record: Record,
    counters_at: Time,
    credit: u32,
    credit_at: Time,
    /// The plan is to be made again: something changed.
    replan: bool,
    /// When the next try is due, if there was no credit.
    replan_at: Time,
    /// More devices have default routes than there are places.
    left_out: Vec<IfName>,
}

impl Mind {
    /// A mind that knows nothing yet; `memory` is what an earlier run left.
    pub fn new(settings: Settings, memory: Memory, now: Time) -> Mind {
        Mind {
            is_server: servers(&settings),
            settings,
            world: World::default(),
            memory,
            wans: heapless::Vec::new(),
            record: Record::default(),
            counters_at: now,
            credit: CHANGES,
            credit_at: now,
            replan: false,
            replan_at: now,
            left_out: Vec::new(),
        }
    }

    /// The WANs, in the order in which they were found.
    pub fn wans(&self) -> &[Wan] {
        &self.wans
    }

    /// The settings in force.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The kernel as last seen.
    pub fn world(&self) -> &World {
        &self.world
    }

    /// The decisions.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// Devices with a default route for which there was no place.
    pub fn left_out(&self) -> &[IfName] {
        &self.left_out
    }

    /// The WAN is probed sparingly.
    pub fn is_metered(&self, wan: &Wan) -> bool {
        is_metered(&self.settings, &self.world, wan)
    }

    /// The WAN is used only when no other lives: configured so, or proved slow and thin.
    pub fn is_backup(&self, wan: &Wan) -> bool {
        self.settings.backup.contains(&wan.name) || self.settings.backup_auto && wan.backup.is_backup()
    }

    /// When `Event::Tick` is wanted at the latest.
    pub fn next_deadline(&self, now: Time) -> Time {
        let probing = self.wans.iter().filter_map(|w| w.liveness.deadline(w.load(now))).min();
        let counters = if self.wans.is_empty() { None } else { Some(self.counters_at) };
        let waiting = self.replan.then_some(self.replan_at);
        let released = self.wans.iter().filter_map(|w| w.release.deadline()).min();
        [probing, counters, waiting, released]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or(now + Duration::from_secs(3600))
    }

    /// The counters are to be read before the next event.
    pub fn wants_counters(&self, now: Time) -> bool {
        !self.wans.is_empty() && now >= self.counters_at
    }

    /// Takes in the kernel as it is, and nothing else: for those who will only clean up.
    pub fn see(&mut self, world: World) {
        self.world = world;
    }

    /// Goes on with the record of an earlier run.
    pub fn begin(&mut self, record: Record, now: Time) {
        self.record = record;
        self.note(Reason::Started, now);
    }

    /// Keeps a decision about no WAN.
    pub fn note(&mut self, reason: Reason, at: Time) {
        let (from, to) = (State::Testing, State::Testing);
        self.record.keep(Decision { at, name: None, from, to, reason, outcome: Outcome::default() });
    }

    /// Takes in what became of the changes asked for at `at`, and how long all of them took. Gives the record's new
    /// lines, to be written down.
    pub fn conclude(&mut self, at: Time, changes: &[(Change, bool)], took: Duration) -> String {
        // A device that is gone is in no reading of the kernel any more.
        let of_wan = |index| self.wans.iter().find(|w| w.index == index).map(|w| w.name.clone());
        let of_link = |index| self.world.links.iter().find(|l| l.index == index).map(|l| l.name.clone());
        let name_of = |index| of_wan(index).or_else(|| of_link(index));
        self.record.conclude(at, changes, took, name_of).map(Decision::to_line).collect()
    }

    /// Takes back what it remembers, when not all that it asked for could be done.
    pub fn recall(&mut self, memory: Memory) {
        self.memory = memory;
    }

    /// Takes in an event and gives what is to be done, in that order.
    pub fn handle(&mut self, event: Event, now: Time) -> Vec<Action> {
        let mut actions = Vec::new();
        match event {
            Event::World(world) => self.on_world(world, now, &mut actions),
            Event::Answer { index, seq } => self.on_answer(index, seq, now, &mut actions),
            Event::Counters(counters) => self.on_counters(&counters, now, &mut actions),
            Event::SubflowFailed(address) => {
                let index = self.world.addresses.iter().find(|a| a.local == address).map(|a| a.index);
                for wan in self.wans.iter_mut().filter(|w| Some(w.index) == index) {
                    wan.liveness.hint(now);
                }
            }
            Event::Mptcp(index, found) => self.on_mptcp(index, found, now, &mut actions),
            Event::Release(name) => {
                for wan in self.wans.iter_mut().filter(|w| w.name == name) {
                    wan.release = Release::Asked(now);
                }
                self.observe(now, &mut actions);
            }
            Event::Keep(name) => {
                for wan in self.wans.iter_mut().filter(|w| w.name == name && w.release.deadline().is_some()) {
                    wan.release = Release::No;
                }
                self.observe(now, &mut actions);
            }
            Event::Settings(settings) => {
                self.is_server = servers(&settings);
                if settings.targets != self.settings.targets {
                    self.wans.iter_mut().for_each(|wan| wan.liveness.retarget());
                }
                self.settings = *settings;
                self.note(Reason::Reloaded, now);
                self.discover(now, &mut actions);
                self.observe(now, &mut actions);
                self.replan = true;
            }
            Event::Tick => {}
        }
        if self.wans.iter().any(|w| w.release.deadline().is_some_and(|at| now >= at)) {
            self.observe(now, &mut actions);
        }
        self.judge(now, &mut actions);
        self.ask(now, &mut actions);
        self.plan(now, &mut actions);
        actions
    }

    fn on_world(&mut self, world: World, now: Time, actions: &mut Vec<Action>) {
        self.world = world;
        self.discover(now, actions);
        self.observe(now, actions);
        self.replan = true;
    }

    /// Finds new WANs, and known ones whose device has another number now.
    fn discover(&mut self, now: Time, actions: &mut Vec<Action>) {
        let left_out = std::mem::take(&mut self.left_out);
        while let Some(at) = self.wans.iter().position(|w| self.is_excluded(w)) {
            self.drop_wan(at, Reason::Excluded, now, actions);
        }
        // A device that was renamed is another WAN's.
        for wan in &mut self.wans {
            if self.world.links.iter().any(|l| l.index == wan.index && l.name != wan.name) {
                wan.index = NOWHERE;
            }
        }
        let found: Vec<(IfName, IfIndex)> = discover::wans(&self.world, &self.settings)
            .into_iter()
            .map(|l| (l.name.clone(), l.index))
            .collect();
        for (name, index) in found {
            if let Some(wan) = self.wans.iter_mut().find(|w| w.name == name) {
                if wan.index != index {
                    wan.index = index;
                    wan.traffic = Traffic::default();
                    wan.mptcp = None;
                    let from = wan.liveness.state();
                    if wan.liveness.observe(Some(Obstacle::Gone), true, now) {
                        self.tell(&name, from, Reason::Blocked(Obstacle::Gone), now, actions);
                    }
                }
                continue;
            }
            if self.wans.is_full() {
                // A WAN that is gone makes room for one that is there.
                let gone =
                    |w: &Wan| matches!(w.liveness.obstacle(), Some(Obstacle::Gone | Obstacle::NoDefault));
                match self.wans.iter().position(gone) {
                    Some(at) => self.drop_wan(at, Reason::Forgotten, now, actions),
                    None => {
                        if !left_out.contains(&name) {
                            self.tell(&name, State::Testing, Reason::NoPlace, now, actions);
                        }
                        self.left_out.push(name);
                        continue;
                    }
                }
            }
            let wan = Wan {
                found: now,
                slot: self.free_slot(index),
                name: name.clone(),
                index,
                liveness: Liveness::new(now),
                traffic: Traffic::default(),
                reason: Reason::Found,
                note: None,
                mptcp: None,
                backup: BackupWatch::default(),
                release: Release::No,
                unvouched: None,
            };
            let _ = self.wans.push(wan); // a place was just made
            self.counters_at = now;
            self.tell(&name, State::Testing, Reason::Found, now, actions);
        }
    }

    /// By its name, or as a tunnel that is not named any more.
    fn is_excluded(&self, wan: &Wan) -> bool {
        let link = self.world.link(&wan.name);
        self.settings.exclude.contains(&wan.name)
            || link.is_some_and(|l| !discover::is_eligible(l, &self.settings))
    }

    fn drop_wan(&mut self, at: usize, reason: Reason, now: Time, actions: &mut Vec<Action>) {
        let wan = self.wans.remove(at);
        self.tell(&wan.name, wan.liveness.state(), reason, now, actions);
    }

    fn free_slot(&self, index: IfIndex) -> u8 {
        let used = |n: &u8| self.wans.iter().any(|w| w.slot == *n);
        Slot::adopted(&self.world, index)
            .filter(|n| !used(n))
            .or_else(|| (0u8..).take(MAX_WANS).find(|n| !used(n)))
            .unwrap_or(0)
    }

    /// Compares every WAN with what the kernel says of its device.
    fn observe(&mut self, now: Time, actions: &mut Vec<Action>) {
        for at in 0..self.wans.len() {
            let Some(wan) = self.wans.get_mut(at) else { break };
            let (mut obstacle, v4) = discover::obstacle(&self.world, &wan.name);
            wan.release = match (wan.release, obstacle) {
                (Release::Asked(_) | Release::Down, Some(_)) => Release::Down,
                (Release::Down, None) => Release::No,
                // The word came late, as hotplug's may: the interface is up again, or never went down.
                (Release::Asked(at), None) if now.since(at) >= RELEASE_PATIENCE => Release::No,
                (release, _) => release,
            };
            if wan.release != Release::No {
                obstacle = Some(Obstacle::Released);
            }
            let from = wan.liveness.state();
            if !wan.liveness.observe(obstacle, v4, now) {
                continue;
            }
            let name = wan.name.clone();
            let reason = obstacle.map_or(Reason::Unblocked, Reason::Blocked);
            self.tell(&name, from, reason, now, actions);
            self.replan = true;
        }
    }

    fn on_answer(&mut self, index: IfIndex, seq: u16, now: Time, actions: &mut Vec<Action>) {
        let Some(wan) = self.wans.iter_mut().find(|w| w.index == index) else { return };
        let (from, since) = (wan.liveness.state(), wan.liveness.since());
        if wan.liveness.answered(seq, now, &mut wan.traffic, &self.is_server).is_none() {
            return;
        }
        let rtt = wan.liveness.waited();
        let name = wan.name.clone();
        if wan.liveness.state() != from {
            self.tell(&name, from, Reason::Cleared { rtt, lasted: now.since(since) }, now, actions);
        }
    }

    fn on_counters(&mut self, counters: &[(IfIndex, u64, u64)], now: Time, actions: &mut Vec<Action>) {
        for wan in self.wans.iter_mut() {
            match counters.iter().find(|(index, ..)| *index == wan.index) {
                Some(&(_, rx, tx)) => wan.traffic.sample(now, rx, tx, wan.liveness.rtt().is_queueing()),
                None => wan.traffic.stop(),
            }
        }
        let often = |w: &Wan| w.traffic.is_busy() || w.liveness.state() == State::Suspect;
        let next = self.wans.iter().filter(|w| often(w)).map(|w| w.traffic.next_sample(now, w.rtt())).min();
        self.counters_at = next.unwrap_or_else(|| next_second(now));
        if self.settings.backup_auto {
            self.watch_backups(now, actions);
        }
    }

    /// The probes that are due, and their witnesses.
    fn ask(&mut self, now: Time, actions: &mut Vec<Action>) {
        let best = self
            .wans
            .iter()
            .filter_map(|w| Some((discover::best_metric(&self.world, w.index)?, w.index)))
            .min();
        let mut out = Vec::new();
        let (mut rounds, mut of_server) = (0, false);
        let mut asked: heapless::Vec<usize, MAX_WANS> = heapless::Vec::new();
        for (at, wan) in self.wans.iter_mut().enumerate() {
            let metered = is_metered(&self.settings, &self.world, wan);
            let is_best = best.is_some_and(|(_, index)| index == wan.index);
            let sparse = metered && !is_best && !wan.traffic.is_busy();
            let regular = if sparse { self.settings.metered_interval } else { self.settings.interval };
            let load = wan.load(now);
            if wan.liveness.probe(now, &self.settings, load, regular, &mut out) {
                rounds += 1;
                of_server |= wan.liveness.state() == State::Up;
            }
            wan.traffic.probed(out.len());
            if !out.is_empty() {
                let _ = asked.push(at); // one place for each WAN
            }
            emit(wan.index, &self.settings, &mut out, actions);
        }
        if rounds == 0 {
            return;
        }
        let free = self.wans.iter_mut().enumerate().filter(|(at, w)| !asked.contains(at) && is_up(w));
        for (_, wan) in free.take(WITNESSES) {
            wan.liveness.bear_witness(now, &self.settings, of_server, &mut out);
            wan.traffic.probed(out.len());
            emit(wan.index, &self.settings, &mut out, actions);
        }
    }

    fn tell(&mut self, name: &IfName, from: State, reason: Reason, at: Time, actions: &mut Vec<Action>) {
        let wan = self.wans.iter_mut().find(|w| &w.name == name);
        let to = wan.as_ref().map_or(from, |w| w.liveness.state());
        let name = Some(name.clone());
        let decision = Decision { at, name, from, to, reason, outcome: Outcome::default() };
        // Single lost probes are no decisions; on a lossy link they would soon push out all that are.
        if !decision.is_routine() {
            if let Some(wan) = wan {
                wan.reason = decision.reason.clone();
            }
            self.record.keep(decision.clone());
        }
        actions.push(Action::Tell(decision));
    }
}

fn servers(settings: &Settings) -> [bool; MAX_TARGETS] {
    let mut servers = [false; MAX_TARGETS];
    for (place, target) in servers.iter_mut().zip(&settings.targets) {
        *place = target.is_server;
    }
    servers
}

fn is_live(wan: &Wan) -> bool {
    matches!(wan.liveness.state(), State::Up | State::Suspect)
}

fn is_up(wan: &Wan) -> bool {
    wan.liveness.state() == State::Up
}

fn is_metered(settings: &Settings, world: &World, wan: &Wan) -> bool {
    let modem = world.modems.contains(&wan.index) && !settings.unmetered.contains(&wan.name);
    modem || settings.metered.contains(&wan.name)
}

fn emit(index: IfIndex, settings: &Settings, out: &mut Vec<Probe>, actions: &mut Vec<Action>) {
    for probe in out.drain(..) {
        if let Some(target) = settings.targets.get(usize::from(probe.target)) {
            actions.push(Action::Probe(index, probe, *target));
        }
    }
}

fn next_second(now: Time) -> Time {
    let second = micros(QUIET_SAMPLE);
    Time((now.0 / second + 1).saturating_mul(second))
}

#[cfg(test)]
mod tests;
