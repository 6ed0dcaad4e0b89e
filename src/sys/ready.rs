//! Waiting for several things at once, without a task for each.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::types::micros;

/// Waits until one of these has something to read or has ended, `longest` at most (in milliseconds, rounded up), and says
/// whether that is so.
///
/// # Errors
/// What the system says.
pub fn wait(fds: &[BorrowedFd], longest: Option<Duration>) -> io::Result<bool> {
    let timeout = longest.map_or(PollTimeout::NONE, |longest| {
        let milliseconds = i32::try_from(micros(longest).div_ceil(1000)).unwrap_or(i32::MAX);
        PollTimeout::try_from(milliseconds).unwrap_or(PollTimeout::MAX)
    });
    let mut polled: Vec<PollFd> = fds.iter().map(|fd| PollFd::new(*fd, PollFlags::POLLIN)).collect();
    match poll(&mut polled, timeout) {
        Ok(ready) => Ok(ready > 0),
        Err(Errno::EINTR) => Ok(false),
        Err(e) => Err(e.into()),
    }
}
