//! What was measured, on what, and when.

use std::fs;
use std::process::Command;
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::failure::{Doing, Result};
use crate::manager;

/// What makes one run's numbers comparable with another's.
pub struct Machine {
    /// The command line of this run.
    pub command: String,
    /// When it began: "2026-11-22T03:34:19Z".
    pub date: String,
    /// The kernel's release.
    pub kernel: String,
    /// CPUs that this program may use.
    pub cpus: usize,
    /// Where the binary is.
    pub binary: String,
    /// Its size.
    pub bytes: u64,
    /// What it says to `--version`.
    pub version: String,
    /// How many commands it has.
    pub commands: usize,
}

impl Machine {
    /// Asks the system and the binary.
    pub fn ask() -> Result<Machine> {
        let binary = manager::binary()?;
        let place = binary.display().to_string();
        let bytes = fs::metadata(&binary).doing(format_args!("find {place}"))?.len();
        let says = |option: &str| -> Result<String> {
            let said = Command::new(&binary).arg(option).output().doing(format_args!("run {place}"))?;
            Ok(String::from_utf8_lossy(&said.stdout).trim().to_string())
        };
        let (version, commands) = (says("--version")?, says("--list")?.lines().count());
        Ok(Machine {
            command: std::env::args().skip(1).collect::<Vec<String>>().join(" "),
            date: date(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs())),
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_string(),
            cpus: thread::available_parallelism().map_or(1, usize::from),
            binary: place,
            bytes,
            version,
            commands,
        })
    }
}

/// UTC from seconds since 1970, as ISO 8601 has it; the calendar counts years from March on, so that the
/// leap day is the last of them (Hinnant, "chrono-compatible low-level date algorithms").
fn date(seconds: u64) -> String {
    let days = seconds / 86_400 + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::date;

    #[test]
    fn dates_are_right_around_leap_days() {
        assert_eq!(date(0), "1970-01-01T00:00:00Z");
        assert_eq!(date(951_782_399), "2000-02-28T23:59:59Z");
        assert_eq!(date(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(date(951_868_800), "2000-03-01T00:00:00Z");
        assert_eq!(date(1_735_689_599), "2024-12-31T23:59:59Z");
    }
}
