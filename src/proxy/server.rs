//! The server: one process for all clients.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use bsbf_noise::handshake::Identity;
use bsbf_noise::keys::SecretKey;
use smol::Task;
use smol::future::{self, FutureExt};

use super::Executor;
use super::accept;
use super::accounts::{Account, Accounts};
use super::channel::Channel;
use super::clients::{Client, Clients};
use super::relay::{Greeting, relay};
use super::room::Room;
use super::server_meeting::Met;
use super::server_udp;
use super::waiting::{Waiting, host};
use crate::error::Error;
use crate::sys::clock;
use crate::sys::resolve;
use crate::sys::stream::{Listener, Protocol, Stream};
use crate::tasks::spawn;
use crate::wire::tproxy::is_special;
use crate::wire::vless::{Command, Destination};

/// Clients open connections ahead, and let them wait for half a minute.
const REQUEST: Duration = Duration::from_secs(60);
/// Between two tries at a port that somebody else has.
const RETRY: Duration = Duration::from_secs(5);
/// For a host of the Internet to answer.
const CONNECT: Duration = Duration::from_secs(15);
/// For the connections of a server that ends to end before it.
const FAREWELL: Duration = Duration::from_secs(1);

/// What is set.
pub struct Settings {
    /// Lets clients reach this machine and private networks.
    pub allow_private: bool,
    /// One port for all clients; else each has his own.
    pub port: Option<u16>,
    /// Whether they come in there; if not, only encrypted.
    pub plain: bool,
}

/// A running server.
pub struct Server {
    pub(super) executor: Executor,
    pub(super) settings: Settings,
    pub(super) accounts: RefCell<Accounts>,
    /// Where encrypted connections come in, and who the server is there; once it has a key.
    pub(super) secure: OnceCell<(u16, Identity)>,
    /// What clients have open takes of it.
    room: Rc<Room>,
    /// Where there should be a listener, and whether one is missing.
    wanted: RefCell<HashSet<u16>>,
    missing: Cell<bool>,
    /// Who listens at which port.
    ports: RefCell<HashMap<u16, Vec<Task<()>>>>,
    /// Who has connected and said nothing yet, in order.
    waiting: RefCell<Waiting>,
    next: Cell<u64>,
}

impl Server {
    /// With no clients yet, in a process with so many descriptors.
    pub fn new(executor: Executor, settings: Settings, descriptors: usize) -> Rc<Server> {
        let room = Rc::new(Room::new(descriptors));
        Rc::new(Server {
            executor,
            settings,
            accounts: RefCell::new(Accounts::new(room.clone())),
            secure: OnceCell::new(),
            room,
            wanted: RefCell::default(),
            missing: Cell::new(false),
            ports: RefCell::default(),
            waiting: RefCell::default(),
            next: Cell::new(0),
        })
    }

    /// Whether it has a key.
    pub fn encrypts(&self) -> bool {
        self.secure.get().is_some()
    }

    /// Lets encrypted connections in too, at this port, from the next list on. A key that it has stays.
    pub fn encrypt(&self, port: u16, key: SecretKey) {
        let _ = self.secure.set((port, Identity::new(key)));
    }

    /// Whether somebody can come in.
    pub fn listens(&self) -> bool {
        !self.ports.borrow().is_empty()
    }

    /// Tries again, without end, to listen at the ports of this list that were somebody else's.
    pub async fn look_after_ports(self: Rc<Self>) {
        loop {
            smol::Timer::after(RETRY).await;
            if self.missing.get() {
                // What is wrong was told.
                let _ = self.listen_at_all();
            }
        }
    }

    /// Takes a list of clients, and listens at their ports alone.
    ///
    /// # Errors
    /// A port is somebody else's; the others are listened at, and it is tried again.
    pub fn take(self: &Rc<Self>, list: &Clients) -> Result<(), Error> {
        let (added, removed) = self.accounts.borrow_mut().take(list);
        if added + removed > 0 {
            log::info!("{} clients: {added} added, {removed} removed", list.iter().count());
        }
        let mut wanted = match (self.settings.plain, self.settings.port) {
            (false, _) => HashSet::new(),
            (true, Some(port)) => HashSet::from([port]),
            (true, None) => list.iter().map(Client::port).collect(),
        };
        wanted.extend(self.secure.get().map(|(port, _)| *port));
        self.wanted.replace(wanted);
        self.listen_at_all()
    }

    fn listen_at_all(self: &Rc<Self>) -> Result<(), Error> {
        let wanted = self.wanted.borrow();
        let mut ports = self.ports.borrow_mut();
        ports.retain(|port, _| wanted.contains(port));
        let mut failed = Ok(());
        for port in wanted.iter().copied() {
            if let Entry::Vacant(place) = ports.entry(port) {
                match self.listen(port) {
                    Ok(tasks) => drop(place.insert(tasks)),
                    Err(e) => failed = Err(e),
                }
            }
        }
        self.missing.set(failed.is_err());
        failed
    }

    fn listen(self: &Rc<Self>, port: u16) -> Result<Vec<Task<()>>, Error> {
        let mut tasks = Vec::new();
        for ip in [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)] {
            let at = SocketAddr::new(ip, port);
            match Listener::open(at, Protocol::Mptcp, false) {
                Ok(listener) => {
                    let server = self.clone();
                    let accepts = accept::each(listener, move |stream| server.begin(stream, port));
                    tasks.push(spawn(&self.executor, accepts));
                }
                // A machine without IPv6.
                Err(e) if ip.is_ipv6() => log::debug!("cannot listen at {at}: {e}"),
                Err(e) => return Err(Error::new("listen at", at, e)),
            }
        }
        Ok(tasks)
    }

    /// A line for each client that has carried something.
    pub fn status(&self) -> String {
        let accounts = self.accounts.borrow();
        let mut lines = Vec::new();
        for account in accounts.iter() {
            let client = account.client.borrow();
            let [up, down] = [&account.meter.up, &account.meter.down].map(|flow| flow.bytes.get());
            if up + down > 0 || account.open.get() > 0 {
                let numbers = [account.open.get() as u64, up, down].map(|number| number.to_string());
                let [open, up, down] = &numbers;
                let line = [
                    "client ",
                    &client.id.to_string(),
                    " ",
                    &client.name,
                    ": ",
                    open,
                    " connections, bytes up/down: ",
                    up,
                    "/",
                    down,
                    "\n",
                ];
                lines.push((client.id, line.concat()));
            }
        }
        lines.sort_unstable();
        let waiting = self.waiting.borrow().count().to_string();
        let clients = accounts.iter().count().to_string();
        let mut text =
            [&clients, " clients; ", &waiting, " connections that have said nothing yet\n"].concat();
        lines.iter().for_each(|(_, line)| text += line);
        text
    }

    /// Lets nobody in any more, and ends with a reset what is open: whoever is being sent something has to see that it is not
    /// all.
    pub async fn end(&self) {
        self.ports.borrow_mut().clear();
        self.accounts.borrow_mut().take(&Clients::default());
        let ended = async {
            while !self.room.is_empty() {
                future::yield_now().await;
            }
        };
        let late = async {
            smol::Timer::after(FAREWELL).await;
        };
        ended.or(late).await;
    }

    fn begin(self: &Rc<Self>, stream: Stream, port: u16) {
        let Ok(peer) = stream.peer().map(|peer| host(peer.ip())) else { return };
        let number = self.next.get();
        self.next.set(number + 1);
        let mut waiting = self.waiting.borrow_mut();
        let task = spawn(&self.executor, self.clone().connection(number, stream, port));
        waiting.add(peer, number, task, clock::now());
    }

    async fn connection(self: Rc<Self>, number: u64, stream: Stream, port: u16) {
        let late = async {
            smol::Timer::after(REQUEST).await;
            Err(io::ErrorKind::TimedOut.into())
        };
        let said = Box::pin(self.meet(stream, port).or(late)).await;
        if let Some(task) = self.waiting.borrow_mut().remove(number) {
            task.detach();
        }
        // Whether he is unknown or speaks another language, a stranger is told nothing.
        let Met { account, stream, command, rest } = match said {
            Ok(met) => met,
            Err(e) => return log::debug!("somebody said no request of a client's: {e}"),
        };
        if !account.lets_in() {
            log::debug!("client {} has too many connections", account.client.borrow().id);
            return stream.reset();
        }
        let remote = OnceCell::new();
        let ended = {
            // Where they are, for a moved future takes its room twice.
            let carried = pin!(async {
                // Nobody keeps the room for a beginning longer than it lasts.
                match Box::pin(self.begin_for(&account, &stream, command, rest)).await? {
                    Some(other) => {
                        let remote = remote.get_or_init(|| other);
                        relay(&stream, remote, Greeting::Answers, &account.meter).await
                    }
                    None => Ok(()),
                }
            });
            let gone = pin!(async {
                account.gone().await;
                Err(io::ErrorKind::ConnectionAborted.into())
            });
            carried.or(gone).await
        };
        if let Err(e) = ended {
            log::debug!("client {}: {e}", account.client.borrow().id);
            // A farewell would make a whole of what was carried so far.
            [Some(stream), remote.into_inner()].into_iter().flatten().for_each(Channel::reset);
        }
        account.leaves();
    }

    /// Does what a client asks for; of a TCP connection only the beginning: gives the other one, to be made one with it.
    async fn begin_for(
        self: &Rc<Self>,
        account: &Rc<Account>,
        stream: &Channel,
        command: Command,
        rest: Vec<u8>,
    ) -> io::Result<Option<Channel>> {
        let (inbound, outbound) = account.client.borrow().marks();
        // What classifies by marks is another's business; without the capability there is none.
        if let Err(e) = stream.mark(inbound) {
            log::debug!("cannot mark: {e}");
        }
        let to = match command {
            Command::Tcp(to) => to,
            // One at a time, so that each connection takes no more memory than what it is for.
            Command::Udp(to) => {
                Box::pin(server_udp::one(self, account, stream, to, rest, outbound)).await?;
                return Ok(None);
            }
            Command::Mux => {
                Box::pin(server_udp::many(self, account, stream, rest, outbound)).await?;
                return Ok(None);
            }
        };
        let remote = self.connect(account, to, outbound).await?;
        remote.write_all(&rest).await?;
        account.meter.up.count(rest.len());
        Ok(Some(remote.into()))
    }

    async fn connect(&self, account: &Account, to: Destination, mark: u32) -> io::Result<Stream> {
        let mut last = io::ErrorKind::PermissionDenied.into();
        for address in self.addresses(account, to).await? {
            match Stream::connect(address, Protocol::Tcp, mark, CONNECT).await {
                Ok(stream) => return Ok(stream),
                Err(e) => last = e,
            }
        }
        Err(last)
    }

    /// Where a client is let go. He waits for his turn to look up a name.
    pub(super) async fn addresses(&self, account: &Account, to: Destination) -> io::Result<Vec<SocketAddr>> {
        let _turn = match to {
            Destination::Address(_) => None,
            Destination::Name(..) => Some(account.lookups.acquire().await),
        };
        self.look_up(to).await
    }

    /// The same of somebody whose turn it is.
    pub(super) async fn look_up(&self, to: Destination) -> io::Result<Vec<SocketAddr>> {
        let mut addresses = match to {
            Destination::Address(address) => vec![address],
            Destination::Name(name, port) => resolve::addresses(name, port).await?,
        };
        addresses.retain(|address| self.lets(address));
        Ok(addresses)
    }

    /// Whether a client may send to this address.
    pub(super) fn lets(&self, address: &SocketAddr) -> bool {
        address.port() != 0 && (self.settings.allow_private || !is_special(address.ip()))
    }
}
