//! What an administrator without a manager sets up by hand: the kernel alone, as a baseline.

use crate::failure::Result;
use crate::topology::Lab;

/// The routing table of WAN i is this plus i.
const TABLE_BASE: usize = 100;

/// One endpoint per WAN, and a rule and a table per source address. Nothing reacts to a failure.
pub fn set_up(lab: &Lab) -> Result {
    for wan in 1..=lab.wans() {
        let (address, table) = (lab.netifd.address(wan), TABLE_BASE + wan);
        route(lab, wan)?;
        lab.client.run(&format!("ip rule add from {address} lookup {table} priority {table}"))?;
        lab.client.run(&format!("ip mptcp endpoint add {address} dev wan{wan} subflow"))?;
    }
    Ok(())
}

/// Makes the default route of the WAN's own table, or puts it back after the kernel has flushed it with its
/// device, as netifd does for an interface with `option ip4table`.
pub fn route(lab: &Lab, wan: usize) -> Result {
    let (gateway, table) = (lab.netifd.gateway(wan), TABLE_BASE + wan);
    lab.client.run(&format!("ip route replace default via {gateway} dev wan{wan} table {table}")).map(drop)
}

/// Takes all of it away again.
pub fn take_down(lab: &Lab) -> Result {
    lab.client.run("ip mptcp endpoint flush")?;
    for wan in 1..=lab.wans() {
        let (address, table) = (lab.netifd.address(wan), TABLE_BASE + wan);
        lab.client.run(&format!("ip rule del from {address} lookup {table} priority {table}"))?;
        lab.client.run(&format!("ip route flush table {table}"))?;
    }
    Ok(())
}
