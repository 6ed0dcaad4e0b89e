//! What the show has measured, in words; and whether that is good enough.

use std::fmt;
use std::time::Duration;

use crate::traffic::Ended;

/// What followed a break.
pub struct Break {
    /// For people.
    pub what: &'static str,
    /// Whether the broken WAN had the preferred default route.
    pub was_preferred: bool,
    /// From the break until another WAN's default route was preferred.
    pub route_moved: Option<Duration>,
    /// From the break until the WAN's endpoint was gone.
    pub endpoint_removed: Option<Duration>,
    /// Whether there was a moment without any default route.
    pub without_default: bool,
}

/// What followed a repair.
pub struct Repair {
    /// For people.
    pub what: &'static str,
    /// From the repair until the WAN carried data again.
    pub data_after: Option<Duration>,
}

/// All of it.
pub struct Summary {
    with_manager: bool,
    /// Payload while both WANs worked, as part of the sum of the links' rates.
    pub share: f64,
    /// Whether routes and endpoints stayed as they were while both WANs worked.
    pub steady: bool,
    /// In the order of the script.
    pub breaks: Vec<Break>,
    /// In the order of the script.
    pub repairs: Vec<Repair>,
    /// The longest time without a byte of the download, to 10 ms.
    pub longest_stall: Duration,
    /// How the download ended, or what was wrong with it.
    pub transfer: Option<Result<Ended, String>>,
}

impl Summary {
    pub(super) fn new(with_manager: bool) -> Summary {
        Summary {
            with_manager,
            share: 0.0,
            steady: false,
            breaks: Vec::new(),
            repairs: Vec::new(),
            longest_stall: Duration::ZERO,
            transfer: None,
        }
    }

    /// Whether the download arrived whole and, with a manager, nothing was done to working
    /// WANs and every break and repair was dealt with.
    pub fn is_good(&self) -> bool {
        let whole = matches!(self.transfer, Some(Ok(_)));
        let broken_well =
            |one: &Break| one.route_moved.is_some() && one.endpoint_removed.is_some() && !one.without_default;
        let repaired_well = |one: &Repair| one.data_after.is_some();
        let managed = self.breaks.iter().all(broken_well) && self.repairs.iter().all(repaired_well);
        whole && ((managed && self.steady) || !self.with_manager)
    }
}

/// "moved after 400 ms", or "NOT moved".
fn done(what: &str, after: Option<Duration>) -> String {
    after.map_or(format!("NOT {what}"), |after| format!("{what} after {} ms", after.as_millis()))
}

impl Summary {
    /// What was measured, and how much.
    pub(super) fn lines(&self) -> Vec<(String, String)> {
        let both = "both WANs together";
        let mut lines: Vec<(&str, String)> =
            vec![(both, format!("{:.2} of the sum of their rates, as payload", self.share))];
        if !self.steady {
            lines.push((both, "a working WAN was NOT kept".into()));
        }
        for (broken, repaired) in self.breaks.iter().zip(&self.repairs) {
            let route = match broken.was_preferred {
                true => format!("default route {}", done("moved", broken.route_moved)),
                false => "default route was elsewhere".into(),
            };
            let endpoint = done("removed", broken.endpoint_removed);
            let gap = if broken.without_default { ", for a moment NO default route" } else { "" };
            lines.push((broken.what, format!("{route}, endpoint {endpoint}{gap}")));
            lines.push((repaired.what, done("carrying data again", repaired.data_after)));
        }
        lines.push(("longest stall", format!("{} ms", self.longest_stall.as_millis())));
        match &self.transfer {
            Some(Ok(ended)) => {
                let megabytes = ended.bytes as f64 / 1e6;
                lines.push(("bytes lost", format!("0 of {megabytes:.1} MB, every one compared")));
            }
            Some(Err(why)) => lines.push(("the download", format!("FAILED: {why}"))),
            None => {}
        }
        lines.into_iter().map(|(what, how_much)| (what.to_string(), how_much)).collect()
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let who = if self.with_manager { "bsbf bond" } else { "the kernel alone, no manager" };
        writeln!(f, "Measured in this run, with {who}:")?;
        self.lines().iter().try_for_each(|(what, how_much)| writeln!(f, "  {what:<20}  {how_much}"))
    }
}
