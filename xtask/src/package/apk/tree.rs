//! The files of a package as apk has them: folders by their path, each with its files.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use super::adb::{Value, Writer, Written};
use crate::Result;
use crate::package::tarball::{Entry, Kind};

/// What a symbolic link's target begins with: S_IFLNK, as 16 bits.
const LINK: u16 = 0xa000;

/// All folders by path, the root's is empty.
pub struct Tree(Vec<Folder>);

/// A folder.
pub struct Folder {
    path: String,
    mode: u32,
    files: Vec<File>,
}

struct File {
    name: String,
    mode: u32,
    kind: Kind,
    seconds: u32,
}

impl Tree {
    /// These files and the folders that they are in, all of the time `seconds` since 1970.
    ///
    /// # Errors
    /// A path that leaves the root; two of one path; a time after 2106.
    pub fn of(entries: &[Entry], seconds: u64) -> Result<Tree> {
        let seconds =
            u32::try_from(seconds).map_err(|_| format!("{seconds} is no time that apk can have"))?;
        let mut folders: BTreeMap<String, (u32, BTreeMap<String, File>)> = BTreeMap::new();
        for Entry { path, mode, kind } in entries {
            let parts: Vec<&str> = path.split('/').collect();
            if parts.iter().any(|part| ["", ".", ".."].contains(part)) {
                return Err(format!("'{path}' is no path below the root"));
            }
            for depth in 0..parts.len() {
                folders.entry(parts[..depth].join("/")).or_insert((0o755, BTreeMap::new()));
            }
            let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
            if *kind == Kind::Folder {
                folders.entry(path.clone()).or_default().0 = *mode;
                continue;
            }
            let file = File { name: name.to_string(), mode: *mode, kind: kind.clone(), seconds };
            let (_, files) = folders.entry(folder.to_string()).or_default();
            if files.insert(name.to_string(), file).is_some() {
                return Err(format!("'{path}' twice"));
            }
        }
        let folder = |(path, (mode, files)): (String, (u32, BTreeMap<String, File>))| Folder {
            path,
            mode,
            files: files.into_values().collect(),
        };
        Ok(Tree(folders.into_iter().map(folder).collect()))
    }

    /// The folders, sorted.
    pub fn folders(&self) -> &[Folder] {
        &self.0
    }

    /// What all files have, in bytes.
    pub fn size(&self) -> u32 {
        let files = self.0.iter().flat_map(|folder| &folder.files);
        files.map(|file| if let Kind::File(content) = &file.kind { content.len() as u32 } else { 0 }).sum()
    }

    /// The blocks with the contents, each behind the numbers of folder and file, from 1; an empty file has none.
    pub fn data(&self) -> Vec<Vec<u8>> {
        let mut blocks = Vec::new();
        for (folder, number) in self.0.iter().zip(1u32..) {
            for (file, index) in folder.files.iter().zip(1u32..) {
                if let Kind::File(content) = &file.kind
                    && !content.is_empty()
                {
                    blocks.push([&number.to_le_bytes(), &index.to_le_bytes(), content.as_slice()].concat());
                }
            }
        }
        blocks
    }
}

impl Folder {
    /// Writes it with its files: path, permissions, files.
    pub fn write(&self, writer: &mut Writer) -> Written {
        let files: Vec<Written> = self.files.iter().map(|file| file.write(writer)).collect();
        let path = writer.value(&Value::text(&self.path));
        let acl = acl(writer, self.mode);
        let files = writer.slots(&files);
        writer.slots(&[path, acl, files])
    }
}

impl File {
    /// Name, permissions, size, time, hash or target.
    fn write(&self, writer: &mut Writer) -> Written {
        let name = writer.value(&Value::text(&self.name));
        let (size, hash, target) = match &self.kind {
            Kind::Link(target) => {
                let blob = [LINK.to_le_bytes().as_slice(), target.as_bytes()].concat();
                (target.len(), Value::Null, Value::Blob(blob))
            }
            Kind::File(content) => {
                (content.len(), Value::Blob(Sha256::digest(content).to_vec()), Value::Null)
            }
            Kind::Folder => (0, Value::Null, Value::Null),
        };
        let (hash, target) = (writer.value(&hash), writer.value(&target));
        let size = writer.value(&Value::Int(size as u32));
        let seconds = writer.value(&Value::Int(self.seconds));
        let acl = acl(writer, self.mode);
        writer.slots(&[name, acl, size, seconds, hash, target])
    }
}

/// Permissions, owner and group.
fn acl(writer: &mut Writer, mode: u32) -> Written {
    let root = || Value::text("root");
    writer.value(&Value::Slots(vec![Value::Int(mode), root(), root()]))
}
