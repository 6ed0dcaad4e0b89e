//! The reader against the recorded behaviour of the real tool (tests/vectors/uci/read), and against noise.

#![allow(clippy::disallowed_methods)] // the vectors are files

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::print::{self, Anonymous};
use super::query::{self, Query, Reference};
use super::{Order, Package, Section, SyntaxError, Value, parse, parse_in};

/// Cases in tests/vectors/uci/read; one that is lost must not go unnoticed.
const CASES: usize = 114;

struct Case {
    name: String,
    dir: PathBuf,
    input: Vec<u8>,
}

fn cases() -> Vec<Case> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/uci/read");
    let mut cases: Vec<Case> = fs::read_dir(root)
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.file_type().unwrap().is_dir())
        .map(|entry| Case {
            name: entry.file_name().into_string().unwrap(),
            input: fs::read(entry.path().join("t")).unwrap(),
            dir: entry.path(),
        })
        .collect();
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    assert_eq!(cases.len(), CASES);
    cases
}

#[test]
fn export_and_show_are_the_real_tools_in_every_case() {
    for case in cases() {
        let recorded = |file: &str| fs::read(case.dir.join(file)).ok();
        let parsed = parse(&case.input);
        if let (Err(error), Some(_)) = (&parsed, recorded("export")) {
            panic!("{}: refused, but the real tool reads it: {error}", case.name);
        }
        let parsed = parsed.ok();
        let export = parsed.as_ref().map(|p| print::export("t", p, Anonymous::AsWritten));
        let show = parsed.as_ref().map(|p| print::show("t", p, Anonymous::AsWritten));
        assert_eq!(lossy(export), lossy(recorded("export")), "{}: export", case.name);
        assert_eq!(lossy(show), lossy(recorded("show")), "{}: show", case.name);
    }
}

#[test]
fn commands_answer_as_recorded() {
    let (mut ran, mut left) = (0, 0);
    for case in cases() {
        let package = parse(&case.input).ok();
        for line in fs::read_to_string(case.dir.join("cmds.tsv")).unwrap().lines() {
            let [exit, arguments, stdout, _stderr] = line.split('\t').collect::<Vec<_>>()[..] else {
                panic!("{}: not four fields: {line}", case.name)
            };
            let Some(answer) = run(package.as_ref(), arguments) else {
                left += 1;
                continue;
            };
            let expected = match stdout {
                "@export" => fs::read(case.dir.join("export")).unwrap(),
                "@show" => fs::read(case.dir.join("show")).unwrap(),
                text => unescape(text),
            };
            let expected = (exit == "0").then_some(expected);
            assert_eq!(lossy(answer), lossy(expected), "{}: uci {arguments}", case.name);
            ran += 1;
        }
    }
    // Left out: -S (not strict), -d (another separator), and usage errors.
    assert_eq!((ran, left), (761, 126));
}

#[test]
fn networks_of_first_boots_are_printed_as_the_real_uci_does() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/uci/configs");
    let dirs = fs::read_dir(root)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.join("network").exists());
    let dirs: Vec<PathBuf> = dirs.collect();
    assert_eq!(dirs.len(), 13);
    for dir in dirs {
        let recorded = |file: &str| fs::read(dir.join(file)).unwrap();
        let is_rutos = dir.file_name().unwrap().to_string_lossy().starts_with("rutos");
        let order = if is_rutos { Order::Renewed } else { Order::Kept };
        let package = parse_in(&recorded("network"), order).unwrap();
        let export = print::export("network", &package, Anonymous::AsWritten);
        assert_eq!(lossy(Some(export)), lossy(Some(recorded("network.export"))), "{}", dir.display());
        for (anonymous, file) in [(Anonymous::AsWritten, "network.show"), (Anonymous::Named, "network.showX")]
        {
            let show = print::show("network", &package, anonymous);
            assert_eq!(lossy(Some(show)), lossy(Some(recorded(file))), "{}", dir.display());
        }
    }
}

#[test]
fn rutoss_uci_is_followed_where_it_differs() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/uci/read");
    let mut ran = 0;
    for row in fs::read_to_string(root.join("DIFF-OTHER-VERSIONS.tsv")).unwrap().lines() {
        let [case, "rutos", arguments, _codes, answers, ..] = row.split('\t').collect::<Vec<_>>()[..] else {
            continue;
        };
        let package = parse_in(&fs::read(root.join(case).join("t")).unwrap(), Order::Renewed).unwrap();
        let Some(answer) = run(Some(&package), arguments) else { continue };
        let (_, expected) = answers.split_once(" -> ").unwrap();
        assert_eq!(lossy(answer), lossy(Some(unescape(expected))), "{case}: uci {arguments}");
        ran += 1;
    }
    // -S is not among our commands.
    assert_eq!(ran, 10);
}

#[test]
fn errors_stand_on_the_line_the_real_tool_names() {
    let mut checked = 0;
    for case in cases() {
        let Err(error) = parse(&case.input) else { continue };
        // The real tool says where the file ends, not where the quote begins.
        if error.found.starts_with("unterminated") {
            continue;
        }
        let commands = fs::read_to_string(case.dir.join("cmds.tsv")).unwrap();
        let recorded = commands.split("at line ").nth(1).and_then(|rest| rest.split(',').next());
        assert_eq!(Some(error.line.to_string().as_str()), recorded, "{}: {error}", case.name);
        checked += 1;
    }
    assert_eq!(checked, 29);
}

/// What `uci ARGUMENTS` prints, `Some(None)` if it fails; `None` for commands we do not have.
fn run(package: Option<&Package>, arguments: &str) -> Option<Option<Vec<u8>>> {
    let words: Vec<&str> = arguments.splitn(3, ' ').collect();
    let (anonymous, words) = match words[..] {
        ["-X", "show", "t"] | ["-n", "export", "t"] => (Anonymous::Named, &words[1..]),
        ["-N", "export", "t"] | ["-q", "get", _] => (Anonymous::AsWritten, &words[1..]),
        _ => (Anonymous::AsWritten, &words[..]),
    };
    let (query, reference) = match words[..] {
        ["get", reference] => (Query::Get, reference),
        ["show", reference] => (Query::Show, reference),
        ["export", reference] => (Query::Export, reference),
        _ => return None,
    };
    if reference.contains('=') {
        return None;
    }
    let of = Reference::parse(reference.trim_matches('\'')).filter(|of| of.package == "t");
    Some(package.zip(of).and_then(|(package, of)| query::answer(package, query, of, anonymous)))
}

/// The bytes meant by \n \t \r \\ \xNN.
pub(super) fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match (byte, (byte == b'\\').then(|| rest.next()).flatten()) {
            (b'\\', Some(b'n')) => b'\n',
            (b'\\', Some(b't')) => b'\t',
            (b'\\', Some(b'r')) => b'\r',
            (b'\\', Some(b'x')) => {
                let digits = [rest.next().unwrap(), rest.next().unwrap()];
                u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
            }
            (b'\\', Some(other)) => other,
            _ => byte,
        });
    }
    bytes
}

/// Readable in a failed assertion, and still one to one.
fn lossy(bytes: Option<Vec<u8>>) -> Option<String> {
    bytes.map(|b| {
        b.split_inclusive(|&b| b == b'\n').map(|line| line.escape_ascii().to_string() + "\n").collect()
    })
}

#[test]
fn an_error_says_line_found_and_expected() {
    for (input, message) in [
        ("config a\n\toption x 'v\n", "line 2: unterminated single quote: expected a closing '"),
        ("config a\n\toption x \"v\n", "line 2: unterminated double quote: expected a closing \""),
        ("confg a\n", "line 1: unknown word 'confg': expected package, config, option or list"),
        ("\n\nconfig\r\n", "line 3: section without a type: expected config TYPE [NAME]"),
        ("option x 1\n", "line 1: option outside a section: expected a config line before it"),
        (
            "config a b\noption x 1 2\n",
            "line 2: one word too many, '2': expected quotes around a value with blanks",
        ),
        ("config a my-lan\n", "line 1: section name 'my-lan': expected letters, digits and _"),
        (
            "config a x\n\nconfig b x",
            "line 3: section 'x' with the type 'b': expected the type 'a' of line 1",
        ),
        ("config a x\n# y\0\n", "line 2: a NUL byte: expected text"),
        ("config a b \\\nc", "line 2: one word too many, 'c': expected quotes around a value with blanks"),
    ] {
        assert_eq!(parse(input.as_bytes()).unwrap_err().to_string(), message);
    }
}

#[test]
fn text_accessors_are_strict_about_number_and_encoding() {
    let package = parse(
        b"config wan w\n\toption one 1\n\tlist two a\n\tlist two b\n\tlist single s\n\n\toption latin '\xe9'\n\
          config lan\nconfig wan\n",
    )
    .unwrap();
    let w = package.section("w").unwrap();
    assert_eq!(w.get("one"), Ok(Some("1")));
    assert_eq!(w.get("single"), Ok(Some("s")));
    assert_eq!(w.get("nothing"), Ok(None));
    assert_eq!(w.get("two").unwrap_err().to_string(), "line 4: 'two' with 2 values: expected one value");
    let not_text = SyntaxError::new(7, "'latin' with the bytes '\\xe9'", "UTF-8 text");
    assert_eq!(w.get("latin"), Err(not_text.clone()));
    assert_eq!(w.list("latin"), Err(not_text));
    assert_eq!(w.list("one"), Ok(vec!["1"]));
    assert_eq!(w.list("two"), Ok(vec!["a", "b"]));
    assert_eq!(w.list("nothing"), Ok(vec![]));
    assert_eq!(package.sections_of("wan").count(), 2);
}

#[test]
fn a_tail_of_nul_bytes_is_no_error() {
    assert_eq!(
        contents(&parse(b"config a b\n\0\0\0\0").unwrap()),
        contents(&parse(b"config a b\n").unwrap())
    );
}

type Contents = Vec<(String, bool, String, Vec<(String, Value)>)>;

/// All that a package says, without the lines it said it on.
fn contents(package: &Package) -> Contents {
    let options = |s: &Section| s.options.iter().map(|o| (o.name.clone(), o.value.clone())).collect();
    package.sections.iter().map(|s| (s.name.clone(), s.anonymous, s.kind.clone(), options(s))).collect()
}

/// Files that are likely to be read: whole words of the syntax rather than bytes.
fn likely_file() -> impl Strategy<Value = Vec<u8>> {
    let words = [
        "config a",
        "config a b\n",
        "config c'd d\n",
        "config a cfg01b606\n",
        "option x",
        "option y",
        "list x",
        "list z",
        " ",
        "\n",
        "\r\n",
        "'",
        "\"",
        "\\",
        "#",
        ";",
        "''",
        "'v w'",
        "v",
        "\0",
        "é",
        "\x07",
        "package t\n",
        "\\\n",
    ];
    proptest::collection::vec(proptest::sample::select(words.to_vec()), 0..40)
        .prop_map(|words| words.concat().into_bytes())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn noise_never_panics(input in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&input);
    }

    #[test]
    fn what_export_writes_reads_back_the_same(input in likely_file()) {
        if let Ok(package) = parse(&input) {
            let again = parse(&print::export("t", &package, Anonymous::AsWritten)).unwrap();
            prop_assert_eq!(contents(&again), contents(&package));
        }
    }

    #[test]
    fn any_value_survives_export(value in proptest::collection::vec(1u8.., 1..60)) {
        let section = |value| Section {
            name: "b".into(), anonymous: false, kind: "a".into(), line: 1,
            options: vec![super::UciOption { name: "x".into(), value, line: 2 }],
        };
        let package = Package { sections: vec![section(Value::List(vec![value, Vec::new()]))] };
        let again = parse(&print::export("t", &package, Anonymous::AsWritten));
        // A line that begins with NUL is the one thing quotes do not keep, and values have no NUL.
        prop_assert_eq!(contents(&again.unwrap()), contents(&package));
    }
}
