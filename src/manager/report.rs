//! What the manager tells people: changes in words, and the status.

use std::time::Duration;

use crate::types::{IfIndex, Time};
use crate::wan::discover;
use crate::wan::liveness::State;
use crate::wan::mind::{Mind, Wan};
use crate::wan::source_rules::Slot;
use crate::wan::world::Change;
use crate::wire::mptcp_pm::FLAG_BACKUP;
use crate::wire::rtnl::TABLE_MAIN;
use crate::wire::status::{EndpointStatus, EventStatus, Status, VERSION, WanStatus};

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

/// Everything the manager knows.
pub fn status(daemon: &str, mind: &Mind, mut notes: Vec<String>, now: Time) -> Status {
    if !mind.left_out().is_empty() {
        let names: Vec<&str> = mind.left_out().iter().map(|n| n.as_str()).collect();
        notes.push(format!("no place for {}: there are 8 WANs already", names.join(", ")));
    }
    Status {
        version: VERSION,
        daemon: daemon.to_string(),
        wans: mind.wans().iter().map(|wan| wan_status(wan, mind, now)).collect(),
        notes,
        events: mind
            .record()
            .iter()
            .map(|d| EventStatus { ago_ms: millis(now.since(d.at)), text: d.to_string() })
            .collect(),
    }
}

fn wan_status(wan: &Wan, mind: &Mind, now: Time) -> WanStatus {
    let world = mind.world();
    let endpoints = world.endpoints.iter().flatten().filter(|e| e.index == Some(wan.index));
    let mut reason = mind.record().last_of(&wan.name).map_or(String::new(), |d| d.reason.to_string());
    if wan.liveness.state() == State::Suspect {
        let evidence = wan.liveness.evidence(now);
        let (lost, seconds) = (evidence.lost, evidence.span.as_secs_f64());
        reason = format!(
            "{reason}; {lost} probes lost in {seconds:.1} s so far, no other WAN vouches for the world"
        );
    }
    if let Some(note) = &wan.note {
        reason = format!("{reason}; {note}");
    }
    let ms = |d: Duration| (d.as_secs_f64() * 10_000.0).round() / 10.0;
    let (rx_rate, tx_rate) = wan.traffic.rates();
    let (rx_bytes, tx_bytes) = wan.traffic.totals();
    WanStatus {
        name: wan.name.to_string(),
        ifindex: wan.index.0,
        state: wan.liveness.state().as_str().to_string(),
        since_ms: millis(now.since(wan.liveness.since())),
        reason,
        rtt_ms: wan.liveness.rtt().last().map(ms),
        rtt_average_ms: wan.liveness.rtt().average().map(ms),
        loss_percent: wan.liveness.loss_percent(),
        metric: discover::best_metric(world, wan.index).map(|m| m.0),
        table: Slot::table(wan.slot),
        endpoints: endpoints
            .map(|e| EndpointStatus {
                id: e.id.0.into(),
                address: e.address.to_string(),
                backup: e.flags & FLAG_BACKUP != 0,
            })
            .collect(),
        rx_rate,
        tx_rate,
        rx_bytes,
        tx_bytes,
    }
}

fn millis(d: Duration) -> u64 {
    u64::try_from(d.as_millis()).unwrap_or(u64::MAX)
}
