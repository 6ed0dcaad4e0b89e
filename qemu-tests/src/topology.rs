//! The network that tests run in.
//!
//! ```text
//!   lan ---- client ==== wire ==== isp1 ---- server
//!   .2   .1  wan1..N   (relays)    isp2 ----   |  203.0.113.1 (server), .11 and .12 (internet hosts)
//!                                   ...
//! ```
//!
//! WAN i: the router has 198.18.i.2/24 on `wan<i>`, its gateway is 198.18.i.1, and `isp<i>` reaches the
//! server over 198.19.i.0/24. With IPv6 the same over 2001:db8:18:i::/64 and 2001:db8:19:i::/64 to 2001:db8:203::1.
//! ISPs drop IPv4 packets whose source is not in the WAN's network, as real ones do (BCP 38). The kernel has
//! no such filter for IPv6.

use std::fmt::Write as _;
use std::sync::Arc;

use nix::net::if_::if_nametoindex;

use crate::failure::{Doing, Result};
use crate::far::{Far, forward, rp_filter, speak_mptcp};
use crate::link::{Link, Wan};
use crate::netifd::Netifd;
use crate::ns::Ns;
use crate::sys;

/// The server's address: MPTCP transfers and the proxy end there.
pub const SERVER: &str = "203.0.113.1";
/// Further hosts of "the Internet" for probes; the same machine as the server.
pub const INTERNET_HOSTS: [&str; 2] = ["203.0.113.11", "203.0.113.12"];
/// The server's IPv6 address.
pub const SERVER_V6: &str = "2001:db8:203::1";
/// A router has at most this many WANs (the path manager's limit of endpoints).
pub const MAX_WANS: usize = 8;

/// Congestion control of transfers, where the kernel permits it: what most servers run.
/// BBR paces too carefully over several subflows of one bottleneck host to measure a manager with it.
pub const CONGESTION_CONTROL: &str = "cubic";
/// Permitted in every namespace of every kernel.
pub(crate) const FALLBACK_CONGESTION_CONTROL: &str = "reno";

/// Reverse-path filtering on the router (net.ipv4.conf.*.rp_filter).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RpFilter {
    /// OpenWrt's default.
    Off = 0,
    /// Packets must come in by the device that leads to their source.
    Strict = 1,
    /// Any route to their source will do.
    Loose = 2,
}

/// A lab to build.
pub struct Builder {
    wans: Vec<Wan>,
    rp_filter: RpFilter,
    ipv6: bool,
    lan: bool,
}

/// A running lab. Everything ends with the process.
pub struct Lab {
    /// The router under test.
    pub client: Ns,
    /// Host and Internet beyond the ISPs.
    pub server: Ns,
    /// The first router of each ISP; `isps[0]` belongs to WAN 1. Prefer [`Lab::isp`].
    pub isps: Vec<Ns>,
    /// A host behind the router, 192.168.4.2, if asked for.
    pub lan: Option<Ns>,
    /// Sets addresses and routes of the WANs as OpenWrt's netifd does.
    pub netifd: Netifd,
    far: Far,
}

/// The router's ifindex of WAN i is this plus i.
const WAN_IFINDEX_BASE: usize = 10;

/// The router's ifindex of this WAN, the same in every lab.
pub fn ifindex(wan: usize) -> u32 {
    (WAN_IFINDEX_BASE + wan) as u32
}

/// The router's device of this WAN.
pub fn device(wan: usize) -> String {
    format!("wan{wan}")
}

impl Lab {
    /// Two to eight WANs are added by [`Builder::wan`].
    pub fn builder() -> Builder {
        Builder { wans: Vec::new(), rp_filter: RpFilter::Off, ipv6: false, lan: false }
    }

    /// 20 Mbit/s with 15 ms and 10 Mbit/s with 30 ms each way: the pair that most tests use.
    pub fn two_wans() -> Result<Lab> {
        Lab::builder().wan(Wan::mbit(20).delay_ms(15)).wan(Wan::mbit(10).delay_ms(30)).build()
    }

    /// How many WANs there are; they are numbered from 1.
    pub fn wans(&self) -> usize {
        self.far.links.len()
    }

    /// The link of a WAN, counted from 1 like every `wan` here.
    pub fn link(&self, wan: usize) -> &Arc<Link> {
        &self.far.links[wan - 1]
    }

    /// The ISP of a WAN.
    pub fn isp(&self, wan: usize) -> &Ns {
        &self.isps[wan - 1]
    }

    /// Silently drops everything on a WAN, or stops doing so: carrier and addresses stay as they are.
    pub fn blackhole(&self, wan: usize, on: bool) {
        self.link(wan).blackhole(on);
    }

    /// Pulls the cable at the modem's end (false), or plugs it in: the router sees the carrier change.
    /// netifd is not told: what it does then differs by protocol, so tests say it.
    pub fn far_carrier(&self, wan: usize, on: bool) -> Result {
        let state = if on { "up" } else { "down" };
        self.far.wire.run(&format!("ip link set r{wan} {state}")).map(|_| ())
    }

    /// `ip link set wan<i> down` on the router; the kernel flushes the device's routes.
    pub fn link_down(&self, wan: usize) -> Result {
        self.client.run(&format!("ip link set wan{wan} down")).map(|_| ())
    }

    /// Sets the device up again and lets netifd put back what the kernel flushed.
    pub fn link_up(&self, wan: usize) -> Result {
        self.client.run(&format!("ip link set wan{wan} up"))?;
        self.netifd.ifup(wan)
    }
}

impl Builder {
    /// Adds a WAN.
    pub fn wan(mut self, wan: Wan) -> Builder {
        self.wans.push(wan);
        self
    }

    /// Reverse-path filtering on the router; off unless set.
    pub fn rp_filter(mut self, mode: RpFilter) -> Builder {
        self.rp_filter = mode;
        self
    }

    /// IPv6 beside IPv4.
    pub fn ipv6(mut self) -> Builder {
        self.ipv6 = true;
        self
    }

    /// A host behind the router. There is no NAT: its packets reach the server only through a proxy.
    pub fn lan(mut self) -> Builder {
        self.lan = true;
        self
    }

    /// Makes the namespaces, devices, addresses, routes and relays. Every WAN is up, with metric = number.
    pub fn build(self) -> Result<Lab> {
        let far = Far::new(&self.wans, self.ipv6)?;
        let client = Ns::new("client")?;
        forward(&client, self.ipv6)?;
        speak_mptcp(&client)?;
        rp_filter(&client, self.rp_filter)?;
        self.make_ports(&far.wire)?;
        let lan = if self.lan { Some(make_lan(&client)?) } else { None };
        let count = self.wans.len();
        let lab = Lab {
            netifd: Netifd::new(client.clone(), count, self.ipv6),
            client,
            server: far.server.clone(),
            isps: far.isps.clone(),
            lan,
            far,
        };
        for wan in 1..=count {
            lab.start_relay(wan)?;
            lab.client.run(&format!("ip link set wan{wan} up"))?;
            lab.netifd.ifup(wan)?;
        }
        Ok(lab)
    }

    /// The veth pairs between router and wire. The two ends of each have different ifindexes: with equal ones
    /// the kernel takes a veth for a device without a lower one and delays news of a lost carrier by up to a
    /// second (net/core/link_watch.c, linkwatch_urgent_event).
    fn make_ports(&self, wire: &Ns) -> Result {
        let mut lines = String::new();
        for i in 1..=self.wans.len() {
            let (client, router) = (ifindex(i), 100 + i);
            let _ = writeln!(
                lines,
                "link add wan{i} index {client} netns client type veth peer name r{i} index {router} netns wire\n\
                 link set r{i} up"
            );
        }
        wire.ip_batch(&lines)
    }
}

fn make_lan(client: &Ns) -> Result<Ns> {
    let lan = Ns::new("lan")?;
    client.ip_batch(
        "link add lan0 index 9 type veth peer name eth0 index 8 netns lan\n\
         link set lan0 up\naddress add 192.168.4.1/24 dev lan0\n",
    )?;
    lan.ip_batch(
        "link set eth0 up\naddress add 192.168.4.2/24 dev eth0\nroute add default via 192.168.4.1\n",
    )?;
    Ok(lan)
}

impl Lab {
    fn start_relay(&self, wan: usize) -> Result {
        let ifname = device(wan);
        self.client.enter(|| sys::offloads_off(&ifname)).doing("switch offloads off on the router")?;
        let open = || sys::packet_socket(if_nametoindex(format!("r{wan}").as_str())?);
        let router = self.far.wire.enter(open).doing("open a packet socket")?;
        self.far.relay(wan, router)
    }
}
