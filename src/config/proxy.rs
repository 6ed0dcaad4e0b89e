//! The proxy's settings, its client's and its server's, each checked here: values of a section in the manager's file, and of
//! arguments.
//!
//! Pure as [`options`](super::options) is. A type has one section: of two, one would be a forgotten one.

use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::time::Duration;

use bsbf_noise::keys::PublicKey;

use super::options::boolean;
use crate::wire::tproxy::{Ipv6, LanName, Quic, USUAL_PORT, WhenDown};
use crate::wire::uci::Package;
use crate::wire::vless::Uuid;

/// Each client of a server without 'port' has one of these.
const CLIENTS_PORTS: std::ops::RangeInclusive<u16> = 32_768..=49_151;
/// So many servers may be named.
const MAX_SERVERS: usize = 8;
/// Unless told otherwise.
const DOWN_AFTER: Duration = Duration::from_secs(10);
/// Just below the clients' own ports: one range for a firewall.
const SECURE_PORT: u16 = 32767;

/// What a section of some type sets.
pub trait Options {
    /// The section's type.
    fn kind(&self) -> &'static str;

    /// Sets one option, by its name in the file.
    ///
    /// # Errors
    /// An unknown option; a value that does not fit, with what was expected.
    fn set(&mut self, option: &str, values: &[&str]) -> Result<(), String>;

    /// Whether there is an option of this name.
    fn knows(&self, option: &str) -> bool;

    /// An option that does not go with another, and why.
    fn contradiction(&self) -> Option<(&'static str, &'static str)> {
        None
    }

    /// Why a service would start it in vain.
    fn lack(&self) -> Option<&'static str> {
        None
    }
}

/// The client's.
#[derive(Clone, Debug, PartialEq)]
pub struct Client {
    /// Services start it; who starts it by hand is not asked.
    pub enabled: bool,
    /// The servers.
    pub servers: Vec<SocketAddr>,
    /// Our UUID there.
    pub uuid: Option<Uuid>,
    /// The file that has it else, by its whole path.
    pub uuid_file: Option<String>,
    /// What is carried is encrypted, where there are keys.
    pub encryption: bool,
    /// What the servers are known by.
    pub server_key: Option<PublicKey>,
    /// The file with our own key, by its whole path.
    pub key_file: Option<String>,
    /// Devices or networks of the LAN; never empty.
    pub lan: Vec<LanName>,
    /// Where the firewall brings the LAN's packets to.
    pub port: NonZeroU16,
    /// IPv6's fate; nothing where the server is asked whether it has it.
    pub ipv6: Option<Ipv6>,
    /// QUIC's fate.
    pub quic: Quic,
    /// What becomes of connections while no server answers.
    pub when_down: WhenDown,
    /// So long none has to answer before that.
    pub down_after: Duration,
}

impl Default for Client {
    fn default() -> Client {
        Client {
            enabled: false,
            servers: Vec::new(),
            uuid: None,
            uuid_file: None,
            encryption: true,
            server_key: None,
            key_file: None,
            lan: vec![LanName::usual()],
            port: USUAL_PORT,
            ipv6: None,
            quic: Quic::Block,
            when_down: WhenDown::Direct,
            down_after: DOWN_AFTER,
        }
    }
}

impl Options for Client {
    fn kind(&self) -> &'static str {
        "proxy"
    }

    fn set(&mut self, option: &str, values: &[&str]) -> Result<(), String> {
        match option {
            "enabled" => self.enabled = boolean(one(values)?)?,
            "server" => self.servers = servers(values)?,
            // What was tried for a secret stays untold.
            "uuid" => {
                let uuid = Uuid::parse(one(values)?);
                self.uuid = Some(uuid.ok_or("a UUID expected, 32 hexadecimal digits")?);
            }
            "uuid_file" => self.uuid_file = Some(path(one(values)?)?),
            "encryption" => self.encryption = boolean(one(values)?)?,
            // It may be the secret one that was tried.
            "server_key" => {
                let key = PublicKey::parse(one(values)?);
                self.server_key = Some(key.ok_or("a public key expected, 64 hexadecimal digits")?);
            }
            "key_file" => self.key_file = Some(path(one(values)?)?),
            "lan" => self.lan = lan(values)?,
            "port" => self.port = port(one(values)?)?,
            "quic" => self.quic = one(values)?.parse()?,
            "ipv6" => self.ipv6 = ipv6(one(values)?)?,
            "when_down" => self.when_down = one(values)?.parse()?,
            "down_after" => self.down_after = seconds(one(values)?)?,
            _ => return unknown(option),
        }
        Ok(())
    }

    fn knows(&self, option: &str) -> bool {
        let all = [
            "enabled",
            "server",
            "uuid",
            "uuid_file",
            "encryption",
            "server_key",
            "key_file",
            "lan",
            "port",
            "quic",
            "ipv6",
            "when_down",
            "down_after",
        ];
        all.contains(&option)
    }

    fn contradiction(&self) -> Option<(&'static str, &'static str)> {
        let both = self.uuid.is_some() && self.uuid_file.is_some();
        both.then_some(("uuid_file", "'uuid' is there too: one of them expected"))
    }

    fn lack(&self) -> Option<&'static str> {
        (self.enabled && self.servers.is_empty()).then_some("it is enabled and has no 'server'")
    }
}

/// The server's.
#[derive(Clone, Debug, PartialEq)]
pub struct Server {
    /// As the client's.
    pub enabled: bool,
    /// The file with the clients, by its whole path.
    pub clients: Option<String>,
    /// One port for all clients; else each has its own.
    pub port: Option<NonZeroU16>,
    /// Clients reach this machine and private networks.
    pub allow_private: bool,
    /// The file with our key, by its whole path.
    pub key_file: Option<String>,
    /// Where encrypted connections come in; nowhere if it is 0.
    pub secure_port: u16,
    /// Those that are not encrypted come in too.
    pub plain: bool,
}

impl Default for Server {
    fn default() -> Server {
        Server {
            enabled: false,
            clients: None,
            port: None,
            allow_private: false,
            key_file: None,
            secure_port: SECURE_PORT,
            plain: true,
        }
    }
}

impl Options for Server {
    fn kind(&self) -> &'static str {
        "proxy_server"
    }

    fn set(&mut self, option: &str, values: &[&str]) -> Result<(), String> {
        match option {
            "enabled" => self.enabled = boolean(one(values)?)?,
            "clients" => self.clients = Some(path(one(values)?)?),
            "port" => self.port = Some(port(one(values)?)?),
            "allow_private" => self.allow_private = boolean(one(values)?)?,
            "key_file" => self.key_file = Some(path(one(values)?)?),
            "secure_port" => self.secure_port = port_or_none(one(values)?)?,
            "plain" => self.plain = boolean(one(values)?)?,
            _ => return unknown(option),
        }
        Ok(())
    }

    fn knows(&self, option: &str) -> bool {
        let all = ["enabled", "clients", "port", "allow_private", "key_file", "secure_port", "plain"];
        all.contains(&option)
    }

    fn contradiction(&self) -> Option<(&'static str, &'static str)> {
        if self.port.is_some_and(|port| port.get() == self.secure_port) {
            return Some(("secure_port", "it is 'port' too: another one expected"));
        }
        if self.plain && self.port.is_none() && CLIENTS_PORTS.contains(&self.secure_port) {
            return Some((
                "secure_port",
                "32768 to 49151 are clients' own: another one expected, or a 'port'",
            ));
        }
        let none = self.secure_port == 0 && !self.plain;
        none.then_some(("plain", "'secure_port' is 0 too: nobody could come in"))
    }
}

/// Takes in the section of a settings file; what is wrong with it, each with its line.
pub fn apply(into: &mut dyn Options, package: &Package) -> Vec<String> {
    apply_but(into, package, &|_| false)
}

/// The same without options that are to be others.
pub fn apply_but(into: &mut dyn Options, package: &Package, but: &dyn Fn(&str) -> bool) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut sections = package.sections.iter().filter(|section| section.kind == into.kind());
    let Some(section) = sections.next() else { return wrong };
    for other in sections {
        let first = section.line.to_string();
        wrong.push(at(other.line, &["there is a section '", &other.kind, "' in line ", &first].concat()));
    }
    for option in section.options.iter().filter(|option| !but(&option.name)) {
        let set = match section.list(&option.name) {
            Ok(values) => into.set(&option.name, &values).map_err(|e| at(option.line, &e)),
            Err(e) => Err(e.to_string()),
        };
        wrong.extend(set.err());
    }
    if let Some((option, why)) = into.contradiction() {
        wrong.push(at(section.option(option).map_or(section.line, |option| option.line), why));
    }
    wrong
}

/// What is wrong with both sections, and that a service would start in vain.
pub fn findings(package: &Package) -> Vec<String> {
    let mut client = Client::default();
    let mut wrong = apply(&mut client, package);
    if wrong.is_empty()
        && let Some(why) = client.lack()
        && let Some(section) = package.sections_of(client.kind()).next()
    {
        wrong.push(at(section.line, why));
    }
    wrong.extend(apply(&mut Server::default(), package));
    wrong
}

/// Whether an option is a list in the file.
pub fn is_list(option: &str) -> bool {
    ["server", "lan"].contains(&option)
}

fn at(line: usize, what: &str) -> String {
    ["line ", &line.to_string(), ": ", what].concat()
}

fn unknown(option: &str) -> Result<(), String> {
    Err(["unknown option '", option, "'"].concat())
}

fn one<'a>(values: &[&'a str]) -> Result<&'a str, String> {
    match values {
        [value] => Ok(value),
        _ => Err(["one value expected, ", &values.len().to_string(), " found"].concat()),
    }
}

fn is_not(text: &str, expected: &str) -> String {
    ["'", text, "' is not ", expected].concat()
}

fn servers(values: &[&str]) -> Result<Vec<SocketAddr>, String> {
    let mut servers = Vec::new();
    for value in values {
        let server = value.parse::<SocketAddr>().ok();
        let fits = |at: &SocketAddr| !at.ip().is_unspecified() && !at.ip().is_multicast() && at.port() != 0;
        servers.push(server.filter(fits).ok_or_else(|| is_not(value, "ADDR:PORT or [ADDR6]:PORT"))?);
    }
    if servers.len() > MAX_SERVERS {
        return Err("more than 8 servers".to_owned());
    }
    Ok(servers)
}

fn lan(values: &[&str]) -> Result<Vec<LanName>, String> {
    let mut names = Vec::new();
    for value in values {
        let name = LanName::new(value);
        names.push(
            name.ok_or_else(|| is_not(value, "a network or device (1 to 15 letters, digits, - _ . @)"))?,
        );
    }
    Ok(names)
}

fn port(text: &str) -> Result<NonZeroU16, String> {
    text.parse().map_err(|_| is_not(text, "a port from 1 to 65535"))
}

/// 0 for none.
fn port_or_none(text: &str) -> Result<u16, String> {
    text.parse().map_err(|_| is_not(text, "a port from 1 to 65535, or 0"))
}

/// Nothing for what is found out.
fn ipv6(text: &str) -> Result<Option<Ipv6>, String> {
    match text {
        "auto" => Ok(None),
        way => way.parse().map(Some).map_err(|_| is_not(way, "auto, proxy, direct or refuse")),
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().filter(|seconds| (1..=3600).contains(seconds));
    seconds.map(Duration::from_secs).ok_or_else(|| is_not(text, "a number of seconds from 1 to 3600"))
}

fn path(text: &str) -> Result<String, String> {
    let fits = text.starts_with('/') && !text.contains(char::is_control);
    if fits { Ok(text.to_owned()) } else { Err(is_not(text, "a path from / on")) }
}
