//! The server's clients while it runs: what they have carried, how fast they may, and an end for all that they have open
//! when one is removed.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use smol::channel::{Receiver, Sender};

use super::clients::{Client, Clients};
use super::meter::Meter;
use crate::wire::vless::Uuid;

/// A client of the server.
pub struct Account {
    /// As the list has it.
    pub client: RefCell<Client>,
    /// What it has carried.
    pub meter: Meter,
    /// Connections that it has open now.
    pub open: Cell<u32>,
    /// Whoever waits for this is told when the client is removed.
    gone: Receiver<()>,
    /// Open as long as the client is there.
    alive: Sender<()>,
}

impl Account {
    fn new(client: Client) -> Account {
        let (alive, gone) = smol::channel::bounded(1);
        let meter = Meter::new(client.mbps);
        Account { client: RefCell::new(client), meter, open: Cell::new(0), gone, alive }
    }

    /// Waits until the client is removed.
    pub fn gone(&self) -> impl Future<Output = ()> + use<> {
        let gone = self.gone.clone();
        // Nobody sends: it ends with the sender.
        async move {
            let _ = gone.recv().await;
        }
    }
}

/// All clients, by their UUID.
#[derive(Default)]
pub struct Accounts(HashMap<Uuid, Rc<Account>>);

impl Accounts {
    /// The client that has this UUID.
    pub fn find(&self, user: &Uuid) -> Option<Rc<Account>> {
        self.0.get(user).cloned()
    }

    /// All of them, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Rc<Account>> {
        self.0.values()
    }

    /// Takes a new list. Who stays is not disturbed, and has a changed rate from now on; who is not in it any more has his
    /// connections ended. Gives how many were added and removed.
    pub fn take(&mut self, list: &Clients) -> (usize, usize) {
        let mut before = std::mem::take(&mut self.0);
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
                    Rc::new(Account::new(client.clone()))
                }
            };
            self.0.insert(client.uuid, account);
        }
        for account in before.values() {
            account.alive.close();
        }
        (added, before.len())
    }
}
