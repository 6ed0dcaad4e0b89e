//! The guest's root file system: what the lab lays out for it, our programs, and the parts that are not ours.

use std::path::{Path, PathBuf};

use super::cpio::Archive;
use super::modules;
use super::parts::{self, Parts};
use crate::Result;
use crate::files;
use crate::package::list::List;
use crate::targets::Target;

/// The guest's own files, in the source tree.
const ROUTER: &str = "qemu-tests/router";

/// What has to exist before the guest's first program runs; busybox installs its links into some of them.
const DIRECTORIES: [&str; 11] =
    ["dev", "etc", "mnt", "proc", "root", "run", "sbin", "sys", "tmp", "usr/bin", "var"];
/// A link and where it leads.
const LINKS: [(&str, &str); 2] = [("bin/sh", "busybox"), ("var/run", "../run")];
/// Character devices that the kernel wants for the first program, before anything is mounted on /dev.
const DEVICES: [(&str, (u32, u32)); 2] = [("dev/console", (5, 1)), ("dev/null", (1, 3))];
const PROGRAMS: &str = "usr/sbin";
/// The packages, in a folder for each release: the second is an upgrade.
const PACKAGES: &str = "root/packages";
/// Settings of first boots, recorded from the real generators.
const LAYOUTS: &str = "tests/vectors/uci/configs";
const RELEASES: std::ops::RangeInclusive<u32> = 1..=2;

/// The programs of this repository, built for the guest.
pub struct Programs {
    pub bsbf: PathBuf,
    pub lab: PathBuf,
    /// The names under which the product runs.
    pub names: Vec<String>,
    /// Others, each with the name that it gets.
    pub more: Vec<(PathBuf, &'static str)>,
}

/// Writes the image into `dir` and gives its path. Its files are in `dir/root` afterwards, to look at.
pub fn build(
    source_tree: &Path,
    target: &Target,
    parts: &Parts,
    programs: &Programs,
    dir: &Path,
) -> Result<PathBuf> {
    let root = dir.join("root");
    files::empty_dir(&root)?;
    for name in DIRECTORIES {
        files::create_dir(&root.join(name))?;
    }
    for (link, to) in LINKS {
        files::link(to, &root.join(link))?;
    }
    files::copy_tree(&parts.busybox.join(parts::ROOT), &root)?;
    files::copy_tree(&parts.iproute2.join(parts::ROOT), &root)?;
    files::copy_tree(&parts.firewall.join(parts::ROOT), &root)?;
    modules::install(&parts.linux.join(parts::ROOT), &target.machine.modules, &root)?;
    files::copy(&programs.bsbf, &root.join(PROGRAMS).join("bsbf"))?;
    files::copy(&programs.lab, &root.join(PROGRAMS).join("lab"))?;
    for name in &programs.names {
        files::link("bsbf", &root.join(PROGRAMS).join(name))?;
    }
    for (program, name) in &programs.more {
        files::copy(program, &root.join(PROGRAMS).join(name))?;
    }
    packages(source_tree, target, programs, &root.join(PACKAGES))?;
    files::copy_tree(&source_tree.join(LAYOUTS), &root.join("root/layouts"))?;
    // Last, so that it may replace what is above.
    files::copy_tree(&source_tree.join(ROUTER), &root)?;

    let mut archive = Archive::default();
    archive.tree(&root)?;
    for (name, number) in DEVICES {
        archive.character_device(name, number)?;
    }
    let image = dir.join("initramfs.cpio");
    files::write(&image, archive.finish()?)?;
    Ok(image)
}

/// Puts the packages for the guest into `dir`.
fn packages(source_tree: &Path, target: &Target, programs: &Programs, dir: &Path) -> Result<()> {
    let mut list = List::read(source_tree)?;
    let program =
        std::fs::read(&programs.bsbf).map_err(|e| format!("cannot read {}: {e}", programs.bsbf.display()))?;
    for release in RELEASES {
        list.release = release;
        for package in list.packages(source_tree, &programs.names, &program, &target.arch, 0)? {
            let file = dir.join(release.to_string()).join(package.control.file_name());
            files::write(&file, package.build()?)?;
        }
    }
    Ok(())
}
