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
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use nix::net::if_::if_nametoindex;

use crate::failure::{Doing, Result, failed};
use crate::link::{Link, Wan};
use crate::netifd::Netifd;
use crate::ns::Ns;
use crate::relay;
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
const FALLBACK_CONGESTION_CONTROL: &str = "reno";

/// Of the random numbers of the relays: the same in every run.
const SEED: u32 = 0x9e37_79b9;

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
    wire: Ns,
    links: Vec<Arc<Link>>,
    stop: Arc<AtomicBool>,
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
        self.links.len()
    }

    /// The link of a WAN, counted from 1 like every `wan` here.
    pub fn link(&self, wan: usize) -> &Arc<Link> {
        &self.links[wan - 1]
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
        self.wire.run(&format!("ip link set r{wan} {state}")).map(|_| ())
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

impl Drop for Lab {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
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
        let count = self.wans.len();
        if !(1..=MAX_WANS).contains(&count) {
            return failed(format!("a lab has 1 to {MAX_WANS} WANs, not {count}"));
        }
        let client = Ns::new("client")?;
        let wire = Ns::new("wire")?;
        let server = Ns::new("server")?;
        let isps = (1..=count).map(|i| Ns::new(&format!("isp{i}"))).collect::<Result<Vec<Ns>>>()?;
        self.set_sysctls(&client, &wire, &server, &isps)?;
        self.make_links(&wire)?;
        self.address_far_side(&server, &isps)?;
        let lan = if self.lan { Some(make_lan(&client)?) } else { None };
        let lab = Lab {
            netifd: Netifd::new(client.clone(), count, self.ipv6),
            links: self.wans.iter().map(|wan| Arc::new(Link::new(wan))).collect(),
            stop: Arc::default(),
            client,
            server,
            isps,
            lan,
            wire,
        };
        lab.start_relays()?;
        for wan in 1..=count {
            lab.client.run(&format!("ip link set wan{wan} up"))?;
            lab.netifd.ifup(wan)?;
        }
        Ok(lab)
    }

    fn set_sysctls(&self, client: &Ns, wire: &Ns, server: &Ns, isps: &[Ns]) -> Result {
        let rp_filter = |ns: &Ns, mode: RpFilter| {
            // "default" before the devices exist, "all" because the larger of both holds.
            ns.sysctl("net/ipv4/conf/all/rp_filter", mode as u8)?;
            ns.sysctl("net/ipv4/conf/default/rp_filter", mode as u8)
        };
        for ns in [client, server].into_iter().chain(isps) {
            // Nobody else has these addresses, and a tentative one keeps a router silent for a second.
            ns.sysctl("net/ipv6/conf/default/accept_dad", 0)?;
            ns.sysctl("net/ipv4/ip_forward", 1)?;
            if self.ipv6 {
                ns.sysctl("net/ipv6/conf/all/forwarding", 1)?;
            }
        }
        for ns in [client, server] {
            ns.sysctl("net/mptcp/enabled", 1)?;
            // Namespaces inherit the host's choice, which may be bbr (see CONGESTION_CONTROL).
            let wanted = ns.sysctl("net/ipv4/tcp_congestion_control", CONGESTION_CONTROL);
            wanted.or_else(|_| ns.sysctl("net/ipv4/tcp_congestion_control", FALLBACK_CONGESTION_CONTROL))?;
            // A transfer must not start with what an earlier one learnt.
            ns.sysctl("net/ipv4/tcp_no_metrics_save", 1)?;
            ns.run("ip mptcp limits set subflows 8 add_addr_accepted 8")?;
        }
        rp_filter(client, self.rp_filter)?;
        rp_filter(server, RpFilter::Off)?;
        for isp in isps {
            rp_filter(isp, RpFilter::Strict)?;
        }
        // The wire must stay silent: no neighbour discovery of its own.
        wire.sysctl("net/ipv6/conf/default/disable_ipv6", 1)
    }

    /// Both veth pairs of every WAN and those between the ISPs and the server. The two ends of each have
    /// different ifindexes: with equal ones the kernel takes a veth for a device without a lower one and
    /// delays news of a lost carrier by up to a second (net/core/link_watch.c, linkwatch_urgent_event).
    fn make_links(&self, wire: &Ns) -> Result {
        let mut lines = String::new();
        for i in 1..=self.wans.len() {
            let (client, router, modem, customer) = (ifindex(i), 100 + i, 200 + i, 30);
            let (transit, far) = (40, 50 + i);
            let _ = writeln!(
                lines,
                "link add wan{i} index {client} netns client type veth peer name r{i} index {router} netns wire\n\
                 link add m{i} index {modem} netns wire type veth peer name customer index {customer} netns isp{i}\n\
                 link add transit index {transit} netns isp{i} type veth peer name isp{i} index {far} netns server"
            );
        }
        wire.ip_batch(&lines)?;
        let mut lines = String::new();
        for i in 1..=self.wans.len() {
            let _ = writeln!(lines, "link set r{i} up\nlink set m{i} up");
        }
        wire.ip_batch(&lines)
    }

    fn address_far_side(&self, server: &Ns, isps: &[Ns]) -> Result {
        let mut lines = String::new();
        for host in [SERVER].iter().chain(&INTERNET_HOSTS) {
            let _ = writeln!(lines, "address add {host}/32 dev lo");
        }
        if self.ipv6 {
            let _ = writeln!(lines, "address add {SERVER_V6}/128 dev lo nodad");
        }
        for (i, isp) in (1..).zip(isps) {
            let _ = writeln!(
                lines,
                "link set isp{i} up\n\
                 address add 198.19.{i}.2/24 dev isp{i}\n\
                 route add 198.18.{i}.0/24 via 198.19.{i}.1"
            );
            let mut there = format!(
                "link set customer up\nlink set transit up\n\
                 address add 198.18.{i}.1/24 dev customer\n\
                 address add 198.19.{i}.1/24 dev transit\n\
                 route add default via 198.19.{i}.2\n"
            );
            if self.ipv6 {
                let _ = writeln!(
                    lines,
                    "address add 2001:db8:19:{i}::2/64 dev isp{i} nodad\n\
                     route add 2001:db8:18:{i}::/64 via 2001:db8:19:{i}::1"
                );
                let _ = writeln!(
                    there,
                    "address add 2001:db8:18:{i}::1/64 dev customer nodad\n\
                     address add 2001:db8:19:{i}::1/64 dev transit nodad\n\
                     route add default via 2001:db8:19:{i}::2"
                );
            }
            isp.ip_batch(&there)?;
            isp.enter(|| sys::offloads_off("customer")).doing("switch offloads off at the ISP")?;
        }
        server.ip_batch(&lines)
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
    fn start_relays(&self) -> Result {
        for (wan, link) in (1..).zip(&self.links) {
            let ifname = device(wan);
            self.client.enter(|| sys::offloads_off(&ifname)).doing("switch offloads off on the router")?;
            let open = |name: String| {
                let index = if_nametoindex(name.as_str())?;
                sys::packet_socket(index)
            };
            let (router, modem) = self
                .wire
                .enter(|| -> std::io::Result<_> { Ok((open(format!("r{wan}"))?, open(format!("m{wan}"))?)) })
                .doing("open packet sockets")?;
            let (link, stop) = (link.clone(), self.stop.clone());
            let seed = SEED.rotate_left(wan as u32);
            self.wire
                .thread(&format!("relay {wan}"), move || relay::run(&router, &modem, &link, seed, &stop))?;
        }
        Ok(())
    }
}
