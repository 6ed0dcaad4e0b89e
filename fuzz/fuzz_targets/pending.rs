//! Changes in `uci`'s form pending for a package, merged: the package's file, a NUL byte, the changes.
#![no_main]

use bsbf_fuzz::print::{self, Anonymous};
use bsbf_fuzz::wire::uci::{Order, Value, delta, parse};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let mut halves = input.splitn(2, |&b| b == 0);
    let (Some(text), Some(changes)) = (halves.next(), halves.next()) else { return };
    let Ok(package) = parse(text) else { return };
    let lines = changes.split(|&b| b == b'\n').count();
    for order in [Order::Kept, Order::Renewed] {
        let mut package = package.clone();
        let refused = delta::apply(&mut package, "t", changes, order);
        assert!(refused.len() <= lines);
        assert!(refused.iter().all(|error| (1..=lines).contains(&error.line)));
        for option in package.sections.iter().flat_map(|section| &section.options) {
            assert!(!option.value.items().is_empty());
            assert!(option.value != Value::Single(Vec::new()));
        }
        let printed = print::export("t", &package, Anonymous::AsWritten);
        // `uci` lets two sections come to the same name, and types to differ then.
        if let Ok(again) = parse(&printed) {
            assert!(again.sections.len() <= package.sections.len());
        }
    }
});
