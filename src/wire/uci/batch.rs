//! Changes as lines for `uci batch`, which makes them, as its versions differ in how.

use super::print::quote;

/// Lines for the standard input of `uci batch`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch(Vec<u8>);

impl Batch {
    /// A section, or a single value, is this from now on. The address is `PACKAGE.SECTION[.OPTION]`.
    pub fn set(&mut self, address: &str, value: &str) {
        self.line("set", address, Some(value));
    }

    /// A list has this item too.
    pub fn add_list(&mut self, address: &str, item: &str) {
        self.line("add_list", address, Some(item));
    }

    /// A list has this item no more.
    pub fn del_list(&mut self, address: &str, item: &str) {
        self.line("del_list", address, Some(item));
    }

    /// A section is called so from now on.
    pub fn rename(&mut self, address: &str, name: &str) {
        self.line("rename", address, Some(name));
    }

    /// A section, option or list is no more. What is not there makes `uci` complain, and go on.
    pub fn delete(&mut self, address: &str) {
        self.line("delete", address, None);
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of it goes into the package's file.
    pub fn commit(&mut self, package: &str) {
        self.line("commit", package, None);
    }

    /// The lines.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// A word of `uci batch` has the same quotes as one of a file, and it reads line by line.
    fn line(&mut self, verb: &str, address: &str, value: Option<&str>) {
        debug_assert!(!address.contains(char::is_whitespace) && !value.unwrap_or("").contains('\n'));
        self.0.extend(format!("{verb} {address}").bytes());
        if let Some(value) = value {
            self.0.push(b'=');
            quote(&mut self.0, value.as_bytes());
        }
        self.0.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Value, parse};
    use super::*;

    proptest! {
        /// `uci` reads words of `batch` as those of a file.
        #[test]
        fn any_value_reads_back(value in "[^\\n\\x00]{1,40}") {
            let mut batch = Batch::default();
            batch.set("bsbf.bond.x", &value);
            let line = batch.as_bytes().strip_prefix(b"set bsbf.bond.x=").unwrap();
            let package = parse(&[b"config bond\noption x ", line].concat()).unwrap();
            let expected = Value::Single(value.into_bytes());
            prop_assert_eq!(&package.sections[0].option("x").unwrap().value, &expected);
        }
    }

    #[test]
    fn values_are_quoted_whatever_they_are() {
        let mut batch = Batch::default();
        batch.set("bsbf.bond", "bond");
        batch.set("network.wan.a", "it's; $(reboot) \\ \"x\" #y");
        batch.add_list("bsbf.@bond[-1].server", "[2001:db8::1]:443");
        batch.del_list("network.@device[0].ports", "lan1");
        batch.rename("network.wan", "wan1");
        batch.delete("bsbf.bond.lost");
        batch.commit("bsbf");
        let lines = "set bsbf.bond='bond'\n\
                     set network.wan.a='it'\\''s; $(reboot) \\ \"x\" #y'\n\
                     add_list bsbf.@bond[-1].server='[2001:db8::1]:443'\n\
                     del_list network.@device[0].ports='lan1'\n\
                     rename network.wan='wan1'\n\
                     delete bsbf.bond.lost\n\
                     commit bsbf\n";
        assert_eq!(String::from_utf8(batch.as_bytes().to_vec()).unwrap(), lines);
    }
}
