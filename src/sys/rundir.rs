//! The directory of what must outlive the process but not a reboot: locks, memory, sockets.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::lock::{self, Lock};

/// Who may read a lock can hold it, and keep us from starting.
const LOCK_MODE: u32 = 0o600;

/// The run directory.
#[derive(Clone, Debug)]
pub struct RunDir(PathBuf);

impl RunDir {
    /// Uses `path`, made if it is missing, open to its owner and readable to all.
    pub fn open(path: &Path) -> io::Result<RunDir> {
        match fs::DirBuilder::new().mode(0o755).recursive(true).create(path) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => Err(e),
            _ => Ok(RunDir(path.to_path_buf())),
        }
    }

    /// A path in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Takes the lock `name` and writes `holder` into it; Err(holder) is who has it.
    pub fn lock(&self, name: &str, holder: &str) -> io::Result<Result<Lock, String>> {
        lock::take(&self.path(name), LOCK_MODE, holder)
    }

    /// The same, waiting for a holder that ends within this time.
    pub fn lock_within(
        &self,
        name: &str,
        holder: &str,
        within: Duration,
    ) -> io::Result<Result<Lock, String>> {
        lock::take_within(&self.path(name), LOCK_MODE, holder, within)
    }

    /// The text of a file; empty if there is none.
    pub fn read(&self, name: &str) -> io::Result<String> {
        match fs::read(self.path(name)) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(String::new()),
            bytes => Ok(String::from_utf8_lossy(&bytes?).into_owned()),
        }
    }

    /// Adds a text to a file.
    pub fn append(&self, name: &str, text: &str) -> io::Result<()> {
        self.private(name, OpenOptions::new().append(true))?.write_all(text.as_bytes())
    }

    /// Puts a text in the place of a file in one step; the directory is in memory, so it need not be synced.
    pub fn write(&self, name: &str, text: &str) -> io::Result<()> {
        let temporary = format!(".{name}.new");
        self.private(&temporary, OpenOptions::new().write(true).truncate(true))?
            .write_all(text.as_bytes())?;
        fs::rename(self.path(&temporary), self.path(name))
    }

    /// A file for those who may ask the manager too: its socket has the same owner and group.
    fn private(&self, name: &str, how: &mut OpenOptions) -> io::Result<File> {
        how.create(true).mode(0o640).custom_flags(libc::O_CLOEXEC | libc::O_NOFOLLOW).open(self.path(name))
    }
}
