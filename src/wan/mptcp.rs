//! Whether MPTCP passes on a WAN's way to the server: which WANs are tested when, and what the tests say.

use std::net::IpAddr;
use std::time::Duration;

use crate::types::{IfIndex, Time};

/// A WAN is tested again after this: boxes on its way come and go, and a test costs a few hundred bytes.
const HOUR: Duration = Duration::from_secs(3600);
/// The same where the server did not answer at all; twice as long each time, up to an hour.
const MINUTE: Duration = Duration::from_secs(60);
/// Between two tests that somebody's word brings about; twice as long each time that nothing comes of it.
const PAUSE: Duration = Duration::from_secs(20);

/// Linux sends at least so many SYNs with the options before it leaves them out (since 6.12, syn_retrans_before_tcp_fallback).
const SYNS_WITH_OPTIONS: u32 = 2;

/// What becomes of MPTCP on a way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mptcp {
    /// It is answered.
    Passes,
    /// The answer is plain TCP's: a box has taken the options out, or the server has no MPTCP.
    Stripped,
    /// Nothing answers, or a refusal, and to plain TCP the server does.
    Dropped,
}

/// How a server answers who asks for MPTCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// With MPTCP.
    Mptcp,
    /// With plain TCP, when so many SYNs had not been answered.
    Tcp {
        /// So many.
        syns_before: u32,
    },
    /// With a refusal, or not at all.
    Nothing,
}

impl Mptcp {
    /// What an answer means; `opens` tells whether plain TCP is answered where nothing was. Nothing if the server answers
    /// neither.
    pub fn of(answer: Answer, opens: bool) -> Option<Mptcp> {
        match answer {
            Answer::Mptcp => Some(Mptcp::Passes),
            Answer::Tcp { syns_before: 0..SYNS_WITH_OPTIONS } => Some(Mptcp::Stripped),
            Answer::Tcp { .. } => Some(Mptcp::Dropped),
            Answer::Nothing => opens.then_some(Mptcp::Dropped),
        }
    }

    /// As one word.
    pub fn word(self) -> &'static str {
        match self {
            Mptcp::Passes => "passes",
            Mptcp::Stripped => "stripped",
            Mptcp::Dropped => "dropped",
        }
    }

    /// From that word.
    #[cfg(any(test, feature = "replay"))]
    pub fn from_word(word: &str) -> Option<Mptcp> {
        [Mptcp::Passes, Mptcp::Stripped, Mptcp::Dropped].into_iter().find(|m| m.word() == word)
    }
}

/// A live WAN, as far as tests are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its device.
    pub index: IfIndex,
    /// Its address.
    pub address: IpAddr,
    /// It is not in doubt.
    pub is_sure: bool,
}

/// The tests of all WANs.
#[derive(Debug, Default)]
pub struct Tests {
    of: Vec<Test>,
    begun: u32,
}

/// A test that runs, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Running {
    /// The WAN that is tested.
    pub index: IfIndex,
    number: u32,
}

#[derive(Debug)]
struct Test {
    index: IfIndex,
    address: IpAddr,
    due: Time,
    /// The last one began then; nothing before the first.
    began: Option<Time>,
    running: Option<u32>,
    is_sure: bool,
    /// What the last test that was answered said.
    last: Option<Mptcp>,
    /// The pauses from now on.
    silence: Duration,
    calm: Duration,
}

impl Tests {
    /// The WANs that are to be tested now, of all that live. A WAN that is new, live again or has another address is
    /// tested at once.
    pub fn due(&mut self, live: &[Candidate], now: Time) -> Vec<Running> {
        let is_of = |test: &Test, c: &Candidate| test.index == c.index && test.address == c.address;
        self.of.retain(|test| live.iter().any(|c| is_of(test, c)));
        for candidate in live {
            let Candidate { index, address, is_sure } = *candidate;
            match self.of.iter_mut().find(|test| is_of(test, candidate)) {
                Some(test) => test.is_sure = is_sure,
                None => self.of.push(Test {
                    index,
                    address,
                    due: now,
                    began: None,
                    running: None,
                    is_sure,
                    last: None,
                    silence: MINUTE,
                    calm: PAUSE,
                }),
            }
        }
        let mut due = Vec::new();
        for test in self.of.iter_mut().filter(|test| test.waits() && now >= test.due) {
            self.begun = self.begun.wrapping_add(1);
            (test.began, test.running) = (Some(now), Some(self.begun));
            due.push(Running { index: test.index, number: self.begun });
        }
        due
    }

    /// When the next is due, besides those that are.
    pub fn deadline(&self) -> Option<Time> {
        self.of.iter().filter(|test| test.waits()).map(|test| test.due).min()
    }

    /// A test of a WAN has ended; what is known from now on, if that is certain. What is bad counts if a second test says the
    /// same: a SYN may be lost for itself. Silence tells nothing, and of another address or server nothing was known.
    pub fn ended(&mut self, ran: Running, found: Option<Mptcp>, now: Time) -> Option<Option<Mptcp>> {
        // One whose WAN went meanwhile, or has another address, says nothing.
        let test = self.of.iter_mut().find(|test| test.running == Some(ran.number))?;
        test.running = None;
        let before = test.last;
        let Some(found) = found else {
            test.due = now + test.silence;
            test.silence = (test.silence * 2).min(HOUR);
            return before.is_none().then_some(None);
        };
        test.last = Some(found);
        test.silence = MINUTE;
        test.calm = if before == Some(found) { (test.calm * 2).min(HOUR) } else { PAUSE };
        if found != Mptcp::Passes && before != Some(found) {
            // One that says another thing each time has no hurry.
            let is_new = before.is_none_or(|before| before == Mptcp::Passes);
            test.due = if is_new { now } else { now + PAUSE };
            return None;
        }
        test.due = now + HOUR;
        Some(Some(found))
    }

    /// Somebody has seen MPTCP used from this address, or not used though it was to be: where that is not what the last test
    /// said there is another one.
    pub fn doubt(&mut self, address: IpAddr, is_used: bool) {
        for test in self.of.iter_mut().filter(|test| test.address == address) {
            if let (Some(began), Some(last)) = (test.began, test.last)
                && is_used != (last == Mptcp::Passes)
            {
                test.due = test.due.min(began + test.calm);
            }
        }
    }

    /// All are to be made again: there is another server.
    pub fn forget(&mut self) {
        self.of.clear();
    }
}

impl Test {
    fn waits(&self) -> bool {
        self.is_sure && self.running.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAN: IfIndex = IfIndex(3);

    fn address(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    fn live(last: u8) -> [Candidate; 1] {
        [Candidate { index: WAN, address: address(last), is_sure: true }]
    }

    fn s(seconds: u64) -> Time {
        Time(seconds * 1_000_000)
    }

    /// The number of the test that begins then, if one does.
    fn begins(tests: &mut Tests, live: &[Candidate], at: u64) -> Option<Running> {
        let due = tests.due(live, s(at));
        assert!(due.len() < 2);
        due.first().copied()
    }

    #[test]
    fn it_is_tested_at_once_hourly_and_with_another_address() {
        let passes = Some(Mptcp::Passes);
        let mut tests = Tests::default();
        let first = begins(&mut tests, &live(1), 0).unwrap();
        assert_eq!(first.index, WAN);
        // It runs.
        assert_eq!((begins(&mut tests, &live(1), 9), tests.deadline()), (None, None));
        assert_eq!(tests.ended(first, passes, s(10)), Some(passes));
        assert_eq!((begins(&mut tests, &live(1), 3609), tests.deadline()), (None, Some(s(3610))));
        let old = begins(&mut tests, &live(1), 3610).unwrap();
        // The one that runs is of the old address, and says nothing of the new one.
        let new = begins(&mut tests, &live(2), 3611).unwrap();
        assert_eq!(tests.ended(old, passes, s(3612)), None);
        assert_eq!(tests.ended(new, passes, s(3613)), Some(passes));
        // It died, and lives again.
        assert_eq!((begins(&mut tests, &[], 3614), tests.deadline()), (None, None));
        let again = begins(&mut tests, &live(2), 3615).unwrap();
        assert_eq!(tests.ended(again, passes, s(3616)), Some(passes));
        // There is another server.
        tests.forget();
        assert!(begins(&mut tests, &live(2), 3617).is_some());
    }

    #[test]
    fn a_late_answer_without_the_options_is_to_a_syn_without_them() {
        let tcp = |syns_before| Mptcp::of(Answer::Tcp { syns_before }, false);
        assert_eq!(
            [0, 1, 2, 3].map(tcp),
            [Mptcp::Stripped, Mptcp::Stripped, Mptcp::Dropped, Mptcp::Dropped].map(Some)
        );
        assert_eq!(Mptcp::of(Answer::Mptcp, false), Some(Mptcp::Passes));
        assert_eq!(
            [true, false].map(|opens| Mptcp::of(Answer::Nothing, opens)),
            [Some(Mptcp::Dropped), None]
        );
    }

    #[test]
    fn one_in_doubt_waits() {
        let mut tests = Tests::default();
        let in_doubt = live(1).map(|c| Candidate { is_sure: false, ..c });
        assert_eq!((begins(&mut tests, &in_doubt, 0), tests.deadline()), (None, None));
        assert!(begins(&mut tests, &live(1), 1).is_some());
    }

    #[test]
    fn what_is_bad_has_to_be_said_twice() {
        let mut tests = Tests::default();
        let mut test = |at, found| {
            let ran = begins(&mut tests, &live(1), at);
            (ran.is_some(), ran.and_then(|ran| tests.ended(ran, found, s(at))))
        };
        let (dropped, stripped) = (Some(Mptcp::Dropped), Some(Mptcp::Stripped));
        assert_eq!(test(0, dropped), (true, None));
        assert_eq!(test(0, stripped), (true, None));
        // It says another thing each time.
        assert_eq!(test(19, stripped), (false, None));
        assert_eq!(test(20, stripped), (true, Some(stripped)));
        // An hour later once is enough, for it was so before.
        assert_eq!(test(3620, stripped), (true, Some(stripped)));
        assert_eq!(test(7220, Some(Mptcp::Passes)), (true, Some(Some(Mptcp::Passes))));
        assert_eq!(test(10_820, dropped), (true, None));
        assert_eq!(test(10_820, dropped), (true, Some(dropped)));
        // The server is silent, which says nothing of MPTCP.
        assert_eq!(test(14_420, None), (true, None));
        assert_eq!(test(14_479, dropped), (false, None));
        assert_eq!(test(14_480, dropped), (true, Some(dropped)));
    }

    #[test]
    fn a_silent_server_is_asked_more_and_more_rarely_and_nothing_is_known() {
        let mut tests = Tests::default();
        let mut begun = Vec::new();
        for at in 0..20_000 {
            if let Some(ran) = begins(&mut tests, &live(1), at) {
                begun.push(at);
                assert_eq!(tests.ended(ran, None, s(at)), Some(None));
            }
        }
        assert_eq!(begun, [0, 60, 180, 420, 900, 1_860, 3_780, 7_380, 10_980, 14_580, 18_180]);
    }

    #[test]
    fn a_word_brings_a_test_forward_but_no_flood_of_them() {
        let mut tests = Tests::default();
        let mut begun = Vec::new();
        for at in 0..3_000 {
            if let Some(ran) = begins(&mut tests, &live(1), at) {
                begun.push(at);
                tests.ended(ran, Some(Mptcp::Passes), s(at));
            }
            // What is known already is no news, nor is another's.
            tests.doubt(address(1), true);
            tests.doubt(address(2), false);
            if at > 100 {
                tests.doubt(address(1), false);
            }
        }
        assert_eq!(begun, [0, 102, 142, 222, 382, 702, 1_342, 2_622]);
        let mut dropped = |at| {
            let ran = begins(&mut tests, &live(1), at);
            ran.and_then(|ran| tests.ended(ran, Some(Mptcp::Dropped), s(at)))
        };
        assert_eq!((dropped(9_000), dropped(9_000)), (None, Some(Some(Mptcp::Dropped))));
        // What is known to be bad is not tested for every connection that fails, but for one that does not.
        tests.doubt(address(1), false);
        assert_eq!(tests.deadline(), Some(s(12_600)));
        tests.doubt(address(1), true);
        assert!(tests.deadline().is_some_and(|at| at < s(9_100)));
    }
}
