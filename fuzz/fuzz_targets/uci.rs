//! A file in UCI's syntax.
#![no_main]

use bsbf_fuzz::print::{self, Anonymous};
use bsbf_fuzz::wire::uci::{Package, Section, Value, parse};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    let lines = text.split(|&b| b == b'\n').count();
    let package = match parse(text) {
        Ok(package) => package,
        Err(error) => {
            assert!((1..=lines).contains(&error.line), "{error}");
            return;
        }
    };
    for section in &package.sections {
        check(section, lines);
    }
    let printed = print::export("t", &package, Anonymous::AsWritten);
    match parse(&printed) {
        Ok(again) => assert_eq!(contents(&again), contents(&package)),
        Err(error) => panic!("what was read does not read back: {error}"),
    }
});

/// What the type promises to its readers.
fn check(section: &Section, lines: usize) {
    assert!((1..=lines).contains(&section.line));
    assert!(!section.name.is_empty() && !section.kind.is_empty());
    for (at, option) in section.options.iter().enumerate() {
        assert!((section.line..=lines).contains(&option.line));
        assert!(section.options[..at].iter().all(|other| other.name != option.name), "a name twice");
        assert!(!option.value.items().is_empty());
        assert!(option.value != Value::Single(Vec::new()));
        assert!(option.value.items().iter().all(|item| !item.contains(&0)));
        match (section.get(&option.name), section.list(&option.name)) {
            (Ok(one), Ok(all)) => assert_eq!(one.into_iter().collect::<Vec<_>>(), all),
            (Err(_), Ok(all)) => assert!(all.len() > 1),
            (Err(_), Err(error)) => assert_eq!(error.line, option.line),
            (Ok(_), Err(error)) => panic!("text as a value, none as a list: {error}"),
        }
    }
}

type Contents<'a> = Vec<(&'a str, bool, &'a str, Vec<(&'a str, &'a Value)>)>;

/// All that a package says, without the lines it said it on.
fn contents(package: &Package) -> Contents<'_> {
    let options = |s| -> Vec<(&str, &Value)> {
        let Section { options, .. }: &Section = s;
        options.iter().map(|o| (o.name.as_str(), &o.value)).collect()
    };
    package.sections.iter().map(|s| (s.name.as_str(), s.anonymous, s.kind.as_str(), options(s))).collect()
}
