//! Which capabilities the process has, and giving up those that it does not need.

use std::{fs, io};

/// A capability that a command may need (uapi/linux/capability.h).
#[derive(Clone, Copy, Debug)]
#[allow(clippy::enum_variant_names)] // The kernel's names.
pub enum Capability {
    /// Ports below 1024, also other hosts'.
    NetBindService,
    /// Routes, rules, endpoints, marks.
    NetAdmin,
    /// Raw sockets.
    NetRaw,
}

impl Capability {
    fn bit_and_name(self) -> (u32, &'static str) {
        match self {
            Capability::NetBindService => (10, "CAP_NET_BIND_SERVICE"),
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

/// The header and the two halves that capset(2) takes (uapi/linux/capability.h, version 3).
#[repr(C)]
struct Header {
    version: u32,
    pid: i32,
}
#[repr(C)]
#[derive(Clone, Copy)]
struct Half {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}
const VERSION_3: u32 = 0x2008_0522;
/// Bits of a half.
const HALF: u32 = 32;

/// Gives up all capabilities but `kept`, of which those that the process lacks stay lacking, and the way to get any by
/// running a program. Threads that run already keep theirs: call it before there are any.
///
/// # Errors
/// What the system says.
pub fn keep(kept: &[Capability]) -> io::Result<()> {
    nix::sys::prctl::set_no_new_privs()?;
    let bits = kept.iter().fold(0u64, |bits, capability| bits | 1 << capability.bit_and_name().0);
    let mut header = Header { version: VERSION_3, pid: 0 };
    let mut halves = [Half { effective: 0, permitted: 0, inheritable: 0 }; 2];
    // SAFETY: both point to what capget(2) writes for this version: a header and two halves, for this thread (pid 0).
    if unsafe { libc::syscall(libc::SYS_capget, &raw mut header, halves.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    for (half, kept) in halves.iter_mut().zip([bits as u32, (bits >> HALF) as u32]) {
        half.permitted &= kept;
        half.effective &= kept;
        half.inheritable = 0;
    }
    // SAFETY: as above; capset(2) reads them.
    match unsafe { libc::syscall(libc::SYS_capset, &raw const header, halves.as_ptr()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_kept_is_gone() {
        // Of one thread, so that the other tests have theirs.
        std::thread::spawn(|| {
            keep(&[Capability::NetRaw]).unwrap();
            let status = fs::read_to_string("/proc/thread-self/status").unwrap();
            let of = |name: &str| {
                let hex = status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim();
                u64::from_str_radix(hex, 16).unwrap()
            };
            for set in ["CapInh:", "CapPrm:", "CapEff:"] {
                assert_eq!(of(set) & !(1 << 13), 0, "{set}");
            }
            assert!(status.contains("NoNewPrivs:\t1"));
        })
        .join()
        .unwrap();
    }
}
