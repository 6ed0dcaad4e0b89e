//! `bsbf-bond`: the WAN manager. Probes every WAN, and keeps default routes and MPTCP endpoints in step with
//! which of them really work.
//!
//! How it decides stands in `wan`: whether a WAN works in `wan/liveness.rs` (with the state diagram), where routes
//! stand in `wan/routes.rs`, which endpoints exist in `wan/endpoints.rs`. The loop is in `manager.rs`.

use crate::applet::{self, Applet};
use crate::manager::{self, Kind};

/// The row of the table.
pub const APPLET: Applet = Applet {
    name: "bsbf-bond",
    summary: "Manage the WANs: default routes and MPTCP endpoints follow what works",
    run: |arguments| applet::with_args("bsbf-bond", arguments, |args| manager::run(BOND, args)),
};

const BOND: Kind = Kind { name: "bond", routes: true, endpoints: true };
