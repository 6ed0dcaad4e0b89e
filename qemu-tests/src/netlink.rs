//! Just enough netlink to watch: requests that dump, messages and their attributes.
//!
//! Written apart from the product's own codec on purpose: what checks a thing must not share its mistakes.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, send, socket,
};

/// struct nlmsghdr: u32 length, u16 type, u16 flags, u32 sequence, u32 port.
const HEADER: usize = 16;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_DUMP: u16 = 0x300;
/// The kernel's dumps come in pieces of at most 32 KiB.
const BUFFER: usize = 64 * 1024;
/// The upper bits of an attribute's type are flags (NLA_F_NESTED, NLA_F_NET_BYTEORDER).
const TYPE_MASK: u16 = 0x3fff;

/// One message without its header.
pub struct Message {
    /// nlmsg_type.
    pub kind: u16,
    /// nlmsg_flags.
    pub flags: u16,
    /// What follows the header.
    pub payload: Vec<u8>,
}

/// A netlink socket of the namespace of the thread that opened it.
pub struct Socket {
    fd: OwnedFd,
    buffer: Vec<u8>,
}

impl Socket {
    /// NETLINK_ROUTE, listening to the multicast groups of this bit mask.
    pub fn route(groups: u32) -> io::Result<Socket> {
        Socket::open(SockProtocol::NetlinkRoute, groups)
    }

    /// NETLINK_GENERIC.
    pub fn generic() -> io::Result<Socket> {
        Socket::open(SockProtocol::NetlinkGeneric, 0)
    }

    fn open(protocol: SockProtocol, groups: u32) -> io::Result<Socket> {
        let fd = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol)?;
        bind(fd.as_raw_fd(), &NetlinkAddr::new(0, groups))?;
        Ok(Socket { fd, buffer: vec![0; BUFFER] })
    }

    /// For poll.
    pub fn fd(&self) -> &OwnedFd {
        &self.fd
    }

    /// The messages of the next datagram; waits for it.
    pub fn receive(&mut self) -> io::Result<Vec<Message>> {
        let length = recv(self.fd.as_raw_fd(), &mut self.buffer, MsgFlags::empty())?;
        Ok(messages(&self.buffer[..length]))
    }

    /// Every answer to a dump request, or the answer to a request of one object.
    pub fn request(&mut self, kind: u16, dump: bool, payload: &[u8]) -> io::Result<Vec<Message>> {
        let flags = if dump { NLM_F_REQUEST | NLM_F_DUMP } else { NLM_F_REQUEST };
        let mut bytes = Vec::with_capacity(HEADER + payload.len());
        bytes.extend(((HEADER + payload.len()) as u32).to_ne_bytes());
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(flags.to_ne_bytes());
        bytes.extend([0; 8]);
        bytes.extend(payload);
        send(self.fd.as_raw_fd(), &bytes, MsgFlags::empty())?;
        let mut answers = Vec::new();
        loop {
            for message in self.receive()? {
                match message.kind {
                    NLMSG_DONE => return Ok(answers),
                    NLMSG_ERROR => {
                        let code = i32::from_ne_bytes(field(&message.payload, 0));
                        return Err(io::Error::from_raw_os_error(-code));
                    }
                    _ => answers.push(message),
                }
            }
            if !dump {
                return Ok(answers);
            }
        }
    }
}

fn messages(mut bytes: &[u8]) -> Vec<Message> {
    let mut found = Vec::new();
    while bytes.len() >= HEADER {
        let length = u32::from_ne_bytes(field(bytes, 0)) as usize;
        let Some(payload) = bytes.get(HEADER..length) else { break };
        found.push(Message {
            kind: u16::from_ne_bytes(field(bytes, 4)),
            flags: u16::from_ne_bytes(field(bytes, 6)),
            payload: payload.to_vec(),
        });
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    found
}

/// `N` bytes at `offset`; zeroes where the message is too short.
pub fn field<const N: usize>(bytes: &[u8], offset: usize) -> [u8; N] {
    bytes.get(offset..offset + N).and_then(|found| found.try_into().ok()).unwrap_or([0; N])
}

/// The attributes in `bytes`, as type and value.
pub fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16::from_ne_bytes(field(bytes, 0)));
        let value = bytes.get(4..length)?;
        let kind = u16::from_ne_bytes(field(bytes, 2)) & TYPE_MASK;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}
