//! Dates and times of day as people write them. How far local time is ahead of UTC is an argument: a function of
//! the seconds since 1970, because it changes twice a year.
//!
//! Days are counted by Howard Hinnant's algorithms ("chrono-Compatible Low-Level Date Algorithms").

const DAY: i64 = 86_400;
const MICROS: i64 = 1_000_000;

/// Seconds by which local time is ahead of UTC, at a time in seconds since 1970.
pub type Offset<'a> = &'a dyn Fn(i64) -> i64;

/// A moment as it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// So many microseconds ago.
    Ago(i64),
    /// Local time.
    At {
        /// Days since 1970; None is the last such time of day.
        day: Option<i64>,
        /// Microseconds since midnight.
        time: i64,
    },
}

/// The date of a day, counted from 1970: year, month, day.
pub fn date(day: i64) -> (i64, i64, i64) {
    let shifted = day + 719_468; // days since 0000-03-01
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153; // from March
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// The day of a date; None if the calendar has no such date.
pub fn day(year: i64, month: i64, day: i64) -> Option<i64> {
    if !(1..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let shifted = year - i64::from(month <= 2);
    let (era, of_era) = (shifted.div_euclid(400), shifted.rem_euclid(400));
    let of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    let count = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    (date(count) == (year, month, day)).then_some(count)
}

/// The local day, and microseconds since its midnight, of a time in microseconds since 1970.
pub fn local(at: i64, offset: Offset) -> (i64, i64) {
    let local = at.saturating_add(offset(at.div_euclid(MICROS)) * MICROS);
    (local.div_euclid(DAY * MICROS), local.rem_euclid(DAY * MICROS))
}

/// The time in microseconds since 1970; where a clock change makes it ambiguous, one of both, and not one that is still
/// to come at `now` if the other is not.
fn universal(day: i64, time: i64, now: i64, offset: Offset) -> i64 {
    let local = day * DAY * MICROS + time;
    let by = |at: i64| local - offset(at.div_euclid(MICROS)) * MICROS;
    let at = by(by(local));
    if at > now { at.min(by(now)) } else { at }
}

/// "2026-11-22".
pub fn date_text(day: i64) -> String {
    let (year, month, day) = date(day);
    format!("{year:04}-{month:02}-{day:02}")
}

/// "14:03:07.4", from microseconds since midnight.
pub fn time_text(time: i64) -> String {
    let seconds = time / MICROS;
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{hour:02}:{minute:02}:{second:02}.{}", time % MICROS / 100_000)
}

impl When {
    /// Reads `14:03`, `14:03:07.4`, `2026-11-22 14:03`, `-90s`, `-5m`, `-2h`, `-1d`.
    ///
    /// # Errors
    /// What was expected, in words.
    pub fn parse(text: &str) -> Result<When, String> {
        let expected = || {
            format!(
                "'{text}' is no time: 14:03, 14:03:07.4, '2026-11-22 14:03', or -90s, -5m, -2h are expected"
            )
        };
        if let Some(ago) = text.strip_prefix('-') {
            return ago_of(ago).map(When::Ago).ok_or_else(expected);
        }
        let (day, time) = match text.split_once([' ', 'T']) {
            Some((date, time)) => (Some(day_of(date).ok_or_else(expected)?), time),
            None => (None, text),
        };
        Ok(When::At { day, time: time_of(time).ok_or_else(expected)? })
    }

    /// In microseconds since 1970. A time of day that today has still to see is yesterday's.
    pub fn resolve(self, now: i64, offset: Offset) -> i64 {
        match self {
            When::Ago(ago) => now.saturating_sub(ago),
            When::At { day: Some(day), time } => universal(day, time, now, offset),
            When::At { day: None, time } => {
                let (today, _) = local(now, offset);
                let at = universal(today, time, now, offset);
                if at <= now { at } else { universal(today - 1, time, now, offset) }
            }
        }
    }
}

/// Digits alone: `parse` would take a sign.
fn number(text: &str) -> Option<i64> {
    let digits = (1..=9).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

fn ago_of(text: &str) -> Option<i64> {
    let (at, _) = text.char_indices().last()?;
    let (amount, unit) = text.split_at(at);
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => DAY,
        _ => return None,
    };
    number(amount)?.checked_mul(seconds * MICROS)
}

fn day_of(text: &str) -> Option<i64> {
    let mut parts = text.splitn(3, '-').map(number);
    day(parts.next()??, parts.next()??, parts.next()??)
}

fn time_of(text: &str) -> Option<i64> {
    let mut parts = text.splitn(3, ':');
    let (hour, minute) = (number(parts.next()?)?, number(parts.next()?)?);
    let second = parts.next().map_or(Some(0), micros)?;
    let valid = hour < 24 && minute < 60 && second < 60 * MICROS;
    valid.then_some((hour * 60 + minute) * 60 * MICROS + second)
}

/// Microseconds from seconds with a fraction or without: `7`, `7.4`, `.5`. Floating point would take ten times the
/// code.
pub fn micros(seconds: &str) -> Option<i64> {
    let (whole, fraction) = match seconds.split_once('.') {
        Some(("", fraction)) => ("0", fraction),
        Some(parts) => parts,
        None => (seconds, "0"),
    };
    number(fraction)?;
    let mut micros = number(whole)?;
    // Six digits of a fraction are microseconds; more do not matter.
    for at in 0..6 {
        micros = micros * 10 + i64::from(fraction.as_bytes().get(at).map_or(0, |digit| digit - b'0'));
    }
    Some(micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    const UTC: Offset = &|_| 0;
    /// Central Europe in 2026: summer time from March 29th to October 25th, 01:00 UTC.
    const CENTRAL: Offset = &|at| if (1_774_746_000..1_792_890_000).contains(&at) { 7200 } else { 3600 };
    const HOUR: i64 = 3600;

    /// Seconds since 1970 of what is written.
    fn resolve(text: &str, now: i64, offset: Offset) -> i64 {
        When::parse(text).unwrap().resolve(now * MICROS, offset) / MICROS
    }

    #[test]
    fn days_are_those_of_date() {
        // As `date -u -d DATE +%s` counts, over 86400.
        for (y, m, d, count) in [
            (1970, 1, 1, 0),
            (1969, 12, 31, -1),
            (2000, 2, 29, 11_016),
            (2024, 2, 29, 19_782),
            (2026, 11, 22, 20_779),
            (2038, 1, 20, 24_856),
            (2100, 3, 1, 47_541),
        ] {
            assert_eq!((day(y, m, d), date(count)), (Some(count), (y, m, d)));
        }
        for (y, m, d) in [(2026, 2, 29), (2100, 2, 29), (2026, 4, 31), (2026, 13, 1), (2026, 1, 0)] {
            assert_eq!(day(y, m, d), None, "{y}-{m}-{d}");
        }
    }

    #[test]
    fn every_day_of_a_thousand_years_reads_back() {
        for count in -200_000..200_000 {
            let (y, m, d) = date(count);
            assert_eq!(day(y, m, d), Some(count));
        }
    }

    #[test]
    fn a_time_of_day_is_the_last_one() {
        let now = 20_779 * DAY + 14 * HOUR; // 14:00 UTC
        assert_eq!(resolve("13:59:59", now, UTC), now - 1);
        assert_eq!(resolve("14:00", now, UTC), now);
        assert_eq!(resolve("14:01", now, UTC), now + 60 - DAY);
        assert_eq!(resolve("15:00", now, CENTRAL), now);
        assert_eq!(resolve("2026-11-22 13:59", now, UTC), now - 60);
        assert_eq!(resolve("2026-11-22T14:59", now, CENTRAL), now - 60);
        assert_eq!(resolve("-90s", now, UTC), now - 90);
        assert_eq!(resolve("-5m", now, UTC), now - 300);
        assert_eq!(resolve("-2h", now, UTC), now - 7200);
        let tenth = When::parse("14:03:07.4").unwrap();
        assert_eq!(tenth, When::At { day: None, time: ((14 * 60 + 3) * 60 + 7) * MICROS + 400_000 });
    }

    #[test]
    fn summer_time_counts_on_the_day_that_is_meant() {
        let spring = day(2026, 3, 29).unwrap() * DAY;
        assert_eq!(resolve("2026-03-29 01:30", spring + DAY, CENTRAL), spring + HOUR / 2);
        assert_eq!(resolve("2026-03-29 03:30", spring + DAY, CENTRAL), spring + HOUR + HOUR / 2);
        // At noon after the change, 01:30 was before it.
        assert_eq!(resolve("01:30", spring + 10 * HOUR, CENTRAL), spring + HOUR / 2);
        let autumn = day(2026, 10, 25).unwrap() * DAY;
        assert_eq!(resolve("2026-10-25 04:00", autumn + DAY, CENTRAL), autumn + 3 * HOUR);
        // Ten past two for the first time: five past two was five minutes ago, and not yesterday.
        for text in ["02:05", "2026-10-25 02:05"] {
            assert_eq!(resolve(text, autumn + 600, CENTRAL), autumn + 300);
        }
        assert_eq!(local((autumn + HOUR) * MICROS, CENTRAL), (autumn / DAY, 2 * HOUR * MICROS));
        assert_eq!(local((autumn + HOUR - 1) * MICROS, CENTRAL), (autumn / DAY, (3 * HOUR - 1) * MICROS));
    }

    #[test]
    fn what_is_no_time_is_refused_with_what_is() {
        for bad in [
            "",
            "-",
            "-s",
            "-5",
            "-5x",
            "14",
            "24:00",
            "14:60",
            "1:2:3:4",
            "14:03:",
            "14:03:07.",
            "+5m",
            "--5s",
        ] {
            assert!(When::parse(bad).is_err_and(|e| e.contains("14:03:07.4")), "{bad}");
        }
        for bad in ["2026-02-30 14:03", "2026-11 14:03", "2026-11-22", "x 14:03", "-99999999999999s", "-5é"]
        {
            assert!(When::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn seconds_may_have_a_fraction() {
        for (text, wanted) in [
            ("7", 7_000_000),
            ("0.2", 200_000),
            (".5", 500_000),
            ("1.000001", 1_000_001),
            ("1.0000019", 1_000_001),
        ] {
            assert_eq!(micros(text), Some(wanted), "{text}");
        }
        for bad in ["", ".", "1.", "-1", "1e3", "NaN", "1.2.3", "1 ", "+1"] {
            assert_eq!(micros(bad), None, "{bad}");
        }
    }

    #[test]
    fn texts_are_those_of_the_day() {
        assert_eq!(date_text(20_779), "2026-11-22");
        assert_eq!(time_text(((14 * 60 + 3) * 60 + 7) * MICROS + 449_999), "14:03:07.4");
    }
}
