//! Whether MPTCP is really used: ISPs that take its options out, or drop what has them.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use super::cases;
use super::managed::{LOG, Managed, RECOVERY, SILENCE, defaults, print_log, until};
use super::proxy::{becomes, only_by_the_server, start_client, start_server, start_server_in};
use super::proxy_router::{NFT, Router};
use super::proxy_transfers::{comes_back_whole, echo};
use crate::answers::ask_tcp;
use crate::check;
use crate::failure::{Doing, Result, failed, skipped};
use crate::link::Wan;
use crate::manager::{self, Manager, WanStatus};
use crate::ns::Ns;
use crate::route_watch::preferred_wan;
use crate::runner::{Case, patience};
use crate::topology::{Lab, device};

pub const CASES: &[Case] = cases!("mptcp":
    a_wan_that_drops_it_is_not_the_best_default_while_another_lives within 120,
    one_that_strips_it_is_told_and_its_joins_are_counted within 120,
    joins_that_the_server_refuses_are_counted within 120,
    connections_that_come_to_be_tcp_are_counted_and_have_their_wan_tested within 180,
    where_no_wan_lets_it_pass_nothing_moves within 120,
);

/// Where the manager finds whom to ask: the proxy's server, and not its own at port 443.
pub const CONFIG: &str = "config proxy 'client'\n\toption enabled '1'\n\tlist server '203.0.113.1:32768'\n";
const CONFIG_FILE: &str = "/run/mptcp.conf";
/// Two tests of a WAN that drops, of which each waits for Linux's fourth SYN (or gives up at 5 s, and asks by plain TCP).
const TESTED: Duration = Duration::from_secs(20);

/// What a box on the way does to MPTCP.
#[derive(Clone, Copy)]
pub enum Does {
    /// As old NATs and proxies: its options become padding.
    Strips,
    /// As some firewalls: what begins with its options goes nowhere.
    Drops,
}

/// Has the ISP do that from now on.
pub fn begin(isp: &Ns, does: Does) -> Result {
    let rule = match does {
        Does::Strips => "reset tcp option mptcp",
        Does::Drops => "tcp flags syn tcp option mptcp exists drop",
    };
    let chain = "type filter hook forward priority 0 ;";
    let ran = isp.run(&format!("nft table inet box {{ chain forward {{ {chain} {rule} ; }} ; }}"));
    ran.map(drop).or_else(|e| skipped(format!("nftables does not know MPTCP's option here: {e}")))
}

pub fn end(isp: &Ns) -> Result {
    isp.run("nft delete table inet box").map(drop)
}

fn configured() -> Result<[&'static str; 2]> {
    fs::write(CONFIG_FILE, CONFIG).doing("write settings")?;
    Ok(["--config", CONFIG_FILE])
}

fn wan(number: usize) -> Result<WanStatus> {
    let status = manager::status();
    let found = status.as_ref().and_then(|s| s.wans.iter().find(|w| w.name == device(number)).cloned());
    found.map_or_else(|| failed(format!("no WAN {number} in {status:?}")), Ok)
}

/// Waits until tests have said this of a WAN.
fn is_found(number: usize, what: &str) -> Result {
    let found = until(TESTED * patience(), || Ok(wan(number)?.mptcp.as_deref() == Some(what)))?;
    println!("WAN {number} is found to be {what} after {found:?}");
    if found.is_none() {
        print_log();
        return failed(format!("WAN {number} is not found to be {what}: {:?}", wan(number)?));
    }
    Ok(())
}

fn a_wan_that_drops_it_is_not_the_best_default_while_another_lives() -> Result {
    let lab = Lab::two_wans()?;
    let _server = start_server_in(&lab.server)?;
    begin(lab.isp(1), Does::Drops)?;
    let start = Instant::now();
    let managed = Managed::start(lab, &configured()?)?;
    is_found(2, "passes")?;
    is_found(1, "dropped")?;
    let moved = |wan: usize, since: Instant, within: Duration| {
        let is_there = managed.routes.routes.wait(since, within, |routes| preferred_wan(routes) == Some(wan));
        println!("the default is WAN {wan}'s after {is_there:?}");
        if is_there.is_some() {
            Ok(())
        } else {
            failed(format!("it is not WAN {wan}'s: {:?}", manager::status()))
        }
    };
    moved(2, start, TESTED * patience())?;
    let shown = manager::run(&managed.lab, &["status"])?.stdout;
    check!(shown.contains("MPTCP is dropped on its way"), "{shown}");
    let why = manager::run(&managed.lab, &["status", "why"])?.stdout;
    check!(
        why.contains(
            "wan1: up (MPTCP to the server is dropped on the way, plain TCP passes); 1 default route moved"
        ),
        "{why}"
    );
    // It is better than one that is dead.
    let since = Instant::now();
    managed.lab.blackhole(2, true);
    moved(1, since, SILENCE * patience())?;
    let since = Instant::now();
    managed.lab.blackhole(2, false);
    moved(2, since, RECOVERY * patience())?;
    // With another address it may be behind another box.
    end(managed.lab.isp(1))?;
    managed.lab.netifd.change_address(1, "198.18.1.77")?;
    is_found(1, "passes")?;
    moved(1, since, RECOVERY * patience())?;
    managed.end(Instant::now())
}

/// The first WAN is clean, so its connections are MPTCP; on the other they find no second way.
fn one_that_strips_it_is_told_and_its_joins_are_counted() -> Result {
    let (router, _server, _client, _manager) = bonded()?;
    begin(router.lab.isp(2), Does::Strips)?;
    router.lab.netifd.change_address(2, "198.18.2.77")?;
    is_found(2, "stripped")?;
    is_found(1, "passes")?;
    let before = (wan(1)?, wan(2)?);
    for _ in 0..4 {
        comes_back_whole(&router, 1 << 20)?;
    }
    let counted = until(Duration::from_secs(10) * patience(), || {
        let (one, two) = (wan(1)?.mptcp_counts, wan(2)?.mptcp_counts);
        let more = |now: u64, before: u64| now >= before + 4;
        Ok(more(one.connections, before.0.mptcp_counts.connections)
            && more(two.joins_refused, before.1.mptcp_counts.joins_refused))
    })?;
    check!(counted.is_some(), "{before:?}, then {:?}", manager::status());
    check!(wan(2)?.mptcp_counts.joins == before.1.mptcp_counts.joins, "{:?}", wan(2)?);
    let shown = manager::run(&router.lab, &["status"])?.stdout;
    check!(shown.contains("MPTCP is stripped on its way: what begins here is plain TCP"), "{shown}");
    check!(!shown.contains("connections to servers came to be plain TCP"), "{shown}");
    Ok(())
}

/// As by a server whose path manager has no room for more: it answers a join, and refuses it then.
fn joins_that_the_server_refuses_are_counted() -> Result {
    let (router, _server, _client, _manager) = bonded()?;
    is_found(2, "passes")?;
    router.lab.server.run("ip mptcp limits set subflows 0")?;
    let before = wan(2)?.mptcp_counts;
    for _ in 0..4 {
        comes_back_whole(&router, 1 << 20)?;
    }
    let counted = until(Duration::from_secs(10) * patience(), || {
        let now = wan(2)?.mptcp_counts;
        Ok(now.joins_refused >= before.joins_refused + 4 && now.joins == before.joins)
    })?;
    check!(counted.is_some(), "{before:?}, then {:?}", wan(2)?);
    Ok(())
}

/// Nobody waits for an hour until the WAN is tested again.
fn connections_that_come_to_be_tcp_are_counted_and_have_their_wan_tested() -> Result {
    let (router, _server, _client, _manager) = bonded()?;
    is_found(1, "passes")?;
    comes_back_whole(&router, 1 << 20)?;
    let joins = until(Duration::from_secs(10) * patience(), || Ok(wan(2)?.mptcp_counts.joins > 0))?;
    check!(joins.is_some(), "no subflow has joined on WAN 2: {:?}", manager::status());
    begin(router.lab.isp(1), Does::Strips)?;
    let found = until(Duration::from_secs(60) * patience(), || {
        check!(ask_tcp(router.lan()?, "9.9.9.9:80")? == "server 9.9.9.9:80", "the LAN is cut off");
        Ok(wan(1)?.mptcp.as_deref() == Some("stripped"))
    })?;
    check!(found.is_some(), "{:?}", manager::status());
    let shown = manager::run(&router.lab, &["status"])?.stdout;
    let told = "connections to servers came to be plain TCP: ";
    check!(shown.lines().any(|l| l.contains(told) && l.contains(" from 198.18.1.2")), "{shown}");
    Ok(())
}

/// There is nothing better to move to, and that it may be the server is said.
fn where_no_wan_lets_it_pass_nothing_moves() -> Result {
    let lab = Lab::two_wans()?;
    let _server = start_server_in(&lab.server)?;
    begin(lab.isp(1), Does::Drops)?;
    begin(lab.isp(2), Does::Strips)?;
    let managed = Managed::start(lab, &configured()?)?;
    is_found(2, "stripped")?;
    is_found(1, "dropped")?;
    let shown = manager::run(&managed.lab, &["status"])?.stdout;
    check!(shown.contains("no connection to the server is MPTCP"), "{shown}");
    check!(!shown.contains("stripped on its way"), "{shown}");
    check!(defaults(&managed.lab)? == managed.original, "{:?}", defaults(&managed.lab)?);
    managed.end(Instant::now())
}

/// A LAN that is proxied over two WANs with a manager.
fn bonded() -> Result<(Router, impl Sized, impl Sized, impl Sized)> {
    let router = Router::with(NFT, &[Wan::mbit(50).delay_ms(5), Wan::mbit(50).delay_ms(10)])?;
    only_by_the_server(&router)?;
    let server = start_server(&router)?;
    let mut manager = Manager::start(&router.lab, &configured()?, Path::new(LOG))?;
    manager.settle(&router.lab, Duration::from_secs(10))?;
    let client = start_client(&router)?;
    becomes(|| ask_tcp(router.lan()?, "9.9.9.9:80"), "server 9.9.9.9:80")?;
    echo(&router)?;
    Ok((router, server, client, manager))
}
