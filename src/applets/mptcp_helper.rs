//! `bsbf-mptcp-helper`: one-shot edits of an interface's MPTCP endpoints, for hotplug scripts and by hand.
//!
//! The interface is matched by its number, never by a part of its name. `remove` for an interface that is gone
//! removes the endpoints whose device is gone: the kernel keeps those, by a number that nobody has any more.
//! A running `bsbf-bond` or `bsbf-mptcp` puts its own endpoints back as it sees fit.

use std::str::FromStr;

use argh::FromArgs;

use crate::applet::{self, Applet};
use crate::error::{EXIT_DONE, Error, Outcome};
use crate::logging;
use crate::sys::kernel::Kernel;
use crate::types::{EndpointId, IfIndex, IfName};
use crate::wan::world::{Change, World};
use crate::wire::mptcp_pm::{Endpoint, FLAG_BACKUP, FLAG_IMPLICIT, FLAG_SUBFLOW};
use crate::wire::rtnl::Family;

/// The row of the table.
pub const APPLET: Applet = Applet {
    name: "bsbf-mptcp-helper",
    summary: "Add, remove or change the MPTCP endpoints of an interface",
    run: |arguments| applet::with_args("bsbf-mptcp-helper", arguments, run),
};

/// Add, remove or change the MPTCP endpoints of an interface.
#[derive(FromArgs)]
#[argh(
    example = "{command_name} add wan\n{command_name} backup wwan0\n{command_name} remove usb0",
    note = "Speaks netlink to the kernel; reads no file.",
    note = "Exit codes: 0 the asked state holds, 1 it does not, 2 wrong arguments."
)]
struct Args {
    /// add: an endpoint for each IPv4 address; remove: none; backup, nobackup: set or clear the flag
    #[argh(positional, arg_name = "add|remove|backup|nobackup")]
    verb: Verb,
    /// the interface
    #[argh(positional, arg_name = "IFACE")]
    interface: IfName,
    /// tell each step (default: errors only)
    #[argh(switch, short = 'v')]
    verbose: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verb {
    Add,
    Remove,
    Backup,
    NoBackup,
}

impl FromStr for Verb {
    type Err = String;

    fn from_str(text: &str) -> Result<Verb, String> {
        match text {
            "add" => Ok(Verb::Add),
            "remove" => Ok(Verb::Remove),
            "backup" => Ok(Verb::Backup),
            "nobackup" => Ok(Verb::NoBackup),
            _ => Err(format!("'{text}' is none of add, remove, backup, nobackup")),
        }
    }
}

fn run(args: Args) -> Outcome {
    let name = &args.interface;
    logging::start_command(if args.verbose { log::LevelFilter::Debug } else { log::LevelFilter::Warn });
    let mut kernel = Kernel::open().map_err(|e| Error::new("open", "a netlink socket", e))?;
    let world = kernel.world().map_err(|e| Error::new("read", "endpoints and addresses", e))?;
    for change in changes(&world, args.verb, name).map_err(|e| Error::new("change endpoints of", name, e))? {
        kernel
            .apply(&change)
            .map_err(|e| Error::new("change endpoints of", name, format!("{change}: {e}")))?;
    }
    // What counts is what the kernel has now; it answers EINVAL to many things on older releases.
    let world = kernel.world().map_err(|e| Error::new("read", "endpoints and addresses", e))?;
    match changes(&world, args.verb, name) {
        Ok(left) if left.is_empty() => Ok(EXIT_DONE),
        Ok(left) => {
            let left: Vec<String> = left.iter().map(Change::to_string).collect();
            Err(Error::new("change endpoints of", name, format!("the kernel did not: {}", left.join(", "))))
        }
        Err(e) => Err(Error::new("change endpoints of", name, e)),
    }
}

/// What is left to do until the asked state holds, or why it cannot.
fn changes(world: &World, verb: Verb, name: &IfName) -> Result<Vec<Change>, String> {
    let endpoints = world.endpoints.as_ref().ok_or("this kernel has no MPTCP (CONFIG_MPTCP)")?;
    let link = world.link(name);
    let of = |index: IfIndex| endpoints.iter().filter(move |e| e.index == Some(index));
    let no_interface = || format!("no interface {name}");
    match verb {
        Verb::Remove => {
            let exists = |index: IfIndex| world.links.iter().any(|l| l.index == index);
            let is_asked = |e: &&Endpoint| match link {
                Some(link) => e.index == Some(link.index),
                None => e.index.is_some_and(|i| !exists(i)),
            };
            Ok(endpoints.iter().filter(is_asked).cloned().map(Change::DeleteEndpoint).collect())
        }
        Verb::Add => {
            let index = link.ok_or_else(no_interface)?.index;
            let mut addresses = world.global_addresses(index, Family::V4).peekable();
            addresses.peek().ok_or("it has no IPv4 address")?;
            let missing = addresses.filter(|a| !of(index).any(|e| e.address == a.local));
            let add =
                |address| Endpoint { id: EndpointId(0), address, index: Some(index), flags: FLAG_SUBFLOW };
            Ok(missing.map(|a| Change::AddEndpoint(add(a.local))).collect())
        }
        Verb::Backup | Verb::NoBackup => {
            let index = link.ok_or_else(no_interface)?.index;
            let mut own = of(index).filter(|e| e.flags & FLAG_IMPLICIT == 0).peekable();
            own.peek().ok_or("it has no endpoint")?;
            let wanted = if verb == Verb::Backup { FLAG_BACKUP } else { 0 };
            let wrong = own.filter(|e| e.flags & FLAG_BACKUP != wanted);
            let set = |e: &Endpoint| Endpoint { flags: e.flags & !FLAG_BACKUP | wanted, ..e.clone() };
            Ok(wrong.map(|e| Change::SetFlags(set(e))).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::rtnl::{Address, Link};

    fn world(endpoints: &[(u8, &str, u32)]) -> World {
        let link = |index: u32, name: &str| Link {
            index: IfIndex(index),
            name: name.parse().unwrap(),
            up: true,
            carrier: true,
            kind: heapless::String::new(),
            arphrd: 1,
            rx_bytes: 0,
            tx_bytes: 0,
        };
        let address = |index: u32, local: &str| Address {
            index: IfIndex(index),
            local: local.parse().unwrap(),
            peer: None,
            prefix: 24,
            scope: 0,
            flags: 0,
        };
        World {
            links: vec![link(2, "eth1"), link(3, "eth10")],
            addresses: vec![address(2, "192.0.2.2"), address(3, "198.51.100.2")],
            endpoints: Some(
                endpoints
                    .iter()
                    .map(|&(id, address, index)| Endpoint {
                        id: EndpointId(id),
                        address: address.parse().unwrap(),
                        index: Some(IfIndex(index)),
                        flags: FLAG_SUBFLOW,
                    })
                    .collect(),
            ),
            ..World::default()
        }
    }

    #[track_caller]
    fn check(verb: Verb, name: &str, endpoints: &[(u8, &str, u32)], expected: Result<&[&str], &str>) {
        let changes = changes(&world(endpoints), verb, &name.parse().unwrap());
        let words = changes.map(|c| c.iter().map(Change::to_string).collect::<Vec<_>>());
        let expected = expected.map(|e| e.iter().map(|s| s.to_string()).collect()).map_err(str::to_string);
        assert_eq!(words, expected);
    }

    #[test]
    fn verbs() {
        let both = [(1, "192.0.2.2", 2), (2, "198.51.100.2", 3)];
        check(Verb::Add, "eth1", &both, Ok(&[]));
        check(Verb::Add, "eth1", &both[1..], Ok(&["add endpoint 192.0.2.2"]));
        check(Verb::Add, "usb0", &both, Err("no interface usb0"));
        // eth1 is no part of eth10.
        check(Verb::Remove, "eth1", &both, Ok(&["delete endpoint 1 192.0.2.2"]));
        // Gone: what nobody's device has; wifi0 and the like stay.
        check(
            Verb::Remove,
            "usb0",
            &[both[0], (7, "192.168.42.9", 9)],
            Ok(&["delete endpoint 7 192.168.42.9"]),
        );
        check(Verb::Backup, "eth10", &both, Ok(&["set flags 6 of endpoint 2 198.51.100.2"]));
        check(Verb::NoBackup, "eth10", &both, Ok(&[]));
        check(Verb::Backup, "eth1", &both[1..], Err("it has no endpoint"));
    }
}
