//! The router's half of UDP: a session for each socket of a LAN host, whoever it sends to, with answers from whoever was
//! asked. Sessions share a connection to the server, so that a question to a DNS server opens nothing; one that carries
//! much has a connection to itself, where it holds up nobody.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io::{self, ErrorKind::WouldBlock};
use std::net::SocketAddr;
use std::rc::{Rc, Weak};
use std::time::Duration;

use smol::future::FutureExt;

use super::client::{Client, Way};
use super::servers::Upstream;
use super::turn::Turn;
use super::{frames, relay, scratch};
use crate::sys::clock;
use crate::sys::datagrams::{Datagrams, Redirected, Spoofed};
use crate::sys::random;
use crate::tasks::spawn;
use crate::types::Time;
use crate::wire::mux::{Frame, Network, Status};
use crate::wire::tproxy::DIRECT;
use crate::wire::vless::{Command, Destination, Request};

mod asked;
mod link;
mod session;
mod silence;
#[cfg(test)]
mod tests;

use link::Link;
use session::{Outlet, Session};

/// A session that nothing has answered yet ends after this, one that has been answered after that: before the router's
/// conntrack forgets them (30 and 120 s by Linux's default), for what comes later would leave past the proxy.
const UNANSWERED: Duration = Duration::from_secs(25);
const ANSWERED: Duration = Duration::from_secs(110);
/// After an error of the socket.
const CALM: Duration = Duration::from_millis(10);
/// How often the idle are looked for.
const SWEEP: Duration = Duration::from_secs(5);
/// Sessions at a time: descriptors and memory of a small router. Of more the oldest end.
const MOST: usize = 2048;
/// Addresses that answers come from at a time.
const MOST_ANSWERING: usize = 512;
/// A shared connection without sessions is kept so long, for the next.
const LINGER: Duration = Duration::from_secs(60);

/// All sessions of the LAN.
pub struct LanUdp {
    client: Rc<Client>,
    sessions: RefCell<HashMap<SocketAddr, Rc<Session>>>,
    /// The connection that sessions share.
    shared: RefCell<Weak<Link>>,
    /// Sockets that answer in the name of others, each with its last use.
    answering: RefCell<HashMap<SocketAddr, (Spoofed, Time)>>,
}

impl LanUdp {
    /// With none.
    pub fn new(client: Rc<Client>) -> Rc<LanUdp> {
        Rc::new(LanUdp {
            client,
            sessions: RefCell::default(),
            shared: RefCell::default(),
            answering: RefCell::default(),
        })
    }

    /// Takes what comes from the LAN, without end.
    pub async fn serve(self: Rc<Self>, socket: Redirected) {
        let mut turn = Turn::default();
        loop {
            let received = scratch::with(|buffer| {
                let datagram = socket.try_receive(buffer)?;
                if let Some(datagram) = datagram {
                    self.take(datagram.from, datagram.to, buffer.get(..datagram.length).unwrap_or_default());
                }
                io::Result::Ok(())
            });
            match received {
                Ok(()) => turn.done().await,
                Err(e) if e.kind() == WouldBlock => {
                    if let Err(e) = socket.readable().await {
                        return log::error!("cannot wait for the LAN's datagrams: {e}");
                    }
                }
                Err(e) => {
                    log::debug!("a datagram from the LAN: {e}");
                    smol::Timer::after(CALM).await;
                }
            }
        }
    }

    /// Ends the idle, without end.
    pub async fn sweep(self: Rc<Self>) {
        loop {
            smol::Timer::after(SWEEP).await;
            let now = clock::now();
            self.sessions.borrow_mut().retain(|_, session| {
                let lives = session.lives(now);
                if !lives {
                    session.end();
                }
                lives
            });
            self.answering.borrow_mut().retain(|_, (_, last)| now.since(*last) < ANSWERED);
        }
    }

    fn take(self: &Rc<Self>, host: SocketAddr, to: SocketAddr, data: &[u8]) {
        if to.ip().is_loopback() || to.port() == 0 {
            return;
        }
        let now = clock::now();
        let known = self.sessions.borrow().get(&host).cloned();
        let session = match known {
            Some(session) if !session.is_stale(&self.client.way()) => session,
            _ => match self.begin(host, now) {
                Some(session) => session,
                None => return,
            },
        };
        session.ask(to, now, self.sessions.borrow().len());
        if session.carries_much(data.len(), now) {
            self.give_own_link(&session);
        }
        self.leave_silent_link(&session, now);
        self.send(&session, to, data, now);
    }

    fn begin(self: &Rc<Self>, host: SocketAddr, now: Time) -> Option<Rc<Session>> {
        let mut sessions = self.sessions.borrow_mut();
        if sessions.len() >= MOST && !sessions.contains_key(&host) {
            // What nobody has answered goes first, as of conntrack; then what has been quiet for longest.
            let oldest =
                sessions.values().min_by_key(|session| (session.is_answered.get(), session.last.get().0));
            let oldest = oldest.map(|session| session.host);
            if let Some(session) = oldest.and_then(|oldest| sessions.remove(&oldest)) {
                session.end();
            }
        }
        let outlet = match self.client.way() {
            Way::Server(upstream) => {
                let link = self.shared_link(&upstream);
                let number = link.number()?;
                Outlet::Link { link, number, is_new: true }
            }
            Way::Direct => Outlet::Direct(Default::default()),
            Way::Reject => return None,
        };
        let session = Session::new(host, random::bytes().ok()?, outlet, now);
        sessions.insert(host, session.clone());
        Some(session)
    }

    fn send(self: &Rc<Self>, session: &Rc<Session>, to: SocketAddr, data: &[u8], now: Time) {
        match &mut *session.outlet.borrow_mut() {
            Outlet::Link { link, number, is_new } => {
                let meter = &self.client.meter;
                meter.up.count(data.len());
                let frame = Frame {
                    session: *number,
                    status: if *is_new { Status::New } else { Status::Keep },
                    target: Some((Network::Udp, Destination::Address(to))),
                    global_id: if *is_new { session.id } else { [0; 8] },
                    data: Some(data),
                };
                if link.send(&frame, now) {
                    *is_new = false;
                }
            }
            Outlet::Direct(sockets) => {
                let meter = &self.client.direct;
                meter.up.count(data.len());
                let [v4, v6] = sockets;
                let place = if to.is_ipv4() { v4 } else { v6 };
                if place.is_none() {
                    *place = Datagrams::open(to, DIRECT).ok().map(|socket| {
                        let socket = Rc::new(socket);
                        let reads = self.clone().answers(Rc::downgrade(session), socket.clone());
                        (socket, spawn(&self.client.executor, reads))
                    });
                }
                if let Some((socket, _)) = place
                    && let Err(e) = socket.send(data, to)
                {
                    log::debug!("cannot send to {to}: {e}");
                }
            }
        }
    }

    /// The connection that sessions share, a new one if there is none.
    fn shared_link(self: &Rc<Self>, upstream: &Rc<Upstream>) -> Rc<Link> {
        let mut shared = self.shared.borrow_mut();
        if let Some(link) = shared.upgrade().filter(|link| link.leads_to(upstream)) {
            if !link.is_silent(clock::now()) {
                return link;
            }
            // They may hang as it does.
            self.client.ahead.end_all();
        }
        let link = self.open_link(upstream, LINGER);
        *shared = Rc::downgrade(&link);
        link
    }

    /// Gives a session a connection to itself, if it has none: with its id, by which the server knows it again.
    fn give_own_link(self: &Rc<Self>, session: &Rc<Session>) {
        let mut outlet = session.outlet.borrow_mut();
        let Outlet::Link { link, .. } = &*outlet else { return };
        let is_shared = self.shared.borrow().as_ptr() == Rc::as_ptr(link);
        let Way::Server(upstream) = self.client.way() else { return };
        if !is_shared {
            return;
        }
        self.open_link(&upstream, SWEEP).carry(session, &mut outlet);
    }

    /// Has a session go on by another connection if its own may hang.
    fn leave_silent_link(self: &Rc<Self>, session: &Rc<Session>, now: Time) {
        let mut outlet = session.outlet.borrow_mut();
        if !matches!(&*outlet, Outlet::Link { link, .. } if link.is_silent(now)) {
            return;
        }
        if let Way::Server(upstream) = self.client.way() {
            self.shared_link(&upstream).carry(session, &mut outlet);
        }
    }

    /// Opens one; frames wait until it is there. It ends when it has had no session for so long.
    fn open_link(self: &Rc<Self>, upstream: &Rc<Upstream>, linger: Duration) -> Rc<Link> {
        let request = Request { user: self.client.settings.user, command: Command::Mux };
        let link = Link::new(upstream.clone(), request.bytes());
        let (lan, of) = (self.clone(), link.clone());
        let task = async move {
            if let Err(e) = lan.run_link(&of, linger).await {
                if e.kind() == relay::NO_ANSWER {
                    of.upstream().doubt();
                }
                log::debug!("a connection for datagrams: {e}");
            }
            // The next datagram of each begins anew, on another one.
            for session in of.end() {
                lan.sessions.borrow_mut().remove(&session.host);
            }
        };
        spawn(&self.client.executor, task).detach();
        link
    }

    async fn run_link(&self, link: &Rc<Link>, linger: Duration) -> io::Result<()> {
        let stream = link.stands(self.client.server_connection(link.upstream()).await?);
        let reads = async {
            relay::skip_head(stream).await?;
            frames::read(stream, Vec::new(), |frame| self.answer(link, frame)).await
        };
        reads.or(link.out.run(stream)).or(link.idle(linger)).await
    }

    /// A frame from the server.
    fn answer(&self, link: &Rc<Link>, frame: Frame<'_>) {
        link.heard();
        let Some(session) = link.session(frame.session) else { return };
        if let Status::End { .. } = frame.status {
            self.sessions.borrow_mut().remove(&session.host);
            return;
        }
        let (Some((Network::Udp, Destination::Address(from))), Some(data)) = (frame.target, frame.data)
        else {
            return;
        };
        let meter = &self.client.meter;
        meter.down.count(data.len());
        self.give(&session, from, data);
    }

    /// Answers of a session that leaves past the proxy.
    async fn answers(self: Rc<Self>, session: Weak<Session>, socket: Rc<Datagrams>) {
        let mut turn = Turn::default();
        loop {
            let received = scratch::with(|buffer| {
                let (length, from) = socket.try_receive(buffer)?;
                let meter = &self.client.direct;
                meter.down.count(length);
                if let Some(session) = session.upgrade() {
                    self.give(&session, from, buffer.get(..length).unwrap_or_default());
                }
                io::Result::Ok(())
            });
            match received {
                Ok(()) => turn.done().await,
                Err(e) if e.kind() == WouldBlock => {
                    if socket.readable().await.is_err() {
                        return;
                    }
                }
                Err(e) => {
                    log::debug!("a session past the proxy: {e}");
                    turn.done().await;
                }
            }
        }
    }

    /// Gives a datagram to the host, from whoever sent it; but from nobody whom it has not asked.
    fn give(&self, session: &Session, from: SocketAddr, data: &[u8]) {
        let now = clock::now();
        if !session.hears(from, data.len(), now) {
            return;
        }
        let mut answering = self.answering.borrow_mut();
        if !answering.contains_key(&from) {
            if answering.len() >= MOST_ANSWERING {
                let oldest =
                    answering.iter().min_by_key(|(_, (_, last))| last.0).map(|(address, _)| *address);
                oldest.map(|address| answering.remove(&address));
            }
            match Spoofed::open(from, DIRECT) {
                Ok(socket) => drop(answering.insert(from, (socket, now))),
                Err(e) => return log::debug!("cannot answer as {from}: {e}"),
            }
        }
        if let Some((socket, last)) = answering.get_mut(&from) {
            *last = now;
            if let Err(e) = socket.send(data, session.host) {
                log::debug!("cannot answer {}: {e}", session.host);
            }
        }
    }
}
