//! The beginning of an encrypted connection: client and server find out that they are who they should be.

use std::cell::Cell;
use std::io;
use std::time::Duration;

use bsbf_noise::handshake::{Identity, Initiator, REPLY};
use bsbf_noise::keys::{PublicKey, SecretKey};

use smol::future::FutureExt;

use super::channel::Channel;
use crate::sys::clock;
use crate::sys::random;
use crate::sys::stream::Stream;

/// A server did not answer, or somebody else did. A system's own word for it comes with its number.
pub const STRANGE: io::ErrorKind = io::ErrorKind::PermissionDenied;

/// What a client has for its servers.
pub struct Keys {
    identity: Identity,
    server: PublicKey,
    /// The time of the last handshake: no two have the same.
    last: Cell<u64>,
}

impl Keys {
    /// Our own, and that of the servers.
    pub fn new(own: SecretKey, server: PublicKey) -> Keys {
        Keys { identity: Identity::new(own), server, last: Cell::new(0) }
    }

    /// Nanoseconds since 1970, and always later than the last time, also if the clock was set back.
    fn time(&self) -> u64 {
        let time = u64::try_from(clock::wall_micros()).unwrap_or(0).saturating_mul(1000);
        self.last.set(time.max(self.last.get() + 1));
        self.last.get()
    }

    /// Makes an encrypted connection of one to a server that has answered nothing else yet, within a time.
    ///
    /// # Errors
    /// [`STRANGE`] if it does not answer as that server would.
    pub async fn greet(&self, stream: Stream, within: Duration) -> io::Result<Channel> {
        let begun = Initiator::new(&self.identity, &self.server, self.time(), &random::bytes()?);
        let (initiator, hello) = begun.map_err(|_| STRANGE)?;
        let mut reply = [0; REPLY];
        let answered = async {
            stream.write_all(&hello).await?;
            read_all(&stream, &mut reply).await
        };
        let late = async {
            smol::Timer::after(within).await;
            Err(io::ErrorKind::TimedOut.into())
        };
        // What the system says is not for want of keys.
        answered.or(late).await.map_err(|e| if e.raw_os_error().is_some() { e } else { STRANGE.into() })?;
        let session = initiator.finish(&reply).map_err(|_| STRANGE)?;
        Ok(Channel::sealed(stream, session))
    }
}

/// Fills all of it.
///
/// # Errors
/// The stream has ended before; what the system says.
pub async fn read_all(stream: &Stream, mut buffer: &mut [u8]) -> io::Result<()> {
    while !buffer.is_empty() {
        match stream.read(buffer).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => buffer = buffer.get_mut(read..).unwrap_or_default(),
        }
    }
    Ok(())
}
