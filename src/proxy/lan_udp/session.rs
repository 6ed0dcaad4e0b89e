//! A session: what a socket of a LAN host sends, to whomever, and is answered.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;

use smol::Task;

use super::asked::Asked;
use super::link::Link;
use super::{ANSWERED, UNANSWERED};
use crate::proxy::client::Way;
use crate::sys::datagrams::Datagrams;
use crate::types::Time;
use crate::wire::mux::GlobalId;

/// More than so many bytes a second is much.
pub const MUCH: usize = 64 << 10;

/// A socket of a LAN host.
pub struct Session {
    /// Whose it is.
    pub host: SocketAddr,
    /// By which the server knows it on every connection.
    pub id: GlobalId,
    /// How its datagrams leave.
    pub outlet: RefCell<Outlet>,
    asked: RefCell<Asked>,
    /// When something of it went or came last.
    pub last: Cell<Time>,
    /// Whether anybody has answered.
    pub is_answered: Cell<bool>,
    /// Bytes in the second that began then.
    bytes: Cell<usize>,
    began: Cell<Time>,
}

/// How its datagrams leave.
pub enum Outlet {
    /// By a connection to the server, where it has this number; whether it has been announced there.
    Link { link: Rc<Link>, number: u16, is_new: bool },
    /// Past the proxy: of IPv4 and IPv6, each with who reads it.
    Direct([Option<(Rc<Datagrams>, Task<()>)>; 2]),
}

impl Session {
    /// One that begins.
    pub fn new(host: SocketAddr, id: GlobalId, outlet: Outlet, now: Time) -> Rc<Session> {
        let session = Rc::new(Session {
            host,
            id,
            outlet: RefCell::new(outlet),
            asked: RefCell::default(),
            last: Cell::new(now),
            is_answered: Cell::new(false),
            bytes: Cell::new(0),
            began: Cell::new(now),
        });
        session.register();
        session
    }

    fn register(self: &Rc<Self>) {
        if let Outlet::Link { link, number, .. } = &*self.outlet.borrow() {
            link.sessions.borrow_mut().insert(*number, Rc::downgrade(self));
        }
    }

    /// The host sends there; it is one of so many sessions.
    pub fn ask(&self, to: SocketAddr, now: Time, sessions: usize) {
        self.last.set(now);
        self.asked.borrow_mut().ask(to, now, sessions);
    }

    /// Counts what has come for the host; whether it hears it.
    pub fn hears(&self, from: SocketAddr, bytes: usize, now: Time) -> bool {
        self.bytes.set(self.bytes.get() + bytes);
        let hears = self.asked.borrow_mut().hears(from, now);
        if hears {
            self.last.set(now);
            self.is_answered.set(true);
        }
        hears
    }

    /// Counts a datagram of the host; whether the session has carried much, both ways, since this was last asked.
    pub fn carries_much(&self, bytes: usize, now: Time) -> bool {
        let bytes = self.bytes.get() + bytes;
        self.bytes.set(bytes);
        let seconds = now.since(self.began.get()).as_secs();
        if seconds > 0 {
            self.began.set(now);
            self.bytes.set(0);
        }
        bytes as u64 > MUCH as u64 * seconds.max(1)
    }

    /// Whether it goes on; whom it has not heard of for long it forgets.
    pub fn lives(&self, now: Time) -> bool {
        self.asked.borrow_mut().sweep(now);
        now.since(self.last.get()) < if self.is_answered.get() { ANSWERED } else { UNANSWERED }
    }

    /// Whether this connection is its.
    pub fn is_on(&self, of: &Rc<Link>) -> bool {
        matches!(&*self.outlet.borrow(), Outlet::Link { link, .. } if Rc::ptr_eq(link, of))
    }

    /// Whether it goes another way than new ones do: it left past the proxy, and a server answers again; its connection
    /// broke, or is to a server that is not in use any more.
    pub fn is_stale(&self, way: &Way) -> bool {
        match (&*self.outlet.borrow(), way) {
            (Outlet::Link { link, .. }, Way::Server(upstream)) => !link.leads_to(upstream),
            (Outlet::Direct(_), Way::Direct) => false,
            _ => true,
        }
    }

    /// It is over.
    pub fn end(&self) {
        if let Outlet::Link { link, number, is_new: false } = &*self.outlet.borrow() {
            link.end_session(*number);
        }
    }
}
