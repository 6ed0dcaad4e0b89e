//! Numbered, time-stamped datagrams: they show what a link does to each packet.

use std::net::{SocketAddr, UdpSocket};
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use crate::failure::{Doing, Result, failed};
use crate::ns::Ns;

/// How long after the last one a straggler may come.
const PATIENCE: Duration = Duration::from_millis(1500);
/// Ethernet, IPv4 and UDP headers of each.
const HEADERS: usize = 14 + 20 + 8;

/// What to send.
#[derive(Clone, Copy, Debug)]
pub struct Series {
    /// How many.
    pub count: usize,
    /// Bytes of each as a whole frame, at least 54.
    pub frame: usize,
    /// From one to the next; zero is as fast as possible.
    pub interval: Duration,
}

impl Series {
    /// Frames of 1000 bytes at this many Mbit/s for this long.
    pub fn at_mbit(rate: u64, duration: Duration) -> Series {
        let interval = Duration::from_nanos(8_000_000 / rate);
        Series { count: (duration.as_nanos() / interval.as_nanos()) as usize, frame: 1000, interval }
    }
}

/// What became of a series.
#[derive(Debug)]
pub struct Outcome {
    /// The delay of each datagram that arrived, in the order of arrival.
    pub delays: Vec<Duration>,
    /// The number of each, in the order of arrival.
    pub order: Vec<usize>,
    /// From the first arrival to the last.
    pub duration: Duration,
    series: Series,
}

impl Outcome {
    /// Part of the datagrams that did not arrive, 0.0 to 1.0.
    pub fn loss(&self) -> f64 {
        1.0 - self.delays.len() as f64 / self.series.count as f64
    }

    /// Bit/s at which whole frames arrived.
    pub fn rate(&self) -> f64 {
        let bits = self.delays.len().saturating_sub(1) * self.series.frame * 8;
        bits as f64 / self.duration.as_secs_f64().max(1e-6)
    }

    /// The smallest delay of all.
    pub fn min_delay(&self) -> Duration {
        self.delays.iter().copied().min().unwrap_or_default()
    }

    /// The delay that this part of them, 0.0 to 1.0, did not exceed. The largest of all says more about the
    /// load of the machine than about the link.
    pub fn delay_of(&self, part: f64) -> Duration {
        let mut sorted = self.delays.clone();
        sorted.sort();
        let index = (sorted.len() as f64 * part) as usize;
        sorted.get(index.min(sorted.len().saturating_sub(1))).copied().unwrap_or_default()
    }
}

/// Sends a series from an address of one namespace to an address of another.
pub fn send(from: (&Ns, &str), to: (&Ns, &str), series: Series) -> Result<Outcome> {
    let Some(payload) = series.frame.checked_sub(HEADERS).filter(|length| *length >= 12) else {
        return failed(format!("a frame of {} bytes has no room for the number and the time", series.frame));
    };
    let open = |(ns, address): (&Ns, &str)| {
        let address: SocketAddr =
            format!("{address}:0").parse().map_err(|_| std::io::ErrorKind::InvalidInput)?;
        ns.enter(|| UdpSocket::bind(address))
    };
    let sender = open(from).doing(format_args!("bind to {}", from.1))?;
    let receiver = open(to).doing(format_args!("bind to {}", to.1))?;
    let there = receiver.local_addr()?;
    receiver.set_read_timeout(Some(PATIENCE))?;
    let start = Instant::now();
    scope(|scope| {
        let receiving = scope.spawn(|| receive(&receiver, start, series));
        let mut datagram = vec![0; payload];
        for number in 0..series.count {
            let due = start + series.interval * number as u32;
            sleep(due.saturating_duration_since(Instant::now()));
            datagram[..4].copy_from_slice(&(number as u32).to_le_bytes());
            datagram[4..12].copy_from_slice(&(start.elapsed().as_nanos() as u64).to_le_bytes());
            // A refused datagram is a lost one: that is what callers measure.
            let _ = sender.send_to(&datagram, there);
        }
        receiving.join().unwrap_or_else(|_| failed("the receiver panicked"))
    })
}

fn receive(socket: &UdpSocket, start: Instant, series: Series) -> Result<Outcome> {
    let mut outcome = Outcome { delays: Vec::new(), order: Vec::new(), duration: Duration::ZERO, series };
    let mut first = None;
    let mut buffer = vec![0; series.frame];
    while outcome.delays.len() < series.count {
        let Ok(length) = socket.recv(&mut buffer) else { break };
        let now = start.elapsed();
        let datagram = &buffer[..length];
        let (Some(number), Some(sent)) = (datagram.first_chunk::<4>(), datagram.get(4..12)) else { continue };
        let sent: [u8; 8] = sent.try_into().unwrap_or_default();
        outcome.order.push(u32::from_le_bytes(*number) as usize);
        outcome.delays.push(now.saturating_sub(Duration::from_nanos(u64::from_le_bytes(sent))));
        outcome.duration = now - *first.get_or_insert(now);
    }
    Ok(outcome)
}
