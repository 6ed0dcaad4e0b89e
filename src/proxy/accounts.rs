//! The server's clients while it runs: what they have carried, how fast they may, how much they may have open, and an end
//! for all that they have open when one is removed.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use smol::channel::{Receiver, Sender};
use smol::lock::Semaphore;

use bsbf_noise::keys::PublicKey;
use bsbf_noise::seen::Seen;

use super::clients::{Client, Clients};
use super::meter::Meter;
use super::room::Room;
use super::server_session::Sessions;
use crate::wire::vless::Uuid;

/// Connections of one client, however many descriptors there are.
const MOST_CONNECTIONS: usize = 16_384;
/// The same of its sessions of UDP.
const MOST_SESSIONS: usize = 8192;
/// Names of one client that are looked up at a time. Each waits in a thread, for many seconds if nobody answers, and there
/// are 500 of them for all clients (the crate `blocking`).
const MOST_LOOKUPS: usize = 32;

/// A client of the server.
pub struct Account {
    /// As the list has it.
    pub client: RefCell<Client>,
    /// What it has carried.
    pub meter: Meter,
    /// Connections that it has open now.
    pub open: Cell<usize>,
    /// Its sessions of UDP.
    pub sessions: Sessions,
    /// Its handshakes.
    pub seen: RefCell<Seen>,
    /// Who looks up a name takes one meanwhile.
    pub lookups: Arc<Semaphore>,
    /// What connections and sessions of all clients share.
    room: Rc<Room>,
    /// Whoever waits for this is told when the client is removed.
    gone: Receiver<()>,
    /// Open as long as the client is there.
    alive: Sender<()>,
}

impl Account {
    fn new(client: Client, room: Rc<Room>) -> Account {
        let (alive, gone) = smol::channel::bounded(1);
        let meter = Meter::new(client.mbps);
        Account {
            client: RefCell::new(client),
            meter,
            open: Cell::new(0),
            sessions: Sessions::default(),
            seen: RefCell::default(),
            lookups: Arc::new(Semaphore::new(MOST_LOOKUPS)),
            room,
            gone,
            alive,
        }
    }

    /// Waits until the client is removed.
    pub fn gone(&self) -> impl Future<Output = ()> + use<> {
        let gone = self.gone.clone();
        // Nobody sends: it ends with the sender.
        async move {
            let _ = gone.recv().await;
        }
    }

    /// Counts a new connection; false if there may be no more. A session goes for it as long as there are more of them:
    /// neither a host with sessions without end nor one with connections takes the other's from a household.
    pub fn lets_in(&self) -> bool {
        if !self.has_room() && self.sessions.count() > self.open.get() {
            self.sessions.end_a_quiet_one();
        }
        if self.open.get() >= MOST_CONNECTIONS || !self.has_room() {
            return false;
        }
        self.room.take();
        self.open.set(self.open.get() + 1);
        true
    }

    /// A connection has ended.
    pub fn leaves(&self) {
        self.room.give();
        self.open.set(self.open.get() - 1);
    }

    /// The same of a session. A quiet one goes for it: what a household does now is dearer to it, and a host that is still
    /// there begins another.
    pub fn lets_in_session(&self) -> bool {
        if self.sessions.count() >= MOST_SESSIONS || !self.has_room() {
            self.sessions.end_a_quiet_one();
        }
        if !self.has_room() {
            return false;
        }
        self.room.take();
        true
    }

    /// The same of a session.
    pub fn leaves_session(&self) {
        self.room.give();
    }

    /// Whether there may be one more of what takes descriptors.
    fn has_room(&self) -> bool {
        self.room.lets(self.open.get() + self.sessions.count())
    }
}

/// All clients, by their UUID.
pub struct Accounts {
    all: HashMap<Uuid, Rc<Account>>,
    keys: HashMap<PublicKey, Uuid>,
    room: Rc<Room>,
}

impl Accounts {
    /// None yet, with this room.
    pub fn new(room: Rc<Room>) -> Accounts {
        Accounts { all: HashMap::new(), keys: HashMap::new(), room }
    }

    /// The client that has this UUID.
    pub fn find(&self, user: &Uuid) -> Option<Rc<Account>> {
        self.all.get(user).cloned()
    }

    /// The client that is known by this key.
    pub fn find_key(&self, key: &PublicKey) -> Option<Rc<Account>> {
        self.find(self.keys.get(key)?)
    }

    /// All of them, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Rc<Account>> {
        self.all.values()
    }

    /// Takes a new list. Who stays is not disturbed, and has a changed rate from now on; who is not in it any more has his
    /// connections ended. Gives how many were added and removed.
    pub fn take(&mut self, list: &Clients) -> (usize, usize) {
        let mut before = std::mem::take(&mut self.all);
        self.keys.clear();
        let mut added = 0;
        for client in list.iter() {
            let account = match before.remove(&client.uuid) {
                Some(account) => {
                    account.meter.set_rate(client.mbps);
                    account.client.replace(client.clone());
                    account
                }
                None => {
                    added += 1;
                    Rc::new(Account::new(client.clone(), self.room.clone()))
                }
            };
            self.all.insert(client.uuid, account);
            if let Some(key) = client.key {
                self.keys.insert(key, client.uuid);
            }
        }
        for account in before.values() {
            account.alive.close();
        }
        (added, before.len())
    }
}
