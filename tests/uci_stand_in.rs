//! The stand-in for `uci` that tests and virtual routers have (qemu-tests/router/sbin/uci), held to sessions recorded of
//! the real one: the same exit codes, the same pending lines, the same files after a commit.

// Tests make files and start programs, and end where they cannot.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, clippy::unwrap_used)]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What it has no need to do, by the numbers of the sessions.
const LEFT_OUT: [&str; 36] = [
    // Faults of the caller that it does not notice, or tells by another code; lists that are emptied or cut by place.
    "009", "013", "020", "022", "027", "028", "032", "041", "055", "059", "066", "079", "084", "085",
    // Import, reorder and rarer options: -P, -p, -m, -X, links and paths in the place of packages.
    "042", "043", "044", "045", "058", "061", "062", "063", "064", "067", "068", "069", "070", "071", "072",
    "077", "078", "080", "081", // Pending changes that somebody else wrote.
    "073", "074", "075",
];
/// All others; one that is lost must not go unnoticed.
const SESSIONS: usize = 49;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// `\n`, `\t`, `\\` and `\xNN` of a recorded field.
fn plain(field: &str) -> Vec<u8> {
    let mut bytes = field.bytes();
    let mut plain = Vec::new();
    while let Some(byte) = bytes.next() {
        plain.push(match (byte, byte == b'\\') {
            (_, true) => match bytes.next() {
                Some(b'n') => b'\n',
                Some(b't') => b'\t',
                Some(b'r') => b'\r',
                Some(b'x') => {
                    let digits = [bytes.next().unwrap(), bytes.next().unwrap()];
                    u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
                }
                other => other.unwrap(),
            },
            (byte, false) => byte,
        });
    }
    plain
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    let Ok(entries) = fs::read_dir(from) else { return };
    for entry in entries {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

/// Compares the files that were stored at a point of the session.
fn compare(stored: &Path, dir: &Path) -> Result<(), String> {
    for part in ["c", "s"] {
        let Ok(entries) = fs::read_dir(stored.join(part)) else { continue };
        for entry in entries {
            let path = entry.unwrap().path();
            let ours = fs::read(dir.join(part).join(path.file_name().unwrap())).unwrap_or_default();
            let theirs = fs::read(&path).unwrap();
            if ours != theirs {
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                return Err(format!("{}: {}\nis\n{}", path.display(), text(&theirs), text(&ours)));
            }
        }
    }
    Ok(())
}

fn replay(case: &Path) -> Result<(), String> {
    let dir = std::env::temp_dir().join(format!("bsbf-uci-{}", std::process::id()));
    let _ = fs::remove_dir_all(&dir);
    copy(&case.join("start/c"), &dir.join("c"));
    copy(&case.join("start/s"), &dir.join("s"));
    let text = fs::read(case.join("steps.tsv")).unwrap();
    let text = String::from_utf8_lossy(&text);
    for row in text.lines() {
        let fields: Vec<&str> = row.split('\t').collect();
        let (code, words) = (fields[0], String::from_utf8(plain(fields[1])).map_err(|e| e.to_string())?);
        if words == "SNAP" {
            compare(&case.join("before-commit"), &dir)?;
            continue;
        }
        let line = format!(
            "{} -c {1}/c -t {1}/s {words}",
            root().join("qemu-tests/router/sbin/uci").display(),
            dir.display()
        );
        let mut sh = Command::new("sh");
        sh.args(["-c", &line]).env("BSBF", env!("CARGO_BIN_EXE_bsbf"));
        let mut sh = sh.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        sh.stdin.take().unwrap().write_all(&plain(fields.get(4).unwrap_or(&""))).unwrap();
        let ran = sh.wait_with_output().unwrap();
        if ran.status.code().unwrap().to_string() != code {
            return Err(format!(
                "{words} ended with {:?}, not {code}: {}",
                ran.status.code(),
                String::from_utf8_lossy(&ran.stderr)
            ));
        }
        if ran.stdout != plain(fields[2]) {
            return Err(format!(
                "{words} said {:?}, not {:?}",
                String::from_utf8_lossy(&ran.stdout),
                fields[2]
            ));
        }
    }
    compare(&case.join("end"), &dir)?;
    fs::remove_dir_all(&dir).map_err(|e| e.to_string())
}

#[test]
fn recorded_sessions_come_out_the_same() {
    let mut cases: Vec<PathBuf> = fs::read_dir(root().join("tests/vectors/uci/write"))
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.is_dir())
        .collect();
    cases.sort();
    let mut replayed = 0;
    for case in cases {
        let name = case.file_name().unwrap().to_str().unwrap().to_string();
        if LEFT_OUT.iter().any(|left_out| name.starts_with(left_out)) {
            continue;
        }
        replay(&case).unwrap_or_else(|e| panic!("{name}: {e}"));
        replayed += 1;
    }
    assert_eq!(replayed, SESSIONS);
}
