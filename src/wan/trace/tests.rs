use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::*;
use crate::config::options;
use crate::testing::ModelKernel;
use crate::types::{EndpointId, IfIndex, Metric, Time};
use crate::wan::liveness::{Method, Probe, State};
use crate::wan::mind::Action;
use crate::wan::mind::Event;
use crate::wan::mptcp::Mptcp;
use crate::wan::record::Reason;
use crate::wan::settings::Settings;
use crate::wan::world::Memory;
use crate::wan::world::{Moved, World};
use crate::wire::mptcp_pm::{Endpoint, Limits};
use crate::wire::rtnl::{Address, Family, Link, Route, Rule};

fn read_all(text: &[u8]) -> Result<Vec<(Time, Entry)>, BadLine> {
    Reader::new(text, options::set)?.collect()
}

/// Entries as text: what is compared has no equality of its own.
fn told(entries: &[(Time, Entry)]) -> Vec<String> {
    entries.iter().map(|(at, entry)| format!("{} {entry:?}", at.0)).collect()
}

fn ip() -> impl Strategy<Value = std::net::IpAddr> {
    prop_oneof![any::<[u8; 4]>().prop_map(Into::into), any::<[u8; 16]>().prop_map(Into::into)]
}

fn link() -> impl Strategy<Value = Link> {
    (any::<u32>(), "[a-z,=+|.-]{3,15}", any::<(bool, bool, u16)>(), "[ -~]{0,16}").prop_map(
        |(index, name, (up, carrier, arphrd), kind)| Link {
            index: IfIndex(index),
            name: name.parse().unwrap(),
            up,
            carrier,
            kind: heapless::String::try_from(kind.replace(' ', "").as_str()).unwrap(),
            arphrd,
            rx_bytes: 0,
            tx_bytes: 0,
        },
    )
}

fn route() -> impl Strategy<Value = Route> {
    let numbers = any::<(bool, u32, u8, u8, u8, u32, u32)>();
    let ways = (option::of(any::<u32>()), option::of(ip()), option::of(ip()));
    let rest = (option::of(any::<([u8; 16], u8)>()), option::of(any::<u32>()), vec(any::<u8>(), 0..20));
    (numbers, ways, rest).prop_map(|(numbers, (oif, gateway, prefsrc), (source, nexthop_id, rest))| {
        let (v4, table, protocol, scope, tos, flags, metric) = numbers;
        Route {
            family: if v4 { Family::V4 } else { Family::V6 },
            table,
            protocol,
            scope,
            tos,
            flags,
            metric: Metric(metric),
            oif: oif.map(IfIndex),
            gateway,
            prefsrc,
            source: source.map(|(address, len)| (address.into(), len)),
            nexthop_id,
            rest,
        }
    })
}

fn address() -> impl Strategy<Value = Address> {
    (any::<(u32, u8, u8, u32)>(), ip(), option::of(ip())).prop_map(
        |((index, prefix, scope, flags), local, peer)| Address {
            index: IfIndex(index),
            local,
            peer,
            prefix,
            scope,
            flags,
        },
    )
}

fn world() -> impl Strategy<Value = World> {
    let rule =
        (any::<(u32, u32, bool, u32)>(), ip()).prop_map(|((priority, table, no_default, mask), source)| {
            Rule { priority, source, table, no_default, mask }
        });
    let endpoint =
        (any::<(u8, u32)>(), option::of(any::<u32>()), ip()).prop_map(|((id, flags), index, address)| {
            Endpoint { id: EndpointId(id), address, index: index.map(IfIndex), flags }
        });
    let limits =
        any::<(u32, u32)>().prop_map(|(subflows, add_addr_accepted)| Limits { subflows, add_addr_accepted });
    let ours = (vec(rule, 0..3), option::of(vec(endpoint, 0..3)), option::of(limits));
    (vec(link(), 0..4), vec(address(), 0..4), vec(route(), 0..5), ours, vec(any::<u32>(), 0..3)).prop_map(
        |(links, addresses, routes, (rules, endpoints, limits), modems)| World {
            links,
            addresses,
            routes,
            rules,
            endpoints,
            limits,
            modems: modems.into_iter().map(IfIndex).collect(),
        },
    )
}

fn memory() -> impl Strategy<Value = Memory> {
    let moved = (link(), option::of(ip()), any::<(bool, u32, u8)>()).prop_map(
        |(link, gateway, (v4, metric, protocol))| Moved {
            name: link.name,
            gateway,
            family: if v4 { Family::V4 } else { Family::V6 },
            metric: Metric(metric),
            protocol,
        },
    );
    (vec(moved, 0..3), vec(ip(), 0..3)).prop_map(|(moved, endpoints)| Memory { moved, endpoints })
}

fn entry() -> impl Strategy<Value = Entry> {
    let counters = vec(any::<(u32, u64, u64)>(), 0..=8).prop_map(|mut list| {
        // A reading has each device once.
        list.sort_by_key(|(index, ..)| *index);
        list.dedup_by_key(|(index, ..)| *index);
        Event::Counters(list.into_iter().map(|(index, rx, tx)| (IfIndex(index), rx, tx)).collect())
    });
    let few_counters = vec((0u32..3, any::<(u64, u64)>()), 1..2).prop_map(|list| {
        Event::Counters(list.into_iter().map(|(index, (rx, tx))| (IfIndex(index), rx, tx)).collect())
    });
    let event = prop_oneof![
        world().prop_map(Event::World),
        any::<(u32, u16)>().prop_map(|(index, seq)| Event::Answer { index: IfIndex(index), seq }),
        counters,
        few_counters,
        ip().prop_map(Event::SubflowFailed),
        (
            any::<u32>(),
            option::of(prop_oneof![Just(Mptcp::Passes), Just(Mptcp::Stripped), Just(Mptcp::Dropped)])
        )
            .prop_map(|(index, found)| Event::Mptcp(IfIndex(index), found)),
        link().prop_map(|link| Event::Release(link.name)),
        link().prop_map(|link| Event::Keep(link.name)),
        (2usize..40, 10u64..3_600_000).prop_map(|(lost, interval)| {
            let interval = std::time::Duration::from_millis(interval);
            Event::Settings(Box::new(Settings { lost, interval, ..Settings::default() }))
        }),
        Just(Event::Tick),
    ];
    let probe = any::<(u32, u16, u8, bool)>().prop_map(|(index, seq, target, icmp)| {
        let method = if icmp { Method::Icmp } else { Method::Tcp };
        Entry::Probe(IfIndex(index), Probe { seq, target, method })
    });
    prop_oneof![4 => event.prop_map(Entry::Event), 1 => memory().prop_map(Entry::Recall), 2 => probe]
}

fn write(memory: &Memory, entries: &[(Time, Entry)], start: Time) -> String {
    let mut writer = Writer::new("bond", &Settings::default(), memory, start);
    for (at, entry) in entries {
        match entry {
            Entry::Event(event) => writer.event(event, *at),
            Entry::Recall(memory) => writer.recall(memory, *at),
            Entry::Probe(index, probe) => {
                let target = Settings::default().targets[0];
                writer.actions(&[Action::Probe(*index, *probe, target)]);
            }
            Entry::Decision(_) => {}
        }
    }
    writer.take()
}

proptest! {
    #[test]
    fn what_is_written_reads_back(
        memory in memory(), entries in vec((0u64..100_000_000, entry()), 0..12), start in 0u64..1 << 50,
    ) {
        let mut now = start;
        let entries: Vec<(Time, Entry)> = entries
            .into_iter()
            .map(|(pause, entry)| {
                // What the mind did has the time of what it was told.
                now += if matches!(entry, Entry::Probe(..)) { 0 } else { pause };
                (Time(now), entry)
            })
            .collect();
        let text = write(&memory, &entries, Time(start));
        let reader = Reader::new(text.as_bytes(), options::set).unwrap();
        prop_assert_eq!(&reader.head().memory, &memory);
        prop_assert_eq!(reader.head().start, Time(start));
        prop_assert_eq!(told(&read_all(text.as_bytes()).unwrap()), told(&entries));
    }

    #[test]
    fn any_bytes_are_read_without_panic(bytes in vec(any::<u8>(), 0..300)) {
        prop_assert!(read_all(&bytes).is_err());
    }

    #[test]
    fn a_damaged_trace_is_read_without_panic(
        entries in vec(entry(), 0..6), at in any::<usize>(), byte in any::<u8>(), cut in any::<usize>(),
    ) {
        let entries: Vec<(Time, Entry)> = entries.into_iter().map(|entry| (Time(7), entry)).collect();
        let mut bytes = write(&Memory::default(), &entries, Time(7)).into_bytes();
        let at = at % bytes.len();
        bytes[at] = byte;
        bytes.truncate(bytes.len() - cut % 100);
        if let Err(BadLine { line, .. }) = read_all(&bytes) {
            prop_assert!(line <= bytes.iter().filter(|&&b| b == b'\n').count().max(1));
        }
    }

    #[test]
    fn lines_of_words_are_read_without_panic(lines in vec("[0-9pdwacfrsmt=+:|]{1,2}( [-0-9a-e,./:]{0,6}){0,5}", 0..12)) {
        let head = write(&Memory::default(), &[], Time(0));
        let text = format!("{head}{}\n", lines.join("\n"));
        if let Err(BadLine { line, .. }) = read_all(text.as_bytes()) {
            prop_assert!(line > head.lines().count() - 1 && line <= text.lines().count());
        }
    }
}

#[test]
fn a_line_that_is_none_is_named() {
    let head = write(&Memory::default(), &[], Time(0));
    let at = head.lines().count() + 1;
    for (line, cause) in [
        ("5 y", "'y' does not belong here"),
        ("5 x 1 y", "'y' does not belong here"),
        ("x", "'x' does not belong here"),
        ("5", "a word is missing"),
        ("5 a 1 65536", "'65536' does not belong here"),
        ("5 a 1 2 3", "'3' does not belong here"),
        ("5 w\n= q 0 0", "'q' does not belong here"),
        ("5 w\n= l 1 0", "that list has 0 lines"),
        ("5 w\n= l 18446744073709551615 1", "'18446744073709551615' does not belong here"),
        ("5 w\n= l 65535 65535", "that list has 0 lines"),
        ("5 w\n= u 0 0\n+ 1 - 2 0", "'-' does not belong here"),
        ("5 w\n= d 0 0\n+ eth0", "'eth0' does not belong here"),
        ("5 s\n: losst 3", "unknown option 'losst'"),
        ("5 s\n: lost 300", "'300' is not a number from 2 to 40"),
        ("5 m\n| rout wan1", "'rout wan1' does not belong here"),
        ("86400000001 t", "a pause of 86400000001 µs is more than a day"),
        ("5 c 1,2", "'1,2' does not belong here"),
    ] {
        let bad = read_all(format!("{head}{line}\n").as_bytes()).unwrap_err();
        assert_eq!(
            bad,
            BadLine { line: at + line.matches('\n').count(), cause: cause.to_string() },
            "{line}"
        );
    }
    for (text, cause) in [
        ("", "not a trace"),
        ("#!/bin/sh\n", "not a trace"),
        ("bsbf-trace 2\n", "a trace of version 2, and only 1 is known"),
        ("bsbf-trace 1\nkind x\n", "'x' does not belong here"),
    ] {
        assert_eq!(read_all(text.as_bytes()).unwrap_err().cause, cause);
    }
}

#[test]
fn only_what_differs_is_written() {
    let mut kernel = ModelKernel::with_wans(&[IfIndex(1), IfIndex(2), IfIndex(3)]);
    let mut writer = Writer::new("bond", &Settings::default(), &Memory::default(), Time(0));
    let told = |writer: &mut Writer, world: &World| {
        writer.take();
        writer.event(&Event::World(world.clone()), Time(0));
        writer.take()
    };
    assert_eq!(told(&mut writer, &kernel.world).lines().count(), 1 + 4 + 9 + 1, "{:?}", kernel.world);
    // The counters of devices run on in every dump.
    kernel.world.links[1].rx_bytes = 7;
    assert_eq!(told(&mut writer, &kernel.world), "0 w\n");
    kernel.world.routes[1].metric = Metric(9);
    kernel.world.addresses.remove(0);
    assert_eq!(
        told(&mut writer, &kernel.world),
        "0 w\n= a 0 1\n= r 1 1\n+ 4 254 4 0 0 0 9 2 192.0.2.1 192.0.2.2 - - - -\n"
    );
}

#[test]
fn a_last_line_that_is_not_whole_does_not_count() {
    let decision = Decision {
        at: Time(5),
        name: Some("wan1".parse().unwrap()),
        from: State::Testing,
        to: State::Testing,
        reason: Reason::Found,
        outcome: Default::default(),
    };
    let mut writer = Writer::new("route", &Settings::default(), &Memory::default(), Time(5));
    writer.event(&Event::Tick, Time(6));
    writer.actions(&[Action::Tell(decision.clone())]);
    let text = writer.take();
    let mut whole = Reader::new(text.as_bytes(), options::set).unwrap();
    assert!(!whole.head().settings.endpoints && whole.head().settings.routes);
    assert!(matches!(whole.nth(1), Some(Ok((Time(6), Entry::Decision(d)))) if d == decision_line(&decision)));
    assert!(whole.next().is_none() && !whole.is_torn());
    let mut torn = Reader::new(&text.as_bytes()[..text.len() - 1], options::set).unwrap();
    assert_eq!(torn.by_ref().map(Result::unwrap).count(), 1);
    assert!(torn.is_torn());
}

#[test]
fn settings_that_name_a_server_alone_read_back() {
    let mut settings = Settings::default();
    settings.targets.truncate(1);
    settings.targets[0].is_server = true;
    let text = Writer::new("bond", &settings, &Memory::default(), Time(5)).take();
    let reader = Reader::new(text.as_bytes(), options::set).unwrap();
    assert_eq!(reader.head().settings.options(), settings.options());
}
