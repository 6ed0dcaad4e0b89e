//! What flash the binary takes, and how much of it is each command's own.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use super::options::Options;
use crate::failure::{Doing, Result, failed};

/// Parts of the program that commands share, after the commands themselves.
const SHARED: [&str; 4] = ["manager", "wan", "wire", "sys"];

/// Bytes by name.
#[derive(Default)]
pub struct Sizes {
    /// Of the binaries, by architecture.
    pub binaries: Vec<(String, u64)>,
    /// Of code and data whose symbols are in a command's module, or in one of [`SHARED`].
    pub own_code: Vec<(String, u64)>,
    commands: usize,
}

impl Sizes {
    /// Reads the files that the options name.
    pub fn read(options: &Options) -> Result<Sizes> {
        let mut sizes = Sizes::default();
        for (arch, path) in &options.binaries {
            let bytes = fs::metadata(path).doing(format_args!("find {}", path.display()))?.len();
            sizes.binaries.push((arch.clone(), bytes));
        }
        if let Some(path) = &options.symbols {
            sizes.own_code = own_code(&symbols(path)?);
            sizes.commands = sizes.own_code.len() - SHARED.len();
        }
        Ok(sizes)
    }

    /// For people; empty if nothing is known.
    pub fn table(&self) -> String {
        let mut page = String::new();
        // Writing to a String cannot fail.
        if !self.binaries.is_empty() {
            page += "\n| architecture | bytes |\n|---|---|\n";
            self.binaries.iter().for_each(|(arch, bytes)| _ = writeln!(page, "| {arch} | {bytes} |"));
        }
        if !self.own_code.is_empty() {
            page += "\n| own code of | bytes |\n|---|---|\n";
            for (at, (name, bytes)) in self.own_code.iter().enumerate() {
                let kind = if at < self.commands { "command" } else { "shared:" };
                let _ = writeln!(page, "| {kind} `{name}` | {bytes} |");
            }
            page += "\nOwn code: symbols of the command's module in a build for this machine that keeps them \
                     (`nm -S -C`).\nWhat commands share, what was inlined elsewhere and what libraries \
                     do for them is not in it; a command without a row has no symbol of its own.\n";
        }
        page
    }
}

/// What `nm` says of a binary with symbols.
fn symbols(path: &Path) -> Result<String> {
    let done = Command::new("nm").args(["-S", "-C"]).arg(path).output().doing("run nm")?;
    if !done.status.success() {
        return failed(format!("nm: {}", String::from_utf8_lossy(&done.stderr).trim()));
    }
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}

/// Adds up the sizes by module: every command of `bsbf::applets`, sorted, then [`SHARED`].
fn own_code(listing: &str) -> Vec<(String, u64)> {
    let mut commands: Vec<(String, u64)> = Vec::new();
    let mut shared = SHARED.map(|name| (name.to_string(), 0));
    for line in listing.lines() {
        let mut words = line.splitn(4, ' ');
        // Address, size, kind, name; undefined symbols and those without a size have fewer.
        let (_, size, _, Some(name)) = (words.next(), words.next(), words.next(), words.next()) else {
            continue;
        };
        let Some(bytes) = size.and_then(|size| u64::from_str_radix(size, 16).ok()) else { continue };
        if let Some(module) = module(name, "bsbf::applets::") {
            match commands.iter_mut().find(|(known, _)| known == module) {
                Some((_, sum)) => *sum += bytes,
                None => commands.push((module.to_string(), bytes)),
            }
        } else if let Some((_, sum)) = shared.iter_mut().find(|(known, _)| module_is(name, known)) {
            *sum += bytes;
        }
    }
    commands.sort();
    commands.into_iter().chain(shared).collect()
}

/// The module that follows `prefix` in a symbol's name.
fn module<'a>(name: &'a str, prefix: &str) -> Option<&'a str> {
    let (_, rest) = name.split_once(prefix)?;
    Some(rest.split_once("::")?.0)
}

/// Whether the first module of ours in a symbol's name is this one.
fn module_is(name: &str, wanted: &str) -> bool {
    module(name, "bsbf::") == Some(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_are_added_up_by_module() {
        let listing = "\
0000000000011d70 0000000000000010 t bsbf::applets::bond::run
0000000000011d80 00000000000000ff t <bsbf::applets::bond::Args as argh::FromArgs>::from_args
0000000000011e80 0000000000000020 t bsbf::applets::status::table
0000000000011ea0 0000000000000040 t core::ptr::drop_in_place<bsbf::wan::mind::Mind>
0000000000011f00 0000000000000001 t bsbf::applet::dispatch
                 U memcpy
0000000000012000 T _start
";
        let sizes = own_code(listing);
        let of = |name: &str| sizes.iter().find(|(known, _)| known == name).unwrap().1;
        assert_eq!((of("bond"), of("status"), of("wan"), of("sys")), (0x10f, 0x20, 0x40, 0));
        assert_eq!(sizes.len(), 2 + SHARED.len());
    }
}
