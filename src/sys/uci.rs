//! OpenWrt's `uci`, which writes the settings: how a change is kept and committed differs between its versions.

use std::io;
use std::path::Path;
use std::time::Duration;

use nix::sys::statvfs::{FsFlags, statvfs};

use super::child::{self, Ran};

/// It waits for others that have the file open, and writes to flash, which may have to be erased first. Ending it in between
/// is the last thing to do: some files would be written and others not.
const WITHIN: Duration = Duration::from_secs(30);

/// Where its files are.
const FILES: &str = "/etc/config";
/// Where `uci` keeps what is not committed.
pub const PENDING: &str = "/tmp/.uci";

/// Gives `uci batch` these lines, for the files in `dir` and what is pending in `pending`. It ends with 0 whatever its
/// lines came to; what went wrong is on its stderr.
///
/// # Errors
/// ENOENT where there is no `uci`, as on other Linux; that it does not end.
pub fn batch(dir: &Path, pending: &Path, lines: &[u8]) -> io::Result<Ran> {
    let mut arguments = Vec::new();
    // Its own defaults are left to it. -P for the second would make commit do nothing.
    for (option, path, default) in [("-c", dir, FILES), ("-t", pending, PENDING)] {
        if path != Path::new(default) {
            arguments.extend([option.into(), path.to_string_lossy()]);
        }
    }
    arguments.push("batch".into());
    let arguments: Vec<&str> = arguments.iter().map(|argument| &**argument).collect();
    child::run("uci", &arguments, lines, WITHIN)
}

/// Whether a file of so many bytes can be written anew beside the old one; else why not. `uci` forgets what was pending
/// before it finds out.
pub fn room(dir: &Path, bytes: u64) -> Result<(), String> {
    // Names, and what a flash file system needs to write at all.
    const RESERVE: u64 = 16 << 10;
    let about = statvfs(dir).map_err(|e| e.desc().to_string())?;
    if about.flags().contains(FsFlags::ST_RDONLY) {
        return Err("it is read-only".to_string());
    }
    #[allow(clippy::useless_conversion, reason = "their width depends on the architecture")]
    let free = u64::from(about.blocks_available()) * u64::from(about.fragment_size());
    if free < bytes + RESERVE {
        return Err(format!("it is full: {free} bytes left, {} needed", bytes + RESERVE));
    }
    Ok(())
}
