//! The lab's other kind of router: a virtual machine of a router's architecture, with a kernel of its own and
//! the release binary for it. `cargo xtask qemu` makes what a machine needs and calls `lab qemu MACHINE.json`.
//!
//! [`rig`] is a router between the lab's ISPs and a LAN; [`machine`] is the virtual hardware; [`agent`] runs
//! programs in the router; [`cases`] are the tests. What runs inside is in [`crate::guest`].

pub mod agent;
pub mod cases;
pub mod machine;
pub mod monitor;
pub mod rig;
pub mod transfer;
pub mod watch;
