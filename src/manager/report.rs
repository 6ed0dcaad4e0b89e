//! What the manager tells people: changes in words, and the status.

use std::time::Duration;

use crate::types::{IfIndex, Time, millis};
use crate::wan::discover;
use crate::wan::liveness::State;
use crate::wan::mind::{Mind, Wan};
use crate::wan::mptcp::Mptcp;
use crate::wan::record::Decision;
use crate::wan::source_rules::Slot;
use crate::wan::subflows::Subflows;
use crate::wan::world::Change;
use crate::wire::mptcp_pm::{self, FLAG_BACKUP};
use crate::wire::rtnl::{Family, TABLE_MAIN};
use crate::wire::status::{
    EndpointStatus, EventStatus, LimitsStatus, MptcpCounts, Status, VERSION, WanStatus,
};

/// Moves of default routes and endpoints are what people look for; tables and rules follow from them.
pub fn level_of(change: &Change) -> log::Level {
    match change {
        Change::AddRoute(r) | Change::DeleteRoute(r) | Change::ReplaceRoute(r) if r.table != TABLE_MAIN => {
            log::Level::Debug
        }
        Change::AddRule(_) | Change::DeleteRule(_) | Change::Remember(_) => log::Level::Debug,
        _ => log::Level::Info,
    }
}

/// The WAN that a change concerns, as a prefix for what is told of it.
pub fn subject(change: &Change, mind: &Mind) -> String {
    let name = |index: IfIndex| {
        mind.world().links.iter().find(|l| l.index == index).map(|l| format!("{}: ", l.name))
    };
    change.index().and_then(name).unwrap_or_default()
}

/// Decisions that the status shows; all of them are in the record.
const EVENTS: usize = 10;
/// A projection onto 30 days needs at least this long.
const PROJECTABLE: Duration = Duration::from_secs(60);
/// No WAN is better than another in it.
const NO_MPTCP: &str = "no connection to the server is MPTCP: has it MPTCP at the port that 'server' names?";
const MONTH: Duration = Duration::from_secs(30 * 24 * 3600);

/// Everything the manager knows; it began at `began`.
pub fn status(
    daemon: &str,
    began: Time,
    mind: &Mind,
    subflows: &Subflows,
    mut notes: Vec<String>,
    now: Time,
) -> Status {
    if !mind.left_out().is_empty() {
        let names: Vec<&str> = mind.left_out().iter().map(|n| n.as_str()).collect();
        notes.push(format!("no place for {}: there are 8 WANs already", names.join(", ")));
    }
    if !mind.is_mptcp_known() && mind.wans().iter().any(|wan| wan.mptcp == Some(Mptcp::Stripped)) {
        notes.push(String::from(NO_MPTCP));
    }
    let event = |d: &Decision| EventStatus { ago_ms: millis(now.since(d.at)), text: d.to_string() };
    let mut events: Vec<EventStatus> = mind.record().iter().rev().take(EVENTS).map(event).collect();
    events.reverse();
    Status {
        version: VERSION,
        daemon: daemon.to_string(),
        software: env!("CARGO_PKG_VERSION").to_string(),
        pid: std::process::id(),
        uptime_ms: millis(now.since(began)),
        limits: mind
            .world()
            .limits
            .map(|l| LimitsStatus { subflows: l.subflows, add_addr_accepted: l.add_addr_accepted }),
        wans: mind.wans().iter().map(|wan| wan_status(wan, mind, subflows, now)).collect(),
        notes,
        events,
    }
}

fn wan_status(wan: &Wan, mind: &Mind, subflows: &Subflows, now: Time) -> WanStatus {
    let world = mind.world();
    let endpoints = world.endpoints.iter().flatten().filter(|e| e.index == Some(wan.index));
    let mut reason = wan.reason.to_string();
    if wan.liveness.state() == State::Suspect {
        reason = format!("{reason}; {} so far", wan.liveness.evidence(now));
    }
    if let Some(note) = &wan.note {
        reason = format!("{reason}; {note}");
    }
    if let Some(what) = mptcp_text(wan.mptcp, mind.is_mptcp_known()) {
        reason = format!("{reason}; {what}");
    }
    let addresses = || {
        let of = |family| mind.world().global_addresses(wan.index, family).map(|a| a.local);
        Family::BOTH.into_iter().flat_map(of)
    };
    let counts = subflows.counts(addresses());
    let ms = |d: Duration| (d.as_secs_f64() * 10_000.0).round() / 10.0;
    let (rx_rate, tx_rate) = wan.traffic.rates();
    let (rx_bytes, tx_bytes) = wan.traffic.totals();
    let (probes_sent, probes_answered) = wan.liveness.probe_counts();
    let (probe_tx_bytes, probe_rx_bytes) = wan.liveness.probe_bytes();
    let best = discover::best_default(world, wan.index);
    WanStatus {
        name: wan.name.to_string(),
        ifindex: wan.index.0,
        state: wan.liveness.state().as_str().to_string(),
        since_ms: millis(now.since(wan.liveness.since())),
        reason,
        rtt_ms: wan.liveness.rtt().last().map(ms),
        rtt_average_ms: wan.liveness.rtt().average().map(ms),
        loss_percent: wan.liveness.loss_percent(),
        metric: best.map(|r| r.metric.0),
        gateway: best.and_then(|r| r.gateway).map(|g| g.to_string()),
        addresses: addresses().map(|a| a.to_string()).collect(),
        metered: mind.is_metered(wan),
        backup: mind.is_backup(wan),
        load: wan.load(now).as_str().to_string(),
        table: Slot::table(wan.slot),
        endpoints: endpoints
            .map(|e| EndpointStatus {
                id: e.id.0.into(),
                address: e.address.to_string(),
                backup: e.flags & FLAG_BACKUP != 0,
                flags: mptcp_pm::flag_names(e.flags),
            })
            .collect(),
        mptcp: wan.mptcp.map(|found| found.word().to_string()),
        mptcp_counts: mind.settings().endpoints.then_some(MptcpCounts {
            connections: counts.begun,
            joins: counts.joined,
            joins_refused: counts.refused,
        }),
        rx_rate,
        tx_rate,
        rx_bytes,
        tx_bytes,
        probes_sent,
        probes_answered,
        probe_tx_bytes,
        probe_rx_bytes,
        probe_bytes_month: a_month(probe_tx_bytes + probe_rx_bytes, now.since(wan.found)),
    }
}

/// Said of a WAN on which it does not pass.
fn mptcp_text(found: Option<Mptcp>, passes_elsewhere: bool) -> Option<&'static str> {
    match (found?, passes_elsewhere) {
        (Mptcp::Dropped, _) => Some("MPTCP is dropped on its way"),
        (Mptcp::Stripped, true) => Some("MPTCP is stripped on its way: what begins here is plain TCP"),
        // It may be the server, which a note says.
        (Mptcp::Stripped, false) | (Mptcp::Passes, _) => None,
    }
}

fn a_month(bytes: u64, time: Duration) -> Option<u64> {
    (time >= PROJECTABLE).then(|| bytes.saturating_mul(MONTH.as_secs()) / time.as_secs())
}
