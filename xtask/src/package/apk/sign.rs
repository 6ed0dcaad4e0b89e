//! Signatures as apk-tools 3 makes them, by keys as OpenWrt's are: prime256v1, SHA-512.

use std::fs;
use std::path::Path;

use p256::ecdsa::signature::hazmat::PrehashSigner;
use p256::ecdsa::{DerSignature, SigningKey};
use p256::pkcs8::DecodePrivateKey;
use sha2::{Digest, Sha512};

use super::file::Schema;
use crate::Result;

/// What a signature begins with: its version, and SHA-512 by apk's number (src/adb.h, src/crypto.h).
const HEAD: [u8; 2] = [0, 4];
/// How much of a key's hash names it.
const ID: usize = 16;

/// The builder's key.
pub struct Key(SigningKey);

impl Key {
    /// Reads a private key, in PKCS #8 or in the form that `openssl ecparam -genkey` gives, as PEM.
    pub fn read(path: &Path) -> Result<Key> {
        let text =
            fs::read_to_string(path).map_err(|e| format!("cannot read the key {}: {e}", path.display()))?;
        Key::parse(&text).map_err(|e| format!("{}: {e}", path.display()))
    }

    fn parse(text: &str) -> Result<Key> {
        let secret = p256::SecretKey::from_pkcs8_pem(text).ok();
        // openssl puts the curve's parameters in front.
        let sec1 = || {
            let begin = text.find("-----BEGIN EC PRIVATE KEY-----")?;
            p256::SecretKey::from_sec1_pem(text.get(begin..)?).ok()
        };
        let secret = secret.or_else(sec1).ok_or("it is no private key of the curve prime256v1 in PEM")?;
        Ok(Key(SigningKey::from(secret)))
    }

    /// The block for an ADB.
    pub fn sign(&self, schema: Schema, adb: &[u8]) -> Vec<u8> {
        let point = self.0.verifying_key().to_encoded_point(false);
        let head = [HEAD.as_slice(), &Sha512::digest(point.as_bytes())[..ID]].concat();
        let digest = Sha512::digest(message(schema, &head, adb));
        // RFC 6979: the same key and content give the same signature. It fails for digests under 128 bits alone.
        let signature: DerSignature = self.0.sign_prehash(&digest).unwrap_or_else(|_| unreachable!());
        [&head, signature.as_bytes()].concat()
    }
}

/// What is signed.
fn message(schema: Schema, head: &[u8], adb: &[u8]) -> Vec<u8> {
    [schema.name().as_slice(), head, &Sha512::digest(adb)].concat()
}

#[cfg(test)]
mod tests {
    use p256::ecdsa::VerifyingKey;
    use p256::ecdsa::signature::hazmat::PrehashVerifier;
    use p256::pkcs8::{DecodePublicKey, EncodePrivateKey, LineEnding};

    use super::super::file::Blocks;
    use super::*;

    fn is_good(key: &VerifyingKey, schema: Schema, adb: &[u8], block: &[u8]) -> bool {
        let (head, signature) = block.split_at(HEAD.len() + ID);
        let signature = DerSignature::from_bytes(signature).unwrap();
        key.verify_prehash(&Sha512::digest(message(schema, head, adb)), &signature).is_ok()
    }

    #[test]
    fn a_signature_of_the_real_tool_is_good_by_the_same_rule() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors/apk/samples");
        let pem = fs::read_to_string(dir.join("test-pub.pem")).unwrap();
        let key = VerifyingKey::from_public_key_pem(&pem).unwrap();
        let blocks =
            Blocks::read(&fs::read(dir.join("demo-signed-1.0-r1.apk")).unwrap(), Schema::Package).unwrap();
        let [block] = blocks.signatures.as_slice() else { panic!("{} signatures", blocks.signatures.len()) };
        assert!(is_good(&key, Schema::Package, &blocks.adb, block));
        assert!(!is_good(&key, Schema::Index, &blocks.adb, block));
        assert!(!is_good(&key, Schema::Package, &blocks.adb[1..], block));
    }

    #[test]
    fn ours_is_good_and_the_same_each_time() {
        let secret = p256::SecretKey::from_slice(&[7; 32]).unwrap();
        let pem = secret.to_pkcs8_pem(LineEnding::LF).unwrap();
        let key = Key::parse(&pem).unwrap();
        let block = key.sign(Schema::Index, b"adb");
        assert!(is_good(key.0.verifying_key(), Schema::Index, b"adb", &block));
        assert_eq!(key.sign(Schema::Index, b"adb"), block);
        let sec1 = secret.to_sec1_pem(LineEnding::LF).unwrap();
        let with_parameters = format!(
            "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n{}",
            *sec1
        );
        assert_eq!(Key::parse(&with_parameters).unwrap().sign(Schema::Index, b"adb"), block);
        let why = Key::parse("-----BEGIN NOTHING-----").err().unwrap();
        assert!(why.contains("prime256v1"), "{why}");
    }
}
