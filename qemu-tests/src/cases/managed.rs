//! A lab with a manager and watches on what it does: what most of the manager's tests begin with.

use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::check;
use crate::endpoint_watch::EndpointWatch;
use crate::failure::{Doing, Result, failed};
use crate::manager::{self, Manager, WanStatus};
use crate::route_watch::{DefaultRoutes, RouteWatch, preferred_wan};
use crate::runner::patience;
use crate::topology::{Lab, device, ifindex};

/// Where managers log.
pub const LOG: &str = "/run/bsbf.log";
/// Until a manager holds all WANs for up.
pub const SETTLE: Duration = Duration::from_secs(10);
/// The issue asks for 1.5 s from a silent break of an idle WAN to the moved route; three times that on any machine.
pub const SILENCE: Duration = Duration::from_millis(4500);
/// Asked for: 50 ms from the kernel's news of a lost carrier.
pub const AT_ONCE: Duration = Duration::from_millis(500);
/// Asked for: 3 s until a repaired WAN is back.
pub const RECOVERY: Duration = Duration::from_secs(9);
/// For what follows a notification.
pub const SOON: Duration = Duration::from_secs(2);
/// Asked for: 100 ms from SIGTERM to the end.
pub const END: Duration = Duration::from_secs(1);
/// How often a condition without a watch is looked at.
const INTERVAL: Duration = Duration::from_millis(10);

/// The lab, its manager and the watches.
pub struct Managed {
    pub manager: Option<Manager>,
    pub routes: RouteWatch,
    pub endpoints: EndpointWatch,
    /// The defaults before the manager began.
    pub original: Vec<String>,
    pub lab: Lab,
}

impl Managed {
    /// Starts `bond` in a lab and waits until it holds all WANs for up.
    pub fn start(lab: Lab, more: &[&str]) -> Result<Managed> {
        let mut managed = Managed::unmanaged(lab)?;
        managed.begin(more)?;
        let wans = managed.lab.wans();
        let complete = managed.endpoints.endpoints.wait(Instant::now(), SOON, |list| list.len() >= wans);
        check!(complete.is_some(), "endpoints: {:?}", managed.endpoints.endpoints.now());
        Ok(managed)
    }

    /// The same without a manager for now.
    pub fn unmanaged(lab: Lab) -> Result<Managed> {
        Ok(Managed {
            manager: None,
            routes: RouteWatch::start(&lab.client)?,
            endpoints: EndpointWatch::start(&lab.client)?,
            original: defaults(&lab)?,
            lab,
        })
    }

    /// Starts the manager and waits until it holds all WANs for up.
    pub fn begin(&mut self, more: &[&str]) -> Result {
        self.launch(more)?.settle_in(SETTLE)
    }

    /// Starts the manager and does not wait.
    pub fn launch(&mut self, more: &[&str]) -> Result<&mut Managed> {
        self.manager = Some(Manager::start(&self.lab, more, Path::new(LOG))?);
        Ok(self)
    }

    fn settle_in(&mut self, within: Duration) -> Result {
        match &mut self.manager {
            Some(manager) => manager.settle(&self.lab, within),
            None => failed("no manager was started"),
        }
    }

    /// The running manager.
    pub fn manager(&mut self) -> Result<&mut Manager> {
        match &mut self.manager {
            Some(manager) => Ok(manager),
            None => failed("no manager was started"),
        }
    }

    /// kill -9.
    pub fn crash(&mut self) {
        if let Some(manager) = self.manager.take() {
            manager.crash();
        }
    }

    /// The best default is of none of these WANs and their endpoints are gone, both within this time.
    pub fn leaves(&self, wans: &[usize], since: Instant, within: Duration) -> Result {
        let left = |routes: &DefaultRoutes| preferred_wan(routes).is_some_and(|wan| !wans.contains(&wan));
        let route = self.routes.routes.wait(since, within, left);
        for wan in wans {
            let endpoint = self.endpoints.removed(&self.lab.netifd.address(*wan), since, within);
            println!(
                "WAN {wan} of {wans:?}: route moved after {route:?}, endpoint removed after {endpoint:?}"
            );
            check!(
                route.is_some() && endpoint.is_some(),
                "WAN {wan} was not left within {within:?} (route {route:?}, endpoint {endpoint:?}): {:?}; {:?}",
                self.routes.routes.now(),
                manager::status()
            );
        }
        Ok(())
    }

    /// The defaults are what they were before the manager began, and these WANs have endpoints again.
    pub fn returns(&self, wans: &[usize], since: Instant, within: Duration) -> Result {
        for wan in wans {
            let endpoint = self.endpoints.present(&self.lab.netifd.address(*wan), since, within);
            println!("WAN {wan} of {wans:?}: endpoint back after {endpoint:?}");
            check!(endpoint.is_some(), "WAN {wan}'s endpoint did not come back; {:?}", manager::status());
        }
        let left = (since + within).saturating_duration_since(Instant::now()).max(SOON);
        let restored = until(left, || Ok(defaults(&self.lab)? == self.original))?;
        println!("defaults restored after {:?}", since.elapsed());
        check!(
            restored.is_some(),
            "defaults are {:#?} and not as at the start {:#?}; {:?}",
            defaults(&self.lab)?,
            self.original,
            manager::status()
        );
        Ok(())
    }

    /// Nothing has moved since then: WAN 1 is preferred all the time and every endpoint stays.
    pub fn stays(&self, since: Instant) -> Result {
        let moved =
            self.routes.routes.since(since).into_iter().find(|(_, now)| preferred_wan(now) != Some(1));
        if let Some((at, routes)) = moved {
            let after = at.saturating_duration_since(since);
            return failed(format!("after {after:?} WAN 1 was left: {routes:?}; {:?}", manager::status()));
        }
        for wan in 1..=self.lab.wans() {
            let gone = self.endpoints.was_removed(&self.lab.netifd.address(wan), since);
            check!(gone.is_none(), "WAN {wan}'s endpoint went after {gone:?}; {:?}", manager::status());
        }
        Ok(())
    }

    /// Waits until the manager says of a WAN what is wanted.
    pub fn says(&self, wan: usize, wanted: impl Fn(&WanStatus) -> bool, within: Duration) -> Result {
        let name = device(wan);
        let said = until(within, || {
            let status = manager::status();
            Ok(status.is_some_and(|now| now.wans.iter().any(|wan| wan.name == name && wanted(wan))))
        })?;
        check!(said.is_some(), "of {name} the manager says {:?}", manager::status());
        Ok(())
    }

    /// The metrics of a WAN's IPv4 defaults.
    pub fn metrics(&self, wan: usize) -> Vec<u32> {
        let routes = self.routes.routes.now();
        routes.iter().filter(|r| !r.v6 && r.ifindex == ifindex(wan)).map(|r| r.metric).collect()
    }

    /// There was a default route all the time, and the manager ends at once when asked to, with the routes
    /// where they were.
    pub fn end(mut self, since: Instant) -> Result {
        check!(self.routes.first_gap(since).is_none(), "for a moment there was no default route");
        let Some(manager) = self.manager.take() else { return failed("no manager was started") };
        let asked = Instant::now();
        let status = manager.end(END)?;
        println!("ended {:?} after SIGTERM", asked.elapsed());
        check!(status.success(), "the manager ended with {status}");
        Ok(())
    }
}

impl Drop for Managed {
    fn drop(&mut self) {
        print_log();
    }
}

/// Shown if the test fails.
pub fn print_log() {
    println!("--- log\n{}---", fs::read_to_string(LOG).unwrap_or_default());
}

/// The IPv4 default routes in the words of `ip`, best first, without what the kernel adds by itself.
pub fn defaults(lab: &Lab) -> Result<Vec<String>> {
    let text = lab.client.run("ip -4 -N route show default")?;
    Ok(text
        .lines()
        .map(|line| line.trim_end_matches([' ']).trim_end_matches(" linkdown").to_string())
        .collect())
}

/// How long it took until the condition held; a slow machine has more time for it ([`patience`]).
pub fn until(within: Duration, holds: impl Fn() -> Result<bool>) -> Result<Option<Duration>> {
    let within = patience() * within;
    let start = Instant::now();
    loop {
        if holds()? {
            return Ok(Some(start.elapsed()));
        }
        if start.elapsed() > within {
            return Ok(None);
        }
        sleep(INTERVAL);
    }
}

/// This WAN has its own table and rules marked as ours.
pub fn has_source_rule(lab: &Lab, wan: usize) -> Result<bool> {
    let (address, gateway, table) = (lab.netifd.address(wan), lab.netifd.gateway(wan), 5200 + wan);
    let rules = lab.client.run("ip -4 -N rule show")?;
    let rule = rules.lines().any(|line| {
        line.contains(&format!("from {address} fwmark 0/0xfffffff8 lookup {table}"))
            && line.contains("proto 152")
    });
    // `ip` fails on a table that never existed.
    let route = lab.client.run(&format!("ip -4 route show table {table}")).unwrap_or_default();
    Ok(rule && route.contains(&format!("default via {gateway} dev {}", device(wan))))
}

/// Reads a sysctl of the router.
pub fn sysctl(lab: &Lab, path: &str) -> Result<String> {
    let path = format!("/proc/sys/{path}");
    let text = lab.client.enter(|| fs::read_to_string(&path)).doing(format_args!("read {path}"))?;
    Ok(text.trim().to_string())
}
