//! The server's half of UDP: sessions of a client, each with sockets of its own, so that whoever it has sent to can
//! answer, and others too.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::rc::{Rc, Weak};
use std::time::Duration;

use smol::Task;
use smol::future::FutureExt;

use super::accounts::Account;
use super::frames;
use super::outgoing::Outgoing;
use super::relay;
use super::scratch;
use super::server::Server;
use super::turn::Turn;
use crate::sys::clock;
use crate::sys::datagrams::Datagrams;
use crate::sys::stream::Stream;
use crate::tasks::spawn;
use crate::types::Time;
use crate::wire::mux::{Frame, GlobalId, Network, Status};
use crate::wire::vless::{self, Destination, Uuid};

/// A session without a datagram for so long ends. Longer than a client's router remembers it.
const IDLE: Duration = Duration::from_secs(180);
/// How often the idle are looked for.
const SWEEP: Duration = Duration::from_secs(15);
/// Sessions of one connection; each may take two descriptors.
const MOST_SESSIONS: usize = 4096;

/// The sessions that are known again on another connection.
pub type Sessions = RefCell<HashMap<(Uuid, GlobalId), Weak<Session>>>;

/// With who reads it.
type Socket = (Rc<Datagrams>, Task<()>);

/// A socket of a client's host, as the Internet sees it.
pub struct Session {
    mark: u32,
    /// Of IPv4 and IPv6, opened when the first datagram wants them, each with who reads it.
    sockets: [RefCell<Option<Socket>>; 2],
    /// Where answers go: a connection, and the session's number there.
    way: RefCell<(Weak<Outgoing>, u16)>,
    last: Cell<Time>,
    account: Rc<Account>,
}

impl Session {
    fn new(account: &Rc<Account>, mark: u32, out: &Rc<Outgoing>, number: u16) -> Rc<Session> {
        Rc::new(Session {
            mark,
            sockets: Default::default(),
            way: RefCell::new((Rc::downgrade(out), number)),
            last: Cell::new(clock::now()),
            account: account.clone(),
        })
    }

    /// Sends for the client. What cannot be sent is lost, as datagrams are.
    fn send(self: &Rc<Self>, server: &Rc<Server>, data: &[u8], to: SocketAddr) {
        if !server.lets(&to) {
            return;
        }
        self.last.set(clock::now());
        let meter = &self.account.meter;
        if !meter.up.admits(data.len()) {
            return;
        }
        let mut socket = self.sockets[usize::from(to.is_ipv6())].borrow_mut();
        if socket.is_none() {
            match Datagrams::open(to, self.mark) {
                Ok(opened) => {
                    let opened = Rc::new(opened);
                    let reads = spawn(&server.executor, answers(Rc::downgrade(self), opened.clone()));
                    *socket = Some((opened, reads));
                }
                Err(e) => return log::debug!("cannot open a socket for a session: {e}"),
            }
        }
        if let Some((socket, _)) = &*socket
            && let Err(e) = socket.send(data, to)
        {
            log::debug!("cannot send to {to}: {e}");
        }
    }
}

/// Brings answers to the client.
async fn answers(session: Weak<Session>, socket: Rc<Datagrams>) {
    let mut turn = Turn::default();
    loop {
        let received = scratch::with(|buffer| {
            let (length, from) = socket.try_receive(buffer)?;
            let Some(session) = session.upgrade() else { return Ok(()) };
            session.last.set(clock::now());
            let meter = &session.account.meter;
            if !meter.down.admits(length) {
                return Ok(());
            }
            let way = session.way.borrow();
            if let Some(out) = way.0.upgrade() {
                out.push(&Frame {
                    session: way.1,
                    status: Status::Keep,
                    target: Some((Network::Udp, Destination::Address(from))),
                    global_id: [0; 8],
                    data: buffer.get(..length),
                });
            }
            io::Result::Ok(())
        });
        match received {
            Ok(()) => turn.done().await,
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                if let Err(e) = socket.readable().await {
                    return log::debug!("a session's socket: {e}");
                }
            }
            // A host said that nobody listens: the next datagram may find somebody.
            Err(e) => {
                log::debug!("a session's socket: {e}");
                turn.done().await;
            }
        }
    }
}

/// A connection of many sessions.
pub async fn many(
    server: &Rc<Server>,
    account: &Rc<Account>,
    stream: Stream,
    rest: Vec<u8>,
    mark: u32,
) -> io::Result<()> {
    let out = Rc::new(Outgoing::new(vless::ANSWER.to_vec()));
    let sessions = RefCell::default();
    let connection = Connection { server, account, out: &out, mark, sessions: &sessions };
    let reads = frames::read(&stream, rest, |frame| connection.take(frame));
    let sweeps = async {
        loop {
            smol::Timer::after(SWEEP).await;
            connection.sweep();
        }
    };
    reads.or(out.run(&stream)).or(sweeps).await
}

struct Connection<'a> {
    server: &'a Rc<Server>,
    account: &'a Rc<Account>,
    out: &'a Rc<Outgoing>,
    mark: u32,
    /// Each with the destination that it began with: it is meant where a frame has none.
    sessions: &'a RefCell<HashMap<u16, (Rc<Session>, Destination)>>,
}

impl Connection<'_> {
    fn take(&self, frame: Frame<'_>) {
        let number = frame.session;
        match frame.status {
            Status::KeepAlive => {}
            Status::End { .. } => drop(self.sessions.borrow_mut().remove(&number)),
            Status::New => match &frame.target {
                Some((Network::Udp, to)) if self.sessions.borrow().len() < MOST_SESSIONS => {
                    let session = self.session(number, frame.global_id);
                    self.sessions.borrow_mut().insert(number, (session.clone(), to.clone()));
                    self.send(&session, to.clone(), frame.data);
                }
                // Connections have connections of their own.
                _ => self.end(number),
            },
            Status::Keep => {
                let session = self.sessions.borrow().get(&number).cloned();
                match session {
                    Some((session, first)) => {
                        self.send(&session, frame.target.map_or(first, |(_, to)| to), frame.data);
                    }
                    None => self.end(number),
                }
            }
        }
    }

    /// A new one, or one that another connection had.
    fn session(&self, number: u16, id: GlobalId) -> Rc<Session> {
        let new = || Session::new(self.account, self.mark, self.out, number);
        if id == [0; 8] {
            return new();
        }
        let mut known = self.server.sessions.borrow_mut();
        let key = (self.account.client.borrow().uuid, id);
        if let Some(session) = known.get(&key).and_then(Weak::upgrade) {
            session.way.replace((Rc::downgrade(self.out), number));
            return session;
        }
        let session = new();
        known.insert(key, Rc::downgrade(&session));
        session
    }

    fn send(&self, session: &Rc<Session>, to: Destination, data: Option<&[u8]>) {
        let Some(data) = data else { return };
        match to {
            Destination::Address(to) => session.send(self.server, data, to),
            Destination::Name(..) => {
                let (server, session, data) = (self.server.clone(), session.clone(), data.to_vec());
                let send = async move {
                    match server.addresses(to).await.map(|addresses| addresses.first().copied()) {
                        Ok(Some(to)) => session.send(&server, &data, to),
                        Ok(None) => {}
                        Err(e) => log::debug!("a datagram to a name: {e}"),
                    }
                };
                spawn(&self.server.executor, send).detach();
            }
        }
    }

    fn end(&self, session: u16) {
        let status = Status::End { broken: true };
        self.out.push(&Frame { session, status, target: None, global_id: [0; 8], data: None });
    }

    fn sweep(&self) {
        let now = clock::now();
        let mut ended = Vec::new();
        self.sessions.borrow_mut().retain(|number, (session, _)| {
            // One that has gone to another connection is not this one's any more.
            let is_here = session.way.borrow().0.as_ptr() == Rc::as_ptr(self.out);
            let lives = is_here && now.since(session.last.get()) < IDLE;
            if !lives {
                ended.push(*number);
            }
            lives
        });
        for number in ended {
            let status = Status::End { broken: false };
            self.out.push(&Frame { session: number, status, target: None, global_id: [0; 8], data: None });
        }
        self.server.sessions.borrow_mut().retain(|_, session| session.strong_count() > 0);
    }
}

/// A connection for one destination: datagrams behind their lengths.
pub async fn one(
    server: &Rc<Server>,
    account: &Rc<Account>,
    stream: Stream,
    to: Destination,
    mut bytes: Vec<u8>,
    mark: u32,
) -> io::Result<()> {
    let addresses = server.addresses(to).await?;
    let to = *addresses.first().ok_or(io::ErrorKind::PermissionDenied)?;
    let socket = Datagrams::open(to, mark)?;
    let last = Cell::new(clock::now());
    let meter = &account.meter;
    let up = async {
        let mut turn = Turn::default();
        loop {
            let mut at = 0;
            while let Some((length, rest)) = bytes.get(at..).and_then(|rest| rest.split_first_chunk::<2>()) {
                let length = usize::from(u16::from_be_bytes(*length));
                let Some(data) = rest.get(..length) else { break };
                last.set(clock::now());
                if meter.up.admits(length)
                    && let Err(e) = socket.send(data, to)
                {
                    log::debug!("cannot send to {to}: {e}");
                }
                at += 2 + length;
            }
            bytes.drain(..at);
            match relay::append(&stream, &mut bytes) {
                Ok(0) => return Ok(()),
                Ok(_) => turn.done().await,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => stream.readable().await?,
                Err(e) => return Err(e),
            }
        }
    };
    let down = async {
        stream.write_all(&vless::ANSWER).await?;
        let mut turn = Turn::default();
        loop {
            let received = scratch::with(|buffer| {
                let (head, body) = buffer.split_at_mut(2);
                let (length, from) = socket.try_receive(body)?;
                head.copy_from_slice(&(length as u16).to_be_bytes());
                // Its other end knows of no other sender.
                Ok((from == to && meter.down.admits(length))
                    .then(|| buffer.get(..2 + length).unwrap_or_default().to_vec()))
            });
            match received {
                Ok(None) => turn.done().await,
                Ok(Some(packet)) => {
                    last.set(clock::now());
                    stream.write_all(&packet).await?;
                }
                Err(e) if io::Error::kind(&e) == io::ErrorKind::WouldBlock => socket.readable().await?,
                Err(e) => {
                    log::debug!("{to}: {e}");
                    turn.done().await;
                }
            }
        }
    };
    let idle = async {
        while clock::now().since(last.get()) < IDLE {
            smol::Timer::after(SWEEP).await;
        }
        Ok(())
    };
    up.or(down).or(idle).await
}
