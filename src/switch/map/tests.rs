//! Recorded settings, and those that bonding makes of them.

use proptest::prelude::*;

use super::*;
use crate::wire::uci;

macro_rules! recorded {
    ($layout:literal) => {
        include_str!(concat!("../../../tests/vectors/uci/configs/", $layout, "/network"))
    };
}

const FIREWALL: &str = "config zone\n option name lan\n list network lan\n list network office\nconfig zone\n option name wan\n list network wan\n";

/// Each port with its device and its networks.
fn told(network: &str) -> Vec<(String, String, String)> {
    let packages = [network, FIREWALL].map(|text| uci::parse(text.as_bytes()).unwrap());
    let ports = ports(&packages[0], &packages[1]);
    ports.into_iter().map(|port| (port.name, port.device, port.networks.join(" "))).collect()
}

fn check(network: &str, expected: &[(&str, &str, &str)]) {
    let expected: Vec<_> =
        expected.iter().map(|(a, b, c)| (a.to_string(), b.to_string(), c.to_string())).collect();
    assert_eq!(told(network), expected);
}

const BRIDGED: &[(&str, &str, &str)] =
    &[("WAN", "wan", "wan wan6"), ("LAN1", "", ""), ("LAN2", "", ""), ("LAN3", "", ""), ("LAN4", "", "")];

#[test]
fn recorded_networks_of_a_first_boot() {
    let dsa = recorded!("rutos-dsa");
    check(dsa, BRIDGED);
    let tagged = recorded!("rutos-swconfig-eth0-tagged");
    check(tagged, &[("LAN1", "", ""), ("LAN2", "", ""), ("LAN3", "", ""), ("WAN", "eth0.2", "wan wan6")]);
    // The processor's port is untagged: which device has the VLAN is not said.
    let rutx = told(recorded!("rutos-swconfig-rutx-style"));
    assert!(rutx.len() == 6 && rutx.iter().all(|(_, device, _)| device.is_empty()), "{rutx:?}");
    check(recorded!("rutos-single-port"), &[]);
    // OpenWrt's have no names for ports.
    check(
        recorded!("owrt-mt76x8-swconfig-gl-mt300n-v2"),
        &[("LAN1", "", ""), ("LAN0", "eth0.2", "wan wan6")],
    );
    check(
        recorded!("owrt-ipq40xx-teltonika-rutx50"),
        &[("WAN", "wan", "wan wan6"), ("LAN1", "", ""), ("LAN2", "", ""), ("LAN3", "", ""), ("LAN4", "", "")],
    );
}

const VLANS: &str = "
config switch_vlan
	option device 'switch0'
	option vlan '3'
	option vid '13'
	option ports '0t 1'
config switch_vlan 'bsbf_vlan4'
	option device 'switch0'
	option vlan '4'
	option ports '2 0t'
config interface 'ifWan2'
	option device 'eth0.13'
	option proto 'pppoe'
config interface 'old'
	option ifname 'eth0.4'
	option proto 'static'
	option gateway '192.0.2.1'
";

#[test]
fn a_port_with_a_vlan_to_itself_has_its_networks() {
    let network =
        [recorded!("rutos-swconfig-eth0-tagged").replace("1 2 3 0t", "3 0t").as_str(), VLANS].concat();
    check(
        &network,
        &[
            ("LAN1", "eth0.13", "ifWan2"),
            ("LAN2", "eth0.4", "old"),
            ("LAN3", "", ""),
            ("WAN", "eth0.2", "wan wan6"),
        ],
    );
    // RUT9xx, where the processor has port 6; and without sections for ports their numbers are the switch's.
    let network = VLANS.replace("0t", "6t");
    check(&network, &[("LAN1", "eth0.13", "ifWan2"), ("LAN2", "eth0.4", "old")]);
    // RUTX, where LAN1 is port 2 of the switch, if its sections say so.
    let network = [VLANS, "config port '_lan1'\n option port_num '2'\n"].concat();
    check(&network, &[("LAN1", "eth0.4", "old")]);
}

#[test]
fn shared_vlans_trunks_and_bridges_are_nobodys_own() {
    for (from, to) in [
        ("'0t 1'", "'0t 1 3'"),
        ("'0t 1'", "'0t 1t'"),
        ("'0t 1'", "'0 1'"),
        ("'0t 1'", "'1'"),
        ("vlan '4'", "vlan '13'"),
        ("device 'eth0.13'", "device 'br-wan'"),
        ("device 'eth0.13'", "device 'eth0.3'"),
        ("device 'eth0.13'", "device 'tap0.13'"),
        ("device 'eth0.13'", "ifname 'eth0.13 eth0.14'"),
        ("device 'eth0.13'", "type 'bridge'\n option device 'eth0.13'"),
    ] {
        let ports = told(&VLANS.replace(from, to));
        assert!(
            !ports.is_empty() && ports.iter().all(|(_, _, networks)| !networks.contains("ifWan2")),
            "{to}: {ports:?}"
        );
    }
}

#[test]
fn only_wans_that_netifd_starts_are_touched() {
    for (from, to) in [
        ("'pppoe'", "'none'"),
        ("'pppoe'", "'static'"),
        ("'pppoe'", "'wireguard'"),
        ("'pppoe'", "'dhcp'\n option area_type 'lan'"),
        ("'pppoe'", "'dhcp'\n option auto '0'"),
        ("'pppoe'", "'dhcp'\n option disabled '1'"),
        ("'ifWan2'", "'lan'"),
        ("'ifWan2'", "'office'"),
        ("'ifWan2'", "'loopback'"),
        ("'ifWan2'", ""),
    ] {
        let network = VLANS.replace(from, to);
        assert_eq!(told(&network)[0], ("LAN1".into(), "eth0.13".into(), String::new()), "{to}");
    }
}

#[test]
fn devices_of_ports_are_found_without_and_within_a_bridge_with_vlans() {
    let dsa = recorded!("rutos-dsa").replace("\tlist ports 'lan1'\n", "");
    let more = "config interface 'ifWan2'\n option device 'lan1'\n option proto 'dhcp'\n";
    let network = [&dsa, more].concat();
    assert_eq!(told(&network)[1], ("LAN1".into(), "lan1".into(), "ifWan2".into()));
    let vlan = "config bridge-vlan\n option device 'br-lan'\n option vlan '7'\n list ports 'lan2:u*'\n";
    let network = [&dsa, vlan, &more.replace("lan1", "br-lan.7")].concat();
    assert_eq!(told(&network)[2], ("LAN2".into(), "br-lan.7".into(), "ifWan2".into()));
    let network = network.replace("list ports 'lan2:u*'", "list ports 'lan2:u*'\n list ports 'lan3:t'");
    assert_eq!(told(&network)[2], ("LAN2".into(), String::new(), String::new()));
}

proptest! {
    /// Whatever the settings are, no network is at two ports, and none without a device.
    #[test]
    fn no_network_is_at_two_ports(changes in prop::collection::vec((0usize..200, 0usize..200, any::<bool>()), 0..8), dsa in any::<bool>()) {
        let text = if dsa { recorded!("rutos-dsa") } else { recorded!("rutos-swconfig-eth0-tagged") };
        let mut lines: Vec<&str> = text.lines().chain(VLANS.lines()).collect();
        for (from, to, swap) in changes {
            let (from, to) = (from % lines.len(), to % lines.len());
            match swap {
                true => lines.swap(from, to),
                false => lines.insert(to, lines[from]),
            }
        }
        let parse = |text: &str| uci::parse(text.as_bytes());
        let Ok(network) = parse(&lines.join("\n")) else { return Ok(()) };
        let ports = ports(&network, &parse(FIREWALL).unwrap());
        prop_assert!(ports.iter().all(|port| port.networks.is_empty() || !port.device.is_empty()));
        let mut all: Vec<&String> = ports.iter().flat_map(|port| &port.networks).collect();
        let count = all.len();
        all.sort();
        all.dedup();
        prop_assert_eq!(all.len(), count);
    }
}
