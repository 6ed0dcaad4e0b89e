//! Pending changes merged into files as the real tool commits them (tests/vectors/uci/write), and against noise.

#![allow(clippy::disallowed_methods)] // the vectors are files

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::apply;
use crate::wire::uci::print::{self, Anonymous};
use crate::wire::uci::tests::unescape;
use crate::wire::uci::{Order, Package, parse_in};

/// Files with changes that were committed, in tests/vectors/uci/write; one that is lost must not go unnoticed.
const COMMITTED: usize = 61;

/// A file, the changes pending for it, and what `uci commit` made of both.
struct Case {
    /// Case and file: `001-set-option network`.
    name: String,
    package: String,
    before: Vec<u8>,
    delta: Vec<u8>,
    after: Vec<u8>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/uci/write")
}

/// The file of a phase; where it is not stored there it is that of the start.
fn stored(case: &Path, phase: &str, file: &str) -> Option<Vec<u8>> {
    fs::read(case.join(phase).join(file)).or_else(|_| fs::read(case.join("start").join(file))).ok()
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let entries = fs::read_dir(root()).unwrap().map(|entry| entry.unwrap().path());
    for dir in entries.filter(|path| path.is_dir()) {
        // Some commit what is pending in another directory.
        let steps = fs::read_to_string(dir.join("steps.tsv")).unwrap();
        if steps.lines().any(|step| step.contains("\tRAW ") && step.contains(" commit")) {
            continue;
        }
        let index = fs::read_to_string(dir.join("files.tsv")).unwrap();
        let committed = |file: &str| {
            let emptied = fs::read(dir.join("end").join(file)).is_ok_and(|left| left.is_empty());
            emptied.then(|| stored(&dir, "before-commit", file)).flatten().filter(|delta| !delta.is_empty())
        };
        for row in index.lines() {
            let ["before-commit", _mode, file, _how] = row.split('\t').collect::<Vec<_>>()[..] else {
                continue;
            };
            let Some(package) = file.strip_prefix("s/") else { continue };
            let (Some(delta), config) = (committed(file), format!("c/{package}")) else { continue };
            let before = stored(&dir, "before-commit", &config).unwrap_or_default();
            // A link, whose target stands elsewhere; a file that is broken on purpose.
            if before.starts_with(b"-> ") || dir.ends_with("079-broken-file") {
                continue;
            }
            cases.push(Case {
                name: format!("{} {package}", dir.file_name().unwrap().to_string_lossy()),
                package: package.to_string(),
                before,
                delta,
                after: stored(&dir, "end", &config).unwrap_or_default(),
            });
        }
    }
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    cases
}

/// As `uci commit` writes it: without the line that names the package.
fn committed(case: &Case, order: Order) -> (String, usize) {
    let mut package = parse_in(&case.before, order).unwrap();
    let refused = apply(&mut package, &case.package, &case.delta, order);
    let text = print::export(&case.package, &package, Anonymous::AsWritten);
    let text = text.splitn(2, |&b| b == b'\n').nth(1).unwrap().to_vec();
    (String::from_utf8(text).unwrap(), refused.len())
}

#[test]
fn changes_become_what_openwrts_uci_commits() {
    let cases = cases();
    for case in &cases {
        assert_eq!(committed(case, Order::Kept).0, String::from_utf8_lossy(&case.after), "{}", case.name);
    }
    assert_eq!(cases.len(), COMMITTED);
}

#[test]
fn changes_become_what_rutoss_uci_commits_or_are_named_where_it_refuses() {
    let differences = fs::read_to_string(root().join("DIFF-OTHER-VERSIONS.tsv")).unwrap();
    let (mut other, mut refuses) = (BTreeMap::new(), Vec::new());
    for row in differences.lines() {
        let [case, "rutos", what, how, old_and_new, ..] = row.split('\t').collect::<Vec<_>>()[..] else {
            continue;
        };
        let file = what.strip_prefix("file end/c/").map(|file| format!("{case} {file}"));
        other.extend(file.map(|name| (name, unescape(old_and_new))));
        if what.starts_with("commit") && how != "rc 0 -> 0" {
            refuses.push(case.to_string());
        }
    }
    let mut refused = 0;
    for case in cases() {
        let (text, ignored) = committed(&case, Order::Renewed);
        if refuses.iter().any(|name| case.name.starts_with(name)) {
            // It dies of a line without a newline; the others it refuses.
            let dies = case.name.starts_with("074-");
            assert_eq!(ignored > 0, !dies, "{}", case.name);
            refused += 1;
            continue;
        }
        let after = String::from_utf8_lossy(&case.after);
        let Some(both) = other.get(&case.name) else {
            assert_eq!(text, after, "{}", case.name);
            continue;
        };
        // Only the beginnings are recorded. The rest may differ in its order, but not in what it says.
        let both = String::from_utf8_lossy(both);
        let (old, new) = both.split_once(" -> ").unwrap();
        assert!(after.starts_with(old) && text.starts_with(new), "{}: {text}", case.name);
        assert_eq!(sorted(&text), sorted(&after), "{}", case.name);
    }
    // In 085 there is nothing else to commit, and OpenWrt's leaves the line too.
    assert_eq!(refused, refuses.len() - 1);
}

#[test]
fn what_cannot_be_applied_is_named_and_the_rest_is_done() {
    let mut package = parse_in(b"config interface 'wan'\n\toption proto 'dhcp'\n", Order::Kept).unwrap();
    let delta = b"junk\n\n# a comment\nother.wan.proto='x'\nnetwork.wan.proto='static'\nnetwork.no.x='1'\n\
                  network.wan.a=b c\n@network.wan='my-wan'\n|network.wan='1'\n-network.wan.metric\n";
    let refused = apply(&mut package, "network", delta, Order::Kept);
    let refused: Vec<String> = refused.iter().map(ToString::to_string).collect();
    assert_eq!(
        refused,
        [
            "line 1: change 'junk': expected network.SECTION[.OPTION][='VALUE']",
            "line 4: change 'other.wan.proto=x': expected network.SECTION[.OPTION][='VALUE']",
            "line 6: section 'no': expected one that is there",
            "line 7: one word too many, 'c': expected quotes around a value with blanks",
            "line 8: section name 'my-wan': expected letters, digits and _",
            "line 9: a change of a list without its name: expected SECTION.OPTION",
            "line 10: option 'metric': expected one that is there",
        ]
    );
    assert_eq!(package.section("wan").unwrap().get("proto"), Ok(Some("static")));
}

fn sorted(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines
}

fn are_unique<'a>(names: impl Iterator<Item = &'a str>) -> bool {
    let names: Vec<&str> = names.collect();
    names.iter().enumerate().all(|(at, name)| !names[..at].contains(name))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn any_changes_leave_a_package_that_can_be_written(
        lines in proptest::collection::vec(("[-+@^|~]?", "[ab]", "(\\.[xy])?", "(='?[a2 ]?'?)?\n?"), 0..12)
    ) {
        let mut package = parse_in(b"config t a\n\toption x 1\n\tlist y 1\n\tlist y 2\n", Order::Kept).unwrap();
        let delta: String = lines.into_iter().map(|(verb, s, o, v)| format!("{verb}t.{s}{o}{v}")).collect();
        let refused = apply(&mut package, "t", delta.as_bytes(), Order::Kept);
        prop_assert!(refused.iter().all(|error| error.line > 0));
        prop_assert!(package.sections.iter().flat_map(|s| &s.options).all(|o| !o.value.items().is_empty()));
        // `uci` lets a rename end in two of one name, which a reader takes for one.
        let sections = package.sections.iter().map(|s| s.name.as_str());
        if are_unique(sections) && package.sections.iter().all(|s| are_unique(s.options.iter().map(|o| &*o.name))) {
            let text = print::export("t", &package, Anonymous::AsWritten);
            let again: Package = parse_in(&text, Order::Kept).unwrap();
            prop_assert_eq!(print::export("t", &again, Anonymous::AsWritten), text);
        }
    }
}
