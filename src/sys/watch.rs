//! A file that is made anew, as a service's socket is when the service starts.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

/// Watches a file by its directory, inotify(7).
pub struct Watch {
    inotify: Inotify,
    name: OsString,
}

impl Watch {
    /// Watches for the first of these files whose directory is there; `None` if none is.
    ///
    /// # Errors
    /// What the system says.
    pub fn of(paths: &[&str]) -> io::Result<Option<Watch>> {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
        let made = AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO;
        for path in paths.iter().map(Path::new) {
            if let (Some(dir), Some(name)) = (path.parent(), path.file_name())
                && inotify.add_watch(dir, made).is_ok()
            {
                return Ok(Some(Watch { inotify, name: name.to_owned() }));
            }
        }
        Ok(None)
    }

    /// Whether it was made since this was asked last.
    ///
    /// # Errors
    /// What the system says.
    pub fn was_made(&self) -> io::Result<bool> {
        match self.inotify.read_events() {
            // Without a name if some were lost.
            Ok(events) => Ok(events.iter().any(|e| e.name.as_ref().is_none_or(|name| *name == self.name))),
            Err(Errno::EAGAIN) => Ok(false),
            Err(e) => Err(e.into()),
        }
    }
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_that_is_made_anew_is_seen_and_others_are_not() {
        let dir = std::env::temp_dir().join(format!("bsbf-watch-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let path = dir.join("ubus.sock");
        let watch = Watch::of(&["/nowhere/ubus.sock", path.to_str().unwrap()]).unwrap().unwrap();
        let make = |name: &str| {
            fs::write(dir.join(name), "").unwrap();
            watch.was_made().unwrap()
        };
        assert_eq!(["other", "ubus.sock", "another"].map(make), [false, true, false]);
        assert!(!watch.was_made().unwrap());
        fs::rename(dir.join("other"), &path).unwrap();
        assert!(watch.was_made().unwrap());
        assert!(Watch::of(&["/nowhere/ubus.sock"]).unwrap().is_none());
        fs::remove_dir_all(&dir).unwrap();
    }
}
