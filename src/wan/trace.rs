//! The trace of a manager: what its mind was told and when, and what it did. Text, one line a fact, so that a trace
//! can be read, cut and kept.
//!
//! A trace has addresses, gateways, device names and the rhythm of the traffic in it: whoever gives it away gives
//! these away.
//!
//! ```text
//! bsbf-trace 1                    the magic, with the version of the format
//! kind bond                       which manager
//! start 81273645123               its clock (CLOCK_MONOTONIC) at the start, in µs
//! : lost 8                        its settings, an option a line, in the words of the settings file
//! | endpoint 192.0.2.2            its memory, as it stands in the run directory
//! 120 w                           µs since the last such line, and what the mind was told: the kernel, of which
//! = r 3 1                           in the list of routes, from the third on (counted from 0), one line gives way
//! + 4 254 4 0 0 0 9 3 ...           to these (wan/trace/kernel.rs has their fields)
//! 20111 a 3 17                    on device 3 probe 17 was answered
//! 4000 c 3,1200,60 4,0,0          counters: device, bytes received and sent more than in the last such line
//! 0 f 192.0.2.2                   a subflow from this address failed
//! 0 r wan2                        somebody takes this interface down
//! 0 k wan2                        and has it up again
//! 0 s                             the settings were read again; lines with a colon follow
//! 0 m                             not all could be done, and the memory is this again; lines with a bar follow
//! 0 t                             a deadline came
//! p 3 18 0 i                      what the mind did: probe 18 on device 3 to target 0, by ICMP (t: TCP)
//! d 81273765234 wan1 up suspect missing rtt_us=20400   and what it decided, as the record has it (wan/record/line.rs)
//! ```

mod kernel;
#[cfg(feature = "replay")]
mod read;
#[cfg(feature = "replay")]
mod read_kernel;
mod write;

use super::record::Decision;

#[cfg(feature = "replay")]
pub use read::{BadLine, Entry, Head, Reader, SetOption};
pub use write::Writer;

/// What every trace begins with.
pub const MAGIC: &str = "bsbf-trace ";
/// Version of the format.
const VERSION: &str = "1";

/// A decision as a trace has it: as in the record, before anything was done.
pub fn decision_line(decision: &Decision) -> String {
    decision.to_line().trim_end().to_string()
}

#[cfg(all(test, feature = "replay"))]
mod tests;
