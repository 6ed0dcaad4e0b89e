//! `bsbf-status why`: what was decided, when and on which numbers, from the managers' records.

use std::path::Path;

use crate::applet;
use crate::error::Error;
use crate::sys::{control, files};
use crate::types::{IfName, Time, millis};
use crate::wan::record::{Decision, Reason, Record};
use crate::wire::calendar::When;
use crate::wire::question::Question;
use crate::wire::status::{DecisionStatus, Numbers, StateAt, Status, VERSION, Why};

use super::times::{Times, ago, seconds};
use super::{DAEMONS, record_of, socket_of};

/// Decisions about a time are those within so many microseconds around it.
const AROUND: u64 = 30_000_000;

/// A manager's record.
pub struct Told {
    /// "bond", "route" or "mptcp".
    pub manager: &'static str,
    /// What it decided.
    pub record: Record,
}

/// What is asked.
pub struct Asked<'a> {
    /// About which WAN; None is about all.
    pub wan: Option<&'a IfName>,
    /// About which time, since boot.
    pub at: Option<Time>,
    /// How many decisions are shown.
    pub count: usize,
}

/// The records of the managers that answer, or else those that the last ones left; whether one answers.
pub fn read(dir: &Path, now: Time) -> Result<(Vec<Told>, bool), Error> {
    let mut told = Vec::new();
    for manager in DAEMONS {
        let socket = socket_of(dir, manager);
        match control::ask(&socket, &Question::Decisions) {
            Ok(Some(text)) if text.starts_with("error") => {
                return Err(Error::new("understand", format!("bsbf-{manager}"), "it is of another version"));
            }
            Ok(Some(text)) => told.push(Told { manager, record: Record::from_text(&text, now) }),
            Ok(None) => {}
            // One that hangs has written down what it decided.
            Err(e) => applet::complain(&Error::new("ask", socket.display(), e).to_string()),
        }
    }
    if !told.is_empty() {
        return Ok((told, true));
    }
    for manager in DAEMONS {
        let path = record_of(dir, manager);
        match files::read(&path) {
            Ok(text) => {
                let record = Record::from_text(&String::from_utf8_lossy(&text), now);
                told.push(Told { manager, record });
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            Err(e) => return Err(Error::new("read", path.display(), e)),
        }
    }
    // A file of another boot alone tells nothing.
    told.retain(|t| t.record.iter().next().is_some());
    Ok((told, false))
}

/// The time since boot that was meant.
///
/// # Errors
/// What was expected, in words.
pub fn time(text: &str, times: &Times) -> Result<Time, String> {
    let wall = When::parse(text)?.resolve(times.wall, &times.offset);
    let ago = times.wall.saturating_sub(wall);
    let ago = u64::try_from(ago).map_err(|_| format!("'{text}' lies ahead"))?;
    let at = times.now.0.checked_sub(ago).ok_or_else(|| format!("'{text}' is before the last boot"))?;
    Ok(Time(at))
}

/// The names of the WANs that are managed or were.
pub fn known(told: &[Told], managers: &[Status]) -> Vec<String> {
    let mut names: Vec<String> =
        managers.iter().flat_map(|s| s.wans.iter().map(|w| w.name.clone())).collect();
    let of_records = told.iter().flat_map(|t| t.record.iter()).filter_map(|d| d.name.as_ref());
    for name in of_records {
        if !names.iter().any(|n| n == name.as_str()) {
            names.push(name.to_string());
        }
    }
    names
}

/// The answer. `managers` are those that run.
pub fn answer(question: &Asked, told: &[Told], managers: &[Status], times: &Times, running: bool) -> Why {
    let asked = |name: &str| question.wan.is_none_or(|wan| wan.as_str() == name);
    let mut states = Vec::new();
    match question.at {
        Some(at) => told.iter().for_each(|one| states_at(&mut states, one, managers, at, times)),
        None => managers.iter().for_each(|status| states_now(&mut states, status, times)),
    }
    states.retain(|s| asked(&s.wan));
    let mut decisions: Vec<(&'static str, &Decision)> = Vec::new();
    for one in told {
        for d in one.record.iter() {
            let concerns = d.name.as_ref().is_none_or(|name| asked(name.as_str()));
            if concerns && question.at.is_none_or(|at| is_near(d, at)) {
                // By time; one record after the other, this mostly adds at the end.
                let place = decisions.partition_point(|(_, before)| before.at <= d.at);
                decisions.insert(place, (one.manager, d));
            }
        }
    }
    if question.at.is_none() {
        let first = decisions.len().saturating_sub(question.count);
        decisions.drain(..first);
    }
    Why {
        version: VERSION,
        time: seconds(question.at.map_or(times.wall, |at| times.wall_of(at))),
        running,
        states,
        decisions: decisions.into_iter().map(|(manager, d)| decision(manager, d, times)).collect(),
    }
}

fn states_now(states: &mut Vec<StateAt>, status: &Status, times: &Times) {
    for wan in &status.wans {
        states.push(StateAt {
            manager: status.daemon.clone(),
            wan: wan.name.clone(),
            state: wan.state.clone(),
            since: Some(seconds(times.wall_ago(wan.since_ms))),
            text: wan.reason.clone(),
        });
    }
}

/// It was decided, or decided again, about then.
fn is_near(d: &Decision, at: Time) -> bool {
    let last = match d.reason {
        Reason::Followed { span, .. } => d.at + span,
        _ => d.at,
    };
    at.0.saturating_add(AROUND) >= d.at.0 && at.0 <= last.0.saturating_add(AROUND)
}

/// What is known of each WAN at a time: by the record, or else by the manager if it has not changed since.
fn states_at(states: &mut Vec<StateAt>, told: &Told, managers: &[Status], at: Time, times: &Times) {
    let manager = managers.iter().find(|status| status.daemon == told.manager);
    for wan in known(std::slice::from_ref(told), manager.map_or(&[], std::slice::from_ref)) {
        let of_it = |d: &&Decision| d.name.as_ref().is_some_and(|name| name.as_str() == wan);
        let later = || told.record.iter().filter(of_it).find(|d| d.at > at);
        let now = || manager.and_then(|status| status.wans.iter().find(|w| w.name == wan));
        let (state, since, text) = if let Some(d) = decided(&told.record, &wan, at) {
            (state_of(d), Some(seconds(times.wall_of(began(d)))), d.reason.to_string())
        } else if let Some(d) = later() {
            (state_before(d), None, "the record begins later".to_string())
        } else if let Some(w) = now().filter(|w| times.now.0 - at.0 <= w.since_ms.saturating_mul(1000)) {
            (w.state.as_str(), Some(seconds(times.wall_ago(w.since_ms))), w.reason.clone())
        } else {
            ("unknown", None, "the record begins later".to_string())
        };
        let (manager, state) = (told.manager.to_string(), state.to_string());
        states.push(StateAt { manager, wan, state, since, text });
    }
}

/// The last decision before `at` that says in what state a WAN was.
fn decided<'a>(record: &'a Record, name: &str, at: Time) -> Option<&'a Decision> {
    let before = || record.iter().rev().filter(|d| d.at <= at);
    let of_it = |d: &Decision| d.name.as_ref().is_some_and(|n| n.as_str() == name);
    let sets = |d: &&Decision| match d.reason {
        // Those of another run count no more.
        Reason::Started | Reason::Ended => true,
        Reason::Found | Reason::Excluded | Reason::Forgotten | Reason::NoPlace => of_it(d),
        // The suspicion before it is in no record.
        Reason::NoWitness { .. } => of_it(d),
        _ => of_it(d) && d.from != d.to,
    };
    // In a long quiet time only what sets no state may be left of it.
    before().find(sets).or_else(|| before().find(|d| of_it(d)))
}

/// When the state began that the decision told of.
fn began(d: &Decision) -> Time {
    match &d.reason {
        Reason::NoWitness { evidence, .. } => d.at - evidence.span,
        _ => d.at,
    }
}

/// The state up to the first decision that is left.
fn state_before(d: &Decision) -> &'static str {
    match d.reason {
        Reason::Found | Reason::NoPlace => "unmanaged",
        _ => d.from.as_str(),
    }
}

fn state_of(d: &Decision) -> &'static str {
    match d.reason {
        Reason::Started | Reason::Ended | Reason::Excluded | Reason::Forgotten | Reason::NoPlace => {
            "unmanaged"
        }
        _ => d.to.as_str(),
    }
}

fn decision(manager: &str, d: &Decision, times: &Times) -> DecisionStatus {
    let of_wan = |state| d.name.as_ref().map(|_| state);
    DecisionStatus {
        time: seconds(times.wall_of(d.at)),
        ago_ms: millis(times.now.since(d.at)),
        manager: manager.to_string(),
        wan: d.name.as_ref().map(|name| name.to_string()),
        from: of_wan(d.from.as_str()),
        to: of_wan(d.to.as_str()),
        kind: d.reason.word(),
        values: Numbers(d.reason.values().to_vec()),
        witness: d.reason.witness().map(|name| name.to_string()),
        outcome: Numbers(d.outcome.values().to_vec()),
        text: d.to_string(),
    }
}

/// The answer for people.
pub fn text(why: &Why, at: Option<Time>, times: &Times) -> String {
    let wall = |seconds: f64| (seconds * 1e6) as i64;
    let mut lines = Vec::new();
    // Two halves may think differently of the same WAN.
    let of_states = why.states.iter().map(|s| &s.manager);
    let mut managers: Vec<&String> = of_states.chain(why.decisions.iter().map(|d| &d.manager)).collect();
    managers.dedup();
    let halves = managers.len() > 1;
    let of = |manager: &str| if halves { format!("bsbf-{manager}: ") } else { String::new() };
    if let Some(at) = at {
        let distance = ago(millis(times.now.since(at)));
        lines.push(format!("at {}, {distance} ago:", times.show(times.wall_of(at))));
    }
    for s in &why.states {
        let since = s.since.map_or(String::new(), |since| format!(" since {}", times.show(wall(since))));
        lines.push(format!("{}{} {}{since}: {}", of(&s.manager), s.wan, s.state, s.text));
    }
    if !lines.is_empty() {
        lines.push(String::new());
    }
    if why.decisions.is_empty() {
        lines.push("no decision is recorded".to_string() + if at.is_some() { " within 30 s" } else { "" });
    }
    let told = why.decisions.iter().map(|d| (wall(d.time), of(&d.manager) + &d.text));
    lines.extend(times.lines(told));
    lines.join("\n") + "\n"
}
