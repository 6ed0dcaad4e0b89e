//! Signals that ask a command to end, as an event instead of a sudden death.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use super::ready;

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
        ready::wait(&[self.as_fd()], Some(longest))
    }

    /// What one that has come asks of a daemon, without waiting.
    pub fn asked(&self) -> io::Result<Option<Asked>> {
        let signal = self.0.read_signal()?;
        let is_reload = |signo: u32| i32::try_from(signo) == Ok(libc::SIGHUP);
        Ok(signal.map(|s| if is_reload(s.ssi_signo) { Asked::Reload } else { Asked::End }))
    }
}

impl AsFd for EndSignals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
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
pub struct DaemonSignals(smol::Async<EndSignals>);

impl DaemonSignals {
    /// Takes the signals from their default action. Call it before any thread is started, and once.
    pub fn catch() -> io::Result<DaemonSignals> {
        Ok(DaemonSignals(smol::Async::new(EndSignals::catch()?)?))
    }

    /// Waits for the next.
    pub async fn next(&self) -> io::Result<Asked> {
        self.0.read_with(|signals| signals.asked()?.ok_or_else(|| io::ErrorKind::WouldBlock.into())).await
    }
}
