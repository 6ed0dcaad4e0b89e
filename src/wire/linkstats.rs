//! Byte counters of a link by rtnetlink: the request and its reply.
//!
//! Sources: rtnetlink(7); include/uapi/linux/netlink.h, rtnetlink.h, if_link.h. Netlink speaks the host's byte order.

use neli::consts::nl::{NlmF, Nlmsg};
use neli::consts::rtnl::{Ifla, Rtm};

use crate::types::{IfIndex, IfName};

/// struct nlmsghdr: length u32, type u16, flags u16, sequence u32, port u32.
const HEADER: usize = 16;
/// struct ifinfomsg: family u8, pad u8, type u16, index i32, flags u32, change u32.
const IFINFOMSG: usize = 16;
/// Messages and attributes begin at multiples of this (NLMSG_ALIGNTO, NLA_ALIGNTO).
const ALIGN: usize = 4;
/// The upper two bits of an attribute's type are flags (NLA_TYPE_MASK).
const ATTRIBUTE_TYPE: u16 = 0x3fff;
/// Where rx_bytes and tx_bytes stand in struct rtnl_link_stats64, behind the two counts of packets.
const RX_BYTES: usize = 16;
const TX_BYTES: usize = 24;

/// What a link has carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkStats {
    /// The device the counters belong to.
    pub ifindex: IfIndex,
    /// Bytes received since the device was made, or since its driver began anew.
    pub rx_bytes: u64,
    /// Bytes sent, likewise.
    pub tx_bytes: u64,
}

/// A message of the kernel's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// A link: its name (`None` if it is not UTF-8), and its counters.
    Link(Option<IfName>, LinkStats),
    /// The end of a dump.
    Done,
    /// The request was refused with this errno (positive); 0 is an acknowledgement.
    Error(i32),
    /// A message of another kind, or one that lacks what a link must have.
    Other,
}

/// The request for the link called `name`, or for all links.
pub fn request(name: Option<&IfName>, sequence: u32) -> Vec<u8> {
    let flags = if name.is_some() { NlmF::REQUEST } else { NlmF::REQUEST | NlmF::DUMP };
    let mut message = vec![0; 4];
    message.extend(u16::from(Rtm::Getlink).to_ne_bytes());
    message.extend(flags.bits().to_ne_bytes());
    message.extend(sequence.to_ne_bytes());
    message.extend([0; 4 + IFINFOMSG]);
    if let Some(name) = name {
        let text = name.as_str().as_bytes();
        // An IfName has 15 bytes at most, so the length fits.
        message.extend((4 + text.len() as u16 + 1).to_ne_bytes());
        message.extend(u16::from(Ifla::Ifname).to_ne_bytes());
        message.extend(text);
        message.push(0);
        message.resize(message.len().next_multiple_of(ALIGN), 0);
    }
    let length = message.len() as u32;
    message.splice(..4, length.to_ne_bytes());
    message
}

/// The messages in `datagram`, each with its sequence number; ends at the first that is cut short.
pub fn replies(datagram: &[u8]) -> impl Iterator<Item = (u32, Reply)> {
    let mut rest = datagram;
    std::iter::from_fn(move || {
        let length = usize::try_from(u32_at(rest, 0)?).ok()?;
        let message = rest.get(..length)?;
        let (kind, sequence) = (u16_at(message, 4)?, u32_at(message, 8)?);
        let body = message.get(HEADER..)?;
        rest = rest.get(length.next_multiple_of(ALIGN)..).unwrap_or_default();
        Some((sequence, reply(kind, body)))
    })
}

fn reply(kind: u16, body: &[u8]) -> Reply {
    if kind == u16::from(Nlmsg::Done) {
        return Reply::Done;
    }
    if kind == u16::from(Nlmsg::Error) {
        // The kernel sends errnos negative.
        return u32_at(body, 0).map_or(Reply::Other, |errno| Reply::Error((errno as i32).wrapping_neg()));
    }
    if kind == u16::from(Rtm::Newlink) { link(body).unwrap_or(Reply::Other) } else { Reply::Other }
}

fn link(body: &[u8]) -> Option<Reply> {
    let ifindex = IfIndex(u32_at(body, 4)?);
    let (mut name, mut stats) = (None, None);
    for (kind, value) in attributes(body.get(IFINFOMSG..)?) {
        if kind == u16::from(Ifla::Ifname) {
            let text = value.split(|&b| b == 0).next().unwrap_or_default();
            name = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
        } else if kind == u16::from(Ifla::Stats64) {
            let (rx_bytes, tx_bytes) = (u64_at(value, RX_BYTES)?, u64_at(value, TX_BYTES)?);
            stats = Some(LinkStats { ifindex, rx_bytes, tx_bytes });
        }
    }
    Some(Reply::Link(name, stats?))
}

fn attributes(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let length = usize::from(u16_at(rest, 0)?);
        let kind = u16_at(rest, 2)? & ATTRIBUTE_TYPE;
        let value = rest.get(4..length)?;
        rest = rest.get(length.next_multiple_of(ALIGN)..).unwrap_or_default();
        Some((kind, value))
    })
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|b| u16::from_ne_bytes(*b))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|b| u32::from_ne_bytes(*b))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|b| u64::from_ne_bytes(*b))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(kind: u16, body: &[u8]) -> Vec<u8> {
        let mut m = ((HEADER + body.len()) as u32).to_ne_bytes().to_vec();
        m.extend(kind.to_ne_bytes());
        m.extend([0; 2]);
        m.extend(7u32.to_ne_bytes());
        m.extend([0; 4]);
        m.extend(body);
        m
    }

    fn attribute(kind: Ifla, value: &[u8]) -> Vec<u8> {
        let mut a = ((4 + value.len()) as u16).to_ne_bytes().to_vec();
        a.extend(u16::from(kind).to_ne_bytes());
        a.extend(value);
        a.resize(a.len().next_multiple_of(ALIGN), 0);
        a
    }

    fn newlink() -> Vec<u8> {
        let mut body = vec![0; 4];
        body.extend(3u32.to_ne_bytes());
        body.extend([0; 8]);
        body.extend(attribute(Ifla::Ifname, b"wan\0"));
        body.extend(attribute(Ifla::Mtu, &1500u32.to_ne_bytes()));
        let counters = [11u64, 22, 1 << 33, 5_000, 0, 0];
        body.extend(attribute(Ifla::Stats64, &counters.map(u64::to_ne_bytes).concat()));
        message(u16::from(Rtm::Newlink), &body)
    }

    #[test]
    fn a_link_is_decoded() {
        let stats = LinkStats { ifindex: IfIndex(3), rx_bytes: 1 << 33, tx_bytes: 5_000 };
        let wan = Reply::Link(Some("wan".parse().unwrap()), stats);
        assert_eq!(replies(&newlink()).collect::<Vec<_>>(), [(7, wan.clone())]);
        let dump = [newlink(), newlink(), message(u16::from(Nlmsg::Done), &[0; 4])].concat();
        assert_eq!(replies(&dump).collect::<Vec<_>>(), [(7, wan.clone()), (7, wan), (7, Reply::Done)]);
    }

    #[test]
    fn a_refusal_gives_its_errno() {
        let refusal = message(u16::from(Nlmsg::Error), &(-libc::ENODEV).to_ne_bytes());
        assert_eq!(replies(&refusal).collect::<Vec<_>>(), [(7, Reply::Error(libc::ENODEV))]);
    }

    #[test]
    fn a_request_has_its_length_and_an_aligned_name() {
        let by_name = request(Some(&"eth0.2".parse().unwrap()), 9);
        assert_eq!(by_name.len(), HEADER + IFINFOMSG + 12);
        assert_eq!(u32_at(&by_name, 0), Some(44));
        assert_eq!(u32_at(&by_name, 8), Some(9));
        assert_eq!(attributes(&by_name[32..]).collect::<Vec<_>>(), [(libc::IFLA_IFNAME, &b"eth0.2\0"[..])]);
        assert_eq!(request(None, 1).len(), HEADER + IFINFOMSG);
    }

    #[test]
    fn cut_short_it_gives_nothing() {
        let whole = newlink();
        for length in 0..whole.len() {
            assert_eq!(replies(&whole[..length]).count(), 0, "{length} bytes");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn noise_never_panics(noise in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = replies(&noise).count();
        }

        #[test]
        fn a_damaged_message_never_panics(at in 0usize..200, byte: u8) {
            let mut damaged = newlink();
            if let Some(place) = damaged.get_mut(at) {
                *place = byte;
            }
            let _ = replies(&damaged).count();
        }
    }
}
