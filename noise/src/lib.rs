//! Encryption between our own ends: Noise_IK_25519_ChaChaPoly_BLAKE2s (the Noise Protocol Framework, revision 34) for a
//! stream. Bytes to bytes: who reads and writes them is elsewhere.

#![forbid(unsafe_code)]

pub mod keys;
