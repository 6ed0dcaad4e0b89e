//! `package`: installable packages for OpenWrt and Teltonika's RUTOS, and the index that makes their folder a feed.
//!
//! The list is openwrt-feed/packages.toml. The same sources give the same bytes: files are sorted, owned by root, and
//! all of the time of the last commit, or of SOURCE_DATE_EPOCH.

mod apk;
mod ipk;
pub mod list;
mod makefile;
mod request;
mod rutos;
mod tarball;
#[cfg(test)]
mod tests;

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};

use crate::cross::Tools;
use crate::paths::Paths;
use crate::tally::Tally;
use crate::targets::{self, Target};
use crate::{Result, ci, cross, files, process};
use ipk::{Built, Ipk};
use list::List;
use request::{Format, Request};

/// What a package may have, in bytes: with its settings and logs it must fit beside the system in 16 MB of flash. 320 KiB
/// before it set routers up, 352 KiB before it made WANs of phones and modems and followed switches, 400 KiB before it was
/// a proxy, 512 KiB before that encrypted.
const MOST: usize = 576 << 10;

/// Makes the packages for one architecture, or for all; or the SDKs' Makefiles.
pub fn command(paths: &Paths, words: &[&str]) -> Result<ExitCode> {
    if words == ["makefiles"] {
        makefile::write(&paths.root, &Tools::find(paths, &[])?.names())?;
        return Ok(ExitCode::SUCCESS);
    }
    let request = Request::parse(words)?;
    let targets = request.targets(targets::named(&paths.root, request.arch)?)?;
    let mut sum = Tally::default();
    make_all(paths, &targets, &request, &mut sum);
    Ok(ci::close(sum))
}

/// All formats, as a part of other commands.
pub fn run(paths: &Paths, targets: &[Target], sum: &mut Tally) {
    make_all(paths, targets, &Request::default(), sum);
}

/// Each architecture counts one.
fn make_all(paths: &Paths, targets: &[Target], request: &Request, sum: &mut Tally) {
    let found = List::read(&paths.root)
        .and_then(|list| Ok((list, Tools::find(paths, targets)?, epoch(&paths.root)?)));
    match found {
        Ok((list, tools, epoch)) => {
            sum.check("the SDKs' makefiles", makefiles(paths, &tools.names()));
            for target in targets {
                let made = make(paths, &list, &tools, target, epoch, request);
                sum.check(&format!("package {}", target.arch), made);
            }
        }
        Err(why) => sum.check("package", Err(why)),
    }
}

/// The Makefiles in the source tree are those of the list, and do what it says.
fn makefiles(paths: &Paths, names: &[String]) -> Result<()> {
    makefile::is_current(&paths.root, names)?;
    makefile::check::run(&paths.root, names, &paths.target.join("makefiles"))
}

/// The time of all files.
fn epoch(root: &Path) -> Result<u64> {
    let text = match std::env::var("SOURCE_DATE_EPOCH") {
        Ok(text) => text,
        Err(_) => {
            let mut git = Command::new("git");
            git.arg("-C").arg(root).args(["log", "-1", "--format=%ct"]);
            process::output(&mut git).map_err(|why| format!("{why}; SOURCE_DATE_EPOCH is not set either"))?
        }
    };
    text.trim().parse().map_err(|_| format!("'{}' is no time in seconds since 1970", text.trim()))
}

/// Makes the packages of one architecture.
fn make(
    paths: &Paths,
    list: &List,
    tools: &Tools,
    target: &Target,
    epoch: u64,
    request: &Request,
) -> Result<()> {
    let program = cross::compile(paths, tools, target, &cross::PRODUCT)?;
    let program = fs::read(&program).map_err(|e| format!("cannot read {}: {e}", program.display()))?;
    let packages = list.packages(&paths.root, &tools.names(), &program, &target.arch, epoch)?;
    let dir = paths.target.join("packages");
    for format in request.formats() {
        match format {
            Format::Ipk => drop(feed(&dir.join(&target.arch), &packages)?),
            Format::Apk => apk::feed(&dir.join("apk").join(&target.arch), &packages, request.key.as_ref())?,
            Format::Rutos if target.rutos.is_empty() => {}
            Format::Rutos => {
                let packages = rutos::adapt(list, packages.clone(), &target.rutos);
                let dir = dir.join("rutos").join(&target.arch);
                let built = feed(&dir, &packages)?;
                rutos::bundles(&dir, &packages, &built, &target.rutos, request.firmware)?;
            }
        }
    }
    Ok(())
}

/// Writes packages into a folder, which is emptied, and their index.
fn feed(dir: &Path, packages: &[Ipk]) -> Result<Vec<Built>> {
    // What an earlier list had would stand in the index of this one.
    files::empty_dir(dir)?;
    let (mut index, mut all) = (String::new(), Vec::new());
    for package in packages {
        let built = package.file()?;
        write(dir, &built.name, &built.bytes)?;
        index += &package.index_entry(&built.bytes)?;
        all.push(built);
    }
    files::write(&dir.join("Packages.gz"), ipk::gzip(index.as_bytes())?)?;
    files::write(&dir.join("Packages"), index)?;
    Ok(all)
}

/// Writes one package, unless it is too big.
fn write(dir: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    println!("xtask: {:>7} bytes {}", bytes.len(), dir.join(name).display());
    if bytes.len() > MOST {
        return Err(format!("{name} has {} bytes, over {MOST}", bytes.len()));
    }
    files::write(&dir.join(name), bytes)
}
