//! The tests of `lab qemu`: what a router's architecture, kernel and hardware can break.

mod bonding;
mod breaks;
mod commands;
mod cost;
mod first_boot;
mod inside;
mod mptcp;
mod packages;
mod proxy;
mod usb;

use crate::runner::Case;

/// Every test, those that measure first.
pub fn all() -> Vec<Case> {
    let alone = [cost::CASES, bonding::CASES, proxy::CASES, breaks::CASES, inside::CASES, mptcp::CASES];
    let together = [commands::CASES, first_boot::CASES, packages::CASES, usb::CASES];
    alone.concat().into_iter().chain(together.concat().into_iter().map(Case::together)).collect()
}
