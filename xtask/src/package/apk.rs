//! A package for apk 3, which OpenWrt has since 25.12, and the index of a folder of them: as apk-tools' `mkpkg` and
//! `mkndx` make them, from the same content as the one for opkg.

mod adb;
mod file;
mod scripts;
mod sign;
#[cfg(test)]
mod tests;
mod tree;

use std::path::Path;

use sha2::{Digest, Sha256};

use super::ipk::{Control, Ipk, sha256};
use super::tarball::{Entry, Kind};
use crate::{Result, files};
use adb::{Value, Writer};
use file::{Blocks, Schema};
pub use sign::Key;
use tree::Tree;

/// The fields of what is said of a package (apk-tools, src/apk_adb.h).
mod field {
    pub const NAME: usize = 1;
    pub const VERSION: usize = 2;
    pub const HASHES: usize = 3;
    pub const DESCRIPTION: usize = 4;
    pub const ARCH: usize = 5;
    pub const LICENSE: usize = 6;
    pub const ORIGIN: usize = 7;
    pub const INSTALLED_SIZE: usize = 12;
    pub const FILE_SIZE: usize = 13;
    pub const DEPENDS: usize = 15;
    pub const PROVIDES: usize = 16;
}

/// How much of an ADB's hash is in the package itself.
const IDENTITY: usize = 20;
/// A dependency on what must not be there, in whatever version: older, newer or the same (apk-tools, src/apk_version.h).
const CONFLICT: u32 = 16 | 7;

/// A package as it is written, and what an index says of it.
struct Apk {
    /// apk's name of the file.
    file_name: String,
    bytes: Vec<u8>,
    info: Vec<Value>,
}

/// Writes packages into a folder, which is emptied, and their index; signed, if there is a key.
pub fn feed(dir: &Path, packages: &[Ipk], key: Option<&Key>) -> Result<()> {
    files::empty_dir(dir)?;
    let built = packages.iter().map(|package| build(package, key)).collect::<Result<Vec<Apk>>>()?;
    built.iter().try_for_each(|apk| super::write(dir, &apk.file_name, &apk.bytes))?;
    files::write(&dir.join("packages.adb"), index(&built, key)?)
}

/// Makes the package; signed, if there is a key.
///
/// # Errors
/// A version that apk refuses; a path that leaves the root; compression.
fn build(package: &Ipk, key: Option<&Key>) -> Result<Apk> {
    let control = &package.control;
    check_version(&control.version)?;
    let tree = Tree::of(&files(package), control.epoch)?;
    let mut info = info(control, &tree);
    let adb = package_adb(&info, &tree, &scripts::of(package));
    let signatures = key.map(|key| key.sign(Schema::Package, &adb)).into_iter().collect();
    set(&mut info, field::HASHES, Value::Blob(Sha256::digest(&adb).to_vec()));
    let bytes = Blocks { adb, signatures, data: tree.data() }.build(Schema::Package)?;
    let size = u32::try_from(bytes.len()).map_err(|_| "a package of over 4 GiB")?;
    set(&mut info, field::FILE_SIZE, Value::Int(size));
    Ok(Apk { file_name: format!("{}-{}.apk", control.package, control.version), bytes, info })
}

/// The index of packages, `packages.adb`; signed, if there is a key.
///
/// # Errors
/// Compression.
fn index(packages: &[Apk], key: Option<&Key>) -> Result<Vec<u8>> {
    let mut infos: Vec<&Vec<Value>> = packages.iter().map(|package| &package.info).collect();
    infos.sort_by_key(|info| info.first().map(|name| name.bytes().to_vec()));
    let infos = infos.into_iter().map(|info| Value::Slots(info.clone())).collect();
    let mut writer = Writer::new();
    let root = writer.value(&Value::Slots(vec![Value::Null, Value::Slots(infos)]));
    let adb = writer.finish(root);
    let signatures = key.map(|key| key.sign(Schema::Index, &adb)).into_iter().collect();
    Blocks { adb, signatures, data: Vec::new() }.build(Schema::Index)
}

/// What is installed: beside the package's own files the lists by which OpenWrt's scripts know of them, for apk keeps
/// its own elsewhere.
fn files(package: &Ipk) -> Vec<Entry> {
    let lists = "lib/apk/packages";
    let name = &package.control.package;
    let list = |suffix: &str, text: String| Entry {
        path: format!("{lists}/{name}.{suffix}"),
        mode: 0o644,
        kind: Kind::File(text.into_bytes()),
    };
    let mut entries = package.files.clone();
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    let all: String = entries.iter().map(|entry| format!("/{}\n", entry.path)).collect();
    if !package.conffiles.is_empty() {
        let names: String = package.conffiles.iter().map(|path| format!("{path}\n")).collect();
        let hashed = |path: &String| {
            let entry = package.files.iter().find(|entry| path.strip_prefix('/') == Some(&entry.path));
            entry.map(|entry| match &entry.kind {
                Kind::File(content) => format!("{path} {}\n", sha256(content)),
                _ => String::new(),
            })
        };
        let sums: String = package.conffiles.iter().filter_map(hashed).collect();
        entries.extend([list("conffiles", names), list("conffiles_static", sums)]);
    }
    entries.push(list("list", all));
    entries
}

/// What the package says of itself.
fn info(control: &Control, tree: &Tree) -> Vec<Value> {
    // "all" is an architecture to opkg alone.
    let arch = if control.architecture == "all" { "noarch" } else { &control.architecture };
    let mut info = Vec::new();
    let texts = [
        (field::NAME, control.package.as_str()),
        (field::VERSION, &control.version),
        // Of the description apk shows the first line.
        (field::DESCRIPTION, control.description.lines().next().unwrap_or_default()),
        (field::ARCH, arch),
        (field::LICENSE, &control.license),
        (field::ORIGIN, &control.source),
    ];
    for (field, text) in texts {
        set(&mut info, field, Value::text(text));
    }
    set(&mut info, field::INSTALLED_SIZE, Value::Int(tree.size()));
    let conflicts = control.conflicts.iter().map(|name| (name, CONFLICT));
    let mut depends: Vec<(&String, u32)> =
        control.depends.iter().map(|name| (name, 0)).chain(conflicts).collect();
    depends.sort();
    depends.dedup();
    set(
        &mut info,
        field::DEPENDS,
        Value::Slots(depends.iter().map(|(name, sign)| dependency(name, *sign)).collect()),
    );
    let mut provides: Vec<&String> = control.provides.iter().collect();
    provides.sort();
    set(&mut info, field::PROVIDES, Value::Slots(provides.iter().map(|name| dependency(name, 0)).collect()));
    info
}

/// A name, and what is to be with it.
fn dependency(name: &str, sign: u32) -> Value {
    match sign {
        0 => Value::Slots(vec![Value::text(name)]),
        sign => Value::Slots(vec![Value::text(name), Value::Null, Value::Int(sign)]),
    }
}

fn set(object: &mut Vec<Value>, field: usize, value: Value) {
    object.resize(object.len().max(field), Value::Null);
    if let Some(slot) = object.get_mut(field - 1) {
        *slot = value;
    }
}

/// The ADB of a package, in `mkpkg`'s order: so that the same content has the same bytes.
fn package_adb(info: &[Value], tree: &Tree, scripts: &[Value]) -> Vec<u8> {
    let mut writer = Writer::new();
    let mut slots: Vec<_> = info.iter().map(|value| writer.value(value)).collect();
    let paths: Vec<_> = tree.folders().iter().map(|folder| folder.write(&mut writer)).collect();
    let hash = writer.value(&Value::Blob(vec![0; IDENTITY]));
    if let Some(slot) = slots.get_mut(field::HASHES - 1) {
        *slot = hash;
    }
    let root = [writer.slots(&slots), writer.slots(&paths), writer.value(&Value::Slots(scripts.to_vec()))];
    let root = writer.slots(&root);
    let mut adb = writer.finish(root);
    // The hash is over itself as zeros.
    let digest = Sha256::digest(&adb);
    adb::set_blob(&mut adb, hash, &digest[..IDENTITY]);
    adb
}

/// Whether apk takes the version: numbers with dots, and `-r` with a number (apk-tools, src/version.c, of which OpenWrt's
/// packages use no more).
fn check_version(version: &str) -> Result<()> {
    let (numbers, release) = version.split_once("-r").unwrap_or((version, "0"));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match numbers.split('.').all(is_number) && is_number(release) {
        true => Ok(()),
        false => Err(format!("apk takes no version '{version}': 1.0-r1 expected")),
    }
}
