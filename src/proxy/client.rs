//! The router's half: what the firewall brings from the LAN goes to the server, or, while no server can be reached,
//! where it would have gone without a proxy.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use smol::channel::{Receiver, Sender};
use smol::future::FutureExt;

use super::Executor;
use super::ahead::Ahead;
use super::meter::Meter;
use super::relay::{Start, relay};
use crate::sys::clock;
use crate::sys::stream::{Protocol, Stream};
use crate::tasks::spawn;
use crate::types::{Time, millis};
use crate::wire::status::{ProxyServer, ProxyStatus};
use crate::wire::tproxy::{DIRECT, TO_SERVER, WhenDown};
use crate::wire::vless::{Command, Destination, Request, Uuid};

/// So long the header waits for the first payload, to go in one piece with it; with servers that speak first it goes
/// alone.
const FIRST: Duration = Duration::from_millis(5);
/// For a server to answer.
const CONNECT: Duration = Duration::from_secs(5);
/// After this another connection is tried beside the first, which may have begun on a WAN that died just then.
const AGAIN: Duration = Duration::from_secs(1);
/// For a host of the Internet, past the proxy.
const CONNECT_DIRECT: Duration = Duration::from_secs(15);
/// Between two looks at a server that does not answer.
const RETRY: Duration = Duration::from_secs(1);
/// The same at one that does and is not the one in use.
const CALM: Duration = Duration::from_secs(60);
/// Another server has to be so many times as near to be taken while this one answers.
const NEARER: u64 = 2;
/// How often the connections ahead are looked after, besides when one is taken.
const LOOK: Duration = Duration::from_secs(1);

/// What is set.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The servers.
    pub servers: Vec<SocketAddr>,
    /// Our UUID there.
    pub user: Uuid,
    /// What becomes of connections while no server answers.
    pub when_down: WhenDown,
    /// So long none has to answer before that.
    pub down_after: Duration,
}

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
    /// Wakes who looks after it.
    wake: Sender<()>,
    woken: Receiver<()>,
}

impl Upstream {
    fn new(address: SocketAddr) -> Upstream {
        let (wake, woken) = smol::channel::bounded(1);
        Upstream {
            address,
            silent: Cell::new(Some(clock::now())),
            trouble: RefCell::default(),
            rtt: Cell::new(None),
            wake,
            woken,
        }
    }
}

/// Where what comes from the LAN goes.
#[derive(Clone)]
pub enum Way {
    /// By this server.
    Server(Rc<Upstream>),
    /// Past the proxy.
    Direct,
    /// Nowhere.
    Reject,
}

/// A running client.
pub struct Client {
    pub(super) executor: Executor,
    pub(super) settings: Settings,
    upstreams: Vec<Rc<Upstream>>,
    /// The one in use; it may be silent for a while.
    current: Cell<usize>,
    /// All servers have been silent for too long.
    is_down: Cell<bool>,
    /// Rings when connections go another way from now on.
    rings: Sender<()>,
    rung: Receiver<()>,
    pub(super) ahead: Ahead,
    /// What the LAN has carried by servers.
    pub(super) meter: Meter,
    /// The same past them.
    pub(super) direct: Meter,
}

impl Client {
    /// With servers of which nothing is known yet.
    pub fn new(executor: Executor, settings: Settings) -> Rc<Client> {
        let upstreams = settings.servers.iter().map(|address| Rc::new(Upstream::new(*address))).collect();
        let (rings, rung) = smol::channel::bounded(1);
        Rc::new(Client {
            executor,
            settings,
            upstreams,
            current: Cell::new(0),
            is_down: Cell::new(false),
            rings,
            rung,
            ahead: Ahead::default(),
            meter: Meter::new(None),
            direct: Meter::new(None),
        })
    }

    /// Looks after the servers and the connections ahead from now on.
    pub fn look_after_servers(self: &Rc<Self>) {
        for upstream in &self.upstreams {
            spawn(&self.executor, self.clone().look_after(upstream.clone())).detach();
        }
    }

    /// Something has changed about WANs.
    pub fn wans_changed(&self) {
        self.ahead.unsettle(clock::now());
        self.wake_all();
    }

    fn wake_all(&self) {
        for upstream in &self.upstreams {
            // Full means that it is awake already.
            let _ = upstream.wake.try_send(());
        }
    }

    /// Waits until connections go another way.
    pub(super) async fn another_way(&self) {
        let _ = self.rung.recv().await;
    }

    fn ring(&self) {
        // Full means that it has rung already.
        let _ = self.rings.try_send(());
    }

    /// Which way connections go now.
    pub fn way(&self) -> Way {
        match (self.is_down.get(), self.settings.when_down) {
            (false, _) => match self.upstreams.get(self.current.get()) {
                Some(upstream) => Way::Server(upstream.clone()),
                None => Way::Direct,
            },
            (true, WhenDown::Direct) => Way::Direct,
            (true, WhenDown::Reject) => Way::Reject,
        }
    }

    /// How the servers are, which way connections go, and what was carried.
    pub fn status(&self) -> ProxyStatus {
        let now = clock::now();
        let server = |(i, upstream): (usize, &Rc<Upstream>)| ProxyServer {
            address: upstream.address.to_string(),
            in_use: i == self.current.get(),
            silent_ms: upstream.silent.get().map(|since| millis(now.since(since))),
            trouble: upstream.trouble.borrow().clone(),
            rtt_ms: upstream.rtt.get().map(millis),
        };
        let way = match self.way() {
            Way::Server(_) => "server",
            Way::Direct => "direct",
            Way::Reject => "reject",
        };
        ProxyStatus {
            way: way.to_owned(),
            servers: self.upstreams.iter().enumerate().map(server).collect(),
            up_bytes: self.meter.up.bytes.get(),
            down_bytes: self.meter.down.bytes.get(),
            direct_up_bytes: self.direct.up.bytes.get(),
            direct_down_bytes: self.direct.down.bytes.get(),
        }
    }

    /// Connects to a server now and then, and keeps what it learns and the connection.
    async fn look_after(self: Rc<Self>, upstream: Rc<Upstream>) {
        loop {
            let now = clock::now();
            let is_current =
                self.upstreams.get(self.current.get()).is_some_and(|current| Rc::ptr_eq(current, &upstream));
            let is_silent = upstream.silent.get().is_some();
            let mut has_failed = false;
            if is_silent || !is_current || self.ahead.lacks(now) > 0 {
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

    /// A connection to this server, new; what came of it is noted.
    pub(super) async fn connect(&self, upstream: &Upstream) -> io::Result<Stream> {
        let start = clock::now();
        let connect = || Stream::connect(upstream.address, Protocol::Mptcp, TO_SERVER, CONNECT);
        let again = async {
            smol::Timer::after(AGAIN).await;
            connect().await
        };
        let connected = connect().or(again).await;
        let now = clock::now();
        match &connected {
            Ok(_) => {
                let took = now.since(start);
                let rtt = upstream.rtt.get().map_or(took, |before| (before * 7 + took) / 8);
                upstream.rtt.set(Some(rtt));
                upstream.trouble.borrow_mut().clear();
                if upstream.silent.replace(None).is_some() {
                    log::info!("server {} answers within {} ms", upstream.address, millis(took));
                }
            }
            // Our own shortage says nothing about the server.
            Err(e) if is_shortage(e) => log::debug!("cannot connect to {}: {e}", upstream.address),
            Err(e) => {
                *upstream.trouble.borrow_mut() = e.to_string();
                if upstream.silent.get().is_none() {
                    upstream.silent.set(Some(start));
                    log::warn!("server {} does not answer: {e}", upstream.address);
                }
            }
        }
        self.choose(now);
        connected
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

    /// Takes a connection of the LAN's.
    pub fn take(self: &Rc<Self>, stream: Stream) {
        spawn(&self.executor, self.clone().connection(stream)).detach();
    }

    async fn connection(self: Rc<Self>, stream: Stream) {
        // Of one that nobody redirected the destination is this listener: it would come here again.
        let to = match stream.local() {
            Ok(to) if !to.ip().is_loopback() => to,
            _ => return stream.reset(),
        };
        // Nobody keeps the room for a beginning longer than it lasts.
        let carried = match Box::pin(self.begin(stream, to)).await {
            Ok(Some(Begun { stream, remote, starts, meter })) => relay(stream, remote, starts, meter).await,
            Ok(None) => Ok(()),
            Err(e) => Err(e),
        };
        if let Err(e) = carried {
            log::debug!("a connection to {to}: {e}");
        }
    }

    /// Finds the way for a connection; nothing for one that is refused.
    async fn begin(&self, stream: Stream, to: SocketAddr) -> io::Result<Option<Begun<'_>>> {
        if let Way::Server(upstream) = self.way() {
            match self.server_connection(&upstream).await {
                Ok(remote) => {
                    let command = Command::Tcp(Destination::Address(to));
                    let header = Request { user: self.settings.user, command }.bytes();
                    let starts = [Start::After(header, Some(FIRST)), Start::Answered];
                    return Ok(Some(Begun { stream, remote, starts, meter: &self.meter }));
                }
                // It was the last one meanwhile.
                Err(_) if matches!(self.way(), Way::Direct) => {}
                Err(e) => {
                    stream.reset();
                    return Err(e);
                }
            }
        }
        if !matches!(self.way(), Way::Direct) {
            stream.reset();
            return Ok(None);
        }
        match Stream::connect(to, Protocol::Tcp, DIRECT, CONNECT_DIRECT).await {
            Ok(remote) => {
                let starts = [Start::Plain, Start::Plain];
                Ok(Some(Begun { stream, remote, starts, meter: &self.direct }))
            }
            Err(e) => {
                stream.reset();
                Err(e)
            }
        }
    }

    /// One that was opened ahead, or a new one.
    pub(super) async fn server_connection(&self, upstream: &Upstream) -> io::Result<Stream> {
        let ahead = self.ahead.take(clock::now());
        let _ = upstream.wake.try_send(());
        match ahead {
            Some(stream) => Ok(stream),
            None => self.connect(upstream).await,
        }
    }
}

/// A connection of the LAN's, and how it goes on.
struct Begun<'a> {
    stream: Stream,
    remote: Stream,
    starts: [Start; 2],
    meter: &'a Meter,
}

/// Whether this machine lacks descriptors, memory or ports.
fn is_shortage(e: &io::Error) -> bool {
    matches!(
        e.raw_os_error(),
        Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM | libc::EADDRNOTAVAIL)
    )
}

/// Where the firewall brings the LAN's packets to.
pub fn listening(port: u16) -> [SocketAddr; 2] {
    [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)].map(|ip| SocketAddr::new(ip, port))
}
