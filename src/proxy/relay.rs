//! Two connections made one: what comes in by one goes out by the other, with its ends, its breaks and its pace.

use std::io::{self, ErrorKind::WouldBlock};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use smol::future::{self, FutureExt};

use super::channel::Channel;
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

/// So long a request waits for the first payload, to go in one piece with it; with servers that speak first it goes alone.
const FIRST: Duration = Duration::from_millis(5);
/// How often it is asked whether who has said all is still there.
const LOOK: Duration = Duration::from_secs(10);
/// The server ended a connection without an answer. It is that of a connection's beginning alone.
pub const NO_ANSWER: io::ErrorKind = io::ErrorKind::ConnectionRefused;

/// The beginning of a direction, which is over soon, unlike the rest; false if it is all.
type Begins<'a> = Pin<Box<dyn Future<Output = io::Result<bool>> + 'a>>;

/// What is said besides what is carried.
#[derive(Debug)]
pub enum Greeting {
    /// Nothing.
    None,
    /// The second is the server: it is asked for something by these bytes, and answers first of all.
    Asks(Vec<u8>),
    /// The first has asked, and is answered.
    #[cfg(feature = "server")]
    Answers,
}

/// Carries both directions until both have ended. An error of one has to be a reset of both, which is left to whose they are.
///
/// # Errors
/// What broke it.
pub async fn relay(a: &Channel, b: &Channel, greeting: Greeting, meter: &Meter) -> io::Result<()> {
    let plain = || [a, b].into_iter().filter(|stream| !stream.is_mptcp());
    // Whoever is being sent something has to see that it is not all, also if this process is killed. Not so of MPTCP: each
    // of its subflows that comes to its end would be reset too.
    plain().for_each(|stream| stream.resets(true));
    let ended = {
        let (up, down) = match greeting {
            Greeting::None => (nothing(), nothing()),
            Greeting::Asks(request) => (
                Box::pin(begin(a, b, request, Some(FIRST), &meter.up)) as Begins<'_>,
                Box::pin(async { skip_head(b).await.map(|()| true) }) as Begins<'_>,
            ),
            #[cfg(feature = "server")]
            Greeting::Answers => {
                (nothing(), Box::pin(begin(b, a, vless::ANSWER.to_vec(), None, &meter.down)) as Begins<'_>)
            }
        };
        // Where they are, for a moved future takes its room twice, and a relay should take little.
        let mut up = pin!(carry(a, b, up, &meter.up));
        let mut down = pin!(carry(b, a, down, &meter.down));
        let first = future::poll_fn(|context| match up.as_mut().poll(context) {
            Poll::Ready(ended) => Poll::Ready(ended.map(|()| true)),
            Poll::Pending => down.as_mut().poll(context).map_ok(|()| false),
        });
        match first.await {
            Ok(is_up) => {
                let (other, quiet) = if is_up { (down, a) } else { (up, b) };
                other.or(Box::pin(breaks(quiet))).await
            }
            Err(e) => Err(e),
        }
    };
    if ended.is_ok() {
        plain().for_each(|stream| stream.resets(false));
    }
    ended
}

/// Waits until somebody who has said all, and may be waiting for an answer, is not there any more. It is not waited for
/// anything of him, so that no error would be seen otherwise until there is something for him.
async fn breaks(stream: &Channel) -> io::Result<()> {
    loop {
        smol::Timer::after(LOOK).await;
        stream.take_error()?;
    }
}

/// What could not go yet.
enum Rest {
    /// Bytes, from this one on.
    Bytes(Vec<u8>, usize),
    /// What is in a pipe.
    Piped(Pipe, usize),
}

impl Rest {
    /// Sends on; whether something is still left.
    fn go(&mut self, to: &Channel) -> io::Result<bool> {
        let sent = match self {
            Rest::Bytes(bytes, from) => to.try_write(bytes.get(*from..).unwrap_or_default()),
            Rest::Piped(pipe, left) => match to.plain() {
                Some(to) => pipe.drain(to, *left),
                None => Err(io::ErrorKind::InvalidInput.into()),
            },
        };
        let sent = match sent {
            Ok(sent) => sent,
            Err(e) if e.kind() == WouldBlock => 0,
            Err(e) => return Err(e),
        };
        Ok(match self {
            Rest::Bytes(bytes, from) => {
                *from += sent;
                *from < bytes.len()
            }
            Rest::Piped(_, left) => {
                *left -= sent;
                *left > 0
            }
        })
    }

    /// Nothing is left.
    fn end(self) {
        if let Rest::Piped(pipe, _) = self {
            pipes::give(pipe);
        }
    }
}

/// What is here for as long as a connection is takes memory of every one of them: a beginning is in a box of its own, and
/// nothing that a chunk needs outlives it.
async fn carry(from: &Channel, to: &Channel, starts: Begins<'_>, flow: &Flow) -> io::Result<()> {
    if !starts.await? {
        return to.end().await;
    }
    let mut chunk = SMALL_CHUNK;
    // MPTCP copies out of a pipe and into one, piece by piece. Where a network card joins segments to pieces of 64 KiB that
    // saves a fifth; where it does not, as on most routers, it takes nearly twice the shared buffer's time (cargo xtask bench
    // routers, uploads). What is encrypted goes through our hands.
    let is_plain = |channel: &Channel| channel.plain().is_some() && !channel.is_mptcp();
    let mut splices = is_plain(from) && is_plain(to);
    let mut turn = Turn::default();
    loop {
        let (bytes, mut rest) = match hand_on(from, to, chunk, &mut splices) {
            Ok((0, _)) => return to.end().await,
            Ok(moved) => moved,
            Err(e) if e.kind() == WouldBlock => (0, None),
            Err(e) => return Err(e),
        };
        if bytes == 0 {
            from.readable().await?;
            continue;
        }
        if rest.is_some() {
            chunk = (chunk / 2).max(SMALL_CHUNK);
        } else if bytes == chunk {
            chunk = (chunk * 2).min(BULK);
        }
        while let Some(left) = &mut rest {
            to.writable().await?;
            if !left.go(to)?
                && let Some(rest) = rest.take()
            {
                rest.end();
            }
        }
        if let Some(wait) = flow.wait(bytes) {
            Box::pin(smol::Timer::after(wait)).await;
        }
        turn.done().await;
    }
}

/// Reads once and writes what was read: how much, 0 at the end, and what could not go yet.
fn hand_on(
    from: &Channel,
    to: &Channel,
    chunk: usize,
    splices: &mut bool,
) -> io::Result<(usize, Option<Rest>)> {
    if *splices
        && chunk == BULK
        && let Some(plain) = from.plain()
    {
        match pipes::take() {
            Ok(pipe) => return splice(pipe, plain, to),
            // There are no descriptors for that.
            Err(_) => *splices = false,
        }
    }
    step(from, to, chunk)
}

/// Has the kernel hand on what is there.
fn splice(pipe: Pipe, from: &Stream, to: &Channel) -> io::Result<(usize, Option<Rest>)> {
    match pipe.fill(from, BULK) {
        Ok(filled) if filled > 0 => {
            let mut rest = Rest::Piped(pipe, filled);
            if rest.go(to)? {
                return Ok((filled, Some(rest)));
            }
            rest.end();
            Ok((filled, None))
        }
        other => {
            pipes::give(pipe);
            other.map(|_| (0, None))
        }
    }
}

/// The same with the buffer that all share.
fn step(from: &Channel, to: &Channel, chunk: usize) -> io::Result<(usize, Option<Rest>)> {
    scratch::with(|scratch| {
        let buffer = scratch.get_mut(..chunk).unwrap_or_default();
        let read = from.try_read(buffer)?;
        let bytes = buffer.get(..read).unwrap_or_default();
        let written = match to.try_write(bytes) {
            Ok(written) => written,
            Err(e) if e.kind() == WouldBlock => 0,
            Err(e) => return Err(e),
        };
        let rest = bytes.get(written..).filter(|rest| !rest.is_empty());
        Ok((read, rest.map(|rest| Rest::Bytes(rest.to_vec(), 0))))
    })
}

/// Of a direction that has no beginning.
fn nothing<'a>() -> Begins<'a> {
    Box::pin(future::ready(Ok(true)))
}

/// Sends these bytes, in one piece with the first that come, which are waited for so long, if it is said; false at the end.
/// Nothing is kept for the first while they are not there.
async fn begin(
    from: &Channel,
    to: &Channel,
    mut bytes: Vec<u8>,
    patience: Option<Duration>,
    flow: &Flow,
) -> io::Result<bool> {
    let own = bytes.len();
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
    flow.count(bytes.len() - own);
    Ok(goes_on)
}

/// Takes the head of the server's answer.
///
/// # Errors
/// [`NO_ANSWER`] if the connection ended before; [`io::ErrorKind::InvalidData`] if what comes is none.
pub async fn skip_head(from: &Channel) -> io::Result<()> {
    let mut head = [0; 2 + 255];
    let mut wanted = 2;
    let mut got = 0;
    loop {
        while got < wanted {
            match from.read(head.get_mut(got..wanted).unwrap_or_default()).await {
                Ok(0) | Err(_) => return Err(NO_ANSWER.into()),
                Ok(read) => got += read,
            }
        }
        match vless::answer(head.get(..got).unwrap_or_default()) {
            Ok(Some(_)) => return Ok(()),
            Ok(None) => wanted = 2 + usize::from(head[1]),
            Err(_) => return Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

/// Takes what is there, behind the bytes that are; how much it was, 0 at the end.
pub fn append(from: &Channel, bytes: &mut Vec<u8>) -> io::Result<usize> {
    scratch::with(|scratch| {
        let buffer = scratch.get_mut(..SMALL_CHUNK).unwrap_or_default();
        let read = from.try_read(buffer)?;
        bytes.extend(buffer.get(..read).unwrap_or_default());
        Ok(read)
    })
}

#[cfg(test)]
mod tests;
