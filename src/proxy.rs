//! `bsbf-proxy`: the LAN's connections and datagrams, over MPTCP to a server, and from there into the Internet.
//!
//! One thread does all of it: each connection is a task that sleeps until there is something to carry, and has no buffer
//! of its own meanwhile. [`relay`] carries connections; datagrams of many sessions share connections, as frames
//! ([`frames`], [`outgoing`]).

pub mod accept;
#[cfg(feature = "server")]
mod accounts;
mod ahead;
mod channel;
pub mod client;
pub mod client_list;
pub mod clients;
mod fallbacks;
mod frames;
pub mod greeting;
pub mod ipv6;
pub mod join;
pub mod key_files;
mod lan_hosts;
pub mod lan_udp;
mod meter;
mod outgoing;
mod pipes;
mod relay;
mod room;
mod scratch;
#[cfg(feature = "server")]
pub mod server;
#[cfg(feature = "server")]
mod server_meeting;
#[cfg(feature = "server")]
mod server_session;
#[cfg(feature = "server")]
mod server_udp;
mod servers;
mod turn;
#[cfg(feature = "server")]
mod waiting;

use std::rc::Rc;

use smol::LocalExecutor;

/// Runs the tasks.
pub type Executor = Rc<LocalExecutor<'static>>;
