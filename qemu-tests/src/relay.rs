//! The middle of a link: carries frames between two devices with a rate, a delay, loss and a queue.
//!
//! One thread per link: it sleeps in ppoll until a frame comes or the next one is due. All times are
//! computed, not measured, so a late wake-up delays single frames and never lowers the rate.

use std::collections::VecDeque;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::prctl::set_timerslack;
use nix::sys::socket::{MsgFlags, recv, send};
use nix::sys::time::TimeSpec;
use portable_atomic::AtomicU64;

use crate::link::{Direction, Link};
use crate::sys;

/// An Ethernet frame of a device with an MTU of 1500 has 1514 bytes; a router with VLANs 4 more.
const FRAME_MAX: usize = 2048;

/// Frames taken from one socket before the other direction has its turn.
const BATCH: usize = 64;

/// Frames that come or are due within this time of each other share a wake-up, so a frame is late by up to
/// this much. Interrupt moderation of real network devices is of the same order.
const GRAIN: Duration = Duration::from_micros(500);

/// How long the relay sleeps at most, so that it notices the end of the lab.
const NAP: Duration = Duration::from_millis(100);

/// Nanoseconds by which the kernel may let this thread sleep longer than asked (50 us is usual).
const TIMER_SLACK_NS: libc::c_ulong = 1000;

type Buffer = Box<[u8; FRAME_MAX]>;

/// A frame on its way.
struct Frame {
    buffer: Buffer,
    length: usize,
    /// In the queue: when it arrived. On the way: when it is due. Nanoseconds since the relay began.
    at: u64,
}

/// One direction: a queue before the bottleneck, and what has left it but not arrived.
struct Pipe {
    queue: VecDeque<Frame>,
    queued_bytes: u64,
    under_way: VecDeque<Frame>,
    /// When the bottleneck has sent its last frame.
    free_at: u64,
    random: u32,
}

/// Carries frames between the router's side and the ISP's side until `stop` is set.
pub(crate) fn run(router: &OwnedFd, isp: &OwnedFd, link: &Arc<Link>, seed: u32, stop: &AtomicBool) {
    let _ = set_timerslack(TIMER_SLACK_NS);
    // A link does not wait for the programs whose frames it carries. Without root it does, now and then.
    let _ = sys::run_first();
    let start = Instant::now();
    let now = || u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
    let mut spare: Vec<Buffer> = Vec::new();
    let mut up = Pipe::new(seed);
    let mut down = Pipe::new(seed.rotate_left(16));
    let mut due = None;
    while !stop.load(Relaxed) {
        let nap = due.map_or(NAP, |at: u64| Duration::from_nanos(at.saturating_sub(now())).min(NAP));
        let mut fds =
            [PollFd::new(router.as_fd(), PollFlags::POLLIN), PollFd::new(isp.as_fd(), PollFlags::POLLIN)];
        // An interrupted call is a short nap.
        let _ = ppoll(&mut fds, Some(TimeSpec::from_duration(nap)), None);
        let [from_router, from_isp] = fds.map(|fd| fd.any() == Some(true));
        let woken = now();
        if from_router {
            up.accept(router, woken, &link.up, &mut spare);
        }
        if from_isp {
            down.accept(isp, woken, &link.down, &mut spare);
        }
        let up_due = up.deliver(woken, &link.up, isp, &mut spare);
        let down_due = down.deliver(woken, &link.down, router, &mut spare);
        due = up_due.into_iter().chain(down_due).min();
        if due.is_some() {
            sleep(GRAIN);
        }
    }
}

impl Pipe {
    fn new(seed: u32) -> Pipe {
        Pipe {
            queue: VecDeque::new(),
            queued_bytes: 0,
            under_way: VecDeque::new(),
            free_at: 0,
            random: seed | 1,
        }
    }

    /// Takes the frames that have come in from `socket`.
    fn accept(&mut self, socket: &OwnedFd, now: u64, direction: &Direction, spare: &mut Vec<Buffer>) {
        for _ in 0..BATCH {
            let mut buffer = spare.pop().unwrap_or_else(|| Box::new([0; FRAME_MAX]));
            let length = match recv(socket.as_raw_fd(), &mut buffer[..], MsgFlags::MSG_DONTWAIT) {
                Ok(length) => length,
                // ENETDOWN tells once that the device went down; it works again when it comes back.
                Err(Errno::EINTR | Errno::ENETDOWN) => {
                    spare.push(buffer);
                    continue;
                }
                Err(_) => {
                    spare.push(buffer);
                    return;
                }
            };
            match self.verdict(length, direction) {
                None => {
                    self.queued_bytes += length as u64;
                    self.queue.push_back(Frame { buffer, length, at: now });
                }
                Some(counter) => {
                    counter.fetch_add(1, Relaxed);
                    spare.push(buffer);
                }
            }
        }
    }

    /// The counter of the reason for which a frame is dropped.
    fn verdict<'a>(&mut self, length: usize, direction: &'a Direction) -> Option<&'a AtomicU64> {
        let counters = &direction.counters;
        let random = self.random();
        if direction.is_blackhole() {
            Some(&counters.dropped_by_blackhole)
        } else if direction.loses(random) {
            Some(&counters.dropped_by_loss)
        } else if !direction.has_room(self.queued_bytes, length) {
            Some(&counters.dropped_by_queue)
        } else {
            None
        }
    }

    /// Sends what is due by now to `socket`; returns when to come again.
    fn deliver(
        &mut self,
        now: u64,
        direction: &Direction,
        socket: &OwnedFd,
        spare: &mut Vec<Buffer>,
    ) -> Option<u64> {
        self.leave_queue(now, direction);
        while self.under_way.front().is_some_and(|frame| frame.at <= now) {
            let Some(frame) = self.under_way.pop_front() else { break };
            let counters = &direction.counters;
            if direction.is_blackhole() {
                counters.dropped_by_blackhole.fetch_add(1, Relaxed);
            } else if send(socket.as_raw_fd(), &frame.buffer[..frame.length], MsgFlags::MSG_DONTWAIT).is_ok()
            {
                // A send fails when the cable is out: the frame is lost, as it should be.
                counters.bytes.fetch_add(frame.length as u64, Relaxed);
                counters.frames.fetch_add(1, Relaxed);
            }
            spare.push(frame.buffer);
        }
        match (self.under_way.front(), self.queue.front()) {
            (Some(frame), _) => Some(frame.at),
            // Nothing is due before the head of the queue has been sent and has travelled: one wake-up
            // per frame, not one for each of the two.
            (None, Some(head)) => Some(self.departure(head, direction) + direction.delay_ns()),
            (None, None) => None,
        }
    }

    /// Moves the frames that the bottleneck has sent by now.
    fn leave_queue(&mut self, now: u64, direction: &Direction) {
        while let Some(head) = self.queue.front() {
            let departure = self.departure(head, direction);
            if departure > now {
                return;
            }
            let random = self.random();
            let Some(mut frame) = self.queue.pop_front() else { return };
            self.free_at = departure;
            self.queued_bytes -= frame.length as u64;
            let due = departure + direction.delay_ns() + direction.jitter_ns(random);
            // Links of the kind that we imitate do not reorder.
            frame.at = due.max(self.under_way.back().map_or(0, |before| before.at));
            self.under_way.push_back(frame);
        }
    }

    fn departure(&self, head: &Frame, direction: &Direction) -> u64 {
        self.free_at.max(head.at) + direction.transmission_ns(head.length)
    }

    /// xorshift32 (Marsaglia 2003): cheap, and the same sequence in every run.
    fn random(&mut self) -> u32 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 17;
        self.random ^= self.random << 5;
        self.random
    }
}
