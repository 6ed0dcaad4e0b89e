//! Files, links and directories.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, symlink};
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

/// The whole of a text file; bytes that are not UTF-8 stay as they are.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    fs::read(path)
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
