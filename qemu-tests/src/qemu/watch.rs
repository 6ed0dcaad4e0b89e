//! What the router's default routes and endpoints were, and since when, seen from the host.

use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use miniserde::json;

use super::agent::Agent;
use crate::failure::Result;
use crate::guest::watch::Seen;
use crate::history::History;

/// Longer than any test.
const NO_END: Duration = Duration::from_secs(3600);

/// A running watch. Its times are those of the news' arrival: some ms late, on a slow router more.
pub struct Watch {
    /// What was seen.
    pub seen: Arc<History<Seen>>,
    closer: TcpStream,
}

impl Watch {
    /// Starts it and waits for the first finding.
    pub fn start(agent: &Agent) -> Result<Watch> {
        let mut program = agent.start(&["lab", "guest", "watch"])?;
        let closer = program.closer()?;
        let first = program.line()?.unwrap_or_default();
        let Ok(first) = json::from_str::<Seen>(&first) else {
            return crate::failure::failed(format!("the router's watch says {first:?}"));
        };
        let seen = History::new(first);
        let mut program = program.patient(NO_END)?;
        thread::spawn({
            let seen = seen.clone();
            move || {
                loop {
                    match program.line() {
                        Ok(Some(line)) => match json::from_str(&line) {
                            Ok(now) => seen.push(Instant::now(), now),
                            Err(_) => println!("the router's watch says {line:?}"),
                        },
                        Ok(None) => return println!("the router's watch has ended: {:?}", program.code),
                        // The connection was closed, by us.
                        Err(_) => return,
                    }
                }
            }
        });
        Ok(Watch { seen, closer })
    }

    /// How long after `since` this held; None if it did not within the time.
    pub fn wait(&self, since: Instant, within: Duration, wanted: impl Fn(&Seen) -> bool) -> Option<Duration> {
        self.seen.wait(since, within, wanted)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.closer.shutdown(Shutdown::Both);
    }
}

impl Seen {
    /// The device of the preferred default route.
    pub fn preferred(&self) -> Option<&str> {
        self.routes.first().map(|route| route.device.as_str())
    }

    /// Whether there is an endpoint of this address.
    pub fn has_endpoint(&self, address: &str) -> bool {
        self.endpoints.iter().any(|endpoint| endpoint.address == address)
    }
}
