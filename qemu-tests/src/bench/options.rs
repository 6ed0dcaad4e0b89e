//! What the command line of `lab bench` asks for.

use std::env;
use std::path::{Path, PathBuf};

use super::scenario::Scenario;
use crate::failure::{Result, failed};

/// Repetitions of every measurement unless told otherwise, and with `--quick`.
const RUNS: usize = 10;
const QUICK_RUNS: usize = 2;

/// Everything that can be asked for.
#[derive(Debug, PartialEq)]
pub struct Options {
    /// Repetitions of every measurement, 1 to 100.
    pub runs: usize,
    /// Where every single value goes.
    pub json: PathBuf,
    /// Where the table goes, beside standard output.
    pub table: PathBuf,
    /// What to measure, in the order of [`Scenario::all`].
    pub scenarios: Vec<Scenario>,
    /// Whether sizes are wanted.
    pub sizes: bool,
    /// Another manager's command line for the shell.
    pub against: Option<String>,
    /// Architectures and their binaries, to tell the sizes.
    pub binaries: Vec<(String, PathBuf)>,
    /// A build with symbols, to tell the commands' own code.
    pub symbols: Option<PathBuf>,
}

/// The name of the sizes in `--only`; they are read, not measured.
const SIZES: &str = "sizes";

impl Options {
    /// Reads the arguments; None if help is wanted.
    pub fn parse(arguments: &[String]) -> Result<Option<Options>> {
        let dir = default_dir();
        let mut options = Options {
            runs: RUNS,
            json: dir.join("bench.json"),
            table: dir.join("bench.md"),
            scenarios: Scenario::all(),
            sizes: true,
            against: None,
            binaries: Vec::new(),
            symbols: None,
        };
        let mut words = arguments.iter().map(String::as_str);
        while let Some(option) = words.next() {
            match option {
                "-h" | "--help" => return Ok(None),
                "--quick" => {
                    options.runs = QUICK_RUNS;
                    continue;
                }
                _ => {}
            }
            let Some(value) = words.next() else {
                return failed(format!("bench: {option} is unknown or needs a value; see lab bench --help"));
            };
            match option {
                "--runs" => options.runs = runs(value)?,
                "--json" => options.json = value.into(),
                "--table" => options.table = value.into(),
                "--only" => options.choose(value)?,
                "--against" => options.against = Some(value.into()),
                "--size" => match value.split_once('=') {
                    Some((arch, path)) => options.binaries.push((arch.into(), path.into())),
                    None => return failed(format!("bench: --size takes ARCH=FILE, not {value:?}")),
                },
                "--symbols" => options.symbols = Some(value.into()),
                _ => return failed(format!("bench: unknown option {option}; see lab bench --help")),
            }
        }
        Ok(Some(options))
    }

    fn choose(&mut self, names: &str) -> Result {
        let names: Vec<&str> = names.split(',').filter(|name| !name.is_empty()).collect();
        self.sizes = names.iter().any(|name| SIZES.contains(name));
        for name in &names {
            if !SIZES.contains(name) && !Scenario::all().iter().any(|s| s.name().contains(name)) {
                let known: Vec<String> = Scenario::all().iter().map(Scenario::name).collect();
                return failed(format!(
                    "bench: nothing is named {name:?}; there are {}, {SIZES}",
                    known.join(", ")
                ));
            }
        }
        self.scenarios.retain(|scenario| names.iter().any(|name| scenario.name().contains(name)));
        Ok(())
    }
}

fn runs(value: &str) -> Result<usize> {
    match value.parse() {
        Ok(runs @ 1..=100) => Ok(runs),
        _ => failed(format!("bench: --runs takes a number from 1 to 100, not {value:?}")),
    }
}

/// `bench` in cargo's target directory: this program is TARGET/PROFILE/lab.
pub fn default_dir() -> PathBuf {
    let own = env::current_exe().unwrap_or_default();
    own.ancestors().nth(2).unwrap_or(Path::new(".")).join("bench")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Option<Options>> {
        Options::parse(&line.split(' ').map(String::from).collect::<Vec<_>>())
    }

    #[test]
    fn options_are_read() {
        let options =
            parse("--runs 3 --only goodput,cost_8 --json a --table b --size mips=c").unwrap().unwrap();
        assert_eq!((options.runs, options.sizes), (3, false));
        assert_eq!((options.json, options.table), ("a".into(), "b".into()));
        assert_eq!(options.binaries, [("mips".to_string(), "c".into())]);
        let names: Vec<String> = options.scenarios.iter().map(Scenario::name).collect();
        assert_eq!(names, ["goodput", "goodput_slow", "goodput_fast_alone", "cost_8"]);
        assert_eq!(parse("--quick").unwrap().unwrap().runs, QUICK_RUNS);
        assert!(parse("--help").unwrap().is_none());
    }

    #[test]
    fn sizes_can_be_asked_for_alone() {
        let options = parse("--only sizes").unwrap().unwrap();
        assert!(options.sizes && options.scenarios.is_empty());
    }

    #[test]
    fn nonsense_is_refused() {
        for line in ["--runs 0", "--runs", "--only nothing", "--fast", "--fast 1", "--size mips"] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
