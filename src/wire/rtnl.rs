//! rtnetlink: links, addresses, default routes and rules (man 7 rtnetlink, uapi/linux/rtnetlink.h).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Malformed;
use super::nl::{self, Attrs, Request};
use crate::types::{IfIndex, IfName, Metric};

mod rules;

pub use rules::{AnyRule, Rule, TO_TABLE, any_rule, rule_request};

/// The `rtproto` of every route and rule of ours. Unassigned in iproute2's rt_protos and in uapi/linux/rtnetlink.h.
pub const RTPROT_BSBF: u8 = 152;
/// The main table.
pub const TABLE_MAIN: u32 = libc::RT_TABLE_MAIN as u32;

/// Message types this module answers for (uapi/linux/rtnetlink.h).
pub const NEWLINK: u16 = libc::RTM_NEWLINK;
/// A link is gone.
pub const DELLINK: u16 = libc::RTM_DELLINK;
/// An address is there or changed.
pub const NEWADDR: u16 = libc::RTM_NEWADDR;
/// An address is gone.
pub const DELADDR: u16 = libc::RTM_DELADDR;
/// A route is there or changed.
pub const NEWROUTE: u16 = libc::RTM_NEWROUTE;
/// A route is gone.
pub const DELROUTE: u16 = libc::RTM_DELROUTE;
/// A rule is there.
pub const NEWRULE: u16 = libc::RTM_NEWRULE;
/// A rule is gone.
pub const DELRULE: u16 = libc::RTM_DELRULE;

const IFLA_LINKINFO: u16 = 18;
const IFLA_INFO_KIND: u16 = 1;
const RTA_EXPIRES: u16 = 23;
const RTA_NH_ID: u16 = 30;
/// Flags that the kernel reports but does not take back: DEAD, LINKDOWN, OFFLOAD, UNRESOLVED, TRAP, CLONED.
const REPORTED_FLAGS: u32 = 1 | 8 | 16 | 32 | 64 | RTM_F_CLONED;
const RTM_F_CLONED: u32 = 0x200;

/// IPv4 or IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// Both, in the order in which they are handled.
    pub const BOTH: [Family; 2] = [Family::V4, Family::V6];

    /// The family of an address.
    pub fn of(address: IpAddr) -> Family {
        if address.is_ipv4() { Family::V4 } else { Family::V6 }
    }

    /// AF_INET or AF_INET6.
    pub fn af(self) -> u8 {
        match self {
            Family::V4 => libc::AF_INET as u8,
            Family::V6 => libc::AF_INET6 as u8,
        }
    }

    /// The family of an AF_ number, if it is one of the two.
    pub fn from_af(af: u8) -> Option<Family> {
        match i32::from(af) {
            libc::AF_INET => Some(Family::V4),
            libc::AF_INET6 => Some(Family::V6),
            _ => None,
        }
    }

    /// Length of a host prefix.
    pub fn host_len(self) -> u8 {
        match self {
            Family::V4 => 32,
            Family::V6 => 128,
        }
    }
}

impl std::fmt::Display for Family {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Family::V4 => "IPv4",
            Family::V6 => "IPv6",
        })
    }
}

/// A network device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The kernel's number.
    pub index: IfIndex,
    /// Its name now.
    pub name: IfName,
    /// Administratively up (IFF_UP).
    pub up: bool,
    /// Link detected (IFF_LOWER_UP).
    pub carrier: bool,
    /// IFLA_INFO_KIND: "veth", "wireguard", "tun"; empty for hardware.
    pub kind: heapless::String<16>,
    /// ARPHRD_ type: 1 Ethernet, 65534 none, 519 raw IP.
    pub arphrd: u16,
    /// Bytes received since the device exists (IFLA_STATS64).
    pub rx_bytes: u64,
    /// Bytes sent.
    pub tx_bytes: u64,
}

/// An address of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The device.
    pub index: IfIndex,
    /// Ours (IFA_LOCAL; IFA_ADDRESS where there is no peer).
    pub local: IpAddr,
    /// The other end's address on point-to-point links.
    pub peer: Option<IpAddr>,
    /// Length of the prefix.
    pub prefix: u8,
    /// RT_SCOPE_: 0 is universe.
    pub scope: u8,
    /// IFA_F_ flags.
    pub flags: u32,
}

/// A default route, with every attribute, so that an exact copy can be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// IPv4 or IPv6.
    pub family: Family,
    /// The table it stands in.
    pub table: u32,
    /// Who made it (RTPROT_).
    pub protocol: u8,
    /// RT_SCOPE_.
    pub scope: u8,
    /// TOS; always 0 for IPv6.
    pub tos: u8,
    /// RTNH_F_ONLINK and what else can be given back.
    pub flags: u32,
    /// RTA_PRIORITY, 0 when there is none.
    pub metric: Metric,
    /// The device; None for multipath.
    pub oif: Option<IfIndex>,
    /// The next hop, if any.
    pub gateway: Option<IpAddr>,
    /// The source address the kernel prefers on it.
    pub prefsrc: Option<IpAddr>,
    /// RTA_SRC of a source-specific IPv6 route.
    pub source: Option<(Ipv6Addr, u8)>,
    /// A next-hop object; re-added routes name it instead of gateway and device.
    pub nexthop_id: Option<u32>,
    /// Every other attribute that can be given back, encoded.
    pub rest: Vec<u8>,
}

impl Route {
    /// The same way out: everything but table, metric and protocol.
    pub fn same_path(&self, other: &Route) -> bool {
        let neutral = |r: &Route| Route { table: 0, protocol: 0, metric: Metric(0), ..r.clone() };
        neutral(self) == neutral(other)
    }

    /// Made by us.
    pub fn is_ours(&self) -> bool {
        self.protocol == RTPROT_BSBF
    }
}

/// One thing read from a dump, or from a notification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Object {
    /// A device.
    Link(Link),
    /// An address.
    Address(Address),
    /// A default route.
    Route(Route),
    /// A rule of ours.
    Rule(Rule),
}

impl Object {
    /// The family of a route or a rule.
    pub fn family(&self) -> Option<Family> {
        match self {
            Object::Route(route) => Some(route.family),
            Object::Rule(rule) => Some(Family::of(rule.source)),
            Object::Link(_) | Object::Address(_) => None,
        }
    }
}

/// Reads the body of an RTM_NEW* or RTM_DEL* message; None for what does not concern us (other routes than unicast
/// defaults, other people's rules, families beside IP).
pub fn decode(kind: u16, body: &[u8]) -> Result<Option<Object>, Malformed> {
    match kind {
        NEWLINK | DELLINK => link(body).map(|l| Some(Object::Link(l))),
        NEWADDR | DELADDR => Ok(address(body)?.map(Object::Address)),
        NEWROUTE | DELROUTE => Ok(route(body)?.map(Object::Route)),
        NEWRULE | DELRULE => Ok(rules::ours(body)?.map(Object::Rule)),
        _ => Ok(None),
    }
}

fn link(body: &[u8]) -> Result<Link, Malformed> {
    let flags = nl::u32_at(body, 8)?;
    let mut name = None;
    let mut kind = heapless::String::new();
    let (mut rx_bytes, mut tx_bytes) = (0, 0);
    for attr in Attrs(body.get(16..).ok_or(Malformed)?) {
        let (attr, payload) = attr?;
        match attr {
            libc::IFLA_IFNAME => name = Some(nl::text(payload)?.parse().map_err(|_| Malformed)?),
            IFLA_LINKINFO => {
                for nested in Attrs(payload) {
                    if let (IFLA_INFO_KIND, k) = nested? {
                        // A kind longer than the buffer is none that we tell apart.
                        kind = heapless::String::try_from(nl::text(k)?).unwrap_or_default();
                    }
                }
            }
            libc::IFLA_STATS64 => {
                rx_bytes = nl::u64_at(payload, 16)?;
                tx_bytes = nl::u64_at(payload, 24)?;
            }
            _ => {}
        }
    }
    Ok(Link {
        index: IfIndex(nl::u32_at(body, 4)?),
        name: name.ok_or(Malformed)?,
        up: flags & libc::IFF_UP as u32 != 0,
        carrier: flags & libc::IFF_LOWER_UP as u32 != 0,
        kind,
        arphrd: nl::u16_at(body, 2)?,
        rx_bytes,
        tx_bytes,
    })
}

fn address(body: &[u8]) -> Result<Option<Address>, Malformed> {
    let Some(family) = Family::from_af(nl::u8_at(body, 0)?) else { return Ok(None) };
    let mut flags = u32::from(nl::u8_at(body, 2)?);
    let (mut local, mut address) = (None, None);
    for attr in Attrs(body.get(8..).ok_or(Malformed)?) {
        match attr? {
            (libc::IFA_LOCAL, payload) => local = Some(ip(family, payload)?),
            (libc::IFA_ADDRESS, payload) => address = Some(ip(family, payload)?),
            (libc::IFA_FLAGS, payload) => flags = nl::u32_at(payload, 0)?,
            _ => {}
        }
    }
    let ours = local.or(address).ok_or(Malformed)?;
    Ok(Some(Address {
        index: IfIndex(nl::u32_at(body, 4)?),
        local: ours,
        peer: address.filter(|&a| a != ours),
        prefix: nl::u8_at(body, 1)?,
        scope: nl::u8_at(body, 3)?,
        flags,
    }))
}

fn route(body: &[u8]) -> Result<Option<Route>, Malformed> {
    let Some(family) = Family::from_af(nl::u8_at(body, 0)?) else { return Ok(None) };
    let flags = nl::u32_at(body, 8)?;
    let is_default = nl::u8_at(body, 1)? == 0;
    if !is_default || nl::u8_at(body, 7)? != libc::RTN_UNICAST || flags & RTM_F_CLONED != 0 {
        return Ok(None);
    }
    let mut route = Route {
        family,
        table: u32::from(nl::u8_at(body, 4)?),
        protocol: nl::u8_at(body, 5)?,
        scope: nl::u8_at(body, 6)?,
        tos: nl::u8_at(body, 3)?,
        flags: flags & !REPORTED_FLAGS,
        metric: Metric(0),
        oif: None,
        gateway: None,
        prefsrc: None,
        source: None,
        nexthop_id: None,
        rest: Vec::new(),
    };
    let source_len = nl::u8_at(body, 2)?;
    for attr in Attrs(body.get(12..).ok_or(Malformed)?) {
        let (kind, payload) = attr?;
        match kind {
            libc::RTA_TABLE => route.table = nl::u32_at(payload, 0)?,
            libc::RTA_PRIORITY => route.metric = Metric(nl::u32_at(payload, 0)?),
            libc::RTA_OIF => route.oif = Some(IfIndex(nl::u32_at(payload, 0)?)),
            libc::RTA_GATEWAY => route.gateway = Some(ip(family, payload)?),
            libc::RTA_PREFSRC => route.prefsrc = Some(ip(family, payload)?),
            libc::RTA_SRC if family == Family::V6 => {
                route.source = Some((Ipv6Addr::from(nl::array::<16>(payload, 0)?), source_len));
            }
            RTA_NH_ID => route.nexthop_id = Some(nl::u32_at(payload, 0)?),
            // Reported, not accepted: how long it lives and how it was used.
            libc::RTA_CACHEINFO | RTA_EXPIRES => {}
            _ => nl::push_attr(&mut route.rest, kind, payload),
        }
    }
    Ok(Some(route))
}

fn ip(family: Family, payload: &[u8]) -> Result<IpAddr, Malformed> {
    Ok(match family {
        Family::V4 => IpAddr::V4(Ipv4Addr::from(nl::array::<4>(payload, 0)?)),
        Family::V6 => IpAddr::V6(Ipv6Addr::from(nl::array::<16>(payload, 0)?)),
    })
}

/// The bytes of an address, in network order.
pub fn octets(address: IpAddr) -> heapless::Vec<u8, 16> {
    let mut out = heapless::Vec::new();
    // 16 bytes hold either.
    let _ = match address {
        IpAddr::V4(a) => out.extend_from_slice(&a.octets()),
        IpAddr::V6(a) => out.extend_from_slice(&a.octets()),
    };
    out
}

/// What a route request does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteOp {
    /// Add; EEXIST if this table has the destination with this metric.
    Add,
    /// Put in the place of what has this metric, or add.
    Replace,
    /// Delete exactly this one.
    Delete,
}

/// The request that does `op` with `route`.
pub fn route_request(op: RouteOp, route: &Route) -> Request {
    let (kind, flags) = match op {
        RouteOp::Add => (NEWROUTE, libc::NLM_F_CREATE | libc::NLM_F_EXCL),
        RouteOp::Replace => (NEWROUTE, libc::NLM_F_CREATE | libc::NLM_F_REPLACE),
        RouteOp::Delete => (DELROUTE, 0),
    };
    // The table goes into RTA_TABLE only when it does not fit the byte (RT_TABLE_COMPAT 252).
    let table = u8::try_from(route.table).unwrap_or(libc::RT_TABLE_COMPAT);
    let source_len = route.source.map_or(0, |(_, len)| len);
    let header =
        [route.family.af(), 0, source_len, route.tos, table, route.protocol, route.scope, libc::RTN_UNICAST];
    let mut fixed = [0; 12];
    fixed[..8].copy_from_slice(&header);
    fixed[8..].copy_from_slice(&route.flags.to_ne_bytes());
    let mut request = Request::new(kind, flags as u16, &fixed);
    if route.table > 255 {
        request = request.attr_u32(libc::RTA_TABLE, route.table);
    }
    if let Some((source, _)) = route.source {
        request = request.attr(libc::RTA_SRC, &source.octets());
    }
    if let Some(prefsrc) = route.prefsrc {
        request = request.attr(libc::RTA_PREFSRC, &octets(prefsrc));
    }
    if route.metric != Metric(0) {
        request = request.attr_u32(libc::RTA_PRIORITY, route.metric.0);
    }
    if let Some(id) = route.nexthop_id {
        // fib_nh_match compares the object, or gateway and device, never both.
        let request = request.attr_u32(RTA_NH_ID, id);
        return if op == RouteOp::Delete { request } else { request.raw(&route.rest) };
    }
    if let Some(gateway) = route.gateway {
        request = request.attr(libc::RTA_GATEWAY, &octets(gateway));
    }
    if let Some(oif) = route.oif {
        request = request.attr_u32(libc::RTA_OIF, oif.0);
    }
    match op {
        // Deleting goes by the key alone; attributes like RTA_METRICS would have to match.
        RouteOp::Delete => request,
        RouteOp::Add | RouteOp::Replace => request.raw(&route.rest),
    }
}

/// What can be dumped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dump {
    /// Every device.
    Links,
    /// Every address of both families.
    Addresses,
    /// Routes of a family, all tables.
    Routes(Family),
    /// Rules of a family.
    Rules(Family),
}

impl Dump {
    /// The family that is asked for, if it is one.
    pub fn family(self) -> Option<Family> {
        match self {
            Dump::Routes(family) | Dump::Rules(family) => Some(family),
            Dump::Links | Dump::Addresses => None,
        }
    }
}

/// The dump request. The fixed part has its full size, as NETLINK_GET_STRICT_CHK demands.
pub fn dump_request(what: Dump) -> Request {
    let flags = libc::NLM_F_DUMP as u16;
    let fixed = |len: usize, af: u8| {
        let mut fixed = vec![0; len];
        if let Some(first) = fixed.first_mut() {
            *first = af;
        }
        fixed
    };
    match what {
        Dump::Links => Request::new(libc::RTM_GETLINK, flags, &fixed(16, 0)),
        Dump::Addresses => Request::new(libc::RTM_GETADDR, flags, &fixed(8, 0)),
        Dump::Routes(family) => Request::new(libc::RTM_GETROUTE, flags, &fixed(12, family.af())),
        Dump::Rules(family) => Request::new(libc::RTM_GETRULE, flags, &fixed(12, family.af())),
    }
}

/// The request for one device, by index.
pub fn link_request(index: IfIndex) -> Request {
    let mut fixed = [0; 16];
    fixed[4..8].copy_from_slice(&index.0.to_ne_bytes());
    Request::new(libc::RTM_GETLINK, 0, &fixed)
}

/// The order to set a device administratively up.
pub fn link_up_request(index: IfIndex) -> Request {
    let mut fixed = [0; 16];
    fixed[4..8].copy_from_slice(&index.0.to_ne_bytes());
    // Flags, and which of them are meant.
    fixed[8..12].copy_from_slice(&(libc::IFF_UP as u32).to_ne_bytes());
    fixed[12..].copy_from_slice(&(libc::IFF_UP as u32).to_ne_bytes());
    Request::new(NEWLINK, 0, &fixed)
}

/// The request for one device, by name.
pub fn link_named_request(name: &IfName) -> Request {
    let mut text = name.as_str().as_bytes().to_vec();
    text.push(0);
    Request::new(libc::RTM_GETLINK, 0, &[0; 16]).attr(libc::IFLA_IFNAME, &text)
}

#[cfg(test)]
mod tests;
