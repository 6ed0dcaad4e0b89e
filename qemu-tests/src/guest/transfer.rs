//! The router's end of a bulk transfer over MPTCP, which the host watches by what is printed here.

use std::net::SocketAddrV4;
use std::sync::atomic::AtomicBool;
use std::thread::{self, sleep};
use std::time::Duration;

use crate::failure::{Result, failed};
use crate::traffic::{Protocol, Timeline, connect_to, receive_pattern};

/// How often progress is printed.
const INTERVAL: Duration = Duration::from_millis(20);

/// Receives until the server ends; prints the sum of bytes whenever it has grown, and at the end
/// `end BYTES`. Fails if a byte is not the one that was sent.
pub(super) fn download(from: SocketAddrV4) -> Result {
    let stream = connect_to(from, Protocol::Mptcp)?;
    let timeline = Timeline::new();
    let receiver = thread::spawn({
        let timeline = timeline.clone();
        move || receive_pattern(stream, &timeline, &AtomicBool::new(false))
    });
    let mut printed = 0;
    while !receiver.is_finished() {
        let total = timeline.total();
        if total != printed {
            println!("{total}");
            printed = total;
        }
        sleep(INTERVAL);
    }
    receiver.join().unwrap_or_else(|_| failed("the receiver panicked"))?;
    println!("end {}", timeline.total());
    Ok(())
}
