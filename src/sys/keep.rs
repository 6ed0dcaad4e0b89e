//! Files that must be whole whenever the power goes: copies, and the files that are put in another's place.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use nix::fcntl::{Flock, FlockArg};

/// Puts these bytes in the place of a file in one step, with the mode that it has, or 0600; nobody sees a half of it, and
/// after a power cut it is the old or the new one.
///
/// # Errors
/// What the system says; the file is as it was then.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let old = match File::open(path) {
        // `uci` reads and writes under this lock.
        Ok(file) => Some(Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, e)| e)?),
        Err(e) if e.kind() == io::ErrorKind::NotFound => None,
        Err(e) => return Err(e),
    };
    let mode = old.as_ref().map_or(Ok(0o600), |old| old.metadata().map(|data| data.mode() & 0o777))?;
    put(path, bytes, mode)
}

/// The same of a file of secrets, whose mode is 0600 whatever it was; who writes it has a lock of his own.
///
/// # Errors
/// As [`replace`].
pub fn replace_secrets(path: &Path, bytes: &[u8]) -> io::Result<()> {
    put(path, bytes, 0o600)
}

/// Makes a file of secrets, whole or not at all, unless there is one; others may do so at the same time.
///
/// # Errors
/// What the system says; that there is one is no error.
pub fn make_secrets(path: &Path, bytes: &[u8]) -> io::Result<()> {
    /// Each thread has a name of its own for its file.
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let dir = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_string_lossy();
    let [us, count] = [std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed)].map(|n| n.to_string());
    let new = dir.join([".", &name, ".", &us, "-", &count].concat());
    let _ = fs::remove_file(&new);
    // Unlike rename(2), link(2) replaces nothing.
    let made = write(&new, bytes, 0o600).and_then(|()| fs::hard_link(&new, path));
    let _ = fs::remove_file(&new);
    match made {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => Err(e),
        _ => sync_names(dir),
    }
}

fn put(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let dir = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_string_lossy();
    // `uci` takes no file for a package whose name has a dot.
    let new = dir.join(format!(".{name}.bsbf"));
    // One that was being written as the power went may be open to others.
    let _ = fs::remove_file(&new);
    let written = write(&new, bytes, mode).and_then(|()| fs::rename(&new, path));
    if written.is_err() {
        let _ = fs::remove_file(&new);
    }
    written?;
    sync_names(dir)
}

fn write(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .custom_flags(libc::O_CLOEXEC | libc::O_NOFOLLOW)
        .open(path)?;
    file.write_all(bytes)?;
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    file.sync_all()
}

/// Removes a file; one that is not there is removed.
pub fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    path.parent().map_or(Ok(()), sync_names)
}

/// A directory for its owner alone, with those above it.
pub fn make_dir(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().mode(0o700).recursive(true).create(path)
}

/// What is in a directory is a file's content, and kept like one.
fn sync_names(dir: &Path) -> io::Result<()> {
    match File::open(dir) {
        Ok(dir) => dir.sync_all(),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(e),
    }
}
