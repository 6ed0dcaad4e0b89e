//! The status for Prometheus: its text exposition format, version 0.0.4. Base units, one family's samples
//! together, each labelled with the manager, since two halves may know the same WAN.

use std::fmt::Write;

use crate::wire::status::{ProxyServer, ProxyStatus, Status, WanStatus};

/// A number with so many decimal places.
struct Number(u64, u32);

impl std::fmt::Display for Number {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Number(n, places) = *self;
        let one = 10u64.pow(places);
        match places {
            0 => write!(f, "{n}"),
            _ => write!(f, "{}.{:0width$}", n / one, n % one, width = places as usize),
        }
    }
}

type OfManager = fn(&Status) -> Option<Number>;
type OfWan = fn(&WanStatus) -> Option<Number>;
type OfServer = fn(&ProxyServer) -> Option<Number>;

const MANAGER: [(&str, &str, OfManager); 3] = [
    ("manager_uptime_seconds", "How long the manager has been running.", |s| Some(Number(s.uptime_ms, 3))),
    ("limit_subflows", "Subflows that a connection may have beside its first.", |s| {
        Some(Number(s.limits.as_ref()?.subflows.into(), 0))
    }),
    ("limit_add_addr_accepted", "Announced addresses that the path manager follows.", |s| {
        Some(Number(s.limits.as_ref()?.add_addr_accepted.into(), 0))
    }),
];

const WAN: [(&str, &str, OfWan); 21] = [
    ("wan_up", "1 while the WAN is used: up or suspect.", |w| {
        Some(Number(u64::from(w.state == "up" || w.state == "suspect"), 0))
    }),
    ("wan_state_seconds", "For how long it has been in its state.", |w| Some(Number(w.since_ms, 3))),
    ("wan_rtt_seconds", "The last round-trip time.", |w| w.rtt_ms.map(milliseconds)),
    ("wan_rtt_average_seconds", "The average round-trip time.", |w| w.rtt_average_ms.map(milliseconds)),
    ("wan_loss_ratio", "Lost probes of the last 32.", |w| Some(Number(w.loss_percent.into(), 2))),
    ("wan_metric", "The metric of its best default route.", |w| Some(Number(w.metric?.into(), 0))),
    ("wan_endpoints", "Its MPTCP endpoints.", |w| Some(Number(w.endpoints.len() as u64, 0))),
    ("wan_backup", "1 if it is used only when no other lives.", |w| Some(Number(w.backup.into(), 0))),
    ("wan_metered", "1 if it is probed sparingly.", |w| Some(Number(w.metered.into(), 0))),
    ("wan_receive_bytes_total", "Bytes received since the device exists.", |w| Some(Number(w.rx_bytes, 0))),
    ("wan_transmit_bytes_total", "Bytes sent since the device exists.", |w| Some(Number(w.tx_bytes, 0))),
    ("wan_probes_sent_total", "Probes sent since the WAN was found.", |w| Some(Number(w.probes_sent, 0))),
    ("wan_probes_answered_total", "Those that were answered.", |w| Some(Number(w.probes_answered, 0))),
    ("wan_probe_transmit_bytes_total", "Bytes of IP sent for probes.", |w| Some(Number(w.probe_tx_bytes, 0))),
    ("wan_probe_receive_bytes_total", "Bytes of IP received for probes.", |w| {
        Some(Number(w.probe_rx_bytes, 0))
    }),
    ("wan_probe_month_bytes", "Bytes of probes, projected onto 30 days.", |w| {
        Some(Number(w.probe_bytes_month?, 0))
    }),
    ("wan_mptcp_passes", "1 if MPTCP passes on its way to the server.", |w| {
        Some(Number(u64::from(w.mptcp.as_ref()? == "passes"), 0))
    }),
    ("wan_mptcp_connections_total", "Connections that began there and are MPTCP.", |w| {
        Some(Number(w.mptcp_counts?.connections, 0))
    }),
    ("wan_mptcp_joins_total", "Subflows that joined a connection.", |w| {
        Some(Number(w.mptcp_counts?.joins, 0))
    }),
    ("wan_mptcp_joins_refused_total", "Those that were refused.", |w| {
        Some(Number(w.mptcp_counts?.joins_refused, 0))
    }),
    ("wan_table", "The routing table with its own default route.", |w| Some(Number(w.table.into(), 0))),
];

const STATES: [&str; 4] = ["testing", "up", "suspect", "down"];

const SERVER: [(&str, &str, OfServer); 3] = [
    ("proxy_server_up", "1 while it answers.", |s| match (s.silent_ms, s.rtt_ms) {
        // It was not asked yet.
        (None, None) => None,
        (silent, _) => Some(Number(silent.is_none().into(), 0)),
    }),
    ("proxy_server_in_use", "1 for the one that connections go to.", |s| Some(Number(s.in_use.into(), 0))),
    ("proxy_server_rtt_seconds", "How long it takes to connect, averaged.", |s| Some(Number(s.rtt_ms?, 3))),
];

const WAYS: [&str; 3] = ["server", "direct", "reject"];

/// All families; of no manager, `bsbf_up 0` alone, and of no proxy's client `bsbf_proxy_up 0`.
pub fn text(managers: &[Status], proxy: Option<&ProxyStatus>) -> String {
    let mut out = String::with_capacity(8192);
    of_proxy(&mut out, proxy);
    family(&mut out, "up", "1 if a manager runs.");
    sample(&mut out, "up", &[], &Number(u64::from(!managers.is_empty()), 0));
    if managers.is_empty() {
        return out;
    }
    family(&mut out, "manager_info", "What runs.");
    for status in managers {
        let pid = status.pid.to_string();
        let labels = [("manager", &*status.daemon), ("version", &status.software), ("pid", &pid)];
        sample(&mut out, "manager_info", &labels, &Number(1, 0));
    }
    for (name, help, of) in MANAGER {
        let mut family = Family { out: &mut out, name, help, begun: false };
        for status in managers {
            family.add(&[("manager", &status.daemon)], of(status));
        }
    }
    for (name, help, of) in WAN {
        let mut family = Family { out: &mut out, name, help, begun: false };
        for status in managers {
            for wan in &status.wans {
                family.add(&[("manager", &status.daemon), ("wan", &wan.name)], of(wan));
            }
        }
    }
    let help = "1 for the state that it is in.";
    let mut family = Family { out: &mut out, name: "wan_state", help, begun: false };
    for status in managers {
        for wan in &status.wans {
            for state in STATES {
                let labels = [("manager", &*status.daemon), ("wan", &wan.name), ("state", state)];
                family.add(&labels, Some(Number((wan.state == state).into(), 0)));
            }
        }
    }
    out
}

fn of_proxy(out: &mut String, proxy: Option<&ProxyStatus>) {
    family(out, "proxy_up", "1 if the proxy's client runs.");
    sample(out, "proxy_up", &[], &Number(proxy.is_some().into(), 0));
    let Some(proxy) = proxy else { return };
    family(out, "proxy_way", "1 for where the LAN's connections go.");
    for way in WAYS {
        sample(out, "proxy_way", &[("way", way)], &Number((proxy.way == way).into(), 0));
    }
    if let (Some(connections), Some(fallbacks)) = (proxy.connections, &proxy.fallbacks) {
        let name = "proxy_fallbacks_total";
        family(out, name, "Connections to servers that were to be MPTCP and came to be plain TCP.");
        for of in fallbacks {
            sample(out, name, &[("address", &of.address)], &Number(of.connections, 0));
        }
        family(out, "proxy_connections_total", "Connections to servers.");
        sample(out, "proxy_connections_total", &[], &Number(connections, 0));
    }
    for (name, help, by_server, direct) in [
        (
            "proxy_receive_bytes_total",
            "Bytes received for the LAN.",
            proxy.down_bytes,
            proxy.direct_down_bytes,
        ),
        ("proxy_transmit_bytes_total", "Bytes sent for the LAN.", proxy.up_bytes, proxy.direct_up_bytes),
    ] {
        family(out, name, help);
        for (way, bytes) in [("server", by_server), ("direct", direct)] {
            sample(out, name, &[("way", way)], &Number(bytes, 0));
        }
    }
    for (name, help, of) in SERVER {
        let mut family = Family { out, name, help, begun: false };
        for server in &proxy.servers {
            family.add(&[("server", &server.address)], of(server));
        }
    }
}

/// A family whose head is written with its first sample: what nobody knows has none.
struct Family<'a> {
    out: &'a mut String,
    name: &'a str,
    help: &'a str,
    begun: bool,
}

impl Family<'_> {
    fn add(&mut self, labels: &[(&str, &str)], value: Option<Number>) {
        let Some(value) = value else { return };
        if !self.begun {
            family(self.out, self.name, self.help);
            self.begun = true;
        }
        sample(self.out, self.name, labels, &value);
    }
}

/// The status has tenths of milliseconds.
fn milliseconds(ms: f64) -> Number {
    Number((ms * 10.0).round() as u64, 4)
}

fn family(out: &mut String, name: &str, help: &str) {
    let kind = if name.ends_with("_total") { "counter" } else { "gauge" };
    // Writing to a string does not fail, here and below.
    let _ = writeln!(out, "# HELP bsbf_{name} {help}\n# TYPE bsbf_{name} {kind}");
}

fn sample(out: &mut String, name: &str, labels: &[(&str, &str)], value: &Number) {
    let _ = write!(out, "bsbf_{name}");
    for (at, (label, value)) in labels.iter().enumerate() {
        let _ = write!(out, "{}{label}=\"", if at == 0 { '{' } else { ',' });
        for c in value.chars() {
            match c {
                '\n' => out.push_str("\\n"),
                '"' | '\\' => out.extend(['\\', c]),
                c => out.push(c),
            }
        }
        out.push('"');
    }
    let _ = writeln!(out, "{} {value}", if labels.is_empty() { "" } else { "}" });
}
