//! Connections to servers that were to be MPTCP and came to be plain TCP: counted, and told to the manager, which tests the
//! WAN.

use std::cell::RefCell;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::sys::{clock, control};
use crate::types::Time;
use crate::wire::question::Question;
use crate::wire::status::ProxyFallbacks;

use super::channel::Channel;

/// The managers are told of an address no oftener; they have pauses of their own.
const PAUSE: Duration = Duration::from_secs(10);
/// Addresses whose counts are kept; a modem gets others all the time.
const ADDRESSES: usize = 16;
/// The managers' sockets.
const MANAGERS: [&str; 3] = ["bond.sock", "route.sock", "mptcp.sock"];

/// What is counted.
pub struct Fallbacks {
    run_dir: PathBuf,
    /// By our address; the one that was counted last is the last.
    counts: RefCell<Vec<(IpAddr, u64)>>,
    /// Of which addresses the managers were told a while ago.
    told: RefCell<heapless::Vec<(IpAddr, Time), ADDRESSES>>,
}

impl Fallbacks {
    /// None yet. The managers are told by their sockets in this directory.
    pub fn new(run_dir: PathBuf) -> Fallbacks {
        Fallbacks { run_dir, counts: RefCell::default(), told: RefCell::default() }
    }

    /// Looks at a connection to a server: when it has begun, and once more when it ends.
    pub fn look(&self, connection: &Channel) {
        if let Some(address) = connection.falls_back() {
            self.count(address);
            self.doubt(address);
        }
    }

    /// Has the managers test the WAN with this address.
    pub fn doubt(&self, address: IpAddr) {
        let now = clock::now();
        let mut told = self.told.borrow_mut();
        told.retain(|(_, at)| now.since(*at) < PAUSE);
        if told.iter().any(|(of, _)| *of == address) || told.push((address, now)).is_err() {
            return;
        }
        let run_dir = self.run_dir.clone();
        // A manager that hangs is not waited for.
        let tell = move || {
            for manager in MANAGERS {
                if let Err(e) = control::ask(&run_dir.join(manager), &Question::FellBack(address)) {
                    log::debug!("cannot tell {manager} that MPTCP from {address} came to be TCP: {e}");
                }
            }
        };
        if let Err(e) = std::thread::Builder::new().name("tell".into()).spawn(tell) {
            log::debug!("cannot start a thread to tell the managers: {e}");
        }
    }

    fn count(&self, address: IpAddr) {
        let mut counts = self.counts.borrow_mut();
        let mut count = 0;
        match counts.iter().position(|(known, _)| *known == address) {
            Some(at) => count = counts.remove(at).1,
            None if counts.len() >= ADDRESSES => drop(counts.remove(0)),
            None => {}
        }
        counts.push((address, count + 1));
    }

    /// For the status.
    pub fn status(&self) -> Vec<ProxyFallbacks> {
        let counts = self.counts.borrow();
        let of = |(address, connections): &(IpAddr, u64)| ProxyFallbacks {
            address: address.to_string(),
            connections: *connections,
        };
        counts.iter().map(of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_addresses_that_were_counted_last_are_kept() {
        let fallbacks = Fallbacks::new(PathBuf::new());
        for last in 0..20 {
            fallbacks.count(IpAddr::from([192, 0, 2, last]));
            fallbacks.count(IpAddr::from([192, 0, 2, 0]));
        }
        let counts = fallbacks.status();
        assert_eq!(counts.len(), ADDRESSES);
        assert!(counts.contains(&ProxyFallbacks { address: "192.0.2.0".to_string(), connections: 21 }));
        assert!(!counts.iter().any(|c| c.address == "192.0.2.1"));
    }
}
