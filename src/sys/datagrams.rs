//! UDP: datagrams that a firewall redirected here, with the addresses that they were for; answers from such an address;
//! and plain sockets.

use std::io::{self, IoSliceMut};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::{
    self, AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockType, SockaddrStorage, setsockopt,
    sockopt,
};
use smol::Async;

use super::stream::{address, make_transparent};

/// What waits to be read: a browser sends a page's worth of questions at once.
const RECEIVE_BUFFER: usize = 1 << 20;

/// A datagram that somebody sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// Its sender.
    pub from: SocketAddr,
    /// Whom it was for.
    pub to: SocketAddr,
    /// How long it is.
    pub length: usize,
}

/// Gets the datagrams that the firewall redirects to it.
pub struct Redirected(Async<OwnedFd>);

impl Redirected {
    /// At this address; of IPv6 alone if it is one of IPv6. Needs CAP_NET_ADMIN.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(at: SocketAddr) -> io::Result<Redirected> {
        let socket = open(at)?;
        make_transparent(&socket, at)?;
        if at.is_ipv4() {
            setsockopt(&socket, sockopt::Ipv4OrigDstAddr, &true)?;
        } else {
            setsockopt(&socket, sockopt::Ipv6OrigDstAddr, &true)?;
        }
        // As far as net.core.rmem_max permits; more needs a capability that we have.
        if setsockopt(&socket, sockopt::RcvBufForce, &RECEIVE_BUFFER).is_err() {
            let _ = setsockopt(&socket, sockopt::RcvBuf, &RECEIVE_BUFFER);
        }
        socket::bind(socket.as_raw_fd(), &SockaddrStorage::from(at))?;
        Ok(Redirected(Async::new(socket)?))
    }

    /// Waits until there is one.
    ///
    /// # Errors
    /// What the system says.
    pub async fn readable(&self) -> io::Result<()> {
        self.0.readable().await
    }

    /// The next one; `None` if its addresses are not told.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] if there is none now.
    pub fn try_receive(&self, buffer: &mut [u8]) -> io::Result<Option<Datagram>> {
        receive(self.0.get_ref(), buffer)
    }
}

fn receive(socket: &OwnedFd, buffer: &mut [u8]) -> io::Result<Option<Datagram>> {
    let mut parts = [IoSliceMut::new(buffer)];
    let mut space = nix::cmsg_space!(libc::sockaddr_in6);
    let flags = MsgFlags::MSG_DONTWAIT;
    let message =
        socket::recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut parts, Some(&mut space), flags)?;
    let mut to = None;
    for part in message.cmsgs()? {
        match part {
            ControlMessageOwned::Ipv4OrigDstAddr(of) => {
                let ip = Ipv4Addr::from(u32::from_be(of.sin_addr.s_addr));
                to = Some(SocketAddr::new(ip.into(), u16::from_be(of.sin_port)));
            }
            ControlMessageOwned::Ipv6OrigDstAddr(of) => {
                let ip = Ipv6Addr::from(of.sin6_addr.s6_addr).to_canonical();
                to = Some(SocketAddr::new(ip, u16::from_be(of.sin6_port)));
            }
            _ => {}
        }
    }
    let from = message.address.map(address).transpose()?;
    let (Some(from), Some(to)) = (from, to) else { return Ok(None) };
    Ok(Some(Datagram { from, to, length: message.bytes }))
}

/// Sends from an address that is another's.
pub struct Spoofed(OwnedFd);

impl Spoofed {
    /// From this address; what it sends has this mark. Needs CAP_NET_ADMIN.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(from: SocketAddr, mark: u32) -> io::Result<Spoofed> {
        let socket = open(from)?;
        make_transparent(&socket, from)?;
        setsockopt(&socket, sockopt::ReuseAddr, &true)?;
        setsockopt(&socket, sockopt::ReusePort, &true)?;
        setsockopt(&socket, sockopt::Mark, &mark)?;
        socket::bind(socket.as_raw_fd(), &SockaddrStorage::from(from))?;
        Ok(Spoofed(socket))
    }

    /// Sends to this address.
    ///
    /// # Errors
    /// What the system says.
    pub fn send(&self, bytes: &[u8], to: SocketAddr) -> io::Result<()> {
        socket::sendto(self.0.as_raw_fd(), bytes, &SockaddrStorage::from(to), MsgFlags::MSG_DONTWAIT)?;
        Ok(())
    }
}

/// A socket of one family, for any peer.
pub struct Datagrams(Async<OwnedFd>);

impl Datagrams {
    /// At any address of the family of `like`; what it sends has this mark, 0 is none.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(like: SocketAddr, mark: u32) -> io::Result<Datagrams> {
        let socket = open(like)?;
        if mark != 0 {
            setsockopt(&socket, sockopt::Mark, &mark)?;
        }
        let any: SocketAddr = match like {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        socket::bind(socket.as_raw_fd(), &SockaddrStorage::from(any))?;
        Ok(Datagrams(Async::new(socket)?))
    }

    /// Sends to this address.
    ///
    /// # Errors
    /// What the system says.
    pub fn send(&self, bytes: &[u8], to: SocketAddr) -> io::Result<()> {
        socket::sendto(self.0.as_raw_fd(), bytes, &SockaddrStorage::from(to), MsgFlags::MSG_DONTWAIT)?;
        Ok(())
    }

    /// Waits until there is one, or news that one did not arrive.
    ///
    /// # Errors
    /// What the system says.
    pub async fn readable(&self) -> io::Result<()> {
        self.0.readable().await
    }

    /// The length of the next datagram, and who sent it.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] if there is none now; or an earlier one did not arrive.
    pub fn try_receive(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let (length, from) = socket::recvfrom::<SockaddrStorage>(self.0.as_raw_fd(), buffer)?;
        Ok((length, address(from.ok_or(io::ErrorKind::InvalidData)?)?))
    }
}

fn open(of: SocketAddr) -> io::Result<OwnedFd> {
    let family = if of.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket::socket(family, SockType::Datagram, flags, None)?;
    if of.is_ipv6() {
        setsockopt(&socket, sockopt::Ipv6V6Only, &true)?;
    }
    Ok(socket)
}
