//! The lab: networks of namespaces with links that can be shaped and broken, in which the real binary runs.
//!
//! [`topology`] builds a router with several WANs, their ISPs and a server; [`link`] is the handle of a
//! WAN's link; [`netifd`] stands in for OpenWrt's; [`traffic`] and [`datagrams`] load it; [`route_watch`],
//! [`endpoint_watch`] and [`counters`] see what happens; [`manager`] is the binary under test; [`cases`] are
//! the tests and [`runner`] runs them; [`demo`] is a show;
//! [`sandbox`] keeps all of it away from the host.

pub mod by_hand;
pub mod cases;
pub mod counters;
pub mod datagrams;
pub mod demo;
pub mod endpoint_watch;
pub mod failure;
pub mod history;
pub mod link;
pub mod manager;
pub mod netifd;
mod netlink;
pub mod ns;
pub mod ping_pong;
mod relay;
pub mod route_watch;
pub mod runner;
pub mod sandbox;
mod sys;
pub mod topology;
pub mod traffic;
