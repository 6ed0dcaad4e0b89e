//! Bytes and text to values and back. No I/O, never a panic on input.

pub mod calendar;
pub mod hash;
pub mod icmp;
pub mod lines;
pub mod mptcp_pm;
pub mod mux;
pub mod nl;
pub mod proc_net;
pub mod question;
pub mod rtnl;
pub mod status;
pub mod swlink;
pub mod tproxy;
pub mod ubus;
pub mod uci;
pub mod vless;

/// Bytes that break their format. What was wrong does not matter to anyone but a debugger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

impl std::fmt::Display for Malformed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("malformed message")
    }
}
