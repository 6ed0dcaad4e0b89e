//! What a stream is cut into: length of the rest (u16, big endian), then up to 16 KiB sealed behind one another's numbers,
//! with their tags of 16 bytes. An empty frame is the end of its direction: without it the stream was cut by somebody else.

use snow::TransportState;

use crate::Forged;

/// The most that a frame carries.
pub const MOST: usize = 16 << 10;
/// What a frame takes besides.
pub const EXTRA: usize = HEAD + TAG;
/// The longest frame.
pub const LONGEST: usize = MOST + EXTRA;

const HEAD: usize = 2;
const TAG: usize = 16;
/// After so many frames, which are at most a gibibyte, both ends take the next key of a direction (section 4.2 of the
/// framework, REKEY): who learns one later learns nothing of what went before.
const REKEY_AFTER: u32 = 1 << 16;

/// One connection after its handshake, both directions.
pub struct Session {
    state: TransportState,
    /// Frames since the last new key, each way.
    sealed: u32,
    opened: u32,
}

impl Session {
    pub(crate) fn new(state: TransportState) -> Session {
        Session { state, sealed: 0, opened: 0 }
    }

    /// Writes a frame of these bytes, of [`MOST`] at most, to where there is room for it and [`EXTRA`]; how long it is.
    ///
    /// # Errors
    /// There is no room.
    #[inline(never)]
    pub fn seal(&mut self, plain: &[u8], out: &mut [u8]) -> Result<usize, Forged> {
        let (head, body) = out.split_first_chunk_mut::<HEAD>().ok_or(Forged)?;
        if plain.len() > MOST {
            return Err(Forged);
        }
        let length = self.state.write_message(plain, body)?;
        *head = (length as u16).to_be_bytes();
        self.sealed += 1;
        if self.sealed == REKEY_AFTER {
            self.sealed = 0;
            self.state.rekey_outgoing();
        }
        Ok(HEAD + length)
    }

    /// Opens what [`next`] gave, to where there is as much room; how much it carried.
    ///
    /// # Errors
    /// It is not the next frame of the other end. Nothing after it is either.
    #[inline(never)]
    pub fn open(&mut self, body: &[u8], out: &mut [u8]) -> Result<usize, Forged> {
        let length = self.state.read_message(body, out)?;
        self.opened += 1;
        if self.opened == REKEY_AFTER {
            self.opened = 0;
            self.state.rekey_incoming();
        }
        Ok(length)
    }
}

/// The frame that `bytes` begin with, behind its length; `None` if it goes on beyond them.
///
/// # Errors
/// It has a length that none has.
pub fn next(bytes: &[u8]) -> Result<Option<&[u8]>, Forged> {
    let Some((head, rest)) = bytes.split_first_chunk::<HEAD>() else { return Ok(None) };
    let length = usize::from(u16::from_be_bytes(*head));
    if !(TAG..=TAG + MOST).contains(&length) {
        return Err(Forged);
    }
    Ok(rest.get(..length))
}

/// How long a frame is, of what [`next`] gave.
pub fn whole(body: &[u8]) -> usize {
    HEAD + body.len()
}

/// How much it carries.
pub fn carried(body: &[u8]) -> usize {
    body.len() - TAG
}

#[cfg(test)]
mod tests;
