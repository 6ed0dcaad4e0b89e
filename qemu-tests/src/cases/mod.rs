//! The tests of `lab test`. Each is a claim; the lab's own claims come first, because all others rest on
//! them. Add a test by writing a function and naming it in its file's table.

mod bad_links;
mod breaks;
mod coexistence;
mod explained;
mod failover;
mod flaps;
mod idle;
mod inputs;
mod interplay;
mod ipv6;
mod judgement;
mod kernel_alone;
mod links;
mod load;
mod locks;
mod managed;
pub(crate) mod mptcp;
mod netifd;
mod networks;
pub(crate) mod proxy;
mod proxy_abuse;
mod proxy_bounds;
mod proxy_interop;
mod proxy_join;
mod proxy_programs;
mod proxy_router;
mod proxy_rules;
mod proxy_scan;
mod proxy_secret;
mod proxy_settings;
pub(crate) mod proxy_transfers;
mod proxy_udp;
mod replay;
mod restarts;
mod status;
mod surroundings;
mod tlt_sw_link;
mod topology;
mod usbnet;

use crate::runner::Case;

/// Every test: those that measure under load, in the order in which they run, and then those that may run
/// together with others.
pub fn all() -> Vec<Case> {
    let alone = [
        topology::CASES,
        links::CASES,
        breaks::CASES,
        mptcp::CASES,
        netifd::CASES,
        kernel_alone::CASES,
        load::CASES,
        bad_links::LOADED,
        inputs::LOADED,
        explained::LOADED,
        idle::ALONE,
        status::ALONE,
    ];
    let together = [
        failover::CASES,
        bad_links::QUIET,
        judgement::CASES,
        restarts::CASES,
        replay::CASES,
        interplay::CASES,
        locks::CASES,
        surroundings::CASES,
        coexistence::CASES,
        ipv6::CASES,
        inputs::CASES,
        networks::CASES,
        proxy::CASES,
        proxy_abuse::CASES,
        proxy_bounds::CASES,
        proxy_interop::CASES,
        proxy_join::CASES,
        proxy_programs::CASES,
        proxy_rules::CASES,
        proxy_scan::CASES,
        proxy_secret::CASES,
        proxy_settings::CASES,
        proxy_transfers::CASES,
        proxy_udp::CASES,
        tlt_sw_link::CASES,
        usbnet::CASES,
        flaps::CASES,
        explained::CASES,
        idle::TOGETHER,
        status::CASES,
    ];
    alone.concat().into_iter().chain(together.concat().into_iter().map(Case::together)).collect()
}

/// A table of tests with the usual limit: the module's name and the functions.
macro_rules! cases {
    ($group:literal: $($claim:ident $(within $seconds:literal)?),+ $(,)?) => {
        &[$($crate::runner::Case::new(concat!($group, "::", stringify!($claim)), $claim)$(.within($seconds))?),+]
    };
}
pub(crate) use cases;
