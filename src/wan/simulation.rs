//! Days on virtual time: the mind beside simulated links that behave badly, though they work.
//!
//! Whatever these links do, none of them is dead, so none may be taken for it. Seeds that once failed stay.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use super::liveness::{Method, State};
use super::mind::{Action, Event, Mind};
use super::probes::SENT_AGAIN;
use super::record::Reason;
use super::replay;
use super::settings::{Settings, Target};
use super::trace::Writer;
use super::world::{Change, Memory, World};
use crate::config::options;
use crate::testing::{Dice, ModelKernel};
use crate::types::{IfIndex, Time};

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// How a link treats probes, for a while.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Mood {
    Quiet,
    /// TCP one way or the other: data and acknowledgements.
    Download,
    Upload,
    /// UDP at twice the rate of the link.
    Flood,
}

/// One simulated link.
struct Link {
    index: IfIndex,
    rtt: Duration,
    jitter: Duration,
    /// Lost packets in a thousand, each way together.
    loss: u64,
    /// The queue's depth under load, and how fast it fills: ms of queue a ms.
    depth: Duration,
    fill: u64,
    /// ICMP is let through once a second.
    limited: bool,
    /// TCP is answered.
    tcp: bool,
    /// Handovers of 300 ms.
    handovers: bool,
    mood: Mood,
    mood_until: Time,
    /// What filled the queue.
    loaded_by: Mood,
    /// The queue in front of a probe, and when that was so.
    queue: Duration,
    queue_at: Time,
    silent_until: Time,
    next_handover: Time,
    token_at: Time,
    rx: u64,
    tx: u64,
    counted_at: Time,
    dead: bool,
    /// When SYNs that nobody answered are sent again.
    sent_again: Vec<(Time, u16)>,
}

impl Link {
    fn new(index: u32, rtt: u64) -> Link {
        Link {
            index: IfIndex(index),
            rtt: ms(rtt),
            jitter: ms(rtt / 4),
            loss: 0,
            depth: ms(2000),
            fill: 1,
            limited: false,
            tcp: true,
            handovers: false,
            mood: Mood::Quiet,
            mood_until: Time(0),
            loaded_by: Mood::Quiet,
            queue: Duration::ZERO,
            queue_at: Time(0),
            silent_until: Time(0),
            next_handover: Time(20_000_000),
            token_at: Time(0),
            rx: 0,
            tx: 0,
            counted_at: Time(0),
            dead: false,
            sent_again: Vec::new(),
        }
    }

    /// Lets the time pass: moods, queue, counters.
    fn pass(&mut self, now: Time, away: bool, dice: &mut Dice, busy: bool) {
        let elapsed = now.since(self.queue_at);
        self.queue_at = now;
        let loaded = self.mood != Mood::Quiet;
        self.queue = match loaded {
            true => (self.queue + elapsed * u32::try_from(self.fill).unwrap()).min(self.depth),
            false => self.queue.saturating_sub(elapsed),
        };
        if self.handovers && now >= self.next_handover {
            self.silent_until = now + ms(300);
            self.next_handover = now + ms(dice.between(2_000, 60_000));
        }
        // What a busy link carries, in bytes per second. Acknowledgements go on while the queue drains.
        let flowing = !self.dead && !away && now >= self.silent_until;
        let draining = self.queue > Duration::ZERO;
        let (rx, tx) = match self.mood {
            Mood::Download => (2_000_000, 60_000),
            Mood::Upload => (60_000, 2_000_000),
            Mood::Flood => (0, 4_000_000),
            Mood::Quiet if draining && self.loaded_by == Mood::Download => (2_000_000, 60_000),
            Mood::Quiet if draining && self.loaded_by == Mood::Upload => (60_000, 0),
            Mood::Quiet => (150, 100),
        };
        let span = now.since(self.counted_at).as_micros() as u64;
        self.counted_at = now;
        // TCP stops sending without acknowledgements; UDP does not.
        let sends = flowing || self.mood == Mood::Flood;
        self.rx += if flowing { rx * span / 1_000_000 } else { 0 };
        self.tx += if sends { tx * span / 1_000_000 } else { 0 };
        if self.mood != Mood::Quiet {
            self.loaded_by = self.mood;
        }
        if now >= self.mood_until {
            let moods = [Mood::Quiet, Mood::Download, Mood::Upload, Mood::Flood];
            self.mood = if busy { moods[dice.below(4) as usize] } else { Mood::Quiet };
            self.mood_until = now + ms(dice.between(200, 20_000));
        }
    }

    /// What becomes of a probe: the time of its answer, if any.
    fn fate(&mut self, now: Time, method: Method, away: bool, dice: &mut Dice) -> Option<Time> {
        if self.dead || away || now < self.silent_until || dice.below(1000) < self.loss {
            return None;
        }
        if method == Method::Tcp && !self.tcp {
            return None;
        }
        if method == Method::Icmp && self.limited {
            if now.since(self.token_at) < ms(1000) {
                return None;
            }
            self.token_at = now;
        }
        let jitter = Duration::from_micros(dice.below(self.jitter.as_micros() as u64 + 1));
        Some(now + self.rtt + jitter + self.queue)
    }
}

struct Simulation {
    mind: Mind,
    kernel: ModelKernel,
    links: Vec<Link>,
    answers: BinaryHeap<Reverse<(Time, u32, u16)>>,
    now: Time,
    away_until: Time,
    next_away: Time,
    aways: bool,
    busy: bool,
    dice: Dice,
    /// Verdicts, as told.
    verdicts: Vec<(Time, String)>,
    recoveries: Vec<Time>,
    /// What the mind was told and did, where that is wanted.
    trace: Option<(Writer, Vec<(Time, Action)>)>,
}

impl Simulation {
    fn new(links: Vec<Link>, seed: u64) -> Simulation {
        let kernel = ModelKernel::with_wans(&links.iter().map(|l| l.index).collect::<Vec<_>>());
        let targets = ["203.0.113.1", "203.0.113.11", "203.0.113.12"].map(|a| Target {
            address: a.parse().unwrap(),
            port: 443,
            is_server: a.ends_with(".1"),
        });
        let settings = Settings { targets: targets.into_iter().collect(), ..Settings::default() };
        let now = Time(1_000_000);
        Simulation {
            mind: Mind::new(settings, Memory::default(), now),
            kernel,
            links,
            answers: BinaryHeap::new(),
            now,
            away_until: Time(0),
            next_away: Time(60_000_000),
            aways: false,
            busy: false,
            dice: Dice::new(seed),
            verdicts: Vec::new(),
            recoveries: Vec::new(),
            trace: None,
        }
    }

    fn record(&mut self) {
        let writer = Writer::new("bond", self.mind.settings(), &Memory::default(), self.now);
        self.trace = Some((writer, Vec::new()));
    }

    fn run(&mut self, until: Time) {
        self.tell(Event::World(self.kernel.world.clone()));
        while self.now < until {
            let deadline = self.mind.next_deadline(self.now);
            let answer = self.answers.peek().map_or(Time(u64::MAX), |Reverse((at, ..))| *at);
            // Nobody wakes at the very microsecond.
            self.now = self.now.max(deadline.min(answer)) + Duration::from_micros(self.dice.between(20, 900));
            if self.aways && self.now >= self.next_away {
                self.away_until = self.now + ms(self.dice.between(500, 3_000));
                self.next_away = self.now + ms(self.dice.between(10_000, 120_000));
            }
            let away = self.now < self.away_until;
            for link in &mut self.links {
                link.pass(self.now, away, &mut self.dice, self.busy);
                let (due, later) = link.sent_again.iter().partition(|(at, _)| *at <= self.now);
                link.sent_again = later;
                let due: Vec<(Time, u16)> = due;
                for (_, seq) in due {
                    link.tx += 74;
                    if let Some(at) = link.fate(self.now, Method::Tcp, away, &mut self.dice) {
                        link.sent_again.retain(|(_, other)| *other != seq);
                        self.answers.push(Reverse((at, link.index.0, seq)));
                    }
                }
            }
            while let Some(&Reverse((at, index, seq))) = self.answers.peek() {
                if at > self.now {
                    break;
                }
                self.answers.pop();
                self.tell(Event::Answer { index: IfIndex(index), seq });
            }
            if self.mind.wants_counters(self.now) {
                let counters = self.links.iter().map(|l| (l.index, l.rx, l.tx)).collect();
                self.tell(Event::Counters(counters));
            } else {
                self.tell(Event::Tick);
            }
        }
    }

    fn tell(&mut self, event: Event) {
        let mut changed = false;
        if let Some((writer, _)) = &mut self.trace {
            writer.event(&event, self.now);
        }
        let actions = self.mind.handle(event, self.now);
        if let Some((writer, done)) = &mut self.trace {
            writer.actions(&actions);
            done.extend(actions.iter().map(|action| (self.now, action.clone())));
        }
        for action in actions {
            match action {
                Action::Probe(index, probe, _) => {
                    let away = self.now < self.away_until;
                    let link = self.links.iter_mut().find(|l| l.index == index).unwrap();
                    link.tx += if probe.method == Method::Icmp { 50 } else { 74 };
                    if let Some(at) = link.fate(self.now, probe.method, away, &mut self.dice) {
                        self.answers.push(Reverse((at, index.0, probe.seq)));
                    } else if probe.method == Method::Tcp {
                        link.sent_again.extend(SENT_AGAIN.map(|after| (self.now + after, probe.seq)));
                    }
                }
                Action::Change(change) => {
                    self.kernel.apply(&change);
                    changed |= !matches!(change, Change::Remember(_));
                }
                Action::Tell(decision) => match decision.reason {
                    Reason::Lost { .. } => self.verdicts.push((self.now, decision.to_string())),
                    Reason::Recovered { .. } => self.recoveries.push(self.now),
                    _ => {}
                },
            }
        }
        if changed {
            self.tell(Event::World(self.kernel.world.clone()));
        }
    }
}

/// A day (or a part of one) of links that are bad but alive.
#[track_caller]
fn no_false_removal(seed: u64, seconds: u64, build: impl Fn(&mut Simulation)) {
    let mut simulation = Simulation::new(vec![Link::new(1, 20), Link::new(2, 45), Link::new(3, 90)], seed);
    build(&mut simulation);
    simulation.run(Time(seconds * 1_000_000));
    assert!(
        simulation.verdicts.is_empty(),
        "seed {seed}: {} false removals in {seconds} s, first at {:?}",
        simulation.verdicts.len(),
        simulation.verdicts[0]
    );
    assert!(simulation.mind.wans().iter().all(|w| w.liveness.state() != State::Down));
}

const DAY: u64 = 86_400;

#[test]
fn a_day_at_five_percent_loss() {
    no_false_removal(1, DAY, |s| s.links.iter_mut().for_each(|l| l.loss = 50));
}

#[test]
fn a_day_of_handovers() {
    no_false_removal(2, DAY, |s| s.links.iter_mut().for_each(|l| l.handovers = true));
}

#[test]
fn a_day_of_icmp_let_through_once_a_second() {
    no_false_removal(3, DAY, |s| s.links.iter_mut().for_each(|l| l.limited = true));
}

#[test]
fn a_day_without_icmp() {
    no_false_removal(4, DAY, |s| {
        for link in &mut s.links {
            (link.limited, link.token_at) = (true, Time(u64::MAX));
        }
    });
}

#[test]
fn a_day_of_a_world_that_goes_away() {
    no_false_removal(5, DAY, |s| {
        s.aways = true;
        s.links.iter_mut().for_each(|l| l.loss = 10);
    });
}

#[test]
fn hours_of_speed_tests_with_two_seconds_of_queue() {
    for (seed, fill) in [(6, 1), (7, 4), (8, 10)] {
        no_false_removal(seed, 4 * 3600, |s| {
            s.busy = true;
            s.links.iter_mut().for_each(|l| l.fill = fill);
        });
    }
}

#[test]
fn hours_of_speed_tests_with_loss_and_handovers() {
    no_false_removal(9, 4 * 3600, |s| {
        s.busy = true;
        for link in &mut s.links {
            (link.loss, link.handovers, link.depth) = (50, true, ms(800));
        }
    });
}

/// And what is dead is found out, in the time that is promised.
#[test]
fn an_idle_blackhole_is_left_within_a_second_and_a_half_and_taken_back_within_one() {
    for seed in 0..200 {
        let mut simulation = Simulation::new(vec![Link::new(1, 20), Link::new(2, 45)], seed);
        simulation.run(Time(20_000_000 + seed * 7_000));
        let cut = simulation.now;
        simulation.links[0].dead = true;
        simulation.run(cut + ms(5_000));
        let took = simulation.verdicts.first().expect("no verdict").0.since(cut);
        assert!(took < ms(1_500), "seed {seed}: {took:?}");
        let repaired = simulation.now;
        simulation.links[0].dead = false;
        simulation.run(repaired + ms(5_000));
        let took = simulation.recoveries.first().expect("no recovery").since(repaired);
        assert!(took < ms(1_000), "seed {seed}: back after {took:?}");
    }
}

/// SYNs that were sent into earlier outages are sent again in a later one: no traffic of anyone's.
#[test]
fn an_outage_soon_after_others_is_noticed_as_soon() {
    for seed in 0..100 {
        let mut simulation = Simulation::new(vec![Link::new(1, 20), Link::new(2, 45)], seed);
        let mut settings = simulation.mind.settings().clone();
        for n in 13..18 {
            let target = Target { address: [203, 0, 113, n].into(), port: 53, is_server: false };
            settings.targets.push(target).unwrap();
        }
        simulation.mind = Mind::new(settings, Memory::default(), simulation.now);
        simulation.run(Time(20_000_000 + seed * 7_000));
        for outage in 0..3 {
            simulation.verdicts.clear();
            let cut = simulation.now;
            simulation.links[0].dead = true;
            while simulation.verdicts.is_empty() && simulation.now < cut + ms(5_000) {
                simulation.run(simulation.now + ms(20));
            }
            let took = simulation.now.since(cut);
            assert!(took < ms(1_500), "seed {seed}, outage {outage}: {took:?}");
            simulation.links[0].dead = false;
            simulation.run(simulation.now + ms(670 + seed));
        }
    }
}

#[test]
fn a_download_that_breaks_off_is_noticed_within_half_a_second() {
    for seed in 0..200 {
        let mut simulation = Simulation::new(vec![Link::new(1, 20), Link::new(2, 45)], seed);
        simulation.links[0].depth = ms(100);
        simulation.run(Time(10_000_000));
        (simulation.links[0].mood, simulation.links[0].mood_until) = (Mood::Download, Time(u64::MAX));
        simulation.run(Time(20_000_000 + seed * 7_000));
        let cut = simulation.now;
        simulation.links[0].dead = true;
        simulation.run(cut + ms(5_000));
        let took = simulation.verdicts.first().expect("no verdict").0.since(cut);
        assert!(took < ms(500), "seed {seed}: {took:?}");
    }
}

#[test]
fn an_empty_world_is_no_reason_to_act() {
    let mut mind = Mind::new(Settings::default(), Memory::default(), Time(0));
    assert_eq!(mind.handle(Event::World(World::default()), Time(0)), []);
}

/// A trace of these links, told again, is the same: every probe, change and decision at its time.
#[test]
fn a_simulation_that_was_recorded_is_replayed_exactly() {
    for seed in 0..12 {
        let mut simulation =
            Simulation::new(vec![Link::new(1, 20), Link::new(2, 45), Link::new(3, 90)], seed);
        (simulation.busy, simulation.aways) = (seed % 2 == 0, seed % 3 == 0);
        for link in &mut simulation.links {
            (link.loss, link.handovers) = (10 * seed, seed % 4 == 3);
        }
        simulation.record();
        for second in (20..=300).step_by(20) {
            simulation.run(Time(second * 1_000_000));
            let at = simulation.dice.below(3) as usize;
            simulation.links[at].dead ^= true;
        }
        let (mut writer, done) = simulation.trace.take().unwrap();
        let text = writer.take();
        let mut again = Vec::new();
        let mut watch = |_, at, _: &Mind, action: &Action| again.push((at, action.clone()));
        let exact = replay::replay(text.as_bytes(), options::set, &[], &mut watch).unwrap();
        assert_eq!(exact.difference, None, "seed {seed}");
        assert!(again == done, "seed {seed}: other actions");
        assert!(simulation.verdicts.len() > 3 && exact.recorded > simulation.verdicts.len(), "seed {seed}");
        assert!(exact.end <= simulation.now && exact.end.since(exact.head.start) > ms(298_000));
    }
}
