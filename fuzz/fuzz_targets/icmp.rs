//! What a raw ICMP socket gives: any packet, and the reply to a request of ours.
#![no_main]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bsbf_fuzz::wire::icmp::{Echo, reply_v4, reply_v6};
use libfuzzer_sys::fuzz_target;

/// Bytes of the identifier, the sequence number and the cookie: what a request carries.
const CARRIED: std::ops::Range<usize> = 4..16;

fuzz_target!(|packet: &[u8]| {
    if let Ok((from, echo)) = reply_v4(packet) {
        let header = usize::from(packet[0] & 0x0f) * 4;
        assert_eq!(from, IpAddr::from([packet[12], packet[13], packet[14], packet[15]]));
        assert_eq!(echo.request(from)[CARRIED], packet[header..][CARRIED]);
    }
    if let Ok(echo) = reply_v6(packet) {
        assert_eq!(echo.request(Ipv6Addr::LOCALHOST.into())[CARRIED], packet[CARRIED]);
    }
    if let Some((carried, rest)) = packet.split_first_chunk() {
        answered(carried, rest);
    }
});

/// A request of ours, answered through a header with any options, is the reply to it and to no other.
fn answered(carried: &[u8; 12], rest: &[u8]) {
    let [a, b, c, d, cookie @ ..] = *carried;
    let echo = Echo {
        id: u16::from_be_bytes([a, b]),
        seq: u16::from_be_bytes([c, d]),
        cookie: u64::from_be_bytes(cookie),
    };
    let target = Ipv4Addr::from(echo.cookie as u32);
    let mut icmp = echo.request(target.into());
    assert!(sums_up(&icmp));
    let words = 5 + rest.first().map_or(0, |b| b % 11);
    let mut packet = vec![0; usize::from(words) * 4];
    packet[0] = 0x40 | words;
    packet[12..16].copy_from_slice(&target.octets());
    for (to, from) in packet[20..].iter_mut().zip(rest) {
        *to = *from;
    }
    let headers = packet.len();
    packet.extend(icmp);
    assert!(reply_v4(&packet).is_err(), "a request is no reply");
    packet[headers] = 0;
    assert_eq!(reply_v4(&packet), Ok((target.into(), echo)));
    packet.pop();
    assert!(reply_v4(&packet).is_err(), "a cut reply is none");

    icmp = echo.request(Ipv6Addr::LOCALHOST.into());
    assert!(reply_v6(&icmp).is_err(), "a request is no reply");
    icmp[0] = 129;
    assert_eq!(reply_v6(&icmp), Ok(echo));
}

/// The checksum over a message with its checksum is all ones (RFC 1071).
fn sums_up(icmp: &[u8]) -> bool {
    let sum: u32 = icmp.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1])).sum();
    (sum & 0xffff) + (sum >> 16) == 0xffff
}
