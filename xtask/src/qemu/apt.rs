//! Debian packages and sources of any architecture, without installing them: apt with package lists of our own.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::files;
use crate::{Result, debian, process};

/// The last release that has mipsel.
const RELEASE: &str = "bookworm";
const MIRROR: &str = "http://deb.debian.org/debian";
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// The directory for downloads.
const ARCHIVES: &str = "archives";

/// Fresh package lists of one architecture.
pub struct Apt {
    /// Lists, and what else apt wants to keep.
    dir: PathBuf,
    arch: String,
}

/// Whether the lists have sources too.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Lists {
    Packages,
    PackagesAndSources,
}

impl Apt {
    /// Fetches the lists into `dir`, or what is new of them.
    pub fn update(dir: PathBuf, arch: &str, lists: Lists) -> Result<Apt> {
        debian::need("apt-get", "apt")?;
        if !Path::new(KEYRING).is_file() {
            debian::install(&["debian-archive-keyring"])?;
        }
        files::create_dir(&dir.join("lists/partial"))?;
        files::create_dir(&dir.join(ARCHIVES))?;
        let line = |kind| format!("{kind} [signed-by={KEYRING}] {MIRROR} {RELEASE} main\n");
        let sources = if lists == Lists::PackagesAndSources { line("deb-src") } else { String::new() };
        files::write(&dir.join("sources.list"), line("deb") + &sources)?;
        // Nothing is installed, as far as this apt knows: what is on the host is of no use to the guest.
        files::write(&dir.join("status"), "")?;
        let apt = Apt { dir, arch: arch.to_string() };
        // Otherwise a mirror that cannot be reached is only a warning.
        apt.run("apt-get", &["-oAPT::Update::Error-Mode=any", "update"])?;
        Ok(apt)
    }

    /// A field of the package's entry.
    pub fn field(&self, package: &str, field: &str) -> Result<String> {
        let entry = self.run("apt-cache", &["show", "--no-all-versions", package])?;
        find_field(&entry, field)
            .ok_or_else(|| format!("Debian's {package} for {} has no {field}", self.arch))
    }

    /// The version of a source package.
    pub fn source_version(&self, source: &str) -> Result<String> {
        let entry = self.run("apt-cache", &["showsrc", "--only-source", source])?;
        find_field(&entry, "Version").ok_or_else(|| format!("Debian has no source {source}"))
    }

    /// Unpacks the package into `into`.
    pub fn unpack(&self, package: &str, into: &Path) -> Result<()> {
        let archives = self.archives()?;
        self.run("apt-get", &["download", package])?;
        unpack_all(&archives, into)
    }

    /// Unpacks the package, and all packages that it depends on, into `into`.
    pub fn unpack_with_dependencies(&self, package: &str, into: &Path) -> Result<()> {
        let archives = self.archives()?;
        self.run("apt-get", &["install", "--download-only", "--no-install-recommends", "--yes", package])?;
        unpack_all(&archives, into)
    }

    /// Unpacks the sources of `source` into the new directory `into`, with Debian's patches.
    pub fn unpack_source(&self, source: &str, into: &Path) -> Result<()> {
        let archives = self.archives()?;
        self.run("apt-get", &["source", "--download-only", "--only-source", source])?;
        let described =
            files::list(&archives)?.into_iter().find(|file| file.extension().is_some_and(|e| e == "dsc"));
        let described = described.ok_or_else(|| format!("Debian's source {source} came without its .dsc"))?;
        // apt has checked that these are Debian's, by the signature of its lists.
        let mut unpack = Command::new("dpkg-source");
        unpack.args(["--no-check", "--extract"]).arg(described).arg(into);
        process::output(&mut unpack)?;
        files::remove_dir(&archives)
    }

    /// The directory for what is downloaded, empty.
    fn archives(&self) -> Result<PathBuf> {
        let archives = self.dir.join(ARCHIVES);
        files::empty_dir(&archives)?;
        files::create_dir(&archives.join("partial"))?;
        Ok(archives)
    }

    /// Runs a program of apt's that knows our lists only, and gives what it prints.
    fn run(&self, program: &str, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new(program);
        // Some of apt's commands download to where they are started.
        command
            .current_dir(self.dir.join(ARCHIVES))
            .env("LC_ALL", "C")
            .args(self.options())
            .arg("-qq")
            .args(arguments);
        process::output(&mut command).map_err(|why| match why.split_once("E: ") {
            // Without all of our options, which would hide it; the lines that follow the first are conclusions.
            Some((_, complaints)) => {
                let complaint = complaints.lines().next().unwrap_or_default();
                format!("{program} {} for {}: {complaint}", arguments.join(" "), self.arch)
            }
            None => why,
        })
    }

    fn options(&self) -> Vec<String> {
        let here = |path| self.dir.join(path).display().to_string();
        // The host's sources and preferences are not to decide.
        let nothing = "/dev/null".to_string();
        let options = [
            ("APT::Architecture", self.arch.clone()),
            ("APT::Architectures", self.arch.clone()),
            // Another user, as apt has one for downloads, could not write to our directories.
            ("APT::Sandbox::User", "root".to_string()),
            ("Acquire::Languages", "none".to_string()),
            ("Dir::State::Lists", here("lists")),
            ("Dir::State::status", here("status")),
            ("Dir::Cache", here("")),
            ("Dir::Cache::Archives", here(ARCHIVES)),
            // Debian's containers switch these off, and then each question takes a second.
            ("Dir::Cache::pkgcache", here("pkgcache.bin")),
            ("Dir::Cache::srcpkgcache", here("srcpkgcache.bin")),
            ("Dir::Etc::SourceList", here("sources.list")),
            ("Dir::Etc::SourceParts", nothing.clone()),
            ("Dir::Etc::Preferences", nothing.clone()),
            ("Dir::Etc::PreferencesParts", nothing),
        ];
        options.map(|(name, value)| format!("-o{name}={value}")).into()
    }
}

/// Unpacks the packages of a directory, which is removed.
fn unpack_all(archives: &Path, into: &Path) -> Result<()> {
    files::create_dir(into)?;
    for file in files::list(archives)? {
        if file.extension().is_some_and(|e| e == "deb") {
            process::output(Command::new("dpkg-deb").arg("--extract").arg(&file).arg(into))?;
        }
    }
    files::remove_dir(archives)
}

/// `Version: 6.1.176-1`
fn find_field(entry: &str, field: &str) -> Option<String> {
    let line = entry.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(": "))?;
    Some(line.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_the_one_of_that_name() {
        let entry = "Package: linux-image-arm64\nSource: linux-signed-arm64 (6.1.176+1)\nVersion: 6.1.176-1\n\
                     Depends: linux-image-6.1.0-50-arm64 (= 6.1.176-1)\n";
        assert_eq!(find_field(entry, "Version").unwrap(), "6.1.176-1");
        assert_eq!(find_field(entry, "Depends").unwrap(), "linux-image-6.1.0-50-arm64 (= 6.1.176-1)");
        assert_eq!(find_field(entry, "Vers"), None);
    }
}
