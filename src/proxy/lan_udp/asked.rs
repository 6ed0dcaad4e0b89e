//! Whom a session has asked: these alone are heard.
//!
//! The server lets anybody's datagrams through. One from somebody who was not asked would begin a connection in the
//! router's conntrack that is turned round: what the host sends there later counts as its answers, which go past the proxy
//! unmasqueraded. So hosts hear what Linux's masquerade lets them hear: the address and port that they sent to. Another
//! port of the same host is not that; who makes a hole for a peer sends to it first.

use std::net::SocketAddr;
use std::time::Duration;

use super::{ANSWERED, UNANSWERED};
use crate::types::Time;

/// Who has answered, and is still sent to or heard of after this, is one that conntrack keeps for longer: it looks whether
/// two seconds have passed (nf_conntrack_udp_packet, net/netfilter/nf_conntrack_proto_udp.c). A little more, for its clock
/// is another.
const STREAM: Duration = Duration::from_millis(2500);
/// Of a session; one that shares files has some hundreds of peers. And of all sessions together, about, but that each has
/// the least.
const MOST: usize = 256;
const MOST_OF_ALL: usize = 65_536;

/// Those of a session, by address.
#[derive(Default)]
pub struct Asked(Vec<Peer>);

/// One of them.
struct Peer {
    address: SocketAddr,
    /// When it was asked first, and when something went or came last.
    began: Time,
    last: Time,
    is_answered: bool,
    is_stream: bool,
}

impl Asked {
    /// The host sends there; it is one of so many sessions. Of too many the one that has been quiet for longest goes.
    pub fn ask(&mut self, to: SocketAddr, now: Time, sessions: usize) {
        let place = match self.find(to) {
            Ok(at) => {
                if let Some(peer) = self.0.get_mut(at).filter(|peer| peer.lives(now)) {
                    return peer.touch(now);
                }
                self.0.remove(at);
                at
            }
            Err(_) => {
                let most = (MOST_OF_ALL / sessions.max(1)).min(MOST);
                while self.0.len() >= most
                    && let Some((at, _)) = self.0.iter().enumerate().min_by_key(|(_, peer)| peer.last.0)
                {
                    self.0.remove(at);
                }
                self.find(to).unwrap_or_else(|place| place)
            }
        };
        let peer = Peer { address: to, began: now, last: now, is_answered: false, is_stream: false };
        self.0.insert(place, peer);
    }

    /// Whether what comes from there is heard.
    pub fn hears(&mut self, from: SocketAddr, now: Time) -> bool {
        let at = self.find(from);
        let Some(peer) = at.ok().and_then(|at| self.0.get_mut(at)).filter(|peer| peer.lives(now)) else {
            return false;
        };
        peer.touch(now);
        peer.is_answered = true;
        true
    }

    /// Forgets those that conntrack forgets.
    pub fn sweep(&mut self, now: Time) {
        self.0.retain(|peer| peer.lives(now));
        // What many took is not kept for few.
        if self.0.len() < self.0.capacity() / 4 {
            self.0.shrink_to_fit();
        }
    }

    fn find(&self, address: SocketAddr) -> Result<usize, usize> {
        self.0.binary_search_by(|peer| peer.address.cmp(&address))
    }
}

impl Peer {
    fn lives(&self, now: Time) -> bool {
        now.since(self.last) < if self.is_stream { ANSWERED } else { UNANSWERED }
    }

    fn touch(&mut self, now: Time) {
        self.last = now;
        self.is_stream |= self.is_answered && now.since(self.began) > STREAM;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: ([u8; 4], u16) = ([9, 9, 9, 9], 53);

    fn at(seconds: u64) -> Time {
        Time::default() + Duration::from_secs(seconds)
    }

    fn asked() -> Asked {
        let mut asked = Asked::default();
        asked.ask(HOST.into(), at(0), 1);
        asked
    }

    #[test]
    fn who_was_asked_is_heard_and_nobody_else() {
        let mut asked = asked();
        assert!(asked.hears(HOST.into(), at(1)));
        assert!(!asked.hears(([9, 9, 9, 9], 54).into(), at(1)), "another port");
        assert!(!asked.hears(([9, 9, 9, 8], 53).into(), at(1)), "another host");
    }

    #[test]
    fn who_has_not_answered_is_heard_as_long_as_conntrack_waits() {
        assert!(asked().hears(HOST.into(), at(24)));
        assert!(!asked().hears(HOST.into(), at(25)));
    }

    #[test]
    fn one_answer_makes_no_stream() {
        let mut asked = asked();
        assert!(asked.hears(HOST.into(), at(1)));
        assert!(!asked.hears(HOST.into(), at(26)));
        // It is asked anew, and that begins anew.
        asked.ask(HOST.into(), at(60), 1);
        assert!(asked.hears(HOST.into(), at(61)));
        assert!(!asked.hears(HOST.into(), at(86)));
    }

    #[test]
    fn a_stream_is_heard_for_longer() {
        let mut asked = asked();
        assert!(asked.hears(HOST.into(), at(1)));
        assert!(asked.hears(HOST.into(), at(4)));
        assert!(asked.hears(HOST.into(), at(113)));
        assert!(!asked.hears(HOST.into(), at(223)));
    }

    #[test]
    fn of_too_many_the_quietest_goes() {
        let mut asked = asked();
        let peer = |i: usize| SocketAddr::from(([10, 0, (i >> 8) as u8, i as u8], 1));
        for i in 1..MOST {
            asked.ask(peer(i), at(1), 1);
        }
        assert!(asked.hears(HOST.into(), at(2)));
        asked.ask(peer(0), at(3), 1);
        assert_eq!(asked.0.len(), MOST);
        assert!(asked.hears(HOST.into(), at(4)));
        assert!(asked.hears(peer(0), at(4)));
        assert!(asked.0.is_sorted_by_key(|peer| peer.address));
        // Beside many sessions there is less room.
        asked.ask(peer(MOST), at(5), 2048);
        assert_eq!(asked.0.len(), MOST_OF_ALL / 2048);
        assert!(asked.hears(HOST.into(), at(6)));
    }

    #[test]
    fn those_that_are_forgotten_take_no_room() {
        let mut asked = asked();
        for i in 0..100 {
            asked.ask(([10, 0, 0, i], 1).into(), at(0), 1);
        }
        asked.sweep(at(25));
        assert_eq!((asked.0.len(), asked.0.capacity()), (0, 0));
    }
}
