//! Pipes by which the kernel hands bytes from one connection to another, most of them without copying (splice(2)).

use std::io;
use std::os::fd::OwnedFd;

use nix::fcntl::{F_SETPIPE_SZ, SpliceFFlags, fcntl, splice};
use nix::unistd::pipe2;

use super::stream::{Stream, retry};

/// How much a pipe is asked to hold; what the kernel gives may be less (pipe(7), pipe-max-size).
const SIZE: i32 = 256 << 10;

/// A pipe that holds what was read of one connection and not yet written to another.
pub struct Pipe {
    out: OwnedFd,
    into: OwnedFd,
}

impl Pipe {
    /// A new one, empty.
    ///
    /// # Errors
    /// What the system says: that there are no more descriptors.
    pub fn new() -> io::Result<Pipe> {
        let flags = nix::fcntl::OFlag::O_CLOEXEC | nix::fcntl::OFlag::O_NONBLOCK;
        let (out, into) = pipe2(flags)?;
        // Its usual 64 KiB do as well.
        let _ = fcntl(&into, F_SETPIPE_SZ(SIZE));
        Ok(Pipe { out, into })
    }

    /// Takes what is there of a connection, `most` bytes at most, into an empty pipe; 0 at the connection's end.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] if nothing is there now.
    pub fn fill(&self, from: &Stream, most: usize) -> io::Result<usize> {
        Ok(retry(|| splice(from, None, &self.into, None, most, flags()))?)
    }

    /// Gives a connection so many of its bytes, or as many as there is room for.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] if there is none now.
    pub fn drain(&self, to: &Stream, bytes: usize) -> io::Result<usize> {
        Ok(retry(|| splice(&self.out, None, to, None, bytes, flags()))?)
    }
}

fn flags() -> SpliceFFlags {
    SpliceFFlags::SPLICE_F_MOVE | SpliceFFlags::SPLICE_F_NONBLOCK
}
