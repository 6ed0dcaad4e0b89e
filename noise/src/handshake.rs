//! The handshake: one message from the client, which knows the server by its key, and one back from the server, which learns
//! from the first whose it is.
//!
//! The first message has a time in it, so that the server can tell one that was said before ([`crate::seen`]). Who has only
//! heard it can say it again and no more: what follows takes the secret of that one connection.

use snow::params::{BaseChoice, CipherChoice, DHChoice, HandshakeChoice, HandshakeModifierList};
use snow::params::{HandshakePattern, HashChoice, NoiseParams};
use snow::{Builder, HandshakeState};

use crate::Forged;
use crate::frames::Session;
use crate::keys::{PublicKey, SecretKey};
use crate::x25519::Parts;

/// Bytes of the time.
const TIME: usize = 8;
/// Bytes of the first message: a key of this connection alone, the client's sealed, and the time sealed.
pub const HELLO: usize = 32 + (32 + 16) + (TIME + 16);
/// Bytes of the second: a key of this connection alone, and nothing sealed.
pub const REPLY: usize = 32 + 16;

const NAME: &str = "Noise_IK_25519_ChaChaPoly_BLAKE2s";
/// Both ends have to mean the same by what follows.
const PROLOGUE: &[u8] = b"bsbf proxy 1";

/// Random bytes for one handshake, which nobody can guess and which are used for nothing else.
pub type Random = [u8; 32];

/// A secret key with the public one, which takes as long to find as a fifth of a handshake.
pub struct Identity {
    secret: SecretKey,
    public: PublicKey,
}

impl Identity {
    /// Of this key.
    pub fn new(secret: SecretKey) -> Identity {
        let public = secret.public();
        Identity { secret, public }
    }

    /// What it is known by.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Begins a handshake, as the initiator with the other's key.
    fn begin(
        &self,
        other: Option<&PublicKey>,
        random: &Random,
        prologue: &[u8],
    ) -> Result<Box<HandshakeState>, Forged> {
        let handshake = HandshakeChoice {
            pattern: HandshakePattern::IK,
            modifiers: HandshakeModifierList { list: Vec::new() },
        };
        let (dh, cipher, hash) = (DHChoice::Curve25519, CipherChoice::ChaChaPoly, HashChoice::Blake2s);
        let params = NoiseParams::new(NAME.to_owned(), BaseChoice::Noise, handshake, dh, cipher, hash);
        let parts = Parts { known: (*self.secret.bytes(), *self.public.bytes()) };
        let builder = Builder::with_resolver(params, Box::new(parts))
            .prologue(prologue)?
            .local_private_key(self.secret.bytes())?
            // Its name warns of those who give the same twice.
            .fixed_ephemeral_key_for_testing_only(random);
        Ok(Box::new(match other {
            Some(other) => builder.remote_public_key(other.bytes())?.build_initiator()?,
            None => builder.build_responder()?,
        }))
    }
}

/// The client, which waits for the answer.
pub struct Initiator(Box<HandshakeState>);

impl Initiator {
    /// Begins, at this time in nanoseconds since 1970, which is no other handshake's. Gives what the server is to be told.
    ///
    /// # Errors
    /// The keys are none.
    #[inline(never)]
    pub fn new(
        identity: &Identity,
        server: &PublicKey,
        time: u64,
        random: &Random,
    ) -> Result<(Initiator, [u8; HELLO]), Forged> {
        let mut state = identity.begin(Some(server), random, PROLOGUE)?;
        let mut hello = [0; HELLO];
        state.write_message(&time.to_be_bytes(), &mut hello)?;
        Ok((Initiator(state), hello))
    }

    /// Takes the answer.
    ///
    /// # Errors
    /// It is not the server's.
    #[inline(never)]
    pub fn finish(mut self, reply: &[u8; REPLY]) -> Result<Session, Forged> {
        self.0.read_message(reply, &mut [])?;
        Ok(Session::new(self.0.into_transport_mode()?))
    }
}

/// The server, which has been told who is there.
pub struct Responder {
    state: Box<HandshakeState>,
    /// Whose it is.
    pub client: PublicKey,
    /// When he began, in nanoseconds since 1970 by his clock.
    pub time: u64,
}

impl Responder {
    /// Takes what a client says first.
    ///
    /// # Errors
    /// It is not from somebody who knows our key.
    #[inline(never)]
    pub fn read(identity: &Identity, hello: &[u8; HELLO], random: &Random) -> Result<Responder, Forged> {
        let mut state = identity.begin(None, random, PROLOGUE)?;
        let mut time = [0; TIME];
        state.read_message(hello, &mut time)?;
        let client = state.get_remote_static().and_then(PublicKey::new).ok_or(Forged)?;
        Ok(Responder { state, client, time: u64::from_be_bytes(time) })
    }

    /// Answers one who is let in.
    ///
    /// # Errors
    /// Not of whom has been read from.
    #[inline(never)]
    pub fn reply(mut self) -> Result<([u8; REPLY], Session), Forged> {
        let mut reply = [0; REPLY];
        self.state.write_message(&[], &mut reply)?;
        Ok((reply, Session::new(self.state.into_transport_mode()?)))
    }
}

#[cfg(test)]
pub(crate) mod tests;
