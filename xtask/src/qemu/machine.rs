//! The `[machine]` table of targets/*.toml: an architecture's virtual router, and what the lab has to know of it.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::files;
use crate::targets::{Endian, Target};

/// A machine that QEMU emulates.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    /// QEMU's program, and the arguments that choose board, CPU and memory.
    pub qemu: Vec<String>,
    /// The Debian package that has the program.
    pub package: String,
    /// The guest's name of its serial console.
    pub console: String,
    /// What the kernel's command line has to say, if anything.
    #[serde(default)]
    pub options: String,
    /// QEMU's name of the network card, with options if need be.
    pub nic: String,
    /// The first of four PCI slots in a row that are free for network cards, and have an interrupt.
    pub nic_slot: u8,
    /// QEMU's arguments for a USB host controller.
    pub usb: Vec<String>,
    /// The kernel modules of network card and USB host controller.
    pub modules: Vec<String>,
    /// Where kernel, busybox, iproute2 and the firewall's tool come from.
    pub system: System,
}

/// Where kernel, busybox, iproute2 and the firewall's tool come from.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum System {
    /// Debian has this architecture.
    Debian(Debian),
    /// It has not: the four are compiled from Debian's sources.
    Source(Source),
}

/// An architecture of Debian's.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Debian {
    /// Debian's name of it.
    pub arch: String,
    /// The package that depends on the newest kernel.
    pub kernel: String,
}

/// How to compile for an architecture that Debian has a compiler for, and no more.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Linux's name of the architecture.
    pub arch: String,
    /// What the names of the compiler's programs begin with, dash included.
    pub compiler: String,
    /// The Debian packages of the compiler and its C library.
    pub packages: Vec<String>,
    /// The kernel's options, a file of this repository; all others are off or have their default.
    pub config: PathBuf,
    /// Which of the kernel's images QEMU boots, as a make target.
    pub image: String,
}

/// What the lab has to know, in machine.json.
#[derive(Serialize)]
struct Description<'a> {
    arch: &'a str,
    endian: Endian,
    qemu: &'a [String],
    package: &'a str,
    kernel: &'a Path,
    initramfs: &'a Path,
    console: &'a str,
    options: &'a str,
    nic: &'a str,
    nic_slot: u8,
    usb: &'a [String],
    logs: &'a Path,
}

/// Writes the lab's description of the machine into `dir`, and gives its path; `qemu` are the words that start it. The
/// logs of earlier runs are removed.
pub fn describe(
    target: &Target,
    qemu: &[String],
    kernel: &Path,
    initramfs: &Path,
    dir: &Path,
) -> Result<PathBuf> {
    let logs = dir.join("logs");
    files::empty_dir(&logs)?;
    let Target { arch, machine, .. } = target;
    let Machine { package, console, options, nic, usb, .. } = machine;
    let (nic_slot, endian) = (machine.nic_slot, target.elf.endian);
    let description = Description {
        arch,
        endian,
        qemu,
        package,
        kernel,
        initramfs,
        console,
        options,
        nic,
        nic_slot,
        usb,
        logs: &logs,
    };
    let file = dir.join("machine.json");
    let json = serde_json::to_string_pretty(&description)
        .map_err(|e| format!("cannot write {}: {e}", file.display()))?;
    files::write(&file, json + "\n")?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::targets;

    fn root() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
    }

    #[test]
    fn every_machine_is_complete() {
        for Target { arch, machine, .. } in targets::all(&root()).unwrap() {
            let qemu = machine.qemu.first().unwrap();
            assert!(qemu.starts_with("qemu-system-"), "{arch}: {qemu}");
            assert!(machine.package.starts_with("qemu-system-"), "{arch}: {}", machine.package);
            for (what, text) in [("console", &machine.console), ("nic", &machine.nic)] {
                assert!(!text.is_empty(), "{arch}: {what}");
            }
            assert!((1..=28).contains(&machine.nic_slot), "{arch}: a PCI bus has 32 slots");
            assert!(!machine.usb.is_empty() && !machine.modules.is_empty(), "{arch}");
        }
    }

    #[test]
    fn what_is_compiled_has_its_kernel_options_here() {
        for Target { arch, machine, .. } in targets::all(&root()).unwrap() {
            if let System::Source(source) = machine.system {
                assert!(root().join(&source.config).is_file(), "{arch}: {}", source.config.display());
                assert!(source.compiler.ends_with('-'), "{arch}: {}", source.compiler);
            }
        }
    }

    #[test]
    fn the_description_is_json_whatever_the_paths_are() {
        let dir = std::env::temp_dir().join(format!("xtask-\"machine\"-{}", std::process::id()));
        let target = targets::all(&root()).unwrap().remove(0);
        files::write(&dir.join("logs/old"), "").unwrap();
        let file = describe(&target, &["qemu".to_string()], Path::new("/k"), Path::new("/i"), &dir).unwrap();
        let json: serde_json::Value = serde_json::from_str(&files::read(&file).unwrap()).unwrap();
        assert_eq!(json["arch"], target.arch.as_str());
        assert_eq!(json["kernel"], "/k");
        assert_eq!(json["logs"], dir.join("logs").to_str().unwrap());
        assert!(files::list(&dir.join("logs")).unwrap().is_empty());
        files::remove_dir(&dir).unwrap();
    }
}
