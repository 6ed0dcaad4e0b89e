//! The kernel modules of a guest: of several thousand, those that the tests need and those that these depend on.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::parts::MODULES;
use crate::files;
use crate::{Result, debian, process};

/// What every guest has beside the devices of its machine.
const COMMON: [&str; 8] = [
    // Links between namespaces.
    "veth",
    // What the product's commands open.
    "tun",
    "mptcp_diag",
    // Tethered phones, and modems with their AT port.
    "cdc_ether",
    "cdc_ncm",
    "rndis_host",
    "usbserial",
    "ftdi_sio",
];

/// What every guest has and the kernel loads when somebody wants it: the firewall of the tests and of the proxy.
const ON_DEMAND: [&str; 8] = [
    "nf_tables",
    "nft_chain_nat",
    "nft_ct",
    "nft_fib_inet",
    "nft_masq",
    "nft_nat",
    "nft_reject_inet",
    "nft_tproxy",
];

/// What depmod and modprobe read beside the modules themselves.
const LISTS: [&str; 3] = ["modules.builtin", "modules.builtin.modinfo", "modules.order"];

/// Writes the files by which modprobe finds modules, for the one kernel release below `root`.
pub fn index(root: &Path) -> Result<()> {
    debian::need("depmod", "kmod")?;
    process::output(program("depmod").arg("-b").arg(root).arg(release(root)?)).map(drop)
}

/// Copies the modules of `own` and of every guest from `linux`, the root of a kernel's part, into the guest's `root`
/// and names them in its /etc/modules, in the order in which they are to be loaded.
pub fn install(linux: &Path, own: &[String], root: &Path) -> Result<()> {
    debian::need("modprobe", "kmod")?;
    let release = release(linux)?;
    let mut names = String::new();
    let at_boot = own.iter().map(String::as_str).chain(COMMON).map(|name| (name, true));
    for (name, is_loaded) in at_boot.chain(ON_DEMAND.map(|name| (name, false))) {
        let files = needed(linux, &release, name)?;
        for file in &files {
            let place =
                file.strip_prefix(linux).map_err(|_| format!("{} is not of this kernel", file.display()))?;
            files::copy(file, &root.join(place))?;
        }
        // There is nothing to load for one that is built into the kernel.
        if is_loaded && !files.is_empty() {
            names += name;
            names.push('\n');
        }
    }
    files::write(&root.join("etc/modules"), names)?;
    for list in LISTS {
        let place = Path::new(MODULES).join(&release).join(list);
        files::copy(&linux.join(&place), &root.join(&place))?;
    }
    index(root)
}

/// The files to load for a module, in this order.
fn needed(linux: &Path, release: &str, name: &str) -> Result<Vec<PathBuf>> {
    let mut modprobe = program("modprobe");
    // Not with the host's configuration, which may replace a module by a command.
    modprobe.args(["-C", "/dev/null", "-S", release, "--show-depends", name, "-d"]).arg(linux);
    let said = process::output(&mut modprobe)
        .map_err(|why| format!("the kernel {release} has no module {name}, and it is not built in: {why}"))?;
    Ok(read_needed(&said))
}

/// `insmod /path/veth.ko PARAMETERS`, or `builtin veth`
fn read_needed(said: &str) -> Vec<PathBuf> {
    let loaded = said.lines().filter_map(|line| line.strip_prefix("insmod ")?.split(' ').next());
    loaded.map(PathBuf::from).collect()
}

/// The name of the one directory in the kernel's directory of modules.
fn release(root: &Path) -> Result<String> {
    let dir = files::only(&root.join(MODULES), "")?;
    Ok(dir.file_name().unwrap_or_default().to_string_lossy().into_owned())
}

/// A program of kmod's: they are where only root's PATH leads.
fn program(name: &str) -> Command {
    Command::new(process::find(name).unwrap_or_else(|| name.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_come_first_and_what_is_built_in_has_no_file() {
        let said = "builtin usb_common\ninsmod /k/lib/modules/6.1/usbcore.ko \n\
                    insmod /k/lib/modules/6.1/usbserial.ko vendor=1\n";
        let expected = ["/k/lib/modules/6.1/usbcore.ko", "/k/lib/modules/6.1/usbserial.ko"];
        assert_eq!(read_needed(said), expected.map(PathBuf::from));
        assert!(read_needed("builtin veth\n").is_empty());
    }

    #[test]
    fn no_module_is_named_twice() {
        let mut names = [&COMMON[..], &ON_DEMAND].concat();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), COMMON.len() + ON_DEMAND.len());
    }

    #[test]
    fn a_missing_module_is_named_with_the_kernel() {
        let root = std::env::temp_dir().join(format!("xtask-modules-{}", std::process::id()));
        files::create_dir(&root.join("lib/modules/6.1.0")).unwrap();
        assert_eq!(release(&root).unwrap(), "6.1.0");
        let why = needed(&root, "6.1.0", "veth").unwrap_err();
        files::remove_dir(&root).unwrap();
        assert!(why.starts_with("the kernel 6.1.0 has no module veth, and it is not built in: "), "{why}");
    }
}
