//! Whether /etc/config/network is as the router's first boot made it: OpenWrt's config_generate, or RUTOS's.

use crate::wire::uci::edits::text;
use crate::wire::uci::{Package, Section};

/// Type and name of a section, options with the values that they may have, and options that may have any. `*` is any
/// name. `area_type`, and metrics of 1 and 2, are RUTOS's.
type Known = (&'static str, &'static str, &'static [(&'static str, &'static str)], &'static str);

const KNOWN: [Known; 9] = [
    ("interface", "loopback", &[], "device proto ipaddr netmask area_type"),
    // With the mask behind it since OpenWrt 25.12.
    (
        "interface",
        "lan",
        &[("proto", "static"), ("ipaddr", "192.168.1.1 192.168.1.1/24"), ("netmask", "255.255.255.0")],
        "device ip6assign macaddr area_type",
    ),
    ("interface", "wan", &[("proto", "dhcp"), ("metric", "1")], "device macaddr area_type"),
    ("interface", "wan6", &[("proto", "dhcpv6"), ("metric", "2")], "device macaddr area_type"),
    ("device", "*", &[("type", "bridge")], "name ports macaddr"),
    ("switch_vlan", "*", &[], "device vlan vid ports"),
    // What these have is not about who is on which port.
    ("switch", "*", &[], "name reset enable_vlan blinkrate ar8xxx_mib_poll_interval"),
    ("globals", "*", &[], "ula_prefix packet_steering dhcp_default_duid"),
    ("port", "*", &[], "enabled autoneg role port_num ifname speed duplex"),
];

/// What is not so, with its line; `None` if everything is.
///
/// Ports have not been given other uses by anybody then, and no network is lost that somebody has set up.
pub fn otherwise(network: &Package) -> Option<String> {
    network.sections.iter().find_map(|section| {
        let known = KNOWN
            .iter()
            .find(|(kind, name, ..)| *kind == section.kind && (*name == "*" || *name == section.name));
        let Some((_, _, values, others)) = known else { return Some(told(section, section.line, "")) };
        let other = section.options.iter().find(|option| {
            let value = values.iter().find(|(name, _)| *name == option.name);
            match value {
                Some((name, values)) => !values.split(' ').any(|value| value == text(section, name)),
                None => !others.split(' ').any(|name| name == option.name),
            }
        })?;
        Some(told(section, other.line, &format!("option '{}' of ", other.name)))
    })
}

fn told(section: &Section, line: usize, what: &str) -> String {
    let name = if section.anonymous { "" } else { &section.name };
    format!("line {line}: {what}{} '{name}'", section.kind)
}
