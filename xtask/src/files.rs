//! Files and directories, with errors that name them.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::Result;

/// What went wrong, as a sentence: `cannot VERB PATH: CAUSE`.
fn cannot(verb: &str, path: &Path, cause: &io::Error) -> String {
    format!("cannot {verb} {}: {cause}", path.display())
}

pub fn create_dir(dir: &Path) -> Result<()> {
    fs::create_dir_all(dir).map_err(|e| cannot("create", dir, &e))
}

/// The directory, empty.
pub fn empty_dir(dir: &Path) -> Result<()> {
    remove_dir(dir)?;
    create_dir(dir)
}

/// Removes the directory with all that is in it, if it exists.
pub fn remove_dir(dir: &Path) -> Result<()> {
    match fs::remove_dir_all(dir) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(cannot("remove", dir, &e)),
        _ => Ok(()),
    }
}

pub fn read(file: &Path) -> Result<String> {
    fs::read_to_string(file).map_err(|e| cannot("read", file, &e))
}

/// Writes the file, and the directories above it.
pub fn write(file: &Path, content: impl AsRef<[u8]>) -> Result<()> {
    create_parent(file)?;
    fs::write(file, content).map_err(|e| cannot("write", file, &e))
}

/// Moves a file or directory within one file system; the directories above `to` are made.
pub fn rename(from: &Path, to: &Path) -> Result<()> {
    create_parent(to)?;
    fs::rename(from, to).map_err(|e| cannot("move", from, &e))
}

/// Copies a file with its mode; the directories above `to` are made.
pub fn copy(from: &Path, to: &Path) -> Result<()> {
    create_parent(to)?;
    fs::copy(from, to)
        .map(drop)
        .map_err(|e| format!("cannot copy {} to {}: {e}", from.display(), to.display()))
}

/// Makes `link`, which points to `to`.
pub fn link(to: impl AsRef<Path>, link: &Path) -> Result<()> {
    create_parent(link)?;
    symlink(to, link).map_err(|e| cannot("create the link", link, &e))
}

/// Copies all that is below `from`; symbolic links stay links, and what is there already is replaced.
pub fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    create_dir(to)?;
    for entry in list(from)? {
        let copied = to.join(entry.file_name().unwrap_or_default());
        if entry.is_dir() && !entry.is_symlink() {
            copy_tree(&entry, &copied)?;
            continue;
        }
        remove_file(&copied)?;
        if entry.is_symlink() {
            let target = fs::read_link(&entry).map_err(|e| cannot("read the link", &entry, &e))?;
            link(target, &copied)?;
        } else {
            copy(&entry, &copied)?;
        }
    }
    Ok(())
}

/// Removes the file or link, if it exists.
fn remove_file(file: &Path) -> Result<()> {
    match fs::remove_file(file) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(cannot("remove", file, &e)),
        _ => Ok(()),
    }
}

/// What is in the directory, sorted.
pub fn list(dir: &Path) -> Result<Vec<PathBuf>> {
    let entries =
        fs::read_dir(dir).and_then(|entries| entries.map(|e| Ok(e?.path())).collect::<io::Result<Vec<_>>>());
    let mut entries = entries.map_err(|e| cannot("read", dir, &e))?;
    entries.sort();
    Ok(entries)
}

/// The one entry of the directory whose name starts with `prefix`.
pub fn only(dir: &Path, prefix: &str) -> Result<PathBuf> {
    let has_prefix =
        |path: &PathBuf| path.file_name().is_some_and(|n| n.to_string_lossy().starts_with(prefix));
    let mut found = list(dir)?.into_iter().filter(has_prefix);
    match (found.next(), found.next()) {
        (Some(path), None) => Ok(path),
        (None, _) => Err(format!("nothing in {} is named {prefix}...", dir.display())),
        (Some(_), Some(_)) => Err(format!("several things in {} are named {prefix}...", dir.display())),
    }
}

fn create_parent(path: &Path) -> Result<()> {
    path.parent().map_or(Ok(()), create_dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copied_tree_replaces_links_and_not_what_they_lead_to() {
        let dir = std::env::temp_dir().join(format!("xtask-files-{}", std::process::id()));
        let (from, to) = (dir.join("from"), dir.join("to"));
        write(&from.join("bin/sh"), "script").unwrap();
        link("sh", &from.join("bin/ash")).unwrap();
        write(&to.join("bin/busybox"), "busybox").unwrap();
        link("busybox", &to.join("bin/sh")).unwrap();
        link("busybox", &to.join("bin/ash")).unwrap();
        copy_tree(&from, &to).unwrap();
        let [busybox, sh, ash] =
            ["busybox", "sh", "ash"].map(|name| read(&to.join("bin").join(name)).unwrap());
        remove_dir(&dir).unwrap();
        assert_eq!([busybox, sh, ash], ["busybox", "script", "script"]);
    }

    #[test]
    fn only_one_entry_may_have_the_prefix() {
        let dir = std::env::temp_dir().join(format!("xtask-only-{}", std::process::id()));
        write(&dir.join("vmlinuz-6.1"), "").unwrap();
        write(&dir.join("config-6.1"), "").unwrap();
        let kernel = only(&dir, "vmlinuz-");
        let (none, several) = (only(&dir, "initrd-"), only(&dir, ""));
        remove_dir(&dir).unwrap();
        assert_eq!(kernel.unwrap(), dir.join("vmlinuz-6.1"));
        assert!(none.is_err() && several.is_err());
    }
}
