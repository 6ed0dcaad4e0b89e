//! Stands in for OpenWrt's netifd: addresses and default routes of the WANs, made and unmade as it does.
//!
//! What matters to a manager of default routes (netifd's interface-ip.c and system-linux.c, dhcp.script):
//! routes are sent with CREATE|REPLACE, of protocol static, with the address as preferred source and the
//! interface's own metric; and they are deleted by that metric, so a route that somebody moved survives.

use std::sync::Mutex;

use crate::failure::Result;
use crate::ns::Ns;

/// The stand-in; WANs are numbered from 1.
pub struct Netifd {
    client: Ns,
    ipv6: bool,
    wans: Mutex<Vec<Lease>>,
}

/// What DHCP gave a WAN, and the owner's metric: the WAN's number at first.
#[derive(Clone)]
struct Lease {
    address: String,
    gateway: String,
    metric: u32,
}

impl Netifd {
    pub(crate) fn new(client: Ns, wans: usize, ipv6: bool) -> Netifd {
        let lease = |i| Lease {
            address: format!("198.18.{i}.2"),
            gateway: format!("198.18.{i}.1"),
            metric: i as u32,
        };
        Netifd { client, ipv6, wans: Mutex::new((1..=wans).map(lease).collect()) }
    }

    /// The WAN's present IPv4 address.
    pub fn address(&self, wan: usize) -> String {
        self.lease(wan).address
    }

    /// The WAN's present IPv4 gateway.
    pub fn gateway(&self, wan: usize) -> String {
        self.lease(wan).gateway
    }

    /// The WAN's IPv6 address, in a lab with IPv6.
    pub fn address_v6(&self, wan: usize) -> String {
        format!("2001:db8:18:{wan}::2")
    }

    /// Adds address and default route, or puts them back; harmless if they are there.
    pub fn ifup(&self, wan: usize) -> Result {
        let address = self.address(wan);
        self.ip(&format!("address replace {address}/24 dev wan{wan}"))?;
        if self.ipv6 {
            let address = self.address_v6(wan);
            self.ip(&format!("address replace {address}/64 dev wan{wan} nodad"))?;
            self.ip(&format!(
                "route replace default via 2001:db8:18:{wan}::1 dev wan{wan} proto static src {address} metric {wan}"
            ))?;
        }
        self.renew(wan)
    }

    /// A DHCP renewal: adds the default route again by the WAN's own metric.
    pub fn renew(&self, wan: usize) -> Result {
        self.ip(&format!("route replace {}", self.route(wan)))
    }

    /// The owner gives the WAN another metric: the default route goes and comes in one go, as netifd does it.
    pub fn set_metric(&self, wan: usize, metric: u32) -> Result {
        let old = self.route(wan);
        self.set(wan, |lease| lease.metric = metric);
        self.client.ip_batch(&format!("route del {old}\nroute replace {}\n", self.route(wan)))
    }

    /// The WAN's IPv4 default route as netifd wants it, in the words of `ip route`.
    pub fn route(&self, wan: usize) -> String {
        let Lease { address, gateway, metric } = self.lease(wan);
        format!("default via {gateway} dev wan{wan} proto static src {address} metric {metric}")
    }

    /// Deletes the default route by the WAN's own metric, then the address.
    pub fn ifdown(&self, wan: usize) -> Result {
        self.delete_route(wan, &self.gateway(wan))?;
        let address = self.address(wan);
        let _ = self.ip(&format!("address del {address}/24 dev wan{wan}"));
        if self.ipv6 {
            let _ = self.ip(&format!("-6 route del default dev wan{wan} metric {wan}"));
            let _ = self.ip(&format!("address del {}/64 dev wan{wan}", self.address_v6(wan)));
        }
        Ok(())
    }

    /// The ISP hands out another address: the new one and its route come, then the old one goes.
    pub fn change_address(&self, wan: usize, new: &str) -> Result {
        let old = self.address(wan);
        self.set(wan, |lease| lease.address = new.into());
        self.ip(&format!("address replace {new}/24 dev wan{wan}"))?;
        self.renew(wan)?;
        self.ip(&format!("address del {old}/24 dev wan{wan}"))?;
        // Deleting a primary address takes its secondaries of the same network along.
        self.ifup(wan)
    }

    /// The ISP names another gateway; replaces the route by the WAN's own metric.
    pub fn change_gateway(&self, wan: usize, new: &str) -> Result {
        let old = self.gateway(wan);
        self.set(wan, |lease| lease.gateway = new.into());
        self.renew(wan)?;
        self.delete_route(wan, &old)
    }

    /// ESRCH, because the route was moved or is gone with its device, is nothing to netifd.
    fn delete_route(&self, wan: usize, gateway: &str) -> Result {
        let metric = self.lease(wan).metric;
        let _ = self.ip(&format!("route del default via {gateway} dev wan{wan} metric {metric}"));
        Ok(())
    }

    fn ip(&self, arguments: &str) -> Result {
        self.client.run(&format!("ip {arguments}")).map(|_| ())
    }

    fn lease(&self, wan: usize) -> Lease {
        self.wans.lock().unwrap_or_else(|e| e.into_inner())[wan - 1].clone()
    }

    fn set(&self, wan: usize, change: impl FnOnce(&mut Lease)) {
        change(&mut self.wans.lock().unwrap_or_else(|e| e.into_inner())[wan - 1]);
    }
}
