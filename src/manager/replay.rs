//! `--replay`: a trace told again, and what came of it printed. Touches nothing of the system but the trace.

use std::path::Path;
use std::time::Duration;

use super::{recording, report};
use crate::applet::say;
use crate::config::{self, ManagerArgs};
use crate::error::{EXIT_DONE, EXIT_FAILED, Error, Outcome};
use crate::sys::trace_file;
use crate::types::{IfName, Time};
use crate::wan::liveness::State;
use crate::wan::mind::{Action, Mind};
use crate::wan::record::Decision;
use crate::wan::replay::{self, Exact, WhatIf};
use crate::wan::trace::Reader;

/// The states, in the order in which they are shown.
const STATES: [State; 4] = [State::Testing, State::Up, State::Suspect, State::Down];

/// Replays `path`, with the settings that were recorded or with those the arguments ask for.
pub(super) fn run(path: &Path, args: &ManagerArgs) -> Outcome {
    let refused = |e: String| Error::new("replay", path.display(), e);
    let options = config::overrides(args)?;
    let bytes = trace_file::read(path, recording::MAX_TRACE).map_err(|e| refused(e.to_string()))?;
    let reader = Reader::new(&bytes, config::set).map_err(|e| refused(e.to_string()))?;
    let start = reader.head().start;
    replay::overridden(&reader.head().settings, &options, config::set)
        .map_err(|e| Error::new("use", "--set", e))?;
    let level = if args.verbose > 0 { log::Level::Debug } else { log::Level::Info };
    let mut shown = Shown { start, level, changes: 0, decisions: Vec::new() };
    if options.is_empty() {
        let exact = replay::exact(&bytes, config::set, &mut |at, mind, action| shown.show(at, mind, action))
            .map_err(|e| refused(e.to_string()))?;
        return Ok(conclude(&exact, &shown));
    }
    let mut recorded = Vec::new();
    let mut keep = |_: Time, _: &Mind, action: &Action| {
        if let Action::Tell(decision) = action {
            recorded.push(decision.clone());
        }
    };
    let what_if = replay::what_if(&bytes, config::set, &options, &mut keep, &mut |at, mind, action| {
        shown.show(at, mind, action);
    });
    compare(&what_if.map_err(refused)?, &recorded, &shown.decisions);
    Ok(EXIT_DONE)
}

/// Prints what a mind does, and keeps its decisions.
struct Shown {
    start: Time,
    level: log::Level,
    changes: usize,
    decisions: Vec<Decision>,
}

impl Shown {
    fn show(&mut self, at: Time, mind: &Mind, action: &Action) {
        let at = seconds(at.since(self.start));
        match action {
            Action::Probe(..) => {}
            Action::Tell(decision) => {
                say(&format!("{at:>10} s  {decision}\n"));
                self.decisions.push(decision.clone());
            }
            Action::Change(change) => {
                self.changes += 1;
                if report::level_of(change) <= self.level {
                    say(&format!("{at:>10} s    {}{change}\n", report::subject(change, mind)));
                }
            }
        }
    }
}

/// The end of an exact replay: whether it was one.
fn conclude(exact: &Exact, shown: &Shown) -> u8 {
    let span = seconds(exact.end.since(exact.head.start));
    let (recorded, now) = (exact.recorded, shown.decisions.len());
    say(&format!("{span} s, {now} decisions ({recorded} recorded), {} changes\n", shown.changes));
    note_torn(exact);
    let Some(difference) = &exact.difference else {
        say("same decisions as recorded\n");
        return EXIT_DONE;
    };
    let at = seconds(difference.at.since(exact.head.start));
    let words = |text: &Option<String>| text.clone().unwrap_or_else(|| "nothing".to_string());
    say(&format!(
        "not the same decisions as recorded, first at {at} s:\n  recorded: {}\n  now:      {}\n",
        words(&difference.recorded),
        words(&difference.now)
    ));
    EXIT_FAILED
}

fn note_torn(exact: &Exact) {
    if exact.torn {
        say("the trace is cut off in its last line, which does not count\n");
    }
}

/// Recorded and now, side by side.
fn compare(what_if: &WhatIf, recorded: &[Decision], now: &[Decision]) {
    let WhatIf { exact, probes, guessed } = what_if;
    note_torn(exact);
    if exact.difference.is_some() {
        say("this version decides otherwise than the one that recorded; \"recorded\" is what it decides\n");
    }
    say(&format!("{probes} probes, the fate of {guessed} of them guessed: nothing near them was recorded\n"));
    let mut names: Vec<&IfName> = Vec::new();
    for decision in recorded.iter().chain(now) {
        if !names.contains(&&decision.name) {
            names.push(&decision.name);
        }
    }
    say(&format!("{:<16} {:<18} {:>12} {:>12}\n", "WAN", "", "RECORDED", "NOW"));
    for name in names {
        let of_it = |side: &[Decision]| side.iter().filter(|d| &d.name == name).cloned().collect();
        let sides: [Vec<Decision>; 2] = [of_it(recorded), of_it(now)];
        let spans = sides.each_ref().map(|decisions| time_in_states(decisions, exact.end));
        for (at, state) in STATES.iter().enumerate() {
            let [recorded, now] = spans.map(|spans| spans[at]);
            if recorded + now > Duration::ZERO {
                row(name, &format!("{} for", state.as_str()), [Some(recorded), Some(now)]);
            }
        }
        for (what, from_down) in [("taken out at", false), ("taken back at", true)] {
            let [recorded, now] = sides.each_ref().map(|decisions| turns(decisions, from_down, exact));
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

/// How long a WAN was in each of the states.
fn time_in_states(decisions: &[Decision], end: Time) -> [Duration; STATES.len()] {
    STATES.map(|state| {
        let until = decisions.iter().skip(1).map(|d| d.at).chain([end]);
        decisions.iter().zip(until).filter(|(d, _)| d.to == state).map(|(d, until)| until.since(d.at)).sum()
    })
}

/// When a WAN went down, or came up from there.
fn turns(decisions: &[Decision], from_down: bool, exact: &Exact) -> Vec<Duration> {
    let turned = |d: &&Decision| match from_down {
        true => d.from == State::Down && d.to != State::Down,
        false => d.from != State::Down && d.to == State::Down,
    };
    decisions.iter().filter(turned).map(|d| d.at.since(exact.head.start)).collect()
}

fn seconds(d: Duration) -> String {
    format!("{}.{:03}", d.as_secs(), d.subsec_millis())
}
