//! TCP and MPTCP connections, and the listeners that they come in by, transparent ones too.

use std::cell::Cell;
use std::io;
use std::net::{Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::{
    self, AddressFamily, Backlog, MsgFlags, Shutdown, SockaddrStorage, setsockopt, sockopt,
};
use smol::Async;
use smol::future::{self, FutureExt};

use super::mptcp::{self, IPPROTO_MPTCP};

/// A peer that went away without a word is noticed after this, and so many questions without an answer. Rare enough for
/// a phone on a battery.
const KEEP_IDLE: u32 = 300;
const KEEP_INTERVAL: u32 = 30;
const KEEP_COUNT: u32 = 5;

/// Which protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// MPTCP, and TCP where the kernel has none of it.
    Mptcp,
}

/// A connection.
pub struct Stream {
    socket: Async<Socket>,
}

/// Its descriptor, and in what would be padding beside it: every byte of a stream is one of every connection.
struct Socket {
    fd: OwnedFd,
    /// It was told that it has come to be plain TCP.
    is_told: Cell<bool>,
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsRawFd for Socket {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

impl Stream {
    /// Connects, and gives up after a time. What it sends has this mark; 0 is none.
    ///
    /// # Errors
    /// What the system says; [`io::ErrorKind::TimedOut`] after `within`.
    pub async fn connect(
        to: SocketAddr,
        protocol: Protocol,
        mark: u32,
        within: Duration,
    ) -> io::Result<Stream> {
        let stream = Stream::begin(to, protocol, mark)?;
        stream.connected(within).await?;
        Ok(stream)
    }

    /// Begins to connect. What it sends has this mark; 0 is none.
    ///
    /// # Errors
    /// What the system says.
    pub fn begin(to: SocketAddr, protocol: Protocol, mark: u32) -> io::Result<Stream> {
        let socket = open(to, protocol)?;
        if mark != 0 {
            setsockopt(&socket, sockopt::Mark, &mark)?;
        }
        match socket::connect(socket.as_raw_fd(), &SockaddrStorage::from(to)) {
            Ok(()) | Err(Errno::EINPROGRESS) => {}
            Err(e) => return Err(e.into()),
        }
        Stream::new(socket)
    }

    /// Waits until what was begun is connected, and gives up after a time.
    ///
    /// # Errors
    /// What the system says; [`io::ErrorKind::TimedOut`] after `within`.
    pub async fn connected(&self, within: Duration) -> io::Result<()> {
        let late = async {
            smol::Timer::after(within).await;
            Err(io::ErrorKind::TimedOut.into())
        };
        self.socket.writable().or(late).await?;
        self.take_error()?;
        self.adjust();
        Ok(())
    }

    /// One that a test has opened.
    ///
    /// # Errors
    /// What the system says.
    #[cfg(test)]
    pub fn of(socket: OwnedFd) -> io::Result<Stream> {
        Stream::new(socket)
    }

    fn new(socket: OwnedFd) -> io::Result<Stream> {
        Ok(Stream { socket: Async::new(Socket { fd: socket, is_told: Cell::new(false) })? })
    }

    /// What both ends of a relay want: no waiting for more to send, and news of peers that are gone.
    fn adjust(&self) {
        let _ = setsockopt(&self.socket, sockopt::TcpNoDelay, &true);
        let _ = setsockopt(&self.socket, sockopt::KeepAlive, &true);
        let _ = setsockopt(&self.socket, sockopt::TcpKeepIdle, &KEEP_IDLE);
        let _ = setsockopt(&self.socket, sockopt::TcpKeepInterval, &KEEP_INTERVAL);
        let _ = setsockopt(&self.socket, sockopt::TcpKeepCount, &KEEP_COUNT);
    }

    /// Marks what it sends from now on.
    ///
    /// # Errors
    /// What the system says.
    #[cfg(feature = "server")]
    pub fn mark(&self, mark: u32) -> io::Result<()> {
        Ok(setsockopt(&self.socket, sockopt::Mark, &mark)?)
    }

    /// This end's address; of a connection that a transparent listener accepted, the one that was asked for.
    ///
    /// # Errors
    /// What the system says.
    pub fn local(&self) -> io::Result<SocketAddr> {
        address(socket::getsockname::<SockaddrStorage>(self.socket.as_raw_fd())?)
    }

    /// The other end's address.
    ///
    /// # Errors
    /// What the system says.
    pub fn peer(&self) -> io::Result<SocketAddr> {
        address(socket::getpeername::<SockaddrStorage>(self.socket.as_raw_fd())?)
    }

    /// Takes what is there, as much as fits; 0 bytes at its end.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] if nothing is there now.
    pub fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(retry(|| socket::recv(self.socket.as_raw_fd(), buffer, MsgFlags::MSG_DONTWAIT))?)
    }

    /// Sends as much as there is room for.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] if there is none now.
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        Ok(retry(|| socket::send(self.socket.as_raw_fd(), bytes, flags))?)
    }

    /// Waits until there is something to read, its end included. One task at a time may.
    ///
    /// # Errors
    /// What the system says.
    pub async fn readable(&self) -> io::Result<()> {
        // Unlike `Async::readable`, without an allocation for those who wait: there is one.
        future::poll_fn(|context| self.socket.poll_readable(context)).await
    }

    /// Waits until there is room to write. One task at a time may.
    ///
    /// # Errors
    /// What the system says.
    pub async fn writable(&self) -> io::Result<()> {
        future::poll_fn(|context| self.socket.poll_writable(context)).await
    }

    /// Reads into all of `buffer`, or less at its end.
    ///
    /// # Errors
    /// What the system says.
    pub async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.try_read(buffer) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => self.readable().await?,
                read => return read,
            }
        }
    }

    /// Writes all of it.
    ///
    /// # Errors
    /// What the system says.
    pub async fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.try_write(bytes) {
                Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => self.writable().await?,
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    /// Whether it is MPTCP, and not plain TCP from the beginning on (SO_PROTOCOL, socket(7)).
    pub fn is_mptcp(&self) -> bool {
        let mut protocol: libc::c_int = 0;
        let mut length = size_of_val(&protocol) as libc::socklen_t;
        // SAFETY: it writes an int, as long as it is told, that lives until the call returns.
        let result = unsafe {
            libc::getsockopt(
                self.socket.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_PROTOCOL,
                (&raw mut protocol).cast(),
                &raw mut length,
            )
        };
        result == 0 && protocol == IPPROTO_MPTCP
    }

    /// Whether one that was to be MPTCP is plain TCP: it came to be, at its beginning or later, or there is no MPTCP here.
    /// That is told once.
    pub fn falls_back(&self) -> bool {
        let is_tcp = || !self.is_mptcp() || mptcp::has_fallen_back(&self.socket);
        let is_told = &self.socket.get_ref().is_told;
        !is_told.get() && is_tcp() && !is_told.replace(true)
    }

    /// Bytes written that the other end has not acknowledged, of MPTCP in whatever subflow (SIOCOUTQ, tcp(7), here by its
    /// other name; mptcp_ioctl in net/mptcp/protocol.c counts from snd_una). `None` where the kernel does not tell, as
    /// before 5.17 of MPTCP.
    pub fn unacknowledged(&self) -> Option<u64> {
        let mut bytes: libc::c_int = 0;
        // SAFETY: it writes one int, and `bytes` is one, which lives until the call returns.
        let result = unsafe { libc::ioctl(self.socket.as_raw_fd(), libc::TIOCOUTQ as _, &raw mut bytes) };
        if result == 0 { u64::try_from(bytes).ok() } else { None }
    }

    /// Whether nobody has said anything yet, nor hung up.
    pub fn is_fresh(&self) -> bool {
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_PEEK;
        retry(|| socket::recv(self.socket.as_raw_fd(), &mut [0], flags)) == Err(Errno::EAGAIN)
    }

    /// Tells the peer that nothing more comes.
    pub fn end(&self) {
        // It may have ended itself meanwhile.
        let _ = socket::shutdown(self.socket.as_raw_fd(), Shutdown::Write);
    }

    /// What has broken it, where nobody reads or writes; once.
    ///
    /// # Errors
    /// That.
    pub fn take_error(&self) -> io::Result<()> {
        match socket::getsockopt(&self.socket, sockopt::SocketError)? {
            0 => Ok(()),
            error => Err(io::Error::from_raw_os_error(error)),
        }
    }

    /// Whether it is reset, and not ended with a farewell, when this process is no more.
    pub fn resets(&self, resets: bool) {
        let _ =
            setsockopt(&self.socket, sockopt::Linger, &libc::linger { l_onoff: resets.into(), l_linger: 0 });
    }

    /// Ends it with a reset instead of a farewell: something was lost, and the peer has to know.
    pub fn reset(self) {
        self.resets(true);
        // Not every kernel with MPTCP heeds that when it closes: the peer would take a part for the whole. A disconnect
        // (connect(2), AF_UNSPEC) says MP_FASTCLOSE in all of them (mptcp_disconnect, net/mptcp/protocol.c).
        let nowhere = libc::sockaddr { sa_family: libc::AF_UNSPEC as libc::sa_family_t, sa_data: [0; 14] };
        // SAFETY: it points to an address, as long as it is told, that lives until the call returns.
        unsafe {
            libc::connect(
                self.socket.as_raw_fd(),
                &raw const nowhere,
                size_of_val(&nowhere) as libc::socklen_t,
            );
        }
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Accepts connections.
pub struct Listener {
    socket: Async<OwnedFd>,
}

impl Listener {
    /// Listens at an address. A transparent one gets what the firewall redirects to it, whatever its destination is
    /// (needs CAP_NET_ADMIN). One of IPv6 is of IPv6 alone.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(at: SocketAddr, protocol: Protocol, transparent: bool) -> io::Result<Listener> {
        let socket = open(at, protocol)?;
        setsockopt(&socket, sockopt::ReuseAddr, &true)?;
        if at.is_ipv6() {
            setsockopt(&socket, sockopt::Ipv6V6Only, &true)?;
        }
        if transparent {
            make_transparent(&socket, at)?;
        }
        socket::bind(socket.as_raw_fd(), &SockaddrStorage::from(at))?;
        // As many waiting connections as the system lets anybody have (somaxconn). nix refuses numbers above its own,
        // which is 128 with musl.
        socket::listen(&socket, Backlog::MAXALLOWABLE)?;
        Ok(Listener { socket: Async::new(socket)? })
    }

    /// Waits for the next connection.
    ///
    /// # Errors
    /// What the system says; of a connection that ended before it was accepted, nothing.
    pub async fn accept(&self) -> io::Result<Stream> {
        let flags = socket::SockFlag::SOCK_CLOEXEC | socket::SockFlag::SOCK_NONBLOCK;
        loop {
            let accepted = self.socket.read_with(|fd| Ok(socket::accept4(fd.as_raw_fd(), flags)?)).await;
            match accepted {
                Ok(fd) => {
                    // SAFETY: accept4 gave it to us, and nobody else has it.
                    let stream = Stream::new(unsafe { OwnedFd::from_raw_fd(fd) })?;
                    stream.adjust();
                    return Ok(stream);
                }
                // accept(2): errors of the new connection's network.
                Err(e)
                    if matches!(e.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted) => {}
                Err(e) if e.raw_os_error() == Some(libc::EPROTO) => {}
                Err(e) => return Err(e),
            }
        }
    }
}

/// Lets a socket have addresses that are not this machine's (ip(7), IP_TRANSPARENT; of IPv6 the same by another level).
pub(super) fn make_transparent(socket: &OwnedFd, at: SocketAddr) -> io::Result<()> {
    if at.is_ipv4() {
        return Ok(setsockopt(socket, sockopt::IpTransparent, &true)?);
    }
    let on: libc::c_int = 1;
    // SAFETY: it points to an int that lives until the call returns.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_IPV6,
            libc::IPV6_TRANSPARENT,
            (&raw const on).cast(),
            size_of_val(&on) as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn open(of: SocketAddr, protocol: Protocol) -> io::Result<OwnedFd> {
    let family = if of.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    match protocol {
        Protocol::Tcp => mptcp::open(family, libc::IPPROTO_TCP),
        // Not built in, or switched off.
        Protocol::Mptcp => {
            mptcp::open(family, IPPROTO_MPTCP).or_else(|_| mptcp::open(family, libc::IPPROTO_TCP))
        }
    }
}

/// Its address; one of IPv4 that came in by a socket of IPv6 is one of IPv4.
pub(super) fn address(of: SockaddrStorage) -> io::Result<SocketAddr> {
    if let Some(v4) = of.as_sockaddr_in() {
        return Ok(SocketAddr::new(v4.ip().into(), v4.port()));
    }
    match of.as_sockaddr_in6() {
        Some(v6) => Ok(SocketAddr::new(Ipv6Addr::to_canonical(&v6.ip()), v6.port())),
        None => Err(io::Error::other(format!("an address of family {:?}", of_family(&of)))),
    }
}

fn of_family(of: &SockaddrStorage) -> Option<AddressFamily> {
    use nix::sys::socket::SockaddrLike;
    of.family()
}

/// Calls again what a signal has interrupted.
pub(super) fn retry<T>(mut call: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    loop {
        match call() {
            Err(Errno::EINTR) => {}
            done => return done,
        }
    }
}
