//! Probes out of one device: ICMP echoes by a raw socket, TCP SYNs by sockets of their own.
//!
//! Raw, since ping sockets are closed to root too where net.ipv4.ping_group_range has its default "1 0". A socket
//! bound to a device looks routes up with that device alone, so every WAN is asked whatever its metric is.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Duration;

use nix::sys::socket::{
    self, AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrStorage, setsockopt, sockopt,
};
use smol::Async;
use smol::future::FutureExt;

use super::mptcp::{self, IPPROTO_MPTCP};
use crate::types::IfName;
use crate::wan::mptcp::Answer;
use crate::wire::icmp::{self, Echo};
use crate::wire::tproxy::DIRECT;

/// No answer is waited for longer; the policy has given up before.
const TCP_TIMEOUT: Duration = Duration::from_secs(4);
/// Longer than until Linux tries without the options (at 3 s from 6.12 on, syn_retrans_before_tcp_fallback).
const MPTCP_TIMEOUT: Duration = Duration::from_secs(5);
/// struct icmp_filter's socket option (uapi/linux/icmp.h); level is SOL_RAW.
const ICMP_FILTER: libc::c_int = 1;
const SOL_RAW: libc::c_int = 255;
/// ICMP6_FILTER (RFC 3542 section 3.2), level IPPROTO_ICMPV6: a set bit blocks the type.
const ICMP6_FILTER: libc::c_int = 1;

/// A socket for echoes out of one device.
pub struct EchoSocket {
    socket: Async<OwnedFd>,
    v4: bool,
    id: u16,
    cookie: u64,
}

impl EchoSocket {
    /// Opens it for IPv4 or IPv6; `id` tells this socket's echoes from other sockets'. Needs CAP_NET_RAW.
    pub fn open(device: &IfName, v4: bool, id: u16) -> io::Result<EchoSocket> {
        let (family, protocol) = match v4 {
            true => (AddressFamily::Inet, SockProtocol::Icmp),
            false => (AddressFamily::Inet6, SockProtocol::IcmpV6),
        };
        let socket = socket::socket(family, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol)?;
        setsockopt(&socket, sockopt::BindToDevice, &device.as_str().into())?;
        mark(&socket);
        only_replies(&socket, v4)?;
        // Between processes and restarts the replies of one must not be taken for another's.
        let cookie = u64::from(std::process::id()) << 32 | 0x6273_6266;
        Ok(EchoSocket { socket: Async::new(socket)?, v4, id, cookie })
    }

    /// Whether it speaks IPv4.
    pub fn is_v4(&self) -> bool {
        self.v4
    }

    /// Sends echo `seq` to `target`.
    pub fn send(&self, target: IpAddr, seq: u16) -> io::Result<()> {
        let request = Echo { id: self.id, seq, cookie: self.cookie }.request(target);
        let to = SockaddrStorage::from(SocketAddr::new(target, 0));
        socket::sendto(self.socket.as_fd().as_raw_fd(), &request, &to, MsgFlags::MSG_DONTWAIT)?;
        Ok(())
    }

    /// Waits for a reply to an echo of this socket and gives its number.
    pub async fn receive(&self) -> io::Result<u16> {
        let mut buffer = [0; 128];
        loop {
            let received = self
                .socket
                .read_with(|fd| Ok(socket::recv(fd.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT)?))
                .await;
            let packet = buffer.get(..received?).unwrap_or(&buffer);
            let echo =
                if self.v4 { icmp::reply_v4(packet).map(|(_, echo)| echo) } else { icmp::reply_v6(packet) };
            match echo {
                Ok(echo) if echo.id == self.id && echo.cookie == self.cookie => return Ok(echo.seq),
                // Another program's ping.
                _ => {}
            }
        }
    }
}

/// Who was asked for a connection.
enum Asked {
    /// Has given one.
    Open(Async<OwnedFd>),
    /// Has refused it.
    Refused,
    /// Has not answered in time.
    Silent,
}

/// Knocks at `target` from `device` by TCP. True if it answered, be it with a refusal; false if nothing came in time.
pub async fn knock(device: &IfName, target: SocketAddr) -> io::Result<bool> {
    let asked = connect(device, target, libc::IPPROTO_TCP, TCP_TIMEOUT).await?;
    Ok(!matches!(asked, Asked::Silent))
}

/// Whether `target` gives a connection of plain TCP to who asks from `device`.
pub async fn opens(device: &IfName, target: SocketAddr) -> io::Result<bool> {
    let asked = connect(device, target, libc::IPPROTO_TCP, TCP_TIMEOUT).await?;
    Ok(matches!(asked, Asked::Open(_)))
}

/// How a server answers who asks for MPTCP from `device`.
///
/// # Errors
/// What the system says: that the kernel has no MPTCP, or none that tells what it does (before 5.16).
pub async fn mptcp(device: &IfName, server: SocketAddr) -> io::Result<Answer> {
    if !mptcp::is_told() {
        return Err(io::ErrorKind::Unsupported.into());
    }
    Ok(match connect(device, server, IPPROTO_MPTCP, MPTCP_TIMEOUT).await? {
        Asked::Open(socket) if mptcp::has_fallen_back(&socket) => {
            Answer::Tcp { syns_before: mptcp::retransmissions(&socket) }
        }
        Asked::Open(_) => Answer::Mptcp,
        Asked::Refused | Asked::Silent => Answer::Nothing,
    })
}

async fn connect(
    device: &IfName,
    target: SocketAddr,
    protocol: libc::c_int,
    patience: Duration,
) -> io::Result<Asked> {
    let family = if target.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    let socket = mptcp::open(family, protocol)?;
    setsockopt(&socket, sockopt::BindToDevice, &device.as_str().into())?;
    mark(&socket);
    // Closing resets at once: no farewell over a link that may be paid by the byte.
    setsockopt(&socket, sockopt::Linger, &libc::linger { l_onoff: 1, l_linger: 0 })?;
    match socket::connect(socket.as_raw_fd(), &SockaddrStorage::from(target)) {
        Ok(()) | Err(nix::errno::Errno::EINPROGRESS) => {}
        Err(nix::errno::Errno::ECONNREFUSED) => return Ok(Asked::Refused),
        Err(e) => return Err(e.into()),
    }
    let socket = Async::new(socket)?;
    let connected = async { socket.writable().await.map(|()| true) };
    let late = async {
        smol::Timer::after(patience).await;
        Ok(false)
    };
    if !connected.or(late).await? {
        return Ok(Asked::Silent);
    }
    Ok(match socket::getsockopt(&socket, sockopt::SocketError)? {
        0 => Asked::Open(socket),
        libc::ECONNREFUSED => Asked::Refused,
        // Unreachable, or timed out in the kernel.
        _ => Asked::Silent,
    })
}

/// Marks what the socket sends: what redirects the LAN to a proxy or a tunnel leaves it alone. Without CAP_NET_ADMIN there are no marks, and no redirection of ours either.
fn mark(socket: &OwnedFd) {
    if let Err(e) = setsockopt(socket, sockopt::Mark, &DIRECT) {
        log::debug!("cannot mark probes: {}", io::Error::from(e));
    }
}

/// Lets the kernel drop everything but echo replies: a router hears a lot of other ICMP.
fn only_replies(socket: &OwnedFd, v4: bool) -> io::Result<()> {
    let v4_filter: u32 = !1; // ICMP_ECHOREPLY is type 0
    let mut v6_filter = [u32::MAX; 8];
    v6_filter[129 / 32] &= !(1 << (129 % 32)); // ICMPV6_ECHO_REPLY
    let (level, name, value, len) = match v4 {
        true => (SOL_RAW, ICMP_FILTER, (&raw const v4_filter).cast(), size_of_val(&v4_filter)),
        false => (libc::IPPROTO_ICMPV6, ICMP6_FILTER, (&raw const v6_filter).cast(), size_of_val(&v6_filter)),
    };
    // SAFETY: `value` points to `len` bytes that live until the call returns; the kernel only reads them.
    let result = unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, value, len as libc::socklen_t) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
