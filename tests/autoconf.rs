//! `bsbf autoconf-dhcp` and its sisters on sysfs as drivers/net/usb and drivers/usb lay it out, with the stand-in for `uci`,
//! which is held to the real one's recorded sessions. Real devices are plugged into virtual routers.

// Tests make files and start programs, and end where they cannot.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

const LAYOUT: &str = "owrt-mt7621-dsa-zbt-wg3526";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A router's directories, as far as they matter here; they go with it.
struct Router(PathBuf);

impl Router {
    fn new(test: &str) -> Router {
        let path = std::env::temp_dir().join(format!("bsbf-autoconf-{test}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        ["etc/config", "bin", "sys/class/net", "sys/class/usbmisc"]
            .iter()
            .for_each(|dir| fs::create_dir_all(path.join(dir)).unwrap());
        let vectors = root().join("tests/vectors/uci/configs");
        for (layout, name) in [(LAYOUT, "network"), ("owrt-default-dhcp-firewall", "firewall")] {
            fs::copy(vectors.join(layout).join(name), path.join("etc/config").join(name)).unwrap();
        }
        let router = Router(path);
        router
            .program("uci", &format!("exec {} \"$@\"", root().join("qemu-tests/router/sbin/uci").display()));
        router.program("ubus", "echo \"$*\" >>\"$ROOT/told\"");
        router
    }

    fn program(&self, name: &str, script: &str) {
        let path = self.0.join("bin").join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// A USB device in a port, and its interface 0 with a driver and a network device.
    fn plug(&self, port: &str, serial: &str, driver: &str, name: &str) -> PathBuf {
        let usb = self.0.join("sys/devices/platform/soc/usb1").join(port);
        let interface = usb.join(format!("{port}:1.0"));
        let net = interface.join("net").join(name);
        fs::create_dir_all(&net).unwrap();
        for (file, text) in [("idVendor", "18d1"), ("idProduct", "4eeb"), ("serial", serial)] {
            fs::write(usb.join(file), format!("{text}\n")).unwrap();
        }
        let drivers = self.0.join("sys/bus/usb/drivers").join(driver);
        fs::create_dir_all(&drivers).unwrap();
        symlink(drivers, interface.join("driver")).unwrap();
        symlink(&interface, net.join("device")).unwrap();
        fs::write(net.join("type"), "1\n").unwrap();
        symlink(&net, self.0.join("sys/class/net").join(name)).unwrap();
        interface
    }

    fn unplug(&self, name: &str) {
        let link = self.0.join("sys/class/net").join(name);
        let usb = fs::canonicalize(&link).unwrap().ancestors().nth(3).unwrap().to_path_buf();
        fs::remove_file(link).unwrap();
        fs::remove_dir_all(usb).unwrap();
    }

    fn start(&self, words: &[&str], variables: &[(&str, &str)]) -> Child {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bsbf"));
        command.args(words).arg("--root").arg(&self.0);
        let path = format!("{}:{}", self.0.join("bin").display(), std::env::var("PATH").unwrap());
        command.env("PATH", path).env("BSBF", env!("CARGO_BIN_EXE_bsbf")).env("ROOT", &self.0);
        command.env_remove("ACTION").env_remove("INTERFACE").envs(variables.iter().copied());
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Exit code, stdout and stderr.
    fn run(&self, words: &[&str], variables: &[(&str, &str)]) -> (Option<i32>, String, String) {
        said(self.start(words, variables).wait_with_output().unwrap())
    }

    fn added(&self, name: &str) -> (Option<i32>, String, String) {
        self.run(&["usb-netdev-autodhcp"], &[("ACTION", "add"), ("INTERFACE", name)])
    }

    fn network(&self) -> String {
        fs::read_to_string(self.0.join("etc/config/network")).unwrap()
    }

    /// What `ubus` was called with since the last question.
    fn told(&self) -> String {
        let text = fs::read_to_string(self.0.join("told")).unwrap_or_default();
        let _ = fs::remove_file(self.0.join("told"));
        text
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn said(output: Output) -> (Option<i32>, String, String) {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn done(line: &str) -> (Option<i32>, String, String) {
    (Some(0), line.to_string(), String::new())
}

#[test]
fn a_phone_comes_goes_and_comes_back() {
    let router = Router::new("phone");
    router.plug("1-1", "PHONE", "rndis_host", "usb0");
    assert_eq!(router.added("usb0"), done("usb0: network wan_usb0, written\n"));
    let told = router.told();
    let calls = ["network reload {}", "network.interface.wan_usb0 up {}"];
    assert!(calls.iter().all(|call| told.contains(call)), "{told}");
    let written = router.network();
    assert!(written.contains("option bsbf_id '18d1:PHONE'"), "{written}");

    // What is gone keeps its network, and nobody is told anything: the kernel tells the manager.
    router.unplug("usb0");
    let gone = [("ACTION", "remove"), ("INTERFACE", "usb0")];
    assert_eq!(router.run(&["usb-netdev-autodhcp"], &gone), done(""));
    assert_eq!((router.told(), router.network()), (String::new(), written.clone()));

    // Back by another name: bound to it. By the same one: nothing is written.
    router.plug("1-2", "PHONE", "rndis_host", "usb1");
    assert_eq!(router.added("usb1"), done("usb1: network wan_usb0, written\n"));
    assert_eq!(router.network(), written.replace("'usb0'", "'usb1'"));
    router.told();
    assert_eq!(router.added("usb1"), done("usb1: network wan_usb0\n"));
    assert_eq!(router.told(), "-t 2 call network.interface.wan_usb0 up {}\n");

    // Its owner has switched it off.
    fs::write(router.0.join("etc/config/network"), router.network() + "\n\toption auto '0'\n").unwrap();
    router.added("usb1");
    assert_eq!(router.told(), "");
}

#[test]
fn eight_at_once_get_eight_metrics_and_the_ninth_is_refused() {
    let router = Router::new("eight");
    let names: Vec<String> = (0..9).map(|number| format!("usb{number}")).collect();
    for (number, name) in names.iter().enumerate() {
        router.plug(&format!("1-{}", number + 1), &format!("S{number}"), "cdc_ether", name);
    }
    let start =
        |name: &String| router.start(&["usb-netdev-autodhcp"], &[("ACTION", "add"), ("INTERFACE", name)]);
    let running: Vec<Child> = names.iter().map(start).collect();
    let results: Vec<_> = running.into_iter().map(|child| said(child.wait_with_output().unwrap())).collect();
    let refused: Vec<_> = results.iter().filter(|(code, ..)| *code != Some(0)).collect();
    let [(Some(1), _, why)] = refused.as_slice() else { panic!("{results:?}") };
    assert!(why.contains("all metrics from 1 to 8 are taken: 1 wan_usb"), "{why}");
    let network = router.network();
    let mut metrics: Vec<&str> = network.lines().filter(|line| line.contains("option metric")).collect();
    metrics.sort();
    metrics.dedup();
    assert_eq!(metrics.len(), 8, "{network}");

    let lost = network.lines().find_map(|line| line.strip_prefix("config interface 'wan_usb")).unwrap();
    let lost = format!("wan_usb{}", lost.trim_end_matches('\''));
    assert_eq!(router.run(&["usb-netdev-autodhcp", "--forget", &lost], &[]), done(""));
    assert!(!router.network().contains(&lost));
    let (code, said, _) = router.run(&["usb-netdev-autodhcp", "--all"], &[]);
    assert!(said.matches(", written\n").count() == 1 && code == Some(1), "{said}");
}

#[test]
fn a_modem_is_the_other_commands_and_known_by_its_control_file_too() {
    let router = Router::new("modem");
    let interface = router.plug("1-1", "MODEM", "cdc_mbim", "wwan0");
    let control = interface.join("usbmisc/cdc-wdm0");
    fs::create_dir_all(&control).unwrap();
    symlink(&interface, control.join("device")).unwrap();
    symlink(&control, router.0.join("sys/class/usbmisc/cdc-wdm0")).unwrap();
    fs::write(router.0.join("etc/config/bsbf"), "config autoconf 'autoconf'\n\toption apn 'web.example'\n")
        .unwrap();
    // From a hook nothing is said of what is not for it.
    assert_eq!(router.added("wwan0"), done(""));
    let (code, _, why) = router.run(&["autoconf-dhcp", "wwan0"], &[]);
    assert_eq!(code, Some(1));
    assert!(why.contains("bsbf-autoconf-cellular is for it"), "{why}");

    let written = done("wwan0: network wwan0, written\n");
    assert_eq!(router.run(&["autoconf-cellular", "/dev/cdc-wdm0"], &[]), written);
    let network = router.network();
    for option in ["proto 'mbim'", "device '/dev/cdc-wdm0'", "apn 'web.example'", "peerdns '0'"] {
        assert!(network.contains(&format!("\toption {option}\n")), "{network}");
    }

    // RUTOS has a service for its modems.
    let gsmd = router.0.join("etc/init.d/gsmd");
    fs::create_dir_all(gsmd.parent().unwrap()).unwrap();
    fs::write(&gsmd, "").unwrap();
    let (code, _, why) = router.run(&["autoconf-cellular", "wwan0"], &[]);
    assert_eq!((code, why.contains("it belongs to RUTOS's gsmd")), (Some(1), true), "{why}");
    // As an Ethernet card, too; a phone is nobody's.
    router.plug("1-3", "MODEM2", "cdc_ether", "wwan1");
    router.plug("1-4", "PHONE", "cdc_ether", "usb0");
    assert_eq!(router.added("wwan1"), done(""));
    assert_eq!(router.run(&["autoconf-dhcp", "--dry-run", "usb0"], &[]).0, Some(0));
    fs::remove_file(gsmd).unwrap();

    // A protocol script that takes the path.
    let script = router.0.join("lib/netifd/proto/mbim.sh");
    fs::create_dir_all(script.parent().unwrap()).unwrap();
    fs::write(script, "proto_mbim_init_config() {\n\tproto_config_add_string devpath\n}\n").unwrap();
    router.run(&["autoconf-cellular", "--all"], &[]);
    let network = router.network();
    assert!(network.contains("option devpath '/sys/devices/platform/soc/usb1/1-1'\n"), "{network}");
    assert!(!network.contains("cdc-wdm0"), "{network}");
}

#[test]
fn what_cannot_be_done_is_told_and_changes_nothing() {
    let router = Router::new("wrong");
    let before = router.network();
    let (code, _, why) = router.run(&["usb-netdev-autodhcp"], &[]);
    assert_eq!(code, Some(2));
    assert!(why.contains("ACTION and INTERFACE are set"), "{why}");
    let (code, _, why) = router.run(&["autoconf-dhcp", "eth7"], &[]);
    assert_eq!((code, why.as_str()), (Some(1), "bsbf: cannot make a WAN of eth7: there is no such device\n"));
    // Events of what is gone by now.
    assert_eq!(router.added("usb7"), done(""));
    router.plug("1-1", "PHONE", "rndis_host", "usb0");
    let (code, lines, _) = router.run(&["autoconf-dhcp", "--dry-run", "usb0"], &[]);
    assert_eq!(code, Some(0));
    assert!(lines.contains("set network.wan_usb0.proto='dhcp'\n"), "{lines}");
    let (code, _, why) = router.run(&["autoconf-dhcp", "--forget", "wan"], &[]);
    assert_eq!(code, Some(1));
    assert!(why.contains("it was not made by this command"), "{why}");
    let (code, _, why) = router.run(&["autoconf-dhcp", "--all", "usb0"], &[]);
    assert_eq!((code, why.contains("cannot do all of that")), (Some(2), true), "{why}");
    let firewall = router.0.join("etc/config/firewall");
    fs::write(&firewall, "config zone\n\toption name lan\n").unwrap();
    let (code, _, why) = router.added("usb0");
    assert_eq!(code, Some(1));
    assert!(why.contains("firewall: there is no zone 'wan' to put the WANs in"), "{why}");
    assert_eq!((router.network(), router.told()), (before, String::new()));
}

#[test]
fn an_iphone_that_does_not_trust_the_router_is_told_of() {
    let router = Router::new("iphone");
    router.plug("1-1", "00008030001A2B3C4D5E", "ipheth", "eth2");
    let (_, _, why) = router.added("eth2");
    assert!(why.contains("usbmuxd, which would ask it to, does not run"), "{why}");
    fs::create_dir_all(router.0.join("var/lib/lockdown")).unwrap();
    fs::write(router.0.join("var/run/usbmuxd"), "").unwrap();
    let (_, _, why) = router.added("eth2");
    assert!(
        why.contains("eth2 is an iPhone that does not trust this router yet: unlock it and tap Trust"),
        "{why}"
    );
    fs::write(router.0.join("var/lib/lockdown/00008030-001A2B3C4D5E.plist"), "").unwrap();
    let (_, _, why) = router.added("eth2");
    assert!(why.contains("switch its Personal Hotspot on"), "{why}");
    fs::write(router.0.join("sys/class/net/eth2/carrier"), "1\n").unwrap();
    assert_eq!(router.added("eth2"), done("eth2: network wan_eth2\n"));
}
