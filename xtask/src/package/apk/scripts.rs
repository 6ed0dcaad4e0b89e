//! A package's scripts by apk's names, made of opkg's as OpenWrt's build makes them (include/package-pack.mk).
//!
//! apk runs another script at an upgrade than at an installation, and none of the old package's; OpenWrt's functions
//! know an upgrade by a variable, which they have for opkg too.

use super::adb::Value;
use crate::package::ipk::Ipk;

/// The fields of the scripts (apk-tools, src/apk_adb.h).
const POST_INSTALL: usize = 3;
const PRE_DEINSTALL: usize = 4;
const POST_DEINSTALL: usize = 5;
const POST_UPGRADE: usize = 7;

/// The scripts, by their fields.
pub fn of(package: &Ipk) -> Vec<Value> {
    let own = |name: &str| {
        let script = package.scripts.iter().find(|(known, _)| known == name);
        script.map_or(String::new(), |(_, text)| body(text))
    };
    let functions = |name: &str| {
        format!(
            "[ -s ${{IPKG_INSTROOT}}/lib/functions.sh ] || exit 0\n\
             . ${{IPKG_INSTROOT}}/lib/functions.sh\n\
             export root=\"${{IPKG_INSTROOT}}\"\nexport pkgname=\"{}\"\n{name}\n",
            package.control.package
        )
    };
    let installed = format!(
        "[ \"${{IPKG_NO_SCRIPT}}\" = \"1\" ] && exit 0\n{}{}",
        functions("add_group_and_user\ndefault_postinst"),
        own("postinst-pkg")
    );
    let mut scripts = vec![Value::Null; POST_UPGRADE];
    let mut set = |field: usize, text: &str| {
        if !text.is_empty() {
            scripts[field - 1] = Value::text(&format!("#!/bin/sh\n{text}"));
        }
    };
    set(POST_INSTALL, &installed);
    set(PRE_DEINSTALL, &functions("default_prerm"));
    set(POST_DEINSTALL, &own("postrm"));
    set(POST_UPGRADE, &format!("export PKG_UPGRADE=1\n{installed}"));
    scripts
}

/// A script without its first line.
fn body(script: &str) -> String {
    script.split_once('\n').map_or(String::new(), |(_, body)| body.to_string())
}
