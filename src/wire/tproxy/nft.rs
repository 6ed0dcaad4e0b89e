//! The rules for `nft -f -`, in a table of their own: `fw4 reload` flushes only its own, and a mistake in ours cannot
//! take the router's firewall with it. What is read at once takes effect at once or not at all (nft(8)).

use super::{DIRECT_V4, DIRECT_V6, Ipv6, Quic, Rules};

/// Takes the table out. The first line makes it, so that the second finds one: `destroy` is newer than OpenWrt 22.03.
pub const TAKE: &str = "table inet bsbf_proxy\ndelete table inet bsbf_proxy\n";

/// Behind mangle, where mwan3 and pbr put their marks, and behind the redirects, such as of the LAN's DNS to this router:
/// before them a redirected packet would have a proxy's socket and another's destination (measured: UDP went to the
/// proxy, TCP was reset).
const PREROUTING: &str = "table inet bsbf_proxy {
\tchain prerouting {
\t\ttype filter hook prerouting priority dstnat + 1; policy accept;
";
/// `reject` in prerouting is newer than Linux 5.9; and before fw4's chain, which would accept or drop the packet.
const FORWARD: &str = "\t}
\tchain forward {
\t\ttype filter hook forward priority filter - 1; policy accept;
";
/// What both chains pass over.
const DIRECT: &str = "\t\tct direction reply return
\t\tct status dnat return
\t\tiifname != $lan return
\t\tmeta mark & 0x7 == 0x2 return
\t\tmeta mark & 0x7 == 0x4 return
\t\tip daddr $direct4 return
\t\tip6 daddr $direct6 return
";
/// Where nobody listens a rule ends at `tproxy`, and the packet gets no mark.
const TPROXY: &str = "\t\tmeta nfproto ipv4 meta l4proto { tcp, udp } tproxy ip to 127.0.0.1:$port \
    meta mark set meta mark & 0xfffffff8 | 0x1
\t\tmeta nfproto ipv6 meta l4proto { tcp, udp } tproxy ip6 to [::1]:$port \
    meta mark set meta mark & 0xfffffff8 | 0x1
";

/// Other refusals than these are only hints to a host, which goes on waiting (icmpv6_err_convert, net/ipv6/icmp.c).
const REFUSE: &str = "\t\tmeta nfproto ipv6 meta l4proto tcp reject with tcp reset
\t\tmeta nfproto ipv6 reject with icmpv6 type port-unreachable
";

/// Puts the rules in, in the place of those that are there.
pub fn put(rules: &Rules) -> String {
    let mut lan = String::new();
    for name in &rules.lan {
        lan.push('"');
        lan.push_str(name.as_str());
        lan.push_str("\", ");
    }
    let (block, refuse) = (rules.quic == Quic::Block, rules.ipv6 == Ipv6::Refuse);
    let mut text = format!(
        "{TAKE}define port = {}\ndefine lan = {{ {lan}}}\ndefine direct4 = {{ {DIRECT_V4} }}\n\
         define direct6 = {{ {} }}\n{PREROUTING}{DIRECT}\t\tfib daddr type local return\n{}{}{TPROXY}",
        rules.port,
        if rules.ipv6 == Ipv6::Direct { "::/0" } else { DIRECT_V6 },
        if refuse { "\t\tmeta nfproto ipv6 return\n" } else { "" },
        if rules.quic == Quic::Proxy { "" } else { "\t\tudp dport 443 return\n" },
    );
    if block || refuse {
        text.push_str(FORWARD);
        text.push_str(DIRECT);
    }
    if refuse {
        text.push_str(REFUSE);
    }
    if block {
        text.push_str("\t\tudp dport 443 reject with icmpx type port-unreachable\n");
    }
    text.push_str("\t}\n}\n");
    text
}

#[cfg(test)]
mod tests {
    use super::super::example;
    use super::*;

    #[test]
    fn all_of_it() {
        let text = "table inet bsbf_proxy
delete table inet bsbf_proxy
define port = 12345
define lan = { \"br-lan\", \"eth0.2\", }
define direct4 = { 0.0.0.0/8,10.0.0.0/8,100.64.0.0/10,127.0.0.0/8,169.254.0.0/16,172.16.0.0/12,192.0.0.0/24,192.0.2.0/24,192.88.99.0/24,192.168.0.0/16,198.18.0.0/15,198.51.100.0/24,203.0.113.0/24,224.0.0.0/4,240.0.0.0/4 }
define direct6 = { ::/3,4000::/2,8000::/1,2001::/23,2001:db8::/32,3fff::/20 }
table inet bsbf_proxy {
\tchain prerouting {
\t\ttype filter hook prerouting priority dstnat + 1; policy accept;
\t\tct direction reply return
\t\tct status dnat return
\t\tiifname != $lan return
\t\tmeta mark & 0x7 == 0x2 return
\t\tmeta mark & 0x7 == 0x4 return
\t\tip daddr $direct4 return
\t\tip6 daddr $direct6 return
\t\tfib daddr type local return
\t\tudp dport 443 return
\t\tmeta nfproto ipv4 meta l4proto { tcp, udp } tproxy ip to 127.0.0.1:$port meta mark set meta mark & 0xfffffff8 | 0x1
\t\tmeta nfproto ipv6 meta l4proto { tcp, udp } tproxy ip6 to [::1]:$port meta mark set meta mark & 0xfffffff8 | 0x1
\t}
\tchain forward {
\t\ttype filter hook forward priority filter - 1; policy accept;
\t\tct direction reply return
\t\tct status dnat return
\t\tiifname != $lan return
\t\tmeta mark & 0x7 == 0x2 return
\t\tmeta mark & 0x7 == 0x4 return
\t\tip daddr $direct4 return
\t\tip6 daddr $direct6 return
\t\tudp dport 443 reject with icmpx type port-unreachable
\t}
}
";
        assert_eq!(put(&example(&["br-lan", "eth0.2"], Ipv6::Proxy, Quic::Block)), text);
    }

    #[test]
    fn without_ipv6_and_with_quic() {
        let text = put(&example(&["br-lan"], Ipv6::Direct, Quic::Proxy));
        let rules = "
\t\tip6 daddr $direct6 return
\t\tfib daddr type local return
\t\tmeta nfproto ipv4 meta l4proto { tcp, udp } tproxy ip to 127.0.0.1:$port meta mark set meta mark & 0xfffffff8 | 0x1
\t\tmeta nfproto ipv6 meta l4proto { tcp, udp } tproxy ip6 to [::1]:$port meta mark set meta mark & 0xfffffff8 | 0x1
\t}
}
";
        assert!(text.ends_with(rules) && text.contains("\ndefine direct6 = { ::/0 }\n"), "{text}");
        assert!(!text.contains("chain forward"), "{text}");
    }
    #[test]
    fn refused_ipv6_and_direct_quic() {
        let text = put(&example(&["br-lan"], Ipv6::Refuse, Quic::Direct));
        let before =
            "\t\tfib daddr type local return\n\t\tmeta nfproto ipv6 return\n\t\tudp dport 443 return\n";
        assert!(text.contains(before), "{text}");
        let after = "\t\tip6 daddr $direct6 return
\t\tmeta nfproto ipv6 meta l4proto tcp reject with tcp reset
\t\tmeta nfproto ipv6 reject with icmpv6 type port-unreachable
\t}
}
";
        assert!(text.ends_with(after), "{text}");
    }
}
