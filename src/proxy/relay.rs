//! Two connections made one: what comes in by one goes out by the other, with its ends, its breaks and its pace.

use std::io::{self, ErrorKind::WouldBlock};
use std::pin::pin;
use std::time::Duration;

use smol::future::{self, FutureExt};

use super::meter::{Flow, Meter};
use super::pipes;
use super::scratch;
use super::turn::Turn;
use crate::sys::pipe::Pipe;
use crate::sys::stream::Stream;
use crate::wire::vless;

/// What is read at a time at first, and of somebody whose peer does not keep up: as much of it may have to be kept. Twice as
/// much each time, as long as all of it goes at once.
const SMALL_CHUNK: usize = 16 << 10;
/// Of so much at a time the kernel hands on what it can without copying.
const BULK: usize = scratch::SIZE;

/// How a direction begins.
#[derive(Debug)]
pub enum Start {
    /// As it is.
    Plain,
    /// With these bytes, in one piece with the first that come; which are waited for so long, if it is said.
    After(Vec<u8>, Option<Duration>),
    /// Without the head of the server's answer.
    Answered,
}

/// Carries both directions until both have ended. An error of one has to be a reset of both, which is left to whose they are.
///
/// # Errors
/// What broke it.
pub async fn relay(a: &Stream, b: &Stream, starts: [Start; 2], meter: &Meter) -> io::Result<()> {
    let [up, down] = starts;
    // Where they are, for a moved future takes its room twice, and a relay should take little.
    let up = pin!(carry(a, b, up, &meter.up));
    let down = pin!(carry(b, a, down, &meter.down));
    future::try_zip(up, down).await.map(drop)
}

/// How a chunk went.
enum Step {
    /// There is nothing to read now.
    Empty,
    /// The other end has said all.
    End,
    /// So much went.
    Moved(usize),
    /// So much was read, and this could not go yet.
    Stuck(usize, Rest),
}

/// What could not go yet.
enum Rest {
    /// Bytes, from this one on.
    Bytes(Vec<u8>, usize),
    /// What is in a pipe.
    Piped(Pipe, usize),
}

impl Rest {
    /// Sends on; what is left, if something is.
    fn go(self, to: &Stream) -> io::Result<Option<Rest>> {
        let sent = match &self {
            Rest::Bytes(bytes, from) => to.try_write(bytes.get(*from..).unwrap_or_default()),
            Rest::Piped(pipe, left) => pipe.drain(to, *left),
        };
        let sent = match sent {
            Ok(sent) => sent,
            Err(e) if e.kind() == WouldBlock => 0,
            Err(e) => return Err(e),
        };
        Ok(match self {
            Rest::Bytes(bytes, from) if from + sent < bytes.len() => Some(Rest::Bytes(bytes, from + sent)),
            Rest::Bytes(..) => None,
            Rest::Piped(pipe, left) if sent < left => Some(Rest::Piped(pipe, left - sent)),
            Rest::Piped(pipe, _) => {
                pipes::give(pipe);
                None
            }
        })
    }
}

async fn carry(from: &Stream, to: &Stream, start: Start, flow: &Flow) -> io::Result<()> {
    let goes_on = match start {
        Start::Plain => true,
        // Nobody keeps the room for a beginning longer than it lasts.
        Start::After(bytes, patience) => {
            let own = bytes.len();
            let (sent, goes_on) = Box::pin(begin(from, to, bytes, patience)).await?;
            flow.count(sent - own);
            goes_on
        }
        Start::Answered => Box::pin(skip_head(from)).await?,
    };
    if !goes_on {
        to.end();
        return Ok(());
    }
    let mut chunk = SMALL_CHUNK;
    // Of MPTCP the kernel copies into a pipe, page by page: that took more time than the shared buffer, as measured.
    let mut splices = !from.is_mptcp();
    let mut turn = Turn::default();
    loop {
        let is_bulk = splices && chunk == BULK;
        let spliced = if is_bulk { splice(from, to)? } else { None };
        splices &= !is_bulk || spliced.is_some();
        let done = match spliced {
            Some(done) => done,
            None => step(from, to, chunk)?,
        };
        let moved = match done {
            Step::Empty => {
                from.readable().await?;
                continue;
            }
            Step::End => {
                to.end();
                return Ok(());
            }
            Step::Moved(bytes) => {
                if bytes == chunk {
                    chunk = (chunk * 2).min(BULK);
                }
                bytes
            }
            Step::Stuck(bytes, rest) => {
                chunk = (chunk / 2).max(SMALL_CHUNK);
                let mut left = Some(rest);
                while let Some(rest) = left {
                    to.writable().await?;
                    left = rest.go(to)?;
                }
                bytes
            }
        };
        flow.pace(moved).await;
        turn.done().await;
    }
}

/// Has the kernel hand on what is there; nothing if there are no descriptors for that.
fn splice(from: &Stream, to: &Stream) -> io::Result<Option<Step>> {
    let Ok(pipe) = pipes::take() else { return Ok(None) };
    let filled = match pipe.fill(from, BULK) {
        Ok(filled) if filled > 0 => filled,
        other => {
            pipes::give(pipe);
            return match other {
                Ok(_) => Ok(Some(Step::End)),
                Err(e) if e.kind() == WouldBlock => Ok(Some(Step::Empty)),
                Err(e) => Err(e),
            };
        }
    };
    Ok(Some(match Rest::Piped(pipe, filled).go(to)? {
        Some(rest) => Step::Stuck(filled, rest),
        None => Step::Moved(filled),
    }))
}

/// Reads once and writes what was read, with the buffer that all share.
fn step(from: &Stream, to: &Stream, chunk: usize) -> io::Result<Step> {
    scratch::with(|scratch| {
        let buffer = scratch.get_mut(..chunk).unwrap_or_default();
        let read = match from.try_read(buffer) {
            Ok(0) => return Ok(Step::End),
            Ok(read) => read,
            Err(e) if e.kind() == WouldBlock => return Ok(Step::Empty),
            Err(e) => return Err(e),
        };
        let bytes = buffer.get(..read).unwrap_or_default();
        let written = match to.try_write(bytes) {
            Ok(written) => written,
            Err(e) if e.kind() == WouldBlock => 0,
            Err(e) => return Err(e),
        };
        Ok(match bytes.get(written..) {
            Some(rest) if !rest.is_empty() => Step::Stuck(read, Rest::Bytes(rest.to_vec(), 0)),
            _ => Step::Moved(read),
        })
    })
}

/// Sends these bytes and the first that come; how many, and false at the end. Nothing is kept for the first while they are
/// not there.
async fn begin(
    from: &Stream,
    to: &Stream,
    mut bytes: Vec<u8>,
    patience: Option<Duration>,
) -> io::Result<(usize, bool)> {
    let mut goes_on = true;
    loop {
        match append(from, &mut bytes) {
            Ok(read) => {
                goes_on = read > 0;
                break;
            }
            Err(e) if e.kind() == WouldBlock => {}
            Err(e) => return Err(e),
        }
        let late = async {
            match patience {
                Some(patience) => drop(smol::Timer::after(patience).await),
                None => future::pending().await,
            }
            Ok(false)
        };
        if !async { from.readable().await.map(|()| true) }.or(late).await? {
            break;
        }
    }
    to.write_all(&bytes).await?;
    Ok((bytes.len(), goes_on))
}

/// Takes the head of the server's answer; false if it ended before.
pub async fn skip_head(from: &Stream) -> io::Result<bool> {
    let mut head = [0; 2 + 255];
    let mut wanted = 2;
    let mut got = 0;
    loop {
        while got < wanted {
            match from.read(head.get_mut(got..wanted).unwrap_or_default()).await? {
                0 => return Ok(false),
                read => got += read,
            }
        }
        match vless::answer(head.get(..got).unwrap_or_default()) {
            Ok(Some(_)) => return Ok(true),
            Ok(None) => wanted = 2 + usize::from(head[1]),
            Err(_) => return Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

/// Takes what is there, behind the bytes that are; how much it was, 0 at the end.
pub fn append(from: &Stream, bytes: &mut Vec<u8>) -> io::Result<usize> {
    scratch::with(|scratch| {
        let buffer = scratch.get_mut(..SMALL_CHUNK).unwrap_or_default();
        let read = from.try_read(buffer)?;
        bytes.extend(buffer.get(..read).unwrap_or_default());
        Ok(read)
    })
}
