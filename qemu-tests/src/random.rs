//! Random numbers that a failed test can repeat.

use std::env;
use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

/// Names the seed in the environment.
const SEED: &str = "BSBF_LAB_SEED";

/// A generator (splitmix64, Vigna); shows its seed.
#[derive(Clone, Debug)]
pub struct Random {
    seed: u64,
    state: u64,
}

impl Random {
    /// With the seed in BSBF_LAB_SEED, or with the time.
    pub fn seeded() -> Random {
        let given = env::var(SEED).ok().and_then(|text| text.parse().ok());
        let time = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_millis() as u64);
        let seed = given.unwrap_or(time);
        Random { seed, state: seed }
    }

    /// A number from 0 to below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end.max(1)
    }
}

impl fmt::Display for Random {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SEED}={}", self.seed)
    }
}
