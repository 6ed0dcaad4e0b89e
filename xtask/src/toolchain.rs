//! The Rust that builds for routers: it has to have the standard library's sources, since no registry
//! has that library built for MIPS, and since built for size it is a third smaller.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Result, debian, process};

/// Debian's Rust of the browser updates: newer than Debian's own `rustc` and with the sources.
const DEBIAN_PACKAGES: [&str; 4] = ["rustc-web", "cargo-web", "rust-web-src", "rust-web-llvm"];
const DEBIAN_BIN: &str = "/usr/bin";

/// The panic strategy of cross.toml; the oldest Rust that knows it is the oldest that builds for routers.
const NEEDED_OPTION: &str = "-Cpanic=immediate-abort";

/// A cargo and the rustc that goes with it.
pub struct Toolchain {
    cargo: PathBuf,
    rustc: PathBuf,
}

impl Toolchain {
    /// The active toolchain if it is able, else Debian's, installed if need be.
    pub fn find() -> Result<Toolchain> {
        let active = Toolchain { cargo: "cargo".into(), rustc: "rustc".into() };
        if active.is_able().is_ok() {
            return Ok(active);
        }
        let bin = Path::new(DEBIAN_BIN);
        let debian = Toolchain { cargo: bin.join("cargo"), rustc: bin.join("rustc") };
        if debian.is_able().is_err() {
            debian::install(&DEBIAN_PACKAGES)?;
        }
        debian.is_able().map_err(|why| format!("cannot build for routers with {DEBIAN_BIN}/rustc: {why}"))?;
        Ok(debian)
    }

    /// Whether the standard library's sources are there, and rustc is new enough.
    fn is_able(&self) -> Result<()> {
        let sysroot = process::output(self.command(&self.rustc).args(["--print", "sysroot"]))?;
        let sources = Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library/std");
        if !sources.is_dir() {
            return Err(format!("no {}", sources.display()));
        }
        process::output(self.command(&self.rustc).args([
            "-Zunstable-options",
            NEEDED_OPTION,
            "--print",
            "cfg",
        ]))?;
        process::output(self.command(&self.cargo).arg("--version")).map(drop)
    }

    /// This toolchain's cargo, unimpressed by the toolchain that runs us.
    pub fn cargo(&self, root: &Path) -> Command {
        let mut command = self.command(&self.cargo);
        command.current_dir(root).env("RUSTC", &self.rustc);
        command
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        // build-std is unstable; this is how a stable rustc is told that we know.
        command.env("RUSTC_BOOTSTRAP", "1");
        // The cargo above us sets these for its own toolchain; flags from the environment would
        // replace those of cross.toml.
        for name in ["CARGO", "RUSTC", "RUSTDOC", "RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "LD_LIBRARY_PATH"] {
            command.env_remove(name);
        }
        command
    }
}
