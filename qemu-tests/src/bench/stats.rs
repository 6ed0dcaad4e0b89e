//! Medians and ranges of what was measured, in which a thing that never happened counts as infinitely late.

use std::fmt::Write as _;

/// What stands for a thing that did not happen within its limit: later than everything that did.
pub const NEVER: f64 = f64::INFINITY;

/// What the values of one quantity come to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    /// The middle one, or the mean of the two in the middle; [`NEVER`] if one of those is.
    pub median: f64,
    /// The smallest; [`NEVER`] if none is finite.
    pub least: f64,
    /// The largest that is finite; [`NEVER`] if none is.
    pub most: f64,
    /// How many are [`NEVER`].
    pub never: usize,
    /// How many there are.
    pub count: usize,
}

/// Sums up the values; None if there are none.
pub fn summary(values: &[f64]) -> Option<Summary> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (last, middle) = (*sorted.last()?, sorted.len() / 2);
    let median =
        if sorted.len() % 2 == 1 { sorted[middle] } else { (sorted[middle - 1] + sorted[middle]) / 2.0 };
    let finite = sorted.partition_point(|value| *value < NEVER);
    let most = finite.checked_sub(1).map_or(last, |at| sorted[at]);
    Some(Summary { median, least: sorted[0], most, never: sorted.len() - finite, count: sorted.len() })
}

/// The cell of the table: "0.72 s (0.49-0.93)", "never (10 of 10)", "12 ms (9-31; never 2 of 10)".
/// Fewer values than `runs` are said.
pub fn cell(summary: &Summary, unit: &str, runs: usize) -> String {
    let Summary { median, least, most, never, count } = *summary;
    if median == NEVER {
        return format!("never ({never} of {count})");
    }
    // One unit for the three of them.
    let (scale, decimals, unit) = match unit {
        "ms" if median >= 1000.0 => (1e-3, 2, "s"),
        "ms" if median >= 10.0 => (1.0, 0, "ms"),
        "ms" => (1.0, 1, "ms"),
        _ => (1.0, decimals(median), unit),
    };
    let number = |value: f64| format!("{:.decimals$}", value * scale);
    let mut notes = Vec::new();
    if number(least) != number(most) {
        notes.push(format!("{}-{}", number(least), number(most)));
    }
    if never > 0 {
        notes.push(format!("never {never} of {count}"));
    }
    if count < runs {
        notes.push(format!("of {count}"));
    }
    let mut cell = number(median);
    if !unit.is_empty() {
        // Writing to a String cannot fail.
        let _ = write!(cell, " {unit}");
    }
    if !notes.is_empty() {
        let _ = write!(cell, " ({})", notes.join("; "));
    }
    cell
}

/// So many that three digits say something.
fn decimals(value: f64) -> usize {
    match value {
        value if value == 0.0 || value >= 100.0 => 0,
        value if value >= 10.0 => 1,
        value if value >= 0.1 => 2,
        _ => 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(values: &[f64], unit: &str, runs: usize) -> String {
        cell(&summary(values).unwrap(), unit, runs)
    }

    #[test]
    fn the_median_is_the_middle_one_or_the_mean_of_the_two() {
        assert_eq!(summary(&[3.0, 1.0, 2.0]).unwrap().median, 2.0);
        assert_eq!(summary(&[4.0, 1.0, 3.0, 2.0]).unwrap().median, 2.5);
        assert_eq!(summary(&[7.0]).unwrap().median, 7.0);
        assert_eq!(summary(&[]), None);
    }

    #[test]
    fn what_never_happened_is_later_than_all_that_did() {
        let one = summary(&[NEVER, 1.0, 5.0]).unwrap();
        assert_eq!(one, Summary { median: 5.0, least: 1.0, most: 5.0, never: 1, count: 3 });
        assert_eq!(summary(&[1.0, NEVER, NEVER]).unwrap().median, NEVER);
        // Half of them: the mean of a time and never is never.
        assert_eq!(summary(&[1.0, 2.0, NEVER, NEVER]).unwrap().median, NEVER);
        let all = summary(&[NEVER, NEVER]).unwrap();
        assert_eq!((all.median, all.least, all.most, all.never), (NEVER, NEVER, NEVER, 2));
    }

    #[test]
    fn times_are_shown_in_the_unit_that_fits_the_median() {
        assert_eq!(shown(&[490.0, 1720.0, 1930.0], "ms", 3), "1.72 s (0.49-1.93)");
        assert_eq!(shown(&[490.4, 720.0, 930.0], "ms", 3), "720 ms (490-930)");
        assert_eq!(shown(&[3.31, 4.0, 18.96], "ms", 3), "4.0 ms (3.3-19.0)");
    }

    #[test]
    fn never_is_counted_and_not_hidden() {
        assert_eq!(shown(&[NEVER; 10], "ms", 10), "never (10 of 10)");
        assert_eq!(shown(&[12.0, 9.0, 31.0, NEVER], "ms", 4), "22 ms (9-31; never 1 of 4)");
        assert_eq!(shown(&[12.0, NEVER, NEVER], "ms", 3), "never (2 of 3)");
    }

    #[test]
    fn missing_values_are_said() {
        assert_eq!(shown(&[12.0, 12.0], "ms", 10), "12 ms (of 2)");
    }

    #[test]
    fn other_units_have_three_digits() {
        assert_eq!(shown(&[0.9412, 0.95, 0.96], "", 3), "0.95 (0.94-0.96)");
        assert_eq!(shown(&[1300.0], "KiB", 1), "1300 KiB");
        assert_eq!(shown(&[0.0512], "s/min", 1), "0.051 s/min");
        assert_eq!(shown(&[0.0], "", 1), "0");
    }
}
