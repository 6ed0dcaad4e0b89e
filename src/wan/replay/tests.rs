use super::*;
use crate::config::options;
use crate::wan::liveness::State::{self, Down, Up};
use crate::wan::record::{Decision, Reason};
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
    let start = Reader::new(text.as_bytes(), options::set).unwrap().head().start;
    let looked_at = if options.is_empty() { Whose::Recorded } else { Whose::Other };
    let mut watch = |whose: Whose, at: Time, _: &Mind, action: &Action| match action {
        Action::Tell(decision) => {
            let decisions = if whose == Whose::Recorded { &mut recorded } else { &mut other };
            decisions.push((at.since(start).as_millis() as u64, decision.clone()));
        }
        Action::Change(change) if whose == looked_at => changes.push(change.clone()),
        _ => {}
    };
    let replayed = replay(text.as_bytes(), options::set, &options, &mut watch).unwrap();
    assert_eq!(replayed.difference, None, "{name}");
    assert!(!replayed.torn);
    Told { replayed, recorded, other, changes }
}

/// When a WAN changed to a state that takes it out of use or back, in ms.
fn turns(decisions: &[(u64, Decision)], name: &str) -> Vec<(u64, State)> {
    let turns = decisions
        .iter()
        .filter(|(_, d)| d.name.as_ref().is_some_and(|n| n.as_str() == name) && !d.is_routine());
    turns.filter(|(_, d)| d.from != d.to).map(|(at, d)| (*at, d.to)).collect()
}

fn lost(decisions: &[(u64, Decision)]) -> Vec<(&str, usize, usize, u128)> {
    let evidence = |d: &Decision| match &d.reason {
        Reason::Lost { evidence, .. } => Some((evidence.lost, evidence.targets, evidence.span.as_millis())),
        _ => None,
    };
    let lost = decisions.iter().filter_map(|(_, d)| Some((d.name.as_ref()?.as_str(), evidence(d)?)));
    lost.map(|(name, (lost, targets, span))| (name, lost, targets, span)).collect()
}

/// The trace with what this version decides in the place of what was decided.
fn rewritten(text: &str) -> String {
    let mut reader = Reader::new(text.as_bytes(), options::set).unwrap();
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
            (_, Entry::Probe(..) | Entry::Decision(_)) => {}
        }
    }
    writer.take()
}

#[test]
fn every_trace_is_written_as_it_was_read() {
    for (name, text) in TRACES {
        assert!(rewritten(text) == text, "{name}");
    }
}

/// For those who change the words of decisions: `cargo test rewrite_ -- --ignored`.
#[test]
#[ignore = "changes tests/traces"]
#[allow(clippy::disallowed_methods)]
fn rewrite_the_decisions_of_the_traces() {
    for (name, text) in TRACES {
        let path = format!("{}/tests/traces/{name}.trace", env!("CARGO_MANIFEST_DIR"));
        std::fs::write(path, rewritten(text)).unwrap();
    }
}

#[track_caller]
fn decides(
    name: &str,
    wan1: &[(u64, State)],
    wan2: u64,
    evidence: &[(&str, usize, usize, u128)],
    all: usize,
) {
    let told = tell(name, &[]);
    assert_eq!(turns(&told.recorded, "wan1"), wan1);
    assert_eq!(turns(&told.recorded, "wan2"), [(wan2, Up)]);
    assert_eq!(lost(&told.recorded), evidence);
    assert_eq!((told.recorded.len(), told.replayed.recorded), (all, all));
}

#[test]
fn an_idle_blackhole_is_left_for_ten_lost_probes() {
    decides("idle-blackhole", &[(61, Up), (2547, Down), (5207, Up)], 122, &[("wan1", 10, 3, 400)], 7);
}

#[test]
fn a_loaded_blackhole_is_left_for_nineteen() {
    decides("loaded-blackhole", &[(61, Up), (7663, Down), (10423, Up)], 121, &[("wan1", 19, 3, 400)], 7);
}

#[test]
fn a_world_that_is_away_moves_nothing() {
    let told = tell("world-away", &[]);
    assert_eq!(turns(&told.recorded, "wan1"), [(61, Up), (5230, Up)]);
    assert_eq!(turns(&told.recorded, "wan2"), [(122, Up), (5260, Up)]);
    let alone = told.recorded.iter().filter_map(|(at, d)| match &d.reason {
        Reason::NoWitness { evidence, .. } => Some((*at, evidence.lost, evidence.sent)),
        _ => None,
    });
    assert_eq!(alone.collect::<Vec<_>>(), [(4899, 61, 61), (4950, 61, 64)]);
    let lasted = told.recorded.iter().filter_map(|(_, d)| match &d.reason {
        Reason::Cleared { lasted, .. } => Some(lasted.as_millis()),
        _ => None,
    });
    assert_eq!(lasted.collect::<Vec<_>>(), [2331, 2310]);
    assert_eq!(told.changes.iter().filter(|c| matches!(c, Change::DeleteRoute(_))).count(), 0);
}

#[test]
fn five_percent_of_loss_are_suspicious_and_no_more() {
    decides("five-percent-loss", &[(41, Up)], 101, &[], 40);
}

#[test]
fn the_third_flap_is_held_down_for_ten_seconds() {
    let turns = [(61, Up), (2557, Down), (3217, Up), (3757, Down), (4418, Up), (4957, Down), (15552, Up)];
    decides("flapping", &turns, 121, &[("wan1", 10, 3, 400); 3], 14);
    let told = tell("flapping", &[]);
    let held = told.recorded.iter().find_map(|(at, d)| match d.reason {
        Reason::HeldDown { flaps, hold } => Some((*at, flaps, hold.as_secs())),
        _ => None,
    });
    assert_eq!(held, Some((5452, 3, 10)));
}

#[test]
fn a_lost_carrier_is_left_without_a_question() {
    decides("carrier", &[(61, Up), (2129, Down), (4331, Up)], 121, &[], 7);
}

/// The same settings make the same decisions on the models as they did on the links and the kernel.
#[test]
fn the_models_are_like_what_was_recorded() {
    for (name, _) in TRACES {
        let (exact, told) = (tell(name, &[]), tell(name, &[("replies", "3")]));
        assert_eq!(lost(&told.other), lost(&exact.recorded), "{name}");
        for wan in ["wan1", "wan2"] {
            let (other, recorded) = (turns(&told.other, wan), turns(&exact.recorded, wan));
            assert_eq!(other.len(), recorded.len(), "{name}");
            let near = |(a, b): (&(u64, State), &(u64, State))| a.1 == b.1 && a.0.abs_diff(b.0) < 10;
            assert!(other.iter().zip(&recorded).all(near), "{name} {wan}: {other:?} {recorded:?}");
        }
        let kinds = |changes: &[Change]| changes.iter().map(std::mem::discriminant).collect::<Vec<_>>();
        assert_eq!(kinds(&told.changes), kinds(&exact.changes), "{name}");
        assert_eq!(told.replayed.guessed, 0, "{name}");
    }
}

#[test]
fn what_if_more_answers_were_wanted() {
    let told = tell("idle-blackhole", &[("replies", "10")]);
    assert_eq!(turns(&told.other, "wan1"), [(61, Up), (2547, Down), (5608, Up)]);
    // While it flaps, WAN 1 never gives ten answers before the next break.
    let told = tell("flapping", &[("replies", "10")]);
    assert_eq!(lost(&told.other).len(), 1);
}

#[test]
fn what_if_the_rounds_were_slower() {
    let told = tell("idle-blackhole", &[("fast_interval", "400")]);
    assert_eq!(turns(&told.other, "wan1")[..2], [(61, Up), (2947, Down)]);
    assert_eq!(lost(&told.other), [("wan1", 10, 3, 800)]);
}

#[test]
fn what_if_a_wan_were_none() {
    let told = tell("idle-blackhole", &[("exclude", "wan1")]);
    assert!(
        told.other.iter().all(|(_, d)| d.name.as_ref().is_some_and(|n| n.as_str() == "wan2"))
            && !told.other.is_empty()
    );
    assert!(told.changes.iter().all(|c| !c.to_string().contains("198.18.1.")), "{:?}", told.changes);
}

#[test]
fn what_if_a_wan_were_a_backup() {
    let told = tell("idle-blackhole", &[("backup", "wan1")]);
    // It goes behind as soon as the other answers, and not again when it dies.
    let moved = told.changes.iter().filter(|c| matches!(c, Change::DeleteRoute(r) if !r.is_ours()));
    assert_eq!(moved.count(), 1);
    assert_eq!(turns(&told.other, "wan1"), [(61, Up), (2547, Down), (5208, Up)]);
}

#[test]
fn options_that_do_not_fit_are_named() {
    let text = TRACES[0].1.as_bytes();
    let options = [("lost".to_string(), vec!["99".to_string()])];
    let refused = replay(text, options::set, &options, &mut |_, _, _, _| {}).unwrap_err();
    assert_eq!(refused, "lost: '99' is not a number from 2 to 40");
}

#[test]
fn the_first_difference_is_told() {
    let text = TRACES[0].1.replacen("replies=3 ", "replies=4 ", 1);
    let replayed = replay(text.as_bytes(), options::set, &[], &mut |_, _, _, _| {}).unwrap();
    let difference = replayed.difference.unwrap();
    assert_eq!(difference.at.since(replayed.head.start).as_millis(), 5207);
    let (recorded, now) = (difference.recorded.unwrap(), difference.now.unwrap());
    assert!(recorded.contains(" wan1 down up recovered replies=4 "), "{recorded}");
    assert_eq!(now, recorded.replace("replies=4", "replies=3"));
    // One that was not recorded, though the trace goes on.
    let one = TRACES[0].1.lines().find(|line| line.contains(" recovered ")).unwrap();
    let text = TRACES[0].1.replacen(&format!("{one}\n"), "", 1);
    let replayed = replay(text.as_bytes(), options::set, &[], &mut |_, _, _, _| {}).unwrap();
    assert_eq!(replayed.difference.unwrap().recorded, None);
}
