//! Files that are there to be locked: whoever holds one is alone.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::fcntl::{Flock, FlockArg};

/// Between two tries to take a lock.
const INTERVAL: Duration = Duration::from_millis(50);

/// Held as long as it lives, and let go by the kernel when the process dies in whatever way.
pub struct Lock(#[expect(dead_code, reason = "held, not read")] Flock<File>);

/// Takes the lock at `path`, made with this mode if it is missing, and writes into it that `holder` has it; Err(holder) is
/// who has it. Whoever may read it can hold it.
pub fn take(path: &Path, mode: u32, holder: &str) -> io::Result<Result<Lock, String>> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(mode)
        .custom_flags(libc::O_CLOEXEC | libc::O_NOFOLLOW)
        .open(path)?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(mut file) => {
            file.set_len(0)?;
            file.rewind()?;
            file.write_all(holder.as_bytes())?;
            Ok(Ok(Lock(file)))
        }
        Err((mut file, nix::errno::Errno::EWOULDBLOCK)) => {
            let mut holder = String::new();
            file.read_to_string(&mut holder)?;
            Ok(Err(holder))
        }
        Err((_, e)) => Err(e.into()),
    }
}

/// The same, waiting for a holder that ends within this time.
pub fn take_within(
    path: &Path,
    mode: u32,
    holder: &str,
    within: Duration,
) -> io::Result<Result<Lock, String>> {
    let deadline = Instant::now() + within;
    loop {
        match take(path, mode, holder)? {
            Err(_) if Instant::now() < deadline => std::thread::sleep(INTERVAL),
            result => return Ok(result),
        }
    }
}
