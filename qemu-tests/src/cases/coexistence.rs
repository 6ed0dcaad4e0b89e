//! Others that steer packets on the same router: they are named, keep working, and we beside them.

use std::fs;
use std::time::Instant;

use super::cases;
use super::managed::{LOG, Managed, RECOVERY, SILENCE, SOON, until};
use crate::check;
use crate::failure::{Doing, Result};
use crate::link::Wan;
use crate::manager;
use crate::route_watch::preferred_wan;
use crate::runner::Case;
use crate::topology::{Lab, RpFilter, SERVER, device};
use crate::traffic::Transfer;

pub const CASES: &[Case] = cases!("coexistence":
    mwan3_is_named_and_steers_what_it_marks within 60,
    pbr_is_named_and_steers_what_it_marks within 60,
    strict_rp_filter_is_named,
    rules_of_an_earlier_version_give_way,
    a_user_space_path_manager_is_named,
);

/// What mwan3 sets up for two WANs (mwan3_create_iface_rules, mwan3_set_general_rules): a table each, and rules.
fn set_up_mwan3(lab: &Lab) -> Result {
    for wan in 1..=2 {
        let gateway = lab.netifd.gateway(wan);
        lab.client.ip_batch(&format!(
            "route add default via {gateway} dev wan{wan} table {wan}\n\
             rule add pref {} iif wan{wan} lookup {wan}\n\
             rule add pref {} fwmark 0x{wan}00/0x3f00 lookup {wan}\n\
             rule add pref {} fwmark 0x{wan}00/0x3f00 unreachable\n",
            1000 + wan,
            2000 + wan,
            3000 + wan
        ))?;
    }
    lab.client.ip_batch(
        "rule add pref 2061 fwmark 0x3d00/0x3f00 blackhole\nrule add pref 2062 fwmark 0x3e00/0x3f00 unreachable\n",
    )
}

/// What pbr sets up for two WANs: tables from 256 up, its rules just above main's.
fn set_up_pbr(lab: &Lab) -> Result {
    for wan in 1..=2 {
        let gateway = lab.netifd.gateway(wan);
        lab.client.ip_batch(&format!(
            "route add default via {gateway} dev wan{wan} table {}\n\
             rule add pref {} fwmark 0x{wan}0000/0xff0000 lookup {}\n",
            255 + wan,
            30001 - wan,
            255 + wan
        ))?;
    }
    lab.client.run("ip rule add pref 29998 lookup main suppress_prefixlength 1").map(|_| ())
}

/// The rules that are not ours.
fn foreign_rules(lab: &Lab) -> Result<Vec<String>> {
    let rules = lab.client.run("ip -N rule")?;
    Ok(rules.lines().filter(|line| !line.contains("proto 152")).map(|line| line.trim().to_string()).collect())
}

/// The device by which a packet of the router leaves that has this WAN's address and this mark.
fn way(lab: &Lab, wan: usize, mark: u32) -> Result<String> {
    let address = lab.netifd.address(wan);
    let route = lab.client.run(&format!("ip route get {SERVER} from {address} mark {mark}"))?;
    let mut words = route.split_whitespace().skip_while(|word| *word != "dev");
    Ok(words.nth(1).unwrap_or_default().to_string())
}

/// Packets from any WAN's address leave by that WAN unless somebody else has marked them; those with the marks of
/// `theirs` leave by the WAN that the mark names, or by the best default if it names none.
fn ways_are_right(managed: &Managed, theirs: &[(u32, Option<usize>)]) -> Result {
    let lab = &managed.lab;
    for wan in 1..=lab.wans() {
        // 2 is the server's, 4 a probe's; what bears none is a connection's first subflow.
        for mark in [0, 2, 4] {
            let by = way(lab, wan, mark)?;
            check!(by == device(wan), "from WAN {wan} with mark {mark:#x} by {by}");
        }
        for &(mark, to) in theirs {
            let by = way(lab, wan, mark)?;
            let to = to.or(preferred_wan(&managed.routes.routes.now()));
            check!(
                to.map(device) == Some(by.clone()),
                "from WAN {wan} with mark {mark:#x} by {by}, not {to:?}"
            );
        }
    }
    Ok(())
}

/// The status names it, with all of these words in one line.
fn noted(words: &[&str]) -> Result {
    let notes = manager::status().map_or(Vec::new(), |now| now.notes);
    let has_all = |note: &String| words.iter().all(|word| note.contains(word));
    check!(notes.iter().any(has_all), "no {words:?} in the notes {notes:#?}");
    Ok(())
}

/// The same, and so does the log of the manager's start.
fn named(words: &[&str]) -> Result {
    let log = fs::read_to_string(LOG).doing("read the log")?;
    let has_all = |line: &str| words.iter().all(|word| line.contains(word));
    check!(log.lines().any(has_all), "no {words:?} in the log");
    noted(words)
}

/// WAN 1 dies and comes back beside the other; the other's rules stay, and everything of ours goes when asked to.
fn live_beside(mut managed: Managed, theirs: &[(u32, Option<usize>)], before: &[String]) -> Result {
    let start = Instant::now();
    ways_are_right(&managed, theirs)?;
    let transfer = Transfer::start(&managed.lab)?;
    let cut = Instant::now();
    managed.lab.blackhole(1, true);
    managed.leaves(&[1], cut, SILENCE)?;
    ways_are_right(&managed, theirs)?;
    let repaired = Instant::now();
    managed.lab.blackhole(1, false);
    managed.returns(&[1], repaired, RECOVERY)?;
    check!(transfer.finish()?.is_mptcp, "the transfer fell back to TCP");
    let rules = foreign_rules(&managed.lab)?;
    check!(rules == before, "rules were {before:#?} and are {rules:#?}");
    check!(managed.routes.first_gap(start).is_none(), "for a moment there was no default route");
    managed.crash();
    let done = manager::run(&managed.lab, &["bond", "--clean"])?;
    check!(done.code == Some(0), "--clean: {done:?}");
    let all = managed.lab.client.run("ip -N rule")?;
    check!(!all.contains("proto 152"), "rules of ours are left: {all}");
    let rules = foreign_rules(&managed.lab)?;
    check!(rules == before, "after --clean rules were {before:#?} and are {rules:#?}");
    Ok(())
}

fn mwan3_is_named_and_steers_what_it_marks() -> Result {
    let lab = Lab::two_wans()?;
    set_up_mwan3(&lab)?;
    let before = foreign_rules(&lab)?;
    let managed = Managed::start(lab, &[])?;
    named(&["mwan3 steers", "rules 1001-1002, 2001-2002, 2061-2062, 3001-3002, mark mask 0x3f00"])?;
    // 0x3f00 is mwan3's "default", for which it has no rule: main decides.
    live_beside(managed, &[(0x100, Some(1)), (0x200, Some(2)), (0x104, Some(1)), (0x3f00, None)], &before)
}

fn pbr_is_named_and_steers_what_it_marks() -> Result {
    let lab = Lab::two_wans()?;
    set_up_pbr(&lab)?;
    let before = foreign_rules(&lab)?;
    let managed = Managed::start(lab, &[])?;
    named(&["pbr steers", "rules 29999-30000, mark mask 0xff0000"])?;
    live_beside(managed, &[(0x10000, Some(1)), (0x20000, Some(2)), (0x20002, Some(2))], &before)
}

fn strict_rp_filter_is_named() -> Result {
    let lab = Lab::builder().wan(Wan::mbit(20)).wan(Wan::mbit(10));
    let managed = Managed::start(lab.rp_filter(RpFilter::Strict).build()?, &[])?;
    let start = Instant::now();
    named(&["strict rp_filter on wan1, wan2", "net.ipv4.conf.all.rp_filter is 1"])?;
    // Asked anew each time: WAN 1 is loosened, and the larger value holds.
    managed.lab.client.sysctl("net/ipv4/conf/wan1/rp_filter", 2)?;
    noted(&["strict rp_filter on wan2 ("])?;
    managed.end(start)
}

fn rules_of_an_earlier_version_give_way() -> Result {
    let lab = Lab::two_wans()?;
    for wan in 1..=2 {
        let (address, gateway) = (lab.netifd.address(wan), lab.netifd.gateway(wan));
        let (table, priority) = (5200 + wan, 5198 + 2 * wan);
        lab.client.ip_batch(&format!(
            "route add default via {gateway} dev wan{wan} src {address} metric 1 table {table} proto 152\n\
             rule add from {address} lookup main suppress_prefixlength 0 pref {priority} protocol 152\n\
             rule add from {address} lookup {table} pref {} protocol 152\n",
            priority + 1
        ))?;
    }
    let managed = Managed::start(lab, &[])?;
    let start = Instant::now();
    let ours = || -> Result<Vec<String>> {
        let rules = managed.lab.client.run("ip -N rule")?;
        Ok(rules.lines().filter(|line| line.contains("proto 152")).map(String::from).collect())
    };
    let all_masked = || {
        let ours = ours()?;
        Ok(ours.len() == 4 && ours.iter().all(|rule| rule.contains("fwmark 0/0xfffffff8")))
    };
    check!(until(SOON, all_masked)?.is_some(), "rules of ours: {:#?}", ours()?);
    managed.end(start)
}

fn a_user_space_path_manager_is_named() -> Result {
    let lab = Lab::two_wans()?;
    lab.client.sysctl("net/mptcp/pm_type", 1)?;
    lab.client.sysctl("net/mptcp/enabled", 0)?;
    let managed = Managed::start(lab, &[])?;
    let start = Instant::now();
    named(&["MPTCP's path manager is userspace"])?;
    named(&["net.mptcp.enabled is 0"])?;
    managed.end(start)
}
