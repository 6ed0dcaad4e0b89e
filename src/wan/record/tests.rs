use proptest::prelude::*;

use super::super::liveness::{Evidence, Obstacle};
use super::super::mptcp::Mptcp;
use super::*;
use crate::testing::netifd_default;
use crate::wire::mptcp_pm::Endpoint;

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn name(text: &str) -> IfName {
    text.parse().unwrap()
}

/// A WAN that was lost, with numbers of the size that they have in the field.
fn lost(at: u64) -> Decision {
    let evidence = Evidence { lost: 12, sent: 14, targets: 4, span: ms(1_812), covers: ms(1_700) };
    Decision {
        at: Time(at),
        name: Some(name("usb-wan-modem-1")),
        from: State::Suspect,
        to: State::Down,
        reason: Reason::Lost {
            evidence,
            carried: Carried { sent: 1_234_567, received: 1_234 },
            rtt: Some(ms(141)),
            witness: name("usb-wan-modem-2"),
        },
        outcome: Outcome { routes: 2, removed: 1, took: Duration::from_micros(3_456), ..Outcome::default() },
    }
}

fn reasons() -> Vec<Reason> {
    let evidence = Evidence { lost: 6, sent: 8, targets: 3, span: ms(812), covers: ms(700) };
    let carried = Carried { sent: 12_345, received: 0 };
    let witness = name("wan2");
    let mut all = vec![
        Reason::Started,
        Reason::Ended,
        Reason::Reloaded,
        Reason::Followed { times: 3, span: ms(1_500) },
        Reason::Found,
        Reason::Answered { rtt: ms(20) },
        Reason::Missing { rtt: ms(20) },
        Reason::Cleared { rtt: ms(20), lasted: ms(30_000) },
        Reason::Lost { evidence, carried, rtt: None, witness: witness.clone() },
        Reason::Lost { evidence, carried, rtt: Some(ms(41)), witness: witness.clone() },
        Reason::NoWitness { evidence, carried },
        Reason::Unblocked,
        Reason::Recovered { replies: 3, lasted: ms(8_000) },
        Reason::HeldDown { flaps: 3, hold: ms(10_000) },
        Reason::ServerLost { witness },
        Reason::ServerBack,
        Reason::MadeBackup { rtt: ms(600), best: ms(20) },
        Reason::NoBackup,
        Reason::Mptcp(None),
        Reason::Mptcp(Some(Mptcp::Passes)),
        Reason::Mptcp(Some(Mptcp::Stripped)),
        Reason::Mptcp(Some(Mptcp::Dropped)),
        Reason::Excluded,
        Reason::Forgotten,
        Reason::NoPlace,
    ];
    let obstacles = ["gone", "admin-down", "no-carrier", "no-address", "no-default", "released"];
    all.extend(obstacles.map(|word| Reason::Blocked(Obstacle::from_word(word).unwrap())));
    all
}

#[test]
fn every_kind_of_decision_reads_back_from_its_line() {
    for reason in reasons() {
        let decision = Decision { reason, ..lost(7) };
        assert_eq!(Decision::from_line(decision.to_line().trim_end()), Some(decision));
    }
    let manager = Decision { name: None, reason: Reason::Started, outcome: Outcome::default(), ..lost(7) };
    assert_eq!(manager.to_line(), "7 - suspect down started\n");
    assert_eq!(Decision::from_line("7 - suspect down started"), Some(manager));
}

#[test]
fn words_carry_the_numbers() {
    let text = Decision { name: Some(name("wan1")), ..lost(7) }.to_string();
    for part in [
        "wan1: suspect -> down",
        "12 of 14 probes to 4 targets lost in 1.8 s",
        "RTT 141 ms before",
        "1.2 MB sent",
        "1.2 kB received",
        "usb-wan-modem-2 answered",
        "2 default routes moved, 1 endpoint removed in 3.4 ms",
    ] {
        assert!(text.contains(part), "no {part:?} in {text:?}");
    }
}

#[test]
fn a_full_record_and_its_copy_stay_within_256_kib() {
    const { assert!(KEPT >= 1000) };
    let memory = KEPT * size_of::<Decision>();
    assert!(memory <= 256 * 1024, "{memory} bytes of memory");
    let mut record = Record::default();
    // The line is as long as it gets after years without a reboot.
    (0..3_000).for_each(|n| record.keep(lost(200_000_000_000_000 + n)));
    assert_eq!(record.iter().count(), KEPT);
    let text = record.to_text();
    assert!(text.len() <= REWRITTEN, "{} bytes", text.len());
    let again = Record::from_text(&text, Time(u64::MAX));
    assert!(again.iter().eq(record.iter()), "{} of {KEPT} fit", again.iter().count());
}

#[test]
fn a_torn_file_and_one_from_before_a_reboot_are_read_as_far_as_they_go() {
    let text = format!("{}rubbish\n{}{}", lost(5).to_line(), lost(900).to_line(), &lost(6).to_line()[..40]);
    assert!(Record::from_text(&text, Time(100)).iter().eq([&lost(5)]));
}

fn changes(index: u32) -> Vec<(Change, bool)> {
    let route = netifd_default(IfIndex(index));
    let endpoint = Endpoint {
        id: crate::types::EndpointId(1),
        address: "192.0.2.1".parse().unwrap(),
        index: Some(IfIndex(index)),
        flags: 2,
    };
    vec![
        (Change::AddRoute(route.clone()), true),
        (Change::DeleteRoute(route), true),
        (Change::DeleteEndpoint(endpoint), true),
    ]
}

fn conclude(record: &mut Record, at: u64, changes: &[(Change, bool)]) -> Vec<String> {
    let name_of = |index: IfIndex| format!("wan{}", index.0).parse().ok();
    record.conclude(Time(at), changes, ms(3), name_of).map(Decision::to_string).collect()
}

#[test]
fn outcomes_go_to_the_wans_that_they_concern() {
    let mut record = Record::default();
    let of = |wan: &str| Decision { name: Some(name(wan)), outcome: Outcome::default(), ..lost(7) };
    record.keep(of("wan1"));
    record.keep(of("wan2"));
    record.keep(of("wan3"));
    let all: Vec<_> = changes(1).into_iter().chain([(changes(2).remove(0).0, false)]).collect();
    assert_eq!(conclude(&mut record, 7, &all).len(), 3);
    let outcomes: Vec<Outcome> = record.iter().map(|d| d.outcome).collect();
    let moved = Outcome { routes: 1, removed: 1, took: ms(3), ..Outcome::default() };
    let refused = Outcome { failed: 1, took: ms(3), ..Outcome::default() };
    assert_eq!(outcomes, [moved, refused, Outcome::default()]);
}

#[test]
fn a_fight_over_routes_is_one_decision() {
    let mut record = Record::default();
    record.keep(lost(1));
    conclude(&mut record, 1, &[]);
    for n in 0..50 {
        assert_eq!(conclude(&mut record, 1_000_000 + n * 100_000, &changes(1)).len(), 1);
    }
    let last = record.iter().next_back().unwrap();
    assert_eq!(last.reason, Reason::Followed { times: 50, span: ms(4_900) });
    assert_eq!((last.outcome.routes, record.iter().count()), (50, 2));
    // As written down: a line for each, of which the last counts.
    let text = format!("{}{}", record.to_text(), last.to_line());
    assert_eq!(Record::from_text(&text, Time(u64::MAX)).iter().count(), 2);
}

#[test]
fn what_nobody_would_look_for_is_not_kept() {
    let mut record = Record::default();
    assert!(conclude(&mut record, 1, &[(Change::Remember(Default::default()), true)]).is_empty());
    let cleared = |lasted| Decision { reason: Reason::Cleared { rtt: ms(20), lasted }, ..lost(1) };
    assert!(cleared(ms(1_999)).is_routine() && !cleared(ms(2_000)).is_routine());
}

proptest! {
    #[test]
    fn any_line_is_read_without_panic(line in "([0-9]{1,20} )?(wan1 |- )?(up )?(down )?[a-z=|0-9 _-]{0,80}") {
        if let Some(decision) = Decision::from_line(&line) {
            prop_assert_eq!(Decision::from_line(decision.to_line().trim_end()), Some(decision));
        }
    }
}
