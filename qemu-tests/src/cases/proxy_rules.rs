//! `bsbf-proxy-rules` on the real kernel: the LAN's packets go to a transparent listener on the router, and all else
//! goes where it did, with nft and with both kinds of iptables.

use std::time::{Duration, Instant};

use super::cases;
use super::proxy_router::{HOST, HOST_V6, LEGACY, NFT, OF_NFT, PROXY, Router, Tool};
use crate::answers::{Kind, ask_tcp_from, ask_udp_from, serve};
use crate::check;
use crate::failure::Result;
use crate::link::Wan;
use crate::manager;
use crate::runner::{Case, patience};
use crate::topology::Lab;

pub const CASES: &[Case] = cases!("proxy_rules":
    nft_brings_the_lan_to_the_proxy,
    iptables_of_nft_brings_the_lan_to_the_proxy,
    iptables_brings_the_lan_to_the_proxy,
    port_forwards_go_on_beside_nft,
    port_forwards_go_on_beside_iptables_of_nft,
    port_forwards_go_on_beside_iptables,
    nft_is_put_in_and_taken_out_whole,
    iptables_of_nft_is_put_in_and_taken_out_whole,
    iptables_is_put_in_and_taken_out_whole,
    a_missing_tool_is_named,
);

const DIRECT: [(&str, &str); 2] =
    [("9.9.9.9:80", "server 9.9.9.9:80"), ("[2620:fe::9]:80", "server [2620:fe::9]:80")];
const PROXIED: [(&str, &str); 2] =
    [("9.9.9.9:80", "proxy 9.9.9.9:80"), ("[2620:fe::9]:80", "proxy [2620:fe::9]:80")];

fn brings_the_lan_to_the_proxy(tool: Tool) -> Result {
    let router = Router::new(tool)?;
    router.answers(&DIRECT)?;
    router.start_proxy()?;
    router.is_put(&[])?;
    router.answers(&PROXIED)?;
    // Other sockets than before: what has begun direct has a path of its own.
    router.answers_udp(&PROXIED)?;
    let special = [
        ("203.0.113.1:80", "server 203.0.113.1:80"),
        ("[2001:db8:203::1]:80", "server [2001:db8:203::1]:80"),
        ("5.5.5.5:80", "router 5.5.5.5:80"),
        ("192.168.4.1:80", "router 192.168.4.1:80"),
        ("[2a00:4::1]:80", "router [2a00:4::1]:80"),
    ];
    router.answers(&special)?;
    router.answers_udp(&special)?;
    // Marked for the server, and for direct.
    router.answers(&[("9.9.9.9:81", "server 9.9.9.9:81"), ("9.9.9.9:82", "server 9.9.9.9:82")])?;
    router.answers(&[("[2620:fe::9]:81", "server [2620:fe::9]:81")])?;
    let asked = Instant::now();
    router.answers_udp(&[("9.9.9.9:443", "refused"), ("[2620:fe::9]:443", "refused")])?;
    let at_once = Duration::from_millis(500) * patience();
    check!(asked.elapsed() < at_once, "it was refused after {:?}", asked.elapsed());
    // QUIC within the house.
    router.answers_udp(&[
        ("192.168.4.1:443", "router 192.168.4.1:443"),
        ("203.0.113.1:443", "server 203.0.113.1:443"),
    ])?;
    router.answers(&[("9.9.9.9:443", "proxy 9.9.9.9:443")])?;
    router.is_put(&["--quic", "proxy", "--ipv6", "direct"])?;
    router.answers_udp(&[
        ("9.9.9.9:443", "proxy 9.9.9.9:443"),
        ("[2620:fe::9]:443", "server [2620:fe::9]:443"),
    ])?;
    router.answers(&[PROXIED[0], DIRECT[1]])?;
    router.is_taken()?;
    router.answers(&DIRECT)
}

fn port_forwards_go_on_beside(tool: Tool) -> Result {
    let router = Router::new(tool)?;
    router.start_proxy()?;
    router.is_put(&[])?;
    let server = &router.lab.server;
    for (from, to, who) in [
        (HOST, "198.18.1.2:8080", "lan 192.168.4.2:80"),
        (HOST_V6, "[2a00:4::2]:80", "lan [2a00:4::2]:80"),
        (HOST_V6, "[2a00:4::2]:443", "lan [2a00:4::2]:443"),
    ] {
        let by_tcp = ask_tcp_from(server, Some(from), to)?;
        let by_udp = ask_udp_from(server, Some(from), to)?;
        check!(by_tcp == who && by_udp == who, "from {from} to {to}: {by_tcp} by TCP, {by_udp} by UDP");
    }
    // From within, by the address that it has for the world.
    let inside = [("5.5.5.5:8080", "lan 192.168.4.2:80")];
    router.answers(&inside)?;
    router.answers_udp(&inside)?;
    // The LAN's DNS is redirected to the router; iptables has TPROXY before that.
    if tool == NFT {
        let redirected = [("9.9.9.9:53", "router 192.168.4.1:80")];
        router.answers(&redirected)?;
        router.answers_udp(&redirected)?;
    }
    router.answers(&PROXIED)
}

fn is_put_in_and_taken_out_whole(tool: Tool) -> Result {
    let router = Router::new(tool)?;
    let before = router.rules()?;
    let is_as_before = |when: &str| -> Result {
        let now = router.rules()?;
        check!(now == before, "{when} the rules were {before} and are {now}");
        Ok(())
    };
    let refused = |lacking: &str| -> Result {
        let ran = router.put(&[])?;
        let said = format!("port 12345: nobody listens for {lacking}");
        check!(ran.code == Some(1) && ran.stderr.contains(&said), "{lacking}: {ran:?}");
        is_as_before("without a listener")
    };
    refused("TCP over IPv4")?;
    serve(&router.lab.client, "proxy", PROXY[0], Kind::Transparent)?;
    refused("TCP over IPv6")?;
    router.is_put(&["--ipv6", "direct"])?;
    router.is_taken()?;
    is_as_before("after IPv4 alone")?;
    serve(&router.lab.client, "proxy", PROXY[1], Kind::Transparent)?;
    router.is_put(&[])?;
    let once = router.rules()?;
    check!(once != before, "nothing was put in: {once}");
    router.is_put(&[])?;
    let twice = router.rules()?;
    check!(twice == once, "put once: {once} and twice: {twice}");
    // Others for other devices, which may come.
    let ran = router.put(&["--lan", "lan7", "--quic", "proxy"])?;
    check!(ran.code == Some(0) && ran.stderr.contains("no interface lan7"), "{ran:?}");
    router.is_taken()?;
    is_as_before("after take")?;
    router.is_taken()?;
    is_as_before("after taking nothing")
}

fn a_missing_tool_is_named() -> Result {
    let lab = Lab::builder().wan(Wan::mbit(100)).build()?;
    PROXY.iter().try_for_each(|at| serve(&lab.client, "proxy", at, Kind::Transparent))?;
    for (firewall, package) in [("nft", "kmod-nft-tproxy"), ("iptables", "iptables-mod-tproxy")] {
        let words = ["proxy-rules", "put", "--lan", "lo", "--firewall", firewall];
        let ran = manager::run_as(&lab, &["env", "PATH=/run/none"], &words)?;
        check!(ran.code == Some(1) && ran.stderr.contains(package), "{ran:?}");
    }
    // iptables is what RUTOS has; and nothing is in where there is nothing.
    let ran = manager::run_as(&lab, &["env", "PATH=/run/none"], &["proxy-rules", "print"])?;
    check!(ran.code == Some(0) && ran.stdout.contains("*mangle"), "{ran:?}");
    let ran = manager::run_as(&lab, &["env", "PATH=/run/none"], &["proxy-rules", "take"])?;
    check!(ran.code == Some(0) && ran.stderr.is_empty(), "{ran:?}");
    Ok(())
}

fn nft_brings_the_lan_to_the_proxy() -> Result {
    brings_the_lan_to_the_proxy(NFT)
}
fn iptables_of_nft_brings_the_lan_to_the_proxy() -> Result {
    brings_the_lan_to_the_proxy(OF_NFT)
}
fn iptables_brings_the_lan_to_the_proxy() -> Result {
    brings_the_lan_to_the_proxy(LEGACY)
}
fn port_forwards_go_on_beside_nft() -> Result {
    port_forwards_go_on_beside(NFT)
}
fn port_forwards_go_on_beside_iptables_of_nft() -> Result {
    port_forwards_go_on_beside(OF_NFT)
}
fn port_forwards_go_on_beside_iptables() -> Result {
    port_forwards_go_on_beside(LEGACY)
}
fn nft_is_put_in_and_taken_out_whole() -> Result {
    is_put_in_and_taken_out_whole(NFT)
}
fn iptables_of_nft_is_put_in_and_taken_out_whole() -> Result {
    is_put_in_and_taken_out_whole(OF_NFT)
}
fn iptables_is_put_in_and_taken_out_whole() -> Result {
    is_put_in_and_taken_out_whole(LEGACY)
}
