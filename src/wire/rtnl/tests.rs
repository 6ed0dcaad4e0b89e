//! Vectors: iproute2 6.1 against Linux 6.18 on a little-endian machine (strace), unless a line says otherwise.

use super::*;
use proptest::prelude::*;

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        text.chars().filter_map(|c| c.to_digit(16)).map(|d| u8::try_from(d).unwrap()).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn static_route() -> Route {
    Route {
        family: Family::V4,
        table: TABLE_MAIN,
        protocol: libc::RTPROT_STATIC,
        scope: 0,
        tos: 0,
        flags: 0,
        metric: Metric(12),
        oif: Some(IfIndex(3)),
        gateway: Some("192.0.2.1".parse().unwrap()),
        prefsrc: Some("192.0.2.2".parse().unwrap()),
        source: None,
        nexthop_id: None,
        rest: Vec::new(),
    }
}

#[cfg(target_endian = "little")]
#[test]
fn what_iproute2_sends_reads_as_our_route() {
    // ip route add default via 192.0.2.1 dev X proto static src 192.0.2.2 metric 12
    let body =
        hex("02000000 fe040001 00000000 08000500c0000201 08000700c0000202 080006000c000000 0800040003000000");
    assert_eq!(decode(NEWROUTE, &body), Ok(Some(Object::Route(static_route()))));
}

#[test]
fn an_added_route_reads_back_whole_with_attributes_unknown_to_us() {
    let mut route = static_route();
    route.flags = 4; // RTNH_F_ONLINK
    route.table = 5201;
    nl::push_attr(&mut route.rest, libc::RTA_METRICS, &[8, 0, 2, 0, 0x80, 5, 0, 0]);
    nl::push_attr(&mut route.rest, 200, b"from a later kernel");
    for op in [RouteOp::Add, RouteOp::Replace] {
        let bytes = route_request(op, &route).finish(1);
        let message = nl::Messages(&bytes).next().unwrap().unwrap();
        assert_eq!(decode(message.kind, message.body), Ok(Some(Object::Route(route.clone()))), "{op:?}");
    }
}

#[test]
fn flags_that_the_kernel_only_reports_are_not_sent_back() {
    let bytes = route_request(RouteOp::Add, &Route { flags: 4, ..static_route() }).finish(1);
    let mut body = nl::Messages(&bytes).next().unwrap().unwrap().body.to_vec();
    body[8..12].copy_from_slice(&(4u32 | 16 | 1).to_ne_bytes()); // ONLINK, LINKDOWN, DEAD
    let Ok(Some(Object::Route(route))) = decode(NEWROUTE, &body) else { panic!("no route") };
    assert_eq!(route.flags, 4);
}

#[test]
fn routes_that_are_no_unicast_default_are_passed_over() {
    let bytes = route_request(RouteOp::Add, &static_route()).finish(1);
    let body = nl::Messages(&bytes).next().unwrap().unwrap().body.to_vec();
    let changed = |offset: usize, value: u8| {
        let mut body = body.clone();
        body[offset] = value;
        decode(NEWROUTE, &body)
    };
    assert_eq!(changed(1, 24), Ok(None), "a prefix");
    assert_eq!(changed(7, 6), Ok(None), "a blackhole route");
    assert_eq!(changed(0, 128), Ok(None), "another family");
}

fn rule() -> Rule {
    Rule {
        priority: 5101,
        source: "192.0.2.2".parse().unwrap(),
        mask: 0xffff_fff8,
        table: 5201,
        no_default: false,
    }
}

#[test]
fn a_rule_of_ours_reads_back_and_one_of_others_is_passed_over() {
    let v6 = Rule { source: "2001:db8::2".parse().unwrap(), no_default: true, ..rule() };
    for rule in [rule(), v6.clone(), Rule { mask: 0, ..v6 }] {
        let bytes = rule_request(true, &rule).finish(1);
        let message = nl::Messages(&bytes).next().unwrap().unwrap();
        assert_eq!(decode(NEWRULE, message.body), Ok(Some(Object::Rule(rule))));
        let mut foreign = message.body.to_vec();
        let at = foreign.iter().rposition(|&b| b == RTPROT_BSBF).unwrap();
        foreign[at] = 4;
        assert_eq!(decode(NEWRULE, &foreign), Ok(None));
    }
}

#[cfg(target_endian = "little")]
#[test]
fn what_the_kernel_dumps_of_rules_reads_as_the_rules_that_were_asked_for() {
    // ip rule add from 192.0.2.2 fwmark 0/0xfffffff8 lookup 5201 pref 5101 protocol 152
    let ours =
        hex("02002000fc000001 00000000 08000f0051140000 08000e00ffffffff 0500150098000000 08000600ed130000 \
         08001000f8ffffff 08000200c0000202");
    assert_eq!(decode(NEWRULE, &ours), Ok(Some(Object::Rule(rule()))));
    // mwan3's: iif wan1 lookup 1; fwmark 0x100/0x3f00 lookup 1; fwmark 0x100/0x3f00 unreachable.
    let mwan3 = [
        "0200000001000001 08000000 08000f0001000000 08000e00ffffffff 0500150000000000 0900030077616e3100000000 \
         08000600e9030000",
        "0200000001000001 00000000 08000f0001000000 08000e00ffffffff 0500150000000000 08000600d1070000 \
         08000a0000010000 08001000003f0000",
        "0200000000000007 00000000 08000f0000000000 08000e00ffffffff 0500150000000000 08000600b90b0000 \
         08000a0000010000 08001000003f0000",
    ];
    let read = mwan3.map(|text| any_rule(&hex(text)).unwrap().unwrap());
    assert_eq!(read.each_ref().map(|r| r.iif.as_ref().map(|name| name.as_str())), [Some("wan1"), None, None]);
    assert_eq!(any_rule(&ours).unwrap().unwrap().source, Some(("192.0.2.2".parse().unwrap(), 32)));
    let seen = read.map(|r| (r.priority, r.action, r.mark, r.mask, r.table, r.inverted));
    assert_eq!(
        seen,
        [
            (1001, TO_TABLE, 0, 0, 1, false),
            (2001, TO_TABLE, 0x100, 0x3f00, 1, false),
            (3001, 7, 0x100, 0x3f00, 0, false)
        ]
    );
    // ip rule add not fwmark 51820 pref 32000 lookup 51820
    let not =
        hex("02000000fc000001 02000000 08000f006cca0000 08000e00ffffffff 0500150000000000 08000600007d0000 \
         08000a006cca0000 08001000ffffffff");
    assert!(any_rule(&not).unwrap().unwrap().inverted);
    assert!(mwan3.iter().all(|text| decode(NEWRULE, &hex(text)) == Ok(None)));
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(kind in 16u16..36, bytes in proptest::collection::vec(any::<u8>(), 0..160)) {
        let _ = (decode(kind, &bytes), any_rule(&bytes));
    }

    #[test]
    fn every_rule_of_ours_reads_back(
        priority in any::<u32>(), table in any::<u32>(), mask in any::<u32>(), no_default in any::<bool>(),
        source in any::<std::net::IpAddr>(),
    ) {
        let rule = Rule { priority, source, mask, table, no_default };
        let bytes = rule_request(true, &rule).finish(1);
        let body = nl::Messages(&bytes).next().unwrap().unwrap().body;
        prop_assert_eq!(decode(NEWRULE, body), Ok(Some(Object::Rule(rule))));
        let any = any_rule(body).unwrap().unwrap();
        prop_assert_eq!((any.mark, any.mask, any.protocol), (0, mask, RTPROT_BSBF));
    }

    #[test]
    fn truncated_messages_never_panic(cut in 0usize..80) {
        let bytes = route_request(RouteOp::Add, &static_route()).finish(1);
        let _ = decode(NEWROUTE, &bytes[16..bytes.len() - cut.min(bytes.len() - 16)]);
    }
}
