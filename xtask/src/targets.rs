//! The routers' architectures: one file each in `targets/`, named as OpenWrt names the architecture.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::qemu::machine;

/// One architecture and how to build for it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// OpenWrt's name, which is the file's.
    #[serde(skip)]
    pub arch: String,
    /// rustc's name of the target.
    pub rust_target: String,
    /// rustc's name of the CPU, for `-Ctarget-cpu`.
    pub rust_cpu: String,
    /// zig's target triple; zig brings the C library's start files and linker.
    pub zig_target: String,
    /// zig's name of the CPU, for what zig itself compiles.
    pub zig_cpu: String,
    /// How floats are passed: a mixture of both crashes on the router, so the binary is checked.
    pub float: Float,
    /// What the ELF header has to say.
    pub elf: Elf,
    /// The emulator that runs the binary on the build machine, with its arguments.
    pub qemu_user: Vec<String>,
    /// The binary may have so many bytes and no more.
    pub size_budget: u64,
    /// Built without the product's default features, for flash where every KiB counts.
    #[serde(default)]
    pub small: bool,
    /// Teltonika's platforms of this architecture: RUTOS's names for them.
    #[serde(default)]
    pub rutos: Vec<String>,
    /// The virtual router of `cargo xtask qemu`.
    pub machine: machine::Machine,
}

/// The floating point ABI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Float {
    /// In integer registers; there is no FPU.
    Soft,
    /// In the FPU's registers.
    Hard,
}

/// The ELF header's fields that differ between architectures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Elf {
    pub machine: Machine,
    pub bits: u8,
    pub endian: Endian,
}

/// e_machine; a new architecture may need a new name here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u16)]
pub enum Machine {
    Mips = 8,
    Arm = 40,
    #[serde(rename = "x86_64")]
    X86_64 = 62,
    Aarch64 = 183,
    Riscv = 243,
    Loongarch = 258,
}

/// The order of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Endian {
    Little,
    Big,
}

/// Every architecture, sorted by name.
pub fn all(root: &Path) -> Result<Vec<Target>> {
    let dir = root.join("targets");
    let cannot = |e| format!("cannot read {}: {e}", dir.display());
    let mut targets = Vec::new();
    for entry in fs::read_dir(&dir).map_err(cannot)? {
        let file = entry.map_err(cannot)?.path();
        if file.extension().is_some_and(|e| e == "toml") {
            targets.push(read(&file)?);
        }
    }
    targets.sort_by(|a, b| a.arch.cmp(&b.arch));
    Ok(targets)
}

/// The architecture of this name, or every one.
pub fn named(root: &Path, arch: Option<&str>) -> Result<Vec<Target>> {
    let mut targets = all(root)?;
    if let Some(arch) = arch {
        let names: Vec<String> = targets.iter().map(|t| t.arch.clone()).collect();
        targets.retain(|t| t.arch == arch);
        if targets.is_empty() {
            return Err(format!("no architecture {arch}; there are: {}", names.join(", ")));
        }
    }
    Ok(targets)
}

fn read(file: &Path) -> Result<Target> {
    let text = fs::read_to_string(file).map_err(|e| format!("cannot read {}: {e}", file.display()))?;
    let mut target: Target = toml::from_str(&text).map_err(|e| format!("{}: {e}", file.display()))?;
    target.arch = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    Ok(target)
}

impl Target {
    /// The emulator and its arguments.
    pub fn emulator(&self) -> Result<(&str, &[String])> {
        match self.qemu_user.split_first() {
            Some((emulator, arguments)) => Ok((emulator, arguments)),
            None => Err(format!("targets/{}.toml: qemu_user names no emulator", self.arch)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn targets() -> Vec<Target> {
        all(Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()).unwrap()
    }

    /// rustc knows every target that a file may name, without having its library.
    #[test]
    fn rustc_knows_every_target_and_cpu() {
        let rustc =
            |args: &[&str]| crate::process::output(std::process::Command::new("rustc").args(args)).unwrap();
        let known = rustc(&["--print", "target-list"]);
        for target in targets() {
            assert!(
                known.lines().any(|t| t == target.rust_target),
                "{}: {}",
                target.arch,
                target.rust_target
            );
            let cpus = rustc(&["--print", "target-cpus", "--target", &target.rust_target]);
            let cpu = |line: &str| line.split_whitespace().next() == Some(&target.rust_cpu);
            assert!(cpus.lines().any(cpu), "{}: {}", target.arch, target.rust_cpu);
        }
    }

    #[test]
    fn names_agree_with_each_other() {
        for target in targets() {
            let what = &target.arch;
            assert!(target.rust_target.contains("-linux-musl"), "{what}: OpenWrt's C library is musl");
            assert!(target.zig_target.contains("-linux-musl"), "{what}: OpenWrt's C library is musl");
            assert!(target.emulator().unwrap().0.starts_with("qemu-"), "{what}");
            assert!([32, 64].contains(&target.elf.bits), "{what}");
            assert_eq!(target.elf.endian == Endian::Big, target.rust_target.starts_with("mips-"), "{what}");
        }
    }

    #[test]
    fn no_budget_is_beyond_what_a_router_has_room_for() {
        // Compressed it is under half of that, which is what a package may have.
        for target in targets() {
            assert!((1..=1_165_000).contains(&target.size_budget), "{}: {}", target.arch, target.size_budget);
        }
    }

    #[test]
    fn an_unknown_architecture_is_told_which_there_are() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        assert_eq!(named(root, Some("x86_64")).unwrap().len(), 1);
        assert_eq!(named(root, None).unwrap().len(), targets().len());
        let why = named(root, Some("mips")).unwrap_err();
        assert!(why.starts_with("no architecture mips; there are: ") && why.contains("mips_24kc"), "{why}");
    }

    #[test]
    fn a_misspelt_key_is_an_error() {
        let text =
            fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../targets/x86_64.toml")).unwrap();
        assert!(toml::from_str::<Target>(&text.replace("size_budget", "size_buget")).is_err());
    }
}
