//! The table for people: a line of numbers for each WAN, and below it why it is in its state.

use super::times::{Times, ago, bits, bytes};
use crate::wire::status::{EndpointStatus, MptcpCounts, Status, WanStatus};

const HEAD: [&str; 12] = [
    "WAN",
    "STATE",
    "SINCE",
    "RTT",
    "AVERAGE",
    "LOSS",
    "METRIC",
    "DOWN",
    "UP",
    "PROBES",
    "A MONTH",
    "ENDPOINTS",
];

/// Everything that a manager tells.
pub fn status(status: &Status, times: &Times) -> String {
    let mut lines = vec![head(status)];
    for (at, line) in wans(status).into_iter().enumerate() {
        lines.push(line);
        if let Some(wan) = at.checked_sub(1).and_then(|at| status.wans.get(at)) {
            lines.extend(extra_endpoints(wan));
            lines.push(why(wan));
            lines.extend(mptcp(wan));
        }
    }
    lines.extend(status.notes.iter().map(|note| format!("note: {note}")));
    if !status.events.is_empty() {
        lines.push(String::new());
        lines.extend(events(status, times));
    }
    lines.join("\n") + "\n"
}

/// The line about the manager itself.
pub fn head(status: &Status) -> String {
    let limits = match &status.limits {
        Some(limits) => {
            format!("limits: {} subflows, {} announced addresses", limits.subflows, limits.add_addr_accepted)
        }
        None => "no limits".to_string(),
    };
    let (name, software, pid) = (&status.daemon, &status.software, status.pid);
    format!("bsbf-{name} {software}, pid {pid}, up {}; {limits}", ago(status.uptime_ms))
}

/// The head of the table and a line for each WAN.
pub fn wans(status: &Status) -> Vec<String> {
    let head = HEAD.map(String::from);
    columns(std::iter::once(head).chain(status.wans.iter().map(row)).map(Vec::from).collect())
}

/// The last decisions with their local times.
pub fn events(status: &Status, times: &Times) -> Vec<String> {
    times.lines(status.events.iter().map(|e| (times.wall_ago(e.ago_ms), e.text.clone())))
}

/// Why a WAN is in its state, and what it is besides.
pub fn why(wan: &WanStatus) -> String {
    let kinds = [(wan.backup, ", backup"), (wan.metered, ", metered")];
    let kinds: String = kinds.into_iter().filter(|(is, _)| *is).map(|(_, word)| word).collect();
    format!("  {}{kinds}", wan.reason)
}

/// What became of MPTCP on it, if anything did.
fn mptcp(wan: &WanStatus) -> Option<String> {
    let MptcpCounts { connections, joins, joins_refused } =
        wan.mptcp_counts.filter(|counts| *counts != MptcpCounts::default())?;
    let [connections, joins, refused] = [connections, joins, joins_refused].map(|count| count.to_string());
    Some(["  MPTCP: ", &connections, " begun here, ", &joins, " joined, ", &refused, " refused"].concat())
}

fn row(wan: &WanStatus) -> [String; 12] {
    let ms = |ms: Option<f64>| {
        let tenths = ms.map(|ms| (ms * 10.0).round() as u64);
        tenths.map_or_else(none, |t| format!("{}.{} ms", t / 10, t % 10))
    };
    [
        wan.name.clone(),
        wan.state.clone(),
        ago(wan.since_ms),
        ms(wan.rtt_ms),
        ms(wan.rtt_average_ms),
        format!("{} %", wan.loss_percent),
        wan.metric.map_or_else(none, |m| m.to_string()),
        bits(wan.rx_rate),
        bits(wan.tx_rate),
        bytes(wan.probe_tx_bytes.saturating_add(wan.probe_rx_bytes)),
        wan.probe_bytes_month.map_or_else(none, bytes),
        wan.endpoints.first().map_or_else(none, endpoint),
    ]
}

/// What is not known.
fn none() -> String {
    "-".to_string()
}

/// A WAN with IPv6 has two.
fn extra_endpoints(wan: &WanStatus) -> impl Iterator<Item = String> {
    wan.endpoints.iter().skip(1).map(|e| format!("  endpoint {}", endpoint(e)))
}

/// Number, address and flags.
pub fn endpoint(e: &EndpointStatus) -> String {
    format!("{} {} {}", e.id, e.address, e.flags.join(","))
}

/// Rows with their columns below each other.
pub fn columns(rows: Vec<Vec<String>>) -> Vec<String> {
    let mut widths: Vec<usize> = Vec::new();
    for row in &rows {
        widths.resize(widths.len().max(row.len()), 0);
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |row: &Vec<String>| {
        let cells: String =
            row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:width$}  ")).collect();
        cells.trim_end().to_string()
    };
    rows.iter().map(line).collect()
}
