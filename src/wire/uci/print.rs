//! A package as `uci export`, `uci show` and `uci get` print it, byte for byte.

use super::{Package, Section, Value};

/// How sections without a name are printed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Anonymous {
    /// Without a name by `export`, as `@type[n]` by `show`.
    AsWritten,
    /// With the automatic name (`uci -n export`, `uci -X show`).
    Named,
}

/// The whole of the package `name` in canonical form, as a file that reads back the same.
///
/// The real tool writes types bare, and cannot read back one with a quote in it; ours is quoted then.
pub fn export(name: &str, package: &Package, anonymous: Anonymous) -> Vec<u8> {
    let mut out = format!("package {name}\n").into_bytes();
    for section in &package.sections {
        out.extend(b"\nconfig ");
        match section.kind.contains(['\'', '"', '\\', '#', ';']) {
            true => quote(&mut out, section.kind.as_bytes()),
            false => out.extend(section.kind.as_bytes()),
        }
        if !section.anonymous || anonymous == Anonymous::Named {
            out.push(b' ');
            quote(&mut out, section.name.as_bytes());
        }
        out.push(b'\n');
        for option in &section.options {
            let word = match option.value {
                Value::Single(_) => "option",
                Value::List(_) => "list",
            };
            for item in option.value.items() {
                out.extend(format!("\t{word} {} ", option.name).as_bytes());
                quote(&mut out, item);
                out.push(b'\n');
            }
        }
    }
    out.push(b'\n');
    out
}

/// A line per section and option: `name.section.option='value'`.
pub fn show(name: &str, package: &Package, anonymous: Anonymous) -> Vec<u8> {
    let mut out = Vec::new();
    for section in &package.sections {
        let named = !section.anonymous || anonymous == Anonymous::Named;
        let place = if named { section.name.clone() } else { by_index(package, section) };
        out.extend(show_section(&format!("{name}.{place}"), section));
    }
    out
}

/// The lines of one section, which is addressed as `address` (`network.wan`).
pub fn show_section(address: &str, section: &Section) -> Vec<u8> {
    let mut out = format!("{address}={}\n", section.kind).into_bytes();
    for option in &section.options {
        out.extend(show_value(&format!("{address}.{}", option.name), &option.value));
    }
    out
}

/// The line of one option, which is addressed as `address` (`network.wan.proto`).
pub fn show_value(address: &str, value: &Value) -> Vec<u8> {
    let mut out = format!("{address}=").into_bytes();
    for (position, item) in value.items().iter().enumerate() {
        if position > 0 {
            out.push(b' ');
        }
        quote(&mut out, item);
    }
    out.push(b'\n');
    out
}

/// The value alone. Items of a list are quoted only where they have blanks.
pub fn get(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    match value {
        Value::Single(value) => out.extend(value),
        Value::List(items) => {
            for (position, item) in items.iter().enumerate() {
                if position > 0 {
                    out.push(b' ');
                }
                match item.iter().any(u8::is_ascii_whitespace) {
                    true => quote(&mut out, item),
                    false => out.extend(item),
                }
            }
        }
    }
    out.push(b'\n');
    out
}

/// The address of a section by its place among those of its type, named ones counted too.
fn by_index(package: &Package, section: &Section) -> String {
    let before =
        package.sections_of(&section.kind).take_while(|other| !std::ptr::eq(*other, section)).count();
    format!("@{}[{before}]", section.kind)
}

pub(super) fn quote(out: &mut Vec<u8>, value: &[u8]) {
    out.push(b'\'');
    for &byte in value {
        match byte {
            b'\'' => out.extend(br"'\''"),
            _ => out.push(byte),
        }
    }
    out.push(b'\'');
}
