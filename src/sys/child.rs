//! A program of the system's own, run to its end: `ubus` and `uci`, for what only they may do.
//!
//! By posix_spawn(3), which does not copy the parent's memory: a router may not have as much again.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, PosixSpawnFlags, posix_spawnp};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, pipe2, read, write};

use crate::types::micros;

/// The most that is kept of each output, in bytes; a router with fifty networks says 60 KB about them.
const MOST_OUTPUT: usize = 1 << 20;
/// What a pipe takes at once (pipe(7)), so that writing never waits for a program that does not read.
const MOST_INPUT: usize = 1 << 16;
/// Between two looks at a program that has closed its outputs and not ended.
const INTERVAL: Duration = Duration::from_millis(5);

/// What came of it.
#[derive(Debug)]
pub struct Ran {
    /// Its exit code; 128 and the signal's number if a signal ended it, as in sh.
    pub code: i32,
    /// What it printed.
    pub stdout: Vec<u8>,
    /// What it complained about.
    pub stderr: Vec<u8>,
}

/// Runs `program`, which is looked for in PATH, with `input` on its standard input, and our environment.
///
/// # Errors
/// ENOENT if there is no such program; that it has not ended `within` this time, when it is killed; that it says over a
/// mebibyte; what the system says.
pub fn run(program: &str, arguments: &[&str], input: &[u8], within: Duration) -> io::Result<Ran> {
    if input.len() > MOST_INPUT {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "its input has over 64 KiB"));
    }
    let deadline = Instant::now() + within;
    let ((their_in, our_in), (our_out, their_out), (our_err, their_err)) = (pipe()?, pipe()?, pipe()?);
    // Before the start, so that a program that never reads cannot keep us.
    fcntl(&our_in, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    if write(&our_in, input)? < input.len() {
        return Err(io::Error::new(io::ErrorKind::WouldBlock, "the pipe to it is too small"));
    }
    drop(our_in);
    let pid = spawn(program, arguments, [&their_in, &their_out, &their_err])?;
    // Else the outputs would never end.
    drop((their_in, their_out, their_err));
    let mut outputs = [(our_out, Vec::new()), (our_err, Vec::new())];
    let result = read_all(&mut outputs, deadline).and_then(|()| end(pid, deadline));
    let [(_, stdout), (_, stderr)] = outputs;
    match result {
        Ok(code) => Ok(Ran { code, stdout, stderr }),
        Err(e) => {
            let _ = kill(pid, Signal::SIGKILL);
            let _ = waitpid(pid, None);
            Err(e)
        }
    }
}

pub(super) fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(pipe2(OFlag::O_CLOEXEC)?)
}

/// Starts it with these for standard input, output and error.
pub(super) fn spawn(program: &str, arguments: &[&str], fds: [&OwnedFd; 3]) -> io::Result<Pid> {
    let text = |text: &[u8]| CString::new(text).map_err(io::Error::from);
    let program = text(program.as_bytes())?;
    let mut words = vec![program.clone()];
    for argument in arguments {
        words.push(text(argument.as_bytes())?);
    }
    let mut environment = Vec::new();
    for (name, value) in std::env::vars_os() {
        environment.push(text(&[name.as_bytes(), b"=", value.as_bytes()].concat())?);
    }
    let mut actions = PosixSpawnFileActions::init()?;
    for (theirs, fd) in (0..).zip(fds) {
        actions.add_dup2(fd.as_raw_fd(), theirs)?;
    }
    // Ours are blocked or ignored; a program that is to end by one has to get it.
    let mut attributes = PosixSpawnAttr::init()?;
    attributes.set_flags(PosixSpawnFlags::POSIX_SPAWN_SETSIGMASK | PosixSpawnFlags::POSIX_SPAWN_SETSIGDEF)?;
    attributes.set_sigmask(&SigSet::empty())?;
    attributes.set_sigdefault(&SigSet::from(Signal::SIGPIPE))?;
    Ok(posix_spawnp(&program, &actions, &attributes, &words, &environment)?)
}

/// Reads until both outputs end.
fn read_all(outputs: &mut [(OwnedFd, Vec<u8>); 2], deadline: Instant) -> io::Result<()> {
    let mut open = [true; 2];
    while open != [false; 2] {
        let left = deadline.saturating_duration_since(Instant::now());
        let milliseconds = i32::try_from(micros(left).div_ceil(1000)).unwrap_or(i32::MAX);
        let interest = |open| if open { PollFlags::POLLIN } else { PollFlags::empty() };
        let [(out, _), (err, _)] = &*outputs;
        let mut polled =
            [PollFd::new(out.as_fd(), interest(open[0])), PollFd::new(err.as_fd(), interest(open[1]))];
        match poll(&mut polled, PollTimeout::try_from(milliseconds).unwrap_or(PollTimeout::MAX)) {
            Ok(0) => return Err(late()),
            Err(Errno::EINTR) => continue,
            other => other?,
        };
        let ready = polled.map(|fd| fd.any().unwrap_or(false));
        for ((fd, output), (ready, open)) in outputs.iter_mut().zip(ready.into_iter().zip(&mut open)) {
            if !(ready && *open) {
                continue;
            }
            let mut block = [0; 4096];
            let length = read(fd, &mut block)?;
            *open = length > 0;
            output.extend(block.get(..length).unwrap_or_default());
            if output.len() > MOST_OUTPUT {
                return Err(io::Error::other("it says over 1 MiB"));
            }
        }
    }
    Ok(())
}

/// Waits for a program that has closed its outputs, which most do by ending.
fn end(pid: Pid, deadline: Instant) -> io::Result<i32> {
    loop {
        match waitpid(pid, Some(WaitPidFlag::WNOHANG))? {
            WaitStatus::Exited(_, code) => return Ok(code),
            WaitStatus::Signaled(_, signal, _) => return Ok(128 + signal as i32),
            _ if Instant::now() >= deadline => return Err(late()),
            _ => std::thread::sleep(INTERVAL),
        }
    }
}

fn late() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "it does not end")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(20);

    fn shell(line: &str, input: &[u8]) -> io::Result<Ran> {
        run("sh", &["-c", line], input, SOON)
    }

    #[test]
    fn both_outputs_and_the_code_come_back() {
        let ran = shell("cat; echo no >&2; exit 253", b"yes\n").unwrap();
        assert_eq!(
            (ran.code, ran.stdout.as_slice(), ran.stderr.as_slice()),
            (253, &b"yes\n"[..], &b"no\n"[..])
        );
        assert_eq!(shell("kill -9 $$", b"").unwrap().code, 137);
        // Blocked or ignored by us, not by it: it would print otherwise.
        let ran = shell("sh -c 'kill -PIPE $$; echo alive'", b"").unwrap();
        assert_eq!(ran.stdout, b"");
    }

    #[test]
    fn more_than_a_pipe_holds_comes_whole_and_too_much_is_refused() {
        let ran = shell("head -c 300000 /dev/zero; head -c 300000 /dev/zero >&2", b"").unwrap();
        assert_eq!((ran.stdout.len(), ran.stderr.len()), (300_000, 300_000));
        assert_eq!(shell("exec cat /dev/zero", b"").unwrap_err().to_string(), "it says over 1 MiB");
        // Input that nobody reads.
        assert_eq!(shell(":", &[b'x'; 1 << 15]).unwrap().code, 0);
    }

    #[test]
    fn one_that_hangs_is_ended_and_one_that_is_not_there_is_told() {
        let start = Instant::now();
        for line in ["exec sleep 60", "exec sleep 60 >&- 2>&-"] {
            let error = run("sh", &["-c", line], b"", Duration::from_millis(100)).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        }
        assert!(start.elapsed() < SOON);
        let error = run("no-such-program", &[], b"", SOON).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
