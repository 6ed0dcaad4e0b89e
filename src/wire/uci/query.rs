//! What `uci get`, `uci show` and `uci export` answer.

use super::print::{self, Anonymous};
use super::{Package, Section, is_package_byte};

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Query {
    /// The value alone; of a section its type.
    Get,
    /// A line for each section and option.
    Show,
    /// A file in canonical form; of a package as a whole only.
    Export,
}

/// `PACKAGE`, `PACKAGE.SECTION` or `PACKAGE.SECTION.OPTION`; a section by its name or as `@TYPE[N]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reference<'a> {
    /// The name of the file.
    pub package: &'a str,
    /// The section.
    pub section: Option<&'a str>,
    /// The option or list.
    pub option: Option<&'a str>,
}

impl<'a> Reference<'a> {
    /// Reads a reference; `None` if it is none.
    pub fn parse(text: &'a str) -> Option<Reference<'a>> {
        let mut parts = text.split('.');
        let package = parts.next().filter(|name| is_package_name(name))?;
        let reference = Reference { package, section: parts.next(), option: parts.next() };
        parts.next().is_none().then_some(reference)
    }
}

/// Whether a file of this name is a package: letters, digits, `_` and `-`.
pub fn is_package_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(is_package_byte)
}

/// The answer as bytes to print; `None` if what is asked for is not there.
pub fn answer(package: &Package, query: Query, of: Reference<'_>, anonymous: Anonymous) -> Option<Vec<u8>> {
    let section = match (query, of.section) {
        (Query::Export, None) => return Some(print::export(of.package, package, anonymous)),
        (Query::Export, Some(_)) => return None,
        (Query::Show, None) => return Some(print::show(of.package, package, anonymous)),
        // The real tool says nothing about a package as a whole.
        (Query::Get, None) => return Some(Vec::new()),
        (_, Some(section)) if section.starts_with('@') => nth(package, section)?,
        (_, Some(section)) => package.section(section)?,
    };
    let address = format!("{}.{}", of.package, section.name);
    let Some(name) = of.option else {
        return Some(match query {
            Query::Get => format!("{}\n", section.kind).into_bytes(),
            _ => print::show_section(&address, section),
        });
    };
    let value = &section.option(name)?.value;
    Some(match query {
        Query::Get => print::get(value),
        _ => print::show_value(&format!("{address}.{name}"), value),
    })
}

/// The section meant by `@TYPE[N]`: N from 0, negative from the end; no type means any.
fn nth<'a>(package: &'a Package, by_index: &str) -> Option<&'a Section> {
    let (kind, index) = by_index.strip_prefix('@')?.strip_suffix(']')?.split_once('[')?;
    let index: isize = if index.is_empty() { 0 } else { index.trim_start().parse().ok()? };
    let mut of_kind = package.sections.iter().filter(|section| kind.is_empty() || section.kind == kind);
    match index < 0 {
        true => of_kind.nth_back(index.unsigned_abs() - 1),
        false => of_kind.nth(index.unsigned_abs()),
    }
}
