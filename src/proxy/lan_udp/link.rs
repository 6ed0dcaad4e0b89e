//! A connection to the server by which sessions go, each with a number of its own.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::HashMap;
use std::io;
use std::rc::{Rc, Weak};
use std::time::Duration;

use super::session::{Outlet, Session};
use super::silence::Silence;
use super::{MOST, SWEEP};
use crate::proxy::channel::Channel;
use crate::proxy::outgoing::Outgoing;
use crate::proxy::servers::Upstream;
use crate::sys::clock;
use crate::types::Time;
use crate::wire::mux::{Frame, Status};

/// Sessions leave a connection that may hang, but none that is younger than this: where the kernel does not tell what has
/// arrived, a host that nobody answers would have a new one each time that it sends.
const YOUNG: Duration = Duration::from_secs(10);

/// A connection to the server for sessions.
pub struct Link {
    upstream: Rc<Upstream>,
    /// What waits to be sent.
    pub out: Outgoing,
    /// Once it stands.
    stream: OnceCell<Channel>,
    /// Whose frames it carries.
    pub sessions: RefCell<HashMap<u16, Weak<Session>>>,
    next: Cell<u16>,
    is_broken: Cell<bool>,
    began: Time,
    silence: Silence,
}

impl Link {
    /// One to this server, which is still to be made. These bytes go first.
    pub fn new(upstream: Rc<Upstream>, first: Vec<u8>) -> Rc<Link> {
        Rc::new(Link {
            upstream,
            out: Outgoing::new(first),
            stream: OnceCell::new(),
            sessions: RefCell::default(),
            next: Cell::new(0),
            is_broken: Cell::new(false),
            began: clock::now(),
            silence: Silence::default(),
        })
    }

    /// The server that it leads to.
    pub fn upstream(&self) -> &Upstream {
        &self.upstream
    }

    /// It stands.
    pub fn stands(&self, stream: Channel) -> &Channel {
        self.stream.get_or_init(|| stream)
    }

    /// Sends a frame; false if it was dropped.
    pub fn send(&self, frame: &Frame<'_>, now: Time) -> bool {
        let is_sent = self.out.push(frame);
        if is_sent {
            self.silence.begin(now, self.written());
        }
        is_sent
    }

    /// Something has come by it.
    pub fn heard(&self) {
        self.silence.end();
    }

    /// Whether it may hang.
    pub fn is_silent(&self, now: Time) -> bool {
        if now.since(self.began) < YOUNG || !self.silence.is_long(now) {
            return false;
        }
        match self.stream.get().and_then(Channel::unacknowledged) {
            Some(bytes) => self.silence.goes_on(now, self.written(), bytes),
            // It does not stand yet, or nobody knows.
            None => true,
        }
    }

    /// Bytes that the kernel has taken, in all.
    fn written(&self) -> u64 {
        let plain = self.out.written();
        self.stream.get().map_or(plain, |stream| stream.written(plain))
    }

    /// Whether datagrams get to this server by it.
    pub fn leads_to(&self, upstream: &Rc<Upstream>) -> bool {
        !self.is_broken.get() && Rc::ptr_eq(&self.upstream, upstream)
    }

    /// It has ended. Those whose sessions it carried.
    pub fn end(self: &Rc<Self>) -> Vec<Rc<Session>> {
        self.is_broken.set(true);
        let sessions = self.sessions.borrow();
        sessions.values().filter_map(Weak::upgrade).filter(|session| session.is_on(self)).collect()
    }

    /// The session with this number.
    pub fn session(self: &Rc<Self>, number: u16) -> Option<Rc<Session>> {
        let session = self.sessions.borrow().get(&number).and_then(Weak::upgrade);
        session.filter(|session| session.is_on(self))
    }

    /// Waits until it has had no session for so long.
    pub async fn idle(self: &Rc<Self>, linger: Duration) -> io::Result<()> {
        let mut since = None;
        loop {
            smol::Timer::after(SWEEP).await;
            let mut sessions = self.sessions.borrow_mut();
            sessions.retain(|_, session| session.upgrade().is_some_and(|session| session.is_on(self)));
            let now = clock::now();
            since = if sessions.is_empty() { since.or(Some(now)) } else { None };
            if since.is_some_and(|since| now.since(since) >= linger) {
                return Ok(());
            }
        }
    }

    /// Takes a session over, with its id, by which the server knows it again.
    pub fn carry(self: Rc<Self>, session: &Rc<Session>, outlet: &mut Outlet) {
        let is_its = matches!(outlet, Outlet::Link { link, .. } if Rc::ptr_eq(link, &self));
        if let Some(number) = self.number().filter(|_| !is_its) {
            self.sessions.borrow_mut().insert(number, Rc::downgrade(session));
            *outlet = Outlet::Link { link: self, number, is_new: true };
        }
    }

    /// Tells the server that a session has ended.
    pub fn end_session(&self, number: u16) {
        let status = Status::End { broken: false };
        self.out.push(&Frame { session: number, status, target: None, global_id: [0; 8], data: None });
        self.sessions.borrow_mut().remove(&number);
    }

    /// A number that no session has here.
    pub fn number(&self) -> Option<u16> {
        let sessions = self.sessions.borrow();
        for _ in 0..=MOST {
            let number = self.next.get().wrapping_add(1).max(1);
            self.next.set(number);
            if !sessions.contains_key(&number) {
                return Some(number);
            }
        }
        None
    }
}
