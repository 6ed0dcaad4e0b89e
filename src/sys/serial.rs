//! A serial port that speaks to a modem: raw, for us alone, and never waited for beyond a deadline.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use embedded_io::{ErrorKind, ErrorType, Read, Write};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::modem::at;
use crate::types::micros;

/// An open port. It is given free when this is dropped.
pub struct SerialPort {
    file: File,
    deadline: Instant,
}

impl SerialPort {
    /// Opens the port, sets it to raw 115,200 baud and takes it for us.
    ///
    /// # Errors
    /// EBUSY if another program has it; what the system says, ENOTTY for what is no serial port.
    pub fn open(path: &Path) -> io::Result<SerialPort> {
        // Without waiting for a carrier, which a modem has only while somebody is connected; never our terminal.
        let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
        let file = OpenOptions::new().read(true).write(true).custom_flags(flags).open(path)?;
        take(&file)?;
        let port = SerialPort { file, deadline: Instant::now() };
        port.set_up()?;
        Ok(port)
    }

    fn set_up(&self) -> io::Result<()> {
        let mut settings = MaybeUninit::<libc::termios>::zeroed();
        let fd = self.file.as_raw_fd();
        // SAFETY: tcgetattr writes one termios, and all-zero is a valid one; the others read it. `fd` is open.
        unsafe {
            if libc::tcgetattr(fd, settings.as_mut_ptr()) < 0 {
                return Err(io::Error::last_os_error());
            }
            let mut settings = settings.assume_init();
            libc::cfmakeraw(&raw mut settings);
            libc::cfsetspeed(&raw mut settings, libc::B115200);
            // No modem lines, no flow control: on USB there is neither.
            settings.c_cflag |= libc::CLOCAL | libc::CREAD;
            settings.c_cflag &= !libc::CRTSCTS;
            if libc::tcsetattr(fd, libc::TCSANOW, &raw const settings) < 0 {
                return Err(io::Error::last_os_error());
            }
            // What somebody else has asked.
            libc::tcflush(fd, libc::TCIOFLUSH);
        }
        Ok(())
    }

    /// Waits for one of these events, until the deadline.
    fn wait(&self, events: PollFlags) -> Result<(), ErrorKind> {
        loop {
            let left = self.deadline.saturating_duration_since(Instant::now());
            let milliseconds = i32::try_from(micros(left).div_ceil(1000)).unwrap_or(i32::MAX);
            let timeout = PollTimeout::try_from(milliseconds).unwrap_or(PollTimeout::MAX);
            let mut polled = [PollFd::new(self.file.as_fd(), events)];
            match poll(&mut polled, timeout) {
                Ok(0) => return Err(ErrorKind::TimedOut),
                Err(Errno::EINTR) => {}
                Err(_) => return Err(ErrorKind::BrokenPipe),
                Ok(_) => {
                    let [polled] = polled;
                    // What came before the end is read first.
                    return match polled.revents() {
                        Some(seen) if seen.intersects(events) => Ok(()),
                        _ => Err(ErrorKind::BrokenPipe),
                    };
                }
            }
        }
    }
}

/// Has the port for us alone, as far as others ask: by TIOCEXCL, which ModemManager sets too, and by flock(2), which
/// others use.
fn take(file: &File) -> io::Result<()> {
    let busy = || io::Error::from_raw_os_error(libc::EBUSY);
    let fd = file.as_raw_fd();
    let mut taken: libc::c_int = 0;
    // Root can open what another has for himself (tty_ioctl(4)), so it has to be asked for.
    // SAFETY: TIOCGEXCL writes one int, and `taken` is one; `fd` is open.
    let known = unsafe { libc::ioctl(fd, libc::TIOCGEXCL as _, &raw mut taken) } == 0;
    // SAFETY: flock takes no memory; `fd` is open.
    let locked = unsafe { libc::flock(fd, libc::LOCK_EX | libc::LOCK_NB) } == 0;
    if (known && taken != 0) || !locked {
        return Err(busy());
    }
    // SAFETY: TIOCEXCL takes no argument; `fd` is open.
    match unsafe { libc::ioctl(fd, libc::TIOCEXCL as _) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

impl Drop for SerialPort {
    fn drop(&mut self) {
        let fd = self.file.as_raw_fd();
        // Closing waits for what is not sent yet, without end on a port that nobody reads at the other side.
        // SAFETY: neither takes memory; `fd` is open. They fail on a port that is gone, where there is nothing to do.
        unsafe {
            libc::tcflush(fd, libc::TCIOFLUSH);
            libc::ioctl(fd, libc::TIOCNXCL as _);
        }
    }
}

impl at::Port for SerialPort {
    fn within(&mut self, time: Duration) {
        self.deadline = Instant::now() + time;
    }
}

impl ErrorType for SerialPort {
    type Error = ErrorKind;
}

impl Read for SerialPort {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, ErrorKind> {
        loop {
            // Even if bytes keep coming.
            if Instant::now() >= self.deadline {
                return Err(ErrorKind::TimedOut);
            }
            self.wait(PollFlags::POLLIN)?;
            match self.file.read(buffer) {
                Err(e) if is_early(&e) => {}
                // EIO and ENODEV: the device is gone.
                result => return result.map_err(|_| ErrorKind::BrokenPipe),
            }
        }
    }
}

impl Write for SerialPort {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, ErrorKind> {
        loop {
            self.wait(PollFlags::POLLOUT)?;
            match self.file.write(bytes) {
                Err(e) if is_early(&e) => {}
                result => return result.map_err(|_| ErrorKind::BrokenPipe),
            }
        }
    }

    fn flush(&mut self) -> Result<(), ErrorKind> {
        // The kernel sends by itself.
        Ok(())
    }
}

fn is_early(e: &io::Error) -> bool {
    matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}
