//! What holds for any settings: those recorded of first boots, with lines lost, swapped and written twice.

use proptest::prelude::*;

use super::plan::{PACKAGES, plan};
use crate::wire::uci::{self, Order, Package, delta};

const LAYOUTS: [&str; 6] = [
    include_str!("../../tests/vectors/uci/configs/owrt-mt7621-dsa-zbt-wg3526/network"),
    include_str!("../../tests/vectors/uci/configs/owrt-ath79-swconfig-archer-c7-v2/network"),
    include_str!("../../tests/vectors/uci/configs/owrt-ath79-teltonika-rut955/network"),
    include_str!("../../tests/vectors/uci/configs/owrt-filogic-gl-mt3000/network"),
    include_str!("../../tests/vectors/uci/configs/rutos-dsa/network"),
    include_str!("../../tests/vectors/uci/configs/rutos-swconfig-rutx-style/network"),
];
const FIREWALL: &str = include_str!("../../tests/vectors/uci/configs/owrt-default-dhcp-firewall/firewall");
const DHCP: &str = include_str!("../../tests/vectors/uci/configs/owrt-default-dhcp-firewall/dhcp");

/// What `uci batch` makes of the lines, by way of the pending changes that it would write.
pub(super) fn apply(files: &[Package], lines: &[u8], order: Order) -> Vec<Package> {
    let mut files = files.to_vec();
    for line in std::str::from_utf8(lines).unwrap().lines() {
        let (verb, rest) = line.split_once(' ').unwrap();
        let prefix = ["set", "add_list|", "del_list~", "rename@", "delete-"]
            .iter()
            .find_map(|known| known.strip_prefix(verb));
        let (address, value) = rest.split_at(rest.find('=').unwrap_or(rest.len()));
        let (name, place) = address.split_once('.').unwrap();
        let package = &mut files[PACKAGES.iter().position(|known| *known == name).unwrap()];
        // A section without a name has its automatic one in pending changes.
        let place = match place.strip_prefix('@').and_then(|place| place.split_once(['[', ']'])) {
            Some((kind, rest)) => {
                let (number, option) = rest.split_once(']').unwrap();
                let section = package.sections_of(kind).nth(number.parse().unwrap()).unwrap();
                format!("{}{option}", section.name)
            }
            None => place.to_string(),
        };
        let change = format!("{}{name}.{place}{value}\n", prefix.unwrap());
        let refused = delta::apply(package, name, change.as_bytes(), order);
        assert!(refused.is_empty(), "{line}: {refused:?}");
    }
    files
}

fn files(network: &str) -> Option<Vec<Package>> {
    [network, FIREWALL, DHCP].iter().map(|text| uci::parse(text.as_bytes()).ok()).collect()
}

/// The devices of the LAN's ports and of all WANs.
fn ports(network: &Package) -> Vec<String> {
    let of = |section: &uci::Section, option: &str| -> Vec<String> {
        let items = section.list(option).unwrap_or_default();
        items.iter().flat_map(|item| item.split_whitespace()).map(String::from).collect()
    };
    let bridges = network.sections_of("device").flat_map(|section| of(section, "ports"));
    let wans = network.sections_of("interface").filter(|s| s.name.starts_with("wan"));
    let wans = wans.filter(|s| of(s, "proto") != ["dhcpv6"]);
    bridges.chain(wans.flat_map(|section| of(section, "device"))).collect()
}

#[test]
fn recorded_layouts_are_taken_for_what_they_are() {
    for network in LAYOUTS {
        let files = files(network).unwrap();
        let planned = plan(&files, None).unwrap();
        assert_eq!(planned.configured, None);
        for order in [Order::Kept, Order::Renewed] {
            let again = plan(&apply(&files, planned.batch.as_bytes(), order), None).unwrap();
            assert_eq!(String::from_utf8_lossy(again.batch.as_bytes()), "");
        }
        let with_mask = network.replace("option ipaddr '192.168.1.1'", "list ipaddr '192.168.1.1/24'");
        let files = self::files(&with_mask.replace("\toption netmask '255.255.255.0'\n", "")).unwrap();
        assert_eq!(plan(&files, None).unwrap().configured, None);
    }
}

proptest! {
    /// Whatever is there: it is refused, or the LAN keeps a port and its address, and no device is in two places.
    #[test]
    fn the_lan_stays_and_no_port_is_in_two_places(
        layout in 0..LAYOUTS.len(),
        changes in proptest::collection::vec((0usize..120, 0usize..120, 0u8..4), 0..6),
        rutos in any::<bool>(),
    ) {
        let mut lines: Vec<&str> = LAYOUTS[layout].lines().collect();
        for (from, to, kind) in changes {
            let (from, to) = (from % lines.len(), to % lines.len());
            match kind {
                0 => drop(lines.remove(from)),
                1 => lines.swap(from, to),
                2 => lines.insert(to, lines[from]),
                _ => lines[from] = "\toption metric '3'",
            }
        }
        let Some(before) = files(&lines.join("\n")) else { return Ok(()) };
        let Ok(planned) = plan(&before, None) else { return Ok(()) };
        let order = if rutos { Order::Renewed } else { Order::Kept };
        let after = apply(&before, planned.batch.as_bytes(), order);
        // What is not so afterwards is put back (config/edit.rs).
        let Ok(again) = plan(&after, None) else { return Ok(()) };
        if !again.batch.is_empty() {
            return Ok(());
        }
        prop_assert_eq!(&again.lan, &planned.lan);
        let address = |files: &[Package]| files[0].section("lan").map(|lan| format!("{:?}", lan.option("ipaddr")));
        prop_assert!(address(&after).is_some());
        let (mut all, old) = (ports(&after[0]), ports(&before[0]));
        all.sort();
        let twice: Vec<&[String]> = all.windows(2).filter(|pair| pair[0] == pair[1]).collect();
        // What was in two places before may be.
        prop_assert!(twice.iter().all(|pair| old.iter().filter(|port| **port == pair[0]).count() > 1), "{:?}", all);
    }
}
