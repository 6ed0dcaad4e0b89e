//! Who else steers packets here, asked when somebody wants to know: nothing of it costs while nobody asks.

use std::path::Path;

use super::Manager;
use crate::sys::{neighbours, netdevs};
use crate::wan::neighbours::{Facts, notes};

impl Manager {
    /// What is wrong with the machine, and who else is at work on it now.
    pub(super) fn all_notes(&mut self) -> Vec<String> {
        let rules = self.kernel.foreign_rules().unwrap_or_else(|e| {
            log::debug!("cannot read other people's rules: {e}");
            Vec::new()
        });
        let mut rp_filter = Vec::new();
        for wan in self.mind.wans() {
            rp_filter.push((wan.name.clone(), neighbours::rp_filter(wan.name.as_str())));
        }
        let has_endpoints = self.kind.endpoints && self.kernel.has_mptcp();
        let facts = Facts {
            rules,
            services: neighbours::services(""),
            rp_filter_all: neighbours::rp_filter("all"),
            rp_filter,
            mptcp: has_endpoints.then(neighbours::mptcp),
        };
        let mut all = self.notes.clone();
        all.extend(self.mptcp.barred.clone());
        all.extend(notes(&facts));
        all.extend(netdevs::phone_notes(Path::new("/")));
        all
    }
}
