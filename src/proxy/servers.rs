//! The servers as the router sees them: which of them answer, and which one is used.

use std::cell::{Cell, RefCell};
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use smol::channel::{Receiver, Sender};
use smol::future::FutureExt;

use super::channel::Channel;
use super::client::Client;
use super::greeting::STRANGE;
use super::relay::skip_head;
use crate::sys::clock;
use crate::sys::stream::{Protocol, Stream};
use crate::tasks::spawn;
use crate::types::{Time, millis};
use crate::wire::status::ProxyServer;
use crate::wire::tproxy::{TO_SERVER, WhenDown};
use crate::wire::vless::{Command, Request};

/// For a server to answer.
const CONNECT: Duration = Duration::from_secs(5);
/// After this another connection is tried beside the first, which may have begun on a WAN that died just then.
const AGAIN: Duration = Duration::from_secs(1);
/// Between two looks at a server that does not answer.
const RETRY: Duration = Duration::from_secs(1);
/// The same at one that does and is not the one in use.
const CALM: Duration = Duration::from_secs(60);
/// Another server has to be so many times as near to be taken while this one answers.
const NEARER: u64 = 2;
/// Between two questions whether it knows us, and for an answer.
const ASK_AGAIN: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(3);
/// What is wrong with one that says nothing to our key, or something that only another would.
const UNANSWERED: &str = "it does not answer our key: has it a client of it, and is server_key its own?";
/// How often the connections ahead are looked after, besides when one is taken.
const LOOK: Duration = Duration::from_secs(1);

/// A server, and how it is.
pub struct Upstream {
    /// Where it is.
    pub address: SocketAddr,
    /// Since when it has not answered; `None` while it does.
    silent: Cell<Option<Time>>,
    /// What it answered last time, if it did not.
    trouble: RefCell<String>,
    /// How long it took to connect, smoothed; `None` before the first time.
    rtt: Cell<Option<Duration>>,
    /// It ends our connections without an answer.
    refuses: Cell<bool>,
    /// It has done so with one, whatever the reason: it is to be asked, as it was at this time before.
    is_doubted: Cell<bool>,
    asked: Cell<Option<Time>>,
    /// Wakes who looks after it.
    wake: Sender<()>,
    woken: Receiver<()>,
}

impl Upstream {
    /// One of which nothing is known yet.
    pub fn new(address: SocketAddr) -> Upstream {
        let (wake, woken) = smol::channel::bounded(1);
        Upstream {
            address,
            silent: Cell::new(Some(clock::now())),
            trouble: RefCell::default(),
            rtt: Cell::new(None),
            refuses: Cell::new(false),
            is_doubted: Cell::new(true),
            asked: Cell::new(None),
            wake,
            woken,
        }
    }

    /// Has it looked after now.
    pub fn wake(&self) {
        // Full means that somebody is awake already.
        let _ = self.wake.try_send(());
    }

    /// It has ended a connection without an answer. It may have been told so by where that was to go; or it does not know
    /// us.
    pub fn doubt(&self) {
        self.is_doubted.set(true);
        self.wake();
    }

    /// How it is.
    pub fn status(&self, in_use: bool, now: Time) -> ProxyServer {
        ProxyServer {
            address: self.address.to_string(),
            in_use,
            silent_ms: self.silent.get().map(|since| millis(now.since(since))),
            trouble: self.trouble.borrow().clone(),
            rtt_ms: self.rtt.get().map(millis),
        }
    }

    /// Whether it is time to ask it whether it knows us.
    fn is_to_be_asked(&self, now: Time) -> bool {
        let is_time = self.asked.get().is_none_or(|asked| now.since(asked) >= ASK_AGAIN);
        is_time && (self.refuses.get() || self.is_doubted.get())
    }

    /// It does not serve us, since then.
    fn fails(&self, since: Time, trouble: &str) {
        if self.trouble.borrow().as_str() != trouble {
            self.trouble.replace(trouble.to_owned());
            log::warn!("server {} does not serve us: {trouble}", self.address);
        }
        self.silent.set(self.silent.get().or(Some(since)));
    }

    /// It does.
    fn serves(&self) {
        self.trouble.take();
        if self.silent.take().is_some() {
            let took = self.rtt.get().map_or(0, millis);
            log::info!("server {} answers within {took} ms", self.address);
        }
    }
}

impl Client {
    /// Looks after the servers and the connections ahead from now on.
    pub fn look_after_servers(self: &Rc<Self>) {
        for upstream in &self.upstreams {
            spawn(&self.executor, self.clone().look_after(upstream.clone())).detach();
        }
    }

    pub(super) fn wake_all(&self) {
        self.upstreams.iter().for_each(|upstream| upstream.wake());
    }

    fn ring(&self) {
        // Full means that it has rung already.
        let _ = self.rings.try_send(());
    }

    /// Connects to a server now and then, and keeps what it learns and the connection.
    async fn look_after(self: Rc<Self>, upstream: Rc<Upstream>) {
        loop {
            let now = clock::now();
            let is_current =
                self.upstreams.get(self.current.get()).is_some_and(|current| Rc::ptr_eq(current, &upstream));
            let is_silent = upstream.silent.get().is_some();
            let mut has_failed = false;
            if upstream.is_to_be_asked(now) {
                upstream.asked.set(Some(now));
                spawn(&self.executor, self.clone().ask(upstream.clone())).detach();
            }
            if !upstream.refuses.get() && (is_silent || !is_current || self.ahead.lacks(now) > 0) {
                let generation = self.ahead.generation();
                match self.connect(&upstream).await {
                    Ok(stream) if is_current => self.ahead.add(stream, generation, clock::now()),
                    Ok(_) => {}
                    Err(_) => has_failed = true,
                }
            }
            let wait = match (upstream.silent.get().is_some(), is_current) {
                (true, _) => RETRY,
                // Where this machine lacks descriptors, trying at once again would fail at once again, without end.
                (false, true) if !has_failed && self.ahead.lacks(clock::now()) > 0 => continue,
                (false, true) => LOOK,
                (false, false) => CALM,
            };
            let sleeps = async {
                smol::Timer::after(wait).await;
            };
            let woken = async {
                let _ = upstream.woken.recv().await;
            };
            sleeps.or(woken).await;
        }
    }

    /// Asks a server whether it knows us: ours answers whoever comes with many sessions before the first of them, and ends
    /// the connection of a stranger. Others answer only with something, so that silence says nothing.
    async fn ask(self: Rc<Self>, upstream: Rc<Upstream>) {
        let Ok(stream) = self.connect(&upstream).await else { return };
        upstream.is_doubted.set(false);
        let request = Request { user: self.settings.user, command: Command::Mux };
        let asks = async {
            stream.write_all(&request.bytes()).await?;
            skip_head(&stream).await
        };
        let late = async {
            smol::Timer::after(PATIENCE).await;
            Ok(())
        };
        let refuses = asks.or(late).await.is_err();
        upstream.refuses.set(refuses);
        if refuses {
            self.ahead.end_all();
            upstream.fails(clock::now(), "it ends connections unanswered: has it a client of our UUID?");
        } else {
            upstream.serves();
        }
        self.choose(clock::now());
    }

    /// A connection to this server, new; what came of it is noted.
    pub(super) async fn connect(&self, upstream: &Upstream) -> io::Result<Channel> {
        let start = clock::now();
        let connect = || async {
            let stream = Stream::begin(upstream.address, Protocol::Mptcp, TO_SERVER)?;
            if let Err(e) = stream.connected(CONNECT).await {
                // Before Linux 6.12 that is all that is seen where MPTCP's SYN is dropped.
                if let (ErrorKind::TimedOut, Ok(from)) = (e.kind(), stream.local()) {
                    self.fallbacks.doubt(from.ip());
                }
                return Err(e);
            }
            let took = clock::now().since(start);
            match &self.settings.keys {
                Some(keys) => Ok((keys.greet(stream, CONNECT.saturating_sub(took)).await?, took)),
                None => Ok((Channel::from(stream), took)),
            }
        };
        let again = async {
            smol::Timer::after(AGAIN).await;
            connect().await
        };
        // Nobody keeps the room for a beginning longer than it lasts.
        let connected: io::Result<_> = Box::pin(connect().or(again)).await;
        let now = clock::now();
        match &connected {
            Ok((channel, took)) => {
                self.connections.set(self.connections.get() + 1);
                self.fallbacks.look(channel);
                let took = *took;
                let rtt = upstream.rtt.get().map_or(took, |before| (before * 7 + took) / 8);
                upstream.rtt.set(Some(rtt));
                if !upstream.refuses.get() {
                    upstream.serves();
                }
            }
            Err(e) if e.kind() == STRANGE && e.raw_os_error().is_none() => upstream.fails(start, UNANSWERED),
            // Our own shortage says nothing about the server.
            Err(e) if is_shortage(e) => log::debug!("cannot connect to {}: {e}", upstream.address),
            Err(e) => upstream.fails(start, &e.to_string()),
        }
        self.choose(now);
        connected.map(|(channel, _)| channel)
    }

    /// The server in use, and whether there is one.
    fn choose(&self, now: Time) {
        let rtt = |i: usize| {
            let upstream = self.upstreams.get(i)?;
            if upstream.silent.get().is_some() { None } else { upstream.rtt.get() }
        };
        let nearest = (0..self.upstreams.len()).filter_map(|i| Some((rtt(i)?, i))).min();
        let Some((best, nearest)) = nearest else {
            let silent = |upstream: &Rc<Upstream>| {
                upstream.silent.get().is_some_and(|since| now.since(since) >= self.settings.down_after)
            };
            if !self.is_down.get() && self.upstreams.iter().all(silent) {
                self.is_down.set(true);
                self.ring();
                let what = match self.settings.when_down {
                    WhenDown::Direct => "go out directly",
                    WhenDown::Reject => "are refused",
                };
                let seconds = self.settings.down_after.as_secs();
                log::warn!("no server has answered for {seconds} s: the LAN's connections {what}");
            }
            return;
        };
        if self.is_down.replace(false) {
            self.ring();
            log::info!("a server answers again: the LAN's connections go to it");
        }
        let current = self.current.get();
        let stays = rtt(current).is_some_and(|rtt| rtt.as_micros() <= best.as_micros() * u128::from(NEARER));
        if !stays && current != nearest {
            self.current.set(nearest);
            self.ring();
            self.ahead.end_all();
            if let Some(upstream) = self.upstreams.get(nearest) {
                log::info!("server {} is used from now on: {} ms", upstream.address, millis(best));
            }
            self.wake_all();
        }
    }
}

/// Whether this machine lacks descriptors, memory or ports.
fn is_shortage(e: &io::Error) -> bool {
    matches!(
        e.raw_os_error(),
        Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM | libc::EADDRNOTAVAIL)
    )
}
