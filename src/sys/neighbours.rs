//! What files tell of others that steer packets: which services start with the system, and how they are set.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Read;

use super::sysfs;
use crate::wan::neighbours::{Mptcp, SERVICES, Service};

/// The services of `SERVICES` that start with the system whose root directory this is: linked as `S95mwan3` in
/// /etc/rc.d (OpenWrt's rc.common, `enable`), or wanted by systemd. What cannot be read counts as absent.
pub fn services(root: &str) -> Vec<Service> {
    let mut links = Vec::new();
    if let Ok(entries) = fs::read_dir(format!("{root}/etc/rc.d")) {
        for entry in entries.flatten() {
            links.push(entry.file_name());
        }
    }
    let mut services = Vec::new();
    for name in SERVICES {
        let unit = format!("{root}/etc/systemd/system/multi-user.target.wants/{name}.service");
        let is_link = |link: &OsString| match link.as_encoded_bytes() {
            [b'S', _, _, rest @ ..] => rest == name.as_bytes(),
            _ => false,
        };
        if links.iter().any(is_link) || fs::read_link(unit).is_ok() {
            services.push(Service {
                name,
                config: fs::read(format!("{root}/etc/config/{name}")).unwrap_or_default(),
                // The last is where RUTOS puts packages.
                is_script: ["usr/sbin", "usr/bin", "usr/local/usr/sbin"]
                    .iter()
                    .any(|dir| is_script(&format!("{root}/{dir}/{name}"))),
            });
        }
    }
    services
}

fn is_script(program: &str) -> bool {
    let mut start = [0; 2];
    File::open(program).and_then(|mut file| file.read(&mut start)).is_ok() && start == *b"#!"
}

/// `net.ipv4.conf.NAME.rp_filter`; 0 where it cannot be read.
pub fn rp_filter(name: &str) -> u8 {
    let value = sysfs::sysctl(&format!("net/ipv4/conf/{name}/rp_filter"));
    value.ok().flatten().and_then(|value| value.parse().ok()).unwrap_or(0)
}

/// The sysctls of MPTCP; empty where the kernel has none of that name.
pub fn mptcp() -> Mptcp {
    let read = |name| sysfs::sysctl(&format!("net/mptcp/{name}")).ok().flatten().unwrap_or_default();
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
    use std::path::Path;

    use super::*;

    const WANTS: &str = "etc/systemd/system/multi-user.target.wants";

    #[test]
    fn only_what_starts_with_the_system_counts() {
        let root = std::env::temp_dir().join(format!("bsbf-neighbours-{}", std::process::id()));
        let path = root.to_str().unwrap();
        assert!(services(path).is_empty(), "no such directory");
        let rutos = "usr/local/usr/sbin";
        for dir in ["etc/rc.d", "etc/init.d", "etc/config", "usr/sbin", rutos, WANTS] {
            fs::create_dir_all(root.join(dir)).unwrap();
        }
        for (name, dir, program) in [
            ("mwan3", "usr/sbin", "#!/bin/sh\n"),
            ("pbr", "usr/sbin", "#!"),
            ("bsbf-route", rutos, "\x7fELF"),
            ("bsbf-mptcp", rutos, "#!/bin/sh\n"),
        ] {
            fs::write(root.join("etc/init.d").join(name), "").unwrap();
            fs::write(root.join(dir).join(name), program).unwrap();
        }
        fs::write(root.join("etc/config/mwan3"), "config interface 'wan'\n").unwrap();
        for link in ["S19mwan3", "K90pbr", "S99bsbf-route", "Sxmwan4"] {
            symlink(Path::new("../init.d").join(&link[3..]), root.join("etc/rc.d").join(link)).unwrap();
        }
        symlink("/lib/systemd/system/bsbf-mptcp.service", root.join(WANTS).join("bsbf-mptcp.service"))
            .unwrap();
        let found = services(path);
        fs::remove_dir_all(&root).unwrap();
        let seen: Vec<_> = found.iter().map(|s| (s.name, s.config.len(), s.is_script)).collect();
        assert_eq!(seen, [("mwan3", 23, true), ("bsbf-route", 0, false), ("bsbf-mptcp", 0, true)]);
    }
}
