//! mux.cool, the frames of a VLESS connection that carries many sessions, and XUDP, its UDP: each datagram bears the
//! address that it goes to or comes from.
//!
//! A frame: length of what follows up to the data (u16, 4 to 512), session (u16), status, options; then, in the first
//! frame of a session and in UDP's others where there is one, network, port and address; then, if the options say so,
//! data behind its length (u16). Behind the address of a first UDP frame xray has 8 bytes more, by which the session is
//! known again on another connection; ours does so too.

use super::Malformed;
use super::vless::{self, Destination, Reader, Stop};

const NEW: u8 = 1;
const KEEP: u8 = 2;
const END: u8 = 3;
const KEEP_ALIVE: u8 = 4;
const HAS_DATA: u8 = 1;
const IS_ERROR: u8 = 2;
const TCP: u8 = 1;
const UDP: u8 = 2;

/// By which a UDP session is known again on another connection of the same client; zero is none.
pub type GlobalId = [u8; 8];

/// What a frame is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// A session begins.
    New,
    /// It goes on.
    Keep,
    /// It has ended; an error if it broke.
    End {
        /// It broke.
        broken: bool,
    },
    /// Nothing.
    KeepAlive,
}

/// What a session carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// A connection.
    Tcp,
    /// Datagrams.
    Udp,
}

/// A frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Which session; they are numbered by who begins them.
    pub session: u16,
    /// What it is for.
    pub status: Status,
    /// Where it goes to, or comes from.
    pub target: Option<(Network, Destination)>,
    /// In the first frame of UDP; zero otherwise.
    pub global_id: GlobalId,
    /// Its data; a datagram may be empty.
    pub data: Option<&'a [u8]>,
}

impl<'a> Frame<'a> {
    /// The frame that `bytes` begin with and its length; `None` if it goes on beyond them.
    ///
    /// # Errors
    /// It is none; what comes after it cannot be read either.
    pub fn parse(bytes: &'a [u8]) -> Result<Option<(Frame<'a>, usize)>, Malformed> {
        let mut reader = Reader { bytes, at: 0 };
        match frame(&mut reader) {
            Ok(frame) => Ok(Some((frame, reader.at))),
            Err(Stop::Short) => Ok(None),
            Err(Stop::Malformed) => Err(Malformed),
        }
    }

    /// Appends its bytes. Of data only the first 65,535 bytes: the longest datagram.
    pub fn put(&self, bytes: &mut Vec<u8>) {
        let start = bytes.len();
        let (status, broken) = match self.status {
            Status::New => (NEW, false),
            Status::Keep => (KEEP, false),
            Status::End { broken } => (END, broken),
            Status::KeepAlive => (KEEP_ALIVE, false),
        };
        let options = if broken { IS_ERROR } else { 0 } | if self.data.is_some() { HAS_DATA } else { 0 };
        bytes.extend([0, 0]);
        bytes.extend(self.session.to_be_bytes());
        bytes.extend([status, options]);
        if let Some((network, destination)) = &self.target {
            bytes.push(match network {
                Network::Tcp => TCP,
                Network::Udp => UDP,
            });
            vless::put(bytes, destination);
            if self.global_id != [0; 8] {
                bytes.extend(self.global_id);
            }
        }
        let length = (bytes.len() - start - 2) as u16;
        if let Some(place) = bytes.get_mut(start..start + 2) {
            place.copy_from_slice(&length.to_be_bytes());
        }
        if let Some(data) = self.data {
            let length = data.len().min(usize::from(u16::MAX));
            bytes.extend((length as u16).to_be_bytes());
            bytes.extend(data.get(..length).unwrap_or_default());
        }
    }
}

fn frame<'a>(reader: &mut Reader<'a>) -> Result<Frame<'a>, Stop> {
    let length = reader.number()?;
    if !(4..=512).contains(&length) {
        return Err(Stop::Malformed);
    }
    let bytes = reader.take(usize::from(length))?;
    let mut head = Reader { bytes, at: 0 };
    // The head is whole: what is missing in it does not come later.
    let (mut frame, options) = read_head(&mut head).map_err(|_| Stop::Malformed)?;
    if options & HAS_DATA != 0 {
        let length = reader.number()?;
        frame.data = Some(reader.take(usize::from(length))?);
    }
    Ok(frame)
}

fn read_head(head: &mut Reader<'_>) -> Result<(Frame<'static>, u8), Stop> {
    let session = head.number()?;
    let status = head.byte()?;
    let options = head.byte()?;
    let status = match status {
        NEW => Status::New,
        KEEP => Status::Keep,
        END => Status::End { broken: options & IS_ERROR != 0 },
        KEEP_ALIVE => Status::KeepAlive,
        _ => return Err(Stop::Malformed),
    };
    let mut frame = Frame { session, status, target: None, global_id: [0; 8], data: None };
    let has_target = match status {
        Status::New => true,
        Status::Keep => head.at < head.bytes.len(),
        _ => false,
    };
    if has_target {
        let network = match head.byte()? {
            TCP => Network::Tcp,
            UDP => Network::Udp,
            _ => return Err(Stop::Malformed),
        };
        frame.target = Some((network, head.destination()?));
        if status == Status::New
            && network == Network::Udp
            && let Ok(id) = head.array()
        {
            frame.global_id = id;
        }
    }
    Ok((frame, options))
}

#[cfg(test)]
mod tests;
