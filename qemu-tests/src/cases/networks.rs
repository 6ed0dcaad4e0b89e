//! The system's networks: their names among the settings, what hotplug tells of them, and netifd asked by `ubus`, for
//! which a script stands in that answers as the real one was recorded to.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::mount::{MsFlags, mount};

use super::cases;
use super::managed::{AT_ONCE, Managed, SOON, until};
use crate::check;
use crate::failure::{Doing, Result};
use crate::manager::{self, Ran};
use crate::runner::Case;
use crate::topology::Lab;

pub const CASES: &[Case] = cases!("networks":
    settings_may_name_networks_and_follow_their_devices,
    ifdown_by_hotplug_lets_the_device_go_and_ifup_has_it_back,
    ifdown_and_ifup_by_the_manager,
    an_ubus_that_hangs_holds_nothing_up,
    settings_on_a_full_or_read_only_disk_stay_as_they_are,
);

/// What `ubus` was called with.
const CALLS: &str = "/run/ubus.calls";

/// netifd with these networks: name, device, whether it is up.
fn netifd(networks: &[(&str, &str, bool)]) -> Result {
    let network = |(name, device, up): &(&str, &str, bool)| {
        let l3 = if *up { format!(r#""l3_device":"{device}","#) } else { String::new() };
        format!(
            r#"{{"interface":"{name}","up":{up},"pending":false,{l3}"proto":"dhcp","device":"{device}","data":{{}}}}"#
        )
    };
    let all: Vec<String> = networks.iter().map(network).collect();
    manager::stand_in(
        "ubus",
        &format!(
            "echo \"$*\" >>{CALLS}\ncase \"$*\" in *' dump '*) echo '{{\"interface\":[{}]}}' ;; esac",
            all.join(",")
        ),
    )
}

/// What OpenWrt's hotplug does for a network.
fn hotplug(lab: &Lab, action: &str, network: &str, device: Option<&str>) -> Result<Ran> {
    let (action, network) = (format!("ACTION={action}"), format!("INTERFACE={network}"));
    let device = device.map(|device| format!("DEVICE={device}"));
    let mut before = vec!["env", &action, &network];
    before.extend(device.as_deref());
    let ran = manager::run_as(lab, &before, &["hotplug", "iface"])?;
    check!(ran.code == Some(0) && ran.stderr.is_empty(), "{before:?}: {ran:?}");
    Ok(ran)
}

/// Waits until the endpoints of these WANs are backups, and no others.
fn backups(managed: &Managed, wans: &[usize]) -> Result {
    let expected: Vec<String> = wans.iter().map(|wan| managed.lab.netifd.address(*wan)).collect();
    let now = || -> Vec<String> {
        let now = managed.endpoints.endpoints.now();
        now.iter().filter(|e| e.is_backup()).map(|e| e.address.to_string()).collect()
    };
    let seen = until(SOON, || Ok(now() == expected))?;
    check!(seen.is_some(), "backups are {:?}, not {expected:?}", now());
    Ok(())
}

fn settings_may_name_networks_and_follow_their_devices() -> Result {
    netifd(&[("loopback", "lo", true), ("cable", "wan1", true), ("lte", "wan2", true)])?;
    let managed = Managed::start(Lab::two_wans()?, &["--backup", "lte"])?;
    let start = Instant::now();
    backups(&managed, &[2])?;
    // The phone took another USB port.
    hotplug(&managed.lab, "ifup", "lte", Some("wan1"))?;
    backups(&managed, &[1])?;
    hotplug(&managed.lab, "ifupdate", "lte", Some("wan2"))?;
    backups(&managed, &[2])?;
    // Networks that nobody names change nothing, nor do events that are no news.
    hotplug(&managed.lab, "ifup", "guest", Some("br-guest"))?;
    hotplug(&managed.lab, "ifup-failed", "lte", None)?;
    backups(&managed, &[2])?;
    managed.end(start)
}

fn ifdown_by_hotplug_lets_the_device_go_and_ifup_has_it_back() -> Result {
    let managed = Managed::start(Lab::two_wans()?, &[])?;
    let start = Instant::now();
    let address = managed.lab.netifd.address(1);
    for network in ["isp", "isp6"] {
        hotplug(&managed.lab, "ifup", network, Some("wan1"))?;
    }
    hotplug(&managed.lab, "ifdown", "isp6", None)?;
    let gone = managed.endpoints.removed(&address, Instant::now(), AT_ONCE);
    check!(gone.is_none(), "the other network's device was let go after {gone:?}");
    let told = Instant::now();
    hotplug(&managed.lab, "ifdown", "isp", None)?;
    let gone = managed.endpoints.removed(&address, told, AT_ONCE);
    check!(gone.is_some(), "its endpoint stays: {:?}", managed.endpoints.endpoints.now());
    // It was late: the interface is up all the time. Without the ifup it would take 5 s.
    let told = Instant::now();
    hotplug(&managed.lab, "ifup", "isp", Some("wan1"))?;
    let back = managed.endpoints.endpoints.wait(told, SOON, |list| list.len() == 2);
    check!(back.is_some(), "endpoints: {:?}", managed.endpoints.endpoints.now());
    managed.end(start)
}

fn ifdown_and_ifup_by_the_manager() -> Result {
    let lab = Lab::two_wans()?;
    // As on other Linux; a virtual router has an ubus.
    let ran = manager::run_as(&lab, &["env", "PATH=/run/none"], &["bond", "--ifdown", "lte"])?;
    check!(ran.code == Some(1) && ran.stderr.contains("no ubus here"), "{ran:?}");
    netifd(&[("isp", "wan1", true), ("lte", "wan2", true)])?;
    let managed = Managed::start(lab, &["--backup", "lte"])?;
    // netifd has answered.
    backups(&managed, &[2])?;
    let start = Instant::now();
    let ran = manager::run(&managed.lab, &["bond", "--ifdown", "lan"])?;
    check!(ran.code == Some(1) && ran.stderr.contains("there are: isp, lte"), "{ran:?}");
    let told = Instant::now();
    let ran = manager::run(&managed.lab, &["bond", "--ifdown", "isp"])?;
    check!(ran.code == Some(0), "{ran:?}");
    let gone = managed.endpoints.removed(&managed.lab.netifd.address(1), told, AT_ONCE);
    check!(gone.is_some(), "the manager did not let go: {:?}", managed.endpoints.endpoints.now());
    let ran = manager::run(&managed.lab, &["bond", "--ifup", "isp"])?;
    check!(ran.code == Some(0), "{ran:?}");
    let calls = fs::read_to_string(CALLS)?;
    for method in ["down", "up"] {
        let call = format!("-t 2 call network.interface.isp {method} {{}}\n");
        check!(calls.contains(&call), "netifd was called with {calls}");
    }
    // As ubus of 24.10 and of RUTOS says it.
    for (code, word) in [(249, "does not answer"), (7, "does not answer"), (6, "permission denied")] {
        manager::stand_in("ubus", &format!("exit {code}"))?;
        let ran = manager::run(&managed.lab, &["bond", "--ifup", "isp"])?;
        check!(ran.code == Some(1) && ran.stderr.contains(word), "{ran:?}");
    }
    managed.end(start)
}

fn an_ubus_that_hangs_holds_nothing_up() -> Result {
    manager::stand_in("ubus", "exec sleep 60")?;
    let managed = Managed::start(Lab::two_wans()?, &["--backup", "lte"])?;
    let start = Instant::now();
    managed.stays(start)?;
    let asked = Instant::now();
    let ran = manager::run(&managed.lab, &["bond", "--ifdown", "lte"])?;
    check!(ran.code == Some(1) && ran.stderr.contains("does not end"), "{ran:?}");
    check!(asked.elapsed() < Duration::from_secs(10), "it took {:?}", asked.elapsed());
    managed.end(start)
}

fn settings_on_a_full_or_read_only_disk_stay_as_they_are() -> Result {
    const DIR: &str = "/run/config";
    const SETTINGS: &str = "config bond 'bond'\n\toption lost '9'\n";
    manager::stand_in("uci", "cat >/run/uci.lines")?;
    let lab = Lab::two_wans()?;
    fs::create_dir_all(DIR)?;
    let none: Option<&str> = None;
    mount(Some("flash"), DIR, Some("tmpfs"), MsFlags::empty(), Some("size=64k"))
        .doing("mount a small disk")?;
    fs::write(format!("{DIR}/bsbf"), SETTINGS)?;
    let refuses = |word: &str| -> Result {
        let words = ["config", "set", "lost=5", "--dir", DIR, "--pending", "/run/pending"];
        let ran = manager::run(&lab, &words)?;
        check!(ran.code == Some(1) && ran.stderr.contains(word), "{word}: {ran:?}");
        let settings = fs::read_to_string(format!("{DIR}/bsbf"))?;
        check!(settings == SETTINGS && fs::read_dir(DIR)?.count() <= 2, "the settings are {settings:?}");
        check!(!Path::new("/run/uci.lines").exists(), "uci was run, and forgets what it cannot write");
        Ok(())
    };
    // As much as fits.
    let _ = fs::write(format!("{DIR}/other"), [b'x'; 64 << 10]);
    refuses("it is full")?;
    mount(none, DIR, none, MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY, none)
        .doing("make the disk read-only")?;
    refuses("it is read-only")
}
