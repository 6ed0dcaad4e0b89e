//! The WAN manager's mind: pure decisions. No socket, file, process, environment, clock or log in here
//! (clippy.toml enforces it); time comes in as an argument, actions go out with their reasons.
