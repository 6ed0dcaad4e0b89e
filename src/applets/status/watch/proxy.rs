//! The proxy in the pictures: where connections go and why, and what its client carried between looks.

use crate::error::Error;
use crate::types::{Time, millis};
use crate::wire::status::ProxyStatus;

use super::Graphs;

/// What the client says: nothing where none runs.
pub type Told = Result<Option<ProxyStatus>, Error>;
/// When it was asked, and what it had counted: down and up by servers, down and up past them.
pub type Look = (Time, [u64; 4]);

/// No manager is called so.
const PROXY: &str = "proxy";
const SERVER: &str = "server";
const DIRECT: &str = "direct";

/// Adds what was carried since the last look; of the first look nothing, for it has counters alone. Without a client nothing
/// is known, and nothing is forgotten.
pub fn add(graphs: &mut Graphs, told: &Told, now: Time, last: &mut Option<Look>) {
    let Ok(Some(proxy)) = told else {
        *last = None;
        return;
    };
    let counted = [proxy.down_bytes, proxy.up_bytes, proxy.direct_down_bytes, proxy.direct_up_bytes];
    let Some((then, before)) = last.replace((now, counted)) else { return };
    let between = millis(now.since(then)).max(1);
    let mut rates = [0; 4];
    for (at, rate) in rates.iter_mut().enumerate() {
        // One that was started anew between two looks counts from 0.
        *rate = counted[at].saturating_sub(before[at]).saturating_mul(1000) / between;
    }
    let [down, up, direct_down, direct_up] = rates;
    graphs.sample(PROXY, SERVER, down, up);
    // Most of the time nothing goes past a server.
    if direct_down > 0 || direct_up > 0 || graphs.find(PROXY, DIRECT).is_some() {
        graphs.sample(PROXY, DIRECT, direct_down, direct_up);
    }
}

/// Its lines; of the servers only at a level above 0, and of what went past them only if something did.
pub fn draw(lines: &mut Vec<String>, told: &Told, graphs: &Graphs, level: u8) {
    match told {
        Ok(Some(proxy)) => {
            lines.push(["proxy: ", proxy.way_text()].concat());
            if level > 0 {
                lines.extend(proxy.servers.iter().map(|server| ["  ", &server.text()].concat()));
            }
        }
        Ok(None) => return,
        Err(e) => lines.push(e.to_string()),
    }
    for (way, title) in [(SERVER, ""), (DIRECT, "  directly")] {
        if let Some(graph) = graphs.find(PROXY, way) {
            if !title.is_empty() {
                lines.push(title.to_string());
            }
            lines.push(graph.line());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::picture;
    use super::*;
    use crate::wire::status::ProxyServer;

    fn told(way: &str, bytes: [u64; 4]) -> Told {
        let server = |address: &str, in_use, silent_ms| ProxyServer {
            address: address.to_string(),
            in_use,
            silent_ms,
            trouble: "refused; by nobody".to_string(),
            rtt_ms: Some(24),
        };
        let [down_bytes, up_bytes, direct_down_bytes, direct_up_bytes] = bytes;
        Ok(Some(ProxyStatus {
            way: way.to_string(),
            servers: vec![server("203.0.113.1:443", true, None), server("192.0.2.1:443", false, Some(3_000))],
            connections: None,
            fallbacks: None,
            up_bytes,
            down_bytes,
            direct_up_bytes,
            direct_down_bytes,
        }))
    }

    /// What is drawn after these looks, each so many milliseconds after the start.
    fn drawn(looks: &[(u64, &Told)], level: u8) -> Vec<String> {
        let (mut graphs, mut last, mut lines) = (Graphs::default(), None, Vec::new());
        for (millis, told) in looks {
            add(&mut graphs, told, Time(millis * 1000), &mut last);
        }
        draw(&mut lines, looks[looks.len() - 1].1, &graphs, level);
        lines
    }

    #[test]
    fn rates_are_what_was_carried_between_two_looks() {
        // What it had carried before anybody looked is no peak.
        let first = told("server", [9_000_000_000, 7, 0, 0]);
        assert_eq!(
            drawn(&[(1000, &first)], 1),
            [
                "proxy: connections go to the server",
                "  203.0.113.1:443 (in use): 24 ms",
                "  192.0.2.1:443: silent for 3 s: refused; by nobody"
            ]
        );
        let lines = drawn(&[(1000, &first), (3000, &told("server", [9_002_500_000, 10_007, 0, 0]))], 0);
        assert!(lines.len() == 2 && lines[1].contains("█  10.0 Mbps  up "), "{lines:?}");
        assert!(lines[1].ends_with("▄  40.0 kbps"), "{lines:?}");
    }

    #[test]
    fn what_went_past_the_servers_has_a_graph_of_its_own() {
        let looks = [told("direct", [5, 5, 0, 0]), told("direct", [5, 5, 1_250_000, 0])];
        let lines = drawn(&[(0, &looks[0]), (500, &looks[1])], 0);
        assert_eq!(lines[0], "proxy: no server answers: connections go out directly");
        assert!(lines[1].contains("0 bps") && lines[2] == "  directly", "{lines:?}");
        assert!(lines[3].contains("█  20.0 Mbps"), "{lines:?}");
        // It stays there as long as anybody watches.
        let lines = drawn(&[(0, &looks[0]), (500, &looks[1]), (1000, &looks[1])], 0);
        assert!(lines[3].contains("█▁  20.0 Mbps"), "{lines:?}");
    }

    #[test]
    fn a_client_that_starts_anew_or_goes_makes_no_peak() {
        let (much, anew, back) = (
            told("server", [5_000_000, 5_000_000, 0, 0]),
            told("server", [0; 4]),
            told("server", [7_000_000, 0, 0, 0]),
        );
        assert!(drawn(&[(0, &much), (1000, &anew), (2000, &Ok(None))], 2).is_empty());
        let lines = drawn(&[(0, &much), (1000, &anew), (2000, &Ok(None)), (3000, &back)], 0);
        assert!(lines[1].contains(" ▁      0 bps"), "{lines:?}");
        let hangs = Err(Error::new("ask", "proxy.sock", "it does not answer"));
        assert_eq!(drawn(&[(0, &hangs)], 0), ["cannot ask proxy.sock: it does not answer"]);
    }

    #[test]
    fn on_a_small_screen_servers_go_before_graphs() {
        let (proxy, mut graphs, mut last) = (told("server", [0; 4]), Graphs::default(), None);
        for millis in [0, 1000] {
            add(&mut graphs, &proxy, Time(millis * 1000), &mut last);
        }
        let lines = |rows| picture(&[], None, &proxy, &graphs, rows).len();
        assert_eq!([None, Some(5), Some(4)].map(lines), [5, 5, 3]);
    }
}
