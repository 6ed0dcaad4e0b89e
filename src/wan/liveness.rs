//! Whether one WAN works: probes, what became of them, and the state that follows.
//!
//! ```text
//!            first answer                    a probe is lost, or traffic falls silent
//!  testing ---------------> up ------------------------------------------------------> suspect
//!     |                     ^ ^---------------------- any answer -------------------------'  |
//!     | N lost              | replies in a row, damped from the third flap on                | N lost
//!     v                     |                                                                v
//!    down ------------------'<---------------------------------------------------------------+
//!     ^-- from everywhere at once: no carrier, no address, no default route, device gone
//! ```
//!
//! A suspicion ends with any answer. A verdict takes N lost probes with none answered, *and a witness*: another
//! WAN that was answered in the same rounds, or else it is the world that is away and nothing is gained by
//! moving. A probe is lost when its answer is later than the RTT under the present load explains.

use std::time::Duration;

pub use super::probes::{Evidence, Method, Probe};
use super::probes::{ProbeLog, Sent};
use super::rtt::Rtt;
use super::server_watch::ServerWatch;
use super::settings::{LOST, MAX_TARGETS, Settings};
use super::traffic::{DEEP_QUEUE, Load, Traffic};
use crate::types::Time;

mod asking;
mod state;

use asking::next_beat;
pub use state::{Obstacle, State};

/// What may fall silent for a moment though it lives: a handover in LTE takes up to 300 ms. The lost probes must
/// have been sent over at least this long.
const HANDOVER: Duration = Duration::from_millis(300);
/// A suspicion for which no other WAN vouches is told after this long.
const UNVOUCHED: Duration = Duration::from_secs(2);
/// A suspicion that ended by itself is told if it lasted this long; one that did not is no break of what was before.
pub const NOTABLE: Duration = Duration::from_secs(2);
/// A WAN whose link came back is asked at the fast interval for this long.
const EAGER: Duration = Duration::from_secs(2);
/// TCP takes over where ICMP has been unanswered this long while TCP was answered.
const ICMP_GIVEN_UP: Duration = Duration::from_secs(10);
/// Flaps within this time count for damping.
const FLAP_WINDOW: Duration = Duration::from_secs(300);
/// Hold-down at the third flap; doubles with each further one.
const FLAP_HOLD: Duration = Duration::from_secs(10);
/// The longest hold-down.
const FLAP_HOLD_MAX: Duration = Duration::from_secs(120);

/// The probing of one WAN.
#[derive(Clone, Debug)]
pub struct Liveness {
    state: State,
    since: Time,
    /// Since when it had been up as the suspicion began.
    stood: Time,
    /// When it was left, however often the reason has changed since.
    left: Time,
    obstacle: Option<Obstacle>,
    /// IPv4 targets are asked; else IPv6.
    v4: bool,
    rtt: Rtt,
    /// How long the last answer took, to whichever SYN it was.
    waited: Duration,
    log: ProbeLog,
    /// Questions in a row that each target missed.
    missed: [u8; MAX_TARGETS],
    turns: u32,
    /// When the next probe or round is due.
    due: Time,
    /// Rounds since the suspicion, test or death began.
    rounds: u32,
    doubt_since: Time,
    /// When the first probe of the suspicion was sent.
    first_missing: Time,
    /// Over how long the lost probes of this suspicion must have been sent.
    handover: Duration,
    eager_until: Time,
    /// Answers in a row, and when the first of them came.
    streak: u32,
    streak_since: Time,
    flaps: heapless::Deque<Time, 8>,
    /// When each way of asking was answered last.
    icmp_answered: Option<Time>,
    tcp_answered: Option<Time>,
    server: ServerWatch,
    /// One bit for each of the last 32 probes, 1 = lost, for display.
    history: u32,
    counted: u32,
}

impl Liveness {
    /// A WAN that was just found.
    pub fn new(now: Time) -> Liveness {
        Liveness {
            state: State::Testing,
            since: now,
            stood: now,
            left: now,
            obstacle: None,
            v4: true,
            rtt: Rtt::default(),
            waited: Duration::ZERO,
            log: ProbeLog::default(),
            missed: [0; MAX_TARGETS],
            turns: 0,
            due: now,
            rounds: 0,
            doubt_since: now,
            first_missing: now,
            handover: HANDOVER,
            eager_until: now,
            streak: 0,
            streak_since: now,
            flaps: heapless::Deque::new(),
            icmp_answered: None,
            tcp_answered: None,
            server: ServerWatch::new(),
            history: 0,
            counted: 0,
        }
    }

    /// The state now.
    pub fn state(&self) -> State {
        self.state
    }

    /// When the state began; of a WAN that is up, short suspicions aside.
    pub fn since(&self) -> Time {
        self.since
    }

    /// When the WAN went down, whatever stood in its way since.
    pub fn left(&self) -> Time {
        self.left
    }

    /// What stands in the way, if the WAN is down for it.
    pub fn obstacle(&self) -> Option<Obstacle> {
        self.obstacle
    }

    /// The round-trip times.
    pub fn rtt(&self) -> &Rtt {
        &self.rtt
    }

    /// How long the last answer took.
    pub fn waited(&self) -> Duration {
        self.waited
    }

    /// Lost probes in percent, of the last 32 at most.
    pub fn loss_percent(&self) -> u32 {
        (self.history.count_ones() * 100).checked_div(self.counted).unwrap_or(0)
    }

    /// What the bonding server's answers say.
    pub fn server(&self) -> &ServerWatch {
        &self.server
    }

    /// The same, to note a verdict.
    pub fn server_mut(&mut self) -> &mut ServerWatch {
        &mut self.server
    }

    /// Answers in a row so far.
    pub fn streak(&self) -> u32 {
        self.streak
    }

    /// Verdicts within the last five minutes.
    pub fn flaps(&self, now: Time) -> usize {
        self.flaps.iter().filter(|&&at| now.since(at) < FLAP_WINDOW).count()
    }

    /// What speaks against this WAN, witnessed or not.
    pub fn evidence(&self, now: Time) -> Evidence {
        self.log.evidence(now, self.counting())
    }

    /// Too much was lost for too long, and nobody vouched for the world: what speaks against this WAN.
    pub fn unvouched(&self, now: Time, settings: &Settings) -> Option<Evidence> {
        let evidence = self.evidence(now);
        let long = self.state == State::Suspect && now.since(self.since) >= UNVOUCHED;
        (long && evidence.lost >= self.needed(settings)).then_some(evidence)
    }

    /// The probes so far, in bytes of IP: sent, received.
    pub fn probe_bytes(&self) -> (u64, u64) {
        self.log.bytes()
    }

    /// The probes so far: sent, answered.
    pub fn probe_counts(&self) -> (u64, u64) {
        self.log.counts()
    }

    /// When `expire` or `probe` have something to do next; None while something stands in the way.
    pub fn deadline(&self, load: Load) -> Option<Time> {
        let expiry = self.log.oldest_waiting().map(|at| at + self.patience(load));
        self.obstacle.is_none().then(|| expiry.map_or(self.due, |at| at.min(self.due)))
    }

    /// How long an answer may take under this load.
    fn patience(&self, load: Load) -> Duration {
        match load {
            Load::Receiving | Load::Pausing { .. } | Load::Sending => DEEP_QUEUE,
            Load::SendingKnown => self.rtt.patience_loaded(),
            Load::Silent { .. } => self.rtt.patience_drained(),
            Load::Quiet => self.rtt.patience_quiet(),
        }
    }

    /// What asks here: TCP where only TCP is answered.
    fn method(&self) -> Method {
        match (self.icmp_answered, self.tcp_answered) {
            (None, Some(_)) => Method::Tcp,
            (Some(icmp), Some(tcp)) if tcp > icmp + ICMP_GIVEN_UP => Method::Tcp,
            _ => Method::Icmp,
        }
    }

    /// Which lost probes count: of a WAN that never answered, all.
    fn counting(&self) -> Option<Method> {
        self.has_answered().then(|| self.method())
    }

    fn has_answered(&self) -> bool {
        self.icmp_answered.is_some() || self.tcp_answered.is_some()
    }

    /// Takes in the kernel's word on the link: what stands in the way, and whether IPv4 can be asked.
    /// Gives true when the WAN's obstacle is another than before.
    pub fn observe(&mut self, obstacle: Option<Obstacle>, v4: bool, now: Time) -> bool {
        if v4 != self.v4 {
            self.v4 = v4;
            self.log.change_family(v4);
        }
        if obstacle == self.obstacle {
            return false;
        }
        if obstacle.is_some() && matches!(self.state, State::Up | State::Suspect) {
            self.flap(now);
        }
        // When the obstacle is gone the WAN is still down: asked at once, it joins when it has answered.
        self.enter(State::Down, now);
        self.obstacle = obstacle;
        self.due = now;
        self.eager_until = now + EAGER;
        self.log.clear();
        true
    }

    /// Marks as lost what is overdue. A WAN that is up turns suspect by it, or when its traffic fell silent;
    /// gives true then.
    pub fn expire(&mut self, now: Time, load: Load, is_server: &[bool; MAX_TARGETS]) -> bool {
        if self.obstacle.is_some() {
            return false;
        }
        let patience = self.patience(load);
        let method = self.method();
        let answered = self.log.last_answered();
        let mut missing = None;
        let mut log = std::mem::take(&mut self.log);
        log.expire(now, patience, |sent| {
            if !sent.witness && sent.probe.method == method {
                if answered.is_none_or(|at| sent.at > at) {
                    missing.get_or_insert(sent.at);
                }
                self.count_loss(sent, is_server);
            }
        });
        self.log = log;
        // Traffic that ended looks like traffic that broke off, until a question sent since then is answered.
        let silent = match load {
            Load::Silent { since } if self.has_answered() && answered.is_none_or(|at| at <= since) => {
                Some(self.log.first_unanswered(since).unwrap_or(now))
            }
            _ => None,
        };
        let Some(first) = silent.or(missing).filter(|_| self.state == State::Up) else { return false };
        self.stood = self.since;
        self.enter(State::Suspect, now);
        self.first_missing = first;
        // Where probes get lost now and then, the first may have been one of those, and a handover have begun after it.
        let lossy = self.history.count_ones() > 1;
        self.handover = if lossy { HANDOVER + HANDOVER / 2 } else { HANDOVER };
        self.due = now;
        true
    }

    fn count_loss(&mut self, sent: &Sent, is_server: &[bool; MAX_TARGETS]) {
        self.history = self.history << 1 | 1;
        self.counted = (self.counted + 1).min(32);
        self.streak = 0;
        if let Some(missed) = self.missed.get_mut(usize::from(sent.probe.target)) {
            *missed = missed.saturating_add(1);
        }
        if is_server.get(usize::from(sent.probe.target)) == Some(&true) {
            self.server.missed(sent.at);
        }
    }

    /// Takes in an answer and gives who sent it; None if it is to no question that is remembered.
    pub fn answered(
        &mut self,
        seq: u16,
        now: Time,
        traffic: &mut Traffic,
        is_server: &[bool; MAX_TARGETS],
    ) -> Option<u8> {
        let sent = self.log.answered(seq, now)?;
        let quiet = traffic.load(now, self.rtt.base().unwrap_or_default()) == Load::Quiet;
        self.waited = now.since(sent.at);
        // To which of its SYNs it is an answer is not known, so neither is the RTT (RFC 6298 section 3).
        if !sent.again {
            self.rtt.sample(self.waited, quiet);
        }
        traffic.answered(self.rtt.is_queueing());
        match sent.probe.method {
            Method::Icmp => self.icmp_answered = Some(now),
            Method::Tcp => self.tcp_answered = Some(now),
        }
        self.history <<= 1;
        self.counted = (self.counted + 1).min(32);
        if let Some(missed) = self.missed.get_mut(usize::from(sent.probe.target)) {
            *missed = 0;
        }
        if is_server.get(usize::from(sent.probe.target)) == Some(&true) {
            self.server.answered(sent.at);
        }
        if self.streak == 0 {
            self.streak_since = now;
        }
        self.streak += 1;
        match self.state {
            State::Suspect => {
                let doubted = now.since(self.since);
                self.enter(State::Up, now);
                if doubted < NOTABLE {
                    self.since = self.stood;
                }
                self.due = next_beat(now, Duration::from_millis(500));
            }
            // The first answer of a dead WAN: the next question at once.
            State::Down if self.streak == 1 => self.due = now,
            _ => {}
        }
        Some(sent.probe.target)
    }

    /// A WAN that is down or testing has answered enough to be used. `damped` holds back one that flaps.
    pub fn is_recovered(&self, now: Time, settings: &Settings, damped: bool) -> bool {
        let held = damped && now.since(self.streak_since) < self.hold(now);
        // Of a family for which there is nobody to ask, the kernel's word is all there is.
        let nobody = settings.targets_for(self.v4).next().is_none();
        match self.state {
            _ if self.obstacle.is_some() => false,
            State::Testing | State::Down if nobody => true,
            State::Testing => self.streak > 0,
            State::Down => self.streak >= settings.replies && !held,
            State::Up | State::Suspect => false,
        }
    }

    /// How long a WAN that flaps must answer before it is used again.
    pub fn hold(&self, now: Time) -> Duration {
        match u32::try_from(self.flaps(now)).unwrap_or(u32::MAX) {
            0..=2 => Duration::ZERO,
            n => FLAP_HOLD.saturating_mul(1 << (n - 3).min(8)).min(FLAP_HOLD_MAX),
        }
    }

    /// Takes the WAN into use.
    pub fn recover(&mut self, now: Time) {
        self.enter(State::Up, now);
        // What the server missed while nothing passed says nothing about the server.
        self.server.forget();
        // Nor do the losses of the outage make this a lossy link.
        (self.history, self.counted) = (0, 0);
        self.due = next_beat(now, Duration::from_millis(200));
    }

    /// The evidence is complete, vouched for by another WAN.
    pub fn condemned_by(
        &self,
        witness: &Liveness,
        now: Time,
        load: Load,
        settings: &Settings,
    ) -> Option<Evidence> {
        if !matches!(self.state, State::Suspect | State::Testing) || self.obstacle.is_some() {
            return None;
        }
        // What was asked while traffic still flowed in may stand behind it in a queue.
        let from = match load {
            Load::Silent { since } => since,
            _ => Time(0),
        };
        let (patience, method) = (self.patience(load), self.counting());
        let since = self.doubt_since.max(from);
        let evidence = self.log.vouched_by(&witness.log, since, from, now, patience, method)?;
        (evidence.lost >= self.needed(settings) && evidence.covers >= self.handover).then_some(evidence)
    }

    /// Probes that must be lost: less where few targets make the rounds small, so that the verdict is not late; more
    /// if the owner wants more.
    fn needed(&self, settings: &Settings) -> usize {
        let targets = settings.targets_for(self.v4).count();
        if settings.lost > LOST { settings.lost } else { settings.lost.min((targets * 3).max(5)) }
    }

    /// Takes the WAN out of use.
    pub fn condemn(&mut self, now: Time, settings: &Settings) {
        self.flap(now);
        self.enter(State::Down, now);
        self.eager_until = now;
        self.due = now + settings.dead_interval;
    }

    /// Other targets are asked from now on: what is known of the old ones is void.
    pub fn retarget(&mut self) {
        self.server = ServerWatch::new();
        self.missed = [0; MAX_TARGETS];
        self.log.clear();
    }

    /// Something outside hints that this WAN may have died: it is asked at once, if no question is under way.
    pub fn hint(&mut self, now: Time) {
        if self.state == State::Up && self.log.oldest_waiting().is_none() {
            self.due = self.due.min(now);
        }
    }

    fn enter(&mut self, state: State, now: Time) {
        if state == State::Down && self.state != State::Down {
            self.left = now;
        }
        self.state = state;
        self.since = now;
        self.doubt_since = now;
        self.rounds = 0;
        if state == State::Down {
            self.streak = 0;
        }
    }

    fn flap(&mut self, now: Time) {
        if self.flaps.is_full() {
            self.flaps.pop_front();
        }
        let _ = self.flaps.push_back(now); // a place was just made
    }
}
