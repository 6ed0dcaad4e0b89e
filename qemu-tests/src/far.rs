//! All that lies beyond a router's WAN ports: the wires with their relays, the ISPs, the server.
//!
//! The router may be a namespace ([`crate::topology`]) or a machine of its own ([`qemu::rig`]).

use std::fmt::Write as _;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use nix::net::if_::if_nametoindex;

use crate::failure::{Doing, Result, failed};
use crate::link::{Link, Wan};
use crate::ns::Ns;
use crate::topology::{
    CONGESTION_CONTROL, FALLBACK_CONGESTION_CONTROL, INTERNET_HOSTS, MAX_WANS, RpFilter, SERVER, SERVER_V6,
};
use crate::{relay, sys};

/// Of the random numbers of the relays: the same in every run.
const SEED: u32 = 0x9e37_79b9;

/// The far side of a lab. Everything ends with the process.
pub struct Far {
    /// Host and Internet beyond the ISPs.
    pub server: Ns,
    /// The first router of each ISP; the first belongs to WAN 1.
    pub isps: Vec<Ns>,
    /// Where the cables are: nothing here has an address.
    pub wire: Ns,
    /// What the relay of each WAN does to frames.
    pub links: Vec<Arc<Link>>,
    stop: Arc<AtomicBool>,
}

impl Far {
    /// Makes namespaces, devices, addresses and routes; the relays begin with [`Far::relay`].
    pub fn new(wans: &[Wan], ipv6: bool) -> Result<Far> {
        let count = wans.len();
        if !(1..=MAX_WANS).contains(&count) {
            return failed(format!("a lab has 1 to {MAX_WANS} WANs, not {count}"));
        }
        let far = Far {
            wire: Ns::new("wire")?,
            server: Ns::new("server")?,
            isps: (1..=count).map(|i| Ns::new(&format!("isp{i}"))).collect::<Result<Vec<Ns>>>()?,
            links: wans.iter().map(|wan| Arc::new(Link::new(wan))).collect(),
            stop: Arc::default(),
        };
        far.set_sysctls(ipv6)?;
        far.make_links()?;
        far.give_addresses(ipv6)?;
        Ok(far)
    }

    fn set_sysctls(&self, ipv6: bool) -> Result {
        for ns in [&self.server].into_iter().chain(&self.isps) {
            forward(ns, ipv6)?;
        }
        speak_mptcp(&self.server)?;
        rp_filter(&self.server, RpFilter::Off)?;
        for isp in &self.isps {
            rp_filter(isp, RpFilter::Strict)?;
        }
        // The wire must stay silent: no neighbour discovery of its own.
        self.wire.sysctl("net/ipv6/conf/default/disable_ipv6", 1)
    }

    /// The veth pairs between wire and ISPs and between ISPs and server. The two ends of each have different
    /// ifindexes, for the reason given at [`crate::topology::Builder::build`].
    fn make_links(&self) -> Result {
        let mut lines = String::new();
        for i in 1..=self.isps.len() {
            let (modem, customer, transit, far) = (200 + i, 30, 40, 50 + i);
            let _ = writeln!(
                lines,
                "link add m{i} index {modem} netns wire type veth peer name customer index {customer} netns isp{i}\n\
                 link add transit index {transit} netns isp{i} type veth peer name isp{i} index {far} netns server\n\
                 link set m{i} up"
            );
        }
        self.wire.ip_batch(&lines)
    }

    fn give_addresses(&self, ipv6: bool) -> Result {
        let mut lines = String::new();
        for host in [SERVER].iter().chain(&INTERNET_HOSTS) {
            let _ = writeln!(lines, "address add {host}/32 dev lo");
        }
        if ipv6 {
            let _ = writeln!(lines, "address add {SERVER_V6}/128 dev lo nodad");
        }
        for (i, isp) in (1..).zip(&self.isps) {
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
            if ipv6 {
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
        self.server.ip_batch(&lines)
    }

    /// Starts to carry frames between WAN `wan` of the router, whose frames come and go by `router`, and its ISP.
    pub fn relay(&self, wan: usize, router: OwnedFd) -> Result {
        let open = || sys::packet_socket(if_nametoindex(format!("m{wan}").as_str())?);
        let modem = self.wire.enter(open).doing("open a packet socket")?;
        self.carry(&format!("relay {wan}"), self.links[wan - 1].clone(), (router, modem), wan)
    }

    /// Carries frames over a link of its own until the end of the lab.
    pub fn carry(&self, name: &str, link: Arc<Link>, ends: (OwnedFd, OwnedFd), number: usize) -> Result {
        let stop = self.stop.clone();
        let seed = SEED.rotate_left(number as u32);
        self.wire.thread(name, move || relay::run(&ends.0, &ends.1, &link, seed, &stop))?;
        Ok(())
    }
}

impl Drop for Far {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
    }
}

/// Makes a router of the namespace.
pub(crate) fn forward(ns: &Ns, ipv6: bool) -> Result {
    // Nobody else has these addresses, and a tentative one keeps a router silent for a second.
    ns.sysctl("net/ipv6/conf/default/accept_dad", 0)?;
    ns.sysctl("net/ipv4/ip_forward", 1)?;
    if ipv6 { ns.sysctl("net/ipv6/conf/all/forwarding", 1) } else { Ok(()) }
}

/// Both ends of MPTCP connections need this.
pub(crate) fn speak_mptcp(ns: &Ns) -> Result {
    ns.sysctl("net/mptcp/enabled", 1)?;
    // Namespaces inherit the host's choice, which may be bbr (see CONGESTION_CONTROL).
    let wanted = ns.sysctl("net/ipv4/tcp_congestion_control", CONGESTION_CONTROL);
    wanted.or_else(|_| ns.sysctl("net/ipv4/tcp_congestion_control", FALLBACK_CONGESTION_CONTROL))?;
    // A transfer must not start with what an earlier one learnt.
    ns.sysctl("net/ipv4/tcp_no_metrics_save", 1)?;
    ns.run("ip mptcp limits set subflows 8 add_addr_accepted 8").map(drop)
}

pub(crate) fn rp_filter(ns: &Ns, mode: RpFilter) -> Result {
    // "default" before the devices exist, "all" because the larger of both holds.
    ns.sysctl("net/ipv4/conf/all/rp_filter", mode as u8)?;
    ns.sysctl("net/ipv4/conf/default/rp_filter", mode as u8)
}
