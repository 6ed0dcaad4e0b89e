//! Wrong input, missing rights, and the small commands.

use std::fs;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::cases;
use super::managed::{LOG, Managed, SOON, until};
use crate::check;
use crate::failure::{Result, skipped};
use crate::manager::{self, Ran};
use crate::runner::Case;
use crate::topology::{Lab, SERVER};
use crate::traffic::Transfer;

pub const CASES: &[Case] = cases!("inputs":
    malformed_settings_are_refused_with_file_and_line,
    sighup_with_malformed_settings_keeps_the_old,
    unknown_interfaces_are_named,
    the_helper_makes_the_asked_state_hold,
    without_cap_net_admin_it_refuses_to_start,
    without_cap_net_raw_it_says_so,
    wrong_arguments_are_usage_errors,
);

pub const LOADED: &[Case] = cases!("inputs":
    netspeed_shows_the_rate_of_a_transfer,
);

const FILE: &str = "/run/bsbf.conf";

/// The command failed with this code and said all of these.
fn refuses(ran: &Ran, code: i32, said: &[&str]) -> Result {
    let all = said.iter().all(|word| ran.stderr.contains(word));
    check!(ran.code == Some(code) && all, "wanted {code} and {said:?}: {ran:?}");
    Ok(())
}

fn malformed_settings_are_refused_with_file_and_line() -> Result {
    let lab = Lab::two_wans()?;
    for (text, line) in [
        ("config bond 'bond'\n\tlist server '203.0.113.1\n", "line 2"),
        ("config bond 'bond'\n\n\toption interval 'soon'\n", "line 3"),
        ("config bond 'bond'\n\toption colour 'red'\n", "line 2"),
        ("config bond 'bond'\n\tlist server 'example.org'\n", "line 2"),
        ("option interval '1000'\n", "line 1"),
    ] {
        fs::write(FILE, text)?;
        let ran = manager::run(&lab, &["bond", "--config", FILE])?;
        refuses(&ran, 1, &[FILE, line])?;
        println!("{}", ran.stderr.trim());
    }
    refuses(&manager::run(&lab, &["bond", "--config", "/run/none"])?, 1, &["/run/none"])
}

fn sighup_with_malformed_settings_keeps_the_old() -> Result {
    fs::write(FILE, format!("config bond 'bond'\n\tlist server '{SERVER}'\n\tlist backup 'wan2'\n"))?;
    let mut managed = Managed::start(Lab::two_wans()?, &["--config", FILE])?;
    let start = Instant::now();
    fs::write(FILE, "config bond 'bond'\n\toption lost 'many'\n")?;
    managed.manager()?.signal(Signal::SIGHUP)?;
    let told = until(SOON, || {
        let log = fs::read_to_string(LOG)?;
        Ok(log.contains(FILE) && log.contains("line 2") && log.contains("old settings"))
    })?;
    check!(told.is_some(), "the log does not say what is wrong");
    check!(managed.manager()?.is_alive(), "the manager has ended");
    sleep(Duration::from_millis(300));
    let backups = managed.endpoints.endpoints.now().iter().filter(|e| e.is_backup()).count();
    check!(backups == 1, "the backup is none any more: {:?}", managed.endpoints.endpoints.now());
    managed.stays(start)?;
    managed.end(start)
}

fn unknown_interfaces_are_named() -> Result {
    let lab = Lab::two_wans()?;
    refuses(&manager::run(&lab, &["mptcp-helper", "add", "wan9"])?, 1, &["wan9"])?;
    refuses(&manager::run(&lab, &["mptcp-helper", "backup", "wan9"])?, 1, &["wan9"])?;
    refuses(&manager::run(&lab, &["netspeed", "1", "wan9"])?, 1, &["wan9", "wan1", "wan2"])
}

fn the_helper_makes_the_asked_state_hold() -> Result {
    let lab = Lab::two_wans()?;
    let endpoints = || lab.client.run("ip mptcp endpoint show");
    let helper = |verb: &str| -> Result {
        // What holds already is done too.
        for _ in 0..2 {
            let ran = manager::run(&lab, &["mptcp-helper", verb, "wan1"])?;
            check!(ran.code == Some(0), "{verb}: {ran:?}");
        }
        Ok(())
    };
    refuses(&manager::run(&lab, &["mptcp-helper", "backup", "wan1"])?, 1, &["wan1"])?;
    helper("add")?;
    check!(endpoints()?.contains("198.18.1.2 ") && endpoints()?.lines().count() == 1, "{}", endpoints()?);
    helper("backup")?;
    check!(endpoints()?.contains("backup"), "{}", endpoints()?);
    helper("nobackup")?;
    check!(!endpoints()?.contains("backup"), "{}", endpoints()?);
    helper("remove")?;
    check!(endpoints()?.trim().is_empty(), "{}", endpoints()?);
    // What a vanished device leaves behind is removed by its name all the same.
    helper("add")?;
    lab.client.run("ip link set wan1 netns server")?;
    helper("remove")?;
    check!(endpoints()?.trim().is_empty(), "{}", endpoints()?);
    Ok(())
}

/// Runs the manager for some seconds without a capability.
fn without(capability: &str) -> Result<Ran> {
    // busybox has a program of the name that knows less.
    if !Command::new("setpriv").arg("--version").output().is_ok_and(|done| done.status.success()) {
        return skipped("there is no 'setpriv' (util-linux)");
    }
    let lab = Lab::two_wans()?;
    let minus = format!("-{capability}");
    let before = ["timeout", "3", "setpriv", "--bounding-set", &minus, "--inh-caps", &minus];
    manager::run_as(&lab, &before, &["bond", "--server", SERVER, "--target", SERVER])
}

fn without_cap_net_admin_it_refuses_to_start() -> Result {
    refuses(&without("net_admin")?, 1, &["CAP_NET_ADMIN"])
}

fn without_cap_net_raw_it_says_so() -> Result {
    let ran = without("net_raw")?;
    check!(ran.stderr.contains("CAP_NET_RAW"), "{ran:?}");
    check!(ran.stderr.lines().count() < 10, "it says so again and again: {}", ran.stderr);
    Ok(())
}

/// Mbit/s of the line that begins with this name.
fn download(ran: &Ran, name: &str) -> f64 {
    let line = ran.stdout.lines().rfind(|line| line.starts_with(&format!("{name}:"))).unwrap_or_default();
    line.split_whitespace().nth(2).and_then(|word| word.parse().ok()).unwrap_or(-1.0)
}

fn netspeed_shows_the_rate_of_a_transfer() -> Result {
    let managed = Managed::start(Lab::two_wans()?, &[])?;
    let start = Instant::now();
    let transfer = Transfer::start(&managed.lab)?;
    sleep(Duration::from_secs(2));
    let ran = manager::run(&managed.lab, &["netspeed", "0.5", "wan1", "wan2", "--count", "2"])?;
    transfer.finish()?;
    println!("{}", ran.stdout);
    let rates = ["wan1", "wan2", "sum"].map(|name| download(&ran, name));
    check!(ran.code == Some(0) && ran.stdout.lines().count() == 6, "{ran:?}");
    for (rate, wanted) in rates.iter().zip([20.0, 10.0, 30.0]) {
        check!((rate - wanted).abs() < wanted * 0.25, "rates are {rates:?}");
    }
    check!((rates[0] + rates[1] - rates[2]).abs() < 0.2, "the sum is none: {rates:?}");
    managed.end(start)
}

fn wrong_arguments_are_usage_errors() -> Result {
    let lab = Lab::two_wans()?;
    for arguments in [
        &["bond", "--colour"][..],
        &["mptcp-helper", "destroy", "wan1"],
        &["mptcp-helper", "add", "a/b"],
        &["netspeed", "0", "wan1"],
        &["netspeed", "1"],
        &["status", "now"],
    ] {
        let ran = manager::run(&lab, arguments)?;
        check!(ran.code == Some(2) && !ran.stderr.is_empty(), "{arguments:?}: {ran:?}");
    }
    refuses(&manager::run(&lab, &["frobnicate"])?, 127, &["bsbf-bond"])
}
