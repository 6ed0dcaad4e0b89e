//! The parts of a guest whose architecture Debian has: taken out of Debian's packages.

use std::path::Path;

use super::apt::{Apt, Lists};
use super::cache::{Cache, Part};
use super::machine::Debian;
use super::parts::{self, Parts};
use super::{libraries, modules};
use crate::Result;
use crate::files;

/// Changes when the functions below give other files for the same packages.
const RECIPE: &str = "1";

/// Finds the parts in the cache, or fetches what is not there.
pub fn parts(cache: &Cache, arch: &str, debian: &Debian) -> Result<Parts> {
    let part = |name| Part { name, arch: arch.to_string(), recipe: RECIPE.to_string() };
    let [linux, busybox, iproute2, firewall] = parts::NAMES.map(part);
    let apt = match Apt::update(cache.lists(arch), &debian.arch, Lists::Packages) {
        Ok(apt) => apt,
        Err(why) => return Ok(cache.newest([&linux, &busybox, &iproute2, &firewall], &why)?.into()),
    };
    // Of `linux-image-6.1.0-50-arm64 (= 6.1.176-1)` the first word.
    let depends = apt.field(&debian.kernel, "Depends")?;
    let kernel = depends.split(' ').next().unwrap_or_default();
    let [linux_version, busybox_version, iproute2_version, nftables_version] =
        [kernel, "busybox-static", "iproute2", "nftables"].map(|package| apt.field(package, "Version"));
    Ok(Parts {
        linux: cache.get(&linux, &linux_version?, |dir| take_linux(&apt, kernel, dir))?,
        busybox: cache.get(&busybox, &busybox_version?, |dir| take_busybox(&apt, dir))?,
        iproute2: cache.get(&iproute2, &iproute2_version?, |dir| take_iproute2(&apt, dir))?,
        firewall: cache.get(&firewall, &nftables_version?, |dir| take_nft(&apt, dir))?,
    })
}

fn take_linux(apt: &Apt, package: &str, dir: &Path) -> Result<()> {
    let unpacked = dir.join("unpacked");
    apt.unpack(package, &unpacked)?;
    files::rename(&files::only(&unpacked.join("boot"), "vmlinuz-")?, &dir.join(parts::KERNEL))?;
    files::rename(&unpacked.join("lib/modules"), &dir.join(parts::ROOT).join(parts::MODULES))?;
    files::remove_dir(&unpacked)?;
    // The package leaves this to the machine that it is installed on.
    modules::index(&dir.join(parts::ROOT))
}

fn take_busybox(apt: &Apt, dir: &Path) -> Result<()> {
    let unpacked = dir.join("unpacked");
    apt.unpack("busybox-static", &unpacked)?;
    files::rename(&unpacked.join("bin/busybox"), &dir.join(parts::BUSYBOX))?;
    files::remove_dir(&unpacked)
}

fn take_iproute2(apt: &Apt, dir: &Path) -> Result<()> {
    take_program(apt, "iproute2", "bin/ip", &dir.join(parts::IP), dir)
}

fn take_nft(apt: &Apt, dir: &Path) -> Result<()> {
    take_program(apt, "nftables", "usr/sbin/nft", &dir.join(parts::SBIN).join("nft"), dir)
}

/// Takes one program of a package, which gets the place `to`, and the libraries that it needs.
fn take_program(apt: &Apt, package: &str, program: &str, to: &Path, dir: &Path) -> Result<()> {
    let unpacked = dir.join("unpacked");
    apt.unpack_with_dependencies(package, &unpacked)?;
    files::copy(&unpacked.join(program), to)?;
    libraries::copy(to, &unpacked, &dir.join(parts::ROOT))?;
    files::remove_dir(&unpacked)
}
