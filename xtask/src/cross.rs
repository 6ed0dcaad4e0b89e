//! `build`: static binaries for routers, and the checks that each one has to pass.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::paths::Paths;
use crate::targets::Target;
use crate::toolchain::Toolchain;
use crate::zig::Zig;
use crate::{Result, debian, elf, lab, process};

/// What became of one architecture.
pub struct Build {
    arch: String,
    budget: u64,
    /// The binary's size, if there is one.
    size: Option<u64>,
    /// Whether it was built and passed every check.
    pub outcome: Result<()>,
}

/// A program of this repository that runs on routers, or on their emulators.
pub struct Program {
    package: &'static str,
    name: &'static str,
}

pub const PRODUCT: Program = Program { package: "bsbf", name: "bsbf" };
pub const LAB: Program = Program { package: "qemu-tests", name: "lab" };

/// What all architectures share.
pub struct Tools {
    toolchain: Toolchain,
    zig: Zig,
    /// What the host's build says to `--list`.
    list: String,
}

/// Builds the static binary that this machine can run, and gives its path: what routers of its architecture get.
pub fn build_own(paths: &Paths, targets: &[Target]) -> Result<PathBuf> {
    let arch = std::env::consts::ARCH;
    let own: Vec<Target> = targets.iter().filter(|target| target.arch == arch).cloned().collect();
    let builds = build(paths, &own);
    if builds.is_empty() {
        return Err(format!("no target is called {arch}"));
    }
    for build in builds {
        build.outcome?;
    }
    Ok(paths.dist_binary(arch))
}

/// Builds and checks each of `targets`; one that fails does not stop the others.
pub fn build(paths: &Paths, targets: &[Target]) -> Vec<Build> {
    let tools = Tools::find(paths, targets);
    let build_one = |target: &Target| {
        let built = match &tools {
            Ok(tools) => compile(paths, tools, target, &PRODUCT),
            Err(why) => Err(why.clone()),
        };
        let size = built.as_ref().ok().and_then(|file| fs::metadata(file).ok()).map(|m| m.len());
        let outcome = match (built, &tools) {
            (Ok(file), Ok(tools)) => check(&file, target, &tools.list),
            (built, _) => built.map(drop),
        };
        Build { arch: target.arch.clone(), budget: target.size_budget, size, outcome }
    };
    targets.iter().map(build_one).collect()
}

impl Tools {
    /// Installs what is missing, all before the first build.
    pub fn find(paths: &Paths, targets: &[Target]) -> Result<Tools> {
        for target in targets {
            debian::need(target.emulator()?.0, "qemu-user-static")?;
        }
        let toolchain = Toolchain::find()?;
        let zig = Zig::find(paths)?;
        // It knows the names, and is the server of routers under test.
        lab::build_host(paths)?;
        let list = process::output(Command::new(paths.host_binary()).arg("--list"))?;
        Ok(Tools { toolchain, zig, list })
    }

    /// The names of the product's commands: each line of the list begins with one.
    pub fn names(&self) -> Vec<String> {
        self.list.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_string).collect()
    }
}

/// Builds one program for one architecture and gives the path of the finished binary.
pub fn compile(paths: &Paths, tools: &Tools, target: &Target, program: &Program) -> Result<PathBuf> {
    let Program { package, name } = program;
    println!("xtask: building {name} for {}", target.arch);
    let triple = &target.rust_target;
    let linker = tools.zig.linker(target)?;
    // Beside the host's builds: two toolchains in one directory would rebuild each other's work.
    let cross_dir = paths.target.join("cross");
    let mut cargo = tools.toolchain.cargo(&paths.root);
    cargo.args(["build", "--release", "--locked", "--package", package, "--bin", name, "--target", triple]);
    cargo.arg("--target-dir").arg(&cross_dir).args(["--config", "cross.toml"]);
    cargo.args(["--config", &format!("target.{triple}.linker={:?}", linker.display().to_string())]);
    cargo.args(["--config", &format!("target.{triple}.rustflags=[\"-Ctarget-cpu={}\"]", target.rust_cpu)]);
    // A crate with assembler (ring) has it assembled by zig too.
    cargo.env(format!("CC_{}", triple.replace('-', "_")), &linker);
    if target.small {
        cargo.arg("--no-default-features");
    }
    process::run(&mut cargo)?;

    let built = cross_dir.join(triple).join("release").join(name);
    let finished = paths.dist().join(&target.arch).join(name);
    let bytes = fs::read(&built).map_err(|e| format!("cannot read {}: {e}", built.display()))?;
    let bytes = elf::cut(bytes)?;
    let write = || {
        fs::create_dir_all(finished.parent().unwrap_or(Path::new("/")))?;
        fs::write(&finished, bytes)?;
        fs::set_permissions(&finished, fs::metadata(&built)?.permissions())
    };
    write().map_err(|e| format!("cannot write {}: {e}", finished.display()))?;
    Ok(finished)
}

/// Static and for the right CPU; not over its budget; runs, and has the same commands as the host's.
fn check(file: &Path, target: &Target, list: &str) -> Result<()> {
    let bytes = fs::read(file).map_err(|e| format!("cannot read {}: {e}", file.display()))?;
    elf::check(&bytes, target)?;
    let size = bytes.len() as u64;
    if size > target.size_budget {
        return Err(format!("{} bytes over its budget of {}", size - target.size_budget, target.size_budget));
    }
    let (emulator, arguments) = target.emulator()?;
    let emulated = process::output(Command::new(emulator).args(arguments).arg(file).arg("--list"))?;
    if emulated == list {
        Ok(())
    } else {
        Err(format!("--list differs from the host's:\n{emulated}--- instead of\n{list}"))
    }
}

/// Sizes and budgets, for people.
pub fn table(builds: &[Build]) -> String {
    let widest = builds.iter().map(|b| b.arch.len()).max().unwrap_or(0).max("architecture".len());
    let mut table = format!("{:widest$} {:>8} {:>8} {:>6}\n", "architecture", "size", "budget", "share");
    for Build { arch, budget, size, outcome } in builds {
        let (size, share) = match size {
            Some(size) => (size.to_string(), format!("{}%", size * 100 / budget.max(&1))),
            None => ("-".to_string(), "-".to_string()),
        };
        let verdict = if outcome.is_ok() { "" } else { "  FAILED" };
        // Writing to a String cannot fail.
        let _ = writeln!(table, "{arch:widest$} {size:>8} {budget:>8} {share:>6}{verdict}");
    }
    table
}
