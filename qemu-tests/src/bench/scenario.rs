//! The list of what is measured, and of whom.

use std::time::Duration;

use crate::failure::Result;
use crate::topology::Lab;

/// Who looks after the WANs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contender {
    /// The manager under test.
    Bsbf,
    /// Static endpoints, rules and tables; nobody reacts.
    Kernel,
    /// The command line given to `--against`.
    Other,
}

impl Contender {
    /// Every contender, in the order of the table's columns.
    pub const ALL: [Contender; 3] = [Contender::Bsbf, Contender::Kernel, Contender::Other];

    /// As it is called in arguments and in the JSON file.
    pub fn name(self) -> &'static str {
        match self {
            Contender::Bsbf => "bsbf",
            Contender::Kernel => "kernel",
            Contender::Other => "other",
        }
    }

    /// The contender of this name.
    pub fn named(name: &str) -> Option<Contender> {
        Contender::ALL.into_iter().find(|contender| contender.name() == name)
    }
}

/// How WAN 1 is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Break {
    /// Everything is dropped silently.
    Blackhole,
    /// The cable is pulled at the far end.
    Carrier,
    /// The router's device is set down; with the repair netifd puts its route back.
    LinkDown,
}

impl Break {
    /// Breaks WAN 1.
    pub fn cut(self, lab: &Lab) -> Result {
        match self {
            Break::Blackhole => lab.blackhole(1, true),
            Break::Carrier => lab.far_carrier(1, false)?,
            Break::LinkDown => lab.link_down(1)?,
        }
        Ok(())
    }

    /// Repairs it.
    pub fn repair(self, lab: &Lab) -> Result {
        match self {
            Break::Blackhole => lab.blackhole(1, false),
            Break::Carrier => lab.far_carrier(1, true)?,
            Break::LinkDown => lab.link_up(1)?,
        }
        Ok(())
    }

    fn name(self) -> &'static str {
        match self {
            Break::Blackhole => "blackhole",
            Break::Carrier => "carrier",
            Break::LinkDown => "link_down",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Break::Blackhole => "Silent failure (blackhole)",
            Break::Carrier => "Carrier lost at the far end",
            Break::LinkDown => "Device set down",
        }
    }
}

/// Which links a transfer in peace goes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Links {
    /// 20 Mbit/s at 15 ms and 10 Mbit/s at 30 ms.
    Pair,
    /// 20 Mbit/s at 15 ms and 2 Mbit/s at 100 ms.
    WithSlow,
    /// The same, but only the first is used.
    FastAlone,
}

/// One measurement, made in a lab of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenario {
    /// WAN 1 of this many breaks while nothing flows.
    Idle(Break, usize),
    /// The same under a download over all of them.
    Loaded(Break, usize),
    /// Payload of a download in peace.
    Goodput(Links),
    /// What this many idle WANs cost the router.
    Cost(usize),
    /// What two idle WANs carry for the manager's sake.
    Probes,
    /// How long `bsbf status` takes.
    Status,
}

const BREAKS: [Break; 3] = [Break::Blackhole, Break::Carrier, Break::LinkDown];
const COUNTS: [usize; 2] = [2, 4];

impl Scenario {
    /// Everything, in the order of the table.
    pub fn all() -> Vec<Scenario> {
        let mut all = Vec::new();
        for way in BREAKS {
            all.extend(COUNTS.map(|wans| Scenario::Idle(way, wans)));
            all.extend(COUNTS.map(|wans| Scenario::Loaded(way, wans)));
        }
        all.extend([Links::Pair, Links::WithSlow, Links::FastAlone].map(Scenario::Goodput));
        all.extend([2, 8].map(Scenario::Cost));
        all.extend([Scenario::Probes, Scenario::Status]);
        all
    }

    /// As `--only` and the JSON file call it.
    pub fn name(&self) -> String {
        match self {
            Scenario::Idle(way, wans) => format!("{}_idle_{wans}", way.name()),
            Scenario::Loaded(way, wans) => format!("{}_loaded_{wans}", way.name()),
            Scenario::Goodput(Links::Pair) => "goodput".into(),
            Scenario::Goodput(Links::WithSlow) => "goodput_slow".into(),
            Scenario::Goodput(Links::FastAlone) => "goodput_fast_alone".into(),
            Scenario::Cost(wans) => format!("cost_{wans}"),
            Scenario::Probes => "probes".into(),
            Scenario::Status => "status".into(),
        }
    }

    /// The table's words.
    pub fn title(&self) -> String {
        match self {
            Scenario::Idle(way, wans) => format!("{}, idle, {wans} WANs", way.title()),
            Scenario::Loaded(way, wans) => format!("{}, under a download, {wans} WANs", way.title()),
            Scenario::Goodput(Links::Pair) => "Download, 20 Mbit/s 15 ms + 10 Mbit/s 30 ms".into(),
            Scenario::Goodput(Links::WithSlow) => {
                "Download, slow link added: 20 Mbit/s 15 ms + 2 Mbit/s 100 ms".into()
            }
            Scenario::Goodput(Links::FastAlone) => "The same without the slow link's endpoint".into(),
            Scenario::Cost(wans) => format!("Cost of {wans} idle WANs"),
            Scenario::Probes => "Traffic of an idle WAN".into(),
            Scenario::Status => "`bsbf status`, 2 WANs".into(),
        }
    }

    /// The scenario of this name.
    pub fn named(name: &str) -> Option<Scenario> {
        Scenario::all().into_iter().find(|scenario| scenario.name() == name)
    }

    /// Whether this contender has something to show here.
    pub fn concerns(&self, contender: Contender) -> bool {
        match self {
            Scenario::Loaded(..) | Scenario::Goodput(Links::Pair | Links::WithSlow) => true,
            Scenario::Goodput(Links::FastAlone) => contender == Contender::Kernel,
            // The kernel alone costs and sends nothing, and what it does with an idle WAN it does with a busy one.
            Scenario::Idle(..) | Scenario::Cost(_) | Scenario::Probes => contender != Contender::Kernel,
            Scenario::Status => contender == Contender::Bsbf,
        }
    }

    /// Another measurement may run at the same time: this one mostly waits.
    pub fn together(&self) -> bool {
        matches!(self, Scenario::Idle(..) | Scenario::Probes)
    }

    /// It gives all its values in one go, so that it is made once.
    pub fn once(&self) -> bool {
        matches!(self, Scenario::Cost(_) | Scenario::Probes | Scenario::Status)
    }

    /// About how long it takes, for the progress; `runs` is the number of windows of those that are made once.
    pub fn estimate(&self, contender: Contender, runs: usize) -> Duration {
        let seconds = match (self, contender) {
            (Scenario::Idle(..), Contender::Other) => 40,
            (Scenario::Idle(..), _) => 7,
            (Scenario::Loaded(..), Contender::Bsbf) => 12,
            (Scenario::Loaded(..), _) => 16,
            (Scenario::Goodput(_), _) => 9,
            (Scenario::Cost(_) | Scenario::Probes, _) => 15 + 20 * runs as u64,
            (Scenario::Status, _) => 3,
        };
        Duration::from_secs(seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back_to_the_scenario() {
        for scenario in Scenario::all() {
            assert_eq!(Scenario::named(&scenario.name()), Some(scenario));
        }
        for contender in Contender::ALL {
            assert_eq!(Contender::named(contender.name()), Some(contender));
        }
    }

    #[test]
    fn every_break_is_measured_idle_and_loaded_with_two_and_four_wans() {
        let breaks =
            Scenario::all().into_iter().filter(|s| matches!(s, Scenario::Idle(..) | Scenario::Loaded(..)));
        assert_eq!(breaks.count(), 3 * 2 * 2);
    }
}
