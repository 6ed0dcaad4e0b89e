//! Why something was decided, with the numbers it was decided on: in words, and as fields that read back.

use std::fmt;
use std::time::Duration;

use super::super::liveness::{Evidence, Obstacle};
use super::super::mptcp::Mptcp;
use super::super::settings::MAX_WANS;
use crate::types::{IfName, micros, millis};

/// Why a WAN changed its state, or what else was decided about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The manager began.
    Started,
    /// The manager ended, and put the default routes back.
    Ended,
    /// The settings were read again.
    Reloaded,
    /// Addresses, routes or endpoints were not as they should be, by no decision of ours: others changed them.
    Followed {
        /// How often in a row, without another decision between.
        times: u32,
        /// From the first of them to the last.
        span: Duration,
    },
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
        /// How long the suspicion lasted.
        lasted: Duration,
    },
    /// Too many probes were lost while another WAN was answered.
    Lost {
        /// How many, to how many targets, in what time.
        evidence: Evidence,
        /// What the device carried meanwhile.
        carried: Carried,
        /// The average round-trip time before.
        rtt: Option<Duration>,
        /// The other WAN.
        witness: IfName,
    },
    /// Too many probes were lost, but no other WAN was answered either: the world is away, nothing moves.
    NoWitness {
        /// How many, to how many targets, in what time.
        evidence: Evidence,
        /// What the device carried meanwhile.
        carried: Carried,
    },
    /// The kernel says that it cannot work.
    Blocked(Obstacle),
    /// What stood in the way is gone; now it has to answer.
    Unblocked,
    /// Enough answers in a row.
    Recovered {
        /// How many.
        replies: u32,
        /// How long it was down.
        lasted: Duration,
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
    /// It was tested what becomes of MPTCP on its way to the server; or that is not known any more.
    Mptcp(Option<Mptcp>),
    /// The settings say that it is no WAN.
    Excluded,
    /// It was gone, and another WAN took its place.
    Forgotten,
    /// There are eight WANs already.
    NoPlace,
}

/// What a device carried since its last sign of life (an answered probe, or bytes flowing in), in bytes, as far as its
/// counters were read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Carried {
    /// Sent, our own probes included.
    pub sent: u64,
    /// Received.
    pub received: u64,
}

/// The numbers of a reason, as they are written down.
pub type Values = heapless::Vec<(&'static str, u64), 9>;

/// A reason's fields as they are read.
pub trait Fields {
    /// The number with this name.
    fn number(&self, name: &str) -> Option<u64>;
    /// The interface that vouched.
    fn witness(&self) -> Option<IfName>;
}

impl Reason {
    /// One word for what was decided, for those who read it by program.
    pub fn word(&self) -> &'static str {
        match self {
            Reason::Started => "started",
            Reason::Ended => "ended",
            Reason::Reloaded => "reloaded",
            Reason::Followed { .. } => "followed",
            Reason::Found => "found",
            Reason::Answered { .. } => "answered",
            Reason::Missing { .. } => "missing",
            Reason::Cleared { .. } => "cleared",
            Reason::Lost { .. } => "lost",
            Reason::NoWitness { .. } => "no-witness",
            Reason::Blocked(obstacle) => obstacle.word(),
            Reason::Unblocked => "unblocked",
            Reason::Recovered { .. } => "recovered",
            Reason::HeldDown { .. } => "held-down",
            Reason::ServerLost { .. } => "server-lost",
            Reason::ServerBack => "server-back",
            Reason::MadeBackup { .. } => "backup",
            Reason::NoBackup => "no-backup",
            Reason::Mptcp(None) => "mptcp-unknown",
            Reason::Mptcp(Some(Mptcp::Passes)) => "mptcp-passes",
            Reason::Mptcp(Some(Mptcp::Stripped)) => "mptcp-stripped",
            Reason::Mptcp(Some(Mptcp::Dropped)) => "mptcp-dropped",
            Reason::Excluded => "excluded",
            Reason::Forgotten => "forgotten",
            Reason::NoPlace => "no-place",
        }
    }

    /// Its numbers: durations in microseconds, amounts in bytes.
    pub fn values(&self) -> Values {
        let of = |e: &Evidence| {
            [
                ("lost", count(e.lost)),
                ("sent", count(e.sent)),
                ("targets", count(e.targets)),
                ("span_us", micros(e.span)),
                ("covers_us", micros(e.covers)),
            ]
        };
        let mut values = Values::new();
        let mut put = |some: &[(&'static str, u64)]| {
            let _ = values.extend_from_slice(some); // nine are the most
        };
        match self {
            Reason::Followed { times, span } => {
                put(&[("times", u64::from(*times)), ("span_us", micros(*span))]);
            }
            Reason::Answered { rtt } | Reason::Missing { rtt } => put(&[("rtt_us", micros(*rtt))]),
            Reason::Cleared { rtt, lasted } => {
                put(&[("rtt_us", micros(*rtt)), ("lasted_us", micros(*lasted))]);
            }
            Reason::Lost { evidence, carried, rtt, .. } => {
                put(&of(evidence));
                put(&[("sent_bytes", carried.sent), ("received_bytes", carried.received)]);
                if let Some(rtt) = rtt {
                    put(&[("rtt_us", micros(*rtt))]);
                }
            }
            Reason::NoWitness { evidence, carried } => {
                put(&of(evidence));
                put(&[("sent_bytes", carried.sent), ("received_bytes", carried.received)]);
            }
            Reason::Recovered { replies, lasted } => {
                put(&[("replies", u64::from(*replies)), ("lasted_us", micros(*lasted))]);
            }
            Reason::HeldDown { flaps, hold } => put(&[("flaps", count(*flaps)), ("hold_us", micros(*hold))]),
            Reason::MadeBackup { rtt, best } => put(&[("rtt_us", micros(*rtt)), ("best_us", micros(*best))]),
            Reason::Started
            | Reason::Ended
            | Reason::Reloaded
            | Reason::Found
            | Reason::Blocked(_)
            | Reason::Unblocked
            | Reason::ServerLost { .. }
            | Reason::ServerBack
            | Reason::NoBackup
            | Reason::Mptcp(_)
            | Reason::Excluded
            | Reason::Forgotten
            | Reason::NoPlace => {}
        }
        values
    }

    /// The WAN that vouched for the world.
    pub fn witness(&self) -> Option<&IfName> {
        match self {
            Reason::Lost { witness, .. } | Reason::ServerLost { witness } => Some(witness),
            _ => None,
        }
    }

    /// From the word and the fields; None if it is no reason or a field is missing.
    pub fn read(word: &str, fields: &dyn Fields) -> Option<Reason> {
        let number = |name| fields.number(name);
        let duration = |name| Some(Duration::from_micros(number(name)?));
        let small = |name| number(name)?.try_into().ok();
        let evidence = || {
            Some(Evidence {
                lost: small("lost")?,
                sent: small("sent")?,
                targets: small("targets")?,
                span: duration("span_us")?,
                covers: duration("covers_us")?,
            })
        };
        let carried = || Some(Carried { sent: number("sent_bytes")?, received: number("received_bytes")? });
        Some(match word {
            "started" => Reason::Started,
            "ended" => Reason::Ended,
            "reloaded" => Reason::Reloaded,
            "followed" => {
                Reason::Followed { times: number("times")?.try_into().ok()?, span: duration("span_us")? }
            }
            "found" => Reason::Found,
            "answered" => Reason::Answered { rtt: duration("rtt_us")? },
            "missing" => Reason::Missing { rtt: duration("rtt_us")? },
            "cleared" => Reason::Cleared { rtt: duration("rtt_us")?, lasted: duration("lasted_us")? },
            "lost" => Reason::Lost {
                evidence: evidence()?,
                carried: carried()?,
                rtt: duration("rtt_us"),
                witness: fields.witness()?,
            },
            "no-witness" => Reason::NoWitness { evidence: evidence()?, carried: carried()? },
            "unblocked" => Reason::Unblocked,
            "recovered" => Reason::Recovered {
                replies: number("replies")?.try_into().ok()?,
                lasted: duration("lasted_us")?,
            },
            "held-down" => Reason::HeldDown { flaps: small("flaps")?, hold: duration("hold_us")? },
            "server-lost" => Reason::ServerLost { witness: fields.witness()? },
            "server-back" => Reason::ServerBack,
            "backup" => Reason::MadeBackup { rtt: duration("rtt_us")?, best: duration("best_us")? },
            "no-backup" => Reason::NoBackup,
            "mptcp-unknown" => Reason::Mptcp(None),
            "mptcp-passes" => Reason::Mptcp(Some(Mptcp::Passes)),
            "mptcp-stripped" => Reason::Mptcp(Some(Mptcp::Stripped)),
            "mptcp-dropped" => Reason::Mptcp(Some(Mptcp::Dropped)),
            "excluded" => Reason::Excluded,
            "forgotten" => Reason::Forgotten,
            "no-place" => Reason::NoPlace,
            word => Reason::Blocked(Obstacle::from_word(word)?),
        })
    }
}

fn count(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Started => write!(f, "the manager began"),
            Reason::Ended => write!(f, "the manager ended, default routes are where they were"),
            Reason::Reloaded => write!(f, "the settings were read again"),
            Reason::Followed { times: 1, .. } => {
                write!(f, "addresses, routes or endpoints had changed: followed")
            }
            Reason::Followed { times, span } => write!(
                f,
                "addresses, routes or endpoints had changed: followed {times} times in {}",
                Span(*span)
            ),
            Reason::Found => write!(f, "found with a default route"),
            Reason::Answered { rtt } => write!(f, "answered after {}", Ms(*rtt)),
            Reason::Missing { rtt } => write!(f, "answer missing, RTT {} before", Ms(*rtt)),
            Reason::Cleared { rtt, lasted } => {
                write!(f, "answered after {}, in doubt for {}", Ms(*rtt), Span(*lasted))
            }
            Reason::Lost { evidence, carried, rtt, witness } => {
                write!(f, "{evidence} with the carrier up, ")?;
                match rtt {
                    Some(rtt) => write!(f, "RTT {} before, {carried}", Ms(*rtt))?,
                    None => write!(f, "never answered")?,
                }
                write!(f, ", while {witness} answered")
            }
            Reason::NoWitness { evidence, carried } => {
                write!(
                    f,
                    "{evidence} with the carrier up, {carried}, but no other WAN was answered either: kept"
                )
            }
            Reason::Blocked(obstacle) => write!(f, "{obstacle}"),
            Reason::Unblocked => write!(f, "link is back, waiting for answers"),
            Reason::Recovered { replies, lasted } => {
                write!(f, "{replies} answers in a row after {} down", Span(*lasted))
            }
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
            Reason::Mptcp(None) => {
                write!(f, "whether MPTCP passes to the server is not known any more: it does not answer")
            }
            Reason::Mptcp(Some(Mptcp::Passes)) => write!(f, "MPTCP passes to the server"),
            Reason::Mptcp(Some(Mptcp::Stripped)) => write!(
                f,
                "MPTCP to the server came to be plain TCP: it is stripped on the way, or the server has none"
            ),
            Reason::Mptcp(Some(Mptcp::Dropped)) => {
                write!(f, "MPTCP to the server is dropped on the way, plain TCP passes")
            }
            Reason::Excluded => write!(f, "excluded by the settings"),
            Reason::Forgotten => write!(f, "gone, and its place was needed"),
            Reason::NoPlace => write!(f, "not managed: there are {MAX_WANS} WANs already"),
        }
    }
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Evidence { lost, sent, targets, span, .. } = self;
        let plural = if *targets == 1 { "" } else { "s" };
        write!(f, "{lost} of {sent} probes to {targets} target{plural} lost in {}", Span(*span))
    }
}

impl fmt::Display for Carried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} sent and {} received since", Bytes(self.sent), Bytes(self.received))
    }
}

/// Milliseconds as people read them.
pub(super) struct Ms(pub Duration);

impl fmt::Display for Ms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ms", (micros(self.0) + 500) / 1000)
    }
}

/// A time that may be long.
struct Span(Duration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match millis(self.0) {
            ms @ 0..1_000 => write!(f, "{ms} ms"),
            ms @ 1_000..120_000 => write!(f, "{}.{} s", ms / 1000, ms % 1000 / 100),
            ms @ 120_000..7_200_000 => write!(f, "{} min", ms / 60_000),
            ms => write!(f, "{} h", ms / 3_600_000),
        }
    }
}

/// An amount as people read it.
struct Bytes(u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            n @ 0..1_000 => write!(f, "{n} B"),
            n @ 1_000..1_000_000 => write!(f, "{}.{} kB", n / 1_000, n % 1_000 / 100),
            n => write!(f, "{}.{} MB", n / 1_000_000, n % 1_000_000 / 100_000),
        }
    }
}
