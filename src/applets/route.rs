//! `bsbf-route`: the half of the WAN manager that moves default routes, for those who run MPTCP otherwise or not at
//! all. The name, and the metrics from 9 to 100, are those of the script that it replaces.

use crate::applet::{self, Applet};
use crate::manager::{self, Kind};

/// The row of the table.
pub const APPLET: Applet = Applet {
    name: "bsbf-route",
    summary: "Fail over between default routes (one half of bsbf-bond)",
    run: |arguments| applet::with_args("bsbf-route", arguments, |args| manager::run(ROUTE, args)),
};

const ROUTE: Kind = Kind { name: "route", routes: true, endpoints: false };
