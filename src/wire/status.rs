//! What a manager tells over its socket: one JSON object, its `version` raised when a field changes its meaning.
//! New fields may come at any time.

use miniserde::{Deserialize, Serialize, json};

use super::Malformed;

/// The version of this schema.
pub const VERSION: u32 = 2;

/// Everything a manager tells.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The schema's version.
    pub version: u32,
    /// "bond", "route" or "mptcp".
    pub daemon: String,
    /// The version of the program.
    pub software: String,
    /// Its process.
    pub pid: u32,
    /// For how long it has been running, in milliseconds.
    pub uptime_ms: u64,
    /// The limits of the kernel's path manager, if it has one.
    pub limits: Option<LimitsStatus>,
    /// The WANs, in the order in which they were found.
    pub wans: Vec<WanStatus>,
    /// What concerns no WAN alone: a missing capability of the kernel, devices left out.
    pub notes: Vec<String>,
    /// The last decisions, oldest first.
    pub events: Vec<EventStatus>,
}

/// Limits of the path manager.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LimitsStatus {
    /// Subflows that a connection may have beside its first.
    pub subflows: u32,
    /// Announced addresses that it follows.
    pub add_addr_accepted: u32,
}

/// One WAN.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WanStatus {
    /// The device's name.
    pub name: String,
    /// Its number, now or when it was there last.
    pub ifindex: u32,
    /// "testing", "up", "suspect" or "down".
    pub state: String,
    /// For how long, in milliseconds.
    pub since_ms: u64,
    /// Why, in words.
    pub reason: String,
    /// The last round-trip time in milliseconds.
    pub rtt_ms: Option<f64>,
    /// The average round-trip time in milliseconds.
    pub rtt_average_ms: Option<f64>,
    /// Lost probes of the last 32, in percent.
    pub loss_percent: u32,
    /// The metric of its best default route in the main table.
    pub metric: Option<u32>,
    /// The gateway of that route.
    pub gateway: Option<String>,
    /// Its addresses that reach beyond the link, without prefix lengths.
    pub addresses: Vec<String>,
    /// Probed sparingly.
    pub metered: bool,
    /// Used only when no other lives.
    pub backup: bool,
    /// What its traffic is like: "quiet", "receiving", "pausing", "sending", "sending-known", "silent".
    pub load: String,
    /// The table with its own default route.
    pub table: u32,
    /// Its MPTCP endpoints.
    pub endpoints: Vec<EndpointStatus>,
    /// Bytes per second received, averaged over half a second.
    pub rx_rate: u64,
    /// Bytes per second sent.
    pub tx_rate: u64,
    /// Bytes received since the device exists.
    pub rx_bytes: u64,
    /// Bytes sent.
    pub tx_bytes: u64,
    /// Probes sent since the WAN was found.
    pub probes_sent: u64,
    /// Those that were answered.
    pub probes_answered: u64,
    /// Bytes of IP that probes took: sent.
    pub probe_tx_bytes: u64,
    /// And received.
    pub probe_rx_bytes: u64,
    /// Both together, projected onto 30 days; null in the first minute.
    pub probe_bytes_month: Option<u64>,
}

/// One endpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EndpointStatus {
    /// The kernel's number.
    pub id: u32,
    /// Its address.
    pub address: String,
    /// Used only when no other is.
    pub backup: bool,
    /// Its flags by the kernel's names: "signal", "subflow", "backup", "fullmesh", "implicit".
    pub flags: Vec<String>,
}

/// One decision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EventStatus {
    /// How long ago, in milliseconds.
    pub ago_ms: u64,
    /// In words.
    pub text: String,
}

impl Status {
    /// One line of JSON.
    pub fn to_json(&self) -> String {
        json::to_string(self) + "\n"
    }

    /// From that line. Unknown fields are passed over.
    pub fn from_json(text: &str) -> Result<Status, Malformed> {
        json::from_str(text).map_err(|_| Malformed)
    }
}
