//! Validated values shared by all layers. What has one of these types needs no further check.

use std::fmt;
use std::ops::{Add, Sub};
use std::str::FromStr;
use std::time::Duration;

/// The kernel's IFNAMSIZ is 16 with the terminating NUL (include/uapi/linux/if.h).
const IFNAME_MAX: usize = 15;

/// The name of a network device, by the kernel's rule (`dev_valid_name`, net/core/dev.c):
/// 1 to 15 bytes, not "." or "..", no '/', no ':', no white space.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IfName(heapless::String<IFNAME_MAX>);

impl IfName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for IfName {
    type Err = String;

    fn from_str(name: &str) -> Result<IfName, String> {
        let illegal = |c: char| c == '/' || c == ':' || c.is_whitespace() || c.is_control();
        if name.is_empty() || name == "." || name == ".." || name.contains(illegal) {
            return Err(format!("'{name}' is not an interface name (1 to 15 bytes, no '/', ':' or blank)"));
        }
        heapless::String::try_from(name)
            .map(IfName)
            .map_err(|_| format!("'{name}' is too long for an interface name (15 bytes at most)"))
    }
}

impl fmt::Display for IfName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for IfName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The kernel's number of a network device; a device that is plugged in again gets a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IfIndex(pub u32);

impl fmt::Display for IfIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "if{}", self.0)
    }
}

/// The metric of a route (RTA_PRIORITY): the lower one wins; a route without one has metric 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Metric(pub u32);

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// The number of an MPTCP endpoint, 1 to 255, given by the kernel (facts: net/mptcp/pm_netlink.c).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EndpointId(pub u8);

impl fmt::Display for EndpointId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Whole microseconds, in 64 bits: `Duration::as_micros` takes 128, and 4 KB of code on MIPS to divide and print them.
pub fn micros(d: Duration) -> u64 {
    d.as_secs().saturating_mul(1_000_000).saturating_add(d.subsec_micros().into())
}

/// Whole milliseconds.
pub fn millis(d: Duration) -> u64 {
    d.as_secs().saturating_mul(1_000).saturating_add(d.subsec_millis().into())
}

/// Microseconds on a clock that never goes back (CLOCK_MONOTONIC, or a test's virtual time).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub u64);

impl Time {
    /// How long ago `earlier` was; zero if it lies ahead.
    pub fn since(self, earlier: Time) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Time {
    type Output = Time;

    fn add(self, d: Duration) -> Time {
        Time(self.0.saturating_add(micros(d)))
    }
}

impl Sub<Duration> for Time {
    type Output = Time;

    fn sub(self, d: Duration) -> Time {
        Time(self.0.saturating_sub(micros(d)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interface_names_follow_the_kernels_rule() {
        for good in ["wan", "eth0.2", "br-lan", "phy0-sta0", "abcdefghijklmno"] {
            assert_eq!(good.parse::<IfName>().unwrap().as_str(), good);
        }
        for bad in ["", ".", "..", "a/b", "a:b", "a b", "abcdefghijklmnop", "a\n"] {
            assert!(bad.parse::<IfName>().is_err(), "{bad:?}");
        }
    }
}
