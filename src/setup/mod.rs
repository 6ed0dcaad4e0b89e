//! Settings that are made for the owner: a router's first ones, one LAN port and every other one a WAN ([`plan`]); and a
//! network for each device that is plugged in ([`plugged`]). What is to be, from what is there.
//!
//! Pure: the settings come parsed, and what changes them are lines for `uci batch` that name only what is not so yet.
//! A plan of what was planned has no lines, which is how a change is checked and why a second run does nothing.

pub mod device;
mod generated;
pub mod plan;
pub mod plugged;
mod ports;
#[cfg(test)]
mod tests;
