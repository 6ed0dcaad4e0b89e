//! A connection of the proxy's, as it is or encrypted (the crate bsbf-noise). Whoever uses it need not know which.
//!
//! An encrypted one that has nothing on its way keeps no bytes. What was written counts as written once its frames have
//! left: who keeps the rest until it has, as for a socket, has nothing to flush.

use std::cell::RefCell;
use std::io::{self, ErrorKind::WouldBlock};
use std::mem;
use std::net::IpAddr;

use bsbf_noise::Forged;
use bsbf_noise::frames::{self, EXTRA, LONGEST, MOST, Session};

use super::scratch;
use crate::sys::stream::Stream;

/// So many frames go out at a time: of more, what finds no room would be kept twice, open and sealed.
const AT_ONCE: usize = 4;

/// A connection.
pub struct Channel {
    stream: Stream,
    sealed: Option<Box<RefCell<Sealed>>>,
}

/// What an encrypted one has.
struct Sealed {
    session: Session,
    /// Frames that have come, the last one a part.
    received: Vec<u8>,
    /// What a frame carried beyond the room there was.
    opened: Vec<u8>,
    /// The other end has said all.
    has_ended: bool,
    /// Frames that have found no room, from this byte on, and how much they carry.
    unsent: Vec<u8>,
    sent: usize,
    owed: usize,
    /// Bytes that have left.
    left: u64,
}

impl From<Stream> for Channel {
    fn from(stream: Stream) -> Channel {
        Channel { stream, sealed: None }
    }
}

impl Channel {
    /// Encrypted from now on.
    pub fn sealed(stream: Stream, session: Session) -> Channel {
        let sealed = Sealed {
            session,
            received: Vec::new(),
            opened: Vec::new(),
            has_ended: false,
            unsent: Vec::new(),
            sent: 0,
            owed: 0,
            left: 0,
        };
        Channel { stream, sealed: Some(Box::new(RefCell::new(sealed))) }
    }

    /// The connection, if it is carried as it is.
    pub fn plain(&self) -> Option<&Stream> {
        if self.sealed.is_none() { Some(&self.stream) } else { None }
    }

    /// Our address, of one that has come to be plain TCP; once ([`Stream::falls_back`]).
    pub fn falls_back(&self) -> Option<IpAddr> {
        if self.stream.falls_back() { Some(self.stream.local().ok()?.ip()) } else { None }
    }

    /// Marks what it sends from now on.
    ///
    /// # Errors
    /// What the system says.
    #[cfg(feature = "server")]
    pub fn mark(&self, mark: u32) -> io::Result<()> {
        self.stream.mark(mark)
    }

    /// Takes what is there, as much as fits; 0 bytes at its end.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] if nothing is there now; that it was cut, or somebody else has said something.
    pub fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match &self.sealed {
            None => self.stream.try_read(buffer),
            Some(sealed) => sealed.borrow_mut().read(&self.stream, buffer),
        }
    }

    /// Sends as much as there is room for. The rest has to be what is written next.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] if there is none now.
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match &self.sealed {
            None => self.stream.try_write(bytes),
            Some(sealed) => sealed.borrow_mut().write(&self.stream, bytes),
        }
    }

    /// Waits until there is something to read, its end included. One task at a time may.
    ///
    /// # Errors
    /// What the system says.
    pub async fn readable(&self) -> io::Result<()> {
        if self.sealed.as_ref().is_some_and(|sealed| sealed.borrow_mut().has_something()) {
            return Ok(());
        }
        self.stream.readable().await
    }

    /// Waits until there is room to write. One task at a time may.
    ///
    /// # Errors
    /// What the system says.
    pub async fn writable(&self) -> io::Result<()> {
        self.stream.writable().await
    }

    /// Reads into all of `buffer`, or less at its end.
    ///
    /// # Errors
    /// What the system says.
    pub async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.try_read(buffer) {
                Err(e) if e.kind() == WouldBlock => self.readable().await?,
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
                Err(e) if e.kind() == WouldBlock => self.writable().await?,
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    /// Tells the peer that nothing more comes. All has to be written.
    ///
    /// # Errors
    /// What the system says, of one that is encrypted: its last frame has to leave.
    pub async fn end(&self) -> io::Result<()> {
        if let Some(sealed) = &self.sealed {
            // Whoever carries a connection has room for this only while it lasts.
            Box::pin(self.say_end(sealed)).await?;
        }
        self.stream.end();
        Ok(())
    }

    async fn say_end(&self, sealed: &RefCell<Sealed>) -> io::Result<()> {
        sealed.borrow_mut().seal_end()?;
        loop {
            let sent = sealed.borrow_mut().flush(&self.stream);
            match sent {
                Ok(()) => return Ok(()),
                Err(e) if e.kind() == WouldBlock => self.writable().await?,
                Err(e) => return Err(e),
            }
        }
    }

    /// Whether it is MPTCP, and not plain TCP from the beginning on.
    pub fn is_mptcp(&self) -> bool {
        self.stream.is_mptcp()
    }

    /// Bytes of it that the other end has not acknowledged, where the kernel tells.
    pub fn unacknowledged(&self) -> Option<u64> {
        self.stream.unacknowledged()
    }

    /// Bytes that the kernel has taken for so many that were written.
    pub fn written(&self, plain: u64) -> u64 {
        self.sealed.as_ref().map_or(plain, |sealed| sealed.borrow().left)
    }

    /// Whether nobody has said anything yet, nor hung up.
    pub fn is_fresh(&self) -> bool {
        self.stream.is_fresh()
    }

    /// What has broken it, where nobody reads or writes; once.
    ///
    /// # Errors
    /// That.
    pub fn take_error(&self) -> io::Result<()> {
        self.stream.take_error()
    }

    /// Whether it is reset, and not ended with a farewell, when this process is no more.
    pub fn resets(&self, resets: bool) {
        self.stream.resets(resets);
    }

    /// Ends it with a reset instead of a farewell: something was lost, and the peer has to know.
    pub fn reset(self) {
        self.stream.reset();
    }
}

impl Sealed {
    /// Whether there is something to read without anything coming. If not, nothing is kept.
    fn has_something(&mut self) -> bool {
        if self.received.is_empty() {
            self.received = Vec::new();
        }
        self.has_ended || !self.opened.is_empty() || !matches!(frames::next(&self.received), Ok(None))
    }

    fn read(&mut self, stream: &Stream, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if !self.opened.is_empty() {
                let length = self.opened.len().min(buffer.len());
                buffer.iter_mut().zip(self.opened.drain(..length)).for_each(|(to, from)| *to = from);
                if self.opened.is_empty() {
                    self.opened = Vec::new();
                }
                return Ok(length);
            }
            if self.has_ended {
                return Ok(0);
            }
            let read = scratch::with_sealed(|there| self.open(stream, buffer, there))?;
            if read > 0 {
                return Ok(read);
            }
        }
    }

    /// Opens the frames that are there, or come now, as far as there is room for what they carry; how much that was. Without
    /// room for the first, it is opened aside.
    fn open(&mut self, stream: &Stream, buffer: &mut [u8], there: &mut [u8]) -> io::Result<usize> {
        let before = self.received.len();
        there.get_mut(..before).ok_or(io::ErrorKind::InvalidData)?.copy_from_slice(&self.received);
        let mut length = before;
        if frames::next(&self.received).map_err(forged)?.is_none() {
            // No more than what there is room for, once it is opened.
            let most = (buffer.len() + buffer.len().div_ceil(MOST) * EXTRA).clamp(LONGEST, there.len());
            length += match stream.try_read(there.get_mut(before..most).unwrap_or_default())? {
                // Its end was not said by who had something to say.
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => read,
            };
        }
        let there = there.get(..length).unwrap_or_default();
        let (mut at, mut filled) = (0, 0);
        while let Some(body) = frames::next(there.get(at..).unwrap_or_default()).map_err(forged)? {
            let carried = frames::carried(body);
            let room = buffer.get_mut(filled..).unwrap_or_default();
            let is_aside = carried > room.len();
            if !is_aside {
                filled += self.session.open(body, room).map_err(forged)?;
            } else if filled == 0 {
                self.opened = vec![0; carried];
                self.session.open(body, &mut self.opened).map_err(forged)?;
            } else {
                break;
            }
            at += frames::whole(body);
            self.has_ended = carried == 0;
            if is_aside || self.has_ended {
                break;
            }
        }
        self.received.clear();
        self.received.extend(there.get(at..).unwrap_or_default());
        Ok(filled)
    }

    fn write(&mut self, stream: &Stream, bytes: &[u8]) -> io::Result<usize> {
        let mut written = 0;
        while written < bytes.len() {
            let sent = match self.unsent.is_empty() {
                true => self.seal(stream, bytes.get(written..).unwrap_or_default()),
                false => self.flush(stream),
            };
            match sent {
                Ok(()) => written += mem::take(&mut self.owed),
                Err(e) if e.kind() == WouldBlock && written > 0 => break,
                Err(e) => return Err(e),
            }
        }
        Ok(written)
    }

    /// Seals the first of these bytes, and sends them.
    fn seal(&mut self, stream: &Stream, bytes: &[u8]) -> io::Result<()> {
        scratch::with_sealed(|out| {
            let mut length = 0;
            for chunk in bytes.chunks(MOST).take(AT_ONCE) {
                let room = out.get_mut(length..).unwrap_or_default();
                length += self.session.seal(chunk, room).map_err(forged)?;
                self.owed += chunk.len();
            }
            let frames = out.get(..length).unwrap_or_default();
            let sent = match stream.try_write(frames) {
                Err(e) if e.kind() == WouldBlock => 0,
                sent => sent?,
            };
            self.left += sent as u64;
            match frames.get(sent..) {
                None | Some([]) => Ok(()),
                Some(rest) => {
                    self.unsent.extend(rest);
                    Err(WouldBlock.into())
                }
            }
        })
    }

    fn seal_end(&mut self) -> io::Result<()> {
        let mut frame = [0; EXTRA];
        self.session.seal(&[], &mut frame).map_err(forged)?;
        self.unsent.extend(frame);
        Ok(())
    }

    /// Sends what has found no room. Nothing is kept of it then.
    fn flush(&mut self, stream: &Stream) -> io::Result<()> {
        while let Some(rest @ [_, ..]) = self.unsent.get(self.sent..) {
            let sent = stream.try_write(rest)?;
            self.left += sent as u64;
            self.sent += sent;
        }
        self.unsent = Vec::new();
        self.sent = 0;
        Ok(())
    }
}

fn forged(_: Forged) -> io::Error {
    io::ErrorKind::InvalidData.into()
}

#[cfg(test)]
mod tests;
