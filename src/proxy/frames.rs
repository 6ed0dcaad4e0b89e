//! The frames that come in by a connection.

use std::io::{self, ErrorKind::WouldBlock};

use super::channel::Channel;
use super::relay;
use super::turn::Turn;
use crate::wire::mux::Frame;

/// Hands every frame over until the connection ends. `bytes` came before.
///
/// # Errors
/// The connection broke, or something else than frames came.
pub async fn read(
    stream: &Channel,
    mut bytes: Vec<u8>,
    mut on_frame: impl FnMut(Frame<'_>),
) -> io::Result<()> {
    let mut turn = Turn::default();
    loop {
        let mut at = 0;
        while let Some((frame, length)) =
            Frame::parse(bytes.get(at..).unwrap_or_default()).map_err(|_| io::ErrorKind::InvalidData)?
        {
            on_frame(frame);
            at += length;
        }
        bytes.drain(..at);
        if bytes.is_empty() {
            // Nothing is kept while nothing comes.
            bytes = Vec::new();
        }
        loop {
            match relay::append(stream, &mut bytes) {
                Ok(0) => return Ok(()),
                Ok(_) => break turn.done().await,
                Err(e) if e.kind() == WouldBlock => stream.readable().await?,
                Err(e) => return Err(e),
            }
        }
    }
}
