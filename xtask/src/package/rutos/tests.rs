//! What RUTOS's opkg and Package Manager read of a package, in the packages of our list.

use super::*;
use crate::package::tests::{control, entries, parts, read, root, sample, unzip};

/// The packages of our list for a platform, with small programs.
pub(super) fn ours(platforms: &[&str]) -> Vec<Ipk> {
    let list = List::read(&root()).unwrap();
    let packages = list.packages(&root(), &list.started(), b"\x7fELF", "mipsel_24kc", 7).unwrap();
    adapt(&list, packages, &platforms.iter().map(|p| (*p).to_string()).collect::<Vec<_>>())
}

fn named<'a>(packages: &'a [Ipk], name: &str) -> &'a Ipk {
    packages.iter().find(|package| package.control.package == name).unwrap()
}

/// A field as the Package Manager finds it (vuci's opkg_utils.lua, get_opt): the first `NAME:` anywhere, to the line's end.
fn get_opt<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("{name}:"))?;
    rest.split_once('\n').map(|(value, _)| value.strip_prefix(' ').unwrap_or(value))
}

#[test]
fn control_has_the_fields_where_the_sdk_writes_them() {
    let packages = ours(&["RUTM", "RUT9M"]);
    let text = |package: &Ipk| {
        let meta = read(&package.meta().unwrap());
        let control = meta.into_iter().find(|member| member.name == "./control").unwrap();
        String::from_utf8(control.content).unwrap()
    };
    let bonding = text(named(&packages, "bsbf-bonding"));
    assert!(bonding.starts_with("Package: bsbf-bonding\nVersion: 0.1.0-1\nDepends: bsbf\n"), "{bonding}");
    let fields = "SourceDateEpoch: 7\nRouter: RUTM RUT9M\ntlt_name: WAN bonding\nAppName: bsbf-bonding\n\
                  Architecture: all\n";
    assert!(bonding.contains(fields), "{bonding}");
    // fw3 is there, and no nft.
    let proxy = text(named(&packages, "bsbf-proxy"));
    assert!(proxy.contains("\nDepends: iptables-mod-tproxy, iptables-mod-extra, bsbf\n"), "{proxy}");
    assert!(!proxy.contains("nft"), "{proxy}");
    // Not shown, and not looked for at Teltonika's.
    let program = text(named(&packages, "bsbf"));
    assert!(["Router:", "tlt_name:", "AppName:"].iter().all(|field| !program.contains(field)), "{program}");
    // Scripts of RUTOS part lines at both.
    for package in &packages {
        assert!(
            package.control.vendor.iter().all(|(_, value)| !value.contains(": ") && !value.contains(" - "))
        );
    }
}

/// What it installed is what we make: a sample of ours and theirs are the same bytes (package/tests.rs).
#[test]
fn rutoss_opkg_keeps_every_field_and_file() {
    let session = String::from_utf8(sample("session-install-rutos.txt")).unwrap();
    let recorded = |file: &str| {
        let (_, rest) = session.split_once(&format!("--- /usr/lib/opkg/{file}\n")).unwrap();
        rest.split_once("\n\n---").or(rest.split_once("\n\n$")).map_or(rest, |(text, _)| text).to_string()
    };
    let data = unzip(&parts(&sample("samples/demo_1.0-r1_mipsel_24kc.ipk"))["./data.tar.gz"]);
    let package = Ipk {
        control: control("demo", "1.0-r1", &["libc"], "mipsel_24kc"),
        files: entries(&data),
        conffiles: vec!["/etc/config/demo".to_string()],
        ..Ipk::default()
    };
    let meta = read(&package.meta().unwrap());
    let ours = String::from_utf8(meta.into_iter().find(|m| m.name == "./control").unwrap().content).unwrap();
    assert_eq!(recorded("info/demo.control").trim_end(), ours.trim_end());
    let mut installed: Vec<String> = recorded("info/demo.list").lines().map(str::to_string).collect();
    let mut made: Vec<String> = package.files.iter().map(|entry| format!("/{}", entry.path)).collect();
    installed.sort_unstable();
    made.sort_unstable();
    assert_eq!(installed, made);
    assert_eq!(recorded("info/demo.conffiles").trim_end(), "/etc/config/demo");
    let status = recorded("status");
    let (_, demo) = status.split_once("Package: demo\n").unwrap();
    assert!(demo.starts_with("Version: 1.0-r1\nDepends: libc\nStatus: install user installed\n"), "{demo}");
}

#[test]
fn a_bundle_is_what_the_package_manager_takes() {
    let packages = ours(&["RUTM", "RUT9M"]);
    let built: Vec<Built> = packages.iter().map(|package| package.file().unwrap()).collect();
    let bonding = named(&packages, "bsbf-bonding");
    let make = || bundle(&packages, &built, bonding, "RUT9M", "RUT9M_R_00.07.17.1").unwrap();
    assert_eq!(make(), make(), "not reproducible");
    let members = read(&unzip(&make()));
    let names: Vec<&str> = members.iter().map(|member| member.name.as_str()).collect();
    assert_eq!(names, ["./bsbf-bonding_0.1.0-1_all.ipk", "./bsbf_0.1.0-1_mipsel_24kc.ipk", "./main"]);
    let main = String::from_utf8(members[2].content.clone()).unwrap();
    for (field, value) in [
        ("Package", "bsbf-bonding"),
        ("Version", "0.1.0-1"),
        ("Router", "RUT9M"),
        ("Firmware", "RUT9M_R_00.07.17.1"),
        ("tlt_name", "WAN bonding"),
        ("AppName", "bsbf-bonding"),
    ] {
        assert_eq!(get_opt(&main, field), Some(value), "{main}");
    }
    // It looks for the one file that begins so.
    let own = names.iter().filter(|name| name.starts_with("./bsbf-bonding_0.1.0-1")).count();
    assert_eq!(own, 1);
    let named: Vec<&str> = ["ipk_file", "ipk_deps"].iter().filter_map(|f| get_opt(&main, f)).collect();
    for (name, member) in named.iter().zip(&members) {
        let (file, digest) = name.split_once(':').unwrap();
        assert_eq!(format!("./{file}"), member.name);
        let of = built.iter().find(|built| built.name == file).unwrap();
        assert_eq!((digest, &member.content), (of.digest.as_str(), &of.bytes));
    }
    assert_eq!(named.len(), 2);
}

#[test]
fn bundles_are_for_one_version_of_one_platform() {
    let packages = ours(&["RUTM", "RUT9M"]);
    let built: Vec<Built> = packages.iter().map(|package| package.file().unwrap()).collect();
    let dir = std::env::temp_dir().join(format!("xtask-rutos-{}", std::process::id()));
    files::empty_dir(&dir).unwrap();
    let platforms = ["RUTM", "RUT9M"].map(str::to_string);
    bundles(&dir, &packages, &built, &platforms, None).unwrap();
    assert!(!dir.join("zipped_packages").exists());
    bundles(&dir, &packages, &built, &platforms, Some("00.07.17.1")).unwrap();
    for platform in platforms {
        let dir = dir.join("zipped_packages").join(format!("{platform}_R_00.07.17.1"));
        let names = files::list(&dir).unwrap();
        let names: Vec<_> = names.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
        let mut roles: Vec<String> =
            List::read(&root()).unwrap().package.into_iter().map(|role| role.name).collect();
        roles.retain(|role| role != "bsbf");
        roles.iter_mut().for_each(|name| name.push_str(".tar.gz"));
        roles.sort();
        assert_eq!(names, roles);
    }
    files::remove_dir(&dir).unwrap();
}
