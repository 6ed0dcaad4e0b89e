//! The router's half: what the firewall brings from the LAN goes to the server, or, while no server can be reached,
//! where it would have gone without a proxy.

use std::cell::Cell;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use smol::channel::{Receiver, Sender};

use super::Executor;
use super::ahead::Ahead;
use super::channel::Channel;
use super::fallbacks::Fallbacks;
use super::greeting::Keys;
use super::lan_hosts::LanHosts;
use super::meter::Meter;
use super::relay::{Greeting, NO_ANSWER, relay};
use super::servers::Upstream;
use crate::sys::clock;
use crate::sys::stream::{Protocol, Stream};
use crate::tasks::spawn;
use crate::wire::status::ProxyStatus;
use crate::wire::tproxy::{DIRECT, WhenDown};
use crate::wire::vless::{Command, Destination, Request, Uuid};

/// For a host of the Internet, past the proxy.
const CONNECT_DIRECT: Duration = Duration::from_secs(15);

/// What is set.
pub struct Settings {
    /// The servers.
    pub servers: Vec<SocketAddr>,
    /// Our UUID there.
    pub user: Uuid,
    /// What connections to them are encrypted by, if they are.
    pub keys: Option<Keys>,
    /// What becomes of connections while no server answers.
    pub when_down: WhenDown,
    /// So long none has to answer before that.
    pub down_after: Duration,
    /// Where the manager's socket is.
    pub run_dir: PathBuf,
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
    pub(super) upstreams: Vec<Rc<Upstream>>,
    /// The one in use; it may be silent for a while.
    pub(super) current: Cell<usize>,
    /// All servers have been silent for too long.
    pub(super) is_down: Cell<bool>,
    /// Rings when connections go another way from now on.
    pub(super) rings: Sender<()>,
    rung: Receiver<()>,
    pub(super) ahead: Ahead,
    /// Who of the LAN has connections.
    hosts: LanHosts,
    /// Connections to servers, begun.
    pub(super) connections: Cell<u64>,
    pub(super) fallbacks: Fallbacks,
    /// What the LAN has carried by servers.
    pub(super) meter: Meter,
    /// The same past them.
    pub(super) direct: Meter,
}

impl Client {
    /// With servers of which nothing is known yet, in a process with so many descriptors.
    pub fn new(executor: Executor, settings: Settings, descriptors: usize) -> Rc<Client> {
        let upstreams = settings.servers.iter().map(|address| Rc::new(Upstream::new(*address))).collect();
        let (rings, rung) = smol::channel::bounded(1);
        Rc::new(Client {
            executor,
            connections: Cell::new(0),
            fallbacks: Fallbacks::new(settings.run_dir.clone()),
            settings,
            upstreams,
            current: Cell::new(0),
            is_down: Cell::new(false),
            rings,
            rung,
            ahead: Ahead::default(),
            hosts: LanHosts::new(descriptors),
            meter: Meter::new(None),
            direct: Meter::new(None),
        })
    }

    /// Something has changed about WANs.
    pub fn wans_changed(&self) {
        self.ahead.unsettle(clock::now());
        self.wake_all();
    }

    /// Waits until connections go another way.
    pub(super) async fn another_way(&self) {
        let _ = self.rung.recv().await;
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
        let server = |(i, upstream): (usize, &Rc<Upstream>)| upstream.status(i == self.current.get(), now);
        let way = match self.way() {
            Way::Server(_) => "server",
            Way::Direct => "direct",
            Way::Reject => "reject",
        };
        ProxyStatus {
            way: way.to_owned(),
            servers: self.upstreams.iter().enumerate().map(server).collect(),
            connections: Some(self.connections.get()),
            fallbacks: Some(self.fallbacks.status()),
            up_bytes: self.meter.up.bytes.get(),
            down_bytes: self.meter.down.bytes.get(),
            direct_up_bytes: self.direct.up.bytes.get(),
            direct_down_bytes: self.direct.down.bytes.get(),
        }
    }

    /// Takes a connection of the LAN's, if its host has not too many.
    pub fn take(self: &Rc<Self>, stream: Stream) {
        // Of one that nobody redirected the destination is this listener: it would come here again.
        match (stream.peer(), stream.local()) {
            (Ok(from), Ok(to)) if !to.ip().is_loopback() && self.hosts.lets_in(from.ip(), clock::now()) => {
                spawn(&self.executor, self.clone().connection(stream.into(), from.ip(), to)).detach();
            }
            _ => stream.reset(),
        }
    }

    async fn connection(self: Rc<Self>, stream: Channel, host: IpAddr, to: SocketAddr) {
        // Nobody keeps the room for a beginning longer than it lasts.
        let carried = match Box::pin(self.begin(stream, to)).await {
            Ok(Some(Begun { stream, remote, upstream, greeting, meter })) => {
                let ended = relay(&stream, &remote, greeting, meter).await;
                if upstream.is_some() {
                    self.fallbacks.look(&remote);
                }
                if let Err(e) = &ended {
                    stream.reset();
                    remote.reset();
                    if let Some(upstream) = upstream.filter(|_| e.kind() == NO_ANSWER) {
                        upstream.doubt();
                    }
                }
                ended
            }
            Ok(None) => Ok(()),
            Err(e) => Err(e),
        };
        if let Err(e) = carried {
            log::debug!("a connection to {to}: {e}");
        }
        self.hosts.leaves(host);
    }

    /// Finds the way for a connection; nothing for one that is refused.
    async fn begin(&self, stream: Channel, to: SocketAddr) -> io::Result<Option<Begun<'_>>> {
        if let Way::Server(upstream) = self.way() {
            match self.server_connection(&upstream).await {
                Ok(remote) => {
                    let command = Command::Tcp(Destination::Address(to));
                    let request = Request { user: self.settings.user, command }.bytes();
                    let greeting = Greeting::Asks(request);
                    let upstream = Some(upstream);
                    return Ok(Some(Begun { stream, remote, upstream, greeting, meter: &self.meter }));
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
                let (remote, greeting) = (remote.into(), Greeting::None);
                Ok(Some(Begun { stream, remote, upstream: None, greeting, meter: &self.direct }))
            }
            Err(e) => {
                stream.reset();
                Err(e)
            }
        }
    }

    /// One that was opened ahead, or a new one.
    pub(super) async fn server_connection(&self, upstream: &Upstream) -> io::Result<Channel> {
        let ahead = self.ahead.take(clock::now());
        upstream.wake();
        match ahead {
            Some(stream) => Ok(stream),
            None => self.connect(upstream).await,
        }
    }
}

/// A connection of the LAN's, and how it goes on.
struct Begun<'a> {
    stream: Channel,
    remote: Channel,
    /// The server that it goes by.
    upstream: Option<Rc<Upstream>>,
    greeting: Greeting,
    meter: &'a Meter,
}

/// Where the firewall brings the LAN's packets to.
pub fn listening(port: u16) -> [SocketAddr; 2] {
    [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)].map(|ip| SocketAddr::new(ip, port))
}
