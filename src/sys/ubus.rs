//! OpenWrt's message bus, by its own program `ubus`: its protocol is nobody's to rely on.

use std::io;
use std::time::Duration;

use super::child;
use crate::wire::ubus;

/// In seconds, for `ubus -t`: netifd and procd answer at once, or hang.
const PATIENCE: &str = "2";
/// Beyond that the program itself hangs.
const WITHIN: Duration = Duration::from_secs(3);

/// Calls a method and gives what it answers, in JSON.
///
/// # Errors
/// ENOENT where there is no `ubus`, as on other Linux; else what went wrong, in words.
pub fn call(path: &str, method: &str, message: &str) -> io::Result<Vec<u8>> {
    ask(path, method, message)?.ok_or_else(|| {
        let words = ubus::trouble(ubus::NOT_FOUND, b"").unwrap_or_default();
        io::Error::other([path, " ", method, ": ", &words].concat())
    })
}

/// The same; `None` if there is no such object.
///
/// # Errors
/// As [`call`].
pub fn ask(path: &str, method: &str, message: &str) -> io::Result<Option<Vec<u8>>> {
    let ran = child::run("ubus", &["-t", PATIENCE, "call", path, method, message], b"", WITHIN)?;
    match ubus::trouble(ran.code, &ran.stderr) {
        Some(_) if ran.code == ubus::NOT_FOUND => Ok(None),
        Some(words) => Err(io::Error::other([path, " ", method, ": ", &words].concat())),
        None => Ok(Some(ran.stdout)),
    }
}

/// Whether netifd runs; one that does not answer in time does. procd has the bus running before the first script of a
/// boot, so where there is no answer at all nobody knows, and that counts too.
pub fn has_netifd() -> bool {
    let ran = child::run("ubus", &["-t", PATIENCE, "call", "network.interface", "dump"], b"", WITHIN);
    match ran {
        Ok(ran) => ran.code != ubus::NOT_FOUND,
        Err(e) => e.kind() != io::ErrorKind::NotFound,
    }
}

/// Every network that netifd has.
///
/// # Errors
/// As [`call`]; an answer that is no list of networks.
pub fn networks() -> io::Result<Vec<ubus::Interface>> {
    ubus::parse_dump(&call("network.interface", "dump", "{}")?).map_err(io::Error::other)
}
