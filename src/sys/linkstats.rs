//! Byte counters of links, by rtnetlink.

use std::io;

use neli::consts::socket::{Msg, NlFamily};
use neli::socket::NlSocket;
use neli::utils::Groups;

use crate::types::IfName;
use crate::wire::linkstats::{LinkStats, Reply, replies, request};

/// The kernel fills at most 32 KiB with one part of a dump (netlink_dump, net/netlink/af_netlink.c).
const BUFFER: usize = 32 * 1024;

/// A netlink socket with one request at a time on its way.
pub struct LinkStatsSocket {
    socket: NlSocket,
    sequence: u32,
    buffer: Vec<u8>,
}

impl LinkStatsSocket {
    /// Opens the socket. Needs no privilege.
    pub fn open() -> io::Result<LinkStatsSocket> {
        let socket = NlSocket::connect(NlFamily::Route, None, Groups::empty())?;
        Ok(LinkStatsSocket { socket, sequence: 0, buffer: vec![0; BUFFER] })
    }

    /// The counters of the device called `name`; `None` if there is none of that name.
    pub fn read(&mut self, name: &IfName) -> io::Result<Option<LinkStats>> {
        self.send(Some(name))?;
        let mut found = None;
        while found.is_none() {
            self.receive(|reply| match reply {
                Reply::Link(_, stats) => found = Some(Ok(Some(stats))),
                Reply::Error(libc::ENODEV) => found = Some(Ok(None)),
                Reply::Error(errno) => found = Some(Err(io::Error::from_raw_os_error(errno))),
                Reply::Done | Reply::Other => found = Some(Err(io::ErrorKind::InvalidData.into())),
            })?;
        }
        found.unwrap_or(Ok(None))
    }

    /// The names of all devices.
    pub fn names(&mut self) -> io::Result<Vec<IfName>> {
        self.send(None)?;
        let mut names = Vec::new();
        let mut end = None;
        while end.is_none() {
            self.receive(|reply| match reply {
                Reply::Link(name, _) => names.extend(name),
                Reply::Error(errno) => end = Some(Err(io::Error::from_raw_os_error(errno))),
                Reply::Done => end = Some(Ok(())),
                Reply::Other => {}
            })?;
        }
        end.unwrap_or(Ok(())).map(|()| names)
    }

    fn send(&mut self, name: Option<&IfName>) -> io::Result<()> {
        self.sequence = self.sequence.wrapping_add(1);
        self.socket.send(request(name, self.sequence), Msg::empty()).map(drop)
    }

    /// Waits for a datagram and hands over its messages that answer the last request.
    fn receive(&mut self, mut on_reply: impl FnMut(Reply)) -> io::Result<()> {
        let length = loop {
            match self.socket.recv(&mut self.buffer, Msg::empty()) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                received => break received?.0,
            }
        };
        let datagram = self.buffer.get(..length).unwrap_or(&self.buffer);
        for (_, reply) in replies(datagram).filter(|&(sequence, _)| sequence == self.sequence) {
            on_reply(reply);
        }
        Ok(())
    }
}
