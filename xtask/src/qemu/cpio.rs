//! An archive in cpio's "newc" format, which the kernel unpacks as the guest's root file system. Written here, it
//! can hold device nodes, and files of root, without being root.
//!
//! Source: Documentation/driver-api/early-userspace/buffer-format.rst of Linux.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::Result;
use crate::files;

const DIRECTORY: u32 = 0o040_755;
const FILE: u32 = 0o100_644;
const EXECUTABLE: u32 = 0o100_755;
const LINK: u32 = 0o120_777;
const CHARACTER_DEVICE: u32 = 0o020_600;

/// The name of the last entry.
const TRAILER: &str = "TRAILER!!!";

/// The archive so far.
#[derive(Default)]
pub struct Archive {
    bytes: Vec<u8>,
    /// Entries so far; each one's inode number is its place among them.
    entries: u32,
}

impl Archive {
    /// Adds all that is below `dir`. Owners and times are left out, and of the modes all but "executable", so that
    /// the same files give the same archive everywhere.
    pub fn tree(&mut self, dir: &Path) -> Result<()> {
        self.below(dir, "")
    }

    fn below(&mut self, dir: &Path, prefix: &str) -> Result<()> {
        for path in files::list(dir)? {
            let cannot = |e| format!("cannot read {}: {e}", path.display());
            let name = format!("{prefix}{}", path.file_name().unwrap_or_default().to_string_lossy());
            let about = fs::symlink_metadata(&path).map_err(cannot)?;
            if about.is_symlink() {
                let target = fs::read_link(&path).map_err(cannot)?;
                self.entry(&name, LINK, (0, 0), target.as_os_str().as_bytes())?;
            } else if about.is_dir() {
                self.entry(&name, DIRECTORY, (0, 0), &[])?;
                self.below(&path, &format!("{name}/"))?;
            } else {
                let is_executable = about.permissions().mode() & 0o100 != 0;
                let mode = if is_executable { EXECUTABLE } else { FILE };
                self.entry(&name, mode, (0, 0), &fs::read(&path).map_err(cannot)?)?;
            }
        }
        Ok(())
    }

    /// Adds the node of a character device.
    pub fn character_device(&mut self, name: &str, number: (u32, u32)) -> Result<()> {
        self.entry(name, CHARACTER_DEVICE, number, &[])
    }

    /// The whole archive.
    pub fn finish(mut self) -> Result<Vec<u8>> {
        self.entry(TRAILER, 0, (0, 0), &[])?;
        Ok(self.bytes)
    }

    fn entry(&mut self, name: &str, mode: u32, device: (u32, u32), content: &[u8]) -> Result<()> {
        let size =
            u32::try_from(content.len()).map_err(|_| format!("{name} is too large for an initramfs"))?;
        let name_size = u32::try_from(name.len() + 1).map_err(|_| format!("the name {name} is too long"))?;
        self.entries += 1;
        // Inode, mode, owner and group, links, time, size, device of the file, device that it is, name, no checksum.
        let fields = [self.entries, mode, 0, 0, 1, 0, size, 0, 0, device.0, device.1, name_size, 0]
            .map(|f| format!("{f:08x}"));
        self.bytes.extend_from_slice(b"070701");
        self.bytes.extend_from_slice(fields.concat().as_bytes());
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(content);
        self.pad();
        Ok(())
    }

    /// Names with their header, and contents, fill whole words.
    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(archive: Archive) -> String {
        String::from_utf8(archive.finish().unwrap()).unwrap()
    }

    const NO_ENTRY_FOLLOWS: &str = "00000000000000000000000000000001000000000000000000000000000000000000000000000000\
                                    0000000b00000000TRAILER!!!\0\0\0\0";

    #[test]
    fn a_file_is_header_name_and_content_each_padded() {
        let mut archive = Archive::default();
        archive.entry("etc/a", FILE, (0, 0), b"hello").unwrap();
        let header = "07070100000001000081a400000000000000000000000100000000000000050000000000000000\
                      00000000000000000000000600000000";
        assert_eq!(header.len(), 110);
        let trailer = format!("07070100000002{NO_ENTRY_FOLLOWS}");
        assert_eq!(text(archive), format!("{header}etc/a\0hello\0\0\0{trailer}"));
    }

    #[test]
    fn a_device_node_has_its_number() {
        let mut archive = Archive::default();
        archive.character_device("dev/console", (5, 1)).unwrap();
        let header = "0707010000000100002180000000000000000000000001000000000000000000000000000000000000\
                      000500000001";
        assert!(text(archive).starts_with(&format!("{header}0000000c00000000dev/console\0")));
    }

    #[test]
    fn a_tree_keeps_links_and_what_is_executable() {
        let dir = std::env::temp_dir().join(format!("xtask-cpio-{}", std::process::id()));
        files::empty_dir(&dir).unwrap();
        files::write(&dir.join("bin/tool"), "x").unwrap();
        fs::set_permissions(dir.join("bin/tool"), fs::Permissions::from_mode(0o700)).unwrap();
        files::write(&dir.join("note"), "y").unwrap();
        files::link("bin/tool", &dir.join("link")).unwrap();
        let mut archive = Archive::default();
        archive.tree(&dir).unwrap();
        files::remove_dir(&dir).unwrap();
        let text = text(archive);
        let modes: Vec<&str> = text.match_indices("070701").map(|(at, _)| &text[at + 14..at + 22]).collect();
        assert_eq!(modes, ["000041ed", "000081ed", "0000a1ff", "000081a4", "00000000"]);
        let names = ["bin\0", "bin/tool\0", "link\0", "note\0", "TRAILER!!!\0"].map(|name| text.find(name));
        assert!(names.iter().all(Option::is_some) && names.is_sorted(), "{names:?}");
    }
}
