//! Which device gets which network, on settings as a first boot leaves them.

use proptest::prelude::*;

use super::{Device, Verdict, forget, plan};
use crate::setup::device::{Netdev, Taken, Usb};
use crate::setup::tests::apply;
use crate::wire::uci::edits::{text, words};
use crate::wire::uci::{self, Order, Package};

const NETWORK: &str = include_str!("../../../tests/vectors/uci/configs/owrt-mt7621-dsa-zbt-wg3526/network");
const RUTOS: &str = include_str!("../../../tests/vectors/uci/configs/rutos-dsa/network");
const FIREWALL: &str = include_str!("../../../tests/vectors/uci/configs/owrt-default-dhcp-firewall/firewall");

fn files(network: &str) -> Vec<Package> {
    [network, FIREWALL].map(|text| uci::parse(text.as_bytes()).unwrap()).to_vec()
}

fn on_usb(name: &str, driver: &str, serial: &str, port: &str) -> Netdev {
    let usb = Usb {
        vendor: "18d1".into(),
        product: "4eeb".into(),
        serial: serial.into(),
        port: port.into(),
        interface: format!("{port}:1.0"),
        path: format!("/sys/devices/platform/soc/usb1/{port}"),
    };
    let path = format!("platform/soc/usb1/{port}/{port}:1.0");
    Netdev {
        name: name.into(),
        driver: driver.into(),
        path,
        usb: Some(usb),
        ethernet: true,
        ..Netdev::default()
    }
}

fn phone(name: &str, serial: &str, port: &str) -> Device {
    on_usb(name, "rndis_host", serial, port).device(Taken::UsbDhcp, &|_| false).unwrap()
}

fn modem(name: &str, driver: &str, control: &str, by_path: bool) -> Device {
    let netdev = Netdev { control: Some(control.into()), ..on_usb(name, driver, "M1", "1-2") };
    netdev.device(Taken::Cellular, &|_| by_path).unwrap()
}

/// Plugs a device in; gives its network and the lines that were written.
fn plug(files: &mut Vec<Package>, device: &Device, present: &[Device]) -> Result<(String, String), String> {
    match plan(files, device, present, "internet")? {
        Verdict::InUse(user) => panic!("{user}"),
        Verdict::Network { name, batch, .. } => {
            *files = apply(files, batch.as_bytes(), Order::Kept);
            let again = plan(files, device, present, "internet")?;
            assert!(matches!(&again, Verdict::Network { batch, .. } if batch.is_empty()), "{again:?}");
            Ok((name, String::from_utf8(batch.as_bytes().to_vec()).unwrap()))
        }
    }
}

fn network_of(files: &mut Vec<Package>, device: &Device) -> String {
    plug(files, device, &[]).unwrap().0
}

#[test]
fn a_phone_gets_a_network_in_the_zone_of_the_wans() {
    let mut files = files(NETWORK);
    let (name, lines) = plug(&mut files, &phone("usb0", "0123ABCD", "1-1"), &[]).unwrap();
    assert_eq!(name, "wan_usb0");
    assert_eq!(
        lines,
        "set network.wan_usb0='interface'\n\
         set network.wan_usb0.proto='dhcp'\n\
         set network.wan_usb0.device='usb0'\n\
         set network.wan_usb0.metric='1'\n\
         set network.wan_usb0.peerdns='0'\n\
         set network.wan_usb0.bsbf_id='18d1:0123ABCD'\n\
         add_list firewall.@zone[1].network='wan_usb0'\n"
    );
    // Without a firewall there is no zone to be in.
    let mut alone = vec![uci::parse(NETWORK.as_bytes()).unwrap()];
    assert_eq!(network_of(&mut alone, &phone("usb0", "0123ABCD", "1-1")), "wan_usb0");
    // RUTOS's pages look for it.
    let mut rutos = self::files(RUTOS);
    let (_, lines) = plug(&mut rutos, &phone("usb0", "0123ABCD", "1-1"), &[]).unwrap();
    assert!(lines.contains("set network.wan_usb0.area_type='wan'\n"), "{lines}");
}

#[test]
fn the_same_device_has_the_same_network_whatever_its_name_and_port() {
    let mut files = files(NETWORK);
    assert_eq!(network_of(&mut files, &phone("usb0", "A", "1-1")), "wan_usb0");
    // Nothing to write.
    assert_eq!(plug(&mut files, &phone("usb0", "A", "1-2"), &[]).unwrap().1, "");
    let (name, lines) = plug(&mut files, &phone("usb1", "A", "1-2"), &[]).unwrap();
    assert_eq!((name.as_str(), lines.as_str()), ("wan_usb0", "set network.wan_usb0.device='usb1'\n"));
    // Debugging is switched on: it has another product's number.
    let mut other = on_usb("usb1", "rndis_host", "A", "1-2");
    other.usb.as_mut().unwrap().product = "4ee7".into();
    let other = other.device(Taken::UsbDhcp, &|_| false).unwrap();
    assert_eq!(plug(&mut files, &other, &[]).unwrap().1, "");
    // Without a serial number it is known by its port.
    assert_eq!(network_of(&mut files, &phone("usb2", "", "1-3")), "wan_usb2");
    assert_eq!(network_of(&mut files, &phone("usb5", "", "1-3")), "wan_usb2");
    assert_eq!(network_of(&mut files, &phone("usb5", "", "1-4")), "wan_usb5");
}

#[test]
fn a_name_that_another_has_by_now_is_not_the_old_ones_any_more() {
    let mut files = files(NETWORK);
    network_of(&mut files, &phone("usb0", "A", "1-1"));
    network_of(&mut files, &phone("usb1", "B", "1-2"));
    // After a boot they are there in the other order.
    let (name, lines) = plug(&mut files, &phone("usb0", "B", "1-2"), &[]).unwrap();
    assert_eq!(name, "wan_usb1");
    assert_eq!(lines, "delete network.wan_usb0.device\nset network.wan_usb1.device='usb0'\n");
    assert_eq!(network_of(&mut files, &phone("usb1", "A", "1-1")), "wan_usb0");
    // A new one with a known name gets another network's name.
    let (name, lines) = plug(&mut files, &phone("usb0", "C", "1-3"), &[]).unwrap();
    assert_eq!(name, "wan_usb0_2");
    assert!(lines.starts_with("delete network.wan_usb1.device\n"), "{lines}");
}

#[test]
fn two_with_one_serial_number_are_told_apart_by_their_ports() {
    let mut files = files(NETWORK);
    let (first, second) = (phone("usb0", "0123456789", "1-1"), phone("usb1", "0123456789", "1-2"));
    let both = [first.clone(), second.clone()];
    assert_eq!(plug(&mut files, &first, &both[..1]).unwrap().0, "wan_usb0");
    assert_eq!(plug(&mut files, &second, &both).unwrap().0, "wan_usb1");
    // In the other order, too.
    let (first, second) = (phone("usb1", "0123456789", "1-1"), phone("usb0", "0123456789", "1-2"));
    let both = [first.clone(), second.clone()];
    assert_eq!(plug(&mut files, &second, &both).unwrap().0, "wan_usb1");
    assert_eq!(plug(&mut files, &first, &both).unwrap().0, "wan_usb0");
}

#[test]
fn what_is_set_up_already_stays() {
    let files = files(NETWORK);
    let physical = |name: &str| {
        let netdev = Netdev {
            name: name.into(),
            driver: "mtk".into(),
            path: "soc/eth".into(),
            ethernet: true,
            ..Netdev::default()
        };
        netdev.device(Taken::Dhcp, &|_| false).unwrap()
    };
    for (name, user) in [("lan1", "the device br-lan"), ("wan", "the interface wan")] {
        let verdict = plan(&files, &physical(name), &[], "internet").unwrap();
        assert_eq!(verdict, Verdict::InUse(user.into()), "{name}");
    }
    let switch = "config interface lan\n option device eth0.1\nconfig bridge-vlan\n option device br-lan\n list ports lan3:u*\n";
    let files = [uci::parse(switch.as_bytes()).unwrap()];
    for (name, user) in [("eth0", "the interface lan"), ("lan3", "the bridge-vlan br-lan")] {
        assert_eq!(plan(&files, &physical(name), &[], "").unwrap(), Verdict::InUse(user.into()));
    }
    assert!(matches!(plan(&files, &physical("eth"), &[], "").unwrap(), Verdict::Network { .. }));
}

#[test]
fn a_network_of_the_old_script_is_taken_over() {
    let old = "config interface wan_usb0\n option device usb0\n option proto dhcp\n option metric 3\n";
    let mut files = files(old);
    let (name, lines) = plug(&mut files, &phone("usb0", "A", "1-1"), &[]).unwrap();
    assert_eq!(name, "wan_usb0");
    assert_eq!(
        lines,
        "set network.wan_usb0.bsbf_id='18d1:A'\nadd_list firewall.@zone[1].network='wan_usb0'\n"
    );
    assert_eq!(network_of(&mut files, &phone("usb4", "A", "1-1")), "wan_usb0");
}

#[test]
fn eight_devices_get_eight_metrics_and_the_ninth_a_reason() {
    let mut files = files(NETWORK);
    for number in 0..8 {
        network_of(&mut files, &phone(&format!("usb{number}"), &number.to_string(), "1-1"));
    }
    let mut metrics: Vec<&str> = files[0]
        .sections_of("interface")
        .map(|section| text(section, "metric"))
        .filter(|m| !m.is_empty())
        .collect();
    metrics.sort();
    assert_eq!(metrics, ["1", "2", "3", "4", "5", "6", "7", "8"]);
    let why = plug(&mut files, &phone("usb8", "8", "1-1"), &[]).unwrap_err();
    assert!(why.starts_with("all metrics from 1 to 8 are taken: 1 wan_usb0, 2 wan_usb1,"), "{why}");
    let batch = forget(&files, "wan_usb4").unwrap();
    files = apply(&files, batch.as_bytes(), Order::Kept);
    let zone = files[1].sections_of("zone").nth(1).unwrap();
    assert!(!words(zone, "network").contains(&"wan_usb4"));
    let (name, lines) = plug(&mut files, &phone("usb8", "8", "1-1"), &[]).unwrap();
    assert!(name == "wan_usb8" && lines.contains("metric='5'"), "{lines}");
    assert!(forget(&files, "wan").unwrap_err().starts_with("it was not made by this command"));
    assert_eq!(forget(&files, "wan7").unwrap_err(), "there is no such network");
}

#[test]
fn names_that_settings_cannot_hold_become_such_as_they_can() {
    for (device, network) in
        [("eth0.2", "wan_eth0_2"), ("phy0-sta0", "wan_phy0_sta0"), ("enx001122334455", "wan_01122334455")]
    {
        let mut files = files(NETWORK);
        assert_eq!(network_of(&mut files, &phone(device, "A", "1-1")), network);
        let second = network_of(&mut files, &phone(device, "B", "1-2"));
        assert!(second.ends_with("_2") && second.len() <= 15, "{second}");
    }
}

#[test]
fn a_modem_keeps_its_network_by_its_path_or_by_its_number() {
    let mut files = files(NETWORK);
    let (name, lines) = plug(&mut files, &modem("wwan0", "qmi_wwan", "cdc-wdm0", false), &[]).unwrap();
    assert_eq!(name, "wwan0");
    assert!(lines.contains("set network.wwan0.device='/dev/cdc-wdm0'\n"), "{lines}");
    assert!(lines.contains("proto='qmi'\n") && lines.contains("apn='internet'\n"), "{lines}");
    let (name, lines) = plug(&mut files, &modem("wwan1", "qmi_wwan", "cdc-wdm1", false), &[]).unwrap();
    assert_eq!((name.as_str(), lines.as_str()), ("wwan0", "set network.wwan0.device='/dev/cdc-wdm1'\n"));
    // Switched to another mode of the kind, it has the network still.
    let (name, lines) = plug(&mut files, &modem("wwan1", "cdc_mbim", "cdc-wdm1", false), &[]).unwrap();
    assert_eq!((name.as_str(), lines.as_str()), ("wwan0", "set network.wwan0.proto='mbim'\n"));
    // As a network card it is another one.
    assert_eq!(network_of(&mut files, &phone("usb0", "M1", "1-2")), "wan_usb0");

    let mut files = self::files(NETWORK);
    let (_, lines) = plug(&mut files, &modem("wwan0", "cdc_mbim", "cdc-wdm0", true), &[]).unwrap();
    assert!(lines.contains("set network.wwan0.devpath='/sys/devices/platform/soc/usb1/1-2'\n"), "{lines}");
    assert_eq!(plug(&mut files, &modem("wwan3", "cdc_mbim", "cdc-wdm4", true), &[]).unwrap().1, "");
}

#[test]
fn each_command_takes_what_it_is_for() {
    let modem =
        |driver: &str| Netdev { control: Some("cdc-wdm0".into()), ..on_usb("wwan0", driver, "", "1-1") };
    let on_board = || Netdev { usb: None, ..on_usb("eth1", "r8169", "", "1-1") };
    let cases = [
        (Taken::UsbDhcp, on_usb("usb0", "cdc_ether", "", "1-1"), None),
        (Taken::UsbDhcp, on_usb("eth2", "ipheth", "", "1-1"), None),
        (Taken::UsbDhcp, on_usb("eth2", "r8152", "", "1-1"), None),
        // By its driver, not by its name.
        (Taken::UsbDhcp, on_usb("wwan0", "cdc_ether", "", "1-1"), None),
        (Taken::UsbDhcp, on_board(), Some("is not on USB")),
        (Taken::Dhcp, on_board(), None),
        (
            Taken::Dhcp,
            modem("cdc_mbim"),
            Some("is a modem that is told to connect: bsbf-autoconf-cellular is for it"),
        ),
        (
            Taken::Dhcp,
            modem("huawei_cdc_ncm"),
            Some("has to be told to connect in a way that is not known here"),
        ),
        (
            Taken::Dhcp,
            on_usb("wwan0", "qmi_wwan", "", "1-1"),
            Some("is a modem without a file to tell it to connect"),
        ),
        (Taken::Dhcp, Netdev { driver: String::new(), ..on_board() }, Some("is made of software")),
        (Taken::Dhcp, Netdev { wireless: true, ..on_board() }, Some("is a radio")),
        (Taken::Dhcp, Netdev { conduit: true, ..on_board() }, Some("leads to the ports of a switch")),
        (Taken::Dhcp, Netdev { ethernet: false, ..on_board() }, Some("carries no Ethernet frames")),
        (Taken::Cellular, modem("qmi_wwan"), None),
        (Taken::Cellular, on_board(), Some("is no modem of the kind that is told to connect")),
    ];
    for (taken, netdev, expected) in cases {
        assert_eq!(netdev.device(taken, &|_| false).err(), expected, "{taken:?} {netdev:?}");
    }
}

#[test]
fn an_iphone_says_what_it_waits_for() {
    let phone = |carrier| Netdev { carrier, ..on_usb("eth2", "ipheth", "00008030001A", "1-1") };
    for (usbmuxd, paired, words) in [
        (true, false, Some("not trust this router yet: unlock it and tap Trust")),
        (false, false, Some("install it")),
        (true, true, Some("switch its Personal Hotspot on")),
    ] {
        let note = phone(false).phone_note(usbmuxd, paired);
        assert!(
            note.as_deref()
                .is_some_and(|note| note.starts_with("eth2 is an iPhone") && note.ends_with(words.unwrap())),
            "{note:?}"
        );
    }
    assert_eq!(phone(true).phone_note(false, false), None);
    assert_eq!(on_usb("usb0", "rndis_host", "", "1-1").phone_note(false, false), None);
}

proptest! {
    /// Whatever is plugged in, in whatever order: no metric and no device is two networks' at a time.
    #[test]
    fn no_two_networks_share_a_metric_or_a_device(
        events in prop::collection::vec((0..4u8, 0..4u8, 0..3u8, any::<bool>()), 1..24),
    ) {
        let mut files = files(NETWORK);
        for (name, serial, port, numbered) in events {
            let serial = if numbered { serial.to_string() } else { String::new() };
            let device = phone(&format!("usb{name}"), &serial, &format!("1-{port}"));
            if let Err(why) = plug(&mut files, &device, std::slice::from_ref(&device)) {
                prop_assert!(why.starts_with("all metrics"), "{}", why);
                continue;
            }
            for option in ["metric", "device"] {
                let mut values: Vec<&str> = files[0]
                    .sections_of("interface")
                    .map(|section| text(section, option))
                    // Of DHCPv6 beside the WAN.
                    .filter(|value| !["", "wan"].contains(value))
                    .collect();
                values.sort();
                let all = values.len();
                values.dedup();
                prop_assert_eq!(values.len(), all);
            }
        }
    }

    /// Any text of a USB device becomes a value that reads back.
    #[test]
    fn any_serial_number_is_a_value(serial in "\\PC{0,40}") {
        let mut files = files(NETWORK);
        network_of(&mut files, &phone("usb0", &serial, "1-1"));
        let name = network_of(&mut files, &phone("usb7", &serial, "1-1"));
        prop_assert_eq!(name, "wan_usb0");
    }
}
