//! Files with secret keys: each has 64 hexadecimal digits, and is for its owner alone.

use std::path::Path;

use bsbf_noise::keys::SecretKey;

use crate::error::Error;
use crate::sys::{files, keep, random};

/// The server's, unless its settings say otherwise.
pub const SERVER: &str = "/etc/bsbf/server.key";
/// The client's.
pub const CLIENT: &str = "/etc/bsbf/key";

/// The key in a file; a warning is logged if others may read it.
///
/// # Errors
/// It cannot be read, or has no key.
pub fn read(file: &Path) -> Result<SecretKey, Error> {
    let text = files::read_settings(file).map_err(|e| Error::new("read", file.display(), e))?;
    if files::is_open_to_others(file).unwrap_or(false) {
        let file = file.display().to_string();
        log::warn!("{file} has our key and others may read it: chmod 600 {file}");
    }
    let key = std::str::from_utf8(&text).ok().and_then(|text| SecretKey::parse(text.trim()));
    key.ok_or_else(|| Error::new("use", file.display(), "a key and nothing else expected"))
}

/// The key in a file, which is made if there is none. One that is there is never replaced: all clients know it.
///
/// # Errors
/// As [`read`]; it cannot be made.
pub fn read_or_make(file: &Path) -> Result<SecretKey, Error> {
    if !files::exists(file) {
        let key = new()?;
        if let Some(dir) = file.parent().filter(|dir| !dir.as_os_str().is_empty()) {
            keep::make_dir(dir).map_err(|e| Error::new("make", dir.display(), e))?;
        }
        // Somebody else may make one just now: the first one counts, for both.
        let text = [&key.text(), "\n"].concat();
        keep::make_secrets(file, text.as_bytes()).map_err(|e| Error::new("write", file.display(), e))?;
    }
    read(file)
}

/// A new one, that nobody knows.
///
/// # Errors
/// The kernel gives no random bytes.
pub fn new() -> Result<SecretKey, Error> {
    random::bytes().map(SecretKey::new).map_err(|e| Error::new("make", "a key", e))
}

#[cfg(test)]
mod tests {
    // Tests make files.
    #![allow(clippy::disallowed_methods)]

    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_key_is_made_once_for_its_owner_alone() {
        let dir = std::env::temp_dir().join(format!("bsbf-keys-{}", std::process::id()));
        let file = dir.join("etc/server.key");
        let error = read(&file).unwrap_err().to_string();
        assert!(error.starts_with("cannot read /") && error.contains("No such file"), "{error}");
        let makers: Vec<_> = (0..8)
            .map(|_| {
                let file = file.clone();
                std::thread::spawn(move || read_or_make(&file).unwrap().text())
            })
            .collect();
        let made: Vec<String> = makers.into_iter().map(|maker| maker.join().unwrap()).collect();
        assert!(made.iter().all(|key| *key == made[0]), "{made:?}");
        assert_eq!(fs::read_to_string(&file).unwrap(), format!("{}\n", made[0]));
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o7777, 0o600);
        let names: Vec<_> = fs::read_dir(dir.join("etc")).unwrap().map(|entry| entry.unwrap()).collect();
        assert_eq!(names.len(), 1, "{names:?}");
        // Not even one that is wrong is replaced, and what it has is told nobody.
        fs::write(&file, "secret").unwrap();
        let error = read_or_make(&file).unwrap_err().to_string();
        assert!(error.ends_with("server.key: a key and nothing else expected"), "{error}");
        assert_eq!(fs::read_to_string(&file).unwrap(), "secret");
        fs::remove_dir_all(&dir).unwrap();
    }
}
