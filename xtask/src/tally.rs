//! The closing line: what cargo test, the lab and the checks of xtask counted, summed up.

use std::fmt;

use crate::Result;

/// How many tests passed, failed and were skipped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub passed: u32,
    pub failed: u32,
    pub skipped: u32,
    /// What the failed ones said, to be repeated at the end, for what stands far above may be lost. The first line of
    /// each is its name.
    pub failures: Vec<Vec<String>>,
    /// Whose lines are being read.
    reading: Reading,
}

/// So many lines of a failed test are repeated: the reason comes last.
const LAST_WORDS: usize = 30;

/// Whose lines are being read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Reading {
    /// A failed test of the lab: its line, and what follows it.
    Lab,
    /// Failed tests of cargo's: what they said comes in a block after all tests.
    Cargo,
    #[default]
    Other,
}

impl Tally {
    /// Adds what `line` says if it is the summary line of a test program, or tells of a failure.
    pub fn read(&mut self, line: &str) {
        if let Some(counts) = cargo_test_line(line).or_else(|| lab_line(line)) {
            self.add(counts);
        }
        let (cargos, labs) =
            (line.starts_with("---- "), !line.starts_with(' ') && line.contains(" ... FAILED"));
        self.reading = match self.reading {
            _ if cargos => Reading::Cargo,
            _ if labs => Reading::Lab,
            // The lab indents what a test said. Blanks at a line's end are cut, so this may be an empty line of it.
            Reading::Lab if line.starts_with("    ") || line.is_empty() => Reading::Lab,
            Reading::Cargo if line != "failures:" && !line.starts_with("test result: ") => Reading::Cargo,
            _ => Reading::Other,
        };
        if cargos || labs {
            self.failures.push(Vec::new());
        }
        if let Some(said) = self.failures.last_mut().filter(|_| self.reading != Reading::Other) {
            said.push(line.to_string());
        }
    }

    /// Adds another sum.
    pub fn add(&mut self, other: Tally) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
        self.failures.extend(other.failures);
    }

    /// Counts a check that is one test by itself, and says what was wrong.
    pub fn check(&mut self, name: &str, outcome: Result<()>) {
        match outcome {
            Ok(()) => self.passed += 1,
            Err(why) => {
                self.tell(name, &why);
                self.failed += 1;
            }
        }
    }

    /// Counts a step whose tests counted themselves: an error is one more failure if none of them was
    /// seen to fail, for then the step broke off.
    pub fn step(&mut self, name: &str, counted: Tally, outcome: Result<()>) {
        let nothing_failed = counted.failed == 0;
        self.add(counted);
        if let Err(why) = outcome {
            self.tell(name, &why);
            self.failed += u32::from(nothing_failed);
        }
    }

    fn tell(&mut self, name: &str, why: &str) {
        let line = format!("xtask: {name}: {why}");
        eprintln!("{line}");
        self.failures.push(vec![line]);
    }

    /// What failed, one name a line, after the last words of each: where only the end of a log is kept, no failure
    /// that has much to say hides another.
    pub fn told(&self) -> String {
        let mut text = String::new();
        for said in self.failures.iter().filter(|said| said.len() > 1) {
            let skipped = (said.len() - 1).saturating_sub(LAST_WORDS);
            let cut = (skipped > 0).then(|| format!("    ({skipped} lines before this)"));
            for line in said.iter().take(1).chain(&cut).chain(&said[1 + skipped..]) {
                text += line;
                text += "\n";
            }
        }
        text += "\nwhat failed:\n";
        for name in self.failures.iter().filter_map(|said| said.first()) {
            text += name;
            text += "\n";
        }
        text
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

/// `test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 3 filtered out; finished in 0.01s`
fn cargo_test_line(line: &str) -> Option<Tally> {
    let (_, counts) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let mut counts = counts.split("; ");
    Some(Tally {
        passed: count(counts.next()?, "passed")?,
        failed: count(counts.next()?, "failed")?,
        skipped: count(counts.next()?, "ignored")?,
        ..Tally::default()
    })
}

/// `lab: 12 passed, 0 failed, 1 skipped`
fn lab_line(line: &str) -> Option<Tally> {
    let mut counts = line.strip_prefix("lab: ")?.split(", ");
    Some(Tally {
        passed: count(counts.next()?, "passed")?,
        failed: count(counts.next()?, "failed")?,
        skipped: count(counts.next()?, "skipped")?,
        ..Tally::default()
    })
}

/// The number of `12 passed`.
fn count(text: &str, word: &str) -> Option<u32> {
    text.strip_suffix(word)?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[&str]) -> Tally {
        let mut tally = Tally::default();
        lines.iter().for_each(|line| tally.read(line));
        tally
    }

    #[test]
    fn sums_cargo_tests_and_the_labs_closing_lines() {
        let sum = read(&[
            "running 12 tests",
            "test types::tests::interface_names_follow_the_kernels_rule ... ok",
            "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 3 filtered out; finished in 0.01s",
            "test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.00s",
            "lab: 7 passed, 1 failed, 4 skipped",
        ]);
        assert_eq!(sum.to_string(), "22 passed, 3 failed, 5 skipped");
    }

    #[test]
    fn what_failed_tests_said_is_kept() {
        let sum = read(&[
            "links::rate_holds ... ok (2.0 s)",
            "    = 19.8 Mbit/s",
            "load::a_swap_stalls_nothing ... FAILED (9.1 s)",
            "",
            "    the transfer stalled for 2 s",
            "links::delay_holds ... ok (2.0 s)",
            "failures:",
            "",
            "---- wan::tests::adds stdout ----",
            "",
            "thread 'wan::tests::adds' panicked at src/wan.rs:3:5:",
            "assertion `left == right` failed",
            "  left: 1",
            " right: 2",
            "failures:",
            "    wan::tests::adds",
            "lab: 2 passed, 1 failed, 0 skipped",
        ]);
        assert_eq!(
            sum.failures,
            [
                vec![
                    "load::a_swap_stalls_nothing ... FAILED (9.1 s)",
                    "",
                    "    the transfer stalled for 2 s"
                ],
                vec![
                    "---- wan::tests::adds stdout ----",
                    "",
                    "thread 'wan::tests::adds' panicked at src/wan.rs:3:5:",
                    "assertion `left == right` failed",
                    "  left: 1",
                    " right: 2",
                ],
            ]
        );
    }

    #[test]
    fn of_much_the_end_is_told_and_every_name_after_it() {
        let mut sum = read(&["a::b ... FAILED (1.0 s)"]);
        (0..100).for_each(|number| sum.read(&format!("    line {number}")));
        sum.read("lab: 0 passed, 1 failed, 0 skipped");
        sum.check("formatting", Err("exit status: 1".to_string()));
        let told = sum.told();
        assert!(
            told.starts_with("a::b ... FAILED (1.0 s)\n    (70 lines before this)\n    line 70\n"),
            "{told}"
        );
        assert!(
            told.ends_with(
                "line 99\n\nwhat failed:\na::b ... FAILED (1.0 s)\nxtask: formatting: exit status: 1\n"
            ),
            "{told}"
        );
    }

    #[test]
    fn other_lines_count_nothing() {
        for line in ["", "lab: starting", "test result: ok", "lab: 1 passed", "1 passed, 0 failed, 0 skipped"]
        {
            assert_eq!(read(&[line]), Tally::default(), "{line:?}");
        }
    }

    #[test]
    fn a_step_that_broke_off_is_a_failure() {
        let mut sum = Tally::default();
        sum.step("lab", Tally { passed: 2, ..Tally::default() }, Err("signal 6".to_string()));
        assert_eq!(sum.to_string(), "2 passed, 1 failed, 0 skipped");
    }

    #[test]
    fn a_failed_test_is_not_counted_twice() {
        let mut sum = Tally::default();
        sum.step("lab", Tally { failed: 2, ..Tally::default() }, Err("exit status: 1".to_string()));
        assert_eq!(sum.to_string(), "0 passed, 2 failed, 0 skipped");
    }
}
