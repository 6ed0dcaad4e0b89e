//! zig as the linker: one package with the C library's start files and a linker for every router.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::paths::Paths;
use crate::targets::Target;
use crate::{Result, debian, process};

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
        let venv = dir.join("venv");
        let zig = Zig { python: venv.join("bin/python"), dir };
        if zig.version().is_ok_and(|v| v == VERSION) {
            return Ok(zig);
        }
        println!("xtask: installing the zig {VERSION} linker from PyPI into {}", venv.display());
        let python = python3()?;
        process::run(Command::new(python).args(["-m", "venv", "--clear"]).arg(&venv))?;
        let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
        process::run(Command::new(&zig.python).args(pip).arg(format!("ziglang=={VERSION}")))?;
        match zig.version()? {
            version if version == VERSION => Ok(zig),
            version => Err(format!("zig {VERSION} was asked for, PyPI gave {version}")),
        }
    }

    fn version(&self) -> Result<String> {
        let version = process::output(Command::new(&self.python).args(["-m", "ziglang", "version"]))?;
        Ok(version.trim().to_string())
    }

    /// Writes the one program that cargo can call as `target`'s linker.
    pub fn linker(&self, target: &Target) -> Result<PathBuf> {
        let file = self.dir.join(format!("link-{}", target.arch));
        let script = format!(
            "#!/bin/sh\n\
             # Made by cargo xtask build: the linker for {}.\n\
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

/// A Python that can make environments; Debian keeps that ability in a package of its own.
fn python3() -> Result<&'static str> {
    let is_able =
        || process::output(Command::new("python3").args(["-c", "import venv, ensurepip"])).map(drop);
    if is_able().is_err() {
        debian::install(&["python3-venv"])?;
    }
    is_able().map(|()| "python3")
}

/// The path as one word of the shell.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', r"'\''"))
}
