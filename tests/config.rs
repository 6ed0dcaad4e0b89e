//! `bsbf config` as its user runs it: with the recorded files of the real `uci` (tests/vectors/uci), whose output and
//! exit codes it must have, and with files that are none.

// Tests make files and start programs, and end where they cannot.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A directory of the test's own, which goes with it.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Dir {
        let path = std::env::temp_dir().join(format!("bsbf-config-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Dir(path)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        fs::write(self.0.join(name), text).unwrap();
    }

    fn config(&self, words: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bsbf"));
        command.arg("config").args(words).arg("--dir").arg(&self.0).output().unwrap()
    }

    /// Exit code, stdout, stderr.
    fn said(&self, words: &[&str]) -> (i32, String, String) {
        let output = self.config(words);
        let text =
            |bytes: &[u8]| String::from_utf8_lossy(bytes).replace(&self.0.display().to_string(), "DIR");
        (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn vectors(place: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/uci").join(place)
}

#[test]
fn output_and_exit_codes_are_the_real_tools() {
    let mut ran = 0;
    for case in fs::read_dir(vectors("read")).unwrap().map(|entry| entry.unwrap().path()) {
        let Ok(commands) = fs::read_to_string(case.join("cmds.tsv")) else { continue };
        let dir = Dir::new("real");
        fs::copy(case.join("t"), dir.0.join("t")).unwrap();
        for (arguments, file) in [("export t", "export"), ("show t", "show"), ("-X show t", "")] {
            let row = commands.lines().find(|row| row.split('\t').nth(1) == Some(arguments)).unwrap();
            let exit: i32 = row.split('\t').next().unwrap().parse().unwrap();
            let words: Vec<&str> = arguments.split(' ').collect();
            let output = dir.config(&words);
            assert_eq!(output.status.code(), Some(exit), "{}: {arguments}", case.display());
            assert_eq!(output.stderr.is_empty(), exit == 0, "{}: {arguments}", case.display());
            if !file.is_empty() {
                let expected = fs::read(case.join(file)).unwrap_or_default();
                assert_eq!(output.stdout, expected, "{}: {arguments}", case.display());
            }
            ran += 1;
        }
    }
    assert_eq!(ran, 3 * 114);
}

#[test]
fn a_directory_is_read_as_the_real_tool_reads_it() {
    // As recorded in tests/vectors/uci/directory-level.txt.
    let dir = Dir::new("directory");
    for name in ["good", ".hidden", ".good.uci-AbCdEf", "has.dot"] {
        dir.write(name, "config a b\noption x 1\n");
    }
    dir.write("also-good", "config c\n");
    dir.write("bad", "nonsense\n");
    for name in ["good-opkg", "good.apk-new"] {
        dir.write(name, "config a b\n");
    }
    fs::create_dir(dir.0.join("sub")).unwrap();
    symlink("good", dir.0.join("link")).unwrap();
    symlink("nowhere", dir.0.join("dangling")).unwrap();
    let recorded = fs::read_to_string(vectors("directory-level.txt")).unwrap();
    for query in ["show", "export"] {
        let section =
            recorded.split("\n$ ").find(|part| part.starts_with(&format!("uci -c DIR/c {query}\n")));
        let expected: String = section
            .unwrap()
            .lines()
            .filter_map(|line| line.strip_prefix("out| "))
            .map(|line| format!("{line}\n"))
            .collect();
        let (code, out, err) = dir.said(&[query]);
        assert_eq!((code, out), (0, expected));
        // Named, each once, and nothing else.
        let complaints: Vec<&str> = err.lines().filter_map(|line| line.split(": ").nth(1)).collect();
        assert_eq!(
            complaints,
            ["cannot read DIR/bad", "cannot read DIR/dangling", "cannot read DIR/sub"],
            "{err}"
        );
    }
    let empty = Dir::new("empty");
    assert_eq!(empty.said(&["show"]), (1, String::new(), "bsbf: cannot find settings: none in DIR\n".into()));
    assert_eq!(empty.said(&["get", "good.b.x"]).0, 1);
}

#[test]
fn pending_changes_are_merged_when_asked_for() {
    let dir = Dir::new("pending");
    let pending = Dir::new("changes");
    dir.write("network", "config interface wan\n\toption proto dhcp\n");
    pending.write("network", "network.wan.proto='static'\nnetwork.lan.proto='none'\n");
    assert_eq!(dir.said(&["get", "network.wan.proto"]).1, "dhcp\n");
    let (code, out, err) = dir.said(&["get", "network.wan.proto", "--pending", pending.0.to_str().unwrap()]);
    assert_eq!((code, out.as_str()), (0, "static\n"));
    assert!(err.contains("line 2: section 'lan'"), "{err}");
}

#[test]
fn check_names_all_that_the_manager_refuses() {
    let dir = Dir::new("check");
    assert_eq!(dir.said(&["check"]).0, 0);
    dir.write("bsbf", "config bond\n\toption lost '1'\n\toption lostt '5'\nconfig bnd\n");
    dir.write("bsbf-mptcp", "config endpoints 'main'\n\tlist subflow_backup 'a/b'\n");
    let (code, out, err) = dir.said(&["check"]);
    assert_eq!(code, 1);
    assert_eq!(out, "DIR/bsbf: line 4: no command reads sections of the type 'bnd'\n");
    let lines: Vec<&str> = err.lines().collect();
    assert_eq!(lines[0], "bsbf: DIR/bsbf: line 2: '1' is not a number from 2 to 40");
    assert_eq!(lines[1], "bsbf: DIR/bsbf: line 3: unknown option 'lostt'");
    assert!(lines[2].starts_with("bsbf: DIR/bsbf-mptcp: line 2: 'a/b' is not an interface name"), "{err}");
    dir.write("bsbf", "config bond\n\toption lost '9'\n");
    dir.write("bsbf-mptcp", "");
    let expected = "DIR/bsbf: nothing is refused\nDIR/bsbf-mptcp: nothing is refused\n";
    assert_eq!(dir.said(&["check"]), (0, expected.into(), String::new()));
    dir.write("bsbf", "config bond\n\toption lost '9\n");
    let (code, _, err) = dir.said(&["check"]);
    assert!(code == 1 && err.contains("DIR/bsbf: line 2: unterminated single quote"), "{err}");
    // One broken file hides nothing of the other.
    dir.write("bsbf-mptcp", "config endpoints 'main'\n\tlist subflow_backup 'a/b'\n");
    assert_eq!(dir.said(&["check"]).2.lines().count(), 2);
}

#[test]
fn what_is_no_settings_file_is_refused_soon_and_by_name() {
    let dir = Dir::new("odd");
    dir.write("large", vec![b'\n'; 10 << 20]);
    dir.write("binary", [0x7f, b'E', b'L', b'F', 0, 1, 2, 0xff, b'\n', 0, 0]);
    dir.write("list", format!("config a b\n{}", "list x y\n".repeat(100_000)));
    dir.write("sections", (0..20_000).fold(String::new(), |text, n| text + &format!("config a b{n}\n")));
    dir.write(
        "options",
        (0..20_000).fold("config a b\n".to_string(), |text, n| text + &format!("option b{n} 1\n")),
    );
    assert!(Command::new("mkfifo").arg(dir.0.join("fifo")).status().unwrap().success());
    for (name, code, complaint) in [
        ("large", 1, "bsbf: cannot read DIR/large: it has over 1 MiB, which is no settings file\n"),
        ("binary", 1, "bsbf: cannot read DIR/binary: line 1: a NUL byte: expected text\n"),
        ("list", 0, ""),
        (
            "sections",
            1,
            "bsbf: cannot read DIR/sections: line 10001: section 10001: expected at most 10000\n",
        ),
        (
            "options",
            1,
            "bsbf: cannot read DIR/options: line 1002: option 1001 of one section: expected at most 1000\n",
        ),
        ("fifo", 1, "bsbf: cannot read DIR/fifo: it is a pipe, which cannot be read again\n"),
        ("gone", 1, "bsbf: cannot read DIR/gone: No such file or directory (os error 2)\n"),
    ] {
        let (exit, _, err) = dir.said(&["show", name]);
        assert_eq!((exit, err.as_str()), (code, complaint), "{name}");
    }
}

#[test]
fn wrong_words_are_usage_errors() {
    let dir = Dir::new("words");
    for words in [vec!["shw"], vec![], vec!["get"], vec!["check", "x"]] {
        assert_eq!(dir.said(&words).0, 2, "{words:?}");
    }
    // The real tool takes them for names of what is not there.
    for what in ["a.b.c.d", "../x", ""] {
        assert_eq!(dir.said(&["get", what]).0, 1, "{what}");
    }
}
