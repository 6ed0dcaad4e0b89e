//! The kernel's and the system's edge: one request per function, no decisions.
//!
//! The only place for `unsafe`, files, sockets, the clock and the environment (clippy.toml forbids
//! them elsewhere). Errors are `io::Error`; the caller adds what it was doing.

#![allow(clippy::disallowed_methods, clippy::disallowed_types)]
#![allow(unsafe_code)]

pub mod caps;
pub mod child;
pub mod clock;
pub mod control;
pub mod datagrams;
pub mod environment;
pub mod files;
pub mod firewall;
pub mod follow;
pub mod keep;
pub mod kernel;
pub mod limits;
pub mod lock;
pub mod mptcp;
pub mod neighbours;
pub mod netdevs;
pub mod netlink;
pub mod pipe;
pub mod probe;
pub mod random;
pub mod ready;
pub mod resolve;
pub mod rundir;
pub mod serial;
pub mod signals;
pub mod source;
pub mod stream;
pub mod sysfs;
pub mod terminal;
mod thread_name;
pub mod trace_file;
pub mod ubus;
pub mod uci;
pub mod usb;
pub mod watch;
