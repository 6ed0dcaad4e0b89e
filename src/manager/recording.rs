//! `--record`: what the mind is told and what it does, into a file as it happens.

use std::path::PathBuf;
use std::time::Duration;

use super::Kind;
use crate::config::ManagerArgs;
use crate::error::Error;
use crate::sys::trace_file::TraceFile;
use crate::types::Time;
use crate::wan::mind::{Action, Event};
use crate::wan::settings::Settings;
use crate::wan::trace::{MAGIC, Writer};
use crate::wan::world::Memory;

/// A trace ends here: /tmp is memory, and a forgotten recording must not fill it. A quiet day of two WANs.
pub(super) const MAX_TRACE: u64 = 8 << 20;
/// What was written down is in the file this soon after, if anything happens at all.
const FLUSH: Duration = Duration::from_secs(1);
/// This much at most waits for that, in bytes.
const BUFFER: usize = 8 << 10;

/// The recording, if there is to be one.
pub(super) struct Recording(Option<Open>);

struct Open {
    path: PathBuf,
    file: TraceFile,
    writer: Writer,
    flush_at: Time,
}

impl Recording {
    /// Begins one if the arguments ask for it.
    pub(super) fn begin(
        kind: Kind,
        args: &ManagerArgs,
        settings: &Settings,
        memory: &Memory,
        now: Time,
    ) -> Result<Recording, Error> {
        let Some(path) = &args.record else { return Ok(Recording(None)) };
        let file =
            TraceFile::create(path, MAGIC).map_err(|e| Error::new("record into", path.display(), e))?;
        let writer = Writer::new(kind.name, settings, memory, now);
        Ok(Recording(Some(Open { path: path.clone(), file, writer, flush_at: now })))
    }

    /// The mind is told something.
    pub(super) fn event(&mut self, event: &Event, now: Time) {
        let Some(open) = &mut self.0 else { return };
        // What belongs together comes into the file together.
        if now >= open.flush_at || open.writer.waiting() > BUFFER {
            open.flush_at = now + FLUSH;
            self.flush();
        }
        if let Some(open) = &mut self.0 {
            open.writer.event(event, now);
        }
    }

    /// What it asked for then.
    pub(super) fn actions(&mut self, actions: &[Action]) {
        let Some(open) = &mut self.0 else { return };
        open.writer.actions(actions);
        if actions.iter().any(|action| matches!(action, Action::Tell(_))) {
            self.flush();
        }
    }

    /// It takes back what it remembers.
    pub(super) fn recall(&mut self, memory: &Memory, now: Time) {
        if let Some(open) = &mut self.0 {
            open.writer.recall(memory, now);
        }
    }

    /// Writes what waits. What cannot be written ends the recording, not the manager.
    fn flush(&mut self) {
        let Some(open) = &mut self.0 else { return };
        let text = open.writer.take();
        let path = open.path.display();
        if open.file.len() + text.len() as u64 > MAX_TRACE {
            log::info!("{path} has reached {} MiB, the recording ends", MAX_TRACE >> 20);
        } else if let Err(e) = open.file.append(&text) {
            log::warn!("cannot write {path}, the recording ends: {e}");
        } else {
            return;
        }
        self.0 = None;
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        self.flush();
    }
}
