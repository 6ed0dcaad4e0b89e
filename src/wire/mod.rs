//! Bytes and text to values and back. No I/O, never a panic on input.

pub mod linkstats;
#[cfg_attr(not(test), expect(dead_code, reason = "config.rs and bsbf-config will read by it"))]
pub mod uci;
