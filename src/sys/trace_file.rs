//! The file that a manager records into.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use nix::fcntl::{Flock, FlockArg};

/// A trace that is being written; nobody else writes it meanwhile.
pub struct TraceFile {
    file: Flock<File>,
    written: u64,
}

impl TraceFile {
    /// Makes the file, readable to its owner only. One that is there gives way if it is empty or begins with `magic`;
    /// anything else (another file, a link, a device, another user's) is left as it is and refused.
    pub fn create(path: &Path, magic: &str) -> io::Result<TraceFile> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            // A named pipe must not make us wait before it is refused.
            .custom_flags(libc::O_CLOEXEC | libc::O_NOFOLLOW | libc::O_NONBLOCK)
            .open(path)?;
        let about = file.metadata()?;
        if !about.is_file() || about.uid() != nix::unistd::geteuid().as_raw() {
            return Err(refusal("it is no regular file of ours"));
        }
        let mut file = Flock::lock(file, FlockArg::LockExclusiveNonblock)
            .map_err(|_| refusal("somebody else is writing it"))?;
        let mut start = vec![0; magic.len()];
        let is_trace = file.read_exact(&mut start).is_ok() && start == magic.as_bytes();
        if about.len() > 0 && !is_trace {
            return Err(refusal("it is there and no trace; remove it first"));
        }
        file.set_permissions(PermissionsExt::from_mode(0o600))?;
        file.set_len(0)?;
        file.rewind()?;
        Ok(TraceFile { file, written: 0 })
    }

    /// How long it is, in bytes.
    pub fn len(&self) -> u64 {
        self.written
    }

    /// Appends text, all of it or nothing.
    pub fn append(&mut self, text: &str) -> io::Result<()> {
        match self.file.write_all(text.as_bytes()) {
            Ok(()) => self.written += text.len() as u64,
            Err(e) => {
                // What was written of it goes, as far as that can be.
                let _ = self.file.set_len(self.written);
                return Err(e);
            }
        }
        Ok(())
    }
}

#[cfg(feature = "replay")]
/// All of a trace; a file that is longer than `limit` bytes is none.
pub fn read(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(limit + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > limit {
        true => Err(refusal("it is too long for a trace")),
        false => Ok(bytes),
    }
}

fn refusal(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, why.to_string())
}
