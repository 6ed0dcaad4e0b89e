//! A modem's place on the bus: a pseudo terminal for its AT port, and what sysfs says of it, below a root directory of
//! the test's own.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, sleep};

use nix::fcntl::OFlag;
use nix::pty::{PtyMaster, grantpt, posix_openpt, ptsname_r, unlockpt};
use nix::sys::termios::{SetArg, cfmakeraw, tcgetattr, tcsetattr};

use super::{Modem, Stop};
use crate::failure::{Doing, Result, skipped};

/// Plugs a modem in at a place ("1-1"), with the first of its ports named ttyUSB`first`. It is there when this returns.
/// Give back by what the modem is pulled out.
pub fn plug_in(modem: &Modem, root: &Path, place: &str, first: u8) -> Result<Plug> {
    let slot = Slot { root: root.to_path_buf(), place: place.to_string(), first };
    let out = Arc::new(AtomicBool::new(false));
    let mut line = slot.appear(modem)?;
    let (modem, is_out) = (modem.clone(), out.clone());
    thread::spawn(move || {
        loop {
            let stop = modem.serve(&mut line.master);
            slot.disappear();
            drop(line);
            if stop != Stop::Restart || modem.habits.stays_away || is_out.load(Relaxed) {
                return;
            }
            modem.restart();
            sleep(modem.habits.restart);
            line = match slot.appear(&modem) {
                Ok(line) => line,
                Err(why) => return println!("the modem does not come back: {why}"),
            };
        }
    });
    Ok(Plug(out))
}

/// The modem restarts no more once this is dropped.
pub struct Plug(Arc<AtomicBool>);

impl Drop for Plug {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

struct Slot {
    root: PathBuf,
    place: String,
    first: u8,
}

/// The modem's end of its AT port.
struct Line {
    master: Master,
    /// Somebody has to have it open, or the other end is at its end.
    _slave: File,
}

struct Master(PtyMaster);

impl io::Read for Master {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl io::Write for Master {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Line {
    /// And the path of the other end.
    fn new() -> Result<(Line, PathBuf)> {
        let master = match posix_openpt(OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC) {
            Ok(master) => master,
            Err(e) => return skipped(format!("there is no pseudo terminal ({e})")),
        };
        grantpt(&master)?;
        unlockpt(&master)?;
        let path = PathBuf::from(ptsname_r(&master)?);
        let slave = File::options().read(true).write(true).open(&path).doing("open a pseudo terminal")?;
        // Else what it says comes back to it, as long as nobody has set it up.
        let mut settings = tcgetattr(&slave)?;
        cfmakeraw(&mut settings);
        tcsetattr(&slave, SetArg::TCSANOW, &settings)?;
        println!("a modem at {} ({})", path.display(), master.as_raw_fd());
        Ok((Line { master: Master(master), _slave: slave }, path))
    }
}

impl Slot {
    fn devices(&self) -> PathBuf {
        self.root.join("sys/bus/usb/devices")
    }

    /// Four interfaces before and one behind the AT port have ports too, of which none can be opened.
    fn appear(&self, modem: &Modem) -> Result<Line> {
        let (line, path) = Line::new()?;
        let device = self.devices().join(&self.place);
        fs::create_dir_all(&device)?;
        fs::create_dir_all(self.root.join("dev"))?;
        let (vendor, product) = modem.model.ids;
        for interface in 0..=modem.model.at_interface + 1 {
            let dir = self.devices().join(format!("{}:1.{interface}", self.place));
            let tty = format!("ttyUSB{}", self.first + interface);
            fs::create_dir_all(dir.join(&tty))?;
            for (file, text) in [
                ("bInterfaceNumber", format!("{interface:02x}")),
                ("bInterfaceClass", "ff".into()),
                ("bInterfaceSubClass", "00".into()),
                ("bInterfaceProtocol", "00".into()),
            ] {
                fs::write(dir.join(file), text + "\n")?;
            }
            if interface == modem.model.at_interface {
                symlink(&path, self.root.join("dev").join(tty))?;
            }
        }
        fs::write(device.join("idVendor"), format!("{vendor:04x}\n"))?;
        fs::write(device.join("idProduct"), format!("{product:04x}\n"))?;
        Ok(line)
    }

    fn disappear(&self) {
        for entry in fs::read_dir(self.devices()).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name == self.place || name.starts_with(&format!("{}:", self.place)) {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
        for port in self.first..self.first + 8 {
            // Most of them are not there.
            let _ = fs::remove_file(self.root.join("dev").join(format!("ttyUSB{port}")));
        }
    }
}
