//! Who tells of the links of ports.

use std::io;
use std::time::Duration;

use log::Level;

use super::log;
use crate::switch::map::{Place, Port};
use crate::sys::child;
use crate::sys::follow::Follower;
use crate::sys::kernel::Kernel;
use crate::sys::ubus;
use crate::wire::swlink::{self, PortLink};

/// RUTOS's object on ubus.
const PORT_EVENTS: &str = "port_events";
/// `swconfig` asks the kernel, which asks the switch.
const PATIENCE: Duration = Duration::from_secs(2);

/// Who tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// RUTOS's object on ubus.
    PortEvents,
    /// RUTOS's lines in the log.
    Log,
    /// The kernel, of devices that are ports.
    Netlink,
}

impl Source {
    /// As arguments name it.
    pub fn named(name: &str) -> Option<Source> {
        [Source::PortEvents, Source::Log, Source::Netlink].into_iter().find(|source| source.name() == name)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Source::PortEvents => "port-events",
            Source::Log => "log",
            Source::Netlink => "netlink",
        }
    }

    /// The first that is there.
    ///
    /// # Errors
    /// ubus does not answer: nobody knows.
    pub fn choose(ports: &[Port]) -> io::Result<Source> {
        match ubus::ask(PORT_EVENTS, "show", "{}") {
            Ok(Some(_)) => return Ok(Source::PortEvents),
            // Or no ubus at all, as on other Linux.
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let is_device = |port: &Port| matches!(port.place, Place::Device(_));
        Ok(if ports.iter().any(is_device) { Source::Netlink } else { Source::Log })
    }

    /// Starts the program that tells; the kernel needs none.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn follow(self) -> io::Result<Option<Follower>> {
        match self {
            Source::PortEvents => Follower::start("ubus", &["subscribe", PORT_EVENTS]).map(Some),
            Source::Log => Follower::start("logread", &["-f"]).map(Some),
            Source::Netlink => Ok(None),
        }
    }

    /// What a line of that program tells.
    pub fn read(self, line: &[u8]) -> Option<PortLink> {
        match self {
            Source::PortEvents => swlink::event_line(line),
            Source::Log | Source::Netlink => swlink::log_line(line),
        }
    }

    /// The links of the ports now, by their numbers; of those that are not there nobody knows.
    pub fn links(self, ports: &[Port], kernel: &mut Kernel) -> Vec<(usize, bool)> {
        let mut links = Vec::new();
        if self == Source::PortEvents {
            match ubus::ask(PORT_EVENTS, "show", "{}") {
                Ok(answer) => {
                    let told = answer.and_then(|answer| swlink::shown(&answer)).unwrap_or_default();
                    links.extend(told.iter().filter_map(|link| Some((find(ports, &link.port)?, link.up))));
                }
                Err(e) => log(Level::Warn, &[&e.to_string()]),
            }
            return links;
        }
        for (number, port) in ports.iter().enumerate() {
            links.extend(link(port, kernel).map(|up| (number, up)));
        }
        links
    }
}

/// The port that is called so.
pub fn find(ports: &[Port], name: &str) -> Option<usize> {
    ports.iter().position(|port| port.name.eq_ignore_ascii_case(name))
}

fn link(port: &Port, kernel: &mut Kernel) -> Option<bool> {
    let link = match &port.place {
        // One that is set down has no carrier, whatever is plugged in.
        Place::Device(name) => {
            let link = kernel.link_named(name);
            link.map(|link| link.filter(|link| link.up).map(|link| link.carrier))
        }
        Place::Switch { switch, number } => {
            let words = ["dev", switch, "port", number, "get", "link"];
            child::run("swconfig", &words, b"", PATIENCE).map(|ran| swlink::swconfig_link(&ran.stdout))
        }
    };
    link.unwrap_or_else(|e| {
        log(Level::Debug, &[&port.name, ": ", &e.to_string()]);
        None
    })
}
