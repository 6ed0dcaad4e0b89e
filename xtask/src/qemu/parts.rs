//! What a guest has that is not ours: kernel, busybox, iproute2's `ip` and the firewall's tool.
//!
//! Each is a directory in the cache. In it, `root` has the files for the guest at their places.

use std::path::{Path, PathBuf};

use super::cache::Cache;
use super::machine::System;
use super::{compiled, packaged};
use crate::Result;
use crate::targets::Target;

/// The names of the parts, in the order of [`Parts`].
pub const NAMES: [&str; 4] = ["linux", "busybox", "iproute2", "firewall"];
/// The kernel's image, beside `root`.
pub const KERNEL: &str = "kernel";
pub const ROOT: &str = "root";
pub const BUSYBOX: &str = "root/bin/busybox";
/// Not in /bin, where busybox has an `ip` of its own.
pub const IP: &str = "root/usr/sbin/ip";
/// Where the system's programs are, as the firewall's tool.
pub const SBIN: &str = "root/usr/sbin";
/// In a root: one directory, named as the kernel's release.
pub const MODULES: &str = "lib/modules";

/// The parts' directories.
pub struct Parts {
    pub linux: PathBuf,
    pub busybox: PathBuf,
    pub iproute2: PathBuf,
    /// nft, or iptables in its place.
    pub firewall: PathBuf,
}

impl Parts {
    /// Finds them in the cache; what is missing or outdated there is fetched or compiled.
    pub fn find(cache: &Cache, source_tree: &Path, target: &Target) -> Result<Parts> {
        match &target.machine.system {
            System::Debian(debian) => packaged::parts(cache, &target.arch, debian),
            System::Source(source) => compiled::parts(cache, &target.arch, source, source_tree),
        }
    }
}

impl From<[PathBuf; 4]> for Parts {
    fn from([linux, busybox, iproute2, firewall]: [PathBuf; 4]) -> Parts {
        Parts { linux, busybox, iproute2, firewall }
    }
}
