//! The packages on a router, from the installation to the removal: with init scripts and hotplug scripts as they are
//! shipped, and stand-ins for opkg, procd, netifd, ubus and uci (qemu-tests/router/).

use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::cases::cases;
use crate::check;
use crate::failure::{Result, failed};
use crate::link::Wan;
use crate::qemu::rig::Rig;
use crate::qemu::watch::Watch;
use crate::runner::Case;

pub const CASES: &[Case] = cases!("packages":
    installed_set_upgraded_and_removed within 400,
    an_image_with_the_packages_boots_bonded within 300,
);

/// For what a service does within a second or two on a router, and procd's five seconds before it starts it again.
const SOON: Duration = Duration::from_secs(40);
const INTERVAL: Duration = Duration::from_millis(300);
/// Servers and targets of the lab.
const ASK: &str = "bsbf-config set server=203.0.113.1 target=203.0.113.1,203.0.113.11,203.0.113.12";
/// All files of the system, and those of packages that are there.
const FILES: &str = "find / -xdev \\( -type f -o -type l \\) ! -path '/tmp/*' ! -path '/run/*' | sort";
const INSTALLED: &str = "cd /root/packages/1 && opkg install bsbf_*.ipk bsbf-route_*.ipk bsbf-mptcp_*.ipk \
                         bsbf-usb-netdev-autodhcp_*.ipk";
const UPGRADED: &str = "cd /root/packages/2 && opkg install bsbf_*.ipk bsbf-route_*.ipk bsbf-mptcp_*.ipk \
                        bsbf-bonding_*.ipk bsbf-usb-netdev-autodhcp_*.ipk";

/// Waits until a line of shell ends with 0 in the router.
pub(super) fn becomes(rig: &Rig, line: &str) -> Result<String> {
    let start = Instant::now();
    loop {
        let ran = rig.agent.run(&["sh", "-c", line])?;
        if ran.code == 0 {
            return Ok(ran.output);
        }
        if start.elapsed() > SOON {
            let log = rig.agent.shell("logread | tail -n 60")?;
            return failed(format!("after {SOON:?} `{line}` says {:?}; the log:\n{log}", ran.output));
        }
        sleep(INTERVAL);
    }
}

/// Waits until the endpoints are of these WANs, of which `backup` are backups.
pub(super) fn has_endpoints(rig: &Rig, watch: &Watch, wans: &[usize], backup: &[usize]) -> Result {
    const BACKUP: u32 = 4;
    let is = |now: &crate::guest::watch::Seen| {
        let of = |wans: &[usize]| wans.iter().map(|wan| rig.address(*wan)).collect::<Vec<_>>();
        let mut all: Vec<String> = now.endpoints.iter().map(|e| e.address.clone()).collect();
        all.sort();
        let backups: Vec<String> =
            now.endpoints.iter().filter(|e| e.flags & BACKUP != 0).map(|e| e.address.clone()).collect();
        all == of(wans) && backups == of(backup)
    };
    if watch.wait(Instant::now(), SOON, is).is_none() {
        let log = rig.agent.shell("logread | tail -n 60")?;
        return failed(format!("endpoints are {:?}; the log:\n{log}", watch.seen.now().endpoints));
    }
    Ok(())
}

/// The manager's process.
fn pid(rig: &Rig, command: &str) -> Result<String> {
    becomes(rig, &format!("pidof {command}")).map(|pid| pid.trim().to_string())
}

fn installed_set_upgraded_and_removed() -> Result {
    let rig = Rig::start(&[Wan::mbit(10).delay_ms(20), Wan::mbit(5).delay_ms(30)])?;
    let watch = Watch::start(&rig.agent)?;
    // The image has the program without a package, for the other tests.
    rig.agent.shell("rm -f /usr/sbin/bsbf /usr/sbin/bsbf-*")?;
    let (files, routes) = (rig.agent.shell(FILES)?, rig.agent.shell("ip route show")?);

    // The halves alone, as old package lists have them; then set, by our own command.
    println!("{}", rig.agent.shell(INSTALLED)?);
    for half in ["bsbf-route", "bsbf-mptcp"] {
        pid(&rig, half)?;
    }
    rig.agent.shell(ASK)?;
    has_endpoints(&rig, &watch, &[1, 2], &[])?;

    // The whole takes their place.
    rig.agent.shell("cd /root/packages/1 && opkg install bsbf-bonding_*.ipk")?;
    let manager = pid(&rig, "bsbf-bond")?;
    becomes(&rig, "! pidof bsbf-route bsbf-mptcp")?;
    becomes(&rig, "bsbf-status | grep -q 'wan2.*up'")?;
    has_endpoints(&rig, &watch, &[1, 2], &[])?;
    let refused = rig.agent.shell("/etc/init.d/bsbf-mptcp start; ! pidof bsbf-mptcp && logread")?;
    check!(refused.contains("not started: bsbf-bond is enabled"), "{refused}");
    // What it needs and no more: CAP_NET_ADMIN and CAP_NET_RAW.
    let rights = rig.agent.shell("grep -E '^CapEff|^NoNewPrivs' /proc/$(pidof bsbf-bond)/status")?;
    check!(rights.contains("0000000000003000") && rights.contains("NoNewPrivs:\t1"), "{rights}");

    // Settings by LuCI or by hand: uci, and procd's trigger. The name is that of a network.
    rig.agent.shell(
        "uci add_list bsbf.bond.backup=wan2; uci commit bsbf; \
         ubus call service event '{\"type\":\"config.change\",\"data\":{\"package\":\"bsbf\"}}'",
    )?;
    has_endpoints(&rig, &watch, &[1, 2], &[2])?;
    check!(pid(&rig, "bsbf-bond")? == manager, "the manager was started anew for that");
    rig.agent.shell("uci add_list bsbf-mptcp.main.subflow_backup=wan1; uci commit bsbf-mptcp; /etc/init.d/bsbf-bond reload")?;
    has_endpoints(&rig, &watch, &[1, 2], &[1, 2])?;
    rig.agent
        .shell("uci delete bsbf-mptcp.main.subflow_backup; uci commit bsbf-mptcp; bsbf-config set backup=")?;
    has_endpoints(&rig, &watch, &[1, 2], &[])?;

    // A crash is not the end.
    rig.agent.shell("kill -9 $(pidof bsbf-bond)")?;
    becomes(&rig, &format!("[ $(pidof bsbf-bond || echo {manager}) != {manager} ]"))?;
    becomes(&rig, "bsbf-status | grep -q 'wan1.*up'")?;
    let log = rig.agent.shell("logread")?;
    check!(log.contains("daemon.info bsbf-bond: wan1: testing -> up"), "the log has no decisions: {log}");

    // netifd by the manager, and hotplug's scripts in between.
    rig.agent.shell("bsbf-bond --ifdown wan2")?;
    has_endpoints(&rig, &watch, &[1], &[])?;
    rig.agent.shell("bsbf-bond --ifup wan2")?;
    has_endpoints(&rig, &watch, &[1, 2], &[])?;

    // An upgrade keeps the settings and runs the new program.
    let (manager, settings) = (pid(&rig, "bsbf-bond")?, rig.agent.shell("cat /etc/config/bsbf")?);
    println!("{}", rig.agent.shell(UPGRADED)?);
    becomes(&rig, &format!("[ $(pidof bsbf-bond || echo {manager}) != {manager} ]"))?;
    has_endpoints(&rig, &watch, &[1, 2], &[])?;
    check!(rig.agent.shell("cat /etc/config/bsbf")? == settings, "the upgrade changed the settings");
    // The package's own stand beside those that were changed, as opkg has it.
    rig.agent.shell("rm /etc/config/bsbf-opkg /etc/config/bsbf-mptcp-opkg && ls /etc/rc.d/S95bsbf-bond")?;

    // Without the whole, the halves have their turn; then nothing is left but what the user set.
    rig.agent.shell("opkg remove bsbf-bonding")?;
    for half in ["bsbf-route", "bsbf-mptcp"] {
        pid(&rig, half)?;
    }
    has_endpoints(&rig, &watch, &[1, 2], &[])?;
    println!("{}", rig.agent.shell("opkg remove bsbf-route bsbf-mptcp bsbf-usb-netdev-autodhcp bsbf")?);
    has_endpoints(&rig, &watch, &[], &[])?;
    becomes(&rig, "! ps | grep -v grep | grep -q 'sbin/bsbf'")?;
    let left = rig.agent.shell(FILES)?;
    let new: Vec<&str> = left.lines().filter(|file| !files.lines().any(|old| old == *file)).collect();
    check!(new == ["/etc/config/bsbf", "/etc/config/bsbf-mptcp"], "left: {new:?}");
    let lost: Vec<&str> = files.lines().filter(|file| !left.lines().any(|now| now == *file)).collect();
    check!(lost.is_empty(), "gone: {lost:?}");
    check!(rig.agent.shell("ip route show")? == routes, "the routes are not as they were");
    check!(!rig.agent.shell("ip rule show")?.contains("520"), "rules of ours are left");
    rig.agent.shell("test ! -e /var/run/bsbf")?;
    Ok(())
}

fn an_image_with_the_packages_boots_bonded() -> Result {
    let rig = Rig::start_packaged(&[Wan::mbit(10).delay_ms(20), Wan::mbit(5).delay_ms(30)])?;
    let watch = Watch::start(&rig.agent)?;
    // Nobody logged in: the owner's settings were in the image, and name a network.
    has_endpoints(&rig, &watch, &[1, 2], &[2])?;
    becomes(&rig, "! pidof bsbf-route bsbf-mptcp")?;
    let there = rig.agent.shell("cat /etc/config/bsbf; ls /etc/config /etc/rc.d")?;
    check!(there.contains("# The owner's") && there.contains("bsbf-opkg"), "{there}");
    check!(there.contains("S95bsbf-bond") && there.contains("S96bsbf-mptcp"), "{there}");
    // A router that is switched off: rc.d's K scripts.
    rig.agent.shell("for script in /etc/rc.d/K*; do $(readlink -f $script) stop; done")?;
    becomes(&rig, "! pidof bsbf-bond")?;
    Ok(())
}
