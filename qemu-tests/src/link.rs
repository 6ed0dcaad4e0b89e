//! What a link does to frames: rate, delay, jitter, loss, queue. The handle by which tests change it while
//! traffic flows.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use portable_atomic::AtomicU64;

/// How much a queue may hold unless told otherwise, in time at the link's rate. Cable and DSL modems
/// have 100 to 300 ms, LTE modems up to several seconds.
const DEFAULT_QUEUE: Duration = Duration::from_millis(200);

/// One direction of a link, as plain values.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Bits a second, counted on whole Ethernet frames without the checksum; 0 is unlimited.
    pub rate: u64,
    /// One way.
    pub delay: Duration,
    /// Added to the delay, evenly distributed from nothing to this much. Frames keep their order.
    pub jitter: Duration,
    /// Part of the frames lost at random, 0.0 to 1.0.
    pub loss: f64,
    /// What waits for the link at most, at its rate; more is dropped at the tail.
    pub queue: Duration,
    /// The same as a number of bytes; the smaller of both limits holds. 0 is no limit in bytes.
    pub queue_bytes: u64,
}

/// A WAN to build: both directions of its link.
#[derive(Clone, Copy, Debug)]
pub struct Wan {
    /// From the Internet to the router.
    pub down: Shape,
    /// From the router to the Internet.
    pub up: Shape,
}

impl Wan {
    /// A link of this many Mbit/s both ways, without delay or loss.
    pub fn mbit(rate: u64) -> Wan {
        let shape = Shape {
            rate: rate * 1_000_000,
            delay: Duration::ZERO,
            jitter: Duration::ZERO,
            loss: 0.0,
            queue: DEFAULT_QUEUE,
            queue_bytes: 0,
        };
        Wan { down: shape, up: shape }
    }

    /// Another rate from the router to the Internet, in Mbit/s.
    pub fn up_mbit(mut self, rate: u64) -> Wan {
        self.up.rate = rate * 1_000_000;
        self
    }

    /// One-way delay in ms in each direction; the RTT is twice that.
    pub fn delay_ms(self, ms: u64) -> Wan {
        self.both(|shape| shape.delay = Duration::from_millis(ms))
    }

    /// Jitter in ms, see [`Shape::jitter`].
    pub fn jitter_ms(self, ms: u64) -> Wan {
        self.both(|shape| shape.jitter = Duration::from_millis(ms))
    }

    /// Random loss, 0.0 to 1.0, in each direction.
    pub fn loss(self, part: f64) -> Wan {
        self.both(|shape| shape.loss = part)
    }

    /// The queue's limit in ms at the link's rate.
    pub fn queue_ms(self, ms: u64) -> Wan {
        self.both(|shape| shape.queue = Duration::from_millis(ms))
    }

    fn both(mut self, change: impl Fn(&mut Shape)) -> Wan {
        change(&mut self.down);
        change(&mut self.up);
        self
    }
}

/// The running link. Every change holds from the next frame on.
#[derive(Debug)]
pub struct Link {
    /// From the Internet to the router.
    pub down: Direction,
    /// From the router to the Internet.
    pub up: Direction,
}

impl Link {
    pub(crate) fn new(wan: &Wan) -> Link {
        Link { down: Direction::new(&wan.down), up: Direction::new(&wan.up) }
    }

    /// Drops everything silently in both directions, frames under way included; or stops doing so.
    pub fn blackhole(&self, on: bool) {
        self.down.blackhole.store(on, Relaxed);
        self.up.blackhole.store(on, Relaxed);
    }
}

/// One direction of a running link.
#[derive(Debug, Default)]
pub struct Direction {
    rate: AtomicU64,
    delay_us: AtomicU64,
    jitter_us: AtomicU64,
    /// Of 2^32.
    loss: AtomicU32,
    queue_us: AtomicU64,
    queue_bytes: AtomicU64,
    blackhole: AtomicBool,
    /// What happened so far.
    pub counters: Counters,
}

/// What a direction did since the lab came up.
#[derive(Debug, Default)]
pub struct Counters {
    /// Bytes that reached the far end, in whole frames.
    pub bytes: AtomicU64,
    /// Frames that reached the far end.
    pub frames: AtomicU64,
    /// Frames for which the queue had no room.
    pub dropped_by_queue: AtomicU64,
    /// Frames lost at random.
    pub dropped_by_loss: AtomicU64,
    /// Frames swallowed by the blackhole.
    pub dropped_by_blackhole: AtomicU64,
}

fn micros(d: Duration) -> u64 {
    u64::try_from(d.as_micros()).unwrap_or(u64::MAX)
}

impl Direction {
    fn new(shape: &Shape) -> Direction {
        let direction = Direction::default();
        direction.set(shape);
        direction
    }

    /// Changes everything but the blackhole.
    pub fn set(&self, shape: &Shape) {
        self.set_rate(shape.rate);
        self.delay_us.store(micros(shape.delay), Relaxed);
        self.jitter_us.store(micros(shape.jitter), Relaxed);
        self.set_loss(shape.loss);
        self.queue_us.store(micros(shape.queue), Relaxed);
        self.queue_bytes.store(shape.queue_bytes, Relaxed);
    }

    /// Bits a second; 0 is unlimited.
    pub fn set_rate(&self, rate: u64) {
        self.rate.store(rate, Relaxed);
    }

    /// Bits a second; 0 is unlimited.
    pub fn rate(&self) -> u64 {
        self.rate.load(Relaxed)
    }

    /// One-way delay.
    pub fn set_delay(&self, delay: Duration) {
        self.delay_us.store(micros(delay), Relaxed);
    }

    /// Random loss, 0.0 to 1.0.
    pub fn set_loss(&self, part: f64) {
        // A float beyond the range saturates, which is what 1.0 means.
        self.loss.store((part * f64::from(u32::MAX)) as u32, Relaxed);
    }

    /// Drops everything silently, or stops doing so.
    pub fn blackhole(&self, on: bool) {
        self.blackhole.store(on, Relaxed);
    }

    pub(crate) fn is_blackhole(&self) -> bool {
        self.blackhole.load(Relaxed)
    }

    /// Nanoseconds that the link needs for a frame of `length` bytes.
    pub(crate) fn transmission_ns(&self, length: usize) -> u64 {
        (length as u64 * 8_000_000_000).checked_div(self.rate.load(Relaxed)).unwrap_or(0)
    }

    pub(crate) fn delay_ns(&self) -> u64 {
        self.delay_us.load(Relaxed) * 1000
    }

    /// `random` picks the place between nothing and the most.
    pub(crate) fn jitter_ns(&self, random: u32) -> u64 {
        (self.jitter_us.load(Relaxed) * 1000 * u64::from(random)) >> 32
    }

    pub(crate) fn loses(&self, random: u32) -> bool {
        random < self.loss.load(Relaxed)
    }

    /// Whether a queue that holds `queued` bytes has room for `length` more.
    pub(crate) fn has_room(&self, queued: u64, length: usize) -> bool {
        let rate = self.rate.load(Relaxed);
        if rate == 0 {
            return true;
        }
        let by_time = self.queue_us.load(Relaxed).saturating_mul(rate) / 8_000_000;
        let by_bytes = match self.queue_bytes.load(Relaxed) {
            0 => u64::MAX,
            limit => limit,
        };
        // An empty queue takes any frame: a slow link with a tiny limit is still a link.
        queued == 0 || queued + length as u64 <= by_time.min(by_bytes)
    }
}
