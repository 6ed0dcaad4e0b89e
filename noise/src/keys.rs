//! Static keys, by which the ends know each other, and their text: 64 hexadecimal digits.

use std::fmt;

use crate::x25519;

/// Bytes of a key.
pub const LENGTH: usize = 32;

/// What only its owner has.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretKey([u8; LENGTH]);

/// What it is known by.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PublicKey([u8; LENGTH]);

impl SecretKey {
    /// Of these bytes, which nobody can guess.
    pub fn new(bytes: [u8; LENGTH]) -> SecretKey {
        SecretKey(bytes)
    }

    /// Of its text; `None` if it is none.
    pub fn parse(text: &str) -> Option<SecretKey> {
        bytes(text).map(SecretKey)
    }

    /// Its text.
    pub fn text(&self) -> String {
        text(&self.0)
    }

    /// What its owner is known by (RFC 7748 section 6.1).
    pub fn public(&self) -> PublicKey {
        PublicKey(x25519::public(&self.0))
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8; LENGTH] {
        &self.0
    }
}

/// Nothing of it gets into a log.
impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey")
    }
}

impl PublicKey {
    /// Of these bytes; `None` if there are not so many.
    pub fn new(bytes: &[u8]) -> Option<PublicKey> {
        bytes.try_into().ok().map(PublicKey)
    }

    /// Of its text; `None` if it is none.
    pub fn parse(text: &str) -> Option<PublicKey> {
        bytes(text).map(PublicKey)
    }

    /// Its text.
    pub fn text(&self) -> String {
        text(&self.0)
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8; LENGTH] {
        &self.0
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

fn text(bytes: &[u8; LENGTH]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
    digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect()
}

fn bytes(text: &str) -> Option<[u8; LENGTH]> {
    let mut bytes = [0; LENGTH];
    let digits = text.as_bytes();
    if digits.len() != 2 * LENGTH {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        for digit in pair {
            *byte = *byte << 4 | char::from(*digit).to_digit(16)? as u8;
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7748 section 6.1.
    #[test]
    fn the_public_key_is_that_of_the_standard() {
        let secret = "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a";
        let public = "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a";
        let key = SecretKey::parse(secret).unwrap();
        assert_eq!(key.text(), secret);
        assert_eq!(key.public().text(), public);
        assert_eq!(PublicKey::parse(&public.to_uppercase()), Some(key.public()));
        assert_eq!(format!("{key:?}"), "SecretKey");
    }

    #[test]
    fn what_is_no_key_is_none() {
        for text in ["", "77", &"g".repeat(64), &"0".repeat(63), &"0".repeat(65), &"\u{e4}".repeat(32)] {
            assert_eq!(PublicKey::parse(text), None, "{text}");
        }
    }
}
