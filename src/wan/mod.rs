//! The WAN manager's mind: pure decisions. No socket, file, process, environment, clock or log in here
//! (clippy.toml enforces it); time comes in as an argument, actions go out with their reasons.

pub mod backup;
pub mod discover;
pub mod endpoints;
pub mod liveness;
pub mod mind;
#[cfg(any(test, feature = "replay"))]
pub mod model;
pub mod mptcp;
pub mod neighbours;
pub mod networks;
pub mod probes;
pub mod record;
#[cfg(feature = "replay")]
pub mod replay;
pub mod routes;
pub mod rtt;
pub mod server_watch;
pub mod settings;
pub mod source_rules;
pub mod subflows;
pub mod trace;
pub mod traffic;
pub mod world;

#[cfg(test)]
mod simulation;
