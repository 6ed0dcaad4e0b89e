//! The directory of what must outlive the process but not a reboot: locks, memory, sockets.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::fcntl::{Flock, FlockArg};

/// Between two tries to take a lock.
const INTERVAL: Duration = Duration::from_millis(50);

/// The run directory.
#[derive(Clone, Debug)]
pub struct RunDir(PathBuf);

/// Held as long as it lives, and let go by the kernel when the process dies in whatever way.
pub struct Lock(#[expect(dead_code, reason = "held, not read")] Flock<File>);

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
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o644)
            .custom_flags(libc::O_CLOEXEC | libc::O_NOFOLLOW)
            .open(self.path(name))?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(mut file) => {
                file.set_len(0)?;
                file.rewind()?;
                file.write_all(holder.as_bytes())?;
                Ok(Ok(Lock(file)))
            }
            Err((mut file, nix::errno::Errno::EWOULDBLOCK)) => {
                let mut holder = String::new();
                file.read_to_string(&mut holder)?;
                Ok(Err(holder))
            }
            Err((_, e)) => Err(e.into()),
        }
    }

    /// The same, waiting for a holder that ends within this time.
    pub fn lock_within(
        &self,
        name: &str,
        holder: &str,
        within: Duration,
    ) -> io::Result<Result<Lock, String>> {
        let deadline = Instant::now() + within;
        loop {
            match self.lock(name, holder)? {
                Err(_) if Instant::now() < deadline => std::thread::sleep(INTERVAL),
                result => return Ok(result),
            }
        }
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
