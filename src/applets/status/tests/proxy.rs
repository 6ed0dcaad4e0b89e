//! What is shown of the proxy.

use super::*;
use crate::wire::status::{ProxyFallbacks, ProxyServer};

fn server(
    address: &str,
    in_use: bool,
    silent_ms: Option<u64>,
    rtt_ms: Option<u64>,
    trouble: &str,
) -> ProxyServer {
    let (address, trouble) = (address.to_string(), trouble.to_string());
    ProxyServer { address, in_use, silent_ms, trouble, rtt_ms }
}

fn proxy() -> ProxyStatus {
    ProxyStatus {
        way: "server".to_string(),
        servers: vec![
            server("203.0.113.1:32768", true, None, Some(24), ""),
            server("[2001:db8::1]:443", false, Some(3_900), None, "refused"),
        ],
        connections: Some(120),
        fallbacks: Some(Vec::new()),
        up_bytes: 1,
        down_bytes: 2,
        direct_up_bytes: 3,
        direct_down_bytes: 4,
    }
}

#[test]
fn the_proxy_tells_where_connections_go_and_why() {
    let mut proxy = proxy();
    assert_eq!(ProxyStatus::from_json(&proxy.to_json()).unwrap(), proxy);
    assert_eq!(
        proxy.line(),
        "proxy: connections go to the server; 203.0.113.1:32768 (in use): 24 ms; \
         [2001:db8::1]:443: silent for 3 s: refused\n"
    );
    let from = |address: &str, connections| ProxyFallbacks { address: address.to_string(), connections };
    proxy.fallbacks = Some(vec![from("198.18.2.2", 2), from("2001:db8::2", 1)]);
    let told =
        "3 of 120 connections to servers came to be plain TCP: 2 from 198.18.2.2, 1 from 2001:db8::2\n";
    assert!(proxy.line().ends_with(told) && proxy.text().ends_with(told), "{}", proxy.text());
    // As an older client has it.
    let older = proxy.to_json().replace(",\"connections\":120", "").replace("fallbacks", "something");
    let older = ProxyStatus::from_json(&older).unwrap();
    assert_eq!((older.connections, &older.fallbacks), (None, &None));
    proxy.fallbacks = None;
    proxy.way = "direct".to_string();
    proxy.servers = vec![server("203.0.113.1:32768", true, Some(12_000), Some(24), "")];
    assert_eq!(
        proxy.text(),
        "server 203.0.113.1:32768 (in use): silent for 12 s\n\
         no server answers: connections go out directly\n\
         bytes up/down: 1/2 by servers, 3/4 directly\n"
    );
    let all = Shown { version: VERSION, time: 1.5, managers: &[], system: None, proxy: Some(proxy) };
    let all: Value = json::from_str(&json::to_string(&all)).unwrap();
    assert_eq!((text(&all, "proxy.way"), number(&all, "proxy.servers.0.silent_ms")), ("direct", 12_000.0));
    assert!(ProxyStatus::from_json("server 203.0.113.1:443 (in use): 3 ms\n").is_err());
}

#[test]
fn metrics_of_the_proxy_are_there_whether_a_manager_runs_or_not() {
    let mut proxy = proxy();
    proxy.fallbacks = Some(vec![ProxyFallbacks { address: "198.18.2.2".to_string(), connections: 2 }]);
    proxy.servers.push(server("192.0.2.1:443", false, None, None, ""));
    for managers in [&[][..], &[status("bond", &["wan1"])]] {
        let shown = prometheus::text(managers, Some(&proxy));
        keeps_to_the_format(&shown);
        for line in [
            "bsbf_proxy_up 1",
            "bsbf_proxy_connections_total 120",
            "bsbf_proxy_fallbacks_total{address=\"198.18.2.2\"} 2",
            "bsbf_proxy_way{way=\"server\"} 1",
            "bsbf_proxy_way{way=\"direct\"} 0",
            "bsbf_proxy_way{way=\"reject\"} 0",
            "# TYPE bsbf_proxy_transmit_bytes_total counter",
            "bsbf_proxy_transmit_bytes_total{way=\"server\"} 1",
            "bsbf_proxy_receive_bytes_total{way=\"server\"} 2",
            "bsbf_proxy_transmit_bytes_total{way=\"direct\"} 3",
            "bsbf_proxy_receive_bytes_total{way=\"direct\"} 4",
            "bsbf_proxy_server_up{server=\"203.0.113.1:32768\"} 1",
            "bsbf_proxy_server_up{server=\"[2001:db8::1]:443\"} 0",
            "bsbf_proxy_server_in_use{server=\"203.0.113.1:32768\"} 1",
            "bsbf_proxy_server_in_use{server=\"192.0.2.1:443\"} 0",
            "bsbf_proxy_server_rtt_seconds{server=\"203.0.113.1:32768\"} 0.024",
        ] {
            assert!(shown.lines().any(|l| l == line), "no {line} in\n{shown}");
        }
        // One that was not asked yet is neither up nor down.
        assert!(!shown.contains("_up{server=\"192.0.2.1:443\"}"), "{shown}");
    }
    let shown = prometheus::text(&[], None);
    assert!(shown.contains("\nbsbf_proxy_up 0\n") && !shown.contains("proxy_way"), "{shown}");
}
