//! The kernel's networking state: all of it read at once, and changed one thing at a time.

use std::io;

use super::netlink::{Asker, Bell, Heard, Listener, Protocol};
use super::sysfs;
use crate::types::{IfIndex, IfName};
use crate::wan::world::{Change, World};
use crate::wire::mptcp_pm::{self, Event};
use crate::wire::nl::Message;
use crate::wire::rtnl::{self, AnyRule, Dump, Family, Link, Object, RouteOp};

/// Groups of rtnetlink by number (uapi/linux/rtnetlink.h).
const RTNLGRP_LINK: u32 = 1;
const RTNLGRP_IPV4_IFADDR: u32 = 5;
const RTNLGRP_IPV4_ROUTE: u32 = 7;
const RTNLGRP_IPV4_RULE: u32 = 8;
const RTNLGRP_IPV6_IFADDR: u32 = 9;
const RTNLGRP_IPV6_ROUTE: u32 = 11;
const RTNLGRP_IPV6_RULE: u32 = 19;

/// Reads and changes the kernel's state.
pub struct Kernel {
    route: Asker,
    mptcp: Option<(Asker, u16)>,
    events: Option<u32>,
}

impl Kernel {
    /// Opens the sockets; a kernel without MPTCP is one whose `has_mptcp` is false.
    pub fn open() -> io::Result<Kernel> {
        let route = Asker::open(Protocol::Route)?;
        let mut generic = Asker::open(Protocol::Generic)?;
        let found = generic.ask(mptcp_pm::family_request(mptcp_pm::FAMILY), |m| {
            mptcp_pm::family(m.body, mptcp_pm::EVENTS).map_err(malformed)
        });
        match found {
            Ok((family, events)) => Ok(Kernel { route, mptcp: Some((generic, family)), events }),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Kernel { route, mptcp: None, events: None }),
            Err(e) => Err(e),
        }
    }

    /// The kernel has MPTCP's path manager.
    pub fn has_mptcp(&self) -> bool {
        self.mptcp.is_some()
    }

    /// Reads everything. Messages that are malformed or of unknown kind are passed over with a debug line.
    pub fn world(&mut self) -> io::Result<World> {
        let mut world = World::default();
        let dumps = [Dump::Links, Dump::Addresses]
            .into_iter()
            .chain(Family::BOTH.map(Dump::Routes))
            .chain(Family::BOTH.map(Dump::Rules));
        for what in dumps {
            let objects = self.route.dump(
                || rtnl::dump_request(what),
                |message| {
                    Ok(rtnl::decode(message.kind, message.body).unwrap_or_else(|e| {
                        log::debug!("{e} of type {} in a dump of {what:?}", message.kind);
                        None
                    }))
                },
            );
            match objects {
                // A kernel without IPv6, or without policy rules, has none of these.
                Err(e) if is_unknown(&e) => {}
                objects => {
                    // With IPv6 off the kernel answers such a dump with everything it has.
                    let asked = |object: &Object| what.family().is_none_or(|f| object.family() == Some(f));
                    objects?.into_iter().filter(asked).for_each(|object| put(&mut world, object));
                }
            }
        }
        if let Some((generic, family)) = &mut self.mptcp {
            let endpoint = |m: &Message| {
                Ok(mptcp_pm::endpoint(m.body).map_err(|e| log::debug!("{e} in a dump of endpoints")).ok())
            };
            world.endpoints = Some(generic.dump(|| mptcp_pm::dump_request(*family), endpoint)?);
            let limits = |m: &Message| mptcp_pm::limits(m.body).map_err(malformed);
            world.limits = Some(generic.ask(mptcp_pm::get_limits_request(*family), limits)?);
        }
        world.modems = world.links.iter().filter(|l| sysfs::is_modem(&l.name)).map(|l| l.index).collect();
        Ok(world)
    }

    /// The rules of everybody else, of both families. They are no part of the world: nothing is decided by them.
    pub fn foreign_rules(&mut self) -> io::Result<Vec<AnyRule>> {
        let mut rules = Vec::new();
        for family in Family::BOTH {
            let request = || rtnl::dump_request(Dump::Rules(family));
            match self.route.dump(request, |message| Ok(rtnl::any_rule(message.body).unwrap_or_default())) {
                Err(e) if is_unknown(&e) => {}
                found => rules.extend(found?.into_iter().filter(|r| r.family == family && !r.is_ours())),
            }
        }
        Ok(rules)
    }

    /// One device by its number, with its counters.
    pub fn link(&mut self, index: IfIndex) -> io::Result<Link> {
        self.route.ask(rtnl::link_request(index), read_link)
    }

    /// One device by its name; None if there is none.
    pub fn link_named(&mut self, name: &IfName) -> io::Result<Option<Link>> {
        match self.route.ask(rtnl::link_named_request(name), read_link) {
            Err(e) if e.raw_os_error() == Some(libc::ENODEV) => Ok(None),
            result => result.map(Some),
        }
    }

    /// Sets a device administratively up.
    pub fn set_link_up(&mut self, index: IfIndex) -> io::Result<()> {
        self.route.order(rtnl::link_up_request(index))
    }

    /// The names of all devices.
    pub fn link_names(&mut self) -> io::Result<Vec<IfName>> {
        self.route.dump(|| rtnl::dump_request(Dump::Links), |message| Ok(Some(read_link(message)?.name)))
    }

    /// Does one change; what is so already counts as done. `Change::Remember` is none of the kernel's.
    pub fn apply(&mut self, change: &Change) -> io::Result<()> {
        let no_mptcp = || io::Error::from_raw_os_error(libc::EOPNOTSUPP);
        let result = match change {
            Change::Remember(_) => return Ok(()),
            Change::AddRoute(r) => self.route.order(rtnl::route_request(RouteOp::Add, r)),
            Change::ReplaceRoute(r) => self.route.order(rtnl::route_request(RouteOp::Replace, r)),
            Change::DeleteRoute(r) => self.route.order(rtnl::route_request(RouteOp::Delete, r)),
            Change::AddRule(r) => self.route.order(rtnl::rule_request(true, r)),
            Change::DeleteRule(r) => self.route.order(rtnl::rule_request(false, r)),
            Change::AddEndpoint(_)
            | Change::DeleteEndpoint(_)
            | Change::SetFlags(_)
            | Change::SetLimits(_) => {
                let (generic, family) = self.mptcp.as_mut().ok_or_else(no_mptcp)?;
                generic.order(match change {
                    Change::AddEndpoint(e) => mptcp_pm::add_request(*family, e),
                    Change::DeleteEndpoint(e) => mptcp_pm::delete_request(*family, e.id),
                    Change::SetFlags(e) => mptcp_pm::flags_request(*family, e.id, e.flags),
                    Change::SetLimits(l) => mptcp_pm::set_limits_request(*family, *l),
                    _ => return Ok(()),
                })
            }
        };
        match result {
            Err(e) if is_so_already(change, e.raw_os_error()) => {
                log::debug!("{change}: {e}, so it is so already");
                Ok(())
            }
            result => result,
        }
    }
}

/// The kernel's way to say that it was built without what is asked for.
fn is_unknown(e: &io::Error) -> bool {
    matches!(e.raw_os_error(), Some(libc::EOPNOTSUPP | libc::EAFNOSUPPORT))
}

/// The kernel's way to say that nothing was left to do.
fn is_so_already(change: &Change, errno: Option<i32>) -> bool {
    match change {
        Change::AddRule(_) => errno == Some(libc::EEXIST),
        Change::DeleteRoute(_) => matches!(errno, Some(libc::ESRCH | libc::ENODEV)),
        Change::DeleteRule(_) => errno == Some(libc::ENOENT),
        // "address not found" is EINVAL (net/mptcp/pm_netlink.c); the next dump shows what is there.
        Change::DeleteEndpoint(_) => errno == Some(libc::EINVAL),
        // 6.18 says EEXIST, 5.15 to 6.1 EINVAL for every reason.
        Change::AddEndpoint(_) => errno == Some(libc::EEXIST),
        _ => false,
    }
}

fn put(world: &mut World, object: Object) {
    match object {
        Object::Link(link) => world.links.push(link),
        Object::Address(address) => world.addresses.push(address),
        Object::Route(route) => world.routes.push(route),
        Object::Rule(rule) => world.rules.push(rule),
    }
}

fn read_link(message: &Message) -> io::Result<Link> {
    match rtnl::decode(message.kind, message.body) {
        Ok(Some(Object::Link(link))) => Ok(link),
        Ok(_) => Err(malformed(crate::wire::Malformed)),
        Err(e) => Err(malformed(e)),
    }
}

fn malformed(e: crate::wire::Malformed) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, e.to_string())
}

/// Rings when a device has changed.
///
/// # Errors
/// What the system says.
pub fn device_bell() -> io::Result<Bell> {
    Bell::open(Protocol::Route, &[RTNLGRP_LINK])
}

/// Hears of changes in the kernel's networking state.
pub struct Changes(Listener);

impl Changes {
    /// Joins the groups of links, addresses, routes and rules.
    pub fn open() -> io::Result<Changes> {
        let groups = [
            RTNLGRP_LINK,
            RTNLGRP_IPV4_IFADDR,
            RTNLGRP_IPV4_ROUTE,
            RTNLGRP_IPV4_RULE,
            RTNLGRP_IPV6_IFADDR,
            RTNLGRP_IPV6_ROUTE,
            RTNLGRP_IPV6_RULE,
        ];
        Listener::open(Protocol::Route, &groups).map(Changes)
    }

    /// Waits until something has changed that may concern WANs. Routes that are no default are passed over.
    pub async fn next(&mut self) -> io::Result<()> {
        loop {
            let mut concerns = false;
            let heard = self
                .0
                .hear(|message| {
                    let decoded = message.and_then(|m| rtnl::decode(m.kind, m.body));
                    match decoded {
                        Ok(object) => concerns |= object.is_some(),
                        Err(e) => log::debug!("{e} in a notification"),
                    }
                })
                .await?;
            if heard == Heard::Overflow {
                log::debug!("notifications were lost, so everything is read anew");
                return Ok(());
            }
            if concerns {
                return Ok(());
            }
        }
    }
}

/// Hears of MPTCP's subflows.
pub struct SubflowEvents(Listener);

impl SubflowEvents {
    /// Joins the group of events; None where the kernel has none. Needs CAP_NET_ADMIN.
    pub fn open(kernel: &Kernel) -> io::Result<Option<SubflowEvents>> {
        kernel.events.map(|group| Listener::open(Protocol::Generic, &[group]).map(SubflowEvents)).transpose()
    }

    /// Waits for events and hands each over, and nothing where some were lost.
    ///
    /// # Errors
    /// What the system says.
    pub async fn hear(&mut self, each: &mut dyn FnMut(Option<&Event>)) -> io::Result<()> {
        let heard = self
            .0
            .hear(|message| match message.and_then(|m| mptcp_pm::event(m.body)) {
                Ok(Some(event)) => each(Some(&event)),
                Ok(None) => {}
                Err(e) => log::debug!("{e} in an MPTCP event"),
            })
            .await?;
        if heard == Heard::Overflow {
            each(None);
        }
        Ok(())
    }
}
