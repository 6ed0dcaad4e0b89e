//! The settings as they were: kept on flash until the next change, to be put back.
//!
//! `NAME.before` is a file as it was, `NAME.after` as the change left it. While a change is being written there is the
//! file `writing`, and until its confirmation `unconfirmed`: whoever comes after a power cut knows what to do by them.

use std::io;
use std::path::PathBuf;

use crate::error::Error;
use crate::setup::plan::PACKAGES;
use crate::sys::{files, keep};

/// Where they are kept.
pub struct Kept {
    /// `/etc/bsbf/setup`.
    dir: PathBuf,
    /// The settings themselves.
    config: PathBuf,
}

/// How far a change came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// There is none to undo.
    None,
    /// Some files may be changed and others not.
    Writing,
    /// It is in force, and nobody knows yet whether the router still reaches anything.
    Unconfirmed,
    /// It is in force.
    Done,
}

const WRITING: &str = "writing";
const UNCONFIRMED: &str = "unconfirmed";

impl Kept {
    /// For the settings in `config`; nothing is touched yet.
    pub fn new(dir: PathBuf, config: PathBuf) -> Kept {
        Kept { dir, config }
    }

    /// How far the last change came.
    pub fn stage(&self) -> Stage {
        let is_there = |name: &str| files::exists(&self.dir.join(name));
        match PACKAGES.map(|name| is_there(&format!("{name}.before"))) {
            _ if is_there(WRITING) => Stage::Writing,
            _ if is_there(UNCONFIRMED) => Stage::Unconfirmed,
            [true, true, true] => Stage::Done,
            _ => Stage::None,
        }
    }

    /// Keeps the settings as they are, before a change.
    ///
    /// # Errors
    /// What cannot be kept; then nothing may be changed.
    pub fn begin(&self) -> Result<(), Error> {
        keep::make_dir(&self.dir).map_err(|e| Error::new("make", self.dir.display(), e))?;
        // What is kept of an earlier change must not pass for a part of this one.
        for suffix in ["before", "after"] {
            PACKAGES.iter().try_for_each(|name| self.remove(&format!("{name}.{suffix}")))?;
        }
        PACKAGES.iter().try_for_each(|name| self.copy(name, "before"))?;
        self.remove(UNCONFIRMED)?;
        self.note(WRITING)
    }

    /// The change is written; `confirmed`: nobody waits for an answer.
    ///
    /// # Errors
    /// What cannot be kept.
    pub fn written(&self, confirmed: bool) -> Result<(), Error> {
        for name in PACKAGES {
            self.copy(name, "after")?;
        }
        if !confirmed {
            self.note(UNCONFIRMED)?;
        }
        self.remove(WRITING)
    }

    /// The change stays.
    ///
    /// # Errors
    /// What cannot be written.
    pub fn confirmed(&self) -> Result<(), Error> {
        self.remove(UNCONFIRMED)
    }

    /// Those files that are not as the change left them.
    pub fn changed_since(&self) -> Vec<&'static str> {
        let is_other = |name: &&str| {
            let after = files::read_settings(&self.dir.join(format!("{name}.after"))).ok();
            after != files::read_settings(&self.config.join(name)).ok()
        };
        PACKAGES.into_iter().filter(is_other).collect()
    }

    /// Puts everything back. What is replaced stays beside it as `NAME.after`.
    ///
    /// # Errors
    /// What cannot be written; it can be tried again.
    pub fn put_back(&self) -> Result<(), Error> {
        self.note(WRITING)?;
        for name in PACKAGES {
            let (before, path) = (self.dir.join(format!("{name}.before")), self.config.join(name));
            // It was put back before the power went.
            if !files::exists(&before) {
                continue;
            }
            let old = files::read_settings(&before).map_err(|e| Error::new("read", before.display(), e))?;
            if files::read_settings(&path).is_ok_and(|now| now == old) {
                continue;
            }
            self.copy(name, "after")?;
            keep::replace(&path, &old).map_err(|e| Error::new("put back", path.display(), e))?;
        }
        self.remove(UNCONFIRMED)?;
        for name in PACKAGES {
            self.remove(&format!("{name}.before"))?;
        }
        self.remove(WRITING)
    }

    fn copy(&self, name: &str, suffix: &str) -> Result<(), Error> {
        let (from, to) = (self.config.join(name), self.dir.join(format!("{name}.{suffix}")));
        let text = files::read_settings(&from).map_err(|e| Error::new("read", from.display(), e))?;
        keep::replace(&to, &text).map_err(|e| Error::new("write", to.display(), e))
    }

    fn note(&self, name: &str) -> Result<(), Error> {
        self.done("write", name, keep::replace(&self.dir.join(name), b""))
    }

    fn remove(&self, name: &str) -> Result<(), Error> {
        self.done("remove", name, keep::remove(&self.dir.join(name)))
    }

    fn done(&self, doing: &'static str, name: &str, result: io::Result<()>) -> Result<(), Error> {
        result.map_err(|e| Error::new(doing, self.dir.join(name).display(), e))
    }
}
