//! Services that answer who they are and whom they were asked for: they show where a packet went.
//!
//! One at "9.9.9.9:80" that is called "server" says `server 9.9.9.9:80`, over TCP and UDP. A transparent one says
//! whatever destination its packets had before the router's rules brought them to it.

use std::io::{self, IoSliceMut, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};

use nix::cmsg_space;
use nix::sys::socket::{
    AddressFamily, Backlog, ControlMessageOwned, MsgFlags, SockFlag, SockType, SockaddrIn, SockaddrIn6,
    SockaddrStorage, bind, connect, listen, recvmsg, setsockopt, socket,
    sockopt::{ReceiveTimeout, SendTimeout},
};
use nix::sys::time::{TimeVal, TimeValLike};

use crate::failure::{Doing, Result};
use crate::ns::Ns;
use crate::{runner, sys};

/// IPV6_TRANSPARENT and IPV6_RECVORIGDSTADDR (include/uapi/linux/in6.h), which libc has not for every C library.
const IPV6_TRANSPARENT: i32 = 75;
const IPV6_RECVORIGDSTADDR: i32 = 74;

/// An answer that takes longer does not come.
fn patience() -> TimeVal {
    TimeVal::seconds(runner::patience().into())
}

/// Whether a service answers for its own address or for those that its packets were on the way to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An ordinary one.
    Ordinary,
    /// IP_TRANSPARENT, as a proxy is.
    Transparent,
}

/// Starts a service for TCP and UDP in this namespace, which answers until the lab ends.
pub fn serve(ns: &Ns, name: &'static str, address: &str, kind: Kind) -> Result {
    let address: SocketAddr = address.parse()?;
    let open = || -> io::Result<(TcpListener, UdpSocket)> {
        let tcp = open(SockType::Stream, address, kind)?;
        listen(&tcp, Backlog::new(8)?)?;
        Ok((tcp.into(), open(SockType::Datagram, address, kind)?.into()))
    };
    let (tcp, udp) = ns.enter(open).doing(format_args!("serve at {address}"))?;
    ns.thread("tcp answers", move || tcp.incoming().flatten().for_each(|stream| answer(name, stream)))?;
    // In the namespace, for what it opens itself.
    ns.thread("udp answers", move || while answer_datagram(name, &udp, kind).is_ok() {})?;
    Ok(())
}

/// What a host in this namespace is answered over TCP from `to`, or why it is not.
pub fn ask_tcp(ns: &Ns, to: &str) -> Result<String> {
    ask_tcp_from(ns, None, to)
}

/// The same from one of the host's addresses.
pub fn ask_tcp_from(ns: &Ns, from: Option<&str>, to: &str) -> Result<String> {
    let (from, to) = addresses(from, to)?;
    let ask = || -> io::Result<String> {
        let fd = open(SockType::Stream, from, Kind::Ordinary)?;
        // Of connect(2) too.
        setsockopt(&fd, SendTimeout, &patience())?;
        setsockopt(&fd, ReceiveTimeout, &patience())?;
        connect(fd.as_raw_fd(), &SockaddrStorage::from(to))?;
        let mut text = String::new();
        TcpStream::from(fd).read_to_string(&mut text)?;
        Ok(text)
    };
    Ok(ns.enter(ask).unwrap_or_else(|e| said(&e)))
}

/// What a host in this namespace is answered over UDP from `to`, or why it is not.
pub fn ask_udp(ns: &Ns, to: &str) -> Result<String> {
    ask_udp_from(ns, None, to)
}

/// The same from one of the host's addresses.
pub fn ask_udp_from(ns: &Ns, from: Option<&str>, to: &str) -> Result<String> {
    let (from, to) = addresses(from, to)?;
    let ask = || -> io::Result<String> {
        let socket = UdpSocket::bind(from)?;
        setsockopt(&socket, ReceiveTimeout, &patience())?;
        // Connected: what another address answers does not come, and a refusal does.
        socket.connect(to)?;
        socket.send(b"who are you?")?;
        let mut text = [0; 100];
        let length = socket.recv(&mut text)?;
        Ok(String::from_utf8_lossy(&text[..length]).into_owned())
    };
    Ok(ns.enter(ask).unwrap_or_else(|e| said(&e)))
}

fn said(e: &io::Error) -> String {
    match e.kind() {
        io::ErrorKind::ConnectionRefused => "refused".to_string(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => "silence".to_string(),
        _ if e.raw_os_error() == Some(libc::EINPROGRESS) => "silence".to_string(),
        _ => e.to_string(),
    }
}

fn addresses(from: Option<&str>, to: &str) -> Result<(SocketAddr, SocketAddr)> {
    let to: SocketAddr = to.parse()?;
    let any: IpAddr = if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let from = from.map_or(Ok(any), str::parse)?;
    Ok((SocketAddr::new(from, 0), to))
}

/// A socket at this address.
fn open(kind: SockType, address: SocketAddr, transparent: Kind) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let fd = socket(family, kind, SockFlag::SOCK_CLOEXEC, None)?;
    let on = 1i32.to_ne_bytes();
    sys::set_option(&fd, libc::SOL_SOCKET, libc::SO_REUSEADDR, &on)?;
    if transparent == Kind::Transparent {
        let (level, transparent, destination) = match family {
            AddressFamily::Inet => (libc::SOL_IP, libc::IP_TRANSPARENT, libc::IP_RECVORIGDSTADDR),
            _ => (libc::SOL_IPV6, IPV6_TRANSPARENT, IPV6_RECVORIGDSTADDR),
        };
        sys::set_option(&fd, level, transparent, &on)?;
        if kind == SockType::Datagram {
            sys::set_option(&fd, level, destination, &on)?;
        }
    }
    bind(fd.as_raw_fd(), &SockaddrStorage::from(address))?;
    Ok(fd)
}

/// The local address of an accepted connection is its destination, whoever's that is.
fn answer(name: &str, mut stream: TcpStream) {
    if let Ok(address) = stream.local_addr() {
        // Whoever asked may be gone.
        let _ = stream.write_all(format!("{name} {address}").as_bytes());
    }
}

fn answer_datagram(name: &str, socket: &UdpSocket, kind: Kind) -> io::Result<()> {
    let mut bytes = [0; 100];
    if kind == Kind::Ordinary {
        let (_, from) = socket.recv_from(&mut bytes)?;
        let _ = socket.send_to(format!("{name} {}", socket.local_addr()?).as_bytes(), from);
        return Ok(());
    }
    let mut space = cmsg_space!(SockaddrIn6);
    let mut parts = [IoSliceMut::new(&mut bytes)];
    let fd = socket.as_raw_fd();
    let message = recvmsg::<SockaddrStorage>(fd, &mut parts, Some(&mut space), MsgFlags::empty())?;
    let destination = message.cmsgs()?.find_map(|control| match control {
        ControlMessageOwned::Ipv4OrigDstAddr(to) => Some(SocketAddr::V4(SockaddrIn::from(to).into())),
        ControlMessageOwned::Ipv6OrigDstAddr(to) => Some(SocketAddr::V6(SockaddrIn6::from(to).into())),
        _ => None,
    });
    let (Some(destination), Some(from)) = (destination, message.address) else { return Ok(()) };
    // The answer comes from where the question went.
    let reply = open(SockType::Datagram, destination, Kind::Transparent)?;
    connect(reply.as_raw_fd(), &from)?;
    let _ = UdpSocket::from(reply).send(format!("{name} {destination}").as_bytes());
    Ok(())
}
