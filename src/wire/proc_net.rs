//! The lists of sockets in /proc/net: `tcp`, `tcp6`, `udp` and `udp6` (proc_pid_net(5)), a socket a line:
//!
//! ```text
//!   sl  local_address rem_address   st tx_queue rx_queue tr ...
//!    0: 0100007F:3039 00000000:0000 0A 00000000:00000000 00 ...
//! ```
//!
//! Addresses are words of 32 bits as this machine reads them, ports are numbers, all in hexadecimal digits.

use super::rtnl::Family;

/// All addresses, or none; and the loopback addresses.
const ANY_V4: &str = " 00000000";
const ANY_V6: &str = " 00000000000000000000000000000000";
const LOOPBACK_V4: &str = if cfg!(target_endian = "little") { " 0100007F" } else { " 7F000001" };
const LOOPBACK_V6: &str = if cfg!(target_endian = "little") {
    " 00000000000000000000000001000000"
} else {
    " 00000000000000000000000000000001"
};

/// Whether somebody waits at the family's loopback address on this port, by that address or by all, in the lists of one
/// protocol, of IPv4 and IPv6 together.
pub fn is_served(lists: &str, family: Family, port: u16) -> bool {
    // The local address and the remote one, which nobody has who waits, for TCP or for UDP.
    let waiting: &[(&str, &str)] = match family {
        // A socket of all IPv6 addresses has those of IPv4 too, unless it was told not to; the list does not say.
        Family::V4 => &[(ANY_V4, ANY_V4), (LOOPBACK_V4, ANY_V4), (ANY_V6, ANY_V6)],
        Family::V6 => &[(ANY_V6, ANY_V6), (LOOPBACK_V6, ANY_V6)],
    };
    let port = format!(":{port:04X}");
    lists.lines().any(|line| {
        let Some((_, line)) = line.split_once(':') else { return false };
        waiting.iter().any(|(local, nobody)| {
            let after = line.strip_prefix(local).and_then(|line| line.strip_prefix(port.as_str()));
            after.and_then(|line| line.strip_prefix(nobody)).is_some_and(|line| line.starts_with(":0000 "))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n";

    fn check(v4: &str, v6: &str, expected: (bool, bool)) {
        let line =
            |words: &str| format!("{HEAD}   0: {words} 00000000:00000000 00:00000000 00000000     0\n");
        let is_served = |family, port| is_served(&[line(v4), line(v6)].concat(), family, port);
        assert_eq!((is_served(Family::V4, 12345), is_served(Family::V6, 12345)), expected, "{v4} {v6}");
        assert!(!is_served(Family::V4, 12346));
    }

    /// As Linux 6.18 prints them on x86_64.
    #[test]
    #[cfg(target_endian = "little")]
    fn who_waits_where() {
        let none = "00000000000000000000000000000000:0016 00000000000000000000000000000000:0000 0A";
        check("00000000:3039 00000000:0000 0A", none, (true, false));
        check("0100007F:3039 00000000:0000 07", none, (true, false));
        // Another address, another port, a connection.
        check("0104A8C0:3039 00000000:0000 0A", none, (false, false));
        check("00000000:3038 00000000:0000 0A", none, (false, false));
        check("0100007F:3039 0100007F:D431 01", none, (false, false));
        let v6 = |address: &str| format!("{address}:3039 00000000000000000000000000000000:0000 0A");
        check("", &v6("00000000000000000000000000000000"), (true, true));
        check("", &v6("00000000000000000000000001000000"), (false, true));
        check("", &v6("B80D0120000000000000000001000000"), (false, false));
    }
}
