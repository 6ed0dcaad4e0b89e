//! GNU tar archives as OpenWrt's `ipkg-build` makes them, byte for byte: sorted, owned by root, all of one time.
//!
//! opkg reads GNU and ustar headers alone, makes no folders of its own, and says "installed" when it has written
//! nothing; so every folder has its entry, and what a header cannot hold is an error here.

use crate::Result;

/// tar's unit.
const BLOCK: usize = 512;
/// GNU tar fills its last record up.
const RECORD: usize = 20 * BLOCK;
/// What a header's name field holds, with no NUL behind it.
const NAME: usize = 100;

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    Folder,
    File(Vec<u8>),
    /// A symbolic link to this.
    Link(String),
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its path from the root, without a slash at either end; empty for the root itself.
    pub path: String,
    /// Its permissions: 0o755.
    pub mode: u32,
    pub kind: Kind,
}

/// The archive of a tree: these entries and the folders that they are in, all of the time `seconds` since 1970.
///
/// # Errors
/// As [`members`]; a path that leaves the root, two entries of one path.
pub fn tree(entries: &[Entry], seconds: u64) -> Result<Vec<u8>> {
    let mut all = entries.to_vec();
    for Entry { path, .. } in entries {
        let parts: Vec<&str> = path.split('/').collect();
        if parts.iter().any(|part| ["", ".", ".."].contains(part)) {
            return Err(format!("'{path}' is no path below the root"));
        }
        for depth in 0..parts.len() {
            let path = parts.get(..depth).unwrap_or_default().join("/");
            if !all.iter().any(|other| other.path == path) {
                all.push(Entry { path, mode: 0o755, kind: Kind::Folder });
            }
        }
    }
    // As tar's --sort=name has it: what is in a folder follows it at once.
    all.sort_by(|a, b| a.path.split('/').cmp(b.path.split('/')));
    for pair in all.windows(2) {
        if let [first, second] = pair
            && first.path == second.path
        {
            return Err(format!("'{}' twice", first.path));
        }
    }
    members(&all, seconds)
}

/// The archive of these entries alone, in this order.
///
/// # Errors
/// A path or link that is too long for a header.
pub fn members(entries: &[Entry], seconds: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for entry in entries {
        header(&mut bytes, entry, seconds)?;
        if let Kind::File(content) = &entry.kind {
            bytes.extend(content);
            bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
        }
    }
    // Two empty blocks end it.
    bytes.resize((bytes.len() + 2 * BLOCK).next_multiple_of(RECORD), 0);
    Ok(bytes)
}

/// A header in GNU's old format (tar's manual, "Basic Tar Format").
fn header(bytes: &mut Vec<u8>, entry: &Entry, seconds: u64) -> Result<()> {
    let (kind, size, link) = match &entry.kind {
        Kind::Folder => (b'5', 0, ""),
        Kind::File(content) => (b'0', content.len(), ""),
        Kind::Link(target) => (b'2', 0, target.as_str()),
    };
    let slash = if entry.kind == Kind::Folder && !entry.path.is_empty() { "/" } else { "" };
    let name = format!("./{}{slash}", entry.path);
    if name.len() > NAME || link.len() > NAME {
        return Err(format!(
            "'{name}' or what it links to has over {NAME} bytes, which not every opkg reads"
        ));
    }
    let mut header = Vec::with_capacity(BLOCK);
    field(&mut header, NAME, &name);
    field(&mut header, 8, &format!("{:07o}", entry.mode));
    field(&mut header, 8, "0000000"); // owner
    field(&mut header, 8, "0000000"); // group
    field(&mut header, 12, &format!("{size:011o}"));
    field(&mut header, 12, &format!("{seconds:011o}"));
    let checksum = header.len()..header.len() + 8;
    header.extend([b' '; 8]); // counted as blanks
    header.push(kind);
    field(&mut header, NAME, link);
    field(&mut header, 8, "ustar  ");
    header.resize(BLOCK, 0);
    let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
    header.splice(checksum, format!("{sum:06o}\0 ").into_bytes());
    bytes.extend(header);
    Ok(())
}

fn field(header: &mut Vec<u8>, width: usize, text: &str) {
    let end = header.len() + width;
    header.extend(text.as_bytes());
    header.resize(end, 0);
}
