//! What Teltonika's RUTOS wants otherwise than OpenWrt: more fields in `control`, and the Package Manager's bundles.
//!
//! Read in the public sources of the RUTX SDK and of the WebUI (include/package-ipkg.mk, scripts/ipkg-build,
//! scripts/prepare_tlt_pm_packages.sh; vuci's opkg_pkg.lua and package_manager.lua), for 00.07.1x; nothing of it was run on
//! a router. rutos-feed/README.md has what is unconfirmed.

#[cfg(test)]
mod removal;
#[cfg(test)]
mod tests;

use std::path::Path;

use super::ipk::{self, Built, Ipk};
use super::list::{List, Package};
use super::tarball::{self, Entry, Kind};
use crate::{Result, files};

/// The packages of the list, for these platforms.
pub fn adapt(list: &List, mut packages: Vec<Ipk>, platforms: &[String]) -> Vec<Ipk> {
    for (package, ipk) in list.package.iter().zip(&mut packages) {
        let control = &mut ipk.control;
        // Its SDK is of OpenWrt 21.02, which has no "r" there: a package of ours and of the SDK's must be the same one.
        if let Some((version, release)) = control.version.rsplit_once("-r") {
            control.version = format!("{version}-{release}");
        }
        control.depends = depends(package, &control.depends);
        // Installed ones with a tlt_name are shown by the Package Manager, and those with a Router are looked for again
        // on Teltonika's server after an upgrade of the firmware: what comes along with others must be neither.
        if let Some(name) = &package.tlt_name {
            let of = control.package.clone();
            control.vendor =
                vec![("Router", platforms.join(" ")), ("tlt_name", name.clone()), ("AppName", of)];
        }
    }
    packages
}

/// What a package needs there: of the system something else, of ours the same.
pub fn depends(package: &Package, depends: &[String]) -> Vec<String> {
    let ours = depends
        .iter()
        .filter(|name| !package.depends.contains(name) && !package.rutos_depends.contains(name));
    package.rutos_depends.iter().chain(ours).cloned().collect()
}

/// Writes for each platform what its Package Manager page takes: one file for every package that it shows, with those
/// that it needs. It takes nothing that is not for its very version.
pub fn bundles(
    dir: &Path,
    packages: &[Ipk],
    built: &[Built],
    platforms: &[String],
    firmware: Option<&str>,
) -> Result<()> {
    let Some(firmware) = firmware else {
        println!("xtask: no bundles for the Package Manager without --firmware VERSION");
        return Ok(());
    };
    for platform in platforms {
        let firmware = format!("{platform}_R_{firmware}");
        for package in packages.iter().filter(|package| !package.control.vendor.is_empty()) {
            let path = dir
                .join("zipped_packages")
                .join(&firmware)
                .join(format!("{}.tar.gz", package.control.package));
            let bytes = bundle(packages, built, package, platform, &firmware)?;
            println!("xtask: {:>7} bytes {}", bytes.len(), path.display());
            files::write(&path, bytes)?;
        }
    }
    Ok(())
}

/// The archive of `make pm`: the package, what it needs of the others, and `main`, which tells what they are. Without
/// Teltonika's signature `main.sig` the page calls it unauthorized, and installs it.
pub fn bundle(
    packages: &[Ipk],
    built: &[Built],
    package: &Ipk,
    platform: &str,
    firmware: &str,
) -> Result<Vec<u8>> {
    let mut content = Vec::new();
    // The list of what is needed grows while it is read.
    let mut wanted = vec![package.control.package.as_str()];
    let mut at = 0;
    while let Some(name) = wanted.get(at) {
        let found = packages.iter().zip(built).find(|(ipk, _)| ipk.control.package == *name);
        // The rest is the firmware's.
        if let Some((ipk, built)) = found {
            content.push(built);
            for needed in &ipk.control.depends {
                if !wanted.contains(&needed.as_str()) {
                    wanted.push(needed);
                }
            }
        }
        at += 1;
    }
    let mut files: Vec<Entry> = content.iter().map(|built| entry(&built.name, built.bytes.clone())).collect();
    files.push(entry("main", main(package, &content, platform, firmware).into_bytes()));
    ipk::gzip(&tarball::members(&files, package.control.epoch)?)
}

/// The fields that prepare_tlt_pm_packages.sh takes from `control`, and the files, the package's own first.
fn main(package: &Ipk, content: &[&Built], platform: &str, firmware: &str) -> String {
    let control = &package.control;
    let named: Vec<String> = content.iter().map(|built| format!("{}:{}", built.name, built.digest)).collect();
    let (own, needed) = named
        .split_first()
        .map_or((String::new(), String::new()), |(own, needed)| (own.clone(), needed.join(" ")));
    let mut fields = vec![("Package", control.package.clone()), ("Version", control.version.clone())];
    // One platform, not all: the page compares it with its own, letter by letter (opkg_utils.lua, check_package_arch).
    fields.extend([("Router", platform.to_string()), ("Firmware", firmware.to_string())]);
    fields.extend(control.vendor.iter().filter(|(field, _)| *field != "Router").cloned());
    fields.extend([("ipk_file", own), ("ipk_deps", needed)]);
    fields.iter().map(|(field, value)| format!("{field}: {value}\n")).collect()
}

fn entry(path: &str, content: Vec<u8>) -> Entry {
    Entry { path: path.to_string(), mode: 0o644, kind: Kind::File(content) }
}
