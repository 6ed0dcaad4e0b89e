//! Files, links and directories.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};

/// What stands where a command's symlink should be.
#[derive(Debug, PartialEq, Eq)]
pub enum LinkState {
    /// Nothing.
    Absent,
    /// A symlink to our binary.
    Ours,
    /// Something else; not to be touched.
    Foreign,
}

/// The path of the running binary, links resolved.
pub fn own_path() -> io::Result<PathBuf> {
    fs::canonicalize("/proc/self/exe")
}

/// `path` with links resolved.
pub fn canonical(path: &Path) -> io::Result<PathBuf> {
    fs::canonicalize(path)
}

/// `path` from the root on, whether something is there or not; as it is if this directory is not known.
pub fn absolute(path: &str) -> String {
    std::path::absolute(path)
        .map_or_else(|_| path.to_owned(), |absolute| absolute.to_string_lossy().into_owned())
}

/// What stands at `link`; a dangling link of the binary's file name counts as ours.
pub fn link_state(link: &Path, binary: &Path) -> io::Result<LinkState> {
    match fs::read_link(link) {
        Ok(target) if fs::canonicalize(link).is_ok_and(|p| p == binary) => {
            let _ = target;
            Ok(LinkState::Ours)
        }
        Ok(target) if target.file_name() == binary.file_name() => Ok(LinkState::Ours),
        Ok(_) => Ok(LinkState::Foreign),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(LinkState::Absent),
        Err(e) if e.raw_os_error() == Some(libc::EINVAL) => Ok(LinkState::Foreign), // not a symlink
        Err(e) => Err(e),
    }
}

/// Makes `link` point to `target`, atomically where a link stood before.
pub fn replace_link(target: &Path, link: &Path) -> io::Result<()> {
    let mut temporary = link.as_os_str().to_owned();
    temporary.push(".new");
    let temporary = PathBuf::from(temporary);
    match fs::remove_file(&temporary) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    symlink(target, &temporary)?;
    fs::rename(&temporary, link)
}

/// Whether something stands at `path`, links followed; what cannot be looked at counts, so that reading it says why.
pub fn exists(path: &Path) -> bool {
    !fs::metadata(path).is_err_and(|e| e.kind() == io::ErrorKind::NotFound)
}

/// The size of a file, in bytes.
pub fn size(path: &Path) -> io::Result<u64> {
    Ok(fs::metadata(path)?.len())
}

/// Whether its group or others may read a file.
pub fn is_open_to_others(path: &Path) -> io::Result<bool> {
    Ok(fs::metadata(path)?.mode() & 0o044 != 0)
}

/// The whole of a text file; bytes that are not UTF-8 stay as they are.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    fs::read(path)
}

/// The whole of a settings file, of which a router's have a tenth of a mebibyte.
///
/// # Errors
/// As [`read_up_to`].
pub fn read_settings(path: &Path) -> io::Result<Vec<u8>> {
    read_up_to(path, 1)
}

/// The whole of a file that has no more than so many mebibytes.
///
/// # Errors
/// What the system says; that it is a pipe; that it has more, of which a router's memory would not hold what it means.
pub fn read_up_to(path: &Path, mebibytes: u32) -> io::Result<Vec<u8>> {
    // A pipe that nobody writes to must not hold us up, and one that is empty for now must not pass for a file.
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    if file.metadata()?.file_type().is_fifo() {
        return Err(io::Error::other("it is a pipe, which cannot be read again"));
    }
    let most = u64::from(mebibytes) << 20;
    let mut text = Vec::new();
    file.take(most + 1).read_to_end(&mut text)?;
    if text.len() as u64 > most {
        let cause = ["it has over ", &mebibytes.to_string(), " MiB, which is no settings file"].concat();
        return Err(io::Error::other(cause));
    }
    Ok(text)
}

/// An entry of a directory.
pub struct Entry {
    /// Its name.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
    /// Type and permissions (st_mode).
    pub mode: u32,
}

/// What is in a directory, by name; links are not followed.
pub fn list(dir: &Path) -> io::Result<Vec<Entry>> {
    let mut entries: Vec<Entry> = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        // It may have gone since.
        let Ok(data) = entry.metadata() else { continue };
        let name = entry.file_name().to_string_lossy().into_owned();
        let place = entries.partition_point(|before| before.name < name);
        entries.insert(place, Entry { name, size: data.len(), mode: data.mode() });
    }
    Ok(entries)
}
