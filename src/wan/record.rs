//! What was decided, when, and on which numbers.

use std::fmt;
use std::time::Duration;

use super::liveness::{Evidence, Obstacle, State};
use crate::types::{IfName, Time};

/// Decisions that are kept.
const KEPT: usize = 64;

/// Why a WAN changed its state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Found with a default route.
    Found,
    /// The first probe was answered.
    Answered {
        /// After how long.
        rtt: Duration,
    },
    /// A probe's answer is late, or busy traffic fell silent.
    Missing {
        /// The average round-trip time before.
        rtt: Duration,
    },
    /// A suspicion ended with an answer.
    Cleared {
        /// After how long it came.
        rtt: Duration,
    },
    /// Too many probes were lost while another WAN was answered.
    Lost {
        /// How many, to how many targets, in what time.
        evidence: Evidence,
        /// The average round-trip time before.
        rtt: Option<Duration>,
        /// The other WAN.
        witness: IfName,
    },
    /// The kernel says that it cannot work.
    Blocked(Obstacle),
    /// What stood in the way is gone; now it has to answer.
    Unblocked,
    /// Enough answers in a row.
    Recovered {
        /// How many.
        replies: u32,
    },
    /// It answers, but fails too often.
    HeldDown {
        /// Verdicts within five minutes.
        flaps: usize,
        /// How long it must answer first.
        hold: Duration,
    },
    /// The bonding server does not answer here, but on another WAN.
    ServerLost {
        /// The other WAN.
        witness: IfName,
    },
    /// The bonding server answers here again.
    ServerBack,
    /// Proved both slow and thin.
    MadeBackup {
        /// Its average round-trip time.
        rtt: Duration,
        /// The best WAN's.
        best: Duration,
    },
    /// Not slow any more.
    NoBackup,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Found => write!(f, "found with a default route"),
            Reason::Answered { rtt } => write!(f, "answered after {}", Ms(*rtt)),
            Reason::Missing { rtt } => write!(f, "answer missing, RTT {} before", Ms(*rtt)),
            Reason::Cleared { rtt } => write!(f, "answered after {}", Ms(*rtt)),
            Reason::Lost { evidence, rtt, witness } => {
                let Evidence { lost, targets, span, .. } = evidence;
                write!(f, "{lost} of {lost} probes to {targets} targets lost in {}, ", Ms(*span))?;
                match rtt {
                    Some(rtt) => write!(f, "RTT {} before", Ms(*rtt))?,
                    None => write!(f, "never answered")?,
                }
                write!(f, ", while {witness} answered")
            }
            Reason::Blocked(obstacle) => write!(f, "{obstacle}"),
            Reason::Unblocked => write!(f, "link is back, waiting for answers"),
            Reason::Recovered { replies } => write!(f, "{replies} answers in a row"),
            Reason::HeldDown { flaps, hold } => {
                write!(f, "answers again, held down for {} s after {flaps} failures in 5 min", hold.as_secs())
            }
            Reason::ServerLost { witness } => {
                write!(f, "the bonding server does not answer here but on {witness}: no endpoint")
            }
            Reason::ServerBack => write!(f, "the bonding server answers again"),
            Reason::MadeBackup { rtt, best } => {
                write!(
                    f,
                    "backup: RTT {} against {}, under a tenth of the rate for 30 s",
                    Ms(*rtt),
                    Ms(*best)
                )
            }
            Reason::NoBackup => write!(f, "no backup any more: RTT near the best"),
        }
    }
}

/// Milliseconds as people read them.
struct Ms(Duration);

impl fmt::Display for Ms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ms", (self.0.as_micros() + 500) / 1000)
    }
}

/// One decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// When.
    pub at: Time,
    /// About which WAN.
    pub name: IfName,
    /// Its state before.
    pub from: State,
    /// Its state from now on.
    pub to: State,
    /// Why.
    pub reason: Reason,
}

impl Decision {
    /// A suspicion that began or ended: nothing was done for it.
    pub fn is_routine(&self) -> bool {
        matches!(self.reason, Reason::Missing { .. } | Reason::Cleared { .. })
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.from == self.to {
            true => write!(f, "{}: {} ({})", self.name, self.to.as_str(), self.reason),
            false => {
                write!(f, "{}: {} -> {} ({})", self.name, self.from.as_str(), self.to.as_str(), self.reason)
            }
        }
    }
}

/// The last decisions, oldest first.
#[derive(Clone, Debug, Default)]
pub struct Record {
    ring: heapless::Deque<Decision, KEPT>,
}

impl Record {
    /// Keeps a decision; the oldest gives way.
    pub fn keep(&mut self, decision: Decision) {
        if self.ring.is_full() {
            self.ring.pop_front();
        }
        let _ = self.ring.push_back(decision); // a place was just made
    }

    /// The decisions, oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Decision> {
        self.ring.iter()
    }

    /// The last decision about a WAN.
    pub fn last_of(&self, name: &IfName) -> Option<&Decision> {
        self.ring.iter().rev().find(|d| &d.name == name)
    }
}
