//! Puts the rules of the transparent proxy into the firewall, and takes them out. The proxy does so once it listens and
//! when it ends; `bsbf-proxy-rules` does it by hand. Nothing else does: no package and no hotplug script.
//!
//! One firewall has them at a time, whichever of its tools put them in before.

use std::io;

use crate::error::Error;
use crate::sys::child::Ran;
use crate::sys::{files, firewall};
use crate::wire::proc_net;
use crate::wire::rtnl::Family;
use crate::wire::tproxy::{Ipv6, Rules, iptables, nft};

/// Which tool has the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Firewall {
    /// nftables: OpenWrt since 22.03 (fw4), Debian.
    Nft,
    /// iptables: RUTOS (fw3).
    Iptables,
}

impl Firewall {
    /// fw4's, which needs nft; else iptables.
    pub fn of_this_system() -> Firewall {
        if firewall::has_nft() { Firewall::Nft } else { Firewall::Iptables }
    }
}

/// What may be missing where a tool fails, by the names of OpenWrt's packages.
const NFT_PACKAGES: &str = " (it takes nftables, kmod-nft-tproxy and kmod-nft-fib)";
const IPTABLES_PACKAGES: &str =
    " (it takes iptables, iptables-mod-tproxy, iptables-mod-extra; for IPv6 ip6tables)";

/// Puts the rules in, in the place of those that are there.
///
/// # Errors
/// Nobody listens on the port: iptables would drop whatever the LAN sends. The tool is not there or refuses: no rule of
/// ours is in iptables then, and nft has those that it had.
pub fn put(rules: &Rules, into: Firewall) -> Result<(), Error> {
    is_served(rules)?;
    for name in &rules.lan {
        if !files::exists(["/sys/class/net/", name.as_str()].concat().as_ref()) {
            log::warn!(
                "there is no interface {} now; its packets will go to the proxy once there is",
                name.as_str()
            );
        }
    }
    match into {
        Firewall::Nft => {
            nft(&nft::put(rules), false)?;
            // Where it fails, as iptables does at tables of nft that it cannot read, none of ours are.
            let _ = take_iptables();
        }
        Firewall::Iptables => {
            for family in Family::BOTH {
                let rules = (family == Family::V4 || rules.ipv6 != Ipv6::Direct).then_some(rules);
                iptables(family, rules).inspect_err(|_| {
                    // Half of it would leave IPv4 and IPv6 with different proxies.
                    let _ = take_iptables();
                })?;
            }
            let _ = nft(nft::TAKE, true);
        }
    }
    Ok(())
}

/// Takes the rules out of whichever firewall has them; that none has is success.
///
/// # Errors
/// A tool that is there refuses.
pub fn take() -> Result<(), Error> {
    // The second's turn comes whatever the first's was.
    let taken = nft(nft::TAKE, true);
    take_iptables().and(taken)
}

/// What the tool is told for these rules where none are yet.
pub fn text(rules: &Rules, of: Firewall) -> String {
    match of {
        Firewall::Nft => nft::put(rules),
        Firewall::Iptables => {
            let mut text = ["# iptables-restore --noflush\n", &iptables::put(rules, Family::V4, "")].concat();
            if rules.ipv6 != Ipv6::Direct {
                text += "# ip6tables-restore --noflush\n";
                text += &iptables::put(rules, Family::V6, "");
            }
            text
        }
    }
}

/// Whom the rules need, and the lists that have him.
const LISTENERS: [(&str, Family, [&str; 2]); 4] = [
    ("TCP over IPv4", Family::V4, ["/proc/net/tcp", "/proc/net/tcp6"]),
    ("UDP over IPv4", Family::V4, ["/proc/net/udp", "/proc/net/udp6"]),
    ("TCP over IPv6", Family::V6, ["/proc/net/tcp", "/proc/net/tcp6"]),
    ("UDP over IPv6", Family::V6, ["/proc/net/udp", "/proc/net/udp6"]),
];

fn is_served(rules: &Rules) -> Result<(), Error> {
    let port = rules.port.get();
    for (name, family, paths) in &LISTENERS {
        let mut lists = String::new();
        paths.iter().for_each(|path| firewall::add_sockets(&mut lists, path));
        let asked = *family == Family::V4 || rules.ipv6 == Ipv6::Proxy;
        if asked && !proc_net::is_served(&lists, *family, port) {
            let cause = ["nobody listens for ", name, "; start the proxy first"].concat();
            return Err(Error::new("find a proxy on port", port, cause));
        }
    }
    Ok(())
}

/// Without nft nothing of ours is in it.
fn nft(text: &str, is_taking: bool) -> Result<(), Error> {
    match firewall::nft(text) {
        Err(e) if is_taking && e.kind() == io::ErrorKind::NotFound => Ok(()),
        ran => succeeded("nft", ran).map(drop),
    }
}

fn take_iptables() -> Result<(), Error> {
    let taken = iptables(Family::V4, None);
    iptables(Family::V6, None).and(taken)
}

/// Puts these rules in, or takes all out.
fn iptables(family: Family, rules: Option<&Rules>) -> Result<(), Error> {
    let saved = match firewall::iptables_save(family) {
        Err(e) if rules.is_none() && e.kind() == io::ErrorKind::NotFound => return Ok(()),
        ran => succeeded("iptables-save", ran)?,
    };
    let text = match rules {
        Some(rules) => iptables::put(rules, family, &saved),
        None => iptables::take(&saved),
    };
    if text.is_empty() {
        return Ok(());
    }
    succeeded("iptables-restore", firewall::iptables_restore(family, &text)).map(drop)
}

/// What the tool printed, or why it failed and what may help.
fn succeeded(tool: &'static str, ran: io::Result<Ran>) -> Result<String, Error> {
    let said = match ran {
        Ok(ran) if ran.code == 0 => return Ok(String::from_utf8_lossy(&ran.stdout).into_owned()),
        Ok(ran) => String::from_utf8_lossy(&ran.stderr).into_owned(),
        Err(e) => e.to_string(),
    };
    let packages = if tool == "nft" { NFT_PACKAGES } else { IPTABLES_PACKAGES };
    Err(Error::new("run", tool, [said.trim(), packages].concat()))
}
