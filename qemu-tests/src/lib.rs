//! The lab: networks of namespaces with links that can be shaped and broken, in which the real binary runs.
//!
//! [`topology`] builds a router with several WANs, their ISPs and a server; [`link`] is the handle of a
//! WAN's link; [`netifd`] stands in for OpenWrt's; [`sandbox`] keeps all of it away from the host.

pub mod failure;
pub mod link;
pub mod netifd;
pub mod ns;
mod relay;
pub mod sandbox;
mod sys;
pub mod topology;
