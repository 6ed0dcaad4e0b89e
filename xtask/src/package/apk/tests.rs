//! Packages against those that the real `apk mkpkg` made (tests/vectors/apk).

use std::fs;
use std::path::Path;

use super::adb::read::read;
use super::*;

/// The time that the samples were made at.
const EPOCH: u64 = 1_736_026_537;

fn sample(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors/apk/samples").join(name)).unwrap()
}

/// What a real package has, as what ours is made of.
struct Sample {
    blocks: Blocks,
    root: Value,
}

impl Sample {
    fn read(name: &str) -> Sample {
        let blocks = Blocks::read(&sample(name), Schema::Package).unwrap();
        let root = read(&blocks.adb).unwrap();
        Sample { blocks, root }
    }

    /// All that is said of it but the hash, which ours has to find out.
    fn info(&self) -> Vec<Value> {
        let mut info = self.root.slot(1).slots().to_vec();
        set(&mut info, field::HASHES, Value::Null);
        info
    }

    fn entries(&self) -> Vec<Entry> {
        let mut entries = Vec::new();
        let text = |value: &Value| String::from_utf8(value.bytes().to_vec()).unwrap();
        for (folder, number) in self.root.slot(2).slots().iter().zip(1u32..) {
            let Value::Int(mode) = *folder.slot(2).slot(1) else { panic!("{folder:?}") };
            let path = text(folder.slot(1));
            if !path.is_empty() {
                entries.push(Entry { path: path.clone(), mode, kind: Kind::Folder });
            }
            for (file, index) in folder.slot(3).slots().iter().zip(1u32..) {
                let Value::Int(mode) = *file.slot(2).slot(1) else { panic!("{file:?}") };
                let place = [number.to_le_bytes(), index.to_le_bytes()].concat();
                let content = self.blocks.data.iter().find_map(|block| block.strip_prefix(place.as_slice()));
                let kind = match file.slot(6).bytes() {
                    [] => Kind::File(content.unwrap_or_default().to_vec()),
                    [0x00, 0xa0, target @ ..] => Kind::Link(String::from_utf8(target.to_vec()).unwrap()),
                    other => panic!("{other:?}"),
                };
                let name = text(file.slot(1));
                let path = if path.is_empty() { name } else { format!("{path}/{name}") };
                entries.push(Entry { path, mode, kind });
            }
        }
        entries
    }
}

#[test]
fn the_real_tools_packages_are_made_again_byte_for_byte() {
    for name in
        ["demo-1.0-r1.apk", "demo-signed-1.0-r1.apk", "libc-1.2.5-r4.apk", "min-1.0.apk", "empty-1.0.apk"]
    {
        let real = Sample::read(name);
        let tree = match real.entries().as_slice() {
            // Of a package without a file it names no folder either.
            [] => Tree::of(&[], EPOCH).unwrap(),
            entries => Tree::of(entries, EPOCH).unwrap(),
        };
        let ours = package_adb(&real.info(), &tree, real.root.slot(3).slots());
        assert_eq!(read(&ours).unwrap(), real.root, "{name}");
        assert_eq!(ours, real.blocks.adb, "{name}");
        assert_eq!(tree.data(), real.blocks.data, "{name}");
    }
}

/// From the same tree and words as the sample's, by way of what the list gives: an ipk.
fn demo() -> Ipk {
    let real = Sample::read("demo-1.0-r1.apk");
    let is_ours = |entry: &Entry| !entry.path.starts_with("lib") && entry.kind != Kind::Folder;
    let text = |field| String::from_utf8(real.root.slot(1).slot(field).bytes().to_vec()).unwrap();
    Ipk {
        control: Control {
            package: text(field::NAME),
            version: text(field::VERSION),
            depends: vec!["libc".into()],
            source: text(field::ORIGIN),
            license: text(field::LICENSE),
            epoch: EPOCH,
            architecture: text(field::ARCH),
            description: text(field::DESCRIPTION),
            ..Control::default()
        },
        files: real.entries().into_iter().filter(is_ours).collect(),
        conffiles: vec!["/etc/config/demo".into()],
        scripts: vec![
            ("postinst".into(), String::new()),
            ("postinst-pkg".into(), "#!/bin/sh\necho mine\n".into()),
            ("postrm".into(), "#!/bin/sh\necho gone\n".into()),
        ],
    }
}

#[test]
fn a_package_of_the_list_has_what_the_real_one_has() {
    let real = Sample::read("demo-1.0-r1.apk");
    let ours = build(&demo(), None).unwrap();
    assert_eq!(ours.file_name, "demo-1.0-r1.apk");
    let blocks = Blocks::read(&ours.bytes, Schema::Package).unwrap();
    let root = read(&blocks.adb).unwrap();
    // The lists that OpenWrt's scripts read are among the files.
    assert_eq!(root.slot(2), real.root.slot(2));
    assert_eq!(blocks.data, real.blocks.data);
    for field in 1..=field::DEPENDS {
        // Maintainer and address are not in our list.
        if ![field::HASHES, 8, 9].contains(&field) {
            assert_eq!(root.slot(1).slot(field), real.root.slot(1).slot(field), "field {field}");
        }
    }
    let script = |field| String::from_utf8(root.slot(3).slot(field).bytes().to_vec()).unwrap();
    let head = "#!/bin/sh\n[ \"${IPKG_NO_SCRIPT}\" = \"1\" ] && exit 0\n";
    assert!(
        script(3).starts_with(head) && script(3).ends_with("\ndefault_postinst\necho mine\n"),
        "{}",
        script(3)
    );
    assert_eq!(script(4).lines().last(), Some("default_prerm"));
    assert_eq!(script(5), "#!/bin/sh\necho gone\n");
    // An upgrade runs this one alone.
    assert_eq!(script(7), script(3).replacen('\n', "\nexport PKG_UPGRADE=1\n", 1));
    let real_script = |field| String::from_utf8(real.root.slot(3).slot(field).bytes().to_vec()).unwrap();
    for field in [3, 4] {
        // The sample's print what they are given; and ours have more behind.
        let lines = real_script(field);
        let lines = lines.lines().filter(|line| !line.contains("env | sort"));
        assert!(lines.clone().all(|line| script(field).contains(&format!("{line}\n"))), "{}", script(field));
    }
}

#[test]
fn the_index_says_what_the_real_one_says() {
    let real = Blocks::read(&sample("packages.adb"), Schema::Index).unwrap();
    let real = read(&real.adb).unwrap();
    let packages = real.slot(2).slots();
    let apk = |info: &Value| Apk { file_name: String::new(), bytes: Vec::new(), info: info.slots().to_vec() };
    let ours = index(&packages.iter().map(apk).collect::<Vec<Apk>>(), None).unwrap();
    let ours = Blocks::read(&ours, Schema::Index).unwrap();
    assert_eq!(read(&ours.adb).unwrap(), real);
    // Its hash is that of the package's whole ADB, and its size that of the file.
    let demo = Sample::read("demo-1.0-r1.apk");
    assert_eq!(packages[0].slot(field::HASHES).bytes(), Sha256::digest(&demo.blocks.adb).as_slice());
    assert_eq!(packages[0].slot(field::FILE_SIZE), &Value::Int(sample("demo-1.0-r1.apk").len() as u32));
    let built = build(&super::tests::demo(), None).unwrap();
    let info = Value::Slots(built.info);
    let blocks = Blocks::read(&built.bytes, Schema::Package).unwrap();
    assert_eq!(info.slot(field::HASHES).bytes(), Sha256::digest(&blocks.adb).as_slice());
    assert_eq!(info.slot(field::FILE_SIZE), &Value::Int(built.bytes.len() as u32));
}

#[test]
fn without_an_architecture_it_is_noarch_and_conflicts_are_dependencies() {
    let mut package = demo();
    package.control.architecture = "all".into();
    package.control.depends = vec!["zlib".into(), "libc".into(), "libc".into()];
    package.control.conflicts = vec!["other".into()];
    package.control.provides = vec!["virtual".into()];
    let info = Value::Slots(build(&package, None).unwrap().info);
    assert_eq!(info.slot(field::ARCH).bytes(), b"noarch");
    let depends = info.slot(field::DEPENDS).slots();
    let names: Vec<&[u8]> = depends.iter().map(|depend| depend.slot(1).bytes()).collect();
    assert_eq!(names, [b"libc".as_slice(), b"other", b"zlib"]);
    assert_eq!(depends[1].slot(3), &Value::Int(23));
    assert_eq!(info.slot(field::PROVIDES).slot(1).slot(1).bytes(), b"virtual");
}

#[test]
fn what_apk_would_refuse_is_refused() {
    for version in ["1.0-r1", "0.1.0-r12", "24.10.0", "1.10"] {
        check_version(version).unwrap();
    }
    for version in ["1.0-1", "1.0~rc1", "v1.0", "", "1.0-r", "1..0", "1.0.rc"] {
        assert!(check_version(version).unwrap_err().contains("1.0-r1 expected"), "{version}");
    }
    let mut package = demo();
    package.files.push(Entry { path: "etc/../x".into(), mode: 0o644, kind: Kind::File(Vec::new()) });
    assert!(build(&package, None).err().unwrap().contains("no path below the root"));
}

#[test]
fn a_broken_adb_is_an_error() {
    let good = Sample::read("demo-1.0-r1.apk").blocks.adb;
    for length in 0..good.len() {
        // Cut anywhere, it is read or refused; whatever its bytes are.
        let _ = read(&good[..length]);
        let mut other = good.clone();
        other[length] ^= 0xff;
        let _ = read(&other);
    }
    assert!(read(&good[..100]).is_err());
}
