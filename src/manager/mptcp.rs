//! Tests whether MPTCP passes, as they are due, and what speaks for another result.

use std::cell::RefCell;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use smol::LocalExecutor;

use super::{Manager, Wake};
use crate::sys::clock;
use crate::sys::probe;
use crate::sys::sysfs;
use crate::tasks::spawn;
use crate::types::{IfIndex, IfName, Time};
use crate::wan::mind::Event;
use crate::wan::mptcp::{Answer, Mptcp, Running, Tests};
use crate::wan::subflows::Subflows;

/// A WAN that drops MPTCP's SYN would else turn MPTCP off for all connections on all WANs for an hour (since 6.12).
const BLACKHOLE_TIMEOUT: &str = "net/mptcp/blackhole_timeout";

/// What the manager knows of MPTCP besides what its mind does.
#[derive(Default)]
pub(super) struct Watch {
    tests: Tests,
    /// Who is asked.
    servers: Vec<SocketAddr>,
    /// Kept by who hears the events.
    pub(super) subflows: Rc<RefCell<Subflows>>,
    /// Why nothing is tested.
    pub(super) barred: Option<String>,
}

impl Watch {
    /// Nothing is known yet of the way to these.
    pub(super) fn new(servers: Vec<SocketAddr>) -> Watch {
        Watch { servers, ..Watch::default() }
    }

    /// When the next test is due.
    pub(super) fn deadline(&self) -> Option<Time> {
        self.tests.deadline()
    }

    /// Somebody's connection from this address is not what it was to be.
    pub(super) fn doubt(&mut self, address: IpAddr) {
        self.tests.doubt(address, false);
    }
}

impl Manager {
    /// One bad WAN is not to turn MPTCP off for all.
    pub(super) fn keep_mptcp_on(&mut self) {
        if !self.kernel.has_mptcp() {
            return;
        }
        self.mptcp.barred = sysfs::set_sysctl(BLACKHOLE_TIMEOUT, "0").err().map(|e| {
            let what = ["cannot set ", BLACKHOLE_TIMEOUT, " to 0: ", &e.to_string()].concat();
            what + "; one bad WAN may turn MPTCP off for all, so none is tested"
        });
    }

    /// Begins the tests that are due.
    pub(super) fn test_mptcp(&mut self, executor: &LocalExecutor<'_>) {
        for (address, is_used) in self.mptcp.subflows.borrow_mut().take_signs() {
            self.mptcp.tests.doubt(address, is_used);
        }
        if !self.kernel.has_mptcp() {
            return;
        }
        let due = self.mptcp.tests.due(&self.mind.testable(&self.mptcp.servers), clock::now());
        if due.is_empty() {
            return;
        }
        // Anew each time: others set it back.
        self.keep_mptcp_on();
        for ran in due {
            let name = self.mind.wans().iter().find(|wan| wan.index == ran.index).map(|wan| wan.name.clone());
            let leads = |server: &&SocketAddr| self.mind.leads_to(ran.index, server.ip());
            let servers: Vec<SocketAddr> = self.mptcp.servers.iter().filter(leads).copied().collect();
            let (sender, is_barred) = (self.sender.clone(), self.mptcp.barred.is_some());
            let tests = async move {
                let mut found = None;
                if let Some(name) = name.filter(|_| !is_barred) {
                    found = test(&name, &servers).await;
                }
                drop(sender.send(Wake::Tested(ran, found)).await);
            };
            spawn(executor, tests).detach();
        }
    }

    /// The settings were read: these are the servers.
    pub(super) fn set_mptcp_servers(&mut self, servers: Vec<SocketAddr>, executor: &LocalExecutor<'_>) {
        if servers == self.mptcp.servers {
            return;
        }
        self.mptcp.tests.forget();
        if servers.is_empty() {
            let known: Vec<IfIndex> = self.mind.wans().iter().map(|wan| wan.index).collect();
            known.into_iter().for_each(|index| self.tell_mind(Event::Mptcp(index, None), executor));
        }
        self.mptcp.servers = servers;
    }

    /// A test has ended.
    pub(super) fn on_tested(&mut self, ran: Running, found: Option<Mptcp>, executor: &LocalExecutor<'_>) {
        if let Some(found) = self.mptcp.tests.ended(ran, found, clock::now()) {
            self.tell_mind(Event::Mptcp(ran.index, found), executor);
        }
    }
}

/// What becomes of MPTCP on the way to the first of these servers that answers.
async fn test(name: &IfName, servers: &[SocketAddr]) -> Option<Mptcp> {
    for server in servers {
        match ask(name, *server).await {
            Ok(None) => {}
            Ok(found) => return found,
            Err(e) => log::debug!("{name}: cannot test MPTCP to {server}: {e}"),
        }
    }
    None
}

async fn ask(name: &IfName, server: SocketAddr) -> std::io::Result<Option<Mptcp>> {
    let answer = probe::mptcp(name, server).await?;
    let opens = answer == Answer::Nothing && probe::opens(name, server).await?;
    Ok(Mptcp::of(answer, opens))
}
