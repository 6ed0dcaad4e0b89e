//! The system's networks: settings may name them, and who takes one down means its device.
//!
//! On OpenWrt netifd is asked once at the start and at each reload; hotplug's ifup and ifdown tell what changes
//! (bsbf-hotplug). Elsewhere there are none.

use std::path::Path;

use smol::LocalExecutor;

use super::{Kind, Manager, Wake};
use crate::error::{EXIT_DONE, Error, Outcome};
use crate::sys::{control, ubus};
use crate::types::IfName;
use crate::wan::mind::Event;
use crate::wire::question::Question;
use crate::wire::ubus::Interface;

/// `--ifdown` and `--ifup`: netifd takes a network down, after the manager let go of its device so that no connection
/// waits for it, or brings it up. netifd's own programs of these names end with 0 whether there is such a network or not.
pub(super) fn take(kind: Kind, run_dir: &Path, network: &IfName, up: bool) -> Outcome {
    let doing = if up { "bring up" } else { "take down" };
    let cannot = |cause: &dyn std::fmt::Display| Error::new(doing, network, cause);
    let networks = ubus::networks().map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => cannot(&"there is no ubus here; use the system's own tools"),
        _ => cannot(&e),
    })?;
    if !networks.iter().any(|known| known.name == network.as_str()) {
        let names: Vec<&str> = networks.iter().map(|known| known.name.as_str()).collect();
        return Err(cannot(&format!("no such network; there are: {}", names.join(", "))));
    }
    if !up {
        let socket = run_dir.join(format!("{}.sock", kind.name));
        let told = control::ask(&socket, &Question::Down(network.clone()));
        told.map_err(|e| Error::new("ask", socket.display(), e))?;
    }
    let method = if up { "up" } else { "down" };
    ubus::call(&format!("network.interface.{network}"), method, "{}").map_err(|e| cannot(&e))?;
    Ok(EXIT_DONE)
}

impl Manager {
    /// Asks netifd, which may take its time or hang; the answer wakes the loop.
    pub(super) fn ask_netifd(&self) {
        let sender = self.sender.clone();
        let ask = move || match ubus::networks() {
            // Fails if we end meanwhile.
            Ok(networks) => drop(sender.send_blocking(Wake::Networks(networks))),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            Err(e) => log::debug!("netifd does not tell its networks: {e}"),
        };
        // Without it devices are known by their own names, as on other Linux.
        if let Err(e) = std::thread::Builder::new().name("ubus".into()).spawn(ask) {
            log::debug!("cannot start a thread to ask netifd: {e}");
        }
    }

    /// What netifd said.
    pub(super) fn on_networks(&mut self, networks: &[Interface], executor: &LocalExecutor<'_>) {
        for Interface { name, up, l3_device, device, .. } in networks {
            let device = l3_device.as_ref().or(device.as_ref());
            let parsed = device.and_then(|device| Some((name.parse().ok()?, device.parse().ok()?)));
            if let Some((name, device)) = parsed {
                self.networks.set(&name, &device, *up);
            }
        }
        self.resolve(executor);
    }

    /// A network came up.
    pub(super) fn on_ifup(&mut self, network: &IfName, device: IfName, executor: &LocalExecutor<'_>) {
        self.networks.set(network, &device, true);
        self.tell_mind(Event::Keep(device), executor);
        self.resolve(executor);
    }

    /// A network goes down.
    pub(super) fn on_ifdown(&mut self, network: &IfName, executor: &LocalExecutor<'_>) {
        for device in self.networks.down(network) {
            self.tell_mind(Event::Release(device), executor);
        }
    }

    /// Tells the mind the settings, if the networks that they name have other devices now.
    fn resolve(&mut self, executor: &LocalExecutor<'_>) {
        let resolved = self.networks.resolve(&self.settings);
        if resolved != *self.mind.settings() {
            self.tell_mind(Event::Settings(Box::new(resolved)), executor);
        }
    }
}
