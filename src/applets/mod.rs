//! The commands, one file each. A command never uses another command; what two share sinks into
//! `wan`, `wire`, `sys`, or (the daemon's loop) `manager`.

pub mod bond;
pub mod config;
pub mod mptcp;
pub mod mptcp_helper;
pub mod netspeed;
pub mod route;
pub mod status;
