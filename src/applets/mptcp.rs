//! `bsbf-mptcp`: the half of the WAN manager that keeps MPTCP endpoints, for those whose default routes are managed
//! by something else. The name is that of the script that it replaces.

use crate::applet::{self, Applet};
use crate::manager::{self, Kind};

/// The row of the table.
pub const APPLET: Applet = Applet {
    name: "bsbf-mptcp",
    summary: "Keep MPTCP endpoints for the WANs that work (one half of bsbf-bond)",
    run: |arguments| applet::with_args("bsbf-mptcp", arguments, |args| manager::run(MPTCP, args)),
};

const MPTCP: Kind = Kind { name: "mptcp", routes: false, endpoints: true };
