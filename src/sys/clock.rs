//! The clock.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::types::Time;

/// The time since boot, without the time asleep (CLOCK_MONOTONIC), the same in every process.
pub fn now() -> Time {
    // clock_gettime with a valid clock id does not fail on Linux; zero keeps a caller's loop alive.
    let t = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC).map_or(0, |t| {
        u64::try_from(t.tv_sec()).unwrap_or(0) * 1_000_000 + u64::try_from(t.tv_nsec() / 1000).unwrap_or(0)
    });
    Time(t)
}

/// Seconds since 1970 UTC, for people; routers without a battery begin at an odd date.
pub fn wall_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())
}
