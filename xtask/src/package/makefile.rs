//! Makefiles for OpenWrt's SDK, of the same packages as the `.ipk` files: one that compiles this source tree with the
//! packages feed's Rust (openwrt/packages, lang/rust), and one that takes the binary which `cargo xtask build` made. For
//! Teltonika's SDK, which has no Rust, one of the latter kind.

pub mod check;
#[cfg(test)]
mod tests;

use std::fs;
use std::path::{Path, PathBuf};

use super::ipk::Ipk;
use super::list::{self, List, Package};
use super::rutos;
use super::tarball::{Entry, Kind};
use crate::Result;
use crate::files;

/// How the program is come by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Source,
    Prebuilt,
    /// Prebuilt, for Teltonika's SDK.
    Rutos,
}

pub const WAYS: [Way; 3] = [Way::Source, Way::Prebuilt, Way::Rutos];

impl Way {
    /// Where the Makefile stands in the source tree: the feed, and in it a folder for the packages.
    pub fn path(self) -> &'static str {
        match self {
            Way::Source => "openwrt-feed/source/bsbf/Makefile",
            Way::Prebuilt => "openwrt-feed/prebuilt/bsbf/Makefile",
            Way::Rutos => "rutos-feed/prebuilt/bsbf/Makefile",
        }
    }
}

/// rust-package.mk runs `cargo install` with what CARGO_PKG_VARS has before it, RUSTFLAGS="$(CARGO_RUSTFLAGS)" among
/// that. Both are expanded late, so what is added behind the include counts; and of two values of one variable before
/// a command the shell takes the last. Asked for -crt-static and +crt-static, rustc takes the latter in any order
/// (rustc_session, `Session::crt_static`). What our own builds need on MIPS, cross.toml explains.
const SOURCE: &str = r"
PKG_BUILD_DEPENDS:=rust/host
PKG_BUILD_PARALLEL:=1

# The source is the tree that this file is in.
BSBF_TREE:=$(abspath $(CURDIR)/../../..)
BSBF_FILES:=$(BSBF_TREE)/openwrt-feed/files
BSBF_SOURCE:=$(addprefix $(BSBF_TREE)/,Cargo.toml Cargo.lock src xtask qemu-tests)
# Made anew when they change: of itself the SDK looks at this file's folder alone.
PKG_FILE_DEPENDS:=$(BSBF_SOURCE) $(BSBF_FILES)

include $(INCLUDE_DIR)/package.mk
include $(TOPDIR)/feeds/packages/lang/rust/rust-package.mk

BSBF_PROGRAM:=$(PKG_INSTALL_DIR)/bin/bsbf

# Static: the same binary runs with any release's C library.
CARGO_RUSTFLAGS+=-Ctarget-feature=+crt-static
# As in builds without the SDK, where rust-values.mk has the opposite: a panic in any thread ends the program, for procd
# to start it anew, and takes no tables to unwind the stack by.
CARGO_PKG_VARS+=CARGO_PROFILE_RELEASE_PANIC=abort CARGO_PROFILE_RELEASE_OVERFLOW_CHECKS=false
ifneq ($(filter mips mipsel,$(ARCH)),)
  # Without it timers of the crate rustix get garbage from musl on 32-bit MIPS (see cross.toml).
  CARGO_RUSTFLAGS+=--cfg=fix_y2038
  # Little flash: traces are recorded, and replayed elsewhere.
  BSBF_CARGO_ARGS:=--no-default-features
endif

define Build/Prepare
	$(INSTALL_DIR) $(PKG_BUILD_DIR)
	$(CP) $(BSBF_SOURCE) $(PKG_BUILD_DIR)/
endef

define Build/Compile
	$(call Build/Compile/Cargo,,$(BSBF_CARGO_ARGS))
endef
";

const PREBUILT: &str = r#"
BSBF_FILES:=$(abspath $(CURDIR)/../../../openwrt-feed/files)
# As `cargo xtask build` leaves them.
BSBF_DIST?=$(abspath $(CURDIR)/../../../target/dist)
BSBF_PROGRAM:=$(BSBF_DIST)/$(ARCH_PACKAGES)/bsbf
# Made anew when they change: of itself the SDK looks at this file's folder alone.
PKG_FILE_DEPENDS:=$(BSBF_FILES) $(BSBF_PROGRAM)

include $(INCLUDE_DIR)/package.mk

# The binary is stripped, down to its section headers: without them strip(1) gives up.
RSTRIP:=:

define Build/Prepare
	test -f "$(BSBF_PROGRAM)" || { echo "$(BSBF_PROGRAM) is missing: cargo xtask build $(ARCH_PACKAGES) makes it" >&2; exit 1; }
endef

define Build/Compile
endef
"#;

/// The Makefile of these packages, which are those of the list.
pub fn render(list: &List, packages: &[Ipk], version: &str, way: Way) -> String {
    let mut text = format!(
        "# Made from openwrt-feed/packages.toml by `cargo xtask package makefiles`; change it there.\n\n\
         include $(TOPDIR)/rules.mk\n\n\
         PKG_NAME:=bsbf\nPKG_VERSION:={version}\nPKG_RELEASE:={}\nPKG_LICENSE:={}\n",
        list.release, list.license
    );
    text += match way {
        Way::Source => SOURCE,
        Way::Prebuilt | Way::Rutos => PREBUILT,
    };
    for (package, ipk) in list.package.iter().zip(packages) {
        text += &define(package, ipk, way);
    }
    text.push('\n');
    for package in &list.package {
        text += &format!("$(eval $(call BuildPackage,{}))\n", package.name);
    }
    text
}

fn define(package: &Package, ipk: &Ipk, way: Way) -> String {
    let control = &ipk.control;
    let depends = match way {
        Way::Rutos => rutos::depends(package, &control.depends),
        Way::Source | Way::Prebuilt => control.depends.clone(),
    };
    let mut depends: Vec<String> = depends.iter().map(|name| format!("+{name}")).collect();
    if way == Way::Source && package.program.is_some() {
        depends.push("$(RUST_ARCH_DEPENDS)".to_string());
    }
    // Without PKGARCH it is the SDK's architecture.
    let arch = if control.architecture == "all" { "all" } else { "" };
    let about: String = [
        ("SECTION", control.section.clone()),
        ("CATEGORY", "Network".to_string()),
        ("TITLE", escape_value(&package.title)),
        ("PKGARCH", arch.to_string()),
        ("DEPENDS", depends.join(" ")),
        ("CONFLICTS", control.conflicts.join(" ")),
        ("PROVIDES", control.provides.join(" ")),
    ]
    .iter()
    .filter(|(_, value)| !value.is_empty())
    .map(|(field, value)| format!("  {field}:={value}\n"))
    .collect();
    let about = about + &of_rutos(package, way);
    let script = |which: &str| {
        let found = ipk.scripts.iter().find(|(name, _)| name == which);
        found.map_or(String::new(), |(_, text)| escape(text))
    };
    let description = control.description.lines().map(|line| format!("  {}\n", escape(line))).collect();
    let conffiles = ipk.conffiles.iter().map(|path| format!("{path}\n")).collect();
    let parts = [
        ("", about),
        ("/description", description),
        ("/conffiles", conffiles),
        ("/install", install(package, &ipk.files)),
        // The SDK calls it postinst-pkg, as our packages do: postinst is its own.
        ("/postinst", script("postinst-pkg")),
        ("/postrm", script("postrm")),
    ];
    let set = parts.iter().filter(|(_, body)| !body.is_empty());
    set.map(|(part, body)| format!("\ndefine Package/{}{part}\n{body}endef\n", package.name)).collect()
}

/// What makes a package one of RUTOS's Package Manager, where it is not part of the firmware: as the SDK's ipk-example has
/// it. For DUMP, by which the menu is made, there is no configuration yet.
fn of_rutos(package: &Package, way: Way) -> String {
    let Some(tlt_name) = package.tlt_name.as_ref().filter(|_| way == Way::Rutos) else {
        return String::new();
    };
    let name = &package.name;
    format!(
        "  ifneq (,$(filter m,$(CONFIG_PACKAGE_{name}))$(DUMP))\n    PKG_ROUTER:=$(TLT_PLATFORM_NAME)\n    \
         PKG_TLT_NAME:={}\n    PKG_APP_NAME:={name}\n  endif\n",
        escape_value(tlt_name)
    )
}

/// The lines that put a package's files into the folder $(1).
fn install(package: &Package, entries: &[Entry]) -> String {
    let mut lines = String::new();
    let mut folder = "";
    for Entry { path, mode, kind } in entries {
        let of = path.rsplit_once('/').map_or("", |(of, _)| of);
        if of != folder {
            lines += &format!("\t$(INSTALL_DIR) $(1)/{of}\n");
            folder = of;
        }
        let how = match mode {
            0o755 => "INSTALL_BIN",
            0o600 => "INSTALL_CONF",
            _ => "INSTALL_DATA",
        };
        lines += &match kind {
            Kind::Link(target) => format!("\t$(LN) {target} $(1)/{path}\n"),
            _ if package.program.as_ref() == Some(path) => {
                format!("\t$({how}) $(BSBF_PROGRAM) $(1)/{path}\n")
            }
            _ => format!("\t$({how}) $(BSBF_FILES)/{path} $(1)/{path}\n"),
        };
    }
    lines
}

/// What make leaves as it is when it expands a define once, as the SDK does with texts.
fn escape(text: &str) -> String {
    text.replace('$', "$$")
}

/// The same for a value that is set in a define: that is expanded, and what comes of it read as make's own lines.
fn escape_value(text: &str) -> String {
    escape(&escape(text)).replace('#', "\\#")
}

/// Writes the Makefiles into the source tree.
pub fn write(root: &Path, names: &[String]) -> Result<()> {
    for (path, text) in all(root, names)? {
        files::write(&path, text)?;
        println!("xtask: {}", path.display());
    }
    Ok(())
}

/// Fails where a Makefile of the source tree is not what the list gives.
pub fn is_current(root: &Path, names: &[String]) -> Result<()> {
    for (path, text) in all(root, names)? {
        if fs::read_to_string(&path).unwrap_or_default() != text {
            let path = path.display();
            return Err(format!("{path} is not what the list gives: cargo xtask package makefiles"));
        }
    }
    Ok(())
}

fn all(root: &Path, names: &[String]) -> Result<Vec<(PathBuf, String)>> {
    let (list, version) = (List::read(root)?, list::version(root)?);
    // Program, architecture and time are the SDK's matter.
    let packages = list.packages(root, names, &[], "", 0)?;
    let one = |way: Way| (root.join(way.path()), render(&list, &packages, &version, way));
    Ok(WAYS.into_iter().map(one).collect())
}
