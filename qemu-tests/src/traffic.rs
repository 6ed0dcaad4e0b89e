//! Bulk transfers whose content is known to the receiver, with a timeline of their progress.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::socket::{Backlog, SockaddrIn, bind, connect, listen};
use portable_atomic::AtomicU64;

use crate::check;
use crate::failure::{Doing, Result, failed};
use crate::ns::Ns;
use crate::sys;
use crate::topology::{CONGESTION_CONTROL, Lab, SERVER};

/// The server listens here.
pub(crate) const PORT: u16 = 5001;
/// A transfer ends by itself after this long.
const LIMIT: Duration = Duration::from_secs(120);
/// How long the last bytes may take after the sender has stopped: a full send buffer over a slow link.
const DRAIN: Duration = Duration::from_secs(15);
/// The resolution of the timeline.
const BIN: Duration = Duration::from_millis(10);
/// Blocking reads and writes return after this long to see whether they should end.
const NAP: Duration = Duration::from_millis(100);
const BLOCK: usize = 16 * 1024;
/// Of struct mptcp_info, the flag of a connection that has fallen back to TCP (include/uapi/linux/mptcp.h).
const FALLBACK: u32 = 1;

/// What carries the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Multipath TCP.
    Mptcp,
    /// Plain TCP.
    Tcp,
}

/// Which way the bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From the server to the router.
    Download,
    /// From the router to the server.
    Upload,
}

/// A running transfer between the router and the server.
pub struct Transfer {
    /// What the receiver has got, when.
    pub timeline: Arc<Timeline>,
    sender: JoinHandle<Result<u64>>,
    receiver: JoinHandle<Result<()>>,
    stop: Arc<AtomicBool>,
    /// Further subflows join through the listening socket (net/mptcp/subflow.c).
    _listener: TcpListener,
}

/// How a transfer ended; [`Transfer::finish`] has checked that nothing was lost or changed.
#[derive(Clone, Copy, Debug)]
pub struct Ended {
    /// Bytes that the sender's socket took and the receiver got.
    pub bytes: u64,
    /// Still MPTCP at its end; false after a fallback.
    pub is_mptcp: bool,
}

impl Transfer {
    /// A download over MPTCP.
    pub fn start(lab: &Lab) -> Result<Transfer> {
        Transfer::start_as(lab, Protocol::Mptcp, Way::Download)
    }

    /// Connects from the router to the server and begins.
    pub fn start_as(lab: &Lab, protocol: Protocol, way: Way) -> Result<Transfer> {
        let server = SocketAddrV4::new(SERVER.parse().doing("read the server's address")?, PORT);
        let listener = lab.server.enter(|| listen_on(server, protocol)).doing("listen")?;
        let client = lab.client.enter(|| connect_to(server, protocol)).doing("connect to the server")?;
        let (served, _) = listener.accept().doing("accept")?;
        let timeline = Timeline::new();
        let stop = Arc::new(AtomicBool::new(false));
        let (from, to) = match way {
            Way::Download => ((served, &lab.server), (client, &lab.client)),
            Way::Upload => ((client, &lab.client), (served, &lab.server)),
        };
        Ok(Transfer {
            timeline: timeline.clone(),
            sender: spawn(from.1, "sender", {
                let stop = stop.clone();
                move || send_pattern(from.0, &stop)
            })?,
            receiver: spawn(to.1, "receiver", {
                let stop = stop.clone();
                move || receive_pattern(to.0, &timeline, &stop)
            })?,
            stop,
            _listener: listener,
        })
    }

    /// Stops the sender, waits for the rest and checks that every byte arrived as it was sent.
    pub fn finish(self) -> Result<Ended> {
        self.stop.store(true, Relaxed);
        let sent = self.sender.join().unwrap_or_else(|_| failed("the sender panicked"))?;
        self.receiver.join().unwrap_or_else(|_| failed("the receiver panicked"))?;
        let received = self.timeline.total();
        check!(sent == received, "{sent} bytes were sent and {received} arrived");
        Ok(Ended { bytes: received, is_mptcp: self.timeline.is_mptcp.load(Relaxed) })
    }
}

fn spawn<T: Send + 'static>(
    ns: &Ns,
    name: &str,
    code: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>> {
    ns.thread(name, code).doing(format_args!("start the {name}"))
}

fn socket(protocol: Protocol) -> Result<std::os::fd::OwnedFd> {
    let number = match protocol {
        Protocol::Mptcp => sys::IPPROTO_MPTCP,
        Protocol::Tcp => 0,
    };
    let fd = sys::stream_socket(number).doing("open a socket")?;
    // Root of the namespace may choose any algorithm here, not only those allowed to everybody. Where this
    // one does not exist the namespace's own holds.
    let _ = sys::set_option(&fd, libc::IPPROTO_TCP, libc::TCP_CONGESTION, CONGESTION_CONTROL.as_bytes());
    Ok(fd)
}

/// Whether the connection is still MPTCP. Of one that has fallen back the kernel answers as a TCP socket does,
/// which knows no such question, or sets the flag.
pub(crate) fn is_mptcp(stream: &TcpStream) -> bool {
    sys::mptcp_flags(stream).is_ok_and(|flags| flags & FALLBACK == 0)
}

/// A listening socket of the calling thread's namespace.
pub(crate) fn listen_on(address: SocketAddrV4, protocol: Protocol) -> Result<TcpListener> {
    let fd = socket(protocol)?;
    sys::set_option(&fd, libc::SOL_SOCKET, libc::SO_REUSEADDR, &1i32.to_ne_bytes())?;
    bind(fd.as_raw_fd(), &SockaddrIn::from(address))?;
    listen(&fd, Backlog::new(1)?)?;
    Ok(fd.into())
}

/// A connection from the calling thread's namespace.
pub(crate) fn connect_to(address: SocketAddrV4, protocol: Protocol) -> Result<TcpStream> {
    let fd = socket(protocol)?;
    connect(fd.as_raw_fd(), &SockaddrIn::from(address))?;
    Ok(fd.into())
}

fn is_nap(e: &std::io::Error) -> bool {
    matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

/// Returns how much the socket took.
pub(crate) fn send_pattern(mut stream: TcpStream, stop: &AtomicBool) -> Result<u64> {
    let start = Instant::now();
    stream.set_write_timeout(Some(NAP))?;
    let mut block = [0; BLOCK];
    let mut sent = 0;
    while !stop.load(Relaxed) && start.elapsed() < LIMIT {
        fill(&mut block, sent);
        match stream.write(&block) {
            Ok(length) => sent += length as u64,
            Err(e) if is_nap(&e) => {}
            Err(e) => return Err(e).doing(format_args!("send after {sent} bytes")),
        }
    }
    stream.shutdown(Shutdown::Write).doing("end the transfer")?;
    Ok(sent)
}

pub(crate) fn receive_pattern(mut stream: TcpStream, timeline: &Timeline, stop: &AtomicBool) -> Result {
    stream.set_read_timeout(Some(NAP))?;
    let (mut got, mut wanted) = ([0; BLOCK], [0; BLOCK]);
    let mut total = 0;
    let mut stopped = None;
    loop {
        match stream.read(&mut got) {
            Ok(0) => return Ok(()),
            Ok(length) => {
                fill(&mut wanted[..length], total);
                check!(
                    got[..length] == wanted[..length],
                    "bytes {total} to {} are wrong",
                    total + length as u64
                );
                total += length as u64;
                timeline.add(length);
                timeline.is_mptcp.store(is_mptcp(&stream), Relaxed);
            }
            Err(e) if is_nap(&e) => {}
            Err(e) => return Err(e).doing(format_args!("receive after {total} bytes")),
        }
        if stop.load(Relaxed) {
            let since = *stopped.get_or_insert_with(Instant::now);
            check!(since.elapsed() < DRAIN, "no end of the transfer within {DRAIN:?} of its last byte sent");
        }
    }
}

/// The transfer's content from byte `offset` on: splitmix64 (Vigna) of the number of each 8-byte word.
fn fill(block: &mut [u8], offset: u64) {
    let word = |index: u64| {
        let mut z = index.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)).to_le_bytes()
    };
    let (head, index) = ((offset % 8) as usize, offset / 8);
    // The first word may be cut at its start; after it whole words follow.
    let first = block.len().min(8 - head);
    let (start, rest) = block.split_at_mut(first);
    start.copy_from_slice(&word(index)[head..head + first]);
    for (index, chunk) in (index + 1..).zip(rest.chunks_mut(8)) {
        chunk.copy_from_slice(&word(index)[..chunk.len()]);
    }
}

/// Bytes received per 10 ms since the start.
pub struct Timeline {
    start: Instant,
    bins: Vec<AtomicU32>,
    total: AtomicU64,
    is_mptcp: AtomicBool,
}

impl Timeline {
    pub(crate) fn new() -> Arc<Timeline> {
        let bins = (LIMIT + DRAIN).as_millis() / BIN.as_millis();
        Arc::new(Timeline {
            start: Instant::now(),
            bins: (0..bins).map(|_| AtomicU32::new(0)).collect(),
            total: AtomicU64::new(0),
            is_mptcp: AtomicBool::new(false),
        })
    }

    pub(crate) fn add(&self, length: usize) {
        if let Some(bin) = self.bins.get(self.bin(Instant::now())) {
            bin.fetch_add(length as u32, Relaxed);
        }
        self.total.fetch_add(length as u64, Relaxed);
    }

    fn bin(&self, at: Instant) -> usize {
        (at.saturating_duration_since(self.start).as_millis() / BIN.as_millis()) as usize
    }

    fn window(&self, from: Instant, to: Instant) -> &[AtomicU32] {
        let end = self.bin(to).min(self.bins.len());
        &self.bins[self.bin(from).min(end)..end]
    }

    /// All bytes so far.
    pub fn total(&self) -> u64 {
        self.total.load(Relaxed)
    }

    /// When the transfer began.
    pub fn start(&self) -> Instant {
        self.start
    }

    /// Payload in bit/s between two times.
    pub fn goodput(&self, from: Instant, to: Instant) -> f64 {
        let window = self.window(from, to);
        let bytes: u64 = window.iter().map(|bin| u64::from(bin.load(Relaxed))).sum();
        bytes as f64 * 8.0 / (window.len().max(1) as f64 * BIN.as_secs_f64())
    }

    /// The longest time without a byte between two times, to 10 ms.
    pub fn longest_stall(&self, from: Instant, to: Instant) -> Duration {
        let window = self.window(from, to);
        let longest = window.split(|bin| bin.load(Relaxed) != 0).map(<[_]>::len).max();
        BIN * u32::try_from(longest.unwrap_or(0)).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::fill;

    #[test]
    fn content_does_not_depend_on_how_it_is_cut() {
        let mut whole = [0; 100];
        fill(&mut whole, 0);
        for cut in 1..100 {
            let mut parts = [0; 100];
            let (first, second) = parts.split_at_mut(cut);
            fill(first, 0);
            fill(second, cut as u64);
            assert_eq!(parts, whole, "cut at {cut}");
        }
    }
}
