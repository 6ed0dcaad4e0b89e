//! The commands, one file each. A command never uses another command; what two share sinks into
//! `wan`, `wire`, `sys`, or (the daemon's loop) `manager`.

pub mod autoconf;
pub mod bond;
pub mod clients;
pub mod config;
pub mod hotplug;
pub mod mptcp;
pub mod mptcp_helper;
pub mod netspeed;
pub mod proxy;
pub mod proxy_rules;
pub mod route;
pub mod setup_router;
pub mod status;
pub mod tlt_sw_link;
pub mod usbnet;
