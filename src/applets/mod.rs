//! The commands, one file each. A command never uses another command; what two share sinks into
//! `wan`, `wire` or `sys`.

pub mod netspeed;
