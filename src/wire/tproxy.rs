//! The rules that bring the LAN's TCP and UDP to a transparent proxy on this router, as text for the firewall's tools:
//! [`nft`] for OpenWrt's fw4, [`iptables`] for RUTOS and its fw3.
//!
//! A packet is the proxy's if all of this holds, asked in this order:
//! - it goes the way in which its connection was opened. The answers of a LAN host to somebody who came in by a port
//!   forward look like any other packet to the Internet, and would go to the proxy, which knows no such connection;
//! - it comes in by a device of the LAN. What comes in by a WAN, to a port forward or to a host with a public IPv6
//!   address, is nobody's to send on to the server;
//! - no rule has redirected it, to a DNS server here for instance. iptables cannot ask that, as TPROXY's place there is
//!   before the redirects: what they redirect goes wrong unless its destination is passed over anyway;
//! - it has none of our marks 2 (to our server) and 4 (direct);
//! - its destination is an address of the Internet, and none of this router, which has a DNS server and its pages there.
//!
//! It then goes to the socket that listens on the port, its destination untouched, with mark 1: a routing rule and a
//! table bring what has it to this machine (`ip rule add fwmark 0x1/0x7 lookup 100`, `ip route add local default dev lo
//! table 100`, and both with -6). The masks leave all other bits to whoever has them: mwan3, pbr, the user.
//!
//! The first of these has a price: where the proxy sends a datagram after conntrack has forgotten the session, that
//! datagram opens a connection, and all that the LAN answers is passed over. A proxy ends its sessions before.
//!
//! Packets without a listener are what the tools differ in: nft lets them pass, and iptables drops them
//! (NFT_BREAK in nft_tproxy.c, NF_DROP in xt_TPROXY.c).

#[cfg(feature = "server")]
use std::net::IpAddr;
use std::num::NonZeroU16;
use std::str::FromStr;

pub mod iptables;
pub mod nft;

/// The port of the proxies that ours replaces.
pub const USUAL_PORT: NonZeroU16 = NonZeroU16::new(12345).unwrap();

/// The mark of what goes to our server.
pub const TO_SERVER: u32 = 2;
/// The mark of what goes past the proxy, and of probes.
pub const DIRECT: u32 = 4;

/// IPv4 destinations that are not the Internet: IANA's IPv4 Special-Purpose Address Registry (RFC 6890), what is not
/// globally reachable there, 192.88.99.0/24 (6to4 relays, RFC 7526) and multicast.
const DIRECT_V4: &str = "0.0.0.0/8,10.0.0.0/8,100.64.0.0/10,127.0.0.0/8,169.254.0.0/16,172.16.0.0/12,192.0.0.0/24,\
    192.0.2.0/24,192.88.99.0/24,192.168.0.0/16,198.18.0.0/15,198.51.100.0/24,203.0.113.0/24,224.0.0.0/4,240.0.0.0/4";
/// The same of IPv6. Only 2000::/3 is allocated for the Internet (IANA's IPv6 Global Unicast Address Assignments, RFC
/// 3587), so all else is in three blocks: ::1 and mapped addresses, NAT64 (64:ff9b::/96 and 64:ff9b:1::/48: the
/// translator is at this end's ISP), 100::/64, 5f00::/16, fc00::/7, fe80::/10, ff00::/8. Of 2000::/3 itself, by the
/// Special-Purpose Address Registry: protocol assignments (with Teredo and benchmarking) and documentation.
const DIRECT_V6: &str = "::/3,4000::/2,8000::/1,2001::/23,2001:db8::/32,3fff::/20";

/// Azure's WireServer, which gives a virtual machine its secrets: to be asked by that machine alone, at an address of the
/// Internet.
#[cfg(feature = "server")]
const WIRE_SERVER: &str = "168.63.129.16/32";

/// Whether an address is none of the Internet, by the lists above: what clients of a server may not reach.
#[cfg(feature = "server")]
pub fn is_special(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => has(DIRECT_V4, &ip.octets()) || has(WIRE_SERVER, &ip.octets()),
        IpAddr::V6(ip) => has(DIRECT_V6, &ip.octets()),
    }
}

/// Whether one of the networks of a list has an address.
#[cfg(feature = "server")]
fn has(list: &str, address: &[u8]) -> bool {
    list.split(',').any(|network| {
        let Some((start, length)) = network.split_once('/') else { return false };
        let (Ok(start), Ok(length)) = (start.parse::<IpAddr>(), length.parse::<usize>()) else {
            return false;
        };
        let start = match &start {
            IpAddr::V4(ip) => &ip.octets()[..],
            IpAddr::V6(ip) => &ip.octets()[..],
        };
        let bit = |bytes: &[u8], i: usize| bytes.get(i / 8).map(|byte| byte >> (7 - i % 8) & 1);
        (0..length).all(|i| bit(start, i) == bit(address, i))
    })
}

/// A device of the LAN. The kernel lets a name have nearly anything; this one stands in texts that a program reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LanName(String);

impl LanName {
    /// Where the LAN's devices meet on OpenWrt and on RUTOS.
    pub fn usual() -> LanName {
        LanName("br-lan".to_string())
    }

    /// Nothing if it is no device's, or has more than letters, digits and - _ . @ in it: quotes, say, or the wildcards
    /// of nft ('*') and iptables ('+').
    pub fn new(name: &str) -> Option<LanName> {
        let harmless = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'@');
        // As long as the kernel lets one be (types::IfName); neither "." nor an option.
        let fits = matches!(name.len(), 1..=15) && !matches!(name.as_bytes(), [b'-' | b'.', ..]);
        (fits && name.bytes().all(harmless)).then(|| LanName(name.to_string()))
    }

    /// Of these names; the usual one without any. Nothing if one is none.
    pub fn all(names: &[String]) -> Option<Vec<LanName>> {
        match names {
            [] => Some(vec![LanName::usual()]),
            names => names.iter().map(|name| LanName::new(name)).collect(),
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What becomes of QUIC, which is HTTP in UDP to port 443.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quic {
    /// It is refused at once, and browsers take TCP: that is bonded best, and has no congestion control of its own
    /// within the proxy's connection.
    Block,
    /// It goes to the proxy as all UDP does.
    Proxy,
    /// It leaves by the WANs as without a proxy.
    Direct,
}

impl FromStr for Quic {
    type Err = String;

    fn from_str(text: &str) -> Result<Quic, String> {
        match text {
            "block" => Ok(Quic::Block),
            "proxy" => Ok(Quic::Proxy),
            "direct" => Ok(Quic::Direct),
            _ => Err(["'", text, "' is none of block, proxy, direct"].concat()),
        }
    }
}

/// What becomes of IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ipv6 {
    /// It goes to the proxy.
    Proxy,
    /// It leaves by the WANs as without a proxy.
    Direct,
    /// It is refused at once, so that hosts take IPv4: for a server that has none. A connection that was accepted here
    /// first and broken there would be the host's last try.
    Refuse,
}

impl FromStr for Ipv6 {
    type Err = String;

    fn from_str(text: &str) -> Result<Ipv6, String> {
        match text {
            "proxy" => Ok(Ipv6::Proxy),
            "direct" => Ok(Ipv6::Direct),
            "refuse" => Ok(Ipv6::Refuse),
            _ => Err(["'", text, "' is none of proxy, direct, refuse"].concat()),
        }
    }
}

/// What becomes of the LAN's connections while no server answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenDown {
    /// They go out directly.
    Direct,
    /// They are reset.
    Reject,
}

impl FromStr for WhenDown {
    type Err = String;

    fn from_str(text: &str) -> Result<WhenDown, String> {
        match text {
            "direct" => Ok(WhenDown::Direct),
            "reject" => Ok(WhenDown::Reject),
            _ => Err(["'", text, "' is none of direct, reject"].concat()),
        }
    }
}

/// What the rules depend on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Where the proxy listens, for TCP and UDP.
    pub port: NonZeroU16,
    /// The devices by which the LAN's packets come in; never empty.
    pub lan: Vec<LanName>,
    /// IPv6's fate.
    pub ipv6: Ipv6,
    /// QUIC's fate.
    pub quic: Quic,
}

/// What the tests of both tools have the rules for.
#[cfg(test)]
fn example(lan: &[&str], ipv6: Ipv6, quic: Quic) -> Rules {
    Rules { port: USUAL_PORT, lan: lan.iter().map(|name| LanName::new(name).unwrap()).collect(), ipv6, quic }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "server")]
    #[test]
    fn what_is_not_the_internet_is_special() {
        for (special, internet) in [
            ("10.255.255.255", "11.0.0.0"),
            ("100.127.255.255", "100.128.0.0"),
            ("127.0.0.1", "126.255.255.255"),
            ("169.254.1.1", "9.9.9.9"),
            ("172.31.0.0", "172.32.0.0"),
            ("0.0.0.0", "1.1.1.1"),
            ("255.255.255.255", "223.255.255.255"),
            ("::1", "2606:4700:4700::1111"),
            ("fe80::1", "2a00::1"),
            ("fd00::1", "2002::1"),
            ("64:ff9b::a00:1", "2001:4860:4860::8888"),
            ("168.63.129.16", "168.63.129.17"),
        ] {
            assert!(is_special(special.parse().unwrap()), "{special}");
            assert!(!is_special(internet.parse().unwrap()), "{internet}");
        }
    }

    #[test]
    fn names_that_a_tool_would_read_as_more_are_refused() {
        for good in ["br-lan", "eth0.2", "phy0-ap0", "lan3@eth0", "wg_home"] {
            assert_eq!(LanName::new(good).unwrap().as_str(), good);
        }
        for bad in [
            "",
            "br-*",
            "eth+",
            "a\"b",
            "a;b",
            "a}",
            "-j",
            "!lan",
            "a b",
            "..",
            "a/b",
            "abcdefghijklmnop",
            "l\u{e4}n",
        ] {
            assert_eq!(LanName::new(bad), None, "{bad:?}");
        }
    }
}
