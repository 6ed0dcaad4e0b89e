//! The file that the server's clients stand in.

use std::io;
use std::path::Path;

use super::clients::Clients;
use crate::error::Error;
use crate::sys::files;

/// Where it is unless `--file` or `--clients` says otherwise.
pub const FILE: &str = "/etc/bsbf/clients";
/// In mebibytes: with the longest names, and keys, all clients take under four.
const MOST: u32 = 4;

/// The list; without the file nobody is in it.
///
/// # Errors
/// It cannot be read; a line is wrong, and which, and why.
pub fn read(file: &Path) -> Result<Clients, Error> {
    let bytes = match files::read_up_to(file, MOST) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Clients::default()),
        bytes => bytes.map_err(|e| Error::new("read", file.display(), e))?,
    };
    // Bytes that are not UTF-8 become a character that no name has.
    Clients::parse(&String::from_utf8_lossy(&bytes)).map_err(|(line, wrong)| {
        let cause = ["line ", &line.to_string(), ": ", &wrong].concat();
        Error::new("read", file.display(), cause)
    })
}
