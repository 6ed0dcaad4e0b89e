//! The address that this machine has towards the Internet.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsRawFd;

use nix::sys::socket::{self, AddressFamily, SockFlag, SockType, SockaddrStorage};

/// The address that the kernel would send from to the Internet, IPv4 before IPv6; nothing is sent.
///
/// # Errors
/// There is no route.
pub fn towards_internet() -> io::Result<IpAddr> {
    // Addresses for documentation (RFC 5737, RFC 3849): only a default route leads to them.
    let v4 = source(Ipv4Addr::new(192, 0, 2, 1).into());
    v4.or_else(|e| source(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into()).map_err(|_| e))
}

/// The address of a socket for datagrams that has this peer.
fn source(peer: IpAddr) -> io::Result<IpAddr> {
    /// None is ever sent there.
    const DISCARD: u16 = 9;
    let family = if peer.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let socket = socket::socket(family, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
    socket::connect(socket.as_raw_fd(), &SockaddrStorage::from(SocketAddr::new(peer, DISCARD)))?;
    let own: SockaddrStorage = socket::getsockname(socket.as_raw_fd())?;
    let v4 = own.as_sockaddr_in().map(|own| own.ip().into());
    let own = v4.or_else(|| own.as_sockaddr_in6().map(|own| own.ip().into()));
    own.ok_or_else(|| io::ErrorKind::Unsupported.into())
}
