//! An opkg package: a gzipped tar of `debian-binary`, `data.tar.gz` and `control.tar.gz`, as OpenWrt's `ipkg-build`
//! makes it.

use std::fmt::Write as _;
use std::num::NonZeroU64;

use sha2::{Digest, Sha256};

use super::tarball::{self, Entry, Kind};
use crate::Result;

/// How often zopfli tries to do better.
const ROUNDS: NonZeroU64 = NonZeroU64::MIN.saturating_add(4);

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
    /// Fields that a vendor's opkg knows beside OpenWrt's.
    pub vendor: Vec<(&'static str, String)>,
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
        ];
        let last =
            [("Architecture", self.architecture.clone()), ("Installed-Size", installed_size.to_string())];
        let all = fields.iter().chain(&self.vendor).chain(&last).chain(file);
        let set = all.filter(|(_, value)| !value.is_empty());
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
        Ok(self.file()?.bytes)
    }

    /// The same with what others say of it.
    pub fn file(&self) -> Result<Built> {
        let member =
            |name: &str, bytes| Entry { path: name.to_string(), mode: 0o644, kind: Kind::File(bytes) };
        let (data, meta) = (gzip(&self.data()?)?, gzip(&self.meta()?)?);
        let digest = sha256(&[data.as_slice(), &meta].concat());
        let members = [
            member("debian-binary", b"2.0\n".to_vec()),
            member("data.tar.gz", data),
            member("control.tar.gz", meta),
        ];
        let bytes = gzip(&tarball::members(&members, self.control.epoch)?)?;
        Ok(Built { name: self.control.file_name(), bytes, digest })
    }
}

/// `gzip -n`: without name and time.
/// A package's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Built {
    pub name: String,
    pub bytes: Vec<u8>,
    /// SHA-256 of its archives, the files before what opkg keeps; Teltonika's Package Manager tells packages by it.
    pub digest: String,
}

/// `gzip -n`: without name and time. By zopfli, which takes seconds and saves a twentieth of a router's flash.
pub fn gzip(bytes: &[u8]) -> Result<Vec<u8>> {
    zip(bytes, zopfli::Format::Gzip)
}

/// By zopfli, which takes seconds and saves a twentieth of a router's flash.
pub fn zip(bytes: &[u8], format: zopfli::Format) -> Result<Vec<u8>> {
    // Ten more rounds would save another thousandth.
    let options = zopfli::Options { iteration_count: ROUNDS, ..zopfli::Options::default() };
    let mut zipped = Vec::new();
    zopfli::compress(options, format, bytes, &mut zipped).map_err(|e| format!("cannot compress: {e}"))?;
    Ok(zipped)
}

/// In hexadecimal digits.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
