//! How long an answer may take: the round-trip time, its rises, and how high it has been.
//!
//! RFC 6298's estimator takes a fall of the RTT for variance, which makes one patient for half a minute after
//! each download. Here only rises widen the time-out, and falls are followed at once.

use std::time::Duration;

use super::settings::Settings;

/// Patience before the first answer: RFC 6298 section 2.1.
const INITIAL: Duration = Duration::from_secs(1);
/// However a link has behaved, no probe is waited for longer than this while our own traffic does not queue.
const MAX: Duration = Duration::from_millis(1500);
/// The extremes of a quiet link are forgotten by a 128th of the difference at each answer: about two minutes
/// at one probe a second.
const DECAY: u32 = 128;

/// Round-trip times of one WAN.
#[derive(Clone, Debug, Default)]
pub struct Rtt {
    smoothed: Option<Duration>,
    rise: Duration,
    peak: Duration,
    base: Option<Duration>,
    last: Option<Duration>,
}

impl Rtt {
    /// Takes in one answer; `quiet` says that our own traffic did not queue in front of it.
    pub fn sample(&mut self, rtt: Duration, quiet: bool) {
        self.last = Some(rtt);
        let smoothed = self.smoothed.unwrap_or(rtt);
        let rise = rtt.saturating_sub(smoothed);
        self.rise = (self.rise * 3 + rise) / 4;
        self.smoothed =
            Some(if rtt < smoothed { (smoothed * 3 + rtt) / 4 } else { (smoothed * 7 + rtt) / 8 });
        // The base follows any fall at once, and a lasting rise (a longer route) slowly, if it is none of our making.
        let base = self.base.unwrap_or(rtt).min(rtt);
        self.base = Some(if quiet { base + (rtt - base) / DECAY } else { base });
        if quiet {
            let decayed = self.peak - self.peak.saturating_sub(rtt) / DECAY;
            self.peak = decayed.max(rtt);
        }
    }

    /// The time-out for a probe of a quiet link: what the estimate says, and more than it ever took lately.
    pub fn patience_quiet(&self) -> Duration {
        self.patience_loaded().max((self.peak + self.peak / 4).min(MAX))
    }

    /// The time-out while the link is or was just busy: the quiet peak says nothing there.
    pub fn patience_loaded(&self) -> Duration {
        match self.smoothed {
            None => INITIAL,
            Some(smoothed) => (smoothed + self.rise * 4).clamp(Settings::MIN_PATIENCE, MAX),
        }
    }

    /// The time-out once our own traffic has ended: what queued has drained, so only the quiet link counts.
    pub fn patience_drained(&self) -> Duration {
        match self.peak {
            Duration::ZERO => self.patience_loaded(),
            peak => (peak + peak / 4).clamp(Settings::MIN_PATIENCE, MAX),
        }
    }

    /// The last answer took so much longer than the link needs that packets must be queueing.
    pub fn is_queueing(&self) -> bool {
        match (self.last, self.base) {
            (Some(last), Some(base)) => last > base * 2 + Duration::from_millis(50),
            _ => false,
        }
    }

    /// The least it takes, if anything ever answered.
    pub fn base(&self) -> Option<Duration> {
        self.base
    }

    /// The average, if anything ever answered.
    pub fn average(&self) -> Option<Duration> {
        self.smoothed
    }

    /// The last answer.
    pub fn last(&self) -> Option<Duration> {
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn fed(samples: impl IntoIterator<Item = (u64, bool)>) -> Rtt {
        let mut rtt = Rtt::default();
        samples.into_iter().for_each(|(sample, quiet)| rtt.sample(ms(sample), quiet));
        rtt
    }

    #[test]
    fn a_steady_link_is_given_the_least_patience() {
        assert_eq!(fed([(20, true); 30]).patience_quiet(), Settings::MIN_PATIENCE);
    }

    #[test]
    fn jitter_stays_within_the_patience() {
        let jittery = fed((0..200).map(|i| (40 + (i * 37) % 31, true)));
        assert!(jittery.patience_quiet() > ms(75), "{:?}", jittery.patience_quiet());
    }

    #[test]
    fn after_a_download_the_patience_falls_within_ten_answers() {
        let mut rtt = fed((0..20).map(|_| (20, true)).chain((0..20).map(|_| (900, false))));
        assert!(rtt.patience_quiet() >= ms(900));
        (0..10).for_each(|_| rtt.sample(ms(20), true));
        assert!(rtt.patience_quiet() < ms(200), "{:?}", rtt.patience_quiet());
    }

    #[test]
    fn a_quiet_link_that_once_took_long_is_waited_for_longer() {
        let spiky = fed((0..60).map(|i| (if i == 10 { 800 } else { 40 }, true)));
        assert!(spiky.patience_quiet() > ms(500), "{:?}", spiky.patience_quiet());
    }
}
