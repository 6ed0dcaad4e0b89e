//! Changes of settings, made by the system's own `uci` under a lock of ours: what a change depends on (which metrics are
//! taken) is read, and the change made, with no other command of ours in between.
//!
//! Others write too, LuCI and people. `uci` merges what it is given with what the file has by then, so that nobody's
//! change is lost; what came of ours is read afterwards, for `uci batch` ends with 0 whatever happened.

use std::path::PathBuf;
use std::time::Duration;

use crate::error::{EXIT_LOCKED, Error};
use crate::sys::rundir::RunDir;
use crate::sys::{files, ubus, uci};
use crate::wire::uci::Package;
use crate::wire::uci::batch::Batch;

/// One change takes a tenth of a second; another's may wait for `uci` as long as that may take.
const PATIENCE: Duration = Duration::from_secs(40);
const LOCK: &str = "config.lock";

/// Where the files are.
pub struct Place {
    /// The files themselves, `/etc/config`.
    pub dir: PathBuf,
    /// What is not committed, `/tmp/.uci`.
    pub pending: PathBuf,
    /// The lock's directory.
    pub run_dir: PathBuf,
}

/// Changes packages as `plan` says, which is given what their files have; `holds` tells whether the change is there, and is
/// asked before, too: nothing is written then.
///
/// # Errors
/// No `uci`, a directory that cannot be written to, a file that cannot be read, what `plan` says, a change that is not
/// there afterwards. One file is as it was then, of several those before the failure may be changed; nothing is pending
/// unless others had changes pending.
pub fn edit(
    place: &Place,
    packages: &[&str],
    plan: &dyn Fn(&[Package]) -> Result<Batch, Error>,
    holds: &dyn Fn(&[Package]) -> bool,
) -> Result<(), Error> {
    let run_dir = RunDir::open(&place.run_dir).map_err(|e| Error::new("make", place.run_dir.display(), e))?;
    let path = match packages {
        [package] => place.dir.join(package),
        _ => place.dir.clone(),
    };
    let me = format!("pid {}", std::process::id());
    let lock = run_dir.lock_within(LOCK, &me, PATIENCE);
    let _lock = match lock.map_err(|e| Error::new("lock", run_dir.path(LOCK).display(), e))? {
        Ok(lock) => lock,
        Err(holder) => {
            let cause = format!("{holder} has been changing settings for {} s", PATIENCE.as_secs());
            return Err(Error::new("change", path.display(), cause).with_exit(EXIT_LOCKED));
        }
    };
    let before = read(place, packages)?;
    let mut batch = plan(&before)?;
    if holds(&before) {
        return Ok(());
    }
    packages.iter().for_each(|package| batch.commit(package));
    let old = packages.iter().map(|package| files::size(&place.dir.join(package)).unwrap_or(0));
    let bytes = old.sum::<u64>() + batch.as_bytes().len() as u64;
    uci::room(&place.dir, bytes).map_err(|e| Error::new("change", path.display(), e))?;
    let others = pending(place, packages);
    for pending in &others {
        log::warn!("{} has changes that were not committed; they are in force now too", pending.display());
    }
    let ran = match uci::batch(&place.dir, &place.pending, batch.as_bytes()) {
        Ok(ran) => ran,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            return Err(Error::new("change", path.display(), "there is no uci here; edit the file"));
        }
        Err(e) => return Err(Error::new("run", "uci", e)),
    };
    if read(place, packages).is_ok_and(|after| holds(&after)) {
        return Ok(());
    }
    for package in packages.iter().filter(|package| !others.contains(&place.pending.join(package))) {
        // It would be committed by whoever changes this package next.
        let _ = uci::batch(&place.dir, &place.pending, format!("revert {package}\n").as_bytes());
    }
    Err(Error::new("change", path.display(), why(others.first(), &String::from_utf8_lossy(&ran.stderr))))
}

/// The packages' files.
///
/// # Errors
/// As [`super::package`].
pub fn read(place: &Place, packages: &[&str]) -> Result<Vec<Package>, Error> {
    packages.iter().map(|package| super::package(&place.dir.join(package))).collect()
}

/// The files of what is pending for these packages.
pub fn pending(place: &Place, packages: &[&str]) -> Vec<PathBuf> {
    let files = packages.iter().map(|package| place.pending.join(package));
    files.filter(|path| files::size(path).unwrap_or(0) > 0).collect()
}

/// Lets procd reload the services whose settings are in this package.
///
/// # Errors
/// What `ubus` says; nothing where there is none, as on other Linux.
pub fn tell(package: &str) -> std::io::Result<()> {
    let message = format!(r#"{{"type":"config.change","data":{{"package":"{package}"}}}}"#);
    match ubus::call("service", "event", &message) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

/// Why `uci` did nothing; `others` is a file of changes that others have pending.
fn why(others: Option<&PathBuf>, said: &str) -> String {
    let said = said.lines().next().unwrap_or("uci said nothing and did nothing");
    match others {
        // On RUTOS one line that cannot be applied blocks the whole package, revert included.
        Some(pending) => format!(
            "{said}; see whether {} has a change that cannot be made, and remove it",
            pending.display()
        ),
        None => said.to_string(),
    }
}
