//! A file that is made anew, as a service's socket is when the service starts, or written anew, as a list is.

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
        Watch::open(paths, AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO)
    }

    /// Watches for another content of this file: it has been written and closed, or another one has taken its place. One
    /// that was only begun is not seen. `None` if its directory is not there.
    ///
    /// # Errors
    /// What the system says.
    #[cfg(feature = "server")]
    pub fn content_of(path: &str) -> io::Result<Option<Watch>> {
        Watch::open(&[path], AddWatchFlags::IN_CLOSE_WRITE | AddWatchFlags::IN_MOVED_TO)
    }

    fn open(paths: &[&str], made: AddWatchFlags) -> io::Result<Option<Watch>> {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
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
    #[cfg(feature = "server")]
    #[test]
    fn a_file_that_is_being_written_is_not_seen_before_its_end() {
        let dir = std::env::temp_dir().join(format!("bsbf-written-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let path = dir.join("clients");
        let watch = Watch::content_of(path.to_str().unwrap()).unwrap().unwrap();
        let begun = fs::File::create(&path).unwrap();
        assert!(!watch.was_made().unwrap());
        drop(begun);
        assert!(watch.was_made().unwrap());
        // In its place, and by another that takes it.
        fs::write(&path, "0").unwrap();
        assert!(watch.was_made().unwrap());
        fs::write(dir.join("new"), "1").unwrap();
        fs::rename(dir.join("new"), &path).unwrap();
        assert!(watch.was_made().unwrap());
        fs::remove_dir_all(&dir).unwrap();
    }
}
