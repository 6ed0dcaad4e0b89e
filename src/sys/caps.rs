//! Which capabilities the process has.

use std::fs;

/// A capability that a command may need (uapi/linux/capability.h).
#[derive(Clone, Copy, Debug)]
pub enum Capability {
    /// Routes, rules, endpoints, marks.
    NetAdmin,
    /// Raw sockets.
    NetRaw,
}

impl Capability {
    fn bit_and_name(self) -> (u32, &'static str) {
        match self {
            Capability::NetAdmin => (12, "CAP_NET_ADMIN"),
            Capability::NetRaw => (13, "CAP_NET_RAW"),
        }
    }
}

/// The names of those of `needed` that this process lacks; none where the kernel does not tell.
pub fn missing(needed: &[Capability]) -> Vec<&'static str> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let Some(effective) = effective.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()) else {
        return Vec::new();
    };
    let lacking = needed.iter().map(|c| c.bit_and_name()).filter(|(bit, _)| effective & (1 << bit) == 0);
    lacking.map(|(_, name)| name).collect()
}
