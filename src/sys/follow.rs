//! A program of the system's own that goes on, and tells by lines what happens: `logread -f`, `ubus subscribe`.
//!
//! It is ended with its follower. posix_spawn(3) cannot have the kernel end it with us (PR_SET_PDEATHSIG is set in between
//! fork and exec): if we are killed, it ends when it next writes, for nobody has the pipe's other end then (SIGPIPE).

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, read};

use super::child;
use crate::wire::lines::Lines;

/// What is read at once, in bytes.
const BLOCK: usize = 1024;

/// The program and what it says.
pub struct Follower {
    pid: Pid,
    output: OwnedFd,
    block: [u8; BLOCK],
    /// Where in it what was not handed over begins and ends.
    left: (usize, usize),
    lines: Lines,
}

/// What it says now.
#[derive(Debug, PartialEq, Eq)]
pub enum Said {
    /// A line.
    Line(Vec<u8>),
    /// Nothing yet.
    Nothing,
    /// Nothing any more: it has closed its output, as it does by ending.
    End,
}

impl Follower {
    /// Starts `program`, which is looked for in PATH. It reads nothing, and what it complains about goes nowhere.
    ///
    /// # Errors
    /// ENOENT if there is no such program; what the system says.
    pub fn start(program: &str, arguments: &[&str]) -> io::Result<Follower> {
        let nothing = OwnedFd::from(File::options().read(true).write(true).open("/dev/null")?);
        let (output, theirs) = child::pipe()?;
        fcntl(&output, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        let pid = child::spawn(program, arguments, [&nothing, &theirs, &nothing])?;
        Ok(Follower { pid, output, block: [0; BLOCK], left: (0, 0), lines: Lines::default() })
    }

    /// What it says, without waiting.
    ///
    /// # Errors
    /// What the system says.
    pub fn next(&mut self) -> io::Result<Said> {
        loop {
            let mut rest = self.block.get(self.left.0..self.left.1).unwrap_or_default();
            let line = self.lines.next(&mut rest);
            self.left.0 = self.left.1 - rest.len();
            if let Some(line) = line {
                return Ok(Said::Line(line));
            }
            match read(&self.output, &mut self.block) {
                Ok(0) => return Ok(Said::End),
                Ok(length) => self.left = (0, length),
                Err(Errno::EAGAIN) => return Ok(Said::Nothing),
                Err(Errno::EINTR) => {}
                Err(e) => return Err(e.into()),
            }
        }
    }
}

impl AsFd for Follower {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.output.as_fd()
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        // Until it is waited for its number is its own.
        if let Ok(WaitStatus::StillAlive) = waitpid(self.pid, Some(WaitPidFlag::WNOHANG)) {
            let _ = kill(self.pid, Signal::SIGKILL);
            let _ = waitpid(self.pid, None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::ready;

    fn shell(line: &str) -> Follower {
        Follower::start("sh", &["-c", line]).unwrap()
    }

    /// Its next line; `None` at its end.
    fn line(follower: &mut Follower) -> Option<String> {
        loop {
            match follower.next().unwrap() {
                Said::Line(line) => return Some(String::from_utf8(line).unwrap()),
                Said::Nothing => assert!(ready::wait(&[follower.as_fd()], None).unwrap()),
                Said::End => return None,
            }
        }
    }

    #[test]
    fn lines_come_one_by_one_until_it_ends() {
        let mut follower = shell(
            "echo one; printf 'tw'; sleep 0.1; echo o; head -c 300000 /dev/zero; echo; echo three; printf lost",
        );
        let lines: Vec<String> = std::iter::from_fn(|| line(&mut follower)).collect();
        assert_eq!(lines, ["one", "two", "three"]);
        assert!(Follower::start("no-such-program", &[]).is_err_and(|e| e.kind() == io::ErrorKind::NotFound));
    }

    #[test]
    fn it_ends_with_its_follower() {
        let mut follower = shell("echo $$; exec sleep 1000");
        let pid = Pid::from_raw(line(&mut follower).unwrap().parse().unwrap());
        assert_eq!(follower.next().unwrap(), Said::Nothing);
        assert!(kill(pid, None).is_ok());
        drop(follower);
        assert!(kill(pid, None).is_err());
    }

    #[test]
    fn without_us_it_ends_when_it_writes() {
        let mut follower = shell("echo begun; while :; do echo; done");
        line(&mut follower);
        // As if we had been killed: only the pipe goes.
        drop(std::mem::replace(&mut follower.output, child::pipe().unwrap().0));
        let ended = waitpid(follower.pid, None);
        assert_eq!(ended, Ok(WaitStatus::Signaled(follower.pid, Signal::SIGPIPE, false)));
    }
}
