//! Packages against those that OpenWrt's own tools made (tests/vectors/opkg), and against what makes opkg say
//! "installed" and write nothing.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;

use super::ipk::{Control, Ipk};
use super::list::List;
use super::tarball::{self, Entry, Kind};

/// The time that the samples were made at.
const EPOCH: u64 = 1_736_026_537;

pub(super) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

pub(super) fn sample(name: &str) -> Vec<u8> {
    fs::read(root().join("tests/vectors/opkg").join(name)).unwrap()
}

pub(super) fn unzip(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    GzDecoder::new(bytes).read_to_end(&mut plain).unwrap();
    plain
}

/// A member of an archive as its header has it.
#[derive(Debug)]
pub(super) struct Member {
    pub name: String,
    kind: u8,
    mode: String,
    owners: Vec<u8>,
    link: String,
    pub content: Vec<u8>,
}

pub(super) fn read(archive: &[u8]) -> Vec<Member> {
    let text =
        |bytes: &[u8]| String::from_utf8(bytes.iter().copied().take_while(|&b| b != 0).collect()).unwrap();
    let mut members = Vec::new();
    let mut rest = archive;
    while rest[0] != 0 {
        let (header, content) = rest.split_at(512);
        let size = usize::from_str_radix(&text(&header[124..136]), 8).unwrap();
        members.push(Member {
            name: text(&header[..100]),
            kind: header[156],
            mode: text(&header[100..108]),
            owners: header[108..124].iter().chain(&header[265..329]).copied().collect(),
            link: text(&header[157..257]),
            content: content[..size].to_vec(),
        });
        rest = &content[size.next_multiple_of(512)..];
    }
    assert!(rest.len() >= 1024 && rest.iter().all(|&b| b == 0), "an archive ends with two empty blocks");
    members
}

/// The parts of a package, unpacked.
pub(super) fn parts(package: &[u8]) -> BTreeMap<String, Vec<u8>> {
    read(&unzip(package)).into_iter().map(|member| (member.name, member.content)).collect()
}

/// The regular files and links below the root.
pub(super) fn entries(archive: &[u8]) -> Vec<Entry> {
    let entry = |member: Member| {
        let path = member.name.strip_prefix("./")?.trim_end_matches('/').to_string();
        let kind = match member.kind {
            b'0' => Kind::File(member.content),
            b'2' => Kind::Link(member.link),
            _ => return None,
        };
        Some(Entry { path, mode: u32::from_str_radix(&member.mode, 8).unwrap(), kind })
    };
    read(archive).into_iter().filter_map(entry).collect()
}

pub(super) fn control(package: &str, version: &str, depends: &[&str], architecture: &str) -> Control {
    Control {
        package: package.into(),
        version: version.into(),
        depends: depends.iter().map(|name| (*name).to_string()).collect(),
        source: format!("package/test/{package}"),
        license: "MIT".into(),
        section: "net".into(),
        epoch: EPOCH,
        architecture: architecture.into(),
        description: "A test package".into(),
        ..Control::default()
    }
}

#[test]
fn packages_are_those_of_ipkg_build() {
    for (file, control) in [
        ("demo_1.0-r1_mipsel_24kc.ipk", control("demo", "1.0-r1", &["libc"], "mipsel_24kc")),
        ("demo_1.1-r1_mipsel_24kc.ipk", control("demo", "1.1-r1", &["libc (>= 1.2)"], "mipsel_24kc")),
        ("bare_1.0_all.ipk", control("bare", "1.0", &[], "all")),
    ] {
        let sample = sample(&format!("samples/{file}"));
        let recorded = parts(&sample);
        let (data, meta) = (unzip(&recorded["./data.tar.gz"]), unzip(&recorded["./control.tar.gz"]));
        let mut package = Ipk { control, files: entries(&data), ..Ipk::default() };
        for entry in entries(&meta) {
            let Kind::File(content) = entry.kind else { panic!("{entry:?}") };
            let text = String::from_utf8(content).unwrap();
            match entry.path.as_str() {
                "control" => {}
                "conffiles" => package.conffiles = text.lines().map(str::to_string).collect(),
                _ => package.scripts.push((entry.path, text)),
            }
        }
        assert_eq!(package.control.file_name(), file);
        assert!(package.data().unwrap() == data, "{file}: data.tar");
        assert!(package.meta().unwrap() == meta, "{file}: control.tar");
        // Compressors differ; all around them must not.
        let ours = package.build().unwrap();
        let shape = |bytes: &[u8]| -> Vec<_> {
            read(&unzip(bytes)).into_iter().map(|m| (m.name, m.kind, m.mode, m.owners)).collect()
        };
        assert_eq!(shape(&ours), shape(&sample), "{file}");
        let parts = parts(&ours);
        assert_eq!(parts["./debian-binary"], recorded["./debian-binary"]);
        assert!(unzip(&parts["./data.tar.gz"]) == data && unzip(&parts["./control.tar.gz"]) == meta);
        // No name, no time, made on Unix.
        assert_eq!((&ours[..8], ours[9]), (&sample[..8], sample[9]));
    }
}

#[test]
fn an_index_is_that_of_ipkg_make_index() {
    let index = String::from_utf8(sample("feed/Packages")).unwrap();
    let package = Ipk {
        control: control("demo", "1.0-r1", &["libc"], "mipsel_24kc"),
        files: entries(&unzip(&parts(&sample("samples/demo_1.0-r1_mipsel_24kc.ipk"))["./data.tar.gz"])),
        ..Ipk::default()
    };
    let built = sample("samples/demo_1.0-r1_mipsel_24kc.ipk");
    assert!(index.starts_with(&package.index_entry(&built).unwrap()));
}

#[test]
fn what_opkg_would_leave_out_silently_is_an_error() {
    let file = |path: &str| Entry { path: path.into(), mode: 0o644, kind: Kind::File(b"x\n".to_vec()) };
    let long = "a/".repeat(49) + "b";
    for (entries, message) in [
        (vec![file("../etc/passwd")], "'../etc/passwd' is no path below the root"),
        (vec![file("/etc/x")], "'/etc/x' is no path below the root"),
        (vec![file("etc//x")], "'etc//x' is no path below the root"),
        (vec![file("")], "'' is no path below the root"),
        (vec![file("etc/x"), file("etc/x")], "'etc/x' twice"),
        (vec![file(&long)], "has over 100 bytes"),
    ] {
        let error = tarball::tree(&entries, 0).unwrap_err();
        assert!(error.contains(message), "{error}");
    }
    let fits = "a/".repeat(48) + "bc";
    assert!(tarball::tree(&[file(&fits)], 0).is_ok());
}

#[test]
fn the_list_makes_packages_that_opkg_writes_whole() {
    let list = List::read(&root()).unwrap();
    let mut names = list.started();
    names.push("bsbf-status".to_string());
    let make = || list.packages(&root(), &names, b"\x7fELF", "mipsel_24kc", EPOCH).unwrap();
    let packages = make();
    for (package, again) in packages.iter().zip(make()) {
        let name = &package.control.package;
        assert_eq!(package.build().unwrap(), again.build().unwrap(), "{name} is not reproducible");
        let members = read(&package.data().unwrap());
        for (at, member) in members.iter().enumerate() {
            assert!(matches!(member.kind, b'0' | b'2' | b'5'), "{name}: {member:?}");
            assert!(member.owners.iter().all(|&b| b == b'0' || b == 0), "{name}: {member:?}");
            let folder =
                member.name.trim_end_matches('/').rsplit_once('/').map(|(folder, _)| format!("{folder}/"));
            let before = members[..at].iter().any(|other| Some(&other.name) == folder.as_ref());
            assert!(before || member.name == "./", "{name}: no folder for {member:?}");
        }
        assert!(package.control.description.lines().all(|line| !line.trim().is_empty()), "{name}");
    }
    let bsbf = packages.iter().find(|package| package.control.package == "bsbf").unwrap();
    let of = |path: &str| bsbf.files.iter().find(|entry| entry.path == path).cloned().unwrap();
    assert_eq!(of("usr/sbin/bsbf-status").kind, Kind::Link("bsbf".into()));
    assert_eq!((of("usr/sbin/bsbf").mode, of("etc/config/bsbf").mode), (0o755, 0o600));
    assert_eq!(bsbf.conffiles, ["/etc/config/bsbf"]);
    assert_eq!((bsbf.control.architecture.as_str(), bsbf.control.depends.len()), ("mipsel_24kc", 0));
    for role in packages.iter().filter(|package| package.control.package != "bsbf") {
        let name = &role.control.package;
        let of_system = &list.package.iter().find(|package| package.name == *name).unwrap().depends;
        let depends = [of_system, &["bsbf".to_string()][..]].concat();
        assert_eq!((role.control.architecture.as_str(), &role.control.depends), ("all", &depends));
        let services = role.files.iter().filter(|entry| entry.path.starts_with("etc/init.d/"));
        assert!(services.clone().count() == 1 && services.clone().all(|s| s.mode == 0o755), "{name}");
        assert!(role.scripts.iter().all(|(_, text)| text.starts_with("#!/bin/sh\n")), "{name}");
    }
}

#[test]
fn a_package_that_starts_what_is_no_command_is_refused() {
    let list = List::read(&root()).unwrap();
    let names = ["bsbf-bond", "bsbf-mptcp", "bsbf-setup-router"].map(str::to_string);
    let error = list.packages(&root(), &names, b"", "x86_64", EPOCH).unwrap_err();
    assert_eq!(error, "openwrt-feed/packages.toml: bsbf-route starts 'bsbf-route', which is no command");
}

/// Of opkg, an upgrade is prerm and postinst with PKG_UPGRADE=1; of an image, all with IPKG_INSTROOT. Neither may stop,
/// start or clean anything beyond that.
#[test]
fn scripts_leave_images_and_upgrades_alone() {
    let list = List::read(&root()).unwrap();
    for package in &list.package {
        for (what, text) in [("postinst", &package.postinst), ("postrm", &package.postrm)] {
            let Some(text) = text else { continue };
            // Whatever it would run is not here, and says so.
            let script = format!("PATH=\n{text}");
            let run = |variable: &str| {
                let mut sh = std::process::Command::new("/bin/sh");
                let output = sh.args(["-c", &script]).env(variable, "1").output().unwrap();
                (output.status.code(), String::from_utf8(output.stderr).unwrap())
            };
            let name = format!("{} of {}", what, package.name);
            assert_eq!(run("IPKG_INSTROOT"), (Some(0), String::new()), "{name}");
            if what == "postrm" {
                assert_eq!(run("PKG_UPGRADE"), (Some(0), String::new()), "{name}");
            }
        }
    }
}
