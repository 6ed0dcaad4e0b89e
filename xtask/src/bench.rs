//! `bench`: measures the static x86_64 binary, the one that routers would get, in the lab.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::SystemTime;

use crate::paths::Paths;
use crate::targets::{self, Target};
use crate::{Result, cross, debian, lab, process, qemu, sing_box};

/// What decides whether a binary is of these sources.
const SOURCES: [&str; 5] = ["src", "targets", "Cargo.toml", "Cargo.lock", "cross.toml"];

/// The routers that are measured unless others are named: most routers are of these.
const ROUTERS: [&str; 2] = ["mipsel_24kc", "aarch64_cortex-a53"];

/// Builds what is measured and the lab, and runs `lab bench` with these arguments.
pub fn run(paths: &Paths, arguments: &[&str]) -> Result<ExitCode> {
    debian::need("ip", "iproute2")?;
    let is_help = arguments.iter().any(|argument| ["-h", "--help"].contains(argument));
    if let ["routers", rest @ ..] = arguments
        && !is_help
    {
        return routers(paths, rest);
    }
    let program = lab::build(paths)?;
    let mut bench = Command::new(program);
    bench.arg("bench").args(arguments);
    // Help and mistakes need no binary.
    if !is_help {
        let targets = targets::all(&paths.root)?;
        bench.env("BSBF", measured(paths, &targets)?);
        if arguments.first() == Some(&"proxy") {
            debian::need("nft", "nftables")?;
            bench.env("SING_BOX", sing_box::find(paths)?);
        } else {
            sizes(paths, &targets, &mut bench)?;
        }
    }
    ended(&mut bench)
}

fn ended(bench: &mut Command) -> Result<ExitCode> {
    let status = bench.status().map_err(|e| format!("cannot start the lab: {e}"))?;
    // The lab has said what was wrong.
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Makes virtual routers, those that `--arch` names or the usual ones, and runs `lab bench routers` on them.
fn routers(paths: &Paths, arguments: &[&str]) -> Result<ExitCode> {
    let (mut names, mut options) = (Vec::new(), Vec::new());
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        match *word {
            "--arch" => names.push(*words.next().ok_or("--arch needs a name")?),
            option => options.push(option),
        }
    }
    let names = if names.is_empty() { ROUTERS.to_vec() } else { names };
    let mut targets = Vec::new();
    for name in names {
        targets.extend(targets::named(&paths.root, Some(name))?);
    }
    let (program, machines) = qemu::for_bench(paths, &targets)?;
    let mut bench = Command::new(program);
    // Ours on the server's side is the host's build, as in the routers' tests.
    bench.env("BSBF", paths.host_binary()).env("SING_BOX", sing_box::find(paths)?);
    ended(bench.args(["bench", "routers"]).args(options).args(machines))
}

/// The binary to measure: the static one, or this machine's own where that cannot be built or run.
fn measured(paths: &Paths, targets: &[Target]) -> Result<PathBuf> {
    match cross::build_own(paths, targets) {
        Ok(binary) => Ok(binary),
        Err(why) => {
            eprintln!("xtask: MEASURING THE HOST'S DYNAMIC BUILD, not the static one: {why}");
            lab::build_host(paths)?;
            Ok(paths.host_binary())
        }
    }
}

/// Names the binaries of these sources, and a build with symbols.
fn sizes(paths: &Paths, targets: &[Target], bench: &mut Command) -> Result<()> {
    let newest = SOURCES.iter().filter_map(|source| changed(&paths.root.join(source))).max();
    for Target { arch, .. } in targets {
        let file = paths.dist_binary(arch);
        match changed(&file) {
            Some(built) if Some(built) >= newest => {
                bench.arg("--size").arg(format!("{arch}={}", file.display()));
            }
            Some(_) => eprintln!("xtask: {arch} is older than the sources and its size is left out"),
            None => eprintln!("xtask: {arch} was not built and its size is left out"),
        }
    }
    match build_with_symbols(paths) {
        Ok(file) => drop(bench.arg("--symbols").arg(file)),
        Err(why) => eprintln!("xtask: the commands' own code is left out: {why}"),
    }
    Ok(())
}

/// In a directory of its own, so that the host's build without symbols stays as it is.
fn build_with_symbols(paths: &Paths) -> Result<PathBuf> {
    debian::need("nm", "binutils")?;
    let dir = paths.target.join("symbols");
    let mut build = process::cargo(&paths.root);
    build.args(["build", "--release", "--locked", "--package", "bsbf", "--target-dir"]).arg(&dir);
    build.env("CARGO_PROFILE_RELEASE_STRIP", "none");
    process::run(&mut build)?;
    Ok(dir.join("release/bsbf"))
}

/// When a file, or the newest file below a directory, was changed last.
fn changed(path: &Path) -> Option<SystemTime> {
    let about = fs::metadata(path).ok()?;
    if !about.is_dir() {
        return about.modified().ok();
    }
    fs::read_dir(path).ok()?.flatten().filter_map(|entry| changed(&entry.path())).max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_source_that_decides_exists() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        for source in SOURCES {
            assert!(changed(&root.join(source)).is_some(), "{source}");
        }
    }
}
