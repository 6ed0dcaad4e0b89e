//! The lab: networks of namespaces with links that can be shaped and broken, in which the real binary runs.
//!
//! [`topology`] builds a router with several WANs, their ISPs and a server; [`link`] is the handle of a
//! WAN's link; [`netifd`] stands in for OpenWrt's; [`traffic`] and [`datagrams`] load it; [`answers`] tell where packets
//! went; [`modem`] answers AT commands; [`route_watch`],
//! [`endpoint_watch`] and [`counters`] see what happens; [`manager`] is the binary under test; [`cases`] are
//! the tests and [`runner`] runs them; [`demo`] is a show;
//! [`sandbox`] keeps all of it away from the host.
//!
//! A test is a function in a file of [`cases`] and a line in that file's table:
//!
//! ```
//! use std::time::{Duration, Instant};
//! use qemu_tests::check;
//! use qemu_tests::failure::Result;
//! use qemu_tests::{by_hand, route_watch::RouteWatch, topology::Lab, traffic::Transfer};
//!
//! fn a_pulled_cable_loses_no_byte() -> Result {
//!     let lab = Lab::two_wans()?;                     // or Lab::builder().wan(Wan::mbit(50).loss(0.01))...
//!     by_hand::set_up(&lab)?;                         // or Manager::start
//!     let watch = RouteWatch::start(&lab.client)?;
//!     let transfer = Transfer::start(&lab)?;
//!     std::thread::sleep(Duration::from_secs(2));
//!     let cut = Instant::now();
//!     lab.far_carrier(1, false)?;
//!     let moved = watch.moved_to(2, cut, Duration::from_secs(1));
//!     check!(moved.is_none(), "without a manager the route moved after {moved:?}");
//!     println!("stall {:?}", transfer.timeline.longest_stall(cut, Instant::now()));
//!     lab.far_carrier(1, true)?;
//!     transfer.finish()?;                             // fails if a byte was lost or changed
//!     Ok(())
//! }
//! ```
//!
//! What a test prints is shown only if it fails; `lab case NAME` runs one test and shows everything.

pub mod advertise;
pub mod answers;
pub mod bench;
pub mod by_hand;
pub mod cases;
pub mod counters;
pub mod datagrams;
pub mod decisions;
pub mod demo;
pub mod endpoint_watch;
pub mod failure;
pub mod far;
pub mod guest;
pub mod history;
pub mod link;
pub mod manager;
pub mod modem;
pub mod netifd;
mod netlink;
pub mod ns;
pub mod ping_pong;
pub mod qemu;
pub mod random;
mod relay;
pub mod route_watch;
pub mod runner;
pub mod sandbox;
mod sys;
pub mod topology;
pub mod traffic;
