//! An opkg package: a gzipped tar of `debian-binary`, `data.tar.gz` and `control.tar.gz`, as OpenWrt's `ipkg-build`
//! makes it.

use std::fmt::Write as _;
use std::io::Write as _;

use flate2::{Compression, GzBuilder};
use sha2::{Digest, Sha256};

use super::tarball::{self, Entry, Kind};
use crate::Result;

/// What a package says of itself, in the order of its `control`.
#[derive(Clone, Debug, Default)]
pub struct Control {
    pub package: String,
    /// `1.0-r1`.
    pub version: String,
    pub depends: Vec<String>,
    pub conflicts: Vec<String>,
    pub provides: Vec<String>,
    /// Where it is made from, in the tree of the feed.
    pub source: String,
    pub license: String,
    pub section: String,
    /// The time of all files, in seconds since 1970.
    pub epoch: u64,
    pub architecture: String,
    pub description: String,
}

/// A package with its content.
#[derive(Clone, Debug, Default)]
pub struct Ipk {
    pub control: Control,
    pub files: Vec<Entry>,
    /// Files that belong to the user once they are installed, as absolute paths.
    pub conffiles: Vec<String>,
    /// Names and texts: `postinst`, `prerm`.
    pub scripts: Vec<(String, String)>,
}

impl Control {
    /// The fields of `control`, and in a feed's index those of `file`; `installed_size` in bytes.
    fn text(&self, installed_size: usize, file: &[(&str, String)]) -> String {
        let name = self.source.rsplit('/').next().unwrap_or_default();
        let fields = [
            ("Package", self.package.clone()),
            ("Version", self.version.clone()),
            ("Depends", self.depends.join(", ")),
            ("Conflicts", self.conflicts.join(", ")),
            ("Provides", self.provides.join(", ")),
            ("Source", self.source.clone()),
            ("SourceName", name.to_string()),
            ("License", self.license.clone()),
            ("Section", self.section.clone()),
            ("SourceDateEpoch", self.epoch.to_string()),
            ("Architecture", self.architecture.clone()),
            ("Installed-Size", installed_size.to_string()),
        ];
        let set = fields.iter().chain(file).filter(|(_, value)| !value.is_empty());
        let text: String = set.map(|(name, value)| format!("{name}: {value}\n")).collect();
        text + &format!("Description:  {}\n", self.description.replace('\n', "\n "))
    }

    /// opkg's name of the file.
    pub fn file_name(&self) -> String {
        format!("{}_{}_{}.ipk", self.package, self.version, self.architecture)
    }
}

impl Ipk {
    /// The entry in a feed's `Packages` of this package, which was built as `built`.
    pub fn index_entry(&self, built: &[u8]) -> Result<String> {
        let file = [
            ("Filename", self.control.file_name()),
            ("Size", built.len().to_string()),
            ("SHA256sum", sha256(built)),
        ];
        Ok(self.control.text(self.data()?.len(), &file) + "\n")
    }

    /// The files, as an archive.
    pub fn data(&self) -> Result<Vec<u8>> {
        tarball::tree(&self.files, self.control.epoch)
    }

    /// What opkg keeps of the package, as an archive.
    pub fn meta(&self) -> Result<Vec<u8>> {
        let file = |name: &str, text: &str, mode| Entry {
            path: name.to_string(),
            mode,
            kind: Kind::File(text.as_bytes().to_vec()),
        };
        let mut entries = vec![file("control", &self.control.text(self.data()?.len(), &[]), 0o644)];
        if !self.conffiles.is_empty() {
            let lines: String = self.conffiles.iter().map(|path| format!("{path}\n")).collect();
            entries.push(file("conffiles", &lines, 0o644));
        }
        entries.extend(self.scripts.iter().map(|(name, text)| file(name, text, 0o755)));
        tarball::tree(&entries, self.control.epoch)
    }

    /// The whole package.
    pub fn build(&self) -> Result<Vec<u8>> {
        let member =
            |name: &str, bytes| Entry { path: name.to_string(), mode: 0o644, kind: Kind::File(bytes) };
        let members = [
            member("debian-binary", b"2.0\n".to_vec()),
            member("data.tar.gz", gzip(&self.data()?)?),
            member("control.tar.gz", gzip(&self.meta()?)?),
        ];
        gzip(&tarball::members(&members, self.control.epoch)?)
    }
}

/// `gzip -n`: without name and time.
pub fn gzip(bytes: &[u8]) -> Result<Vec<u8>> {
    let cannot = |e: std::io::Error| format!("cannot compress: {e}");
    // 3 is Unix (RFC 1952, 2.3.1).
    let mut encoder = GzBuilder::new().operating_system(3).write(Vec::new(), Compression::best());
    encoder.write_all(bytes).map_err(cannot)?;
    encoder.finish().map_err(cannot)
}

/// In hexadecimal digits.
fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
