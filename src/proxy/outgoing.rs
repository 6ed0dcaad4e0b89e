//! What goes out by a connection that many share. Datagrams that find no room are dropped, as a link would.

use std::cell::{Cell, RefCell};
use std::io::{self, ErrorKind::WouldBlock};

use smol::channel::{Receiver, Sender};

use super::channel::Channel;
use crate::wire::mux::Frame;

/// What may wait for room. More would be late: a call's voice, a game's move.
const MOST: usize = 64 << 10;
/// Ends of sessions too: a peer that asks for many and does not read them gets no more.
const MOST_WITH_ENDS: usize = 4 * MOST;

/// The way out of a shared connection.
pub struct Outgoing {
    waiting: RefCell<Vec<u8>>,
    written: Cell<u64>,
    wake: Sender<()>,
    woken: Receiver<()>,
}

impl Outgoing {
    /// These bytes go first.
    pub fn new(first: Vec<u8>) -> Outgoing {
        let (wake, woken) = smol::channel::bounded(1);
        Outgoing { waiting: RefCell::new(first), written: Cell::new(0), wake, woken }
    }

    /// Keeps a frame for [`run`](Self::run), which is woken; false if it was dropped.
    pub fn push(&self, frame: &Frame<'_>) -> bool {
        let mut waiting = self.waiting.borrow_mut();
        // The end of a session is small, and frees what the other end keeps for it.
        if waiting.len() > if frame.data.is_some() { MOST } else { MOST_WITH_ENDS } {
            return false;
        }
        frame.put(&mut waiting);
        // An error is run's to tell.
        let _ = self.wake.try_send(());
        true
    }

    /// Sends what waits by this connection, without end.
    ///
    /// # Errors
    /// The connection is broken.
    pub async fn run(&self, stream: &Channel) -> io::Result<()> {
        loop {
            let sent = {
                let mut waiting = self.waiting.borrow_mut();
                match waiting.is_empty() {
                    true => None,
                    false => Some(stream.try_write(&waiting).map(|sent| {
                        self.written.set(self.written.get() + sent as u64);
                        drop(waiting.drain(..sent));
                    })),
                }
            };
            match sent {
                None => {
                    self.free();
                    // Its sender is here too, so that it does not end.
                    let _ = self.woken.recv().await;
                }
                Some(Ok(())) => {}
                Some(Err(e)) if e.kind() == WouldBlock => stream.writable().await?,
                Some(Err(e)) => return Err(e),
            }
        }
    }

    /// Bytes that the kernel has taken, in all.
    pub fn written(&self) -> u64 {
        self.written.get()
    }

    /// Nothing is kept while nothing waits.
    fn free(&self) {
        self.waiting.borrow_mut().shrink_to(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::mux::Status;

    #[test]
    fn a_peer_that_reads_nothing_does_not_make_it_grow() {
        let out = Outgoing::new(Vec::new());
        let end = Frame {
            session: 1,
            status: Status::End { broken: true },
            target: None,
            global_id: [0; 8],
            data: None,
        };
        assert!((0..100_000).any(|_| !out.push(&end)));
        assert!(out.waiting.borrow().len() < MOST_WITH_ENDS + 64);
    }
}
