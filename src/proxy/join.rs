//! The join token: one word that has all that a router needs to become a client of a server, its secrets among it.
//!
//! It begins with `bsbf1:`, and goes on in base32 (RFC 4648 section 6, in small letters, without `=`): nothing in it means
//! anything to a shell, a form or a messenger, and it may be read out. What that stands for, numbers with the high byte
//! first:
//!
//! | bytes | what |
//! |---|---|
//! | 2 | how many bytes these are, from the first to the last: a token that was cut is told from one that is wrong |
//! | 16 | the UUID |
//! | 2 | the port for connections that are not encrypted; 0 if there is none |
//! | 2 | the port for those that are; 0 if there is none, and then both keys are missing |
//! | 32, 32 | the server's public key, the client's secret one |
//! | 1 + n | the server's host, an address or a name |
//! | 1 + n | what the client is called; may be empty |
//! | 4 | FNV-1a of all before it |

use bsbf_noise::keys::{self, PublicKey, SecretKey};

use super::clients::{host, is_name};
use crate::wire::hash::fnv1a;
use crate::wire::vless::Uuid;

/// What every token begins with, up to the version.
const SCHEME: &str = "bsbf";
const VERSION: &str = "1:";
/// The digits of base32.
const DIGITS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
/// In bytes, a text of more is none: the longest token has 662.
pub const LONGEST: usize = 2048;

const CUT: &str = "its end is missing";
const WRONG: &str = "it was mistyped, or is none";

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Join {
    /// The secret for connections that are not encrypted.
    pub uuid: Uuid,
    /// The port for those; 0 for none.
    pub plain_port: u16,
    /// What encrypted ones take.
    pub secure: Option<Secure>,
    /// The server, as [`host`] gives it.
    pub host: String,
    /// What the client is called; may be empty.
    pub name: String,
}

/// What encrypted connections take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secure {
    /// The server's port for them; not 0.
    pub port: u16,
    /// What the server is known by.
    pub server: PublicKey,
    /// The client's own key.
    pub key: SecretKey,
}

impl Join {
    /// The token.
    pub fn token(&self) -> String {
        let mut bytes = vec![0, 0];
        bytes.extend(self.uuid.0);
        bytes.extend(self.plain_port.to_be_bytes());
        bytes.extend(self.secure.as_ref().map_or(0, |secure| secure.port).to_be_bytes());
        if let Some(secure) = &self.secure {
            bytes.extend(secure.server.bytes());
            bytes.extend(secure.key.bytes());
        }
        for text in [&self.host, &self.name] {
            // Neither is longer: a host has 253 bytes at most, a name 64.
            bytes.push(text.len() as u8);
            bytes.extend(text.bytes());
        }
        let length = (bytes.len() + 4) as u16;
        if let Some(place) = bytes.get_mut(..2) {
            place.copy_from_slice(&length.to_be_bytes());
        }
        bytes.extend(fnv1a(&bytes).to_be_bytes());
        [SCHEME, VERSION, &base32(&bytes)].concat()
    }

    /// Reads a token. White space in it counts for nothing: terminals and mail put it in.
    ///
    /// # Errors
    /// What is wrong with it, without a word of what it has.
    pub fn parse(text: &str) -> Result<Join, &'static str> {
        if text.len() > LONGEST {
            return Err("it is too long");
        }
        let text: String = text.split_ascii_whitespace().collect::<String>().to_ascii_lowercase();
        let rest = text.strip_prefix(SCHEME).ok_or("it does not begin with bsbf1:")?;
        let Some(digits) = rest.strip_prefix(VERSION) else {
            let number = rest.split_once(':').is_some_and(|(number, _)| number.parse::<u32>().is_ok());
            return Err(if number {
                "it is for another version of bsbf"
            } else {
                "it does not begin with bsbf1:"
            });
        };
        let (bytes, whole) = bytes_of(digits).ok_or(WRONG)?;
        let length = Rest(&bytes).number().ok_or(CUT)?;
        if bytes.len() < length.into() {
            return Err(CUT);
        }
        let (before, sum) = bytes.split_last_chunk().ok_or(WRONG)?;
        if !whole || bytes.len() > length.into() || fnv1a(before).to_be_bytes() != *sum {
            return Err(WRONG);
        }
        let mut rest = Rest(before.get(2..).unwrap_or_default());
        // Whoever made the sum made it of something else.
        rest.join().filter(|_| rest.0.is_empty()).ok_or("it makes no sense")
    }

    /// The port that is spoken to, encrypted if that is `wanted` and can be; nothing if neither can be.
    pub fn port(&self, wanted: bool) -> Option<u16> {
        let secure = self.secure.as_ref().filter(|_| wanted);
        Some(secure.map_or(self.plain_port, |secure| secure.port)).filter(|port| *port != 0)
    }
}

/// Bytes that were not read yet.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*first)
    }

    fn number(&mut self) -> Option<u16> {
        self.take().map(u16::from_be_bytes)
    }

    fn text(&mut self) -> Option<String> {
        let [length] = self.take()?;
        let (text, rest) = self.0.split_at_checked(length.into())?;
        self.0 = rest;
        std::str::from_utf8(text).ok().map(str::to_owned)
    }

    fn join(&mut self) -> Option<Join> {
        let uuid = Uuid(self.take()?);
        let (plain_port, secure_port) = (self.number()?, self.number()?);
        let secure = match secure_port {
            0 => None,
            port => {
                let server = PublicKey::new(&self.take::<{ keys::LENGTH }>()?)?;
                Some(Secure { port, server, key: SecretKey::new(self.take()?) })
            }
        };
        let (at, name) = (self.text()?, self.text()?);
        let fits = host(&at).is_some_and(|host| host == at) && is_name(&name);
        fits.then_some(Join { uuid, plain_port, secure, host: at, name })
    }
}

fn base32(bytes: &[u8]) -> String {
    let (mut text, mut bits, mut left) = (String::new(), 0u32, 0);
    for byte in bytes {
        bits = bits << 8 | u32::from(*byte);
        left += 8;
        while left >= 5 {
            left -= 5;
            text.push(digit(bits >> left));
        }
    }
    if left > 0 {
        text.push(digit(bits << (5 - left)));
    }
    text
}

/// The digit of the last five bits.
fn digit(bits: u32) -> char {
    DIGITS.get(bits as usize % DIGITS.len()).copied().unwrap_or_default().into()
}

/// The bytes, and whether that is how these are written: there is one way only. Nothing if they are no digits.
fn bytes_of(digits: &str) -> Option<(Vec<u8>, bool)> {
    let (mut bytes, mut bits, mut left) = (Vec::new(), 0u32, 0);
    for digit in digits.bytes() {
        let value = DIGITS.iter().position(|other| *other == digit)?;
        bits = bits << 5 | value as u32;
        left += 5;
        if left >= 8 {
            left -= 8;
            bytes.push((bits >> left) as u8);
        }
    }
    let unused = bits & ((1 << left) - 1);
    Some((bytes, left < 5 && unused == 0))
}

#[cfg(test)]
#[path = "join/tests.rs"] // The fuzz targets have this file elsewhere.
mod tests;
