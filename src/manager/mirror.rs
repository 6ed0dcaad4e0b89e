//! The record's copy in the run directory: a restart goes on with it, and `bsbf-status why` reads it when no manager
//! runs.

use crate::sys::rundir::RunDir;
use crate::types::Time;
use crate::wan::record::{MIRROR, Record};

/// The file of a manager's record, in the run directory.
pub fn file_name(manager: &str) -> String {
    format!("{manager}.record")
}

/// What is known of the file.
pub(super) struct Mirror {
    name: String,
    /// Its size in bytes; None until it was read, and after an error.
    size: Option<usize>,
}

impl Mirror {
    /// Of the manager with this name.
    pub(super) fn new(manager: &str) -> Mirror {
        Mirror { name: file_name(manager), size: None }
    }

    /// What an earlier run left. A file that cannot be read is worth a warning, not a failure.
    pub(super) fn read(&self, run_dir: &RunDir, now: Time) -> Record {
        let text = run_dir.read(&self.name).unwrap_or_else(|e| {
            log::warn!("cannot read {}: {e}", run_dir.path(&self.name).display());
            String::new()
        });
        Record::from_text(&text, now)
    }

    /// Adds lines; writes the whole anew where that is shorter, or the first time, so that a torn line ends there.
    pub(super) fn append(&mut self, run_dir: &RunDir, lines: &str, record: &Record) {
        let fits = self.size.filter(|size| size + lines.len() <= MIRROR);
        let written = match fits {
            Some(size) => run_dir.append(&self.name, lines).map(|()| size + lines.len()),
            None => {
                let text = record.to_text();
                run_dir.write(&self.name, &text).map(|()| text.len())
            }
        };
        self.size = written
            .inspect_err(|e| log::warn!("cannot write {}: {e}", run_dir.path(&self.name).display()))
            .ok();
    }
}
