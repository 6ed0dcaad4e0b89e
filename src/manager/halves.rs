//! What the two halves of the manager keep apart in the run directory: locks and memory.

use std::time::Duration;

use super::Kind;
use crate::error::{EXIT_LOCKED, Error};
use crate::sys::lock::Lock;
use crate::sys::rundir::RunDir;
use crate::wan::world::Memory;

/// A manager that was told to end does so within this time: it gives the routes back.
const FAREWELL: Duration = Duration::from_secs(3);

/// Takes the locks of the halves that this manager has; another holder that is not about to end is named.
pub(super) fn take_locks(kind: Kind, run_dir: &RunDir) -> Result<Vec<Lock>, Error> {
    let me = format!("bsbf-{} (pid {})", kind.name, std::process::id());
    let take = |half: &'static str| {
        let file = format!("{half}.lock");
        match run_dir.lock_within(&file, &me, FAREWELL) {
            Ok(Ok(lock)) => Ok(lock),
            Ok(Err(holder)) => Err(Error::new("start", kind.name, format!("{holder} manages this already"))
                .with_exit(EXIT_LOCKED)),
            Err(e) => Err(Error::new("lock", run_dir.path(&file).display(), e)),
        }
    };
    kind.locks().map(take).collect()
}

/// What an earlier run left. Each half has its own file, so that they can take turns with the whole.
pub(super) fn read_memory(kind: Kind, run_dir: &RunDir) -> Result<Memory, Error> {
    let mut memory = Memory::default();
    for half in kind.locks() {
        let text = run_dir.read(half).map_err(|e| Error::new("read", run_dir.path(half).display(), e))?;
        let part = Memory::from_text(&text);
        memory.moved.extend(part.moved);
        memory.endpoints.extend(part.endpoints);
    }
    Ok(memory)
}

/// Writes each half's part.
pub(super) fn write_memory(kind: Kind, run_dir: &RunDir, memory: &Memory) -> std::io::Result<()> {
    for half in kind.locks() {
        let part = match half {
            "route" => Memory { endpoints: Vec::new(), ..memory.clone() },
            _ => Memory { moved: Vec::new(), ..memory.clone() },
        };
        run_dir.write(half, &part.to_text())?;
    }
    Ok(())
}
