//! The firewall's own tools, whose rules no other program can put in as they are versioned with the kernel's; and who
//! listens on this machine.

use std::io;
use std::time::Duration;

use super::child::{self, Ran};
use crate::wire::rtnl::Family;

/// They wait for each other's lock, and a router loads kernel modules for a second or two.
const WITHIN: Duration = Duration::from_secs(20);

/// Whether this system has `nft`.
pub fn has_nft() -> bool {
    child::run("nft", &["--version"], b"", WITHIN).is_ok()
}

/// Gives `nft` these lines.
///
/// # Errors
/// ENOENT where there is no `nft`; that it does not end.
pub fn nft(text: &str) -> io::Result<Ran> {
    child::run("nft", &["-f", "-"], text.as_bytes(), WITHIN)
}

/// All rules of a family that iptables knows of. It makes no table that is not there.
///
/// # Errors
/// ENOENT where there is no iptables; that it does not end.
pub fn iptables_save(family: Family) -> io::Result<Ran> {
    child::run(program(family, ["iptables-save", "ip6tables-save"]), &[], b"", WITHIN)
}

/// Gives `iptables-restore` these lines, which leave all else as it is.
///
/// # Errors
/// As [`iptables_save`].
pub fn iptables_restore(family: Family, text: &str) -> io::Result<Ran> {
    let restore = program(family, ["iptables-restore", "ip6tables-restore"]);
    child::run(restore, &["-w", "--noflush"], text.as_bytes(), WITHIN)
}

fn program(family: Family, [v4, v6]: [&'static str; 2]) -> &'static str {
    match family {
        Family::V4 => v4,
        Family::V6 => v6,
    }
}

/// Adds a list of sockets of /proc/net. One that the kernel does not have is empty: it may have no IPv6.
pub fn add_sockets(lists: &mut String, path: &str) {
    lists.push_str(&std::fs::read_to_string(path).unwrap_or_default());
}
