//! A session of UDP at the server: a socket of a client's host, as the Internet sees it.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::SocketAddr;
use std::rc::{Rc, Weak};
use std::time::Duration;

use smol::Task;

use super::accounts::Account;
use super::outgoing::Outgoing;
use super::scratch;
use super::server::Server;
use super::turn::Turn;
use crate::sys::clock;
use crate::sys::datagrams::Datagrams;
use crate::tasks::spawn;
use crate::types::Time;
use crate::wire::mux::{Frame, GlobalId, Network, Status};
use crate::wire::vless::Destination;

/// Of so many sessions that were left alone for longest the quietest goes. Not of all, so that a client with many that
/// begins more all the time does not keep the server busy.
const LOOKED_AT: usize = 16;
/// What a name resolved to is good for so long, so that a stream of datagrams to it is one question.
const REMEMBERED: Duration = Duration::from_secs(60);
/// Datagrams that wait for a name; of more, what comes later is lost.
const MOST_WAITING: usize = 8;

/// With who reads it.
type Socket = (Rc<Datagrams>, Task<()>);

/// A connection of many sessions.
pub struct Link {
    /// What goes to the client.
    pub out: Outgoing,
    /// By their numbers, each with the destination that it began with: it is meant where a frame has none.
    pub sessions: RefCell<HashMap<u16, (Rc<Session>, Destination)>>,
}

impl Link {
    /// Tells the client that a session is no more.
    pub fn tell_end(&self, session: u16, broken: bool) {
        let status = Status::End { broken };
        self.out.push(&Frame { session, status, target: None, global_id: [0; 8], data: None });
    }
}

/// The sessions of a client, on whichever connection. They are in it as long as they live.
#[derive(Default)]
pub struct Sessions {
    /// Those that are known again on another connection.
    known: RefCell<HashMap<GlobalId, Weak<Session>>>,
    /// All, the one that was looked at longest ago first.
    all: RefCell<BTreeMap<u64, Weak<Session>>>,
    next: Cell<u64>,
}

impl Sessions {
    /// How many there are.
    pub fn count(&self) -> usize {
        self.all.borrow().len()
    }

    /// How many ids there are.
    #[cfg(test)]
    pub fn known(&self) -> usize {
        self.known.borrow().len()
    }

    /// The one that has this id.
    pub fn find(&self, id: GlobalId) -> Option<Rc<Session>> {
        self.known.borrow().get(&id).and_then(Weak::upgrade)
    }

    /// Ends one in which nothing was sent for long.
    pub fn end_a_quiet_one(&self) {
        let mut quietest: Option<Rc<Session>> = None;
        for _ in 0..LOOKED_AT.min(self.count()) {
            let first = self.all.borrow_mut().pop_first();
            let Some(session) = first.and_then(|(_, session)| session.upgrade()) else { continue };
            self.put_last(&session);
            if quietest.as_ref().is_none_or(|quietest| session.last.get() < quietest.last.get()) {
                quietest = Some(session);
            }
        }
        if let Some(session) = quietest {
            session.end();
        }
    }

    fn put_last(&self, session: &Rc<Session>) {
        let place = self.next.get();
        self.next.set(place + 1);
        session.place.set(place);
        self.all.borrow_mut().insert(place, Rc::downgrade(session));
    }
}

/// A name that datagrams go to.
enum Name {
    /// It is being looked up, and these wait for it.
    Asked(Destination, Vec<Vec<u8>>),
    /// It had this address then.
    Known(Destination, SocketAddr, Time),
}

/// A socket of a client's host, as the Internet sees it.
pub struct Session {
    account: Rc<Account>,
    id: GlobalId,
    place: Cell<u64>,
    mark: u32,
    /// Of IPv4 and IPv6, opened when the first datagram wants them, each with who reads it.
    sockets: [RefCell<Option<Socket>>; 2],
    /// Where answers go: a connection, and the session's number there.
    way: RefCell<(Weak<Link>, u16)>,
    /// When something was sent or came.
    pub last: Cell<Time>,
    /// The name that was meant last.
    name: RefCell<Option<Name>>,
}

impl Session {
    /// A new one, if the client may have it. An id of zero is none.
    pub fn begin(
        account: &Rc<Account>,
        id: GlobalId,
        mark: u32,
        link: &Rc<Link>,
        number: u16,
    ) -> Option<Rc<Session>> {
        if !account.lets_in_session() {
            return None;
        }
        let session = Rc::new(Session {
            account: account.clone(),
            id,
            place: Cell::new(0),
            mark,
            sockets: Default::default(),
            way: RefCell::new((Rc::downgrade(link), number)),
            last: Cell::new(clock::now()),
            name: RefCell::default(),
        });
        account.sessions.put_last(&session);
        if id != [0; 8] {
            account.sessions.known.borrow_mut().insert(id, Rc::downgrade(&session));
        }
        Some(session)
    }

    /// Goes on by this connection, and is not the other one's any more.
    pub fn change_to(&self, link: &Rc<Link>, number: u16) {
        self.end();
        self.way.replace((Rc::downgrade(link), number));
    }

    /// Its connection forgets it, and tells the client.
    fn end(&self) {
        let way = self.way.borrow();
        if let Some(link) = way.0.upgrade() {
            link.sessions.borrow_mut().remove(&way.1);
            link.tell_end(way.1, false);
        }
    }

    /// Sends for the client. What cannot be sent is lost, as datagrams are.
    pub fn send(self: &Rc<Self>, server: &Rc<Server>, data: &[u8], to: SocketAddr) {
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

    /// Whether a name of its is being looked up.
    #[cfg(test)]
    pub fn asks(&self) -> bool {
        matches!(&*self.name.borrow(), Some(Name::Asked(..)))
    }

    /// The same to a name, which the server looks up.
    pub fn send_to_name(self: &Rc<Self>, server: &Rc<Server>, data: &[u8], to: &Destination) {
        let known = match &mut *self.name.borrow_mut() {
            // One at a time.
            Some(Name::Asked(name, waiting)) => {
                if name == to && waiting.len() < MOST_WAITING {
                    waiting.push(data.to_vec());
                }
                return;
            }
            Some(Name::Known(name, address, since))
                if name == to && clock::now().since(*since) < REMEMBERED =>
            {
                Some(*address)
            }
            _ => None,
        };
        if let Some(address) = known {
            return self.send(server, data, address);
        }
        let Some(turn) = self.account.lookups.try_acquire_arc() else {
            return log::debug!("a datagram to a name is lost: too many are being looked up");
        };
        self.name.replace(Some(Name::Asked(to.clone(), vec![data.to_vec()])));
        // Whoever waits for an answer does not keep the session.
        let session = Rc::downgrade(self);
        let (executor, server, to) = (server.executor.clone(), server.clone(), to.clone());
        let asks = async move {
            let found = server.look_up(to.clone()).await;
            drop(turn);
            let Some(session) = session.upgrade() else { return };
            let Some(Name::Asked(_, waiting)) = session.name.take() else { return };
            match found.map(|addresses| addresses.first().copied()) {
                Ok(Some(address)) => {
                    session.name.replace(Some(Name::Known(to, address, clock::now())));
                    waiting.iter().for_each(|data| session.send(&server, data, address));
                }
                Ok(None) => {}
                Err(e) => log::debug!("a datagram to a name: {e}"),
            }
        };
        spawn(&executor, asks).detach();
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let sessions = &self.account.sessions;
        sessions.all.borrow_mut().remove(&self.place.get());
        // Another one may have its id by now.
        let mut known = sessions.known.borrow_mut();
        if known.get(&self.id).is_some_and(|session| session.strong_count() == 0) {
            known.remove(&self.id);
        }
        self.account.leaves_session();
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
            if let Some(link) = way.0.upgrade() {
                link.out.push(&Frame {
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
