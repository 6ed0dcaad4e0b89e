//! What the owner can set, with the defaults that need no tuning.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use crate::types::{IfName, millis};

/// At most this many WANs: the kernel keeps 8 MPTCP endpoints, and tables 5201-5208 are ours.
pub const MAX_WANS: usize = 8;
/// At most this many targets, servers included: more would make a suspicion costly.
pub const MAX_TARGETS: usize = 8;
/// Lost probes for a verdict unless told otherwise.
pub const LOST: usize = 8;
/// Where a TCP probe knocks at a bonding server whose port is not given.
pub const SERVER_PORT: u16 = 443;
/// Where a TCP probe knocks at a public resolver.
pub const RESOLVER_PORT: u16 = 53;

/// Somebody to ask whether a WAN works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// Asked by ICMP echo.
    pub address: IpAddr,
    /// Asked by TCP SYN where ICMP is not answered.
    pub port: u16,
    /// A bonding server: its answer decides about the WAN's endpoint.
    pub is_server: bool,
}

/// All settings of a manager.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Move default routes.
    pub routes: bool,
    /// Keep MPTCP endpoints.
    pub endpoints: bool,
    /// Servers first, then the others.
    pub targets: heapless::Vec<Target, MAX_TARGETS>,
    /// Tunnels that are WANs all the same.
    pub include: Vec<IfName>,
    /// Interfaces that are no WANs.
    pub exclude: Vec<IfName>,
    /// WANs used only when no other lives.
    pub backup: Vec<IfName>,
    /// WANs where each probe costs money.
    pub metered: Vec<IfName>,
    /// Modems and phones with a flat rate.
    pub unmetered: Vec<IfName>,
    /// Make a WAN backup when it proves both slow and thin.
    pub backup_auto: bool,
    /// Between two probes of a quiet WAN.
    pub interval: Duration,
    /// The same for metered WANs that are not the best default.
    pub metered_interval: Duration,
    /// Between two rounds of a suspicion.
    pub fast_interval: Duration,
    /// Between two probes of a dead WAN.
    pub dead_interval: Duration,
    /// Probes that must be lost, none answered, for a verdict.
    pub lost: usize,
    /// Answers in a row that bring a dead WAN back.
    pub replies: u32,
}

impl Settings {
    /// Replies missing for at least this long make a probe lost, however short the RTT is: Linux schedules
    /// and Wi-Fi, LTE and DOCSIS grant in tens of milliseconds.
    pub const MIN_PATIENCE: Duration = Duration::from_millis(100);

    /// The bonding servers are reached by IPv6.
    pub fn server_is_v6(&self) -> bool {
        self.targets.iter().any(|t| t.is_server && t.address.is_ipv6())
    }

    /// Every option by its name in the settings file, with its values as they stand there. What a manager is for
    /// (routes, endpoints) is none of them.
    pub fn options(&self) -> Vec<(&'static str, Vec<String>)> {
        let Settings {
            routes: _,
            endpoints: _,
            targets,
            include,
            exclude,
            backup,
            metered,
            unmetered,
            backup_auto,
            interval,
            metered_interval,
            fast_interval,
            dead_interval,
            lost,
            replies,
        } = self;
        let asked = |servers: bool| -> Vec<String> {
            let asked = targets.iter().filter(|t| t.is_server == servers);
            asked.map(|t| SocketAddr::new(t.address, t.port).to_string()).collect()
        };
        let names = |names: &[IfName]| names.iter().map(IfName::to_string).collect();
        let number = |n: u64| vec![n.to_string()];
        let ms = |d: &Duration| vec![millis(*d).to_string()];
        vec![
            ("server", asked(true)),
            ("target", asked(false)),
            ("backup", names(backup)),
            ("metered", names(metered)),
            ("unmetered", names(unmetered)),
            ("include", names(include)),
            ("exclude", names(exclude)),
            ("backup_auto", number((*backup_auto).into())),
            ("interval", ms(interval)),
            ("metered_interval", ms(metered_interval)),
            ("fast_interval", ms(fast_interval)),
            ("dead_interval", ms(dead_interval)),
            ("lost", number(*lost as u64)),
            ("replies", number((*replies).into())),
        ]
    }

    /// Targets that can be asked where only these families have a default route.
    pub fn targets_for(&self, v4: bool) -> impl Iterator<Item = (u8, &Target)> {
        (0u8..).zip(self.targets.iter()).filter(move |(_, t)| t.address.is_ipv4() == v4)
    }
}

impl Default for Settings {
    fn default() -> Settings {
        // Three operators with anycast networks of their own: all of them silent at once means "no Internet".
        // The IPv6 ones are asked on WANs without IPv4.
        let resolvers: [IpAddr; 6] = [
            Ipv4Addr::new(1, 1, 1, 1).into(),
            Ipv4Addr::new(8, 8, 8, 8).into(),
            Ipv4Addr::new(9, 9, 9, 9).into(),
            Ipv6Addr::new(0x2606, 0x4700, 0x4700, 0, 0, 0, 0, 0x1111).into(),
            Ipv6Addr::new(0x2001, 0x4860, 0x4860, 0, 0, 0, 0, 0x8888).into(),
            Ipv6Addr::new(0x2620, 0xfe, 0, 0, 0, 0, 0, 0xfe).into(),
        ];
        let resolver = |address| Target { address, port: RESOLVER_PORT, is_server: false };
        Settings {
            routes: true,
            endpoints: true,
            targets: resolvers.map(resolver).into_iter().collect(),
            include: Vec::new(),
            exclude: Vec::new(),
            backup: Vec::new(),
            metered: Vec::new(),
            unmetered: Vec::new(),
            backup_auto: false,
            interval: Duration::from_secs(1),
            metered_interval: Duration::from_secs(10),
            fast_interval: Duration::from_millis(100),
            dead_interval: Duration::from_millis(500),
            lost: LOST,
            replies: 3,
        }
    }
}
