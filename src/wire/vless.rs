//! VLESS, as xray and sing-box speak it without encryption: what a connection to the server begins with, and the two
//! bytes that its answers begin with.
//!
//! Request: version 0, the client's UUID, addons by length, command, and for TCP and UDP a destination; the payload
//! follows at once. Answer: version 0 and addons by length, then the payload. There is no length and no checksum: who
//! has the UUID is let in.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::Malformed;

const VERSION: u8 = 0;
const TCP: u8 = 1;
#[cfg(feature = "server")]
const UDP: u8 = 2;
const MUX: u8 = 3;
const IPV4: u8 = 1;
const NAME: u8 = 2;
const IPV6: u8 = 3;
/// Field 1 of the addons, bytes with a length: the flow (protobuf's tag). XTLS's are for connections within TLS, which
/// ours are not.
#[cfg(feature = "server")]
const FLOW: u8 = 0x0a;

/// The answer's first bytes: version, no addons.
#[cfg(feature = "server")]
pub const ANSWER: [u8; 2] = [VERSION, 0];

/// The longest request: with the longest addons and the longest name.
#[cfg(feature = "server")]
pub const MAX_REQUEST: usize = 1 + 16 + 1 + 255 + 1 + 2 + 1 + 1 + 255;

/// A client's secret name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Uuid(pub [u8; 16]);

impl Uuid {
    /// Of 32 hexadecimal digits, in whichever case, with or without dashes between bytes.
    pub fn parse(text: &str) -> Option<Uuid> {
        let mut bytes = [0; 16];
        let mut digits = 0;
        for byte in text.bytes() {
            // A dash may stand where a byte has ended, and not at an end.
            if byte == b'-' && digits % 2 == 0 && matches!(digits, 1..=31) {
                continue;
            }
            let digit = char::from(byte).to_digit(16)? as u8;
            let place = bytes.get_mut(digits / 2)?;
            *place = *place << 4 | digit;
            digits += 1;
        }
        (digits == 32).then_some(Uuid(bytes))
    }

    /// As RFC 9562 section 4 writes it.
    pub fn text(&self) -> String {
        let mut text = String::with_capacity(36);
        for (i, byte) in self.0.iter().enumerate() {
            if matches!(i, 4 | 6 | 8 | 10) {
                text.push('-');
            }
            for digit in [byte >> 4, byte & 0xf] {
                text.push(char::from_digit(u32::from(digit), 16).unwrap_or_default());
            }
        }
        text
    }

    /// A random one (version 4) of these random bytes.
    pub fn random(mut bytes: [u8; 16]) -> Uuid {
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        Uuid(bytes)
    }
}

/// Where somebody wants to be connected to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// An address.
    Address(SocketAddr),
    /// A name, for the server to look up, and a port.
    Name(Box<str>, u16),
}

/// What a connection is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// One TCP connection.
    Tcp(Destination),
    /// Datagrams to and from one destination, each behind its length (u16).
    #[cfg(feature = "server")]
    Udp(Destination),
    /// Frames of many sessions ([`super::mux`]).
    Mux,
}

/// What a client says first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Who it is.
    pub user: Uuid,
    /// What it wants.
    pub command: Command,
}

impl Request {
    /// The request that `bytes` begin with and its length; `None` if it goes on beyond them.
    ///
    /// # Errors
    /// It is none, of another version, or wants something that is not known here.
    #[cfg(feature = "server")]
    pub fn parse(bytes: &[u8]) -> Result<Option<(Request, usize)>, Malformed> {
        let mut reader = Reader { bytes, at: 0 };
        // What is wrong at the front is wrong whatever follows.
        match reader.request() {
            Ok(request) => Ok(Some((request, reader.at))),
            Err(Stop::Short) => Ok(None),
            Err(Stop::Malformed) => Err(Malformed),
        }
    }

    /// Its bytes.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(48);
        bytes.push(VERSION);
        bytes.extend(self.user.0);
        bytes.push(0);
        match &self.command {
            Command::Tcp(destination) => {
                bytes.push(TCP);
                put(&mut bytes, destination);
            }
            #[cfg(feature = "server")]
            Command::Udp(destination) => {
                bytes.push(UDP);
                put(&mut bytes, destination);
            }
            Command::Mux => bytes.push(MUX),
        }
        bytes
    }
}

/// The length of the answer's head that `bytes` begin with; `None` if it goes on beyond them.
///
/// # Errors
/// It is of another version.
pub fn answer(bytes: &[u8]) -> Result<Option<usize>, Malformed> {
    match bytes {
        [VERSION, addons, rest @ ..] if rest.len() >= usize::from(*addons) => {
            Ok(Some(2 + usize::from(*addons)))
        }
        [] | [VERSION, ..] => Ok(None),
        _ => Err(Malformed),
    }
}

/// Writes port, type and address, as requests and frames have them.
pub fn put(bytes: &mut Vec<u8>, destination: &Destination) {
    match destination {
        Destination::Address(address) => {
            bytes.extend(address.port().to_be_bytes());
            match address.ip() {
                IpAddr::V4(ip) => {
                    bytes.push(IPV4);
                    bytes.extend(ip.octets());
                }
                IpAddr::V6(ip) => {
                    bytes.push(IPV6);
                    bytes.extend(ip.octets());
                }
            }
        }
        Destination::Name(name, port) => {
            bytes.extend(port.to_be_bytes());
            bytes.push(NAME);
            // No parser here gives a longer one, and no name of DNS is.
            let name = name.as_bytes().get(..255).unwrap_or(name.as_bytes());
            bytes.push(name.len() as u8);
            bytes.extend(name);
        }
    }
}

/// Why a reader gave nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// There is more to come.
    Short,
    /// Whatever comes, it is none.
    Malformed,
}

/// Takes bytes from the front.
pub struct Reader<'a> {
    /// All of them.
    pub bytes: &'a [u8],
    /// So many are taken.
    pub at: usize,
}

impl<'a> Reader<'a> {
    /// The next `count` bytes.
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], Stop> {
        let taken = self.bytes.get(self.at..).and_then(|rest| rest.get(..count)).ok_or(Stop::Short)?;
        self.at += count;
        Ok(taken)
    }

    /// The next bytes as an array.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Stop> {
        self.take(N)?.try_into().map_err(|_| Stop::Short)
    }

    /// The next byte.
    pub fn byte(&mut self) -> Result<u8, Stop> {
        self.array().map(|[byte]| byte)
    }

    /// The next two bytes as a number.
    pub fn number(&mut self) -> Result<u16, Stop> {
        self.array().map(u16::from_be_bytes)
    }

    /// Port, type and address.
    pub fn destination(&mut self) -> Result<Destination, Stop> {
        let port = self.number()?;
        let ip = match self.byte()? {
            IPV4 => IpAddr::V4(Ipv4Addr::from(self.array::<4>()?)),
            // ::ffff:192.0.2.1 is an IPv4 address, to whoever says what is let through.
            IPV6 => Ipv6Addr::from(self.array::<16>()?).to_canonical(),
            NAME => {
                let length = self.byte()?;
                let name =
                    std::str::from_utf8(self.take(usize::from(length))?).map_err(|_| Stop::Malformed)?;
                return match name.parse() {
                    // Some clients send addresses so.
                    Ok(ip) => Ok(Destination::Address(SocketAddr::new(ip, port))),
                    Err(_) if is_name(name) => Ok(Destination::Name(name.into(), port)),
                    Err(_) => Err(Stop::Malformed),
                };
            }
            _ => return Err(Stop::Malformed),
        };
        Ok(Destination::Address(SocketAddr::new(ip, port)))
    }

    #[cfg(feature = "server")]
    fn request(&mut self) -> Result<Request, Stop> {
        if self.byte()? != VERSION {
            return Err(Stop::Malformed);
        }
        let user = Uuid(self.array()?);
        let addons = self.byte()?;
        if let [FLOW, 1..=255, ..] = self.take(usize::from(addons))? {
            return Err(Stop::Malformed);
        }
        let command = match self.byte()? {
            TCP => Command::Tcp(self.destination()?),
            UDP => Command::Udp(self.destination()?),
            MUX => Command::Mux,
            _ => return Err(Stop::Malformed),
        };
        Ok(Request { user, command })
    }
}

/// Letters, digits, and what stands between them in names of hosts; nothing that a resolver or a log reads as more.
fn is_name(name: &str) -> bool {
    (1..=253).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'))
}

#[cfg(test)]
pub mod tests;
