//! Encryption between our own ends: Noise_IK_25519_ChaChaPoly_BLAKE2s (the Noise Protocol Framework, revision 34) for a
//! stream. Bytes to bytes: who reads and writes them, tells the time and draws random bytes is elsewhere.
//!
//! The client says [`handshake::HELLO`] bytes, the server answers with [`handshake::REPLY`], and [`frames`] follow both
//! ways.

#![forbid(unsafe_code)]

#[cfg(any(target_arch = "aarch64", target_arch = "arm", target_arch = "x86_64"))]
mod cipher;
pub mod frames;
pub mod handshake;
pub mod keys;
pub mod seen;
mod x25519;

/// What came is not what the other end has said: it was changed, cut, put elsewhere, or said by somebody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forged;

impl From<snow::Error> for Forged {
    fn from(_: snow::Error) -> Forged {
        Forged
    }
}
