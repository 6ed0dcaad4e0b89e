//! Lines for `uci batch`, of what is not so yet.

use super::batch::Batch;
use super::{Package, Section, Value};

/// One of the files, and what is to be done to it.
pub struct Edits<'a> {
    /// Its name.
    pub name: &'a str,
    /// What it has.
    pub package: &'a Package,
    /// The lines so far, of all files.
    pub batch: &'a mut Batch,
}

impl Edits<'_> {
    /// How `uci` is told of a section. One without a name is known by its number among those of its type: the name that
    /// `uci` gives it changes with the sections before it.
    fn address(&self, section: &Section) -> String {
        let same = self.package.sections_of(&section.kind);
        let number = same.take_while(|other| other.name != section.name).count();
        match section.anonymous {
            true => [self.name, ".@", &section.kind, "[", &number.to_string(), "]"].concat(),
            false => [self.name, ".", &section.name].concat(),
        }
    }

    /// A section of the file has these values.
    pub fn set(&mut self, section: &Section, options: &[(&str, &str)]) {
        let address = self.address(section);
        self.set_at(&address, Some(section), options);
    }

    /// A section of this name and type has these values, and is made if it is not there.
    ///
    /// # Errors
    /// The name is that of another type.
    pub fn make(&mut self, name: &str, kind: &str, options: &[(&str, &str)]) -> Result<(), String> {
        let (address, now) = ([self.name, ".", name].concat(), self.package.section(name));
        match now {
            Some(other) if other.kind != kind => {
                let why = format!("'{name}' is a {}, where a {kind} is to be", other.kind);
                return Err(self.wrong(Some(other), &why));
            }
            Some(_) => {}
            None => self.batch.set(&address, kind),
        }
        self.set_at(&address, now, options);
        Ok(())
    }

    /// A section gets another name, and has these values.
    pub fn rename(&mut self, section: &Section, name: &str, options: &[(&str, &str)]) {
        let address = self.address(section);
        self.batch.rename(&address, name);
        self.set_at(&[self.name, ".", name].concat(), Some(section), options);
    }

    fn set_at(&mut self, address: &str, now: Option<&Section>, options: &[(&str, &str)]) {
        for (option, value) in options {
            let is = now.and_then(|section| section.option(option)).map(|option| &option.value);
            if is != Some(&Value::Single(value.as_bytes().to_vec())) {
                self.batch.set(&[address, ".", option].concat(), value);
            }
        }
    }

    /// The list has these items as well and not those. What is a single value of several words, as older files have it,
    /// stays one.
    pub fn items(&mut self, section: &Section, option: &str, with: &[&str], without: &[&str]) {
        let has = words(section, option);
        let more = with.iter().copied().filter(|item| !has.contains(item));
        if let Some(Value::Single(_)) = section.option(option).map(|option| &option.value) {
            let all: Vec<&str> =
                has.iter().copied().filter(|item| !without.contains(item)).chain(more).collect();
            return self.set(section, &[(option, &all.join(" "))]);
        }
        let address = [&self.address(section), ".", option].concat();
        for item in without.iter().filter(|item| has.contains(item)) {
            self.batch.del_list(&address, item);
        }
        more.for_each(|item| self.batch.add_list(&address, item));
    }

    /// What is wrong, with the file's name and the section's line.
    pub fn wrong(&self, section: Option<&Section>, why: &str) -> String {
        match section {
            Some(section) => format!("{}: line {}: {why}", self.name, section.line),
            None => format!("{}: {why}", self.name),
        }
    }
}

/// The items of a list, or the words of a single value. What is no text is none.
pub fn words<'a>(section: &'a Section, option: &str) -> Vec<&'a str> {
    let items = section.list(option).unwrap_or_default();
    match section.option(option).map(|option| &option.value) {
        Some(Value::Single(_)) => items.into_iter().flat_map(str::split_whitespace).collect(),
        _ => items,
    }
}

/// The option's value; empty if it has none, or several.
pub fn text<'a>(section: &'a Section, option: &str) -> &'a str {
    section.get(option).ok().flatten().unwrap_or_default()
}
