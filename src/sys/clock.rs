//! The clock.

use std::mem::MaybeUninit;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{SystemTime, UNIX_EPOCH};
use std::{env, fs};

use crate::types::{Time, micros};

/// OpenWrt's time zone, in the form of the variable TZ.
const OPENWRT_ZONE: &str = "/etc/TZ";
/// Everybody else's.
const ZONE: &str = "/etc/localtime";

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

/// The same in microseconds.
pub fn wall_micros() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |d| i64::try_from(micros(d)).unwrap_or(i64::MAX))
}

/// Seconds by which local time is ahead of UTC, at a time in seconds since 1970; 0 where the system cannot tell.
/// For commands with one thread.
#[allow(
    clippy::useless_conversion,
    clippy::unnecessary_fallible_conversions,
    reason = "time_t and long have 32 bits on some routers"
)]
pub fn local_offset(seconds: i64) -> i64 {
    static FOUND: AtomicBool = AtomicBool::new(false);
    if !FOUND.swap(true, Relaxed) {
        find_zone();
    }
    let at = seconds.try_into().unwrap_or_default(); // 1970 where the C library's time has ended
    let mut local = MaybeUninit::<libc::tm>::zeroed();
    // SAFETY: the first is read and the second written, both are values of ours; all-zero is a valid tm.
    unsafe {
        if libc::localtime_r(&raw const at, local.as_mut_ptr()).is_null() {
            return 0;
        }
        i64::from(local.assume_init().tm_gmtoff)
    }
}

/// The C library that we are linked with reads no OpenWrt file.
fn find_zone() {
    // A dangling link, as OpenWrt has it without zoneinfo, is none.
    if env::var_os("TZ").is_some() || Path::new(ZONE).exists() {
        return;
    }
    if let Ok(zone) = fs::read_to_string(OPENWRT_ZONE) {
        // SAFETY: no other thread runs that could read the environment.
        unsafe { env::set_var("TZ", zone.trim()) };
    }
}
