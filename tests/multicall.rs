//! The binary as its user meets it: by its own name, by its commands' names, by symlinks.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::disallowed_types, missing_docs)]

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const BSBF: &str = env!("CARGO_BIN_EXE_bsbf");

fn run(program: impl AsRef<OsStr>, arguments: &[&str]) -> Output {
    Command::new(program).args(arguments).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Names and summaries, as `--list` has them.
fn commands() -> Vec<(String, String)> {
    let list = stdout(&run(BSBF, &["--list"]));
    list.lines()
        .map(|l| l.split_once(' ').map(|(n, s)| (n.to_string(), s.trim().to_string())).unwrap())
        .collect()
}

/// An empty directory that goes when the test ends.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Scratch(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn the_table_is_sorted_and_says_something_of_each() {
    let commands = commands();
    assert!(commands.len() >= 6);
    assert!(commands.is_sorted());
    assert!(commands.iter().all(|(name, summary)| name.starts_with("bsbf-") && summary.len() > 20));
}

#[test]
fn every_command_has_help_by_every_name() {
    let scratch = Scratch::new("help");
    for (name, _) in commands() {
        let link = scratch.0.join(&name);
        symlink(BSBF, &link).unwrap();
        let by_link = run(&link, &["--help"]);
        assert_eq!(by_link.status.code(), Some(0), "{name}");
        let help = stdout(&by_link);
        for part in [&format!("Usage: {name}"), "Options:", "Examples:", "Notes:"] {
            assert!(help.contains(part), "{name}: no {part:?} in its help");
        }
        let short = name.strip_prefix("bsbf-").unwrap();
        for arguments in [vec![short, "--help"], vec![&name, "--help"], vec![short, "-h"]] {
            assert_eq!(stdout(&run(BSBF, &arguments)), help, "{arguments:?}");
        }
    }
}

#[test]
fn wrong_arguments_get_usage_on_stderr_and_exit_2() {
    for (name, _) in commands() {
        let output = run(BSBF, &[&name, "--no-such-option"]);
        assert_eq!(output.status.code(), Some(2), "{name}");
        assert_eq!(stdout(&output), "");
        let text = stderr(&output);
        assert!(text.contains("--no-such-option") && text.contains(&format!("Usage: {name}")), "{text}");
    }
    assert_eq!(run(BSBF, &["--no-such-option"]).status.code(), Some(2));
    assert_eq!(Command::new(BSBF).arg(OsStr::from_bytes(b"\xff")).output().unwrap().status.code(), Some(2));
}

#[test]
fn an_unknown_name_lists_what_exists_and_exits_127() {
    let scratch = Scratch::new("unknown");
    let link = scratch.0.join("bsbf-no-such");
    symlink(BSBF, &link).unwrap();
    let output = run(BSBF, &["no-such"]);
    assert_eq!(output.status.code(), Some(127));
    let text = stderr(&output);
    assert!(text.contains("'no-such'") && text.contains("bsbf-bond"), "{text}");
    let output = run(&link, &[]);
    assert_eq!(output.status.code(), Some(127), "a link of a name that is gone");
    assert!(stderr(&output).contains("'bsbf-no-such'"));
}

#[test]
fn version() {
    let version = format!("bsbf {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(stdout(&run(BSBF, &["--version"])), version);
    assert!(stdout(&run(BSBF, &["netspeed", "--version"])).contains(env!("CARGO_PKG_VERSION")));
}

#[test]
fn install_links_every_command_and_can_be_repeated() {
    let scratch = Scratch::new("install");
    let dir = scratch.0.to_str().unwrap();
    for _ in 0..2 {
        let output = run(BSBF, &["--install", dir]);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    }
    for (name, _) in commands() {
        let link = scratch.0.join(&name);
        assert_eq!(fs::canonicalize(&link).unwrap(), fs::canonicalize(BSBF).unwrap());
        assert_eq!(run(&link, &["--help"]).status.code(), Some(0));
    }
}

#[test]
fn beside_the_binary_links_are_relative() {
    let scratch = Scratch::new("relative");
    let binary = scratch.0.join("bsbf");
    // A link, not a copy: a copy's descriptor, inherited by another test's child, would keep it from being run.
    fs::hard_link(BSBF, &binary).unwrap();
    assert_eq!(run(&binary, &["--install"]).status.code(), Some(0));
    assert_eq!(fs::read_link(scratch.0.join("bsbf-bond")).unwrap(), Path::new("bsbf"));
}

#[test]
fn install_refuses_foreign_files_and_changes_nothing_then() {
    let scratch = Scratch::new("foreign");
    fs::write(scratch.0.join("bsbf-route"), "#!/bin/sh\n").unwrap();
    let output = run(BSBF, &["--install", scratch.0.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("bsbf-route"), "{}", stderr(&output));
    assert_eq!(fs::read_dir(&scratch.0).unwrap().count(), 1);
    assert_eq!(fs::read(scratch.0.join("bsbf-route")).unwrap(), b"#!/bin/sh\n");
}
