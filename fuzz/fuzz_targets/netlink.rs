//! A datagram of rtnetlink: framing, then each message by its type.
#![no_main]

use bsbf_fuzz::body;
use bsbf_fuzz::types::Metric;
use bsbf_fuzz::wire::nl::{Attrs, Messages, errno};
use bsbf_fuzz::wire::rtnl::{
    Address, DELROUTE, Family, Link, NEWROUTE, NEWRULE, Object, Route, RouteOp, Rule, decode, route_request,
    rule_request,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|datagram: &[u8]| {
    let mut room = datagram.len();
    let mut ended = false;
    for message in Messages(datagram) {
        assert!(!ended, "nothing comes after a malformed message");
        let Ok(message) = message else {
            ended = true;
            continue;
        };
        let used = message.body.len() + 16;
        assert!(used <= room, "bodies overlap or leave the datagram");
        room -= used;
        attributes(message.body);
        if let Ok(number) = errno(message.body) {
            // The kernel's are 0 to -4095; what is none must not become an acknowledgement.
            assert_eq!(number == 0, message.body[..4] == [0; 4]);
        }
        match decode(message.kind, message.body) {
            Ok(Some(object)) => check(&object, message.body),
            Ok(None) | Err(_) => {}
        }
    }
});

fn attributes(bytes: &[u8]) {
    let mut room = bytes.len();
    for (_, payload) in Attrs(bytes).map_while(Result::ok) {
        let used = payload.len() + 4;
        assert!(used <= room, "attributes overlap or leave the message");
        room -= used;
    }
}

fn check(object: &Object, body: &[u8]) {
    match object {
        Object::Link(link) => check_link(link, body),
        Object::Address(address) => check_address(address),
        Object::Route(route) => check_route(route),
        Object::Rule(rule) => check_rule(rule),
    }
}

fn check_link(link: &Link, body: &[u8]) {
    let name = link.name.as_str();
    assert_eq!(name.parse().as_ref(), Ok(&link.name));
    assert!(body.windows(name.len()).any(|w| w == name.as_bytes()), "a name that was not told");
    assert_eq!(link.index.0.to_ne_bytes(), body[4..8]);
}

fn check_address(address: &Address) {
    let family = Family::of(address.local);
    assert!(address.peer.is_none_or(|peer| Family::of(peer) == family && peer != address.local));
}

/// What is read as a route is given back to the kernel as the same route.
fn check_route(route: &Route) {
    // A route of a next-hop object is sent by the object's number alone.
    let sent = match route.nexthop_id {
        Some(_) => Route { gateway: None, oif: None, ..route.clone() },
        None => route.clone(),
    };
    for op in [RouteOp::Add, RouteOp::Replace] {
        let again = decode(NEWROUTE, &body(route_request(op, route)));
        assert_eq!(again, Ok(Some(Object::Route(sent.clone()))), "{op:?}");
    }
    let key = Route { rest: Vec::new(), ..sent };
    assert_eq!(decode(DELROUTE, &body(route_request(RouteOp::Delete, route))), Ok(Some(Object::Route(key))));
    let moved = Route { metric: Metric(route.metric.0 ^ 1), table: 5201, ..route.clone() };
    assert!(moved.same_path(route) && route.same_path(&moved));
}

fn check_rule(rule: &Rule) {
    for add in [true, false] {
        let again = decode(NEWRULE, &body(rule_request(add, rule)));
        assert_eq!(again, Ok(Some(Object::Rule(rule.clone()))));
    }
}
