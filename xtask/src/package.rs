//! `package`: installable packages for OpenWrt, and the index that makes their folder a feed.
//!
//! The list is openwrt-feed/packages.toml. The same sources give the same bytes: files are sorted, owned by root, and
//! all of the time of the last commit, or of SOURCE_DATE_EPOCH.

mod ipk;
mod list;
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
use crate::{Result, ci, cross, process};
use list::List;

/// What a package may have, in bytes: with its settings and logs it must fit beside the system in 16 MB of flash.
const MOST: usize = 320 << 10;

/// Makes the packages for one architecture, or for all.
pub fn command(paths: &Paths, arch: Option<&str>) -> Result<ExitCode> {
    let targets = targets::named(&paths.root, arch)?;
    let mut sum = Tally::default();
    run(paths, &targets, &mut sum);
    Ok(ci::close(sum))
}

/// The same as a part of other commands: each architecture counts one.
pub fn run(paths: &Paths, targets: &[Target], sum: &mut Tally) {
    let found = List::read(&paths.root)
        .and_then(|list| Ok((list, Tools::find(paths, targets)?, epoch(&paths.root)?)));
    match found {
        Ok((list, tools, epoch)) => {
            for target in targets {
                sum.check(&format!("package {}", target.arch), make(paths, &list, &tools, target, epoch));
            }
        }
        Err(why) => sum.check("package", Err(why)),
    }
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
fn make(paths: &Paths, list: &List, tools: &Tools, target: &Target, epoch: u64) -> Result<()> {
    let program = cross::compile(paths, tools, target, &cross::PRODUCT)?;
    let program = fs::read(&program).map_err(|e| format!("cannot read {}: {e}", program.display()))?;
    let dir = paths.target.join("packages").join(&target.arch);
    let cannot = |e: std::io::Error| format!("cannot write to {}: {e}", dir.display());
    // What an earlier list had would stand in the index of this one.
    match fs::remove_dir_all(&dir) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(cannot(e)),
        _ => fs::create_dir_all(&dir).map_err(cannot)?,
    }
    let mut index = String::new();
    for package in list.packages(&paths.root, &tools.names(), &program, &target.arch, epoch)? {
        let bytes = package.build()?;
        let name = package.control.file_name();
        println!("xtask: {:>7} bytes {}", bytes.len(), dir.join(&name).display());
        if bytes.len() > MOST {
            return Err(format!("{name} has {} bytes, over {MOST}", bytes.len()));
        }
        index += &package.index_entry(&bytes)?;
        fs::write(dir.join(&name), bytes).map_err(cannot)?;
    }
    fs::write(dir.join("Packages.gz"), ipk::gzip(index.as_bytes())?).map_err(cannot)?;
    fs::write(dir.join("Packages"), index).map_err(cannot)
}
