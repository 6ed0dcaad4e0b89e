//! The SDKs' Makefiles, run by GNU make with stand-ins for the SDKs' own: what they install must be what the `.ipk` has.
//!
//! What this cannot show is whether a real SDK takes them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use super::{WAYS, Way};
use crate::package::ipk::Ipk;
use crate::package::list::List;
use crate::package::rutos;
use crate::package::tarball::{Entry, Kind};
use crate::targets::{self, Machine, Target};
use crate::{Result, debian, files, process};

/// Takes the program's place.
pub(super) const PROGRAM: &[u8] = b"#!/bin/true\n";

/// The platform that Teltonika's SDK is for.
const PLATFORM: &str = "RUTM";

/// The installation commands of OpenWrt's rules.mk.
const RULES: &str = "INSTALL_DIR:=install -d -m0755\nINSTALL_BIN:=install -m0755\nINSTALL_CONF:=install -m0600\n\
                     INSTALL_DATA:=install -m0644\nLN:=ln -sf\nCP:=cp -fpR\n";
/// Of package.mk: each package has a target that installs it and writes down its fields, set as package.mk sets them,
/// and its texts, expanded once as for package-ipkg.mk (24.10) and package-pack.mk (25.12).
const PACKAGE: &str = r"
FIELDS:=TITLE DEPENDS CONFLICTS PROVIDES PKGARCH PKG_ROUTER PKG_TLT_NAME PKG_APP_NAME
TEXTS:=description conffiles postinst postrm
define BuildPackage
$(foreach field,$(FIELDS),$(eval $(field):=))$(eval CONFIG_PACKAGE_$(1):=m)$(eval $(Package/$(1)))
$(foreach field,$(FIELDS),$(eval $(1).$(field):=$$($(field))))
all:: $(1)
$(1): prepare
	$$(call Package/$(1)/install,$(OUT)/tree/$(1))
	$$(foreach field,$$(FIELDS),$$(file >$(OUT)/$(1).$$(field),$$($(1).$$(field))))
	$$(foreach text,$$(TEXTS),$$(file >$(OUT)/$(1).$$(text),$$(call Package/$(1)/$$(text))))
endef
prepare:
	$(Build/Prepare)
	$(Build/Compile)
.DEFAULT_GOAL:=all
";
/// Of the packages feed's rust-package.mk and rust-values.mk: what cargo would be called with is written down.
const RUST: &str = r#"
CARGO_RUSTFLAGS+=-Ctarget-feature=-crt-static
RUST_ARCH_DEPENDS:=@(mips||mipsel)
CARGO_PKG_VARS=CARGO_PROFILE_RELEASE_OVERFLOW_CHECKS=true CARGO_PROFILE_RELEASE_PANIC=unwind \
	RUSTFLAGS="$(CARGO_RUSTFLAGS)"
define Build/Compile/Cargo
	install -D -m0755 $(OUT)/program $(PKG_INSTALL_DIR)/bin/bsbf
	$(CARGO_PKG_VARS) env >$(OUT)/environment
	echo $(2) >$(OUT)/arguments
endef
"#;

/// Runs the Makefiles of the source tree for every architecture in `dir`, which is emptied, and compares.
pub fn run(root: &Path, names: &[String], dir: &Path) -> Result<()> {
    let list = List::read(root)?;
    for target in targets::all(root)? {
        for way in WAYS {
            let packages = packages(root, &list, names, &target, way)?;
            let told = |why| format!("{} for {}: {why}", way.path(), target.arch);
            one(root, way, &root.join(way.path()), &target, &packages, dir).map_err(told)?;
        }
    }
    Ok(())
}

/// What the packages that a Makefile makes must be.
pub(super) fn packages(
    root: &Path,
    list: &List,
    names: &[String],
    target: &Target,
    way: Way,
) -> Result<Vec<Ipk>> {
    let packages = list.packages(root, names, PROGRAM, &target.arch, 0)?;
    Ok(match way {
        Way::Rutos => rutos::adapt(list, packages, &[PLATFORM.to_string()]),
        Way::Source | Way::Prebuilt => packages,
    })
}

/// Runs `makefile`, as if it stood where the one of the source tree does.
pub(super) fn one(
    root: &Path,
    way: Way,
    makefile: &Path,
    target: &Target,
    packages: &[Ipk],
    dir: &Path,
) -> Result<()> {
    files::empty_dir(dir)?;
    for program in [dir.join("program"), dir.join("dist").join(&target.arch).join("bsbf")] {
        files::write(&program, PROGRAM)?;
    }
    make(root, way, makefile, target, dir)?;
    if way == Way::Source {
        cargo(target, dir)?;
    }
    packages.iter().try_for_each(|package| compare(package, dir, way))
}

/// What is made goes into `dir`, where the binaries to be packed are too.
pub(super) fn make(root: &Path, way: Way, makefile: &Path, target: &Target, dir: &Path) -> Result<()> {
    debian::need("make", "make")?;
    let sdk = dir.join("sdk");
    for (name, text) in
        [("rules.mk", RULES), ("package.mk", PACKAGE), ("feeds/packages/lang/rust/rust-package.mk", RUST)]
    {
        files::write(&sdk.join(name), text)?;
    }
    let mut make = Command::new("make");
    make.arg("-s").arg("-C").arg(root.join(way.path()).parent().unwrap_or(root)).arg("-f").arg(makefile);
    for (variable, value) in [
        ("TOPDIR", &sdk),
        ("INCLUDE_DIR", &sdk),
        ("OUT", &dir.to_path_buf()),
        ("BSBF_DIST", &dir.join("dist")),
        ("PKG_BUILD_DIR", &dir.join("build")),
        ("PKG_INSTALL_DIR", &dir.join("installed")),
    ] {
        make.arg(format!("{variable}={}", value.display()));
    }
    // OpenWrt's ARCH differs from the first word of Rust's target for some, not for MIPS, which alone is asked for.
    let arch = target.rust_target.split('-').next().unwrap_or_default();
    make.args([
        format!("TLT_PLATFORM_NAME={PLATFORM}"),
        format!("ARCH={arch}"),
        format!("ARCH_PACKAGES={}", target.arch),
    ]);
    process::output(&mut make).map(drop)
}

/// Cargo was called for a program as `cross::compile` makes it.
fn cargo(target: &Target, dir: &Path) -> Result<()> {
    let environment = files::read(&dir.join("environment"))?;
    let value = |name: &str| {
        let is_it =
            |line: &str| line.split_once('=').filter(|(n, _)| *n == name).map(|(_, value)| value.to_string());
        environment.lines().find_map(is_it).unwrap_or_default()
    };
    let flags = value("RUSTFLAGS");
    let crt = flags.split_whitespace().rfind(|flag| flag.contains("crt-static")).unwrap_or_default();
    let arguments = files::read(&dir.join("arguments"))?;
    for (what, is, must) in [
        ("RUSTFLAGS end with", crt, "-Ctarget-feature=+crt-static"),
        ("a panic is to", &value("CARGO_PROFILE_RELEASE_PANIC"), "abort"),
        ("overflow checks are", &value("CARGO_PROFILE_RELEASE_OVERFLOW_CHECKS"), "false"),
        ("cargo's arguments are", arguments.trim(), if target.small { "--no-default-features" } else { "" }),
    ] {
        if is != must {
            return Err(format!("{what} '{is}', not '{must}'"));
        }
    }
    if flags.contains("--cfg=fix_y2038") != (target.elf.machine == Machine::Mips) {
        return Err(format!("RUSTFLAGS are '{flags}': fix_y2038 is for MIPS"));
    }
    // Cargo wants all members of the workspace, to compile one.
    ["src/main.rs", "Cargo.lock", "xtask/Cargo.toml", "qemu-tests/Cargo.toml"]
        .iter()
        .try_for_each(|file| files::read(&dir.join("build").join(file)).map(drop))
}

/// Compares what the Makefile installed and said with the package.
fn compare(package: &Ipk, dir: &Path, way: Way) -> Result<()> {
    let control = &package.control;
    let name = &control.package;
    let mut installed = Vec::new();
    collect(&dir.join("tree").join(name), "", &mut installed)?;
    let mut expected = package.files.clone();
    expected.sort_by(|a, b| a.path.cmp(&b.path));
    installed.sort_by(|a, b| a.path.cmp(&b.path));
    if let Some((ours, theirs)) = expected.iter().zip(&installed).find(|(ours, theirs)| ours != theirs) {
        return Err(format!(
            "{name} has {} ({:o}) where the .ipk has {} ({:o})",
            theirs.path, theirs.mode, ours.path, ours.mode
        ));
    }
    if expected.len() != installed.len() {
        return Err(format!("{name} has {} files, the .ipk {}", installed.len(), expected.len()));
    }
    let script = |which: &str| {
        package.scripts.iter().find(|(name, _)| name == which).map_or(String::new(), |(_, text)| text.clone())
    };
    let mut depends: Vec<String> = control.depends.iter().map(|name| format!("+{name}")).collect();
    let for_all = control.architecture == "all";
    let vendor = |which: &str| {
        control.vendor.iter().find(|(field, _)| *field == which).map_or(String::new(), |(_, v)| v.clone())
    };
    if way == Way::Source && !for_all {
        depends.push("@(mips||mipsel)".to_string());
    }
    for (what, text) in [
        ("description", control.description.clone()),
        ("conffiles", package.conffiles.join("\n")),
        ("postinst", script("postinst-pkg")),
        ("postrm", script("postrm")),
        ("DEPENDS", depends.join(" ")),
        ("CONFLICTS", control.conflicts.join(" ")),
        ("PROVIDES", control.provides.join(" ")),
        ("PKG_ROUTER", vendor("Router")),
        ("PKG_TLT_NAME", vendor("tlt_name")),
        ("PKG_APP_NAME", vendor("AppName")),
        ("PKGARCH", if for_all { "all" } else { "" }.to_string()),
    ] {
        let theirs = files::read(&dir.join(format!("{name}.{what}")))?;
        // The SDK takes a description's indentation off.
        let theirs = if what == "description" { theirs.replace("\n  ", "\n") } else { theirs };
        if theirs.trim() != text.trim() {
            return Err(format!("{name}'s {what} is {theirs:?}, the .ipk's {text:?}"));
        }
    }
    Ok(())
}

/// The files and links below a folder.
fn collect(dir: &Path, prefix: &str, entries: &mut Vec<Entry>) -> Result<()> {
    for path in files::list(dir)? {
        let cannot = |e| format!("cannot read {}: {e}", path.display());
        let name = format!("{prefix}{}", path.file_name().unwrap_or_default().to_string_lossy());
        let about = fs::symlink_metadata(&path).map_err(cannot)?;
        if about.is_dir() {
            collect(&path, &format!("{name}/"), entries)?;
            continue;
        }
        let kind = match about.is_symlink() {
            true => Kind::Link(fs::read_link(&path).map_err(cannot)?.to_string_lossy().into_owned()),
            false => Kind::File(fs::read(&path).map_err(cannot)?),
        };
        entries.push(Entry { path: name, mode: about.permissions().mode() & 0o777, kind });
    }
    Ok(())
}
