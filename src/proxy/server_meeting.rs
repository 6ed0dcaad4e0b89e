//! How a connection to the server begins: who is there, and what he wants.

use std::io::{self, ErrorKind::WouldBlock};
use std::rc::Rc;
use std::time::Duration;

use bsbf_noise::handshake::{HELLO, Identity, Random, Responder};

use super::accounts::Account;
use super::channel::Channel;
use super::greeting::read_all;
use super::relay;
use super::scratch;
use super::server::Server;
use crate::sys::clock;
use crate::sys::random;
use crate::sys::stream::Stream;
use crate::wire::vless::{Command, MAX_REQUEST, Request};

/// Between two reads of somebody who is told nothing.
const PAUSE: Duration = Duration::from_millis(10);

/// A client, and what he asks for.
pub struct Met {
    /// Who he is.
    pub account: Rc<Account>,
    /// His connection.
    pub stream: Channel,
    /// What he asks for.
    pub command: Command,
    /// What came behind that.
    pub rest: Vec<u8>,
}

impl Server {
    /// Hears from somebody at this port who he is, and what he wants.
    pub(super) async fn meet(&self, stream: Stream, port: u16) -> io::Result<Met> {
        match self.secure.get() {
            Some((secure, identity)) if *secure == port => {
                let (account, stream) = self.greet(stream, identity).await?;
                let (request, rest) = request(&stream).await?;
                // Whose UUID it has does not count: the key says who it is.
                Ok(Met { account, stream, command: request.command, rest })
            }
            _ => {
                let stream = Channel::from(stream);
                let (request, rest) = request(&stream).await?;
                let account = self.accounts.borrow().find(&request.user);
                let account = account.ok_or(io::ErrorKind::PermissionDenied)?;
                Ok(Met { account, stream, command: request.command, rest })
            }
        }
    }

    /// Makes an encrypted connection of one. A stranger is read from until he, or the server's patience, has ended: when he
    /// is left would tell him how far he came.
    async fn greet(&self, stream: Stream, identity: &Identity) -> io::Result<(Rc<Account>, Channel)> {
        let mut hello = [0; HELLO];
        read_all(&stream, &mut hello).await?;
        let random = random::bytes()?;
        if let Some((account, responder)) = self.recognise(identity, &hello, &random) {
            let (reply, session) = responder.reply().map_err(|_| io::ErrorKind::InvalidData)?;
            stream.write_all(&reply).await?;
            return Ok((account, Channel::sealed(stream, session)));
        }
        loop {
            match scratch::with(|buffer| stream.try_read(buffer)) {
                Ok(0) => return Err(io::ErrorKind::PermissionDenied.into()),
                // However fast he is, the others have their turn.
                Ok(_) => drop(smol::Timer::after(PAUSE).await),
                Err(e) if e.kind() == WouldBlock => stream.readable().await?,
                Err(e) => return Err(e),
            }
        }
    }

    /// The client who has begun a handshake just now.
    fn recognise(
        &self,
        identity: &Identity,
        hello: &[u8; HELLO],
        random: &Random,
    ) -> Option<(Rc<Account>, Responder)> {
        let responder = Responder::read(identity, hello, random).ok()?;
        let account = self.accounts.borrow().find_key(&responder.client)?;
        let now = Duration::from_micros(clock::now().0);
        let is_new = account.seen.borrow_mut().admits(responder.time, now);
        is_new.then_some((account, responder))
    }
}

/// What a client says first, and what it has said behind that.
async fn request(stream: &Channel) -> io::Result<(Request, Vec<u8>)> {
    let mut bytes = Vec::new();
    loop {
        match relay::append(stream, &mut bytes) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => {}
            Err(e) if e.kind() == WouldBlock => {
                stream.readable().await?;
                continue;
            }
            Err(e) => return Err(e),
        }
        match Request::parse(&bytes) {
            Ok(Some((request, length))) => return Ok((request, bytes.split_off(length))),
            Ok(None) if bytes.len() < MAX_REQUEST => {}
            _ => return Err(io::ErrorKind::InvalidData.into()),
        }
    }
}
