//! Watches the router's default routes, from the kernel's own notifications.
//!
//! Route messages are applied one by one, so that a gap between two of them shows. Routes that the kernel
//! drops with their device are not announced (net/ipv4/fib_frontend.c, fib_disable_ip), so a link or address
//! message leads to a dump.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::failure::{Doing, Result};
use crate::history::History;
use crate::netlink::{Message, Socket, attributes, field};
use crate::ns::Ns;

const RTM_NEWROUTE: u16 = 24;
const RTM_DELROUTE: u16 = 25;
const RTM_GETROUTE: u16 = 26;
const NLM_F_REPLACE: u16 = 0x100;
/// RTNLGRP_LINK, IPV4_IFADDR, IPV4_ROUTE, IPV4_RULE, IPV6_IFADDR and IPV6_ROUTE as a bit mask.
const GROUPS: u32 = 0x1 | 0x10 | 0x40 | 0x80 | 0x100 | 0x400;
const RTN_UNICAST: u8 = 1;
const RT_TABLE_MAIN: u32 = 254;
const RTM_F_CLONED: u32 = 0x200;
/// struct rtmsg: u8 family, dst_len, src_len, tos, table, protocol, scope, type; u32 flags.
const RTMSG: usize = 12;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_PRIORITY: u16 = 6;
const RTA_PREFSRC: u16 = 7;
const RTA_TABLE: u16 = 15;
/// How often an interrupted dump is begun.
const DUMPS: u32 = 10;
/// How often the thread looks whether it should end.
const NAP_MS: u16 = 50;

/// A default route of the main table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DefaultRoute {
    /// IPv6 rather than IPv4.
    pub v6: bool,
    /// The lower one wins.
    pub metric: u32,
    /// The device; [`crate::topology::ifindex`] gives the one of a WAN.
    pub ifindex: u32,
    /// The next hop.
    pub gateway: Option<IpAddr>,
    /// The source address that the route prefers.
    pub prefsrc: Option<IpAddr>,
    /// Who made it (RTPROT_STATIC 4 is netifd).
    pub protocol: u8,
}

/// The default routes of both families, lowest metric first.
pub type DefaultRoutes = Vec<DefaultRoute>;

/// The WAN of the preferred IPv4 default route.
pub fn preferred_wan(routes: &DefaultRoutes) -> Option<usize> {
    let route = routes.iter().find(|route| !route.v6)?;
    (1..=crate::topology::MAX_WANS).find(|wan| crate::topology::ifindex(*wan) == route.ifindex)
}

/// A running watch.
pub struct RouteWatch {
    /// The default routes after each event.
    pub routes: Arc<History<DefaultRoutes>>,
    stop: Arc<AtomicBool>,
}

impl RouteWatch {
    /// Starts to watch a namespace.
    pub fn start(ns: &Ns) -> Result<RouteWatch> {
        let (events, mut dumps) = ns
            .enter(|| std::io::Result::Ok((Socket::route(GROUPS)?, Socket::route(0)?)))
            .doing("watch routes")?;
        let routes = History::new(dump(&mut dumps)?);
        let stop = Arc::new(AtomicBool::new(false));
        let watch = RouteWatch { routes: routes.clone(), stop: stop.clone() };
        ns.thread("route watch", move || run(events, dumps, &routes, &stop))?;
        Ok(watch)
    }

    /// How long after `since` the preferred IPv4 default route was one of `wan`.
    pub fn moved_to(&self, wan: usize, since: Instant, within: Duration) -> Option<Duration> {
        self.routes.wait(since, within, |routes| preferred_wan(routes) == Some(wan))
    }

    /// The first time since then at which there was no IPv4 default route.
    pub fn first_gap(&self, since: Instant) -> Option<Instant> {
        let states = self.routes.since(since);
        states.into_iter().find(|(_, routes)| routes.iter().all(|route| route.v6)).map(|(at, _)| at)
    }
}

impl Drop for RouteWatch {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
    }
}

fn run(mut events: Socket, mut dumps: Socket, history: &History<DefaultRoutes>, stop: &AtomicBool) {
    let mut routes = history.now();
    while !stop.load(Relaxed) {
        let mut fds = [PollFd::new(events.fd().as_fd(), PollFlags::POLLIN)];
        if poll(&mut fds, PollTimeout::from(NAP_MS)).unwrap_or(0) == 0 {
            continue;
        }
        let at = Instant::now();
        // An overflow (ENOBUFS) is followed by a dump, like a link message.
        let Ok(messages) = events.receive() else {
            routes = dump_again(&mut dumps, routes);
            history.push(at, routes.clone());
            continue;
        };
        for message in messages {
            match message.kind {
                RTM_NEWROUTE | RTM_DELROUTE => {
                    let Some(route) = parse(&message) else { continue };
                    apply(&mut routes, &message, route);
                }
                _ => routes = dump_again(&mut dumps, routes),
            }
            history.push(at, routes.clone());
        }
    }
}

fn apply(routes: &mut DefaultRoutes, message: &Message, route: DefaultRoute) {
    let replaces = message.flags & NLM_F_REPLACE != 0;
    routes.retain(|old| {
        let same_key = old.v6 == route.v6 && old.metric == route.metric;
        *old != route && !(replaces && same_key)
    });
    if message.kind == RTM_NEWROUTE {
        routes.push(route);
        routes.sort_by_key(|route| route.metric);
    }
}

/// A dump that a change interrupts is begun again; one that fails for good leaves what was known.
fn dump_again(socket: &mut Socket, known: DefaultRoutes) -> DefaultRoutes {
    (0..DUMPS).find_map(|_| dump(socket).ok()).unwrap_or(known)
}

fn dump(socket: &mut Socket) -> std::io::Result<DefaultRoutes> {
    let mut routes = DefaultRoutes::new();
    for family in [libc::AF_INET, libc::AF_INET6] {
        let mut request = [0; RTMSG];
        request[0] = family as u8;
        routes.extend(socket.request(RTM_GETROUTE, true, &request)?.iter().filter_map(parse));
    }
    routes.sort_by_key(|route| route.metric);
    Ok(routes)
}

/// None if it is not a unicast default route of the main table.
fn parse(message: &Message) -> Option<DefaultRoute> {
    let header: [u8; RTMSG] = field(&message.payload, 0);
    let [family, dst_len, _, _, table, protocol, _, kind, ..] = header;
    let mut route = DefaultRoute {
        v6: i32::from(family) == libc::AF_INET6,
        metric: 0,
        ifindex: 0,
        gateway: None,
        prefsrc: None,
        protocol,
    };
    let mut table = u32::from(table);
    for (kind, value) in attributes(message.payload.get(RTMSG..)?) {
        match kind {
            RTA_OIF => route.ifindex = u32::from_ne_bytes(field(value, 0)),
            RTA_PRIORITY => route.metric = u32::from_ne_bytes(field(value, 0)),
            RTA_TABLE => table = u32::from_ne_bytes(field(value, 0)),
            RTA_GATEWAY => route.gateway = address(value),
            RTA_PREFSRC => route.prefsrc = address(value),
            _ => {}
        }
    }
    let cloned = u32::from_ne_bytes(field(&header, 8)) & RTM_F_CLONED != 0;
    (dst_len == 0 && kind == RTN_UNICAST && table == RT_TABLE_MAIN && !cloned).then_some(route)
}

/// An IPv4 or IPv6 address by its length.
pub(crate) fn address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => Some(Ipv4Addr::from(field::<4>(bytes, 0)).into()),
        16 => Some(Ipv6Addr::from(field::<16>(bytes, 0)).into()),
        _ => None,
    }
}
