//! What a bonding router's network, firewall and DNS settings are, as changes of what they are now.

use super::{generated, ports};
use crate::wire::uci::batch::Batch;
use crate::wire::uci::edits::{Edits, text, words};
use crate::wire::uci::{Package, Section};

/// The files, in the order in which they come and are committed.
pub const PACKAGES: [&str; 3] = ["network", "firewall", "dhcp"];

/// More WANs than that the manager does not take, and no more metrics are the system's to give.
const MOST_WANS: usize = 8;

/// Resolvers of two operators. Those that WANs name are left out (peerdns 0): most answer on their own WAN only.
const RESOLVERS: [&str; 2] = ["8.8.8.8", "1.1.1.1"];

/// What the proxy's rules mark goes to the router itself: the mark 1 of three bits that are ours, and a table of its own,
/// for both families. Without those rules nothing carries that mark. In front of the main table, and behind the local
/// one.
const TO_PROXY: [(&str, &str, Options); 4] = [
    ("bsbf_proxy", "rule", &PROXY_RULE),
    ("bsbf_proxy6", "rule6", &PROXY_RULE),
    (
        "bsbf_local",
        "route",
        &[("interface", "loopback"), ("type", "local"), ("target", "0.0.0.0/0"), ("table", "100")],
    ),
    (
        "bsbf_local6",
        "route6",
        &[("interface", "loopback"), ("type", "local"), ("target", "::/0"), ("table", "100")],
    ),
];
/// Names and values.
type Options = &'static [(&'static str, &'static str)];
const PROXY_RULE: [(&str, &str); 3] = [("priority", "1"), ("mark", "0x1/0x7"), ("lookup", "100")];

/// What is to be done, and what comes of it.
#[derive(Debug)]
pub struct Plan {
    /// Why these are not the settings of a first boot, with the line; `None` if they are.
    pub configured: Option<String>,
    /// The port that stays LAN.
    pub lan: String,
    /// Each WAN with its device: `wan2`, `lan1`.
    pub wans: Vec<(String, String)>,
    /// Empty if everything is so.
    pub batch: Batch,
}

/// Plans for the settings of [`PACKAGES`]; `keep` names the LAN's port.
///
/// # Errors
/// Settings that this cannot be made of: what is missing or in the way, and where.
pub fn plan(files: &[Package], keep: Option<&str>) -> Result<Plan, String> {
    let [network, firewall, dhcp] = files else { return Err("three files expected".into()) };
    let mut batch = Batch::default();
    let mut edits = Edits { name: "network", package: network, batch: &mut batch };
    let lan = ports::find(network, keep).map_err(|(section, why)| edits.wrong(section, &why))?;
    let mut wans = known_wans(&mut edits)?;
    // RUTOS tells its own pages by it what an interface is for.
    let options = ["lan", "wan", "wan1"].iter().filter_map(|name| network.section(name));
    let has_area = options.into_iter().any(|section| section.option("area_type").is_some());
    let mut leaving = Vec::new();
    let mut vlan = 2;
    for port in lan.ports.iter().filter(|port| **port != lan.keeps) {
        let Some(number) = (1..=MOST_WANS).find(|number| is_free(network, &wans, *number)) else { break };
        let mut device = port.to_string();
        if lan.on_switch {
            vlan = add_vlan(&mut edits, &lan, port, vlan)?;
            device = format!("{}.{vlan}", lan.base);
        }
        let (name, metric) = (format!("wan{number}"), number.to_string());
        let all = [
            ("device", device.as_str()),
            ("proto", "dhcp"),
            ("metric", &metric),
            ("peerdns", "0"),
            ("area_type", "wan"),
        ];
        edits.make(&name, "interface", all.get(..all.len() - usize::from(!has_area)).unwrap_or(&all))?;
        leaving.push(*port);
        wans.push((name, device));
    }
    leave(&mut edits, &lan, &leaving);
    to_proxy(&mut edits)?;
    let names: Vec<&str> = wans.iter().map(|(name, _)| name.as_str()).collect();
    // The network that was `wan` until now.
    let old: &[&str] = if names.contains(&"wan1") { &["wan"] } else { &[] };
    zone(&mut Edits { name: "firewall", package: firewall, batch: &mut batch }, &names, old)?;
    names_and_leases(&mut Edits { name: "dhcp", package: dhcp, batch: &mut batch }, &names)?;
    let of = if lan.on_switch { "port " } else { "" };
    Ok(Plan { configured: generated::otherwise(network), lan: [of, lan.keeps].concat(), wans, batch })
}

/// What has the proxy's mark leads to the router itself.
///
/// # Errors
/// A section of another type has one of the names.
pub fn to_proxy(edits: &mut Edits) -> Result<(), String> {
    TO_PROXY.iter().try_for_each(|(name, kind, options)| edits.make(name, kind, options))
}

/// The WANs that there are: `wan1` to `wan8`, and `wan`, which becomes `wan1`. Each has its number for metric.
fn known_wans(edits: &mut Edits) -> Result<Vec<(String, String)>, String> {
    let mut wans = Vec::new();
    for section in edits.package.sections_of("interface") {
        let number = match section.name.as_str() {
            "wan" if edits.package.section("wan1").is_some() => {
                return Err(edits.wrong(Some(section), "'wan' cannot become 'wan1', which is there too"));
            }
            "wan" => "1",
            // DHCPv6 beside `wan`, in both systems: it goes on, without the resolvers that it would name.
            "wan6" if text(section, "proto") == "dhcpv6" => {
                let metric = text(section, "metric");
                let metric = if metric.is_empty() { "1" } else { metric };
                edits.set(section, &[("metric", metric), ("peerdns", "0")]);
                continue;
            }
            name => match name.strip_prefix("wan") {
                Some(number @ ("1" | "2" | "3" | "4" | "5" | "6" | "7" | "8")) => number,
                _ => continue,
            },
        };
        let name = ["wan", number].concat();
        let options = [("metric", number), ("peerdns", "0")];
        match section.name == name {
            true => edits.set(section, &options),
            false => edits.rename(section, &name, &options),
        }
        wans.push((name, text(section, "device").to_string()));
    }
    // What named the network `wan`.
    for section in &edits.package.sections {
        if text(section, "device") == "@wan" {
            edits.set(section, &[("device", "@wan1")]);
        }
        if text(section, "interface") == "wan" {
            edits.set(section, &[("interface", "wan1")]);
        }
    }
    Ok(wans)
}

/// Whether the name with this number is nobody's, and the number nobody's metric. DHCPv6 has another family's.
fn is_free(network: &Package, wans: &[(String, String)], number: usize) -> bool {
    let (name, number) = (format!("wan{number}"), number.to_string());
    let has_metric =
        |section: &Section| text(section, "metric") == number && text(section, "proto") != "dhcpv6";
    let renamed = |section: &Section| {
        section.name == "wan" || section.name.strip_prefix("wan").is_some_and(|n| n.len() == 1)
    };
    network.section(&name).is_none()
        && wans.iter().all(|(known, _)| *known != name)
        && !network.sections_of("interface").any(|section| has_metric(section) && !renamed(section))
}

/// A VLAN for one port, tagged towards the processor; gives its number, which is over `after`.
fn add_vlan(edits: &mut Edits, lan: &ports::Lan, port: &str, after: usize) -> Result<usize, String> {
    let is_taken = |number: &str| {
        let mut vlans = edits.package.sections_of("switch_vlan");
        vlans.any(|vlan| text(vlan, "vlan") == number || text(vlan, "vid") == number)
    };
    let mut number = after + 1;
    while is_taken(&number.to_string()) {
        number += 1;
    }
    let (name, text_of) = (format!("bsbf_vlan{number}"), number.to_string());
    let ports = [lan.cpu.trim_end_matches('t'), "t ", port].concat();
    let all =
        [("device", text(lan.section, "device")), ("vlan", &text_of), ("ports", &ports), ("vid", &text_of)];
    // RUTOS has both.
    let has_vid = lan.section.option("vid").is_some();
    edits.make(&name, "switch_vlan", all.get(..all.len() - usize::from(!has_vid)).unwrap_or(&all))?;
    Ok(number)
}

fn leave(edits: &mut Edits, lan: &ports::Lan, leaving: &[&str]) {
    if !lan.on_switch {
        return edits.items(lan.section, "ports", &[], leaving);
    }
    let mut stay = words(lan.section, "ports");
    stay.retain(|port| !leaving.contains(port));
    edits.set(lan.section, &[("ports", &stay.join(" "))]);
}

/// The zone of the WANs has these networks and not those.
///
/// # Errors
/// There is no such zone.
pub(super) fn zone(edits: &mut Edits, with: &[&str], without: &[&str]) -> Result<(), String> {
    let Some(zone) = edits.package.sections_of("zone").find(|zone| text(zone, "name") == "wan") else {
        return Err(edits.wrong(None, "there is no zone 'wan' to put the WANs in"));
    };
    edits.items(zone, "network", with, without);
    Ok(())
}

/// Names are resolved by resolvers of ours unless there are others, and no WAN is given addresses.
fn names_and_leases(edits: &mut Edits, wans: &[&str]) -> Result<(), String> {
    let Some(dnsmasq) = edits.package.sections_of("dnsmasq").next() else {
        return Err(edits.wrong(None, "there is no section 'dnsmasq', and nothing else would resolve names"));
    };
    // `/DOMAIN/ADDRESS` is for one domain.
    if words(dnsmasq, "server").iter().all(|server| server.starts_with('/')) {
        edits.items(dnsmasq, "server", &RESOLVERS, &[]);
        edits.set(dnsmasq, &[("noresolv", "1")]);
    }
    for wan in wans {
        let package = edits.package;
        let of = |name: &str| package.sections_of("dhcp").find(|section| text(section, "interface") == name);
        let options = [("interface", *wan), ("ignore", "1")];
        match (of(wan), of("wan").filter(|_| *wan == "wan1")) {
            (Some(_), _) => {}
            (None, Some(section)) => edits.set(section, &options),
            (None, None) => edits.make(wan, "dhcp", &options)?,
        }
    }
    Ok(())
}
