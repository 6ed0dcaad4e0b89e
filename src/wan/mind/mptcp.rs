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
            let to = servers.iter().find(|server| self.leads_to(wan.index, server.ip()))?;
            let address = self.world.global_addresses(wan.index, Family::of(to.ip())).next()?.local;
            Some(Candidate { index: wan.index, address, is_sure: is_up(wan) })
        };
        self.wans.iter().filter(|wan| is_live(wan)).filter_map(of).collect()
    }

    /// The device has a default route of the address's family.
    pub fn leads_to(&self, index: IfIndex, address: IpAddr) -> bool {
        self.world.defaults(TABLE_MAIN, Family::of(address), index).next().is_some()
    }

    /// Some WAN is known to lead to a server that speaks MPTCP.
    pub fn is_mptcp_known(&self) -> bool {
        self.wans.iter().any(|wan| wan.mptcp == Some(Mptcp::Passes))
    }

    pub(super) fn on_mptcp(&mut self, index: IfIndex, found: Mptcp, now: Time, actions: &mut Vec<Action>) {
        let Some(wan) = self.wans.iter_mut().find(|w| w.index == index) else { return };
        let before = wan.mptcp.replace(found);
        if before == Some(found) {
            return;
        }
        self.replan = true;
        // That all is well is no news.
        if before.is_none() && found == Mptcp::Passes {
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

    /// MPTCP is dropped on its way, and there is another that it passes on.
    pub(super) fn drops_mptcp(&self, wan: &Wan) -> bool {
        let passes =
            |w: &Wan| is_live(w) && w.mptcp == Some(Mptcp::Passes) && !self.settings.backup.contains(&w.name);
        wan.mptcp == Some(Mptcp::Dropped) && self.wans.iter().any(passes)
    }
}
