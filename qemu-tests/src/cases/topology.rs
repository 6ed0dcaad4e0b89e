//! The lab's network is what its description says.

use std::time::Duration;

use super::cases;
use crate::by_hand;
use crate::check;
use crate::datagrams::{Series, send};
use crate::failure::Result;
use crate::link::Wan;
use crate::runner::Case;
use crate::topology::{INTERNET_HOSTS, Lab, MAX_WANS, SERVER, SERVER_V6};

pub const CASES: &[Case] = cases!("topology":
    every_wan_reaches_every_host,
    ipv6_reaches_the_server,
    a_lan_host_reaches_the_router,
    isps_drop_foreign_sources,
);

/// A few small datagrams: enough to see whether a path exists.
const A_FEW: Series = Series { count: 3, frame: 100, interval: Duration::from_millis(5) };

fn every_wan_reaches_every_host() -> Result {
    let mut builder = Lab::builder();
    for _ in 0..MAX_WANS {
        builder = builder.wan(Wan::mbit(20));
    }
    let lab = builder.build()?;
    by_hand::set_up(&lab)?;
    for wan in 1..=MAX_WANS {
        let address = lab.netifd.address(wan);
        for host in [SERVER].iter().chain(&INTERNET_HOSTS) {
            let there = send((&lab.client, &address), (&lab.server, host), A_FEW)?;
            check!(there.loss() == 0.0, "WAN {wan} to {host}: {:.0} % lost", there.loss() * 100.0);
            let back = send((&lab.server, host), (&lab.client, &address), A_FEW)?;
            check!(back.loss() == 0.0, "{host} to WAN {wan}: {:.0} % lost", back.loss() * 100.0);
        }
    }
    Ok(())
}

fn ipv6_reaches_the_server() -> Result {
    let lab = Lab::builder().wan(Wan::mbit(20)).wan(Wan::mbit(10)).ipv6().build()?;
    let client = format!("[{}]", lab.netifd.address_v6(1));
    let server = format!("[{SERVER_V6}]");
    let there = send((&lab.client, &client), (&lab.server, &server), A_FEW)?;
    let back = send((&lab.server, &server), (&lab.client, &client), A_FEW)?;
    check!(there.loss() + back.loss() == 0.0, "lost {} there, {} back", there.loss(), back.loss());
    Ok(())
}

fn a_lan_host_reaches_the_router() -> Result {
    let lab = Lab::builder().wan(Wan::mbit(20)).lan().build()?;
    let Some(lan) = &lab.lan else { return crate::failure::failed("no host was made") };
    let seen = send((lan, "192.168.4.2"), (&lab.client, "192.168.4.1"), A_FEW)?;
    check!(seen.loss() == 0.0, "{:.0} % lost", seen.loss() * 100.0);
    Ok(())
}

fn isps_drop_foreign_sources() -> Result {
    let lab = Lab::two_wans()?;
    let address = lab.netifd.address(2);
    let carried = || lab.link(1).up.counters.frames.load(std::sync::atomic::Ordering::Relaxed);
    // Without a source rule the packet leaves by the preferred default route, WAN 1.
    let before = carried();
    let foreign = send((&lab.client, &address), (&lab.server, SERVER), A_FEW)?;
    check!(carried() >= before + A_FEW.count as u64, "the packets did not leave by WAN 1");
    check!(foreign.loss() == 1.0, "the ISP of WAN 1 let packets of WAN 2 pass");
    by_hand::set_up(&lab)?;
    let own = send((&lab.client, &address), (&lab.server, SERVER), A_FEW)?;
    check!(own.loss() == 0.0, "the ISP of WAN 2 dropped packets of its own customer");
    Ok(())
}
