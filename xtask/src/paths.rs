//! Where things are: the source tree, and the directory for all that is built.

use std::path::{Path, PathBuf};

use crate::Result;

/// The two directories that everything else is relative to.
pub struct Paths {
    /// The workspace's root.
    pub root: PathBuf,
    /// Cargo's target directory.
    pub target: PathBuf,
}

impl Paths {
    /// Derives both from cargo's way of running us.
    pub fn find() -> Result<Paths> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_path_buf);
        let root =
            root.filter(|r| r.join("targets").is_dir()).ok_or("the source tree has moved: cargo clean")?;
        // cargo puts this program at TARGET/PROFILE/xtask, wherever TARGET was set to.
        let own = std::env::current_exe().map_err(|e| format!("cannot find this program's path: {e}"))?;
        let target = own.ancestors().nth(2).ok_or("this program was not built by cargo")?.to_path_buf();
        Ok(Paths { root, target })
    }

    /// The directory of the router builds, one directory per architecture.
    pub fn dist(&self) -> PathBuf {
        self.target.join("dist")
    }

    /// The router build of an architecture, once it is built.
    pub fn dist_binary(&self, arch: &str) -> PathBuf {
        self.dist().join(arch).join("bsbf")
    }

    /// What xtask itself keeps: the zig compiler and its linker scripts.
    pub fn own(&self) -> PathBuf {
        self.target.join("xtask")
    }

    /// The host's release binary, once [`crate::lab::build_host`] has built it.
    pub fn host_binary(&self) -> PathBuf {
        self.target.join("release/bsbf")
    }
}
