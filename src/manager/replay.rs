//! `--replay`: a trace told again, and what came of it printed. Touches nothing of the system but the trace.

use std::path::Path;
use std::time::Duration;

use super::{recording, report};
use crate::applet::say;
use crate::config::{self, ManagerArgs, options};
use crate::error::{EXIT_DONE, EXIT_FAILED, EXIT_USAGE, Error, Outcome};
use crate::sys::trace_file;
use crate::types::{IfName, Time};
use crate::wan::liveness::State;
use crate::wan::mind::{Action, Mind};
use crate::wan::record::Decision;
use crate::wan::replay::{self, Replayed, Whose};
use crate::wan::trace::Reader;

/// The states, in the order in which they are shown.
const STATES: [State; 4] = [State::Testing, State::Up, State::Suspect, State::Down];

/// Replays `path`, with the settings that were recorded or with those the arguments ask for.
pub(super) fn run(path: &Path, args: &ManagerArgs) -> Outcome {
    let refused = |e: String| Error::new("replay", path.display(), e);
    let asked = config::overrides(args)?;
    let bytes = trace_file::read(path, recording::MAX_TRACE).map_err(|e| refused(e.to_string()))?;
    let reader = Reader::new(&bytes, options::set).map_err(|e| refused(e.to_string()))?;
    let start = reader.head().start;
    replay::overridden(&reader.head().settings, &asked, options::set)
        .map_err(|e| Error::new("use", "--set", e).with_exit(EXIT_USAGE))?;
    let level = if args.verbose > 0 { log::Level::Debug } else { log::Level::Info };
    let shown_one = if asked.is_empty() { Whose::Recorded } else { Whose::Other };
    let (mut recorded, mut now, mut changes) = (Vec::new(), Vec::new(), 0);
    let mut watch = |whose: Whose, at: Time, mind: &Mind, action: &Action| {
        if whose == shown_one {
            show(at.since(start), level, mind, action);
            changes += usize::from(matches!(action, Action::Change(_)));
        }
        if let Action::Tell(decision) = action {
            let decisions = if whose == Whose::Recorded { &mut recorded } else { &mut now };
            decisions.push(decision.clone());
        }
    };
    let replayed = replay::replay(&bytes, options::set, &asked, &mut watch).map_err(refused)?;
    if replayed.torn {
        say("the trace is cut off in its last line, which does not count\n");
    }
    if !asked.is_empty() {
        compare(&replayed, &recorded, &now);
        return Ok(EXIT_DONE);
    }
    let span = seconds(replayed.end.since(start));
    let told = recorded.len();
    say(&format!("{span} s, {told} decisions ({} recorded), {changes} changes\n", replayed.recorded));
    Ok(conclude(&replayed))
}

/// Prints a decision or a change.
fn show(at: Duration, level: log::Level, mind: &Mind, action: &Action) {
    let at = seconds(at);
    match action {
        Action::Tell(decision) => say(&format!("{at:>10} s  {decision}\n")),
        Action::Change(change) if report::level_of(change) <= level => {
            say(&format!("{at:>10} s    {}{change}\n", report::subject(change, mind)));
        }
        Action::Change(_) | Action::Probe(..) => {}
    }
}

/// The end of an exact replay: whether it was one.
fn conclude(replayed: &Replayed) -> u8 {
    let Some(difference) = &replayed.difference else {
        say("same decisions as recorded\n");
        return EXIT_DONE;
    };
    let at = seconds(difference.at.since(replayed.head.start));
    let words = |text: &Option<String>| text.clone().unwrap_or_else(|| "nothing".to_string());
    say(&format!(
        "not the same decisions as recorded, first at {at} s:\n  recorded: {}\n  now:      {}\n",
        words(&difference.recorded),
        words(&difference.now)
    ));
    EXIT_FAILED
}

/// Recorded and now, side by side.
fn compare(replayed: &Replayed, recorded: &[Decision], now: &[Decision]) {
    let Replayed { probes, guessed, difference, .. } = replayed;
    if difference.is_some() {
        say("this version decides otherwise than the one that recorded; \"recorded\" is what it decides\n");
    }
    say(&format!("{probes} probes, the fate of {guessed} of them guessed: nothing near them was recorded\n"));
    say(&format!("{:<16} {:<18} {:>12} {:>12}\n", "WAN", "", "RECORDED", "NOW"));
    let mut names: Vec<&IfName> = Vec::new();
    for name in recorded.iter().chain(now).filter_map(|d| d.name.as_ref()) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    for name in names {
        let [recorded, now] = [recorded, now].map(|decisions| Course::of(name, decisions, replayed));
        for (at, state) in STATES.iter().enumerate() {
            let spans = [recorded.spans[at], now.spans[at]];
            if spans != [Duration::ZERO; 2] {
                row(name, &format!("{} for", state.as_str()), spans.map(Some));
            }
        }
        for (what, recorded, now) in
            [("taken out at", recorded.out, now.out), ("taken back at", recorded.back, now.back)]
        {
            for at in 0..recorded.len().max(now.len()) {
                row(name, what, [recorded.get(at).copied(), now.get(at).copied()]);
            }
        }
    }
}

fn row(name: &IfName, what: &str, sides: [Option<Duration>; 2]) {
    let [recorded, now] = sides.map(|d| d.map_or_else(|| "-".to_string(), |d| format!("{} s", seconds(d))));
    say(&format!("{name:<16} {what:<18} {recorded:>12} {now:>12}\n"));
}

/// How a WAN fared.
#[derive(Default)]
struct Course {
    /// How long it was in each of the states.
    spans: [Duration; STATES.len()],
    /// When it went down, and came up from there, since the start.
    out: Vec<Duration>,
    back: Vec<Duration>,
}

impl Course {
    fn of(name: &IfName, decisions: &[Decision], replayed: &Replayed) -> Course {
        let mut course = Course::default();
        let mut last: Option<(State, Time)> = None;
        for decision in decisions.iter().filter(|d| d.name.as_ref() == Some(name)) {
            let at = decision.at.since(replayed.head.start);
            match (decision.from == State::Down, decision.to == State::Down) {
                (false, true) => course.out.push(at),
                (true, false) => course.back.push(at),
                _ => {}
            }
            course.pass(last.replace((decision.to, decision.at)), decision.at);
        }
        course.pass(last, replayed.end);
        course
    }

    fn pass(&mut self, last: Option<(State, Time)>, until: Time) {
        let Some((state, since)) = last else { return };
        for (span, known) in self.spans.iter_mut().zip(STATES) {
            if known == state {
                *span += until.since(since);
            }
        }
    }
}

fn seconds(d: Duration) -> String {
    format!("{}.{:03}", d.as_secs(), d.subsec_millis())
}
