//! Changes that are not committed yet: `/tmp/.uci/PACKAGE`, one line each, as `uci set` and LuCI leave them.
//!
//! ```text
//! network.wan.proto='static'      # an option; with no option named, the section's type
//! +network.cfg0892bd='rule'       # a new section without a name
//! -network.wan.metric             # deleted; -network.lan.dns='1' deletes the second item of a list
//! @network.wan6='uplink6'         # renamed
//! ^network.lan='0'                # moved to this place
//! |network.lan.dns='1.1.1.1'      # an item added to a list
//! ~network.lan.dns='9.9.9.9'      # an item taken out of a list
//! ```
//!
//! What OpenWrt's `uci` makes of such lines is recorded in `tests/vectors/uci/write`: it ignores what it cannot apply,
//! RUTOS's refuses the whole package then. Here the caller is told, and decides.

#[cfg(test)]
mod tests;

use super::words::{Cursor, Word};
use super::{
    Order, Package, Section, SyntaxError, UciOption, Value, identifier, needed, quoted, section_type,
};

/// The bytes that say what a line does, unless it sets something.
const VERBS: &[u8] = b"+-@^|~";

/// One line.
struct Line {
    number: usize,
    verb: Option<u8>,
    section: String,
    option: Option<String>,
    value: Option<Vec<u8>>,
}

/// Applies the pending changes `delta` of the package called `name`.
///
/// Gives the lines that could not be applied, each with the reason; all others are.
pub fn apply(package: &mut Package, name: &str, delta: &[u8], order: Order) -> Vec<SyntaxError> {
    let mut refused = Vec::new();
    let mut cursor = Cursor::new(delta);
    while let Some(number) = cursor.line_ahead() {
        let done = match read(&mut cursor, name, number) {
            Ok(Some(line)) => package.change(line, order),
            Ok(None) => Ok(()),
            Err(error) => Err(error),
        };
        refused.extend(done.err());
        cursor.skip_line();
    }
    refused
}

/// The next line; `None` if it is empty or a comment.
fn read(cursor: &mut Cursor<'_>, name: &str, number: usize) -> Result<Option<Line>, SyntaxError> {
    let verb = cursor.one_of(VERBS);
    let word = cursor.word()?.text;
    if word.is_empty() && verb.is_none() {
        return Ok(None);
    }
    let surplus = cursor.word()?.text;
    if !surplus.is_empty() {
        let found = format!("one word too many, {}", quoted(&surplus));
        return Err(SyntaxError::new(number, found, "quotes around a value with blanks"));
    }
    let wrong = || {
        let found = format!("change {}", quoted(&word));
        SyntaxError::new(number, found, format!("{name}.SECTION[.OPTION][='VALUE']"))
    };
    let (address, value) = match word.iter().position(|&b| b == b'=') {
        Some(at) => (word.get(..at), word.get(at + 1..).map(<[u8]>::to_vec)),
        None => (Some(word.as_slice()), None),
    };
    let address = address.and_then(|bytes| std::str::from_utf8(bytes).ok()).ok_or_else(wrong)?;
    let mut parts = address.split('.');
    let (Some(package), Some(section), option, None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(wrong());
    };
    if package != name {
        return Err(wrong());
    }
    let word = |text: &str| Word { text: text.as_bytes().to_vec(), line: number };
    let section = identifier(word(section), "section")?;
    let option = option.map(|name| identifier(word(name), "option")).transpose()?;
    Ok(Some(Line { number, verb, section, option, value }))
}

impl Package {
    fn change(&mut self, line: Line, order: Order) -> Result<(), SyntaxError> {
        let Line { number, verb, section: name, option, value } = line;
        let at = self.sections.iter().position(|section| section.name == name);
        let Some(at) = at else {
            return match (verb, option) {
                (None | Some(b'+'), None) => {
                    let kind = new_type(value.unwrap_or_default(), number)?;
                    let anonymous = verb.is_some();
                    self.add(Section { name, anonymous, kind, options: Vec::new(), line: number }).map(drop)
                }
                _ => Err(SyntaxError::new(number, format!("section '{name}'"), "one that is there")),
            };
        };
        let value = value.unwrap_or_default();
        match (verb, option) {
            (Some(b'^'), _) => self.reorder(at, &value, number),
            (Some(b'-'), None) => {
                self.sections.remove(at);
                Ok(())
            }
            (verb, option) => match self.sections.get_mut(at) {
                Some(section) => section.change(verb, option, value, number, order),
                None => Ok(()),
            },
        }
    }

    /// Moves a section to a place, counted from 0 among all of them: to the end if there are not so many, to the
    /// beginning if it is negative.
    fn reorder(&mut self, at: usize, to: &[u8], number: usize) -> Result<(), SyntaxError> {
        let to = std::str::from_utf8(to).ok().and_then(|text| text.parse::<isize>().ok());
        let to = to.ok_or_else(|| SyntaxError::new(number, "no place", "a number"))?;
        let section = self.sections.remove(at);
        self.sections.insert(to.max(0).unsigned_abs().min(self.sections.len()), section);
        Ok(())
    }
}

impl Section {
    fn change(
        &mut self,
        verb: Option<u8>,
        option: Option<String>,
        value: Vec<u8>,
        line: usize,
        order: Order,
    ) -> Result<(), SyntaxError> {
        let Some(name) = option else {
            return match verb {
                None | Some(b'+') => {
                    self.kind = new_type(value, line)?;
                    self.anonymous |= verb.is_some();
                    Ok(())
                }
                Some(b'@') => {
                    self.name = new_name(value, line, "section")?;
                    self.anonymous = false;
                    Ok(())
                }
                _ => Err(SyntaxError::new(line, "a change of a list without its name", "SECTION.OPTION")),
            };
        };
        let at = self.options.iter().position(|option| option.name == name);
        let missing = || SyntaxError::new(line, format!("option '{name}'"), "one that is there");
        match verb {
            // `uci` writes this where an option is set to nothing.
            Some(b'-') => self.delete(at.ok_or_else(missing)?, &value),
            None if value.is_empty() => self.delete(at.ok_or_else(missing)?, b""),
            Some(b'@') => {
                let option = at.and_then(|at| self.options.get_mut(at)).ok_or_else(missing)?;
                option.name = new_name(value, line, "option")?;
            }
            Some(b'|') => self.set(name, value, line, true, order)?,
            Some(b'~') => {
                let at = at.ok_or_else(missing)?;
                if let Some(UciOption { value: Value::List(items), .. }) = self.options.get_mut(at) {
                    items.retain(|item| *item != value);
                    if items.is_empty() {
                        self.options.remove(at);
                    }
                }
            }
            _ => self.set(name, value, line, false, order)?,
        }
        Ok(())
    }

    /// Deletes the option at this place, or that item of its list.
    fn delete(&mut self, at: usize, item: &[u8]) {
        let index = std::str::from_utf8(item).ok().and_then(|text| text.parse::<usize>().ok());
        match (self.options.get_mut(at).map(|option| &mut option.value), index) {
            (Some(Value::List(items)), Some(index)) if index < items.len() && items.len() > 1 => {
                items.remove(index);
            }
            _ => {
                self.options.remove(at);
            }
        }
    }
}

/// The type of a section; nothing is none.
fn new_type(text: Vec<u8>, line: usize) -> Result<String, SyntaxError> {
    section_type(needed(Word { text, line }, "section without a type", "PACKAGE.SECTION='TYPE'")?)
}

/// A new name of a section or an option.
fn new_name(text: Vec<u8>, line: usize, of: &str) -> Result<String, SyntaxError> {
    identifier(needed(Word { text, line }, "a rename to nothing", "a name")?, of)
}
