//! The proxy in the pictures: where connections go and why, and what its client carried between looks.

use std::collections::VecDeque;

use crate::error::Error;
use crate::types::Time;
use crate::wire::status::ProxyStatus;

use super::{both_ways, push};

/// What is counted: down and up by servers, down and up past them.
const COUNTERS: usize = 4;

/// What the client carried at the last samples, in bytes a second. It has counters alone, so that the first look at it
/// tells of no rate.
#[derive(Default)]
pub struct Carried {
    last: Option<(Time, [u64; COUNTERS])>,
    rates: [VecDeque<u64>; COUNTERS],
}

impl Carried {
    /// Without a client nothing is known, and nothing is forgotten.
    pub fn add(&mut self, told: &Result<Option<ProxyStatus>, Error>, now: Time) {
        let Ok(Some(proxy)) = told else {
            self.last = None;
            return;
        };
        let counted = [proxy.down_bytes, proxy.up_bytes, proxy.direct_down_bytes, proxy.direct_up_bytes];
        let Some((then, before)) = self.last.replace((now, counted)) else { return };
        let micros = u64::try_from(now.since(then).as_micros()).unwrap_or(u64::MAX).max(1);
        for (rates, (bytes, before)) in self.rates.iter_mut().zip(counted.into_iter().zip(before)) {
            // One that was started anew between two looks counts from 0.
            let carried = bytes.saturating_sub(before);
            push(rates, carried.saturating_mul(1_000_000) / micros);
        }
    }

    /// Its lines; of the servers only at a level above 0, and of what went past them only if something did.
    pub fn lines(&self, told: &Result<Option<ProxyStatus>, Error>, level: u8) -> Vec<String> {
        let proxy = match told {
            Ok(Some(proxy)) => proxy,
            Ok(None) => return Vec::new(),
            Err(e) => return vec![e.to_string()],
        };
        let mut parts = proxy.parts().into_iter();
        let mut lines: Vec<String> = parts.next().into_iter().collect();
        if level > 0 {
            lines.extend(parts.map(|server| ["  ", &server].concat()));
        }
        let [down, up, direct_down, direct_up] = &self.rates;
        lines.push(both_ways(down, up));
        if direct_down.iter().chain(direct_up).any(|&rate| rate > 0) {
            lines.push("  directly".to_string());
            lines.push(both_ways(direct_down, direct_up));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::super::picture;
    use super::*;
    use crate::wire::status::ProxyServer;

    fn told(way: &str, bytes: [u64; COUNTERS]) -> Result<Option<ProxyStatus>, Error> {
        let server = |address: &str, in_use, silent_ms| ProxyServer {
            address: address.to_string(),
            in_use,
            silent_ms,
            trouble: "refused".to_string(),
            rtt_ms: Some(24),
        };
        let [down_bytes, up_bytes, direct_down_bytes, direct_up_bytes] = bytes;
        Ok(Some(ProxyStatus {
            way: way.to_string(),
            servers: vec![server("203.0.113.1:443", true, None), server("192.0.2.1:443", false, Some(3_000))],
            up_bytes,
            down_bytes,
            direct_up_bytes,
            direct_down_bytes,
        }))
    }

    fn after(millis: u64) -> Time {
        Time(millis * 1000)
    }

    #[test]
    fn rates_are_what_was_carried_between_two_looks() {
        let mut carried = Carried::default();
        // What it had carried before anybody looked is no peak.
        carried.add(&told("server", [9_000_000_000, 7, 0, 0]), after(1000));
        let lines = carried.lines(&told("server", [9_000_000_000, 7, 0, 0]), 1);
        assert_eq!(
            lines[..3],
            [
                "proxy: connections go to the server",
                "  203.0.113.1:443 (in use): 24 ms",
                "  192.0.2.1:443: silent for 3 s: refused"
            ]
        );
        assert!(lines.len() == 4 && !lines[3].contains('▁') && lines[3].contains("0 bps"), "{lines:?}");
        let now = told("server", [9_002_500_000, 10_007, 0, 0]);
        carried.add(&now, after(3000));
        let lines = carried.lines(&now, 0);
        assert!(lines.len() == 2 && lines[1].contains("█  10.0 Mbps  up "), "{lines:?}");
        assert!(lines[1].ends_with("▄  40.0 kbps"), "{lines:?}");
    }

    #[test]
    fn what_went_past_the_servers_has_a_graph_of_its_own() {
        let mut carried = Carried::default();
        carried.add(&told("direct", [5, 5, 0, 0]), after(0));
        let now = told("direct", [5, 5, 1_250_000, 0]);
        carried.add(&now, after(500));
        let lines = carried.lines(&now, 0);
        assert_eq!(lines[0], "proxy: no server answers: connections go out directly");
        assert!(lines[1].contains("0 bps") && lines[2] == "  directly", "{lines:?}");
        assert!(lines[3].contains("█  20.0 Mbps"), "{lines:?}");
    }

    #[test]
    fn a_client_that_starts_anew_or_goes_makes_no_peak() {
        let mut carried = Carried::default();
        carried.add(&told("server", [5_000_000, 5_000_000, 0, 0]), after(0));
        carried.add(&told("server", [0, 0, 0, 0]), after(1000));
        carried.add(&Ok(None), after(2000));
        assert!(carried.lines(&Ok(None), 2).is_empty());
        let back = told("server", [7_000_000, 0, 0, 0]);
        carried.add(&back, after(3000));
        assert_eq!(carried.rates[0], [0]);
        let hangs = Err(Error::new("ask", "proxy.sock", "it does not answer"));
        carried.add(&hangs, after(4000));
        assert_eq!(carried.lines(&hangs, 0), ["cannot ask proxy.sock: it does not answer"]);
    }

    #[test]
    fn on_a_small_screen_servers_go_before_graphs() {
        let proxy = told("server", [0; COUNTERS]);
        let carried = Carried::default();
        let lines = |level| carried.lines(&proxy, level);
        assert_eq!([None, Some(4), Some(3)].map(|rows| picture(&lines, rows).len()), [4, 4, 2]);
    }
}
