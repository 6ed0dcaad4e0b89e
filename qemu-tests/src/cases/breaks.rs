//! The three ways to break a link look to the router as they should.

use std::time::{Duration, Instant};

use super::cases;
use crate::by_hand;
use crate::check;
use crate::datagrams::{Series, send};
use crate::failure::{Result, failed};
use crate::route_watch::RouteWatch;
use crate::runner::Case;
use crate::topology::{Lab, SERVER};

pub const CASES: &[Case] = cases!("breaks":
    blackhole_is_silent,
    far_carrier_is_seen_by_the_router,
    a_downed_link_loses_its_routes,
);

/// News of a carrier reaches the router within this time (see Builder::make_links).
const AT_ONCE: Duration = Duration::from_millis(100);

fn of_device(lab: &Lab, attribute: &str) -> Result<String> {
    Ok(lab.client.run(&format!("cat /sys/class/net/wan1/{attribute}"))?.trim().to_string())
}

/// Waits for a link attribute of WAN 1 to become this.
fn becomes(lab: &Lab, attribute: &str, wanted: &str) -> Result {
    let start = Instant::now();
    while start.elapsed() < AT_ONCE {
        if of_device(lab, attribute)? == wanted {
            return Ok(());
        }
    }
    failed(format!("{attribute} is {} and not {wanted} after {AT_ONCE:?}", of_device(lab, attribute)?))
}

/// Whether WAN 1 carries datagrams.
fn carries(lab: &Lab) -> Result<bool> {
    let series = Series { count: 3, frame: 100, interval: Duration::from_millis(10) };
    Ok(send((&lab.client, &lab.netifd.address(1)), (&lab.server, SERVER), series)?.loss() < 1.0)
}

fn blackhole_is_silent() -> Result {
    let lab = Lab::two_wans()?;
    by_hand::set_up(&lab)?;
    check!(carries(&lab)?, "WAN 1 carries nothing at the start");
    lab.blackhole(1, true);
    check!(!carries(&lab)?, "a blackhole let datagrams pass");
    becomes(&lab, "carrier", "1")?;
    becomes(&lab, "operstate", "up")?;
    lab.blackhole(1, false);
    check!(carries(&lab)?, "WAN 1 carries nothing after the repair");
    Ok(())
}

fn far_carrier_is_seen_by_the_router() -> Result {
    let lab = Lab::two_wans()?;
    by_hand::set_up(&lab)?;
    lab.far_carrier(1, false)?;
    becomes(&lab, "carrier", "0")?;
    // The device stays administratively up; veth says "lowerlayerdown" where hardware says "down".
    check!(of_device(&lab, "operstate")? != "up", "operstate is still up");
    let routes = lab.client.run("ip route show default dev wan1")?;
    check!(routes.contains("linkdown"), "the default route is not marked linkdown: {routes:?}");
    check!(!carries(&lab)?, "a pulled cable let datagrams pass");
    lab.far_carrier(1, true)?;
    becomes(&lab, "carrier", "1")?;
    becomes(&lab, "operstate", "up")?;
    check!(carries(&lab)?, "WAN 1 carries nothing after the repair");
    Ok(())
}

fn a_downed_link_loses_its_routes() -> Result {
    let lab = Lab::two_wans()?;
    let watch = RouteWatch::start(&lab.client)?;
    let start = Instant::now();
    lab.link_down(1)?;
    let Some(after) = watch.moved_to(2, start, AT_ONCE) else {
        return failed(format!("the kernel kept the routes of a downed device: {:?}", watch.routes.now()));
    };
    println!("routes gone after {after:?}");
    lab.link_up(1)?;
    let back = watch.moved_to(1, Instant::now(), AT_ONCE);
    check!(back.is_some(), "netifd's route did not come back: {:?}", watch.routes.now());
    check!(carries(&lab)?, "WAN 1 carries nothing after the repair");
    Ok(())
}
