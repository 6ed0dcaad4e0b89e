//! The parts of a guest whose architecture Debian does not have: compiled from Debian's sources with one of Debian's
//! cross compilers. It takes minutes, once.

use std::num::NonZero;
use std::path::Path;
use std::process::Command;
use std::thread;

use super::apt::{Apt, Lists};
use super::cache::{Cache, Part};
use super::machine::Source;
use super::modules;
use super::parts::{self, Parts};
use crate::files;
use crate::{Result, debian, process};

/// Changes when the functions below give other files for the same sources and options.
const RECIPE: &str = "1";

/// The same Linux as that of the architectures which Debian has.
const LINUX: &str = "linux-source-6.1";
/// The architecture of the package lists: the sources' package is in those of every one.
const LISTS_ARCH: &str = "amd64";

/// What compiling takes beside the compiler: a program, and its package. The makefiles compile programs for the host
/// too, which takes the host's C library.
const TOOLS: [(&str, &str); 6] = [
    ("gcc", "build-essential"),
    ("make", "build-essential"),
    ("dpkg-source", "build-essential"),
    ("bc", "bc"),
    ("flex", "flex"),
    ("bison", "bison"),
];

/// What Debian 12's C library has, and has not.
const IPROUTE2_CONFIG: &str = "CFLAGS += -DHAVE_SETNS -DHAVE_HANDLE_AT -DNEED_STRLCPY\n";

/// An endpoint's family is a u16, of which iproute2 6.1 reads the first byte: zero where the big end comes first, and so it
/// prints no address there.
const IPMPTCP: (&str, &str) =
    ("rta_getattr_u8(tb[MPTCP_PM_ADDR_ATTR_FAMILY])", "rta_getattr_u16(tb[MPTCP_PM_ADDR_ATTR_FAMILY])");

/// The kernel's older firewall alone, as a router with fw3 has it: one program, whose libraries are in its own sources.
/// `nft` would take three sources more, and is tried where Debian has it compiled.
const IPTABLES_CONFIG: &str = "--disable-nftables --disable-connlabel --disable-shared --enable-static";
/// The names by which Debian calls it, and those that one of them has everywhere.
const IPTABLES_NAMES: [&str; 6] = [
    "iptables",
    "iptables-save",
    "iptables-restore",
    "iptables-legacy",
    "iptables-legacy-save",
    "iptables-legacy-restore",
];

/// Finds the parts in the cache, or compiles what is not there.
pub fn parts(cache: &Cache, arch: &str, source: &Source, source_tree: &Path) -> Result<Parts> {
    let options = files::read(&source_tree.join(&source.config))?;
    let recipe = format!("{RECIPE} {} {} {}\n", source.arch, source.compiler, source.image);
    let part = |name| Part { name, arch: arch.to_string(), recipe: recipe.clone() };
    let [mut linux, busybox, mut iproute2, mut firewall] = parts::NAMES.map(part);
    iproute2.recipe += IPMPTCP.1;
    firewall.recipe += IPTABLES_CONFIG;
    for option in options.lines().filter(|line| !line.starts_with('#')) {
        linux.recipe += option;
        linux.recipe.push('\n');
    }
    let apt = match Apt::update(cache.lists(arch), LISTS_ARCH, Lists::PackagesAndSources) {
        Ok(apt) => apt,
        Err(why) => return Ok(cache.newest([&linux, &busybox, &iproute2, &firewall], &why)?.into()),
    };
    let linux_version = apt.field(LINUX, "Version")?;
    let busybox_version = apt.source_version("busybox")?;
    let iproute2_version = apt.source_version("iproute2")?;
    let iptables_version = apt.source_version("iptables")?;
    Ok(Parts {
        linux: cache.get(&linux, &linux_version, |dir| compile_linux(&apt, source, &options, dir))?,
        busybox: cache.get(&busybox, &busybox_version, |dir| compile_busybox(&apt, source, dir))?,
        iproute2: cache.get(&iproute2, &iproute2_version, |dir| compile_iproute2(&apt, source, dir))?,
        firewall: cache.get(&firewall, &iptables_version, |dir| compile_iptables(&apt, source, dir))?,
    })
}

/// A kernel that has everything built in, so that there are no modules.
fn compile_linux(apt: &Apt, source: &Source, options: &str, dir: &Path) -> Result<()> {
    install_tools(source)?;
    let (unpacked, build) = (dir.join("unpacked"), dir.join("build"));
    apt.unpack(LINUX, &unpacked)?;
    let archive = files::only(&unpacked.join("usr/src"), "linux-source-")?;
    process::output(Command::new("tar").arg("-xf").arg(&archive).arg("-C").arg(&unpacked))?;
    let tree = unpacked.join(LINUX);
    files::create_dir(&build)?;
    let make = |goal: &str| {
        let mut make = make(&tree);
        make.arg(format!("O={}", build.display())).arg(format!("ARCH={}", source.arch));
        process::output(make.arg(format!("CROSS_COMPILE={}", source.compiler)).arg(goal)).map(drop)
    };
    make("allnoconfig")?;
    // Of several values for an option the last counts.
    let config = build.join(".config");
    files::write(&config, files::read(&config)? + options)?;
    make("olddefconfig")?;
    match dropped(options, &files::read(&config)?) {
        Some(option) => return Err(format!("{LINUX} does not take {option} of {}", source.config.display())),
        None => println!("xtask: compiling {LINUX}, which takes some minutes, once"),
    }
    make(&source.image)?;
    let release = files::read(&build.join("include/config/kernel.release"))?;
    let indices = dir.join(parts::ROOT).join(parts::MODULES).join(release.trim());
    for list in ["modules.builtin", "modules.builtin.modinfo"] {
        files::copy(&build.join(list), &indices.join(list))?;
    }
    files::write(&indices.join("modules.order"), "")?;
    modules::index(&dir.join(parts::ROOT))?;
    files::copy(&build.join(&source.image), &dir.join(parts::KERNEL))?;
    files::remove_dir(&build)?;
    files::remove_dir(&unpacked)
}

/// The first option that was to be built in and is not: its dependencies are not met, or it has another name.
fn dropped<'a>(options: &'a str, config: &str) -> Option<&'a str> {
    let is_dropped = |option: &&str| option.ends_with("=y") && !config.lines().any(|line| line == *option);
    options.lines().find(is_dropped)
}

/// With the options of Debian's static package.
fn compile_busybox(apt: &Apt, source: &Source, dir: &Path) -> Result<()> {
    install_tools(source)?;
    let tree = dir.join("unpacked");
    apt.unpack_source("busybox", &tree)?;
    files::copy(&tree.join("debian/config/pkg/static"), &tree.join(".config"))?;
    for goal in ["oldconfig", "busybox"] {
        let mut make = make(&tree);
        process::output(make.arg(format!("CROSS_COMPILE={}", source.compiler)).arg(goal))?;
    }
    files::copy(&tree.join("busybox"), &dir.join(parts::BUSYBOX))?;
    files::remove_dir(&tree)
}

/// `ip` alone, static, and without the libraries that it can do without.
fn compile_iproute2(apt: &Apt, source: &Source, dir: &Path) -> Result<()> {
    install_tools(source)?;
    let tree = dir.join("unpacked");
    apt.unpack_source("iproute2", &tree)?;
    // In the place of its configure script, which looks for libraries and finds the host's.
    files::write(&tree.join("config.mk"), IPROUTE2_CONFIG)?;
    let ipmptcp = tree.join("ip/ipmptcp.c");
    files::write(&ipmptcp, files::read(&ipmptcp)?.replace(IPMPTCP.0, IPMPTCP.1))?;
    let mut make = make(&tree);
    make.args(["SUBDIRS=lib ip", "SHARED_LIBS=n", "LDFLAGS=-static -s"]);
    process::output(make.arg(format!("CC={}gcc", source.compiler)))?;
    files::copy(&tree.join("ip/ip"), &dir.join(parts::IP))?;
    files::remove_dir(&tree)
}

/// iptables and ip6tables in one static program.
fn compile_iptables(apt: &Apt, source: &Source, dir: &Path) -> Result<()> {
    install_tools(source)?;
    let tree = dir.join("unpacked");
    apt.unpack_source("iptables", &tree)?;
    let mut configure = Command::new("./configure");
    configure.current_dir(&tree).arg(format!("--host={}", source.compiler.trim_end_matches('-')));
    // The host's libraries are none of its own.
    configure.args(IPTABLES_CONFIG.split(' ')).env("PKG_CONFIG", "false");
    process::output(&mut configure)?;
    process::output(make(&tree).args(["LDFLAGS=-all-static -s", "V=0"]))?;
    let sbin = dir.join(parts::SBIN);
    files::copy(&tree.join("iptables/xtables-legacy-multi"), &sbin.join("xtables-legacy-multi"))?;
    for name in IPTABLES_NAMES {
        for link in [name.to_string(), name.replace("iptables", "ip6tables")] {
            files::link("xtables-legacy-multi", &sbin.join(link))?;
        }
    }
    files::remove_dir(&tree)
}

/// The compiler with its C library, and what the makefiles call.
fn install_tools(source: &Source) -> Result<()> {
    for (program, package) in TOOLS {
        debian::need(program, package)?;
    }
    if has_static_library(source) {
        return Ok(());
    }
    let packages: Vec<&str> = source.packages.iter().map(String::as_str).collect();
    debian::install(&packages)?;
    if has_static_library(source) {
        Ok(())
    } else {
        Err(format!("{}gcc has no static C library", source.compiler))
    }
}

/// Whether the compiler is there, and knows where the static C library is: otherwise it just repeats the name.
fn has_static_library(source: &Source) -> bool {
    let mut ask = Command::new(format!("{}gcc", source.compiler));
    process::output(ask.arg("-print-file-name=libc.a")).is_ok_and(|file| file.starts_with('/'))
}

/// make in a directory, on all processors, without a word about each file.
fn make(tree: &Path) -> Command {
    let mut make = Command::new("make");
    let processors = thread::available_parallelism().map_or(1, NonZero::get);
    make.arg(format!("-sj{processors}")).arg("-C").arg(tree);
    // A cargo or make above us must not say how many jobs there may be, nor with which flags.
    for name in ["MAKEFLAGS", "MFLAGS", "CARGO_MAKEFLAGS", "CFLAGS", "LDFLAGS", "ARCH", "CROSS_COMPILE"] {
        make.env_remove(name);
    }
    make
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_that_the_kernel_does_not_take_is_found() {
        let config = "CONFIG_NET=y\nCONFIG_TUN=m\n# CONFIG_VETH is not set\n";
        assert_eq!(dropped("# net\nCONFIG_NET=y\n", config), None);
        for missing in ["CONFIG_TUN=y", "CONFIG_VETH=y", "CONFIG_NE=y"] {
            assert_eq!(dropped(&format!("CONFIG_NET=y\n{missing}\n"), config), Some(missing));
        }
    }
}
