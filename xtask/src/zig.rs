//! zig as the linker: one package with the C library's start files, a linker and an assembler for every router.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::paths::Paths;
use crate::targets::Target;
use crate::{Result, pypi};

/// The version that is known to link for all targets.
const VERSION: &str = "0.17.1";

/// The zig compiler, in a Python environment of its own under the target directory.
pub struct Zig {
    python: PathBuf,
    dir: PathBuf,
}

impl Zig {
    /// Installs zig from PyPI if it is not there yet.
    pub fn find(paths: &Paths) -> Result<Zig> {
        let dir = paths.own();
        let python = pypi::environment(&dir.join("venv"), "ziglang", VERSION)?;
        Ok(Zig { python, dir })
    }

    /// Writes the one program that cargo can call as `target`'s linker and compiler.
    pub fn linker(&self, target: &Target) -> Result<PathBuf> {
        let file = self.dir.join(format!("link-{}", target.arch));
        let script = format!(
            "#!/bin/sh\n\
             # Made by cargo xtask build: the linker for {}, and its compiler of C and assembler.\n\
             # Rust's name of the target, which the crate cc adds, is none of zig's.\n\
             for word do\n\
             shift\n\
             case $word in --target=*) ;; *) set -- \"$@\" \"$word\" ;; esac\n\
             done\n\
             export ZIG_GLOBAL_CACHE_DIR={}\n\
             exec {} -m ziglang cc -target {} -mcpu={} \"$@\"\n",
            target.arch,
            quoted(&self.dir.join("zig-cache")),
            quoted(&self.python),
            target.zig_target,
            target.zig_cpu,
        );
        let write = || {
            fs::write(&file, script)?;
            fs::set_permissions(&file, fs::Permissions::from_mode(0o755))
        };
        write().map_err(|e| format!("cannot write {}: {e}", file.display()))?;
        Ok(file)
    }
}

/// The path as one word of the shell.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', r"'\''"))
}
