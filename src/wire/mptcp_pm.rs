//! The generic netlink family `mptcp_pm`: endpoints, limits, events
//! (uapi/linux/mptcp.h, Documentation/netlink/specs/mptcp_pm.yaml, net/mptcp/pm_netlink.c).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Malformed;
use super::nl::{self, Attrs, Request};
use super::rtnl::{Family, octets};
use crate::types::{EndpointId, IfIndex};

/// Name of the family.
pub const FAMILY: &str = "mptcp_pm";
/// Name of its group of events.
pub const EVENTS: &str = "mptcp_pm_events";
/// The kernel keeps at most this many endpoints (MPTCP_PM_ADDR_MAX) and takes no higher limit.
pub const MAX: usize = 8;

const GENL_ID_CTRL: u16 = 16;
const CTRL_CMD_GETFAMILY: u8 = 3;
const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;
const CTRL_ATTR_MCAST_GROUPS: u16 = 7;
const CTRL_ATTR_MCAST_GRP_NAME: u16 = 1;
const CTRL_ATTR_MCAST_GRP_ID: u16 = 2;

const VERSION: u8 = 1;
const CMD_ADD_ADDR: u8 = 1;
const CMD_DEL_ADDR: u8 = 2;
const CMD_GET_ADDR: u8 = 3;
const CMD_SET_LIMITS: u8 = 5;
const CMD_GET_LIMITS: u8 = 6;
const CMD_SET_FLAGS: u8 = 7;
const EVENT_CREATED: u8 = 1;
const EVENT_CLOSED: u8 = 3;
const EVENT_SUB_ESTABLISHED: u8 = 10;
const EVENT_SUB_CLOSED: u8 = 11;

const ATTR_ADDR: u16 = 1;
const ATTR_RCV_ADD_ADDRS: u16 = 2;
const ATTR_SUBFLOWS: u16 = 3;
const ADDR_FAMILY: u16 = 1;
const ADDR_ID: u16 = 2;
const ADDR_ADDR4: u16 = 3;
const ADDR_ADDR6: u16 = 4;
const ADDR_FLAGS: u16 = 6;
const ADDR_IF_IDX: u16 = 7;
const EVENT_TOKEN: u16 = 1;
const EVENT_SADDR4: u16 = 5;
const EVENT_SADDR6: u16 = 6;
const EVENT_SPORT: u16 = 9;
const EVENT_ERROR: u16 = 12;
const EVENT_SERVER_SIDE: u16 = 18;

/// A client opens an extra subflow from this address.
pub const FLAG_SUBFLOW: u32 = 2;
/// Its subflows have backup priority.
pub const FLAG_BACKUP: u32 = 4;
/// Made by the kernel itself; never ours.
pub const FLAG_IMPLICIT: u32 = 16;

/// The flags by name, lowest bit first (MPTCP_PM_ADDR_FLAG_ in uapi/linux/mptcp.h).
const FLAG_NAMES: [&str; 6] = ["signal", "subflow", "backup", "fullmesh", "implicit", "laminar"];

/// The names of the flags that are set; of a bit that we do not know, its number.
pub fn flag_names(flags: u32) -> Vec<String> {
    let set = (0..32usize).filter(|bit| flags & (1 << bit) != 0);
    set.map(|bit| FLAG_NAMES.get(bit).map_or_else(|| format!("bit{bit}"), |name| name.to_string())).collect()
}

/// An address that the path manager may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The kernel's number; ignored when adding.
    pub id: EndpointId,
    /// The address: the kernel's key, one endpoint for each.
    pub address: IpAddr,
    /// The device its subflows are bound to.
    pub index: Option<IfIndex>,
    /// FLAG_ bits.
    pub flags: u32,
}

/// How many extra subflows a connection may have, and how many announced addresses it follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Extra subflows, beside the first.
    pub subflows: u32,
    /// ADD_ADDR accepted.
    pub add_addr_accepted: u32,
}

/// What an event tells of a connection that this machine has begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The other end has answered with MPTCP, on the first subflow. One that came to be plain TCP has no such event.
    Created(Subflow),
    /// Another subflow has joined it.
    Joined(Subflow),
    /// A subflow ended. A join that was refused, or whose answer was no MPTCP, ends without having joined.
    Ended {
        /// Which.
        subflow: Subflow,
        /// errno of its end; 0 for an orderly one.
        error: u8,
    },
    /// The connection ended; its token.
    Closed(u32),
}

/// A subflow, as an event names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subflow {
    /// The connection's number on this machine.
    pub token: u32,
    /// Our address on it.
    pub source: IpAddr,
    /// And our port.
    pub port: u16,
}

/// The request for a family's number.
pub fn family_request(name: &str) -> Request {
    let mut name = name.as_bytes().to_vec();
    name.push(0);
    Request::new(GENL_ID_CTRL, 0, &[CTRL_CMD_GETFAMILY, 1, 0, 0]).attr(CTRL_ATTR_FAMILY_NAME, &name)
}

/// The family's number, and the number of its group `group`, from the controller's answer.
pub fn family(body: &[u8], group: &str) -> Result<(u16, Option<u32>), Malformed> {
    let (mut id, mut group_id) = (None, None);
    for attr in Attrs(body.get(4..).ok_or(Malformed)?) {
        match attr? {
            (CTRL_ATTR_FAMILY_ID, payload) => id = Some(nl::u16_at(payload, 0)?),
            (CTRL_ATTR_MCAST_GROUPS, groups) => {
                for entry in Attrs(groups) {
                    let (mut name, mut number) = ("", None);
                    for field in Attrs(entry?.1) {
                        match field? {
                            (CTRL_ATTR_MCAST_GRP_NAME, payload) => name = nl::text(payload)?,
                            (CTRL_ATTR_MCAST_GRP_ID, payload) => number = Some(nl::u32_at(payload, 0)?),
                            _ => {}
                        }
                    }
                    if name == group {
                        group_id = number;
                    }
                }
            }
            _ => {}
        }
    }
    Ok((id.ok_or(Malformed)?, group_id))
}

fn command(family: u16, command: u8, flags: i32) -> Request {
    Request::new(family, flags as u16, &[command, VERSION, 0, 0])
}

/// The request that adds an endpoint.
pub fn add_request(family: u16, endpoint: &Endpoint) -> Request {
    command(family, CMD_ADD_ADDR, 0).nest(ATTR_ADDR, |out| {
        let af = u16::from(Family::of(endpoint.address).af());
        nl::push_attr(out, ADDR_FAMILY, &af.to_ne_bytes());
        nl::push_attr(out, ADDR_FLAGS, &endpoint.flags.to_ne_bytes());
        if let Some(index) = endpoint.index {
            nl::push_attr(out, ADDR_IF_IDX, &index.0.to_ne_bytes());
        }
        let kind = if endpoint.address.is_ipv4() { ADDR_ADDR4 } else { ADDR_ADDR6 };
        nl::push_attr(out, kind, &octets(endpoint.address));
    })
}

/// The request that deletes an endpoint: its subflows close on every connection.
pub fn delete_request(family: u16, id: EndpointId) -> Request {
    command(family, CMD_DEL_ADDR, 0).nest(ATTR_ADDR, |out| nl::push_attr(out, ADDR_ID, &[id.0]))
}

/// The request that sets an endpoint's flags. The kernel overwrites BACKUP and FULLMESH both.
pub fn flags_request(family: u16, id: EndpointId, flags: u32) -> Request {
    command(family, CMD_SET_FLAGS, 0).nest(ATTR_ADDR, |out| {
        nl::push_attr(out, ADDR_ID, &[id.0]);
        nl::push_attr(out, ADDR_FLAGS, &flags.to_ne_bytes());
    })
}

/// The request for all endpoints.
pub fn dump_request(family: u16) -> Request {
    command(family, CMD_GET_ADDR, libc::NLM_F_DUMP)
}

/// The request for the limits.
pub fn get_limits_request(family: u16) -> Request {
    command(family, CMD_GET_LIMITS, 0)
}

/// The request that sets the limits.
pub fn set_limits_request(family: u16, limits: Limits) -> Request {
    command(family, CMD_SET_LIMITS, 0)
        .attr_u32(ATTR_RCV_ADD_ADDRS, limits.add_addr_accepted)
        .attr_u32(ATTR_SUBFLOWS, limits.subflows)
}

/// An endpoint from a dump's answer.
pub fn endpoint(body: &[u8]) -> Result<Endpoint, Malformed> {
    let (mut id, mut address, mut index, mut flags) = (None, None, None, 0);
    for attr in Attrs(body.get(4..).ok_or(Malformed)?) {
        let (ATTR_ADDR, nest) = attr? else { continue };
        for field in Attrs(nest) {
            match field? {
                (ADDR_ID, payload) => id = Some(EndpointId(nl::u8_at(payload, 0)?)),
                (ADDR_FLAGS, payload) => flags = nl::u32_at(payload, 0)?,
                (ADDR_IF_IDX, payload) => {
                    index = Some(nl::u32_at(payload, 0)?).filter(|&i| i != 0).map(IfIndex);
                }
                (ADDR_ADDR4, payload) => address = Some(v4(payload)?),
                (ADDR_ADDR6, payload) => address = Some(v6(payload)?),
                _ => {}
            }
        }
    }
    Ok(Endpoint { id: id.ok_or(Malformed)?, address: address.ok_or(Malformed)?, index, flags })
}

/// The limits from the kernel's answer.
pub fn limits(body: &[u8]) -> Result<Limits, Malformed> {
    let mut limits = Limits { subflows: 0, add_addr_accepted: 0 };
    for attr in Attrs(body.get(4..).ok_or(Malformed)?) {
        match attr? {
            (ATTR_RCV_ADD_ADDRS, payload) => limits.add_addr_accepted = nl::u32_at(payload, 0)?,
            (ATTR_SUBFLOWS, payload) => limits.subflows = nl::u32_at(payload, 0)?,
            _ => {}
        }
    }
    Ok(limits)
}

/// What an event tells; nothing of those that do not concern us, nor of connections that others began with this machine.
pub fn event(body: &[u8]) -> Result<Option<Event>, Malformed> {
    let what = nl::u8_at(body, 0)?;
    let (mut token, mut source, mut port, mut error, mut theirs) = (None, None, 0, 0, false);
    for attr in Attrs(body.get(4..).ok_or(Malformed)?) {
        match attr? {
            (EVENT_TOKEN, payload) => token = Some(nl::u32_at(payload, 0)?),
            (EVENT_SADDR4, payload) => source = Some(v4(payload)?),
            (EVENT_SADDR6, payload) => source = Some(v6(payload)?),
            (EVENT_SPORT, payload) => port = u16::from_be_bytes(nl::array(payload, 0)?),
            (EVENT_ERROR, payload) => error = nl::u8_at(payload, 0)?,
            (EVENT_SERVER_SIDE, payload) => theirs = nl::u8_at(payload, 0)? != 0,
            _ => {}
        }
    }
    let Some(token) = token.filter(|_| !theirs) else { return Ok(None) };
    let subflow = source.map(|source| Subflow { token, source, port });
    Ok(match (what, subflow) {
        (EVENT_CLOSED, _) => Some(Event::Closed(token)),
        (EVENT_CREATED, Some(subflow)) => Some(Event::Created(subflow)),
        (EVENT_SUB_ESTABLISHED, Some(subflow)) => Some(Event::Joined(subflow)),
        (EVENT_SUB_CLOSED, Some(subflow)) => Some(Event::Ended { subflow, error }),
        _ => None,
    })
}

fn v4(payload: &[u8]) -> Result<IpAddr, Malformed> {
    Ok(IpAddr::V4(Ipv4Addr::from(nl::array::<4>(payload, 0)?)))
}

fn v6(payload: &[u8]) -> Result<IpAddr, Malformed> {
    Ok(IpAddr::V6(Ipv6Addr::from(nl::array::<16>(payload, 0)?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sample() -> Endpoint {
        Endpoint {
            id: EndpointId(1),
            address: "192.0.2.1".parse().unwrap(),
            index: Some(IfIndex(3)),
            flags: FLAG_SUBFLOW,
        }
    }

    /// As iproute2 6.1 sends them (strace, little endian), the family's number being 0x1f here.
    #[cfg(target_endian = "little")]
    #[test]
    fn requests_are_byte_for_byte_those_of_iproute2() {
        let body = |request: Request| {
            let bytes = request.finish(1);
            bytes[16..].iter().map(|b| format!("{b:02x}")).collect::<String>()
        };
        assert_eq!(
            body(add_request(0x1f, &sample())),
            "010100002400018006000100020000000800060002000000080007000300000008000300c0000201"
        );
        assert_eq!(
            body(flags_request(0x1f, EndpointId(1), FLAG_BACKUP)),
            "070100001400018005000200010000000800060004000000"
        );
        assert_eq!(body(delete_request(0x1f, EndpointId(1))), "020100000c0001800500020001000000");
        assert_eq!(
            body(set_limits_request(0x1f, Limits { subflows: 8, add_addr_accepted: 0 })),
            "0501000008000200000000000800030008000000"
        );
        assert_eq!(body(family_request(FAMILY)), "030100000d0002006d707463705f706d00000000");
    }

    #[test]
    fn an_endpoint_reads_back() {
        let mut body = vec![CMD_GET_ADDR, 1, 0, 0];
        let mut nest = Vec::new();
        nl::push_attr(&mut nest, ADDR_ID, &[1]);
        nl::push_attr(&mut nest, ADDR_FLAGS, &FLAG_SUBFLOW.to_ne_bytes());
        nl::push_attr(&mut nest, ADDR_IF_IDX, &3u32.to_ne_bytes());
        nl::push_attr(&mut nest, ADDR_ADDR4, &[192, 0, 2, 1]);
        nl::push_attr(&mut body, ATTR_ADDR, &nest);
        assert_eq!(endpoint(&body), Ok(sample()));
    }

    /// As Linux 6.18 told of a join that a box on its way had answered with a reset.
    #[test]
    fn events_are_read() {
        let mut body = vec![EVENT_SUB_CLOSED, 1, 0, 0];
        let mut put = |kind, payload: &[u8]| nl::push_attr(&mut body, kind, payload);
        put(EVENT_TOKEN, &7u32.to_ne_bytes());
        put(EVENT_SADDR4, &[192, 0, 2, 1]);
        put(EVENT_SPORT, &[0x88, 0x6f]);
        put(EVENT_ERROR, &[111]);
        let subflow = Subflow { token: 7, source: sample().address, port: 34927 };
        assert_eq!(event(&body), Ok(Some(Event::Ended { subflow, error: 111 })));
        body[0] = EVENT_CREATED;
        assert_eq!(event(&body), Ok(Some(Event::Created(subflow))));
        body[0] = EVENT_CLOSED;
        assert_eq!(event(&body), Ok(Some(Event::Closed(7))));
        nl::push_attr(&mut body, EVENT_SERVER_SIDE, &[1]);
        assert_eq!(event(&body), Ok(None));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
            let _ = (endpoint(&bytes), limits(&bytes), event(&bytes), family(&bytes, EVENTS));
        }
    }
}
