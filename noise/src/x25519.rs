//! X25519 for snow, by the ladder alone (RFC 7748 section 5): its own way computes public keys on the Edwards curve, which
//! is as much code again.

use curve25519_dalek::constants::X25519_BASEPOINT;
use curve25519_dalek::montgomery::MontgomeryPoint;
use snow::Error;
use snow::params::{CipherChoice, DHChoice, HashChoice};
use snow::resolvers::{CryptoResolver, DefaultResolver};
use snow::types::{Cipher, Dh, Hash, Random};

use crate::keys::LENGTH;

/// What a secret key is known by.
#[inline(never)]
pub fn public(secret: &[u8; LENGTH]) -> [u8; LENGTH] {
    X25519_BASEPOINT.mul_clamped(*secret).to_bytes()
}

/// What two keys share.
#[inline(never)]
fn shared(secret: &[u8; LENGTH], public: [u8; LENGTH]) -> [u8; LENGTH] {
    MontgomeryPoint(public).mul_clamped(*secret).to_bytes()
}

/// Snow's parts, with this curve. It knows the public key of one secret already.
pub struct Parts {
    /// Secret and public.
    pub known: ([u8; LENGTH], [u8; LENGTH]),
}

impl CryptoResolver for Parts {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        Some(Box::new(Nothing))
    }

    fn resolve_dh(&self, _: &DHChoice) -> Option<Box<dyn Dh>> {
        Some(Box::new(Pair { known: self.known, secret: [0; LENGTH], public: [0; LENGTH] }))
    }

    fn resolve_hash(&self, _: &HashChoice) -> Option<Box<dyn Hash>> {
        // Named, so that the compiler leaves the others out: BLAKE2b takes tens of KB where there are 32 bits.
        DefaultResolver.resolve_hash(&HashChoice::Blake2s)
    }

    #[cfg(any(target_arch = "aarch64", target_arch = "arm", target_arch = "x86_64"))]
    fn resolve_cipher(&self, _: &CipherChoice) -> Option<Box<dyn Cipher>> {
        Some(Box::new(crate::cipher::ChaChaPoly::default()))
    }

    #[cfg(not(any(target_arch = "aarch64", target_arch = "arm", target_arch = "x86_64")))]
    fn resolve_cipher(&self, _: &CipherChoice) -> Option<Box<dyn Cipher>> {
        DefaultResolver.resolve_cipher(&CipherChoice::ChaChaPoly)
    }
}

/// Nothing is drawn here: the one key that is random comes from whoever begins a handshake.
struct Nothing;

impl Random for Nothing {
    fn try_fill_bytes(&mut self, _: &mut [u8]) -> Result<(), Error> {
        Err(Error::Rng)
    }
}

/// A pair of keys.
struct Pair {
    known: ([u8; LENGTH], [u8; LENGTH]),
    secret: [u8; LENGTH],
    public: [u8; LENGTH],
}

impl Dh for Pair {
    fn name(&self) -> &'static str {
        "25519"
    }

    fn pub_len(&self) -> usize {
        LENGTH
    }

    fn priv_len(&self) -> usize {
        LENGTH
    }

    fn set(&mut self, secret: &[u8]) {
        // Of another length none is asked for.
        if let Ok(secret) = secret.try_into() {
            self.secret = secret;
            self.public = if self.known.0 == secret { self.known.1 } else { public(&secret) };
        }
    }

    fn generate(&mut self, random: &mut dyn Random) -> Result<(), Error> {
        let mut secret = [0; LENGTH];
        random.try_fill_bytes(&mut secret)?;
        self.set(&secret);
        Ok(())
    }

    fn pubkey(&self) -> &[u8] {
        &self.public
    }

    fn privkey(&self) -> &[u8] {
        &self.secret
    }

    fn dh(&self, public: &[u8], out: &mut [u8]) -> Result<(), Error> {
        // Snow's keys are in longer arrays, and so is what is shared.
        let public = public.first_chunk().ok_or(Error::Dh)?;
        *out.first_chunk_mut().ok_or(Error::Dh)? = shared(&self.secret, *public);
        Ok(())
    }
}
