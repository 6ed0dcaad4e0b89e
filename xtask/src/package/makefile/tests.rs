//! Makefiles that are wrong are told; what make makes of a right one is what the list says.

use std::fs;
use std::path::{Path, PathBuf};

use super::*;
use crate::targets::{self, Target};

/// One Makefile, and a folder to run it in.
struct Trial {
    root: PathBuf,
    dir: PathBuf,
    way: Way,
    target: Target,
    list: List,
    packages: Vec<Ipk>,
    text: String,
}

impl Trial {
    fn new(name: &str, way: Way, list: List) -> Trial {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf();
        let dir = std::env::temp_dir().join(format!("xtask-makefile-{name}-{}", std::process::id()));
        let target = targets::named(&root, Some("mipsel_24kc")).unwrap().remove(0);
        let names = list.started();
        let packages = check::packages(&root, &list, &names, &target, way).unwrap();
        let text = render(&list, &packages, "1.2.3", way);
        Trial { root, dir, way, target, list, packages, text }
    }

    fn of_our_list(name: &str, way: Way) -> Trial {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        Trial::new(name, way, List::read(&root).unwrap())
    }

    /// What the check says of the text.
    fn check(&self, text: &str) -> Result<()> {
        let makefile = self.dir.join("Makefile");
        files::write(&makefile, text).unwrap();
        check::one(&self.root, self.way, &makefile, &self.target, &self.packages, &self.dir.join("made"))
    }

    /// What it says once `from` has become `to`.
    fn spoilt(&self, from: &str, to: &str) -> String {
        assert!(self.text.contains(from), "{from}");
        self.check(&self.text.replace(from, to)).expect_err(from)
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

#[test]
fn a_makefile_that_installs_something_else_is_told() {
    let trial = Trial::of_our_list("spoilt", Way::Prebuilt);
    assert_eq!(trial.check(&trial.text), Ok(()));
    let service = "$(BSBF_FILES)/etc/init.d/bsbf-route";
    for (from, to, told) in [
        (format!("BIN) {service}"), format!("DATA) {service}"), "etc/init.d/bsbf-route (644)"),
        (format!("BIN) {service}"), format!("BIN) {service}.lost"), "cannot stat"),
        ("/etc/config/bsbf-mptcp\n".into(), "/etc/config/bsbf\n".into(), "etc/config/bsbf (600)"),
        ("\t$(LN) bsbf $(1)/usr/sbin/bsbf-mptcp\n".into(), String::new(), "the .ipk has usr/sbin/bsbf-mptcp"),
        ("LN) bsbf ".into(), "LN) /usr/sbin/bsbf ".into(), "usr/sbin/bsbf-autoconf-cellular"),
        ("conffiles\n/etc".into(), "conffiles\netc".into(), "bsbf's conffiles is"),
        ("$${PKG_UPGRADE}".into(), "${PKG_UPGRADE}".into(), "bsbf's postrm is"),
        ("DEPENDS:=+bsbf".into(), "DEPENDS:=bsbf".into(), "DEPENDS is"),
        ("  PKGARCH:=all\n".into(), String::new(), "PKGARCH is"),
    ] {
        let error = trial.spoilt(&from, &to);
        assert!(error.contains(told), "{from:?} as {to:?}: {error}");
    }
}

#[test]
fn rutoss_package_manager_is_told_of_what_it_shows() {
    let trial = Trial::of_our_list("rutos", Way::Rutos);
    assert_eq!(trial.check(&trial.text), Ok(()));
    for (from, to, told) in [
        ("PKG_ROUTER:=$(TLT_PLATFORM_NAME)", "PKG_ROUTER:=RUTX", "bsbf-bonding's PKG_ROUTER is \"RUTX"),
        ("PKG_TLT_NAME:=WAN bonding\n", "PKG_TLT_NAME:=WAN\n", "bsbf-bonding's PKG_TLT_NAME is"),
        ("filter m,", "filter y,", "bsbf-bonding's PKG_ROUTER is \"\\n\""),
    ] {
        let error = trial.spoilt(from, to);
        assert!(error.contains(told), "{from:?} as {to:?}: {error}");
    }
    assert!(!Trial::of_our_list("openwrt", Way::Prebuilt).text.contains("TLT"));
}

#[test]
fn a_program_that_would_not_be_as_ours_is_told() {
    let trial = Trial::of_our_list("cargo", Way::Source);
    assert_eq!(trial.check(&trial.text), Ok(()));
    for (from, to, told) in [
        ("=+crt-static", "=-crt-static", "RUSTFLAGS end with '-Ctarget-feature=-crt-static'"),
        ("_PANIC=abort", "_PANIC=unwind", "a panic is to 'unwind', not 'abort'"),
        ("_CHECKS=false", "_CHECKS=true", "overflow checks are 'true'"),
        ("--cfg=fix_y2038", "", "fix_y2038 is for MIPS"),
        ("--no-default-features", "", "cargo's arguments are ''"),
        (" qemu-tests)", ")", "cannot read"),
    ] {
        let error = trial.spoilt(from, to);
        assert!(error.contains(told), "{from:?} as {to:?}: {error}");
    }
}

#[test]
fn a_missing_binary_is_named_with_the_command_that_makes_it() {
    let trial = Trial::of_our_list("missing", Way::Prebuilt);
    let makefile = trial.dir.join("Makefile");
    files::write(&makefile, &trial.text).unwrap();
    let error = check::make(&trial.root, trial.way, &makefile, &trial.target, &trial.dir).unwrap_err();
    let binary = trial.dir.join("dist/mipsel_24kc/bsbf");
    let told = format!("{} is missing: cargo xtask build mipsel_24kc makes it", binary.display());
    assert!(error.contains(&told), "{error}");
}

#[test]
fn make_reads_what_the_list_says() {
    let list = r##"
source = "feeds/x/x"
license = "MIT"
section = "net"
release = 4

[[package]]
name = "odd"
title = "100 $HOME # $(shell echo no), 'a' `b`"
description = "costs $5\n# not $(DEPENDS)"
files = ["etc/config/bsbf"]
depends = ["ip-full"]
conflicts = ["even"]
provides = ["number", "integer"]
postinst = """
# 'comment' of "$#" and $$ in ${name%.*}
[ "$1" = `id -u` ] && echo "\\n"
"""
"##;
    let trial = Trial::new("odd", Way::Source, toml::from_str(list).unwrap());
    assert_eq!(trial.check(&trial.text), Ok(()));
    let title = fs::read_to_string(trial.dir.join("made/odd.TITLE")).unwrap();
    assert_eq!(title.trim(), trial.list.package[0].title);
}

#[test]
fn a_package_has_the_parts_that_it_needs_and_no_other() {
    let trial = Trial::of_our_list("shape", Way::Source);
    assert!(trial.text.contains("\nPKG_VERSION:=1.2.3\nPKG_RELEASE:=1\n"));
    let parts = |name: &str| -> Vec<&str> {
        let defines = trial.text.lines().filter_map(|line| line.strip_prefix("define Package/"));
        defines.filter_map(|define| define.strip_prefix(name)).filter(|part| !part.starts_with('-')).collect()
    };
    assert_eq!(parts("bsbf"), ["", "/description", "/conffiles", "/install", "/postinst", "/postrm"]);
    assert_eq!(parts("bsbf-route"), ["", "/description", "/install", "/postrm"]);
    // Only what is compiled depends on the architecture.
    let about = |name: &str| {
        let (_, rest) = trial.text.split_once(&format!("define Package/{name}\n")).unwrap();
        rest.split_once("endef").unwrap().0.to_string()
    };
    assert!(about("bsbf").contains("DEPENDS:=$(RUST_ARCH_DEPENDS)\n") && !about("bsbf").contains("PKGARCH"));
    assert!(about("bsbf-route").contains("PKGARCH:=all\n  DEPENDS:=+bsbf\n"));
    // make takes these for its own; the SDK's BuildPackage has to come behind all that it reads.
    assert_eq!(trial.text.matches("\nendef\n").count(), trial.text.matches("\ndefine ").count());
    let (_, last) = trial.text.rsplit_once("endef\n").unwrap();
    assert!(
        last.lines()
            .filter(|line| !line.is_empty())
            .all(|line| line.starts_with("$(eval $(call BuildPackage,"))
    );
    assert_eq!(last.matches("BuildPackage").count(), trial.list.package.len());
}
