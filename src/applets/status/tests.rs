use miniserde::json::{self, Number, Value};

use super::*;
use crate::testing::ModelKernel;
use crate::types::{IfIndex, Time};
use crate::wan::record::Record;
use crate::wan::world::Change;
use crate::wire::mptcp_pm::{Endpoint, FLAG_SUBFLOW};
use crate::wire::status::{EndpointStatus, EventStatus, LimitsStatus, MptcpCounts, WanStatus};

mod proxy;

/// 2026-11-22 14:03:20 UTC, an hour after boot.
const TIMES: Times = Times { now: Time(3_600_000_000), wall: 1_795_356_200_000_000, offset: |_| 0 };

/// As a manager wrote it: two runs, and a WAN that was lost 12.6 s ago.
const RECORD: &str = "\
1000000 - testing testing started
1100000 wan1 testing testing found
1100000 wan2 testing testing found
1130000 wan1 testing up answered rtt_us=30000 | added=1 took_us=210
1161000 wan2 testing up answered rtt_us=61000 | added=1 took_us=190
9000000 - testing testing ended
3000000000 - testing testing started
3000100000 wan1 testing testing found
3000100000 wan2 testing testing found
3000130000 wan1 testing up answered rtt_us=30123 | added=1 took_us=211
3000161000 wan2 testing up answered rtt_us=61456 | added=1 took_us=193
3586600000 wan2 suspect suspect no-witness lost=18 sent=20 targets=3 span_us=2100000 covers_us=2000000 sent_bytes=1400 \
received_bytes=0
3587400000 wan2 suspect down lost lost=8 sent=9 targets=3 span_us=812345 covers_us=700000 sent_bytes=12345 \
received_bytes=67 rtt_us=61456 witness=wan1 | routes=1 removed=1 took_us=3104
torn wan2 down
";

fn told() -> Vec<why::Told> {
    vec![why::Told { manager: "bond", record: Record::from_text(RECORD, TIMES.now) }]
}

fn field<'a>(value: &'a Value, path: &str) -> &'a Value {
    path.split('.').fold(value, |value, key| match value {
        Value::Object(object) => object.get(key).unwrap_or_else(|| panic!("no {key} of {path}")),
        Value::Array(array) => &array[key.parse::<usize>().unwrap()],
        _ => panic!("nothing below {key} of {path}"),
    })
}

fn number(value: &Value, path: &str) -> f64 {
    match field(value, path) {
        Value::Number(Number::U64(n)) => *n as f64,
        Value::Number(Number::I64(n)) => *n as f64,
        Value::Number(Number::F64(n)) => *n,
        other => panic!("{path} is {other:?}"),
    }
}

fn text<'a>(value: &'a Value, path: &str) -> &'a str {
    match field(value, path) {
        Value::String(text) => text,
        other => panic!("{path} is {other:?}"),
    }
}

fn length(value: &Value, path: &str) -> usize {
    match field(value, path) {
        Value::Array(array) => array.len(),
        other => panic!("{path} is {other:?}"),
    }
}

fn answer(wan: Option<&str>, at: Option<&str>, count: usize) -> Value {
    let wan = wan.map(|wan| wan.parse().unwrap());
    let at = at.map(|at| why::time(at, &TIMES).unwrap());
    let question = why::Asked { wan: wan.as_ref(), at, count };
    let why = why::answer(&question, &told(), &[], &TIMES, false);
    json::from_str(&json::to_string(&why)).unwrap()
}

#[test]
fn the_numbers_of_a_decision_are_those_recorded() {
    let why = answer(Some("wan2"), None, 1);
    assert_eq!((number(&why, "version"), length(&why, "decisions")), (2.0, 1));
    for (path, wanted) in [
        ("ago_ms", 12_600.0),
        ("values.lost", 8.0),
        ("values.sent", 9.0),
        ("values.targets", 3.0),
        ("values.span_us", 812_345.0),
        ("values.covers_us", 700_000.0),
        ("values.sent_bytes", 12_345.0),
        ("values.received_bytes", 67.0),
        ("values.rtt_us", 61_456.0),
        ("outcome.routes", 1.0),
        ("outcome.removed", 1.0),
        ("outcome.added", 0.0),
        ("outcome.took_us", 3_104.0),
        ("time", 1_795_356_187.4),
    ] {
        assert_eq!(number(&why, &format!("decisions.0.{path}")), wanted, "{path}");
    }
    for (path, wanted) in [
        ("wan", "wan2"),
        ("from", "suspect"),
        ("to", "down"),
        ("kind", "lost"),
        ("witness", "wan1"),
        ("manager", "bond"),
    ] {
        assert_eq!(text(&why, &format!("decisions.0.{path}")), wanted);
    }
}

#[test]
fn a_wans_decisions_stand_among_the_managers_own() {
    let why = answer(Some("wan1"), None, 100);
    let kinds: Vec<&str> =
        (0..length(&why, "decisions")).map(|n| text(&why, &format!("decisions.{n}.kind"))).collect();
    assert_eq!(kinds, ["started", "found", "answered", "ended", "started", "found", "answered"]);
    assert!(matches!(field(&why, "decisions.0.wan"), Value::Null));
    assert_eq!(length(&answer(None, None, 5), "decisions"), 5);
}

#[test]
fn a_state_is_what_was_decided_last_before_that_time() {
    for (at, wan, state, since) in [
        // The record has no word of the suspicion's begin, but for how long nobody vouched.
        ("14:03:07.3", "wan2", "suspect", 1_795_356_184.5),
        ("14:03:07.4", "wan2", "down", 1_795_356_187.4),
        ("-1s", "wan2", "down", 1_795_356_187.4),
        ("-1s", "wan1", "up", 1_795_355_600.13),
        ("14:03", "wan2", "up", 1_795_355_600.161),
        // Between two managers there is none, whatever the first one thought.
        ("-50m", "wan1", "unmanaged", 1_795_352_609.0),
        ("2026-11-22 13:03:25", "wan1", "up", 1_795_352_601.13),
    ] {
        let why = answer(Some(wan), Some(at), 0);
        assert_eq!(length(&why, "states"), 1);
        assert_eq!((text(&why, "states.0.wan"), text(&why, "states.0.state")), (wan, state), "{at}");
        assert_eq!(number(&why, "states.0.since"), since, "{at}");
    }
    let before = answer(None, Some("-1h"), 0);
    assert_eq!((length(&before, "states"), text(&before, "states.0.state")), (2, "unmanaged"));
    assert!(matches!(field(&before, "states.0.since"), Value::Null));
    // Half a minute to both sides.
    assert_eq!(length(&answer(None, Some("14:03"), 0), "decisions"), 2);
    assert_eq!(length(&answer(None, Some("14:02"), 0), "decisions"), 0);
}

/// The state of a WAN five minutes ago, by a record and by the manager, if it runs.
fn five_minutes_ago(record: &str, wans: Vec<WanStatus>) -> (String, Option<f64>) {
    let told = [why::Told { manager: "bond", record: Record::from_text(record, TIMES.now) }];
    let name = "wan1".parse().unwrap();
    let question = why::Asked { wan: Some(&name), at: Some(Time(3_300_000_000)), count: 0 };
    let manager = Status { wans, ..status("bond", &[]) };
    let mut states = why::answer(&question, &told, &[manager], &TIMES, true).states;
    assert_eq!(states.len(), 1);
    let state = states.remove(0);
    (state.state, state.since)
}

#[test]
fn a_wan_that_others_pushed_out_of_the_record_has_a_state_all_the_same() {
    let changed_since = "3400000000 wan1 up down no-carrier\n";
    assert_eq!(five_minutes_ago(changed_since, Vec::new()), ("up".into(), None));
    let found_since = "3400000000 wan1 testing testing found\n";
    assert_eq!(five_minutes_ago(found_since, Vec::new()), ("unmanaged".into(), None));
    let of = |since_ms| vec![WanStatus { since_ms, ..wan("wan1") }];
    assert_eq!(five_minutes_ago("", of(400_000)), ("up".into(), Some(1_795_355_800.0)));
    assert_eq!(five_minutes_ago("", of(200_000)), ("unknown".into(), None));
}

#[test]
fn what_was_followed_again_and_again_is_found_at_its_last_time() {
    let text = "1000000 - testing testing started\n\
        100000000 - testing testing followed times=40 span_us=3190000000 | added=40 took_us=300\n";
    let told = [why::Told { manager: "bond", record: Record::from_text(text, TIMES.now) }];
    let found = |at| {
        let question = why::Asked { wan: None, at: Some(Time(at)), count: 0 };
        why::answer(&question, &told, &[], &TIMES, false).decisions.len()
    };
    assert_eq!([3_300_000_000, 3_330_000_000, 60_000_000].map(found), [1, 0, 0]);
}

#[test]
fn times_that_make_no_sense_are_refused() {
    for (at, said) in [
        ("soon", "14:03:07.4"),
        ("2026-11-22 14:04", "lies ahead"),
        ("14:04", "last boot"),
        ("-61m", "last boot"),
    ] {
        assert!(why::time(at, &TIMES).is_err_and(|e| e.contains(said)), "{at}");
    }
}

#[test]
fn of_two_halves_each_decision_names_its_own() {
    let mut told = told();
    told.push(why::Told { manager: "mptcp", record: Record::from_text("5 wan1 up down gone\n", TIMES.now) });
    let question = why::Asked { wan: None, at: None, count: 100 };
    let why = why::answer(&question, &told, &[], &TIMES, false);
    assert_eq!(why.decisions.first().map(|d| (d.manager.as_str(), d.kind)), Some(("mptcp", "gone")));
    assert!(why::text(&why, None, &TIMES).contains("bsbf-mptcp: wan1: up -> down"));
}

fn wan(name: &str) -> WanStatus {
    WanStatus {
        name: name.to_string(),
        ifindex: 11,
        state: "up".into(),
        since_ms: 61_500,
        reason: "answered after 30 ms".into(),
        rtt_ms: Some(30.1),
        rtt_average_ms: Some(31.25),
        loss_percent: 3,
        metric: Some(9),
        gateway: Some("198.18.1.1".into()),
        addresses: vec!["198.18.1.2".into()],
        metered: true,
        backup: false,
        load: "quiet".into(),
        table: 5201,
        endpoints: [1, 2].map(endpoint).to_vec(),
        mptcp: Some("passes".into()),
        mptcp_counts: Some(MptcpCounts { connections: 40, joins: 38, joins_refused: 1 }),
        rx_rate: 11_762_500,
        tx_rate: 40_000,
        rx_bytes: 123_456_789_012,
        tx_bytes: 7,
        probes_sent: 62,
        probes_answered: 60,
        probe_tx_bytes: 2_232,
        probe_rx_bytes: 2_160,
        probe_bytes_month: None,
    }
}

fn endpoint(id: u32) -> EndpointStatus {
    let flags = vec!["subflow".to_string(), "backup".to_string()];
    EndpointStatus { id, address: format!("198.18.1.{id}"), backup: true, flags }
}

fn status(daemon: &str, wans: &[&str]) -> Status {
    Status {
        version: VERSION,
        daemon: daemon.into(),
        software: "0.1.0".into(),
        pid: 42,
        uptime_ms: 7_200_500,
        limits: Some(LimitsStatus { subflows: 8, add_addr_accepted: 2 }),
        wans: wans.iter().map(|name| wan(name)).collect(),
        notes: vec!["mwan3 runs".into()],
        events: vec![EventStatus { ago_ms: 12_600, text: "wan1: up -> down (gone)".into() }],
    }
}

#[test]
fn the_table_has_everything_within_120_columns() {
    let shown = table::status(&status("bond", &["wan1", "wwan0"]), &TIMES);
    for part in [
        "bsbf-bond 0.1.0, pid 42, up 2 h",
        "8 subflows, 2 announced",
        "61 s",
        "30.1 ms",
        "3 %",
        "94.1 Mbps",
        "320.0 kbps",
        "4.3 kB",
        "1 198.18.1.1 subflow,backup",
        "endpoint 2 198.18.1.2 subflow,backup",
        "answered after 30 ms, metered",
        "note: mwan3 runs",
        "14:03:07.4  wan1: up -> down (gone)",
    ] {
        assert!(shown.contains(part), "no {part:?} in\n{shown}");
    }
    let widest = shown.lines().map(|line| line.chars().count()).max();
    assert!(widest <= Some(120), "{widest:?} columns:\n{shown}");
}

fn keeps_to_the_format(shown: &str) {
    let mut families: Vec<&str> = Vec::new();
    for line in shown.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            families.push(help.split(' ').next().unwrap());
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            assert_eq!(families.last(), Some(&name));
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
        } else {
            // Samples of one family stand together below its head.
            let name = line.split(['{', ' ']).next().unwrap();
            assert_eq!(families.last(), Some(&name), "{line}");
            assert!(line.rsplit(' ').next().unwrap().parse::<f64>().is_ok(), "{line}");
        }
    }
    let mut once = families.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!(once.len(), families.len(), "a family appears twice");
}

#[test]
fn metrics_keep_to_the_exposition_format() {
    let shown = prometheus::text(&[status("route", &["wan\"1\\"]), status("mptcp", &["wan2"])], None);
    keeps_to_the_format(&shown);
    for line in [
        "bsbf_up 1",
        "bsbf_manager_info{manager=\"route\",version=\"0.1.0\",pid=\"42\"} 1",
        "bsbf_manager_uptime_seconds{manager=\"mptcp\"} 7200.500",
        "bsbf_wan_rtt_seconds{manager=\"mptcp\",wan=\"wan2\"} 0.0301",
        "bsbf_wan_loss_ratio{manager=\"route\",wan=\"wan\\\"1\\\\\"} 0.03",
        "bsbf_wan_receive_bytes_total{manager=\"mptcp\",wan=\"wan2\"} 123456789012",
        "bsbf_wan_state{manager=\"mptcp\",wan=\"wan2\",state=\"up\"} 1",
        "bsbf_wan_state{manager=\"mptcp\",wan=\"wan2\",state=\"down\"} 0",
        "bsbf_wan_state_seconds{manager=\"mptcp\",wan=\"wan2\"} 61.500",
        "bsbf_wan_mptcp_passes{manager=\"mptcp\",wan=\"wan2\"} 1",
        "bsbf_wan_mptcp_joins_refused_total{manager=\"mptcp\",wan=\"wan2\"} 1",
    ] {
        assert!(shown.lines().any(|l| l == line), "no {line} in\n{shown}");
    }
    // What is not known is left out.
    assert!(!shown.contains("month_bytes"));
    assert_eq!(prometheus::text(&[], None).lines().last(), Some("bsbf_up 0"));
}

#[test]
fn without_a_manager_the_kernels_state_is_shown() {
    let mut kernel = ModelKernel::with_wans(&[IfIndex(1), IfIndex(2)]);
    kernel.world.links[1].carrier = false;
    kernel.apply(&Change::AddEndpoint(Endpoint {
        id: crate::types::EndpointId(0),
        address: "192.0.1.2".parse().unwrap(),
        index: Some(IfIndex(1)),
        flags: FLAG_SUBFLOW,
    }));
    let system = alone::system(&kernel.world);
    assert_eq!(system.devices.len(), 2);
    assert_eq!(system.devices[0].endpoints.len(), 1);
    assert!(system.devices[0].carrier && !system.devices[1].carrier);
    assert_eq!((system.devices[1].routes[0].metric, system.devices[1].routes[0].protocol), (2, 4));
    let shown = alone::text(&system);
    for part in [
        "limits: 2 subflows",
        "wan1: up  192.0.1.2\n  IPv4 default via 192.0.1.1 src 192.0.1.2 metric 1 proto static\n  endpoint 1 192.0.1.2 subflow",
        "wan2: no carrier",
    ] {
        assert!(shown.contains(part), "no {part:?} in\n{shown}");
    }
    let all = Shown { version: VERSION, time: 1.5, managers: &[], system: Some(system), proxy: None };
    let all: Value = json::from_str(&json::to_string(&all)).unwrap();
    assert_eq!((number(&all, "time"), length(&all, "managers")), (1.5, 0));
    assert_eq!(text(&all, "system.devices.1.routes.0.gateway"), "192.0.2.1");
}

#[test]
fn conflicting_forms_are_usage_errors() {
    for arguments in [
        &["--json", "--prometheus"][..],
        &["--watch", "--json"],
        &["--debug-report", "--watch"],
        &["--interval", "2"],
        &["--config", "x"],
        &["--watch", "why"],
        &["--prometheus", "why"],
        &["why", "--at", "soon"],
        &["why", "--at", "-5m", "--count", "3"],
        &["why", "a/b"],
        &["when"],
        &["--watch", "--interval", "0.1"],
    ] {
        let code = applet::with_args("bsbf-status", arguments, run).unwrap_or_else(|e| e.exit);
        assert_eq!(code, EXIT_USAGE, "{arguments:?}");
    }
}
