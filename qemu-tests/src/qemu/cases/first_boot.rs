//! First boots of an image with the packages, on the settings that the real generators of OpenWrt and RUTOS made for a
//! board: the router ends with a LAN and with its WANs bonded, whatever its switch is.

use super::packages::{becomes, has_endpoints};
use crate::cases::cases;
use crate::check;
use crate::failure::Result;
use crate::link::Wan;
use crate::qemu::machine::Machine;
use crate::qemu::rig::{Rig, usual_machines};
use crate::qemu::watch::Watch;
use crate::runner::Case;

pub const CASES: &[Case] = cases!("first_boot":
    every_layout_ends_with_a_lan_and_bonded_wans within 900,
    a_change_that_cuts_the_router_off_is_put_back within 300,
);

/// What the packages change in the settings: nothing more, at a second boot.
const SETTINGS: &str =
    "cd /etc/config && md5sum network firewall dhcp bsbf; ls /etc/uci-defaults /etc/bsbf/setup";
/// The WANs that the lab has ISPs for; a router may have more ports.
const CABLES: usize = 3;

fn rig() -> Result<Rig> {
    usual_machines("first_boot")?;
    Rig::start_packaged(&[Wan::mbit(10).delay_ms(20), Wan::mbit(5).delay_ms(30), Wan::mbit(5).delay_ms(30)])
}

/// How many WANs the settings have that a cable leads to.
fn wans(rig: &Rig) -> Result<Vec<usize>> {
    let shown = rig.agent.shell("uci show network")?;
    let has = |number: &usize| shown.contains(&format!("network.wan{number}.proto='dhcp'\n"));
    Ok((1..=CABLES).filter(has).collect())
}

fn every_layout_ends_with_a_lan_and_bonded_wans() -> Result {
    let rig = rig()?;
    let watch = Watch::start(&rig.agent)?;
    let layouts = rig.agent.shell("cd /root/layouts && ls -d */network")?;
    let layouts: Vec<&str> = layouts.lines().filter_map(|path| path.strip_suffix("/network")).collect();
    check!(layouts.len() == 13, "{layouts:?}");
    let first = layouts.first().copied().unwrap_or_default();
    let again = Machine::of_test()?.arch == "mipsel_24kc";
    for layout in layouts {
        let said = rig.agent.shell(&format!("/usr/libexec/boot {layout}"))?;
        let there = wans(&rig)?;
        check!(there.contains(&1), "{layout}: no wan1; {said}");
        bonded(&rig, &watch, &there)?;
        let devices = rig.agent.shell("uci show network | grep \"^network.wan[1-8].device\"")?;
        println!("{layout}: {}", devices.replace("network.", "").replace('\n', " "));

        // A second boot changes nothing, and says nothing. On one machine for all of them: only time tells them apart.
        if again || layout == first {
            let settings = rig.agent.shell(SETTINGS)?;
            check!(!settings.contains("99-bsbf-bonding"), "{layout}: the script is to run again: {settings}");
            let said = rig.agent.shell("/usr/libexec/boot")?;
            check!(!said.contains("bsbf-setup-router"), "{layout}: the second boot says {said}");
            check!(rig.agent.shell(SETTINGS)? == settings, "{layout}: the second boot changed settings");
            bonded(&rig, &watch, &there)?;
        }
    }
    Ok(())
}

/// A host of the LAN reaches the router, and each WAN has its route and its endpoint.
fn bonded(rig: &Rig, watch: &Watch, wans: &[usize]) -> Result {
    becomes(rig, "/usr/sbin/ip netns exec lan-host ping -c 1 -W 1 192.168.1.1")?;
    // wan2 is a backup by the owner's settings in the image: they name the network, whatever its device is.
    let backup: Vec<usize> = wans.iter().copied().filter(|&wan| wan == 2).collect();
    has_endpoints(rig, watch, wans, &backup)?;
    let routes = rig.agent.shell("ip route show")?;
    for wan in wans {
        let route = format!("default via 198.18.{wan}.1 ");
        check!(routes.contains(&route), "no {route}in {routes}");
    }
    Ok(())
}

/// By hand, on a router that runs: what nothing answers through is put back, and a change that was confirmed is undone.
fn a_change_that_cuts_the_router_off_is_put_back() -> Result {
    let rig = rig()?;
    let watch = Watch::start(&rig.agent)?;
    rig.agent.shell("/usr/libexec/boot owrt-mt7621-dsa-zbt-wg3526")?;
    bonded(&rig, &watch, &[1, 2, 3])?;
    let undone = rig.agent.shell("bsbf-setup-router --undo")?;
    check!(undone == "Everything is as it was.\n", "{undone}");
    check!(wans(&rig)?.is_empty(), "wan1 is still there");
    has_endpoints(&rig, &watch, &[1], &[])?;
    let settings = rig.agent.shell("cd /etc/config && md5sum network firewall dhcp")?;

    (1..=CABLES).for_each(|wan| rig.blackhole(wan, true));
    let ran = rig.agent.run(&["bsbf-setup-router", "--apply", "--within", "8"])?;
    check!(ran.code == 1, "{ran:?}");
    check!(ran.output.contains("nothing answered within 8 s: everything is put back"), "{ran:?}");
    check!(rig.agent.shell("cd /etc/config && md5sum network firewall dhcp")? == settings, "not as it was");

    // netifd has taken the old settings in.
    becomes(&rig, "ip route show | grep '^default via 198.18.1.1 '")?;

    // The power goes while nobody has answered; at the next boot it is the service that waits.
    // How long the change takes is the machine's business: its mark tells when it is made.
    let cut = "bsbf-setup-router --apply --within 60 >/tmp/said 2>&1 & made=; kept=/etc/bsbf/setup; \
               for i in $(seq 400); do [ -e $kept/unconfirmed ] && [ ! -e $kept/writing ] && made=1 && break; \
               sleep 0.1; done; \
               kill -9 $!; [ \"$made\" ] || { cat /tmp/said; false; }";
    rig.agent.shell(cut)?;
    check!(wans(&rig)? == [1, 2, 3], "the change was not made");
    (1..=CABLES).for_each(|wan| rig.blackhole(wan, false));
    rig.agent.shell("/usr/libexec/boot")?;
    becomes(
        &rig,
        "[ ! -e /etc/bsbf/setup/unconfirmed ] && logread | grep 'bsbf-setup-router: .*: it stays'",
    )?;
    bonded(&rig, &watch, &[1, 2, 3])?;
    rig.agent.shell("bsbf-setup-router --undo")?;
    check!(rig.agent.shell("cd /etc/config && md5sum network firewall dhcp")? == settings, "not as it was");
    let ran = rig.agent.run(&["bsbf-setup-router", "--apply"])?;
    check!(ran.code == 0 && ran.output.contains("it stays. To undo it: bsbf-setup-router --undo"), "{ran:?}");
    bonded(&rig, &watch, &[1, 2, 3])
}
