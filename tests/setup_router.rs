//! `bsbf setup-router` on settings that the real generators of OpenWrt and RUTOS made (tests/vectors/uci/configs), with
//! the stand-in for `uci`, which is held to the real one's recorded sessions. What answers it, and what does not, is in
//! the lab's tests and in virtual routers.

// Tests make files and start programs, and end where they cannot.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

const FILES: [&str; 3] = ["network", "firewall", "dhcp"];

/// A layout, the line of the LAN's port, and the devices of wan1, wan2, ...
const LAYOUTS: [(&str, &str, &[&str]); 13] = [
    ("owrt-ath79-swconfig-archer-c7-v2", "ports='5 0t'", &["eth0.2", "eth1.3", "eth1.4", "eth1.5"]),
    ("owrt-ath79-teltonika-rut300", "ports='4 0t'", &["eth1", "eth0.3", "eth0.4", "eth0.5"]),
    ("owrt-ath79-teltonika-rut955", "ports='4 0t'", &["eth1", "eth0.3", "eth0.4"]),
    ("owrt-filogic-gl-mt3000", "ports='eth1'", &["eth0"]),
    ("owrt-ipq40xx-teltonika-rutx50", "ports='lan4'", &["wan", "lan1", "lan2", "lan3"]),
    ("owrt-mt7620-swconfig-zbt-we826", "ports='3 6t'", &["eth0.2", "eth0.3", "eth0.4", "eth0.5"]),
    ("owrt-mt7621-dsa-edgerouter-x", "ports='eth4'", &["eth0", "eth1", "eth2", "eth3"]),
    ("owrt-mt7621-dsa-zbt-wg3526", "ports='lan4'", &["wan", "lan1", "lan2", "lan3"]),
    ("owrt-mt76x8-swconfig-gl-mt300n-v2", "ports='1 6t'", &["eth0.2"]),
    ("rutos-dsa", "ports='lan4'", &["wan", "lan1", "lan2", "lan3"]),
    ("rutos-single-port", "ports='eth0'", &["eth1"]),
    ("rutos-swconfig-eth0-tagged", "ports='3 0t'", &["eth0.2", "eth0.3", "eth0.4"]),
    ("rutos-swconfig-rutx-style", "ports='4 0'", &["eth1", "eth0.3", "eth0.4", "eth0.5"]),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A router's directories, as far as they matter here; they go with it.
struct Router(PathBuf);

impl Router {
    /// With the settings of a layout; of what was not recorded for it, with OpenWrt's.
    fn new(test: &str, layout: &str) -> Router {
        let path = std::env::temp_dir().join(format!("bsbf-setup-{test}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        ["etc/config", "bin"].iter().for_each(|dir| fs::create_dir_all(path.join(dir)).unwrap());
        let vectors = root().join("tests/vectors/uci/configs");
        for name in FILES {
            let own = vectors.join(layout).join(name);
            let from = if own.exists() { own } else { vectors.join("owrt-default-dhcp-firewall").join(name) };
            fs::copy(from, path.join("etc/config").join(name)).unwrap();
        }
        let router = Router(path);
        router
            .program("uci", &format!("exec {} \"$@\"", root().join("qemu-tests/router/sbin/uci").display()));
        // A boot: ubusd is there, netifd is not yet.
        router.program("ubus", "[ \"$*\" = \"${*#*service event}\" ] && { echo 'Command failed: Not found' >&2; exit 4; }; exit 0");
        router
    }

    fn program(&self, name: &str, script: &str) {
        let path = self.0.join("bin").join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Exit code, stdout and stderr.
    fn run(&self, words: &[&str]) -> (Option<i32>, String, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bsbf"));
        command.arg("setup-router").args(words);
        command.arg("--root").arg(&self.0);
        let path = format!("{}:{}", self.0.join("bin").display(), std::env::var("PATH").unwrap());
        command.env("PATH", path).env("BSBF", env!("CARGO_BIN_EXE_bsbf"));
        let output = command.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap().replace(&self.0.display().to_string(), "DIR");
        (output.status.code(), text(output.stdout), text(output.stderr))
    }

    fn first_boot(&self) -> String {
        let (code, said, complained) = self.run(&["--first-boot"]);
        assert_eq!((code, complained.as_str()), (Some(0), ""), "{said}");
        said
    }

    fn files(&self) -> [String; 3] {
        FILES.map(|name| fs::read_to_string(self.0.join("etc/config").join(name)).unwrap())
    }

    /// `uci -X show` of one of the files.
    fn show(&self, name: &str) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bsbf"));
        let output =
            command.args(["config", "show", "-X", name, "--dir"]).arg(self.0.join("etc/config")).output();
        String::from_utf8(output.unwrap().stdout).unwrap()
    }

    fn change(&self, name: &str, from: &str, to: &str) {
        let path = self.0.join("etc/config").join(name);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{name} has no {from:?}");
        fs::write(path, text.replace(from, to)).unwrap();
    }

    fn kept(&self, name: &str) -> bool {
        self.0.join("etc/bsbf/setup").join(name).exists()
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn every_recorded_layout_becomes_a_bonding_router_once_and_can_be_undone() {
    for (layout, lan, wans) in LAYOUTS {
        let router = Router::new("layouts", layout);
        let before = router.files();
        router.first_boot();
        let [network, firewall, dhcp] = FILES.map(|name| router.show(name));
        assert!(network.contains("network.lan.ipaddr='192.168.1.1'\n"), "{layout}: {network}");
        assert!(network.contains(&format!(".{lan}\n")), "{layout}: {network}");
        assert!(!network.contains("network.wan=") && !firewall.contains("'wan' "), "{layout}: {firewall}");
        for (number, device) in (1..).zip(wans) {
            for line in [
                format!("network.wan{number}=interface"),
                format!("network.wan{number}.device='{device}'"),
                format!("network.wan{number}.proto='dhcp'"),
                format!("network.wan{number}.metric='{number}'"),
                format!("network.wan{number}.peerdns='0'"),
            ] {
                assert!(network.contains(&format!("{line}\n")), "{layout}: no {line} in {network}");
            }
            assert!(dhcp.contains(&format!(".interface='wan{number}'\n")), "{layout}: {dhcp}");
        }
        assert!(!network.contains(&format!("network.wan{}=", wans.len() + 1)), "{layout}: {network}");
        let zone: Vec<&str> = firewall.lines().filter(|line| line.contains(".network=")).collect();
        let names: Vec<String> = (1..=wans.len()).map(|number| format!("'wan{number}'")).collect();
        assert_eq!(zone.len(), 2, "{zone:?}");
        assert!(zone[1].ends_with(&format!("='wan6' {}", names.join(" "))), "{layout}: {}", zone[1]);
        assert!(network.contains("network.bsbf_proxy.mark='0x1/0x7'\n"), "{layout}: {network}");
        assert!(dhcp.contains(".server='8.8.8.8' '1.1.1.1'\n") && dhcp.contains(".noresolv='1'\n"), "{dhcp}");

        let after = router.files();
        assert_eq!(router.first_boot(), "", "{layout}: a second boot");
        let (code, said, _) = router.run(&[]);
        assert_eq!(code, Some(0));
        assert!(said.ends_with("Nothing to do: it is so already.\n"), "{layout}: {said}");
        assert_eq!(router.files(), after, "{layout}");
        let (code, said, complained) = router.run(&["--undo"]);
        assert_eq!((code, said.as_str()), (Some(0), "Everything is as it was.\n"), "{complained}");
        assert_eq!(router.files(), before, "{layout}");
    }
}

/// No option is lost, none comes into a section that is not named, and each port is in one place.
#[test]
fn a_change_is_what_was_said_and_nothing_else() {
    for (layout, _, wans) in LAYOUTS {
        let router = Router::new("nothing-else", layout);
        let before = FILES.map(|name| router.show(name));
        router.first_boot();
        for (name, before) in FILES.iter().zip(before) {
            let after = router.show(name).replace("network.wan1", "network.wan");
            let kept = |line: &&str| !after.contains(&format!("{line}\n"));
            let gone: Vec<&str> = before.lines().filter(kept).collect();
            let more: Vec<&str> =
                after.lines().filter(|line| !before.contains(&format!("{line}\n"))).collect();
            let expected: &[&str] = match *name {
                "network" if wans.len() > 1 => &["ports"],
                "network" => &[],
                "firewall" => &["network"],
                _ => &["interface"],
            };
            let options: Vec<&str> =
                gone.iter().filter_map(|line| line.split_once('=')?.0.rsplit('.').next()).collect();
            assert_eq!(options, expected, "{layout}: {gone:?}");
            for line in more {
                let section = line.split(['.', '=']).nth(1).unwrap();
                let ours = section.starts_with("bsbf_") || section.starts_with("wan");
                assert!(ours || section.starts_with("cfg") || section == "br_lan", "{layout}: {line}");
            }
        }
    }
}

#[test]
fn a_router_that_somebody_has_set_up_is_left_alone_and_told_the_command() {
    let cases = [
        ("network", "192.168.1.1", "192.168.9.1", "line 22: option 'ipaddr' of interface 'lan'"),
        (
            "network",
            "option proto 'dhcp'\n",
            "option proto 'pppoe'\n",
            "line 28: option 'proto' of interface 'wan'",
        ),
        (
            "network",
            "option proto 'dhcp'\n",
            "option proto 'dhcp'\n\toption vendorid 'x'\n",
            "line 29: option 'vendorid'",
        ),
        ("network", "config interface 'wan6'", "config interface 'guest'", "line 30: interface 'guest'"),
        (
            "network",
            "config interface 'wan6'",
            "config bridge-vlan\n\nconfig interface 'wan6'",
            "line 30: a bridge-vlan",
        ),
    ];
    for (name, from, to, why) in cases {
        let router = Router::new("set-up", "owrt-mt7621-dsa-zbt-wg3526");
        router.change(name, from, to);
        let before = router.files();
        let said = router.first_boot();
        assert_eq!(router.files(), before, "{to:?}");
        assert!(!router.kept("network.before"));
        assert!(
            said.contains(why) || why.contains("bridge-vlan") && said.contains("VLANs of a bridge"),
            "{said}"
        );
        if !why.contains("bridge-vlan") {
            assert!(said.ends_with("bsbf-setup-router --apply\n"), "{said}");
        }
    }
}

#[test]
fn a_package_installed_on_a_running_router_changes_nothing() {
    let router = Router::new("running", "owrt-mt7621-dsa-zbt-wg3526");
    let before = router.files();
    // netifd answers, or hangs, or nobody knows.
    for ubus in
        ["echo '{ \"interface\": [] }'", "echo 'Command failed: Request timed out' >&2; exit 249", "exit 255"]
    {
        router.program("ubus", ubus);
        let said = router.first_boot();
        assert!(said.starts_with("bsbf-setup-router: this router is running, so its ports stay"), "{said}");
        assert_eq!(router.files(), before, "{ubus}");
    }
}

#[test]
fn a_change_that_cannot_be_made_whole_is_put_back() {
    let uci = root().join("qemu-tests/router/sbin/uci").display().to_string();
    let router = Router::new("half", "owrt-ath79-swconfig-archer-c7-v2");
    let before = router.files();
    // It commits the first file and forgets the rest.
    router.program("uci", &format!("sed '/^commit network/q' | exec {uci} \"$@\""));
    let (code, _, complained) = router.run(&["--first-boot"]);
    assert_eq!(code, Some(1));
    assert!(
        complained.contains("cannot change DIR/etc/config: uci said nothing and did nothing"),
        "{complained}"
    );
    assert_eq!(router.files(), before);
    let (code, _, complained) = router.run(&["--undo"]);
    assert_eq!(code, Some(1));
    assert_eq!(complained, "bsbf: cannot undo the last change: none is kept\n");
    router.program("uci", "exit 1");
    assert_eq!(router.run(&["--first-boot"]).0, Some(1));
    assert_eq!(router.files(), before);
}

#[test]
fn after_a_power_cut_in_the_middle_everything_is_put_back_and_done_anew() {
    let uci = root().join("qemu-tests/router/sbin/uci").display().to_string();
    let router = Router::new("power", "owrt-mt7621-dsa-edgerouter-x");
    let before = router.files();
    // Nobody is left between the commit of the first file and that of the second.
    let cut = format!("sed '/^commit network/q' | {uci} \"$@\"; rm -rf DIR/tmp; kill -9 $PPID");
    router.program("uci", &cut.replace("DIR", &router.0.display().to_string()));
    assert_eq!(router.run(&["--first-boot"]).0, None);
    let [network, firewall, _] = router.files();
    assert!(network != before[0] && firewall == before[1], "the cut came at another time");
    router.program("uci", &format!("exec {uci} \"$@\""));
    let told = router.0.join("told");
    router.program("ubus", &format!("[ \"$4\" = service ] || exit 4; echo \"$6\" >>{}", told.display()));
    // The service of the next boot, with the network up already: it has to hear of what is put back.
    let (code, _, complained) = router.run(&["--confirm"]);
    let interrupted = "bsbf: an earlier change was interrupted: everything is as it was before it\n";
    assert_eq!((code, complained.as_str()), (Some(0), interrupted));
    assert_eq!(router.files(), before);
    assert!(fs::read_to_string(&told).is_ok_and(|told| told.contains("network") && told.contains("dhcp")));
    let (code, said, complained) = router.run(&["--first-boot"]);
    assert_eq!((code, complained.as_str()), (Some(0), ""));
    assert!(said.contains("wan4  eth3\n"), "{said}");
    assert!(router.files()[1].contains("list network 'wan4'"));
    assert_eq!(router.run(&["--undo"]).0, Some(0));
    assert_eq!(router.files(), before);
}

#[test]
fn undo_does_not_lose_what_was_changed_since() {
    let router = Router::new("since", "rutos-dsa");
    let before = router.files();
    router.first_boot();
    router.change("network", "config interface 'wan2'\n", "config interface 'wan2'\n\toption mine '1'\n");
    let changed = router.files();
    let (code, _, complained) = router.run(&["--undo"]);
    assert_eq!(code, Some(1));
    let why = "changed since; --force puts back what was, and keeps what is now";
    assert_eq!(complained, format!("bsbf: cannot undo DIR/etc/config/network: {why}\n"));
    assert_eq!(router.files(), changed);
    let (code, said, _) = router.run(&["--undo", "--force"]);
    assert_eq!(code, Some(0));
    assert!(said.ends_with("What was changed since is kept: /etc/bsbf/setup/NAME.after\n"), "{said}");
    assert_eq!(router.files(), before);
    assert_eq!(fs::read_to_string(router.0.join("etc/bsbf/setup/network.after")).unwrap(), changed[0]);
}

#[test]
fn on_request_a_router_that_is_set_up_keeps_what_it_has() {
    let router = Router::new("request", "owrt-mt7621-dsa-zbt-wg3526");
    router.change("network", "192.168.1.1", "192.168.9.1");
    router.change("network", "option proto 'dhcp'\n", "option proto 'pppoe'\n\toption username 'me'\n");
    let modem = "\nconfig interface 'lte'\n\toption proto 'qmi'\n\toption metric '3'\n";
    router.change(
        "network",
        "config interface 'wan6'",
        &format!("{}\nconfig interface 'wan6'", modem.trim_start()),
    );
    router.change("dhcp", "option nonwildcard", "list server '9.9.9.9'\n\toption nonwildcard");
    let (code, said, _) = router.run(&["--lan", "lan1"]);
    assert_eq!(code, Some(0));
    assert!(said.contains("lan   lan1\nwan1  wan\nwan2  lan2\nwan4  lan3\nwan5  lan4\n"), "{said}");
    assert!(said.ends_with("Nothing is changed. To do so: bsbf-setup-router --apply --lan lan1\n"), "{said}");
    let (code, _, complained) = router.run(&["--apply", "--lan", "lan1", "--within", "0"]);
    assert_eq!((code, complained.as_str()), (Some(0), ""));
    let network = router.show("network");
    for line in ["wan1.proto='pppoe'", "wan1.username='me'", "wan5.device='lan4'", "lte.metric='3'"] {
        assert!(network.contains(&format!("network.{line}\n")), "{network}");
    }
    assert!(!network.contains("wan3"), "{network}");
    let dhcp = router.show("dhcp");
    assert!(dhcp.contains(".server='9.9.9.9'\n") && !dhcp.contains("noresolv"), "{dhcp}");
    assert_eq!(router.run(&["--apply", "--lan", "lan1", "--within", "0"]).0, Some(0));
    assert_eq!(router.show("network"), network);
}

#[test]
fn what_stands_in_the_way_is_named() {
    let layout = "owrt-ath79-teltonika-rut955";
    let cases: [(&str, &str, &str, &[&str], &str); 6] = [
        (
            "network",
            "config interface 'lan'",
            "config interface 'home'",
            &[],
            "network: there is no network 'lan'",
        ),
        (
            "firewall",
            "option name\t\twan",
            "option name uplink",
            &[],
            "firewall: there is no zone 'wan' to put the WANs in",
        ),
        (
            "dhcp",
            "config dnsmasq",
            "config unbound",
            &[],
            "dhcp: there is no section 'dnsmasq', and nothing else would resolve names",
        ),
        (
            "network",
            "option type 'bridge'",
            "option type 'macvlan'",
            &[],
            "network: line 24: the device of the network 'lan' is no bridge here",
        ),
        (
            "network",
            "config interface 'wan6'",
            "config interface 'wan1'",
            &[],
            "network: line 11: 'wan' cannot become 'wan1', which is there too",
        ),
        ("network", "", "", &["--lan", "9"], "network: line 36: the LAN has no port '9'; it has: 2, 3, 4"),
    ];
    for (name, from, to, words, why) in cases {
        let router = Router::new("way", layout);
        router.change(name, from, to);
        let before = router.files();
        for action in [&[][..], &["--apply", "--within", "0"]] {
            let (code, _, complained) = router.run(&[words, action].concat());
            assert_eq!(code, Some(1));
            assert_eq!(complained, format!("bsbf: cannot make a bonding router of DIR/etc/config: {why}\n"));
        }
        assert_eq!(router.files(), before);
    }
    // Of an untagged VLAN the processor's port is the one that another VLAN has too.
    let router = Router::new("way", "rutos-swconfig-rutx-style");
    router.change("network", "'5 0'", "'5'");
    let (code, _, complained) = router.run(&[]);
    assert_eq!(code, Some(1));
    assert!(complained.contains("which of its ports is the processor's cannot be told"), "{complained}");
}

#[test]
fn changes_that_wait_to_be_committed_are_not_mixed_with_ours() {
    let router = Router::new("pending", "owrt-mt7621-dsa-zbt-wg3526");
    fs::create_dir_all(router.0.join("tmp/.uci")).unwrap();
    fs::write(router.0.join("tmp/.uci/network"), "network.lan.ipaddr='192.168.7.1'\n").unwrap();
    let before = router.files();
    let (code, _, complained) = router.run(&["--apply", "--within", "0"]);
    assert_eq!(code, Some(1));
    assert!(complained.contains("cannot go on with DIR/tmp/.uci/network: it has changes"), "{complained}");
    assert_eq!(router.files(), before);
    // At the first boot they are those of earlier scripts, which are committed after the last one.
    let said = router.first_boot();
    assert!(said.contains("option 'ipaddr' of interface 'lan'"), "{said}");
    assert!(router.files()[0].contains("option ipaddr '192.168.7.1'"));
}
