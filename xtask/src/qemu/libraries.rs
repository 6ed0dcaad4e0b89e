//! The libraries of a dynamic program, from unpacked packages.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::files;
use crate::{Result, debian, process};

/// Copies into the tree `to` what `program`, a file of the tree `from`, needs to be started: its dynamic linker and
/// its libraries, and what these need.
pub fn copy(program: &Path, from: &Path, to: &Path) -> Result<()> {
    debian::need("readelf", "binutils")?;
    let mut done = BTreeSet::new();
    let mut waiting = vec![program.to_path_buf()];
    while let Some(file) = waiting.pop() {
        let (linker, libraries) = needs(&file)?;
        if let Some(linker) = linker {
            let found = find(from, file_name(&linker), &file)?;
            files::copy(&found, &to.join(linker.trim_start_matches('/')))?;
            // The C library names it too, but the kernel has loaded it by then.
            done.insert(file_name(&linker).to_string());
        }
        for library in libraries {
            if done.insert(library.clone()) {
                let found = find(from, &library, &file)?;
                let place = found.strip_prefix(from).unwrap_or(&found);
                files::copy(&found, &to.join(place))?;
                waiting.push(found);
            }
        }
    }
    Ok(())
}

/// The dynamic linker and the names of the libraries that an ELF file asks for.
fn needs(file: &Path) -> Result<(Option<String>, Vec<String>)> {
    let mut readelf = Command::new("readelf");
    Ok(read_needs(&process::output(readelf.env("LC_ALL", "C").args(["-W", "-l", "-d"]).arg(file))?))
}

/// `[Requesting program interpreter: /lib/ld.so.1]` and `0x1 (NEEDED)  Shared library: [libc.so.6]`
fn read_needs(said: &str) -> (Option<String>, Vec<String>) {
    let after = |line: &str, words| Some(line.split_once(words)?.1.trim_end_matches(']').to_string());
    let linker = said.lines().find_map(|line| after(line, "[Requesting program interpreter: "));
    let libraries =
        said.lines().filter_map(|line| after(line, "(NEEDED)").and(after(line, "Shared library: [")));
    (linker, libraries.collect())
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// The file of this name below `dir`: in the packages, names of libraries are unique.
fn find(dir: &Path, name: &str, for_what: &Path) -> Result<PathBuf> {
    let missing = || format!("no package has {name}, which {} needs", for_what.display());
    search(dir, name)?.ok_or_else(missing)
}

fn search(dir: &Path, name: &str) -> Result<Option<PathBuf>> {
    let (dirs, others): (Vec<_>, Vec<_>) =
        files::list(dir)?.into_iter().partition(|path| path.is_dir() && !path.is_symlink());
    // A link is as good as the file, unless it is absolute: that would be a file of the host.
    let leads_out = |path: &Path| fs::read_link(path).is_ok_and(|to| to.is_absolute());
    if let Some(found) = others.into_iter().find(|path| path.ends_with(name) && !leads_out(path)) {
        return Ok(Some(found));
    }
    for dir in dirs {
        if let Some(found) = search(&dir, name)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readelf_names_the_linker_and_the_libraries() {
        let said = "  INTERP         0x0001c8 0x000001c8 0x000001c8 0x0000d 0x0000d R   0x1\n      \
                    [Requesting program interpreter: /lib/ld.so.1]\n\
                    \x200x00000001 (NEEDED)                     Shared library: [libbpf.so.1]\n\
                    \x200x00000001 (NEEDED)                     Shared library: [libc.so.6]\n\
                    \x200x0000000c (INIT)                       0x5d50\n";
        let (linker, libraries) = read_needs(said);
        assert_eq!(linker.as_deref().map(file_name), Some("ld.so.1"));
        assert_eq!(libraries, ["libbpf.so.1", "libc.so.6"]);
    }
}
