//! Signals that ask a command to end, as an event instead of a sudden death.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use crate::types::micros;

/// SIGINT, SIGTERM and SIGHUP of this process, from when it was made.
pub struct EndSignals(SignalFd);

impl EndSignals {
    /// Takes the signals from their default action. Call it before any thread is started, and once.
    pub fn catch() -> io::Result<EndSignals> {
        let signals = SigSet::from_iter([Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP]);
        signals.thread_block()?;
        Ok(EndSignals(SignalFd::with_flags(&signals, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?))
    }

    /// Waits for a signal, `longest` at most (in milliseconds, rounded up), and says whether one came.
    pub fn wait(&self, longest: Duration) -> io::Result<bool> {
        let milliseconds = i32::try_from(micros(longest).div_ceil(1000)).unwrap_or(i32::MAX);
        let timeout = PollTimeout::try_from(milliseconds).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)], timeout) {
            Ok(ready) => Ok(ready > 0),
            Err(Errno::EINTR) => Ok(false),
            Err(e) => Err(e.into()),
        }
    }
}

/// What a signal asks of a daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// SIGTERM, SIGINT: end cleanly.
    End,
    /// SIGHUP: read the settings again.
    Reload,
}

/// The signals of a daemon.
pub struct DaemonSignals(smol::Async<SignalFd>);

impl DaemonSignals {
    /// Takes the signals from their default action. Call it before any thread is started, and once.
    pub fn catch() -> io::Result<DaemonSignals> {
        let EndSignals(signals) = EndSignals::catch()?;
        Ok(DaemonSignals(smol::Async::new(signals)?))
    }

    /// Waits for the next.
    pub async fn next(&self) -> io::Result<Asked> {
        // Non-blocking, so it gives None where a blocking one would wait.
        let read = |fd: &SignalFd| fd.read_signal()?.ok_or_else(|| io::ErrorKind::WouldBlock.into());
        let signal = self.0.read_with(read).await?;
        let is_reload = i32::try_from(signal.ssi_signo) == Ok(libc::SIGHUP);
        Ok(if is_reload { Asked::Reload } else { Asked::End })
    }
}
