//! Watches the router's MPTCP endpoints. The kernel announces no change of them, so a thread asks for the
//! list often, by generic netlink, without a process.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::failure::{Doing, Result};
use crate::history::History;
use crate::netlink::{Socket, attributes, field};
use crate::ns::Ns;
use crate::route_watch::address;

/// How often the list is read: the error of every time taken by this watch.
pub const INTERVAL: Duration = Duration::from_millis(5);

/// Generic netlink (include/uapi/linux/genetlink.h): struct genlmsghdr is u8 command, u8 version, u16 0.
const GENL_ID_CTRL: u16 = 16;
const CTRL_CMD_GETFAMILY: u8 = 3;
const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;
const GENL_HEADER: usize = 4;
/// The path manager's family (include/uapi/linux/mptcp.h).
const FAMILY: &[u8] = b"mptcp_pm\0";
const GET_ADDR: u8 = 3;
const ATTR_ADDR: u16 = 1;
const ADDR_ID: u16 = 2;
const ADDR_V4: u16 = 3;
const ADDR_V6: u16 = 4;
const ADDR_FLAGS: u16 = 6;
const ADDR_IFINDEX: u16 = 7;
const FLAG_BACKUP: u32 = 4;

/// An endpoint of the path manager.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Its number, 1 to 255.
    pub id: u8,
    /// Its address.
    pub address: IpAddr,
    /// All flags (1 signal, 2 subflow, 4 backup, 8 fullmesh).
    pub flags: u32,
    /// The device that its subflows are bound to; 0 is none.
    pub ifindex: u32,
}

impl Endpoint {
    /// Whether its subflows carry data only when no others do.
    pub fn is_backup(&self) -> bool {
        self.flags & FLAG_BACKUP != 0
    }
}

/// A running watch.
pub struct EndpointWatch {
    /// The endpoints after each change, by id.
    pub endpoints: Arc<History<Vec<Endpoint>>>,
    stop: Arc<AtomicBool>,
}

impl EndpointWatch {
    /// Starts to watch a namespace.
    pub fn start(ns: &Ns) -> Result<EndpointWatch> {
        let mut socket = ns.enter(Socket::generic).doing("open generic netlink")?;
        let family = family(&mut socket).doing("find the family mptcp_pm")?;
        let endpoints = History::new(dump(&mut socket, family).doing("list endpoints")?);
        let stop = Arc::new(AtomicBool::new(false));
        let watch = EndpointWatch { endpoints: endpoints.clone(), stop: stop.clone() };
        ns.thread("endpoint watch", move || {
            while !stop.load(Relaxed) {
                sleep(INTERVAL);
                match dump(&mut socket, family) {
                    Ok(now) if now != endpoints.now() => endpoints.push(Instant::now(), now),
                    // An interrupted dump is repeated at the next round.
                    _ => {}
                }
            }
        })?;
        Ok(watch)
    }

    /// How long after `since` no endpoint had this address.
    pub fn removed(&self, address: &str, since: Instant, within: Duration) -> Option<Duration> {
        self.endpoints.wait(since, within, |list| !has(list, address))
    }

    /// The same of what has been seen up to now.
    pub fn was_removed(&self, address: &str, since: Instant) -> Option<Duration> {
        let mut states = self.endpoints.since(since).into_iter();
        states.find(|(_, list)| !has(list, address)).map(|(at, _)| at.saturating_duration_since(since))
    }

    /// How long after `since` an endpoint had this address.
    pub fn present(&self, address: &str, since: Instant, within: Duration) -> Option<Duration> {
        self.endpoints.wait(since, within, |list| has(list, address))
    }
}

impl Drop for EndpointWatch {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
    }
}

fn has(list: &[Endpoint], address: &str) -> bool {
    list.iter().any(|endpoint| endpoint.address.to_string() == address)
}

fn family(socket: &mut Socket) -> io::Result<u16> {
    let mut request = vec![CTRL_CMD_GETFAMILY, 1, 0, 0];
    request.extend(((4 + FAMILY.len()) as u16).to_ne_bytes());
    request.extend(CTRL_ATTR_FAMILY_NAME.to_ne_bytes());
    request.extend(FAMILY);
    request.resize(request.len().next_multiple_of(4), 0);
    let answers = socket.request(GENL_ID_CTRL, false, &request)?;
    let id = answers
        .iter()
        .flat_map(|answer| attributes(answer.payload.get(GENL_HEADER..).unwrap_or_default()))
        .find(|(kind, _)| *kind == CTRL_ATTR_FAMILY_ID);
    id.map(|(_, value)| u16::from_ne_bytes(field(value, 0))).ok_or(io::ErrorKind::NotFound.into())
}

fn dump(socket: &mut Socket, family: u16) -> io::Result<Vec<Endpoint>> {
    let answers = socket.request(family, true, &[GET_ADDR, 1, 0, 0])?;
    let nests = answers
        .iter()
        .flat_map(|answer| attributes(answer.payload.get(GENL_HEADER..).unwrap_or_default()))
        .filter(|(kind, _)| *kind == ATTR_ADDR);
    Ok(nests.filter_map(|(_, nest)| parse(nest)).collect())
}

fn parse(nest: &[u8]) -> Option<Endpoint> {
    let (mut id, mut flags, mut ifindex, mut found) = (0, 0, 0, None);
    for (kind, value) in attributes(nest) {
        match kind {
            ADDR_ID => [id] = field(value, 0),
            ADDR_FLAGS => flags = u32::from_ne_bytes(field(value, 0)),
            ADDR_IFINDEX => ifindex = u32::from_ne_bytes(field(value, 0)),
            ADDR_V4 | ADDR_V6 => found = address(value),
            _ => {}
        }
    }
    Some(Endpoint { id, address: found?, flags, ifindex })
}
