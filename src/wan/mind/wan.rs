//! One WAN, as the mind keeps it.

use std::time::Duration;

use super::super::backup::BackupWatch;
use super::super::liveness::Liveness;
use super::super::mptcp::Mptcp;
use super::super::record::Reason;
use super::super::traffic::{Load, Traffic};
use super::RELEASE_PATIENCE;
use crate::types::{IfIndex, IfName, Time};

/// One WAN, seen once and remembered.
#[derive(Clone, Debug)]
pub struct Wan {
    /// Its device's name.
    pub name: IfName,
    /// The device's number, now or when it was there last.
    pub index: IfIndex,
    /// When it was found.
    pub found: Time,
    /// Its table.
    pub slot: u8,
    /// Its probing.
    pub liveness: Liveness,
    /// Its traffic.
    pub traffic: Traffic,
    /// The last decision's about it; the record may have forgotten that one.
    pub reason: Reason,
    /// Why it has no endpoint, though it lives.
    pub note: Option<String>,
    /// What becomes of MPTCP on its way to the server, as far as it was tested.
    pub mptcp: Option<Mptcp>,
    pub(super) backup: BackupWatch,
    pub(super) release: Release,
    /// The suspicion (when it began) of which it was told that nobody vouches for the world.
    pub(super) unvouched: Option<Time>,
}

/// An interface that somebody takes down.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Release {
    /// Nobody does.
    No,
    /// We were told, the kernel does not show it yet.
    Asked(Time),
    /// It is down; once it is up again this is over.
    Down,
}

impl Wan {
    /// What silence is measured against: the link's own time, not that of its queues.
    pub(super) fn rtt(&self) -> Duration {
        self.liveness.rtt().base().unwrap_or_default()
    }

    /// The class of its traffic.
    pub fn load(&self, now: Time) -> Load {
        self.traffic.load(now, self.rtt())
    }
}

impl Release {
    /// When a word that nothing follows is forgotten.
    pub(super) fn deadline(self) -> Option<Time> {
        match self {
            Release::Asked(at) => Some(at + RELEASE_PATIENCE),
            Release::No | Release::Down => None,
        }
    }
}
