//! ChaCha20-Poly1305 for snow, by ring's assembler: more than twice as fast as what is compiled of Rust alone, which is where
//! most of an encrypted connection's time goes.

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, Tag, UnboundKey};
use snow::Error;
use snow::types::Cipher;

const KEY: usize = 32;
const TAG: usize = 16;

/// A key; nothing before it is set. Ring's own form of it has room for AES too, half a KB for each direction of each connection,
/// and is made for every message in no time.
#[derive(Default)]
pub struct ChaChaPoly(Option<[u8; KEY]>);

impl ChaChaPoly {
    fn key(&self) -> Option<LessSafeKey> {
        // It has the algorithm's length.
        UnboundKey::new(&CHACHA20_POLY1305, self.0.as_ref()?).ok().map(LessSafeKey::new)
    }
}

impl Cipher for ChaChaPoly {
    fn name(&self) -> &'static str {
        "ChaChaPoly"
    }

    fn set(&mut self, key: &[u8; KEY]) {
        self.0 = Some(*key);
    }

    fn encrypt(&self, nonce: u64, aad: &[u8], plain: &[u8], out: &mut [u8]) -> usize {
        // Snow asks with as much room as it takes, and has no word for a failure: a wrong tag is one to the other end.
        let (Some(key), Some((body, rest))) = (self.key(), out.split_at_mut_checked(plain.len())) else {
            return 0;
        };
        body.copy_from_slice(plain);
        let sealed = key.seal_in_place_separate_tag(number(nonce), Aad::from(aad), body);
        match (sealed, rest.first_chunk_mut::<TAG>()) {
            (Ok(tag), Some(room)) => {
                room.copy_from_slice(tag.as_ref());
                plain.len() + TAG
            }
            _ => {
                body.fill(0);
                0
            }
        }
    }

    fn decrypt(&self, nonce: u64, aad: &[u8], sealed: &[u8], out: &mut [u8]) -> Result<usize, Error> {
        let (body, tag) = sealed.split_last_chunk::<TAG>().ok_or(Error::Decrypt)?;
        let key = self.key().ok_or(Error::Decrypt)?;
        let out = out.get_mut(..body.len()).ok_or(Error::Decrypt)?;
        out.copy_from_slice(body);
        let opened = key.open_in_place_separate_tag(number(nonce), Aad::from(aad), Tag::from(*tag), out, 0..);
        opened.map(|plain| plain.len()).map_err(|_| Error::Decrypt)
    }
}

/// Four bytes of zeros and the number, little endian (section 12.3 of the framework).
fn number(nonce: u64) -> Nonce {
    let mut bytes = [0; 12];
    bytes[4..].copy_from_slice(&nonce.to_le_bytes());
    Nonce::assume_unique_for_key(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use snow::params::CipherChoice;
    use snow::resolvers::{CryptoResolver, DefaultResolver};

    use super::*;

    fn sealed(cipher: &dyn Cipher, nonce: u64, aad: &[u8], plain: &[u8]) -> Vec<u8> {
        let mut out = vec![0; plain.len() + TAG];
        assert_eq!(cipher.encrypt(nonce, aad, plain, &mut out), out.len());
        out
    }

    proptest! {
        /// What other builds have, of Rust alone, says the same, and after a new key too.
        #[test]
        fn it_is_the_cipher_of_other_builds(
            key in any::<[u8; KEY]>(), nonce in any::<u64>(), aad in vec(any::<u8>(), 0..40),
            plain in vec(any::<u8>(), 0..700), at in any::<usize>(), bit in 0..8u8,
        ) {
            let mut theirs = DefaultResolver.resolve_cipher(&CipherChoice::ChaChaPoly).unwrap();
            let mut ours = ChaChaPoly::default();
            theirs.set(&key);
            ours.set(&key);
            let once = sealed(&ours, nonce, &aad, &plain);
            prop_assert_eq!(&once, &sealed(&*theirs, nonce, &aad, &plain));
            theirs.rekey();
            ours.rekey();
            let mut again = sealed(&*theirs, nonce, &aad, &plain);
            let mut out = vec![0; plain.len()];
            prop_assert!(ours.decrypt(nonce, &aad, &once, &mut out).is_err(), "the old key opens it");
            prop_assert!(matches!(ours.decrypt(nonce, &aad, &again, &mut out), Ok(n) if n == plain.len()));
            prop_assert_eq!(&out, &plain);
            let at = at % again.len();
            again[at] ^= 1 << bit;
            prop_assert!(ours.decrypt(nonce, &aad, &again, &mut out).is_err(), "a bit of it was changed");
        }
    }

    #[test]
    fn without_a_key_or_room_nothing_is_sealed_or_opened() {
        let mut cipher = ChaChaPoly::default();
        assert_eq!(cipher.encrypt(0, &[], b"plain", &mut [0; 21]), 0);
        cipher.set(&[7; KEY]);
        let whole = sealed(&cipher, 0, &[], b"plain");
        assert_eq!(cipher.encrypt(0, &[], b"plain", &mut [0; 4]), 0);
        let mut short = [0; 20];
        // What does not fit is not left there as it was.
        assert_eq!((cipher.encrypt(0, &[], b"plain", &mut short), short), (0, [0; 20]));
        assert!(cipher.decrypt(0, &[], &whole, &mut [0; 4]).is_err());
        assert!(cipher.decrypt(0, &[], &whole[..15], &mut [0; 5]).is_err());
    }
}
