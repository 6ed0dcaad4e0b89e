//! QEMU itself: the host's own, or else Debian's, unpacked beside the guests' parts and run from there. Nothing is
//! installed: the host may have other packages of QEMU's, of a release that Debian's machines cannot stand beside.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::apt::{Apt, Lists};
use super::cache::{Cache, Part};
use crate::{Result, files, process};

/// Changes when the function below gives other files for the same package.
const RECIPE: &str = "1";

/// The words that run `program`, which Debian's `package` has.
pub fn command(cache: &Cache, program: &str, package: &str) -> Result<Vec<String>> {
    if process::find(program).is_some() {
        return Ok(vec![program.to_string()]);
    }
    let arch = process::output(Command::new("dpkg").arg("--print-architecture"))
        .map_err(|why| format!("there is no {program} here, and no Debian to have it from: {why}"))?;
    let arch = arch.trim();
    let part = Part { name: "qemu", arch: format!("host-{package}"), recipe: RECIPE.to_string() };
    let root = match Apt::update(cache.lists(&part.arch), arch, Lists::Packages) {
        Ok(apt) => {
            // The loader's list of directories has colons of its own.
            let version = apt.field(package, "Version")?.replace(':', "-");
            cache.get(&part, &version, |dir| apt.unpack_with_dependencies(package, dir))?
        }
        Err(why) => {
            let [root] = cache.newest([&part], &why)?;
            root
        }
    };
    run_from(&root, program)
}

/// The words that run a program of another root, with the libraries, modules and firmware that are there.
fn run_from(root: &Path, program: &str) -> Result<Vec<String>> {
    // Debian's triplet, `x86_64-linux-gnu`. What is in lib64 is a link to the host's.
    let libraries = named(&root.join("lib"), |name| name.ends_with("-linux-gnu"))?;
    let loader = named(&libraries, |name| name.starts_with("ld-linux-"))?;
    let more = root.join("usr/lib").join(libraries.file_name().unwrap_or_default());
    let text = |path: PathBuf| path.display().to_string();
    let share = |name: &str| ["-L".to_string(), text(root.join("usr/share").join(name))];
    let mut words = vec![
        "env".to_string(),
        format!("QEMU_MODULE_DIR={}", text(more.join("qemu"))),
        text(loader),
        "--library-path".to_string(),
        format!("{}:{}", text(libraries), text(more)),
        text(root.join("usr/bin").join(program)),
    ];
    // The second is for x86 alone; a directory that is not there is passed over.
    words.extend(["qemu", "seabios"].into_iter().flat_map(share));
    Ok(words)
}

/// The entry of a directory whose name is such.
fn named(dir: &Path, is: impl Fn(&str) -> bool) -> Result<PathBuf> {
    let found = files::list(dir)?
        .into_iter()
        .find(|path| path.file_name().is_some_and(|name| is(&name.to_string_lossy())));
    found.ok_or_else(|| format!("{} has not what Debian's libc6 has", dir.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_of_another_root_has_nothing_of_the_hosts() {
        let root = std::env::temp_dir().join(format!("xtask-emulator-{}", std::process::id()));
        let why = run_from(&root, "qemu-system-arm").unwrap_err();
        assert!(why.contains("lib"), "{why}");
        for file in ["lib/udev/rules", "lib/aarch64-linux-gnu/ld-linux-aarch64.so.1"] {
            files::write(&root.join(file), "").unwrap();
        }
        let words = run_from(&root, "qemu-system-arm").unwrap();
        files::remove_dir(&root).unwrap();
        let dir = root.display().to_string();
        assert!(words[2].ends_with("/lib/aarch64-linux-gnu/ld-linux-aarch64.so.1"), "{words:?}");
        assert!(words.iter().all(|word| !word.contains('/') || word.contains(&dir)), "{words:?}");
        assert!(words.contains(&format!("{dir}/usr/bin/qemu-system-arm")), "{words:?}");
    }
}
