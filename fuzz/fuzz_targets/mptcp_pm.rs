//! The body of a generic netlink message of the path manager, or of the controller.
#![no_main]

use bsbf_fuzz::body;
use bsbf_fuzz::types::EndpointId;
use bsbf_fuzz::wire::mptcp_pm::{
    EVENTS, Endpoint, Event, FAMILY, add_request, endpoint, event, family, family_request, limits,
    set_limits_request,
};
use bsbf_fuzz::wire::nl::{Attrs, push_attr};
use libfuzzer_sys::fuzz_target;

/// MPTCP_PM_ATTR_ADDR and MPTCP_PM_ADDR_ATTR_ID (uapi/linux/mptcp.h).
const ATTR_ADDR: u16 = 1;
const ADDR_ID: u16 = 2;
/// MPTCP_EVENT_SUB_CLOSED.
const SUB_CLOSED: u8 = 11;

fuzz_target!(|message: &[u8]| {
    if let Ok(found) = endpoint(message) {
        assert_eq!(endpoint(&as_dumped(&found)), Ok(found));
    }
    if let Ok(found) = limits(message) {
        assert_eq!(limits(&body(set_limits_request(0x1f, found))), Ok(found));
    }
    if let Ok(Some(Event::Ended { .. })) = event(message) {
        assert_eq!(message[0], SUB_CLOSED);
    }
    let _ = family(message, EVENTS);
    // A name from outside is never sent, but the request must hold any.
    if let Ok(name) = std::str::from_utf8(message) {
        let length = if name.len() < 16 { name.len() } else { 0 };
        let request = body(family_request(name.get(..length).unwrap_or(FAMILY)));
        assert!(Attrs(&request[4..]).all(|attr| attr.is_ok()));
    }
});

/// Our request that adds the endpoint, with the number that the kernel would give it.
fn as_dumped(endpoint: &Endpoint) -> Vec<u8> {
    let request = body(add_request(0x1f, endpoint));
    let Some(Ok((ATTR_ADDR, nest))) = Attrs(&request[4..]).next() else { panic!("no address") };
    let mut nest = nest.to_vec();
    let EndpointId(id) = endpoint.id;
    push_attr(&mut nest, ADDR_ID, &[id]);
    let mut dumped = request[..4].to_vec();
    push_attr(&mut dumped, ATTR_ADDR, &nest);
    dumped
}
