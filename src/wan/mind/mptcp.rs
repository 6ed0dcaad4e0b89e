//! What is made of the tests whether MPTCP passes.

use std::net::{IpAddr, SocketAddr};

use super::super::mptcp::{Candidate, Mptcp};
use super::super::record::{Decision, Outcome, Reason};
use super::{Action, Mind, Wan, is_live, is_up};
use crate::types::{IfIndex, Time};
use crate::wire::rtnl::{Family, TABLE_MAIN};

impl Mind {
    /// The WANs that live and lead to one of these servers, as far as tests are concerned.
    pub fn testable(&self, servers: &[SocketAddr]) -> Vec<Candidate> {
        let of = |wan: &Wan| {
            let leads = servers.iter().filter(|server| self.leads_to(wan.index, server.ip()));
            let from = |server: &SocketAddr| {
                Some(self.world.global_addresses(wan.index, Family::of(server.ip())).next()?.local)
            };
            let address = leads.filter_map(from).next()?;
            Some(Candidate { index: wan.index, address, is_sure: is_up(wan) })
        };
        self.wans.iter().filter(|wan| is_live(wan)).filter_map(of).collect()
    }

    /// The device has a default route of the address's family.
    pub fn leads_to(&self, index: IfIndex, address: IpAddr) -> bool {
        self.world.defaults(TABLE_MAIN, Family::of(address), index).next().is_some()
    }

    /// Some WAN that lives is known to lead to a server that speaks MPTCP.
    pub fn is_mptcp_known(&self) -> bool {
        self.wans.iter().any(|wan| is_live(wan) && wan.mptcp == Some(Mptcp::Passes))
    }

    pub(super) fn on_mptcp(
        &mut self,
        index: IfIndex,
        found: Option<Mptcp>,
        now: Time,
        actions: &mut Vec<Action>,
    ) {
        let Some(wan) = self.wans.iter_mut().find(|w| w.index == index) else { return };
        let before = std::mem::replace(&mut wan.mptcp, found);
        if before == found {
            return;
        }
        self.replan = true;
        // That all is well, or was, is no news.
        let is_news = |known: Option<Mptcp>| known.is_some_and(|known| known != Mptcp::Passes);
        if !is_news(before) && !is_news(found) {
            return;
        }
        let state = wan.liveness.state();
        let name = Some(wan.name.clone());
        let (reason, outcome) = (Reason::Mptcp(found), Outcome::default());
        // Beside what it is in its state for, which stays.
        let decision = Decision { at: now, name, from: state, to: state, reason, outcome };
        self.record.keep(decision.clone());
        actions.push(Action::Tell(decision));
    }

    /// MPTCP is dropped on its way, and there is another that it passes on: none that its owner, or its price, keeps for
    /// when no other lives.
    pub(super) fn drops_mptcp(&self, wan: &Wan) -> bool {
        let metered = |wan: &Wan| self.is_metered(wan);
        let passes = |other: &Wan| {
            let is_better = is_live(other) && other.mptcp == Some(Mptcp::Passes);
            is_better && !self.is_backup(other) && (!metered(other) || metered(wan))
        };
        wan.mptcp == Some(Mptcp::Dropped) && self.wans.iter().any(passes)
    }
}
