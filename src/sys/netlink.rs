//! Netlink sockets: one that asks and waits for the answer, one that listens.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use neli::consts::socket::{Msg, NlFamily};
use neli::socket::NlSocket;
use neli::utils::Groups;

use crate::wire::nl::{self, Message, Messages, Request};

/// The kernel fills at most 32 KiB with one part of a dump (netlink_dump, net/netlink/af_netlink.c).
const BUFFER: usize = 32 * 1024;
/// A dump that was interrupted by a change is repeated at most this often; the change notifies us anyway.
const DUMP_TRIES: u32 = 5;
const NLM_F_DUMP_INTR: u16 = 0x10;
const NLMSG_ERROR: u16 = libc::NLMSG_ERROR as u16;
const NLMSG_DONE: u16 = libc::NLMSG_DONE as u16;

/// Which netlink family a socket speaks.
#[derive(Clone, Copy, Debug)]
pub enum Protocol {
    /// rtnetlink.
    Route,
    /// Generic netlink.
    Generic,
}

impl From<Protocol> for NlFamily {
    fn from(protocol: Protocol) -> NlFamily {
        match protocol {
            Protocol::Route => NlFamily::Route,
            Protocol::Generic => NlFamily::Generic,
        }
    }
}

/// A socket for requests, one at a time. The kernel answers within the call, so waiting blocks nobody.
pub struct Asker {
    socket: NlSocket,
    seq: u32,
    buffer: Vec<u8>,
}

impl Asker {
    /// Opens the socket; needs no privilege.
    pub fn open(protocol: Protocol) -> io::Result<Asker> {
        let socket = NlSocket::connect(protocol.into(), None, Groups::empty())?;
        Ok(Asker { socket, seq: 0, buffer: vec![0; BUFFER] })
    }

    /// Sends a request and waits for its acknowledgement; the kernel's errno is the error.
    pub fn order(&mut self, request: Request) -> io::Result<()> {
        self.converse(request.with_ack(), |_| Ok(())).map(drop)
    }

    /// Sends a request and hands its one answer to `read`.
    pub fn ask<T>(
        &mut self,
        request: Request,
        mut read: impl FnMut(&Message) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut answer = None;
        self.converse(request.with_ack(), |message| {
            answer = Some(read(message)?);
            Ok(())
        })?;
        answer.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "no answer"))
    }

    /// Sends a dump request, made by `request` for each try, and collects what `read` makes of its objects.
    pub fn dump<T>(
        &mut self,
        request: impl Fn() -> Request,
        read: impl Fn(&Message) -> io::Result<Option<T>>,
    ) -> io::Result<Vec<T>> {
        let mut objects = Vec::new();
        for _ in 0..DUMP_TRIES {
            objects.clear();
            let interrupted = self.converse(request(), |message| {
                objects.extend(read(message)?);
                Ok(())
            })?;
            if !interrupted {
                break;
            }
        }
        Ok(objects)
    }

    /// Sends, and receives until an error, an acknowledgement or the end of a dump. Gives true when the dump was
    /// interrupted.
    fn converse(
        &mut self,
        request: Request,
        mut on_object: impl FnMut(&Message) -> io::Result<()>,
    ) -> io::Result<bool> {
        self.seq = self.seq.wrapping_add(1);
        self.socket.send(request.finish(self.seq), Msg::empty())?;
        let mut interrupted = false;
        loop {
            let length = match self.socket.recv(&mut self.buffer, Msg::empty()) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                received => received?.0,
            };
            let datagram = self.buffer.get(..length).unwrap_or(&self.buffer);
            for message in Messages(datagram) {
                let message = message.map_err(malformed)?;
                if message.seq != self.seq {
                    continue;
                }
                interrupted |= message.flags & NLM_F_DUMP_INTR != 0;
                match message.kind {
                    NLMSG_DONE => return Ok(interrupted),
                    NLMSG_ERROR => match nl::errno(message.body).map_err(malformed)? {
                        0 => return Ok(interrupted),
                        errno => return Err(io::Error::from_raw_os_error(errno)),
                    },
                    _ => on_object(&message)?,
                }
            }
        }
    }
}

fn malformed(e: crate::wire::Malformed) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, e.to_string())
}

/// A socket that hears what happens.
pub struct Listener {
    socket: smol::Async<Fd>,
    buffer: Vec<u8>,
}

/// neli's socket with the trait that smol asks for.
struct Fd(NlSocket);

impl AsFd for Fd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: NlSocket owns the descriptor and closes it only when it is dropped, which the borrow of self outlives.
        unsafe { BorrowedFd::borrow_raw(self.0.as_raw_fd()) }
    }
}

fn member(protocol: Protocol, groups: &[u32]) -> io::Result<Fd> {
    let socket = NlSocket::new(protocol.into())?;
    socket.bind(None, Groups::empty())?;
    socket.add_mcast_membership(Groups::new_groups(groups))?;
    Ok(Fd(socket))
}

/// What a listener heard.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard {
    /// A datagram was handed over.
    Messages,
    /// The kernel had to drop some: whoever listens must look for himself.
    Overflow,
}

impl Listener {
    /// Opens the socket and joins the groups, by number. The events of mptcp_pm need CAP_NET_ADMIN.
    pub fn open(protocol: Protocol, groups: &[u32]) -> io::Result<Listener> {
        Ok(Listener { socket: smol::Async::new(member(protocol, groups)?)?, buffer: vec![0; BUFFER] })
    }

    /// Waits for the next datagram and hands over its messages, as far as they are well formed.
    pub async fn hear(
        &mut self,
        mut on_message: impl FnMut(Result<Message, crate::wire::Malformed>),
    ) -> io::Result<Heard> {
        let buffer = &mut self.buffer;
        let received = self.socket.read_with(|fd| fd.0.recv(&mut *buffer, Msg::empty())).await;
        let length = match received {
            Ok((length, _)) => length,
            Err(e) if e.raw_os_error() == Some(libc::ENOBUFS) => return Ok(Heard::Overflow),
            Err(e) => return Err(e),
        };
        Messages(buffer.get(..length).unwrap_or(buffer)).for_each(&mut on_message);
        Ok(Heard::Messages)
    }
}

/// A socket that only tells that something has happened; what, has to be asked.
pub struct Bell(Fd);

impl Bell {
    /// Opens the socket and joins the groups, by number.
    pub fn open(protocol: Protocol, groups: &[u32]) -> io::Result<Bell> {
        member(protocol, groups).map(Bell)
    }

    /// Whether something has happened since this was asked last.
    pub fn rang(&self) -> io::Result<bool> {
        let mut rang = false;
        loop {
            // What does not fit is lost with its datagram.
            match self.0.0.recv(&mut [0], Msg::DONTWAIT) {
                Ok(_) => rang = true,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(rang),
                // More than the kernel could keep.
                Err(e) if e.raw_os_error() == Some(libc::ENOBUFS) => rang = true,
                Err(e) => return Err(e),
            }
        }
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
