//! `bsbf`: WAN bonding for routers, one binary with many names.
//!
//! The layers, from outside in: `applets` (one file per command) use `sys` (one kernel request per
//! function, no decisions) and `wire` (bytes and text to values), `modem` (what is said to modems), and leave decisions to `wan` and `setup` (pure); `manager` and `proxy` are loops that commands share.
//! Data flows one way: kernel -> sys -> policy -> actions with reasons -> sys -> kernel.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod applet;
mod applets;
mod config;
mod error;
mod logging;
mod manager;
mod modem;
mod proxy;
mod proxy_rules;
mod setup;
mod switch;
mod sys;
mod tasks;
#[cfg(test)]
mod testing;
mod types;
mod wan;
mod wire;

use std::process::ExitCode;

fn main() -> ExitCode {
    applet::main(std::env::args_os())
}
