//! What `cargo xtask package` is asked for.

use std::path::Path;

use super::apk::Key;
use crate::Result;
use crate::targets::Target;

/// A kind of package, by whose system it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// OpenWrt 24.10.
    Ipk,
    /// OpenWrt 25.12.
    Apk,
    /// Teltonika's RUTOS.
    Rutos,
}

const FORMATS: [(&str, Format); 3] = [("ipk", Format::Ipk), ("apk", Format::Apk), ("rutos", Format::Rutos)];

/// The arguments.
#[derive(Default)]
pub struct Request<'a> {
    /// None is every one.
    pub arch: Option<&'a str>,
    /// None is all.
    format: Option<Format>,
    /// RUTOS's version: 00.07.17.1.
    pub firmware: Option<&'a str>,
    /// What apk's packages are signed with.
    pub key: Option<Key>,
}

impl<'a> Request<'a> {
    /// `[ARCH|all] [--format FORMAT] [--firmware VERSION] [--key FILE]`, in any order.
    ///
    /// # Errors
    /// Anything else; a file that is no key.
    pub fn parse(words: &[&'a str]) -> Result<Request<'a>> {
        let mut request = Request::default();
        let mut words = words.iter().copied();
        while let Some(word) = words.next() {
            match word {
                "--format" => request.format = format(words.next())?,
                "--firmware" => request.firmware = Some(version(words.next())?),
                "--key" => request.key = Some(Key::read(Path::new(words.next().unwrap_or_default()))?),
                _ if word.starts_with('-') => return Err(format!("package has no option {word}")),
                _ => request.arch = Some(word).filter(|arch| *arch != "all"),
            }
        }
        Ok(request)
    }

    /// The formats that are made.
    pub fn formats(&self) -> impl Iterator<Item = Format> {
        let only = self.format;
        FORMATS.into_iter().map(|(_, format)| format).filter(move |format| only.is_none_or(|o| o == *format))
    }

    /// Those of the architectures that have anything to be made.
    ///
    /// # Errors
    /// None has.
    pub fn targets(&self, mut all: Vec<Target>) -> Result<Vec<Target>> {
        if self.format == Some(Format::Rutos) {
            all.retain(|target| !target.rutos.is_empty());
        }
        if all.is_empty() {
            return Err(format!(
                "no RUTOS for {}: its file in targets/ has no 'rutos'",
                self.arch.unwrap_or("any")
            ));
        }
        Ok(all)
    }
}

fn format(word: Option<&str>) -> Result<Option<Format>> {
    let word = word.unwrap_or_default();
    let known = FORMATS.iter().find(|(name, _)| *name == word);
    match known {
        Some((_, format)) => Ok(Some(*format)),
        None if word == "all" => Ok(None),
        None => {
            let names: Vec<&str> = FORMATS.iter().map(|(name, _)| *name).collect();
            Err(format!("--format is {} or all, not '{word}'", names.join(", ")))
        }
    }
}

/// The Package Manager compares it letter by letter with what follows the last "_" of the router's /etc/version.
fn version(word: Option<&str>) -> Result<&str> {
    let word = word.unwrap_or_default();
    let is_version = !word.is_empty()
        && word.split('.').all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()));
    match is_version {
        true => Ok(word),
        false => {
            Err(format!("--firmware is a version like 00.07.17.1, as RUTX_R_00.07.17.1 ends, not '{word}'"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_come_in_any_order() {
        let request =
            Request::parse(&["--format", "rutos", "mips_24kc", "--firmware", "00.07.17.1"]).unwrap();
        assert_eq!((request.arch, request.firmware), (Some("mips_24kc"), Some("00.07.17.1")));
        assert_eq!(request.formats().collect::<Vec<_>>(), [Format::Rutos]);
        for words in [&[][..], &["all"], &["--format", "all"]] {
            let request = Request::parse(words).unwrap();
            assert!(request.arch.is_none() && request.firmware.is_none() && request.key.is_none());
            assert_eq!(request.formats().collect::<Vec<_>>(), [Format::Ipk, Format::Apk, Format::Rutos]);
        }
    }

    #[test]
    fn what_is_no_argument_is_named() {
        for (words, told) in [
            (&["--format"][..], "--format is ipk, apk, rutos or all, not ''"),
            (&["--format", "deb"], "not 'deb'"),
            (&["--firmware", "RUTX_R_00.07.17.1"], "not 'RUTX_R_00.07.17.1'"),
            (&["--firmware", "7..1"], "not '7..1'"),
            (&["--sign"], "no option --sign"),
            (&["--key", "/no/such/key"], "cannot read the key /no/such/key"),
        ] {
            let error = Request::parse(words).err().unwrap();
            assert!(error.contains(told), "{error}");
        }
        let request = Request::parse(&["x86_64", "--format", "rutos"]).unwrap();
        assert!(request.targets(Vec::new()).unwrap_err().starts_with("no RUTOS for x86_64"));
    }
}
