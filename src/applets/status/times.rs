//! Times and amounts as people read them.

use crate::sys::clock;
use crate::types::Time;
use crate::wire::calendar;

/// Both clocks, read at once, so that times since boot can be told as local time.
#[derive(Clone, Copy)]
pub struct Times {
    /// Since boot.
    pub now: Time,
    /// In microseconds since 1970.
    pub wall: i64,
    /// Seconds by which local time is ahead of UTC at a time in seconds since 1970.
    pub offset: fn(i64) -> i64,
}

impl Times {
    /// Now.
    pub fn read() -> Times {
        Times { now: clock::now(), wall: clock::wall_micros(), offset: clock::local_offset }
    }

    /// The wall clock's time, in microseconds since 1970, of a time since boot.
    pub fn wall_of(&self, at: Time) -> i64 {
        let ago = i64::try_from(self.now.0).unwrap_or(i64::MAX) - i64::try_from(at.0).unwrap_or(i64::MAX);
        self.wall.saturating_sub(ago)
    }

    /// The wall clock's time so many milliseconds ago.
    pub fn wall_ago(&self, ms: u64) -> i64 {
        self.wall.saturating_sub(i64::try_from(ms.saturating_mul(1000)).unwrap_or(i64::MAX))
    }

    /// Local time, with the date unless it is today's.
    pub fn show(&self, wall: i64) -> String {
        let offset = &self.offset;
        let (day, time) = calendar::local(wall, offset);
        let text = calendar::time_text(time);
        match calendar::local(self.wall, offset).0 == day {
            true => text,
            false => format!("{} {text}", calendar::date_text(day)),
        }
    }

    /// A line for each: the time, in a column, and a text.
    pub fn lines(&self, told: impl Iterator<Item = (i64, String)>) -> Vec<String> {
        let told: Vec<(String, String)> = told.map(|(wall, text)| (self.show(wall), text)).collect();
        let width = told.iter().map(|(time, _)| time.len()).max().unwrap_or(0);
        told.into_iter().map(|(time, text)| format!("{time:>width$}  {text}")).collect()
    }
}

/// Seconds since 1970 with a fraction.
pub fn seconds(wall: i64) -> f64 {
    wall as f64 / 1e6
}

/// A duration.
pub fn ago(ms: u64) -> String {
    match ms / 1000 {
        0..=9 => format!("{}.{} s", ms / 1000, ms % 1000 / 100),
        s @ 10..=119 => format!("{s} s"),
        s @ 120..=7199 => format!("{} min", s / 60),
        s @ 7200..=172_799 => format!("{} h", s / 3600),
        s => format!("{} d", s / 86_400),
    }
}

/// An amount of bytes.
pub fn bytes(n: u64) -> String {
    scaled(n, ["B", "kB", "MB", "GB"])
}

/// Bytes a second as bits a second.
pub fn bits(n: u64) -> String {
    scaled(n.saturating_mul(8), ["bps", "kbps", "Mbps", "Gbps"])
}

fn scaled(n: u64, units: [&str; 4]) -> String {
    let [one, units @ ..] = units;
    let mut unit = 1;
    let mut last = None;
    for name in units {
        unit *= 1000;
        if n >= unit {
            last = Some(format!("{}.{} {name}", n / unit, n % unit / (unit / 10)));
        }
    }
    last.unwrap_or_else(|| format!("{n} {one}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_amounts_are_short() {
        for (ms, text) in
            [(0, "0.0 s"), (9_940, "9.9 s"), (119_000, "119 s"), (3_600_000, "60 min"), (90_000_000, "25 h")]
        {
            assert_eq!(ago(ms), text);
        }
        for (n, text) in [(0, "0 B"), (999, "999 B"), (1_000, "1.0 kB"), (2_345_678, "2.3 MB")] {
            assert_eq!(bytes(n), text);
        }
        assert_eq!(bits(11_762_500), "94.1 Mbps");
        assert_eq!(bits(u64::MAX), "18446744073.7 Gbps");
    }

    #[test]
    fn a_decision_of_yesterday_has_its_date() {
        let wall = 1_795_309_200_000_000; // 2026-11-22 01:00 UTC
        let times = Times { now: Time(7_200_000_000), wall, offset: |_| 3600 };
        assert_eq!(times.wall_of(Time(7_199_500_000)), wall - 500_000);
        let told = [(times.wall_of(Time(0)), "a"), (wall, "b")];
        let lines = times.lines(told.into_iter().map(|(at, text)| (at, text.to_string())));
        assert_eq!(lines, ["           00:00:00.0  a", "02:00:00.0  b"].map(|l| l.trim_start().to_string()));
        let before = times.lines([(times.wall_ago(7_200_100), "a".into()), (wall, "b".into())].into_iter());
        assert_eq!(before, ["2026-11-21 23:59:59.9  a", "           02:00:00.0  b"]);
    }
}
