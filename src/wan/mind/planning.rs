//! From verdicts to changes: what the planners of routes, rules and endpoints are asked, and in which order their
//! changes are made.

use std::time::Duration;

use super::super::discover;
use super::super::endpoints::{self, Want};
use super::super::liveness::{Obstacle, State};
use super::super::routes::{self, Class};
use super::super::source_rules::{self, Slot};
use super::super::world::Change;
#[cfg(feature = "replay")]
use super::super::world::Memory;
use super::{Action, Mind, Wan};
use crate::types::{IfIndex, IfName, Time, millis};
use crate::wire::rtnl::{Family, Link, Route, TABLE_MAIN};

/// Changes of routes in a row before we wait, and how fast more are granted: whoever fights us for a route
/// must not make the two of us burn the CPU.
pub(super) const CHANGES: u32 = 100;
const CHANGES_PER_SECOND: u64 = 10;

impl Mind {
    /// What it remembers for the next run.
    #[cfg(feature = "replay")]
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// What gives every moved route back, when the manager ends. Endpoints, tables and rules stay: deleting an
    /// endpoint would close the first subflow of live connections, and they need the rules.
    pub fn farewell(&self) -> Vec<Change> {
        routes::restore(&self.world, &self.memory, &self.devices())
    }

    /// What takes everything of ours out of the kernel, live connections or not.
    pub fn clean(&self) -> Vec<Change> {
        let mut changes = self.farewell();
        let none = endpoints::plan(&self.world, &[], false, &self.memory);
        changes.extend(none.changes.into_iter().filter(|c| matches!(c, Change::DeleteEndpoint(_))));
        changes.extend(source_rules::plan(&self.world, &[]).after);
        changes
    }

    /// Every device by name and number, WAN or not: a route of ours may stand on any.
    fn devices(&self) -> Vec<(IfName, IfIndex)> {
        self.world.links.iter().map(|l| (l.name.clone(), l.index)).collect()
    }

    /// The changes that bring the kernel to what the verdicts ask for.
    pub(super) fn plan(&mut self, now: Time, actions: &mut Vec<Action>) {
        if !self.replan {
            return;
        }
        self.refill(now);
        if self.credit == 0 {
            self.replan_at = now + Duration::from_millis(100);
            return;
        }
        self.replan = false;
        let mut changes = Vec::new();
        let is_there = |w: &&Wan| self.world.links.iter().any(|l| l.index == w.index && l.name == w.name);
        let there: Vec<&Wan> = self.wans.iter().filter(is_there).collect();
        let kept = |w: &&&Wan| w.liveness.obstacle() != Some(Obstacle::Released);
        let slots: Vec<Slot> =
            there.iter().filter(kept).map(|w| Slot { number: w.slot, index: w.index }).collect();
        let mut route_views: Vec<routes::WanView> = there.iter().map(|w| self.route_view(w)).collect();
        route_views.extend(self.left_behind(&there));
        let endpoint_views: Vec<endpoints::WanView> = there.iter().map(|w| self.endpoint_view(w)).collect();
        let rules = source_rules::plan(&self.world, &slots);
        changes.extend(rules.before);
        if self.settings.routes {
            let moves = routes::plan(&self.world, &route_views, &self.memory);
            self.remember(&moves);
            changes.extend(moves);
        }
        if self.settings.endpoints {
            let v6 = self.settings.server_is_v6();
            let plan = endpoints::plan(&self.world, &endpoint_views, v6, &self.memory);
            for wan in self.wans.iter_mut() {
                wan.note =
                    plan.notes.iter().find(|(index, _)| *index == wan.index).map(|(_, note)| note.clone());
            }
            self.remember(&plan.changes);
            changes.extend(plan.changes);
        }
        changes.extend(rules.after);
        self.credit = self.credit.saturating_sub(u32::try_from(changes.len()).unwrap_or(u32::MAX));
        actions.extend(changes.into_iter().map(Action::Change));
    }

    /// Devices that are no WANs of ours, by the settings, but have routes that we moved.
    fn left_behind(&self, wans: &[&Wan]) -> impl Iterator<Item = routes::WanView> {
        let moved = |l: &&Link| {
            let is_none =
                !discover::is_eligible(l, &self.settings) && wans.iter().all(|w| w.index != l.index);
            is_none && self.world.defaults(TABLE_MAIN, Family::V4, l.index).any(Route::is_ours)
        };
        self.world.links.iter().filter(moved).map(|l| routes::WanView {
            name: l.name.clone(),
            index: l.index,
            class: Class::Left,
        })
    }

    fn refill(&mut self, now: Time) {
        let granted = millis(now.since(self.credit_at)) * CHANGES_PER_SECOND / 1000;
        if granted > 0 {
            self.credit = self.credit.saturating_add(u32::try_from(granted).unwrap_or(CHANGES)).min(CHANGES);
            self.credit_at = now;
        }
    }

    fn remember(&mut self, changes: &[Change]) {
        for change in changes {
            if let Change::Remember(memory) = change {
                self.memory = memory.clone();
            }
        }
    }

    fn route_view(&self, wan: &Wan) -> routes::WanView {
        let class = match wan.liveness.state() {
            _ if wan.liveness.obstacle() == Some(Obstacle::Released) => Class::Unknown,
            State::Testing => Class::Unknown,
            State::Up | State::Suspect if self.settings.backup.contains(&wan.name) => Class::LiveBackup,
            State::Up | State::Suspect if self.drops_mptcp(wan) => Class::LiveWithoutMptcp,
            State::Up | State::Suspect => Class::Live,
            State::Down => Class::Dead,
        };
        routes::WanView { name: wan.name.clone(), index: wan.index, class }
    }

    fn endpoint_view(&self, wan: &Wan) -> endpoints::WanView {
        let backup = self.is_backup(wan);
        let want = match (wan.liveness.state(), wan.liveness.obstacle()) {
            (_, Some(Obstacle::Gone | Obstacle::NoAddress | Obstacle::Released)) => Want::Absent,
            (State::Testing, _) => Want::Unknown,
            (State::Up | State::Suspect, _) if wan.liveness.server().is_ok() => Want::Present { backup },
            _ => Want::Unfit,
        };
        endpoints::WanView { name: wan.name.clone(), index: wan.index, want }
    }
}
