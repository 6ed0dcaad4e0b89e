//! ICMP echo (RFC 792) and ICMPv6 echo (RFC 4443) for probes.
//!
//! A probe is 36 bytes of IPv4: 20 of IP, 8 of ICMP, 8 of payload that tell our probes from others' pings.

use std::net::{IpAddr, Ipv4Addr};

use super::{Malformed, nl};

const ECHO_REPLY: u8 = 0;
const ECHO_REQUEST: u8 = 8;
const ECHO_REQUEST_V6: u8 = 128;
const ECHO_REPLY_V6: u8 = 129;
const LEN: usize = 16;

/// What an echo carries to be known again when it returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Echo {
    /// The identifier: one per socket.
    pub id: u16,
    /// The sequence number: one per probe.
    pub seq: u16,
    /// Our mark in the payload; replies with another are not ours.
    pub cookie: u64,
}

impl Echo {
    /// The request's bytes towards `target`. The kernel fills in the checksum of ICMPv6
    /// (RFC 3542 section 3.1: it knows the source address), so it stays zero there.
    pub fn request(&self, target: IpAddr) -> [u8; LEN] {
        let mut bytes = [0; LEN];
        let kind = if target.is_ipv4() { ECHO_REQUEST } else { ECHO_REQUEST_V6 };
        bytes[0] = kind;
        bytes[4..6].copy_from_slice(&self.id.to_be_bytes());
        bytes[6..8].copy_from_slice(&self.seq.to_be_bytes());
        bytes[8..16].copy_from_slice(&self.cookie.to_be_bytes());
        if target.is_ipv4() {
            let sum = checksum(&bytes);
            bytes[2..4].copy_from_slice(&sum.to_be_bytes());
        }
        bytes
    }
}

/// An echo reply as a raw IPv4 socket gives it, with the IP header in front: who sent it, and what it carries.
pub fn reply_v4(packet: &[u8]) -> Result<(IpAddr, Echo), Malformed> {
    let header = usize::from(nl::u8_at(packet, 0)? & 0x0f) * 4;
    let from = IpAddr::V4(Ipv4Addr::from(nl::array::<4>(packet, 12)?));
    let icmp = packet.get(header..).ok_or(Malformed)?;
    Ok((from, echo(icmp, ECHO_REPLY)?))
}

/// An ICMPv6 echo reply as a raw socket gives it: without the IP header (RFC 3542 section 3).
pub fn reply_v6(packet: &[u8]) -> Result<Echo, Malformed> {
    echo(packet, ECHO_REPLY_V6)
}

fn echo(icmp: &[u8], kind: u8) -> Result<Echo, Malformed> {
    if nl::u8_at(icmp, 0)? != kind || nl::u8_at(icmp, 1)? != 0 {
        return Err(Malformed);
    }
    Ok(Echo {
        id: u16::from_be_bytes(nl::array(icmp, 4)?),
        seq: u16::from_be_bytes(nl::array(icmp, 6)?),
        cookie: u64::from_be_bytes(nl::array(icmp, 8)?),
    })
}

/// The Internet checksum (RFC 1071).
fn checksum(bytes: &[u8]) -> u16 {
    let mut sum: u32 = 0;
    for pair in bytes.chunks(2) {
        let word = [pair[0], pair.get(1).copied().unwrap_or(0)];
        sum += u32::from(u16::from_be_bytes(word));
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ECHO: Echo = Echo { id: 0x1234, seq: 7, cookie: 0x6273_6266_0000_0001 };

    #[test]
    fn a_request_has_a_checksum_that_verifies() {
        let bytes = ECHO.request("192.0.2.1".parse().unwrap());
        assert_eq!(checksum(&bytes), 0);
        assert_eq!(20 + bytes.len(), 36);
    }

    #[test]
    fn a_reply_behind_ip_options_is_read() {
        let mut packet = vec![0x46; 1];
        packet.extend([0; 11]);
        packet.extend([192, 0, 2, 1, 10, 0, 0, 1, 0, 0, 0, 0]);
        let mut icmp = ECHO.request("192.0.2.1".parse().unwrap());
        icmp[0] = ECHO_REPLY;
        packet.extend(icmp);
        assert_eq!(reply_v4(&packet), Ok(("192.0.2.1".parse().unwrap(), ECHO)));
        icmp[0] = ECHO_REQUEST;
        packet.splice(24.., icmp);
        assert_eq!(reply_v4(&packet), Err(Malformed), "a request is no reply");
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = (reply_v4(&bytes), reply_v6(&bytes));
        }
    }
}
