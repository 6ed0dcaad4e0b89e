//! What files tell of others that steer packets: which services start with the system, and how they are set.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use super::sysfs;
use crate::types::IfName;
use crate::wan::neighbours::{Mptcp, SERVICES, Service};

/// Where programs of services are.
const PROGRAMS: [&str; 2] = ["usr/sbin", "usr/bin"];
/// Where systemd links what starts at boot.
const WANTS: &str = "etc/systemd/system/multi-user.target.wants";

/// The services of `SERVICES` that start with the system whose root directory this is: linked as `S95mwan3` in
/// /etc/rc.d (OpenWrt's rc.common, `enable`), or wanted by systemd. What cannot be read counts as absent.
pub fn services(root: &Path) -> Vec<Service> {
    let started: Vec<_> = fs::read_dir(root.join("etc/rc.d"))
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    let is_started = |name: &str| {
        started.iter().any(|link| link.strip_prefix('S').is_some_and(|l| l.get(2..) == Some(name)))
            || fs::read_link(root.join(WANTS).join(format!("{name}.service"))).is_ok()
    };
    let enabled = SERVICES.into_iter().filter(|name| is_started(name));
    enabled
        .map(|name| Service {
            name,
            config: fs::read(root.join("etc/config").join(name)).unwrap_or_default(),
            is_script: PROGRAMS.iter().any(|dir| is_script(&root.join(dir).join(name))),
        })
        .collect()
}

fn is_script(program: &Path) -> bool {
    let mut start = [0; 2];
    File::open(program).and_then(|mut file| file.read(&mut start)).is_ok() && start == *b"#!"
}

/// `net.ipv4.conf.NAME.rp_filter`; 0 where it cannot be read.
pub fn rp_filter(name: &str) -> u8 {
    let value = sysfs::sysctl(&format!("net/ipv4/conf/{name}/rp_filter"));
    value.and_then(|value| value.parse().ok()).unwrap_or(0)
}

/// The same for each of these devices.
pub fn rp_filters(devices: Vec<IfName>) -> Vec<(IfName, u8)> {
    devices.into_iter().map(|name| (name.clone(), rp_filter(name.as_str()))).collect()
}

/// The sysctls of MPTCP; empty where the kernel has none of that name.
pub fn mptcp() -> Mptcp {
    let read = |name| sysfs::sysctl(&format!("net/mptcp/{name}")).unwrap_or_default();
    Mptcp {
        enabled: read("enabled"),
        pm_type: read("pm_type"),
        path_manager: read("path_manager"),
        scheduler: read("scheduler"),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn only_what_starts_with_the_system_counts() {
        let root = std::env::temp_dir().join(format!("bsbf-neighbours-{}", std::process::id()));
        assert!(services(&root).is_empty(), "no such directory");
        for dir in ["etc/rc.d", "etc/init.d", "etc/config", "usr/sbin", WANTS] {
            fs::create_dir_all(root.join(dir)).unwrap();
        }
        for (name, program) in [
            ("mwan3", "#!/bin/sh\n"),
            ("pbr", "#!"),
            ("bsbf-route", "\x7fELF"),
            ("bsbf-mptcp", "#!/bin/sh\n"),
        ] {
            fs::write(root.join("etc/init.d").join(name), "").unwrap();
            fs::write(root.join("usr/sbin").join(name), program).unwrap();
        }
        fs::write(root.join("etc/config/mwan3"), "config interface 'wan'\n").unwrap();
        for link in ["S19mwan3", "K90pbr", "S99bsbf-route", "Sxmwan4"] {
            symlink(Path::new("../init.d").join(&link[3..]), root.join("etc/rc.d").join(link)).unwrap();
        }
        symlink("/lib/systemd/system/bsbf-mptcp.service", root.join(WANTS).join("bsbf-mptcp.service"))
            .unwrap();
        let found = services(&root);
        fs::remove_dir_all(&root).unwrap();
        let seen: Vec<_> = found.iter().map(|s| (s.name, s.config.len(), s.is_script)).collect();
        assert_eq!(seen, [("mwan3", 23, true), ("bsbf-route", 0, false), ("bsbf-mptcp", 0, true)]);
    }
}
