//! What a manager tells over its socket, and what `bsbf-status` makes of it: one JSON object each, the `version`
//! raised when a field changes its meaning. New fields may come at any time.
//!
//! `bsbf-status --json` is a [`Shown`], `bsbf-status why --json` a [`Why`]. Wall-clock times are in seconds since
//! 1970 UTC, with a fraction.

use std::borrow::Cow;

use miniserde::ser::{Fragment, Map};
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
    /// What becomes of MPTCP on its way to the server: "passes", "stripped" or "dropped"; null before a test was answered.
    pub mptcp: Option<String>,
    /// What became of it on the addresses that it has; null from a manager of routes alone, which does not hear of it.
    pub mptcp_counts: Option<MptcpCounts>,
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

/// What became of MPTCP's connections that this machine has begun, since the manager did; its own tests are among them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct MptcpCounts {
    /// Connections that began here and are MPTCP. Those that came to be plain TCP at once are the proxy's to count.
    pub connections: u64,
    /// Subflows that joined a connection.
    pub joins: u64,
    /// Those that were refused, answered without MPTCP, or, which the kernel tells after two minutes, not answered.
    pub joins_refused: u64,
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

/// What the proxy's client tells.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProxyStatus {
    /// Where the LAN's connections go: "server", or, since no server answers, "direct" or "reject".
    pub way: String,
    /// The servers, as they are set.
    pub servers: Vec<ProxyServer>,
    /// Connections to servers, begun. An older client, which an upgrade leaves running, does not tell.
    pub connections: Option<u64>,
    /// Those that were to be MPTCP and came to be plain TCP.
    pub fallbacks: Option<Vec<ProxyFallbacks>>,
    /// Bytes carried by servers: sent.
    pub up_bytes: u64,
    /// And received.
    pub down_bytes: u64,
    /// The same past them.
    pub direct_up_bytes: u64,
    /// And received.
    pub direct_down_bytes: u64,
}

/// A server of the proxy's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProxyServer {
    /// Address and port.
    pub address: String,
    /// The one that connections go to, or went to while any answered.
    pub in_use: bool,
    /// For how long it has not answered, in milliseconds; null while it does.
    pub silent_ms: Option<u64>,
    /// Why it did not answer last time, in words; empty if it did.
    pub trouble: String,
    /// How long it took to connect, averaged; null before the first time.
    pub rtt_ms: Option<u64>,
}

/// Connections that came to be plain TCP, from one of our addresses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProxyFallbacks {
    /// The address.
    pub address: String,
    /// How many.
    pub connections: u64,
}

impl ProxyStatus {
    /// One line of JSON.
    pub fn to_json(&self) -> String {
        json::to_string(self) + "\n"
    }

    /// From that line. Unknown fields are passed over.
    pub fn from_json(text: &str) -> Result<ProxyStatus, Malformed> {
        json::from_str(text).map_err(|_| Malformed)
    }

    /// For people, a line for each thing.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for server in &self.servers {
            text += &["server ", &server.text(), "\n"].concat();
        }
        let [up, down, direct_up, direct_down] =
            [self.up_bytes, self.down_bytes, self.direct_up_bytes, self.direct_down_bytes]
                .map(|bytes| bytes.to_string());
        let bytes = [
            "\nbytes up/down: ",
            &up,
            "/",
            &down,
            " by servers, ",
            &direct_up,
            "/",
            &direct_down,
            " directly\n",
        ];
        text + self.way_text() + &bytes.concat() + &self.fallbacks_text()
    }

    /// For people, in one line.
    pub fn line(&self) -> String {
        let mut line = ["proxy: ", self.way_text()].concat();
        for server in &self.servers {
            line += &["; ", &server.text()].concat();
        }
        line + "\n" + &self.fallbacks_text()
    }

    /// A line for people, if any connection came to be plain TCP.
    fn fallbacks_text(&self) -> String {
        let fallbacks = self.fallbacks.as_deref().unwrap_or_default();
        let sum: u64 = fallbacks.iter().map(|f| f.connections).sum();
        if sum == 0 {
            return String::new();
        }
        let of: Vec<String> = fallbacks
            .iter()
            .map(|f| [f.connections.to_string().as_str(), " from ", &f.address].concat())
            .collect();
        let (sum, all) = (sum.to_string(), self.connections.unwrap_or_default().to_string());
        [&sum, " of ", &all, " connections to servers came to be plain TCP: ", &of.join(", "), "\n"].concat()
    }

    /// Where connections go, for people.
    pub fn way_text(&self) -> &'static str {
        match self.way.as_str() {
            "server" => "connections go to the server",
            "direct" => "no server answers: connections go out directly",
            _ => "no server answers: connections are refused",
        }
    }
}

impl ProxyServer {
    /// For people, in one line.
    pub fn text(&self) -> String {
        let state = match (self.silent_ms, self.rtt_ms) {
            (None, Some(ms)) => [&ms.to_string(), " ms"].concat(),
            (Some(ms), _) => {
                let colon = if self.trouble.is_empty() { "" } else { ": " };
                ["silent for ", &(ms / 1000).to_string(), " s", colon, &self.trouble].concat()
            }
            (None, None) => String::from("not asked yet"),
        };
        [self.address.as_str(), if self.in_use { " (in use): " } else { ": " }, &state].concat()
    }
}

/// What `bsbf-status --json` prints.
#[derive(Debug, Serialize)]
pub struct Shown<'a> {
    /// The schema's version.
    pub version: u32,
    /// Now.
    pub time: f64,
    /// The managers that run: none, one, or two halves.
    pub managers: &'a [Status],
    /// What the kernel says, when no manager runs.
    pub system: Option<SystemStatus>,
    /// The proxy's client; null if none runs here.
    pub proxy: Option<ProxyStatus>,
}

/// What can be seen without a manager.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SystemStatus {
    /// The limits of the kernel's path manager; null in a kernel without MPTCP.
    pub limits: Option<LimitsStatus>,
    /// The devices with a default route, an address that reaches beyond the link, an endpoint, or a modem's driver.
    pub devices: Vec<DeviceStatus>,
}

/// One device.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DeviceStatus {
    /// Its name; empty for what belongs to no device, as a multipath route.
    pub name: String,
    /// Its number.
    pub ifindex: u32,
    /// Administratively up.
    pub up: bool,
    /// Link detected.
    pub carrier: bool,
    /// A modem or a phone, by its driver.
    pub modem: bool,
    /// Its addresses that reach beyond the link, without prefix lengths.
    pub addresses: Vec<String>,
    /// Its default routes, of all tables.
    pub routes: Vec<RouteStatus>,
    /// Its MPTCP endpoints.
    pub endpoints: Vec<EndpointStatus>,
    /// Bytes received since the device exists.
    pub rx_bytes: u64,
    /// Bytes sent.
    pub tx_bytes: u64,
}

/// One default route.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RouteStatus {
    /// 4 or 6.
    pub family: u32,
    /// The next hop.
    pub gateway: Option<String>,
    /// The prefix whose addresses alone may use it, of a source-specific IPv6 route.
    pub from: Option<String>,
    /// The source address that the kernel prefers on it.
    pub prefsrc: Option<String>,
    /// The lower one wins.
    pub metric: u32,
    /// 254 is main.
    pub table: u32,
    /// Who made it (RTPROT_): 4 static, 9 router advertisement, 16 DHCP, 152 bsbf.
    pub protocol: u32,
}

/// What `bsbf-status why --json` prints.
#[derive(Debug, Serialize)]
pub struct Why {
    /// The schema's version.
    pub version: u32,
    /// The time that was asked about; now, if none was.
    pub time: f64,
    /// A manager runs; else all this is from the record that the last one left.
    pub running: bool,
    /// Each WAN's state at that time.
    pub states: Vec<StateAt>,
    /// The decisions, oldest first.
    pub decisions: Vec<DecisionStatus>,
}

/// A WAN's state at some time.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StateAt {
    /// "bond", "route" or "mptcp".
    pub manager: String,
    /// The WAN.
    pub wan: String,
    /// "testing", "up", "suspect" or "down"; "unmanaged" if it was none to the manager, or no manager ran; "unknown"
    /// if the record does not reach back so far.
    pub state: String,
    /// Since when; null if the record does not tell.
    pub since: Option<f64>,
    /// Why, in words.
    pub text: String,
}

/// One decision with its numbers.
#[derive(Debug, Serialize)]
pub struct DecisionStatus {
    /// When.
    pub time: f64,
    /// How long ago, in milliseconds.
    pub ago_ms: u64,
    /// "bond", "route" or "mptcp".
    pub manager: String,
    /// About which WAN; null for the manager itself.
    pub wan: Option<String>,
    /// Its state before; null for the manager itself.
    pub from: Option<&'static str>,
    /// Its state from then on.
    pub to: Option<&'static str>,
    /// What was decided, as one word: "lost", "recovered", "no-carrier"...
    pub kind: &'static str,
    /// The numbers it was decided on: `_us` are microseconds, `_bytes` bytes, others counts.
    pub values: Numbers,
    /// The WAN that vouched for the world.
    pub witness: Option<String>,
    /// What was done: default routes moved, endpoints added, removed, flagged, changes failed, `took_us`.
    pub outcome: Numbers,
    /// All of it in words.
    pub text: String,
}

/// Numbers by name, as an object.
#[derive(Debug, Clone, PartialEq)]
pub struct Numbers(pub Vec<(&'static str, u64)>);

struct NumbersMap<'a>(std::slice::Iter<'a, (&'static str, u64)>);

impl Serialize for Numbers {
    fn begin(&self) -> Fragment<'_> {
        Fragment::Map(Box::new(NumbersMap(self.0.iter())))
    }
}

impl Map for NumbersMap<'_> {
    fn next(&mut self) -> Option<(Cow<'_, str>, &dyn Serialize)> {
        self.0.next().map(|(name, value)| (Cow::Borrowed(*name), value as &dyn Serialize))
    }
}
