use std::time::Duration;

use super::*;
use crate::config;
use crate::wan::liveness::State;
use crate::wan::record::{Decision, Reason};
use crate::wan::settings::Settings;
use crate::wan::trace::Writer;
use crate::wan::world::Change;

/// Traces that real managers wrote in the lab; `lab test replay` with `BSBF_TRACES` makes such.
const TRACES: [(&str, &str); 6] = [
    ("idle-blackhole", include_str!("../../../tests/traces/idle-blackhole.trace")),
    ("loaded-blackhole", include_str!("../../../tests/traces/loaded-blackhole.trace")),
    ("world-away", include_str!("../../../tests/traces/world-away.trace")),
    ("five-percent-loss", include_str!("../../../tests/traces/five-percent-loss.trace")),
    ("flapping", include_str!("../../../tests/traces/flapping.trace")),
    ("carrier", include_str!("../../../tests/traces/carrier.trace")),
];

/// What came of a replay: decisions of both minds, in ms since the start, and the changes of the one looked at.
struct Told {
    replayed: Replayed,
    recorded: Vec<(u64, Decision)>,
    other: Vec<(u64, Decision)>,
    changes: Vec<Change>,
}

fn tell(name: &str, options: &[(&str, &str)]) -> Told {
    let text = TRACES.iter().find(|(known, _)| *known == name).unwrap().1;
    let options: Vec<(String, Vec<String>)> = options
        .iter()
        .map(|(option, values)| (option.to_string(), values.split(' ').map(String::from).collect()))
        .collect();
    let (mut recorded, mut other, mut changes) = (Vec::new(), Vec::new(), Vec::new());
    let start = Reader::new(text.as_bytes(), config::set).unwrap().head().start;
    let looked_at = if options.is_empty() { Whose::Recorded } else { Whose::Other };
    let mut watch = |whose: Whose, at: Time, _: &Mind, action: &Action| match action {
        Action::Tell(decision) => {
            let decisions = if whose == Whose::Recorded { &mut recorded } else { &mut other };
            decisions.push((at.since(start).as_millis() as u64, decision.clone()));
        }
        Action::Change(change) if whose == looked_at => changes.push(change.clone()),
        _ => {}
    };
    let replayed = replay(text.as_bytes(), config::set, &options, &mut watch).unwrap();
    assert_eq!(replayed.difference, None, "{name}");
    assert!(!replayed.torn);
    Told { replayed, recorded, other, changes }
}

/// When a WAN changed to a state that takes it out of use or back, in ms.
fn turns(decisions: &[(u64, Decision)], name: &str) -> Vec<(u64, State)> {
    let turns = decisions.iter().filter(|(_, d)| d.name.as_str() == name && !d.is_routine());
    turns.filter(|(_, d)| d.from != d.to).map(|(at, d)| (*at, d.to)).collect()
}

fn lost(decisions: &[(u64, Decision)]) -> Vec<(&str, usize, usize, u128)> {
    let evidence = |d: &Decision| match &d.reason {
        Reason::Lost { evidence, .. } => Some((evidence.lost, evidence.targets, evidence.span.as_millis())),
        _ => None,
    };
    let lost = decisions.iter().filter_map(|(_, d)| Some((d.name.as_str(), evidence(d)?)));
    lost.map(|(name, (lost, targets, span))| (name, lost, targets, span)).collect()
}

#[test]
fn every_trace_is_written_as_it_was_read() {
    for (name, text) in TRACES {
        let mut reader = Reader::new(text.as_bytes(), config::set).unwrap();
        let head = reader.head().clone();
        let mut writer = Writer::new(&head.kind, &head.settings, &head.memory, head.start);
        let mut mind = Mind::new(head.settings, head.memory, head.start);
        for entry in &mut reader {
            match entry.unwrap() {
                (at, Entry::Event(event)) => {
                    writer.event(&event, at);
                    writer.actions(&mind.handle(event, at));
                }
                (at, Entry::Recall(memory)) => {
                    writer.recall(&memory, at);
                    mind.recall(memory);
                }
                // What the mind does stands where the recorded one's doings stood.
                (_, Entry::Probe(..) | Entry::Decision(_)) => {}
            }
        }
        assert!(writer.take() == text, "{name}");
    }
}

#[test]
#[ignore]
fn show() {
    for (name, _) in TRACES {
        let told = tell(name, &[]);
        println!("{name} {} {:?}", told.recorded.len(), told.replayed.end.since(told.replayed.head.start));
        for wan in ["wan1", "wan2"] {
            println!("  {wan} {:?}", turns(&told.recorded, wan));
        }
        println!("  {:?} {}", lost(&told.recorded), told.changes.len());
        for (at, d) in told.recorded.iter().filter(|(_, d)| !d.is_routine()) {
            println!("  {at} {d}");
        }
        for options in [
            &[("replies", "3")][..],
            &[("replies", "10")],
            &[("lost", "20")],
            &[("fast_interval", "400")],
            &[("exclude", "wan1")],
            &[("interval", "200")],
            &[("backup", "wan1")],
        ] {
            let told = tell(name, options);
            println!("  {options:?}: {} guessed of {}", told.replayed.guessed, told.replayed.probes);
            for wan in ["wan1", "wan2"] {
                println!("    {wan} {:?}", turns(&told.other, wan));
            }
            println!("    {:?} {} changes", lost(&told.other), told.changes.len());
        }
    }
    let _ = (Duration::ZERO, Settings::default());
}
