//! Tests whether MPTCP passes, as they are due, and what speaks for another result.

use std::cell::RefCell;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use smol::LocalExecutor;

use super::{Manager, Wake};
use crate::sys::clock;
use crate::sys::probe;
use crate::tasks::spawn;
use crate::wan::mind::Event;
use crate::wan::mptcp::{Mptcp, Running, Tests};
use crate::wan::subflows::Subflows;

/// What the manager knows of MPTCP besides what its mind does.
#[derive(Default)]
pub(super) struct Watch {
    pub(super) tests: Tests,
    /// Who is asked.
    pub(super) servers: Vec<SocketAddr>,
    /// Kept by who hears the events.
    pub(super) subflows: Rc<RefCell<Subflows>>,
}

impl Manager {
    /// Begins the tests that are due.
    pub(super) fn test_mptcp(&mut self, executor: &LocalExecutor<'_>) {
        if !self.kernel.has_mptcp() {
            return;
        }
        for ran in self.mptcp.tests.due(&self.mind.testable(&self.mptcp.servers), clock::now()) {
            let Some(wan) = self.mind.wans().iter().find(|wan| wan.index == ran.index) else { continue };
            let (name, sender) = (wan.name.clone(), self.sender.clone());
            let leads = |server: &&SocketAddr| self.mind.leads_to(ran.index, server.ip());
            let servers: Vec<SocketAddr> = self.mptcp.servers.iter().filter(leads).copied().collect();
            let tests = async move {
                let mut found = None;
                for server in servers {
                    match probe::mptcp(&name, server).await {
                        Ok(None) => continue,
                        Ok(answered) => found = answered,
                        // As after a silence, it is tried again.
                        Err(e) if e.kind() != io::ErrorKind::Unsupported => {
                            log::debug!("{name}: cannot test MPTCP to {server}: {e}");
                        }
                        // It stays unanswered, as nobody can tell.
                        Err(_) => return,
                    }
                    break;
                }
                drop(sender.send(Wake::Tested(ran, found)).await);
            };
            spawn(executor, tests).detach();
        }
    }

    /// The settings were read: these are the servers.
    pub(super) fn set_mptcp_servers(&mut self, servers: Vec<SocketAddr>) {
        if servers != self.mptcp.servers {
            self.mptcp.servers = servers;
            self.mptcp.tests.forget();
        }
    }

    /// A test has ended.
    pub(super) fn on_tested(&mut self, ran: Running, found: Option<Mptcp>, executor: &LocalExecutor<'_>) {
        if let Some(found) = self.mptcp.tests.ended(ran, found, clock::now()) {
            self.tell_mind(Event::Mptcp(ran.index, found), executor);
        }
    }

    /// Somebody's connection from this address is not what it was to be.
    pub(super) fn on_doubt(&mut self, address: IpAddr) {
        self.mptcp.tests.doubt(address);
    }
}
