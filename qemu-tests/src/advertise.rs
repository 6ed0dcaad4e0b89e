//! Router advertisements of an ISP: the kernel makes default routes of them, as it does on every router whose
//! IPv6 comes by SLAAC.

use std::net::{Ipv6Addr, SocketAddrV6};
use std::os::fd::AsRawFd;

use nix::net::if_::if_nametoindex;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn6, sendto, socket,
};

use crate::failure::{Doing, Result};
use crate::sys;
use crate::topology::{Lab, device};

/// All nodes of the link (RFC 4291, section 2.7.1).
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
/// RFC 4861: type 134; an advertisement that came over a router is ignored, so its hop limit must be 255.
const ROUTER_ADVERTISEMENT: u8 = 134;
const HOP_LIMIT: i32 = 255;

/// Lets the router take advertisements on all WANs, though it forwards.
pub fn accept(lab: &Lab) -> Result {
    (1..=lab.wans())
        .try_for_each(|wan| lab.client.sysctl(&format!("net/ipv6/conf/{}/accept_ra", device(wan)), 2))
}

/// The WAN's ISP advertises itself as a default router for this many seconds; 0 takes it back.
pub fn send(lab: &Lab, wan: usize, lifetime: u16) -> Result {
    // Type, code, checksum (the kernel's work), hop limit of hosts, flags, lifetime, reachable and
    // retransmission timers; no options (RFC 4861, section 4.2).
    let mut message = [0; 16];
    message[0] = ROUTER_ADVERTISEMENT;
    message[4] = 64;
    message[6..8].copy_from_slice(&lifetime.to_be_bytes());
    let sending = || -> Result {
        let flags = SockFlag::SOCK_CLOEXEC;
        let fd = socket(AddressFamily::Inet6, SockType::Raw, flags, SockProtocol::IcmpV6)?;
        sys::set_option(&fd, libc::IPPROTO_IPV6, libc::IPV6_MULTICAST_HOPS, &HOP_LIMIT.to_ne_bytes())?;
        let index = if_nametoindex("customer")?;
        let to = SockaddrIn6::from(SocketAddrV6::new(ALL_NODES, 0, 0, index));
        sendto(fd.as_raw_fd(), &message, &to, MsgFlags::empty())?;
        Ok(())
    };
    lab.isp(wan).enter(sending).doing(format_args!("advertise a router on WAN {wan}"))
}
