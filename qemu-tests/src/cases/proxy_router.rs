//! The router that the transparent proxy's rules are tried on: a LAN, a firewall of somebody else's, and services that
//! tell where a packet went.

use crate::answers::{Kind, ask_tcp, ask_udp, serve};
use crate::check;
use crate::failure::{Result, failed, skipped};
use crate::link::Wan;
use crate::manager::{self, Ran};
use crate::ns::Ns;
use crate::topology::{Lab, SERVER};

/// What puts the rules in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Tool {
    Nft,
    /// Debian's suffix of the programs: "nft" or "legacy".
    Iptables(&'static str),
}

pub const NFT: Tool = Tool::Nft;
pub const OF_NFT: Tool = Tool::Iptables("nft");
pub const LEGACY: Tool = Tool::Iptables("legacy");

/// Hosts of the Internet, of addresses that are not special like the lab's own; and one that the router has.
pub const HOST: &str = "9.9.9.9";
pub const HOST_V6: &str = "2620:fe::9";
const ROUTER: &str = "5.5.5.5";
const LAN_V6: &str = "2a00:4::2";

/// Who listens where.
pub const PROXY: [&str; 2] = ["127.0.0.1:12345", "[::1]:12345"];

pub struct Router {
    pub lab: Lab,
    tool: Tool,
}

impl Router {
    /// A router with a LAN, masquerading, a port forward and marks of somebody else's; no rules of ours yet.
    pub fn new(tool: Tool) -> Result<Router> {
        Router::with(tool, &[Wan::mbit(100)])
    }

    /// The same with these WANs; forwards lead to the first.
    pub fn with(tool: Tool, wans: &[Wan]) -> Result<Router> {
        let lab = wans.iter().fold(Lab::builder(), |lab, wan| lab.wan(*wan));
        let router = Router { lab: lab.ipv6().lan().build()?, tool };
        router.has_tools()?;
        router.lay_addresses()?;
        router.set_firewall()?;
        for family in ["-4", "-6"] {
            let run = |line: &str| router.lab.client.run(&format!("ip {family} {line}"));
            run("rule add fwmark 0x101/0x107 lookup 100")?;
            run("route add local default dev lo table 100")?;
        }
        for (ns, name, hosts) in [
            (&router.lab.server, "server", vec![HOST, SERVER, "[2620:fe::9]", "[2001:db8:203::1]"]),
            (&router.lab.client, "router", vec![ROUTER, "192.168.4.1", "[2a00:4::1]"]),
            (router.lan()?, "lan", vec!["192.168.4.2", "[2a00:4::2]"]),
        ] {
            for (host, port) in hosts.iter().flat_map(|host| [80, 81, 82, 443].map(|port| (host, port))) {
                serve(ns, name, &format!("{host}:{port}"), Kind::Ordinary)?;
            }
        }
        Ok(router)
    }

    pub fn lan(&self) -> Result<&Ns> {
        self.lab.lan.as_ref().map_or_else(|| failed("the lab has no LAN"), Ok)
    }

    /// Skips where a tool or the kernel's half of it is missing, and has the binary under test find this one.
    fn has_tools(&self) -> Result {
        let works = |line: &str| {
            let why =
                |e| skipped(format!("no transparent proxying here (nftables, iptables, the kernel): {e}"));
            self.lab.client.run(line).map(drop).or_else(why)
        };
        let Tool::Iptables(kind) = self.tool else {
            return works(
                "nft -c table inet t { chain c { type filter hook prerouting priority 0 ; \
                 meta l4proto tcp tproxy ip to 127.0.0.1:1 ; fib daddr type local return ; } ; }",
            );
        };
        for program in ["iptables", "ip6tables"] {
            for verb in ["-A", "-D"] {
                works(&format!("{program}-{kind} -t mangle {verb} PREROUTING -p tcp -j TPROXY --on-port 1"))?;
            }
            for part in ["save", "restore"] {
                let script = format!("exec {program}-{kind}-{part} \"$@\"");
                manager::stand_in(&format!("{program}-{part}"), &script)?;
            }
        }
        Ok(())
    }

    fn lay_addresses(&self) -> Result {
        let lab = &self.lab;
        lab.server.ip_batch(&format!(
            "address add {HOST}/32 dev lo\naddress add {HOST_V6}/128 dev lo nodad\n\
             route add {ROUTER} via 198.19.1.1\nroute add 2a00:4::/64 via 2001:db8:19:1::1\n"
        ))?;
        lab.isp(1).ip_batch(&format!(
            "route add {ROUTER} via 198.18.1.2\nroute add 2a00:4::/64 via 2001:db8:18:1::2\n"
        ))?;
        lab.client.ip_batch(&format!(
            "address add {ROUTER}/32 dev wan1\naddress add 2a00:4::1/64 dev lan0 nodad\n"
        ))?;
        self.lan()?
            .ip_batch(&format!("address add {LAN_V6}/64 dev eth0 nodad\nroute add default via 2a00:4::1\n"))
    }

    /// The LAN's packets bear another's mark 0x100; those to port 81 ours for the server too, to 82 ours for direct.
    fn set_firewall(&self) -> Result {
        match self.tool {
            Tool::Nft => self.lab.client.run(&format!(
                "nft table inet fw4 {{ \
                 chain raw {{ type filter hook prerouting priority raw ; iifname lan0 meta mark set 0x100 ; \
                 iifname lan0 th dport 81 meta mark set 0x102 ; iifname lan0 th dport 82 meta mark set 0x104 ; }} ; \
                 chain dstnat {{ type nat hook prerouting priority dstnat ; \
                 ip daddr {{ 198.18.1.2, {ROUTER} }} meta l4proto {{ tcp, udp }} th dport 8080 dnat ip to 192.168.4.2:80 ; \
                 iifname lan0 meta l4proto {{ tcp, udp }} th dport 53 dnat ip to 192.168.4.1:80 ; }} ; \
                 chain srcnat {{ type nat hook postrouting priority srcnat ; \
                 meta nfproto ipv4 oifname wan1 masquerade ; ip saddr 192.168.4.0/24 oifname lan0 masquerade ; }} ; }}"
            )).map(drop),
            Tool::Iptables(kind) => {
                let mut lines = vec![
                    "iptables -t nat -A POSTROUTING -o wan1 -j MASQUERADE".to_string(),
                    "iptables -t nat -A POSTROUTING -s 192.168.4.0/24 -o lan0 -j MASQUERADE".to_string(),
                ];
                for (address, protocol) in ["198.18.1.2", ROUTER].iter().flat_map(|a| ["tcp", "udp"].map(|p| (a, p))) {
                    lines.push(format!(
                        "iptables -t nat -A PREROUTING -d {address} -p {protocol} --dport 8080 -j DNAT --to 192.168.4.2:80"
                    ));
                }
                for program in ["iptables", "ip6tables"] {
                    // In the tables that ours go to, and in front of whatever comes later.
                    lines.push(format!("{program} -t filter -A FORWARD -i lan0 -j ACCEPT"));
                    lines.push(format!("{program} -t mangle -A PREROUTING -i wan1 -j ACCEPT"));
                    lines.push(format!("{program} -t raw -A PREROUTING -i lan0 -j MARK --set-mark 0x100"));
                    for (port, mark) in [(81, 2), (82, 4)] {
                        let rest = format!("--dport {port} -j MARK --set-mark 0x10{mark}");
                        lines.push(format!("{program} -t raw -A PREROUTING -i lan0 -p tcp {rest}"));
                    }
                }
                lines.iter().try_for_each(|line| {
                    let (program, rest) = line.split_once(' ').unwrap_or_default();
                    self.lab.client.run(&format!("{program}-{kind} {rest}")).map(drop)
                })
            }
        }
    }

    /// A listener where the rules lead to.
    pub fn start_proxy(&self) -> Result {
        PROXY.iter().try_for_each(|at| serve(&self.lab.client, "proxy", at, Kind::Transparent))
    }

    pub fn put(&self, more: &[&str]) -> Result<Ran> {
        let firewall = if self.tool == Tool::Nft { "nft" } else { "iptables" };
        let words = [&["proxy-rules", "put", "--lan", "lan0", "--firewall", firewall], more].concat();
        manager::run(&self.lab, &words)
    }

    /// The same, and it has to work.
    pub fn is_put(&self, more: &[&str]) -> Result {
        let ran = self.put(more)?;
        check!(ran.code == Some(0) && ran.stderr.is_empty(), "put {more:?}: {ran:?}");
        Ok(())
    }

    pub fn is_taken(&self) -> Result {
        let ran = manager::run(&self.lab, &["proxy-rules", "take"])?;
        check!(ran.code == Some(0) && ran.stderr.is_empty(), "take: {ran:?}");
        Ok(())
    }

    /// All rules of the router, without the counts.
    pub fn rules(&self) -> Result<String> {
        let Tool::Iptables(kind) = self.tool else { return self.lab.client.run("nft list ruleset") };
        let mut all = String::new();
        for program in ["iptables", "ip6tables"] {
            let saved = self.lab.client.run(&format!("{program}-{kind}-save"))?;
            for line in saved.lines().filter(|line| !line.starts_with('#')) {
                all.push_str(line.split(" [").next().unwrap_or_default());
                all.push('\n');
            }
        }
        Ok(all)
    }

    /// The LAN's host is answered so by each of these.
    pub fn answers(&self, expected: &[(&str, &str)]) -> Result {
        for (to, who) in expected {
            let answer = ask_tcp(self.lan()?, to)?;
            check!(answer == *who, "TCP to {to}: {answer}, not {who}");
        }
        Ok(())
    }

    pub fn answers_udp(&self, expected: &[(&str, &str)]) -> Result {
        for (to, who) in expected {
            let answer = ask_udp(self.lan()?, to)?;
            check!(answer == *who, "UDP to {to}: {answer}, not {who}");
        }
        Ok(())
    }
}
