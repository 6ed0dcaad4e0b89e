//! `bsbf bond` does what the kernel alone does not (see `kernel_alone`). Skipped while the binary under
//! test has no such command.

use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::cases;
use crate::check;
use crate::endpoint_watch::EndpointWatch;
use crate::failure::{Result, failed};
use crate::manager::{self, Manager};
use crate::route_watch::{RouteWatch, preferred_wan};
use crate::runner::Case;
use crate::topology::Lab;
use crate::traffic::Transfer;

pub const CASES: &[Case] = cases!("bond":
    a_blackholed_wan_is_left_and_taken_back within 60,
    carrier_loss_is_acted_on_at_once,
    a_link_full_of_traffic_is_kept,
);

const SETTLE: Duration = Duration::from_secs(10);
/// Silence needs several lost probes; the idle probe comes once a second.
const SILENCE: Duration = Duration::from_secs(4);
/// The kernel says when a carrier goes.
const AT_ONCE: Duration = Duration::from_millis(500);
/// A WAN is taken back after several answered probes.
const RECOVERY: Duration = Duration::from_secs(20);

/// A lab with a manager that holds both WANs for up, and watches on what it does.
struct Managed {
    manager: Manager,
    routes: RouteWatch,
    endpoints: EndpointWatch,
    lab: Lab,
}

impl Managed {
    fn start() -> Result<Managed> {
        let lab = Lab::two_wans()?;
        let routes = RouteWatch::start(&lab.client)?;
        let endpoints = EndpointWatch::start(&lab.client)?;
        let log = Path::new("/run/bsbf-bond.log");
        let mut manager = Manager::start(&lab, &[], log)?;
        manager.settle(&lab, SETTLE)?;
        check!(preferred_wan(&routes.routes.now()) == Some(1), "WAN 1 is not preferred");
        check!(endpoints.endpoints.now().len() == 2, "endpoints: {:?}", endpoints.endpoints.now());
        Ok(Managed { manager, routes, endpoints, lab })
    }

    /// The default route leaves WAN 1 and its endpoint goes, both within this time.
    fn leaves_wan_1(&self, since: Instant, within: Duration) -> Result {
        let Some(route) = self.routes.moved_to(2, since, within) else {
            return failed(format!(
                "no route moved: {:?}; {:?}",
                self.routes.routes.now(),
                manager::status()
            ));
        };
        let Some(endpoint) = self.endpoints.removed(&self.lab.netifd.address(1), since, within) else {
            return failed(format!("the endpoint stayed; {:?}", manager::status()));
        };
        println!("route moved after {route:?}, endpoint removed after {endpoint:?}");
        Ok(())
    }

    fn takes_wan_1_back(&self, since: Instant) -> Result {
        let route = self.routes.moved_to(1, since, RECOVERY);
        let endpoint = self.endpoints.present(&self.lab.netifd.address(1), since, RECOVERY);
        println!("route back after {route:?}, endpoint back after {endpoint:?}");
        check!(route.is_some() && endpoint.is_some(), "WAN 1 did not come back; {:?}", manager::status());
        Ok(())
    }

    /// There was a default route all the time, and the manager ends cleanly when asked to.
    fn end(self, since: Instant) -> Result {
        check!(self.routes.first_gap(since).is_none(), "for a moment there was no default route");
        let status = self.manager.end(Duration::from_secs(5))?;
        check!(status.success(), "the manager ended with {status}");
        Ok(())
    }
}

fn a_blackholed_wan_is_left_and_taken_back() -> Result {
    let managed = Managed::start()?;
    let transfer = Transfer::start(&managed.lab)?;
    sleep(Duration::from_secs(3));
    let cut = Instant::now();
    managed.lab.blackhole(1, true);
    managed.leaves_wan_1(cut, SILENCE)?;
    sleep(Duration::from_secs(2));
    println!("longest stall {:?}", transfer.timeline.longest_stall(cut, Instant::now()));
    let repaired = Instant::now();
    managed.lab.blackhole(1, false);
    managed.takes_wan_1_back(repaired)?;
    transfer.finish()?;
    managed.end(cut)
}

fn carrier_loss_is_acted_on_at_once() -> Result {
    let managed = Managed::start()?;
    let cut = Instant::now();
    managed.lab.far_carrier(1, false)?;
    managed.leaves_wan_1(cut, AT_ONCE)?;
    // The kernel holds back news of a link that changes twice within a second (net/core/link_watch.c).
    sleep(Duration::from_millis(1100));
    let repaired = Instant::now();
    managed.lab.far_carrier(1, true)?;
    managed.takes_wan_1_back(repaired)?;
    managed.end(cut)
}

fn a_link_full_of_traffic_is_kept() -> Result {
    let managed = Managed::start()?;
    let start = Instant::now();
    // The download fills both queues: the RTT rises by 200 ms and packets are dropped all the time.
    let transfer = Transfer::start(&managed.lab)?;
    sleep(Duration::from_secs(10));
    let left = managed.routes.moved_to(2, start, Duration::from_secs(10));
    check!(left.is_none(), "the route left WAN 1 after {left:?}; {:?}", manager::status());
    for wan in [1, 2] {
        let gone =
            managed.endpoints.removed(&managed.lab.netifd.address(wan), start, Duration::from_secs(10));
        check!(gone.is_none(), "WAN {wan}'s endpoint went after {gone:?}; {:?}", manager::status());
    }
    transfer.finish()?;
    managed.end(start)
}
