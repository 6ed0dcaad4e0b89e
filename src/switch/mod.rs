//! Ports of a switch and the networks behind them: which settings give a port to a network alone, and what is to be done
//! once its link comes or goes.
//!
//! Pure: the settings come parsed, and the time is an argument.

pub mod map;
pub mod settle;
