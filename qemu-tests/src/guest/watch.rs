//! Prints the router's default routes and MPTCP endpoints, a line of JSON for every change.

use std::thread::sleep;
use std::time::Duration;

use miniserde::{Deserialize, Serialize, json};
use nix::net::if_::if_indextoname;

use crate::endpoint_watch::EndpointWatch;
use crate::failure::Result;
use crate::ns::Ns;
use crate::route_watch::RouteWatch;

/// How often the watches' findings are compared.
const INTERVAL: Duration = Duration::from_millis(10);

/// One line.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// IPv4 default routes of the main table, preferred first.
    pub routes: Vec<Route>,
    /// The path manager's endpoints by id.
    pub endpoints: Vec<Endpoint>,
}

/// A default route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// Empty if it has gone in between.
    pub device: String,
    /// The lower one wins.
    pub metric: u32,
    /// RTPROT_*: 4 is netifd's.
    pub protocol: u8,
}

/// An endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// 1 to 255.
    pub id: u8,
    /// Its address.
    pub address: String,
    /// 1 signal, 2 subflow, 4 backup, 8 fullmesh.
    pub flags: u32,
    /// The device that its subflows are bound to; empty if none.
    pub device: String,
}

/// Prints until killed.
pub(super) fn print() -> Result {
    let here = Ns::own()?;
    let (routes, endpoints) = (RouteWatch::start(&here)?, EndpointWatch::start(&here)?);
    let mut last = None;
    loop {
        let now = Seen {
            routes: routes
                .routes
                .now()
                .iter()
                .filter(|route| !route.v6)
                .map(|route| Route {
                    device: name(route.ifindex),
                    metric: route.metric,
                    protocol: route.protocol,
                })
                .collect(),
            endpoints: endpoints
                .endpoints
                .now()
                .iter()
                .map(|endpoint| Endpoint {
                    id: endpoint.id,
                    address: endpoint.address.to_string(),
                    flags: endpoint.flags,
                    device: name(endpoint.ifindex),
                })
                .collect(),
        };
        if last.as_ref() != Some(&now) {
            println!("{}", json::to_string(&now));
            last = Some(now);
        }
        sleep(INTERVAL);
    }
}

fn name(ifindex: u32) -> String {
    if_indextoname(ifindex).map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}
