//! UCI, the syntax of OpenWrt's configuration files (`/etc/config/NAME`), read as the system's own `uci` reads it.
//!
//! ```text
//! config interface 'wan'          # a section: its type, and its name unless it is anonymous
//!     option proto 'dhcp'         # one value; the last one of a name wins
//!     list dns '1.1.1.1'          # one item of a list
//!     list dns '9.9.9.9'
//! ```
//!
//! Terms are those of the OpenWrt wiki ("The UCI system"). The rules come from the behaviour of OpenWrt 24.10's
//! `uci`, recorded in `tests/vectors/uci/read`, and these are easily got wrong:
//!
//! - Outside quotes `#` and `;` end the statement, even inside a word; the rest of the line is ignored.
//! - `option x ''` does nothing; `list x ''` is an item.
//! - A section opened twice is one section. A `list` after an `option` of the same name extends it.
//! - A line that begins with a NUL byte reads as empty (a power cut can leave such a tail).
//!
//! In one point this reader is stricter: a NUL byte further on in a line is an error, where the real tool would
//! join the next line to this one.

pub mod batch;
pub mod delta;
pub mod edits;
pub mod print;
pub mod query;
#[cfg(test)]
mod tests;
mod words;

use std::fmt;

use words::{Cursor, Word};

/// Sections of a file. Names are compared one by one, and a file of nothing but names must not take minutes.
pub const MAX_SECTIONS: usize = 10_000;
/// Options of a section; a list counts as one.
pub const MAX_OPTIONS: usize = 1_000;

/// A configuration file.
#[derive(Clone, Debug, Default)]
pub struct Package {
    /// The sections, in the order of the file.
    pub sections: Vec<Section>,
}

/// A section of a file.
#[derive(Clone, Debug)]
pub struct Section {
    /// The name given, or the automatic one (`cfg` and six hexadecimal digits).
    pub name: String,
    /// The file gives no name; the automatic one changes when sections before it come or go.
    pub anonymous: bool,
    /// The type: `interface`, `zone`.
    pub kind: String,
    /// The options, each name once, in the order of their first appearance.
    pub options: Vec<UciOption>,
    /// The line that opens the section, from 1.
    pub line: usize,
}

/// An option or a list of a section.
#[derive(Clone, Debug)]
pub struct UciOption {
    /// The name.
    pub name: String,
    /// The value.
    pub value: Value,
    /// The line that set it last, from 1.
    pub line: usize,
}

/// What an option holds. Values are bytes: `uci` accepts any but NUL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Set by `option`; never empty.
    Single(Vec<u8>),
    /// Set by `list`; has at least one item.
    List(Vec<Vec<u8>>),
}

/// Why a file cannot be read, or why a value is not what the reader of it needs.
///
/// Printed as `line 7: unterminated single quote: expected a closing '`; the caller knows the file's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    /// The line, from 1.
    pub line: usize,
    /// What stands there.
    pub found: String,
    /// What should stand there.
    pub expected: String,
}

/// Where an option stands that is set once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Where it stood: OpenWrt's.
    Kept,
    /// At the end of its section: that of RUTOS's `uci`.
    Renewed,
}

/// Reads a configuration file.
///
/// # Errors
/// Anything that `uci` refuses in its default, strict mode; more than [`MAX_SECTIONS`] or [`MAX_OPTIONS`].
pub fn parse(input: &[u8]) -> Result<Package, SyntaxError> {
    parse_in(input, Order::Kept)
}

/// Reads a configuration file, with the options in this order.
///
/// # Errors
/// As [`parse`].
pub fn parse_in(input: &[u8], order: Order) -> Result<Package, SyntaxError> {
    refuse_nul_inside_lines(input)?;
    let mut cursor = Cursor::new(input);
    let mut package = Package::default();
    let mut current = None;
    while let Some((keyword, line)) = cursor.keyword() {
        match keyword {
            // The name of the file is the package's; another one stated inside is without effect.
            b"package" | b"p" => {
                package_name(needed(cursor.word()?, "package without a name", "package NAME")?)?;
            }
            b"config" | b"c" => {
                let kind =
                    section_type(needed(cursor.word()?, "section without a type", "config TYPE [NAME]")?)?;
                let name = cursor.word()?;
                current = Some(match name.text.as_slice() {
                    [] => package.add_anonymous(kind, line)?,
                    _ => package.open(kind, identifier(name, "section")?, line)?,
                });
            }
            b"option" | b"o" | b"list" | b"l" => {
                let Some(section) = current.and_then(|at: usize| package.sections.get_mut(at)) else {
                    return Err(SyntaxError::new(
                        line,
                        "option outside a section",
                        "a config line before it",
                    ));
                };
                let name = needed(cursor.word()?, "option without a name", "option NAME VALUE")?;
                let name = identifier(name, "option")?;
                let value = cursor.word()?.text;
                section.set(name, value, line, keyword.starts_with(b"l"), order)?;
            }
            _ => {
                let found = format!("unknown word {}", quoted(keyword));
                return Err(SyntaxError::new(line, found, "package, config, option or list"));
            }
        }
        let surplus = cursor.word()?;
        if !surplus.text.is_empty() {
            let found = format!("one word too many, {}", quoted(&surplus.text));
            return Err(SyntaxError::new(surplus.line, found, "quotes around a value with blanks"));
        }
        cursor.skip_line();
    }
    Ok(package)
}

impl Package {
    /// The sections of the type `kind`, in the order of the file.
    pub fn sections_of(&self, kind: &str) -> impl DoubleEndedIterator<Item = &Section> {
        self.sections.iter().filter(move |section| section.kind == kind)
    }

    /// The section called `name`, which may be an automatic name.
    pub fn section(&self, name: &str) -> Option<&Section> {
        self.sections.iter().find(|section| section.name == name)
    }

    fn open(&mut self, kind: String, name: String, line: usize) -> Result<usize, SyntaxError> {
        match self.sections.iter().position(|section| section.name == name) {
            Some(at) => match self.sections.get(at) {
                Some(old) if old.kind != kind => {
                    let found = format!("section '{name}' with the type '{kind}'");
                    let expected = format!("the type '{}' of line {}", old.kind, old.line);
                    Err(SyntaxError::new(line, found, expected))
                }
                _ => Ok(at),
            },
            None => self.add(Section { name, anonymous: false, kind, options: Vec::new(), line }),
        }
    }

    fn add_anonymous(&mut self, kind: String, line: usize) -> Result<usize, SyntaxError> {
        let name = format!("cfg{:02x}{:04x}", self.sections.len() + 1, type_hash(&kind));
        self.add(Section { name, anonymous: true, kind, options: Vec::new(), line })
    }

    fn add(&mut self, section: Section) -> Result<usize, SyntaxError> {
        if self.sections.len() == MAX_SECTIONS {
            let found = format!("section {}", MAX_SECTIONS + 1);
            return Err(SyntaxError::new(section.line, found, format!("at most {MAX_SECTIONS}")));
        }
        self.sections.push(section);
        Ok(self.sections.len() - 1)
    }
}

impl Section {
    /// The option or list called `name`.
    pub fn option(&self, name: &str) -> Option<&UciOption> {
        self.options.iter().find(|option| option.name == name)
    }

    /// The value of `name` as text; `None` if it is not set. A list of one item counts as a value.
    ///
    /// # Errors
    /// A list of several items, or bytes that are not UTF-8.
    pub fn get(&self, name: &str) -> Result<Option<&str>, SyntaxError> {
        let Some(option) = self.option(name) else { return Ok(None) };
        match option.value.items() {
            [item] => option.text(item).map(Some),
            items => {
                let found = format!("'{name}' with {} values", items.len());
                Err(SyntaxError::new(option.line, found, "one value"))
            }
        }
    }

    /// The items of `name` as text; none if it is not set. A single value counts as a list of one.
    ///
    /// # Errors
    /// Bytes that are not UTF-8.
    pub fn list(&self, name: &str) -> Result<Vec<&str>, SyntaxError> {
        let Some(option) = self.option(name) else { return Ok(Vec::new()) };
        option.value.items().iter().map(|item| option.text(item)).collect()
    }

    fn set(
        &mut self,
        name: String,
        value: Vec<u8>,
        line: usize,
        list: bool,
        order: Order,
    ) -> Result<(), SyntaxError> {
        if value.is_empty() && !list {
            return Ok(());
        }
        let Some(at) = self.options.iter().position(|option| option.name == name) else {
            if self.options.len() == MAX_OPTIONS {
                let found = format!("option {} of one section", MAX_OPTIONS + 1);
                return Err(SyntaxError::new(line, found, format!("at most {MAX_OPTIONS}")));
            }
            let value = if list { Value::List(vec![value]) } else { Value::Single(value) };
            self.options.push(UciOption { name, value, line });
            return Ok(());
        };
        if order == Order::Renewed && !list {
            let old = self.options.remove(at);
            self.options.push(UciOption { value: Value::Single(value), line, ..old });
            return Ok(());
        }
        let Some(option) = self.options.get_mut(at) else { return Ok(()) };
        option.line = line;
        match &mut option.value {
            Value::List(items) if list => items.push(value),
            Value::Single(first) if list => option.value = Value::List(vec![std::mem::take(first), value]),
            _ => option.value = Value::Single(value),
        }
        Ok(())
    }
}

impl UciOption {
    fn text<'a>(&self, item: &'a [u8]) -> Result<&'a str, SyntaxError> {
        std::str::from_utf8(item).map_err(|_| {
            let found = format!("'{}' with the bytes {}", self.name, quoted(item));
            SyntaxError::new(self.line, found, "UTF-8 text")
        })
    }
}

impl Value {
    /// The items of a list; the value itself if it is a single one.
    pub fn items(&self) -> &[Vec<u8>] {
        match self {
            Value::Single(value) => std::slice::from_ref(value),
            Value::List(items) => items,
        }
    }
}

impl SyntaxError {
    fn new(line: usize, found: impl Into<String>, expected: impl Into<String>) -> SyntaxError {
        SyntaxError { line, found: found.into(), expected: expected.into() }
    }
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}: expected {}", self.line, self.found, self.expected)
    }
}

impl std::error::Error for SyntaxError {}

fn refuse_nul_inside_lines(input: &[u8]) -> Result<(), SyntaxError> {
    let odd = |line: &[u8]| line.contains(&0) && !line.starts_with(&[0]);
    match input.split(|&b| b == b'\n').position(odd) {
        Some(before) => Err(SyntaxError::new(before + 1, "a NUL byte", "text")),
        None => Ok(()),
    }
}

fn needed(word: Word, found: &str, expected: &str) -> Result<Word, SyntaxError> {
    if word.text.is_empty() { Err(SyntaxError::new(word.line, found, expected)) } else { Ok(word) }
}

/// A type of a section: any printable ASCII but blanks.
fn section_type(word: Word) -> Result<String, SyntaxError> {
    ascii(word, |b| b.is_ascii_graphic(), "section type", "printable ASCII characters without blanks")
}

/// A name of a package may have dashes; the file's name is one (`bsbf-mptcp`).
fn package_name(word: Word) -> Result<String, SyntaxError> {
    ascii(word, is_package_byte, "package name", "letters, digits, _ and -")
}

fn is_package_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'_' || b == b'-'
}

/// A name of a section or an option.
fn identifier(word: Word, of: &str) -> Result<String, SyntaxError> {
    let legal = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    ascii(word, legal, &format!("{of} name"), "letters, digits and _")
}

fn ascii(word: Word, legal: impl Fn(u8) -> bool, what: &str, expected: &str) -> Result<String, SyntaxError> {
    match String::from_utf8(word.text) {
        Ok(text) if text.bytes().all(legal) => Ok(text),
        Ok(text) => Err(SyntaxError::new(word.line, format!("{what} {}", quoted(text.as_bytes())), expected)),
        Err(e) => Err(SyntaxError::new(word.line, format!("{what} {}", quoted(e.as_bytes())), expected)),
    }
}

/// `bytes` for a message: printable and short.
fn quoted(bytes: &[u8]) -> String {
    const MOST: usize = 40;
    match bytes.get(..MOST) {
        Some(start) if bytes.len() > MOST => format!("'{}'...", start.escape_ascii()),
        _ => format!("'{}'", bytes.escape_ascii()),
    }
}

/// The last four digits of an automatic name: Bernstein's hash (h * 33 + c) of the type.
fn type_hash(kind: &str) -> u16 {
    kind.bytes().fold(5381, |hash: u16, byte| hash.wrapping_mul(33).wrapping_add(u16::from(byte)))
}
