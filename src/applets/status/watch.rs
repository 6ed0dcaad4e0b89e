//! The table drawn again and again, with what each WAN and the proxy carried lately.
//!
//! On a terminal it is drawn in place, cut to its size; into a pipe each picture follows the last. It ends by
//! SIGINT, SIGTERM, SIGHUP or a reader that goes away, and outlives the manager's restart.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use crate::error::{EXIT_DONE, Error, Outcome};
use crate::sys::clock;
use crate::sys::signals::EndSignals;
use crate::sys::terminal;
use crate::wire::calendar;
use crate::wire::status::Status;

use super::table;
use super::times::{Times, bits};

mod proxy;

/// Samples of a graph.
const SAMPLES: usize = 40;
/// Heights of a sample.
const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// Bytes a second below which the highest sample is no full block: probes alone are no mountains.
const FLOOR: u64 = 12_500;

/// Clears the screen and hides the cursor.
const BEGIN: &str = "\x1b[?25l\x1b[H\x1b[2J";
/// Shows the cursor below what was drawn last.
const END: &str = "\x1b[?25h\n";
/// The cursor to the first column of the first line.
const HOME: &str = "\x1b[H";
/// Clears the rest of the line, then ends it.
const END_OF_LINE: &str = "\x1b[K\r\n";
/// Clears the rest of the screen.
const CLEAR_REST: &str = "\x1b[K\x1b[J";

/// The time between two pictures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval(pub Duration);

impl FromStr for Interval {
    type Err = String;

    fn from_str(text: &str) -> Result<Interval, String> {
        match calendar::micros(text).and_then(|micros| u64::try_from(micros).ok()) {
            Some(micros @ 200_000..=60_000_000) => Ok(Interval(Duration::from_micros(micros))),
            _ => Err(format!("'{text}' is not a number of seconds from 0.2 to 60")),
        }
    }
}

/// Draws until it is told to end.
pub fn run(dir: &Path, interval: Duration) -> Outcome {
    let signals = EndSignals::catch().map_err(|e| Error::new("catch", "signals", e))?;
    let mut graphs = Graphs::default();
    let mut last = None;
    // Whoever may not ask shall hear that at once.
    super::ask(dir)?;
    let mut size = None;
    let mut due = clock::now();
    let result = loop {
        let (managers, trouble) = match super::ask(dir) {
            Ok(managers) => (managers, None),
            Err(e) => (Vec::new(), Some(e.to_string())),
        };
        graphs.add(&managers);
        let proxy = super::ask_proxy(dir);
        proxy::add(&mut graphs, &proxy, clock::now(), &mut last);
        let now = terminal::size();
        let changed = now != size;
        size = now;
        let rows = size.map(|(_, rows)| rows);
        match draw(&picture(&managers, trouble, &proxy, &graphs, rows), size, changed) {
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => break Ok(EXIT_DONE),
            drawn => {
                if let Err(e) = drawn {
                    break Err(Error::new("write to", "stdout", e));
                }
            }
        }
        // A fixed beat; what was missed is not made up for.
        due = (due + interval).max(clock::now());
        match wait(&signals, due) {
            Ok(false) => {}
            Ok(true) => break Ok(EXIT_DONE),
            Err(e) => break Err(Error::new("wait for", "the next picture", e)),
        }
    };
    if size.is_some() {
        let _ = io::stdout().write_all(END.as_bytes()); // the terminal may be gone
    }
    result
}

/// Waits until `due` and says whether a signal came before.
fn wait(signals: &EndSignals, due: crate::types::Time) -> io::Result<bool> {
    loop {
        if signals.wait(due.since(clock::now()))? {
            return Ok(true);
        }
        if clock::now() >= due {
            return Ok(false);
        }
    }
}

/// All lines, as many as `rows` hold: decisions go first, then reasons and the proxy's servers.
fn picture(
    managers: &[Status],
    trouble: Option<String>,
    proxy: &proxy::Told,
    graphs: &Graphs,
    rows: Option<usize>,
) -> Vec<String> {
    let mut lines = Vec::new();
    for level in [2, 1, 0] {
        lines.clear();
        if managers.is_empty() {
            lines.push(trouble.clone().unwrap_or_else(|| "no manager runs".to_string()));
        }
        for status in managers {
            one(&mut lines, status, graphs, level);
        }
        proxy::draw(&mut lines, proxy, graphs, level);
        if rows.is_none_or(|rows| lines.len() <= rows) {
            break;
        }
    }
    lines
}

fn one(lines: &mut Vec<String>, status: &Status, graphs: &Graphs, level: u8) {
    lines.push(table::head(status));
    for (at, line) in table::wans(status).into_iter().enumerate() {
        lines.push(line);
        let Some(wan) = at.checked_sub(1).and_then(|at| status.wans.get(at)) else { continue };
        if level > 0 {
            lines.push(table::why(wan));
        }
        if let Some(graph) = graphs.find(&status.daemon, &wan.name) {
            lines.push(graph.line());
        }
    }
    if level > 1 {
        lines.extend(status.notes.iter().map(|note| format!("note: {note}")));
        lines.extend(table::events(status, &Times::read()));
    }
}

fn draw(lines: &[String], size: Option<(usize, usize)>, changed: bool) -> io::Result<()> {
    let text = match size {
        None => lines.join("\n") + "\n\n",
        Some((columns, rows)) => {
            let cut: Vec<String> =
                lines.iter().take(rows).map(|line| line.chars().take(columns).collect()).collect();
            let start = if changed { BEGIN } else { HOME };
            format!("{start}{}{CLEAR_REST}", cut.join(END_OF_LINE))
        }
    };
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

/// What each WAN of each manager, and the proxy, carried at the last samples.
#[derive(Default)]
struct Graphs(Vec<Graph>);

struct Graph {
    manager: String,
    wan: String,
    rx: VecDeque<u64>,
    tx: VecDeque<u64>,
}

impl Graph {
    fn line(&self) -> String {
        format!("  down {}  up {}", bars(&self.rx), bars(&self.tx))
    }
}

impl Graphs {
    /// Without a manager nothing is known, and nothing is forgotten.
    fn add(&mut self, managers: &[Status]) {
        for status in managers {
            for wan in &status.wans {
                self.sample(&status.daemon, &wan.name, wan.rx_rate, wan.tx_rate);
            }
        }
        // WANs that a manager has forgotten go; their names may be many in the long run.
        self.0.retain(|g| {
            managers
                .iter()
                .find(|s| s.daemon == g.manager)
                .is_none_or(|s| s.wans.iter().any(|w| w.name == g.wan))
        });
    }

    fn sample(&mut self, manager: &str, wan: &str, rx_rate: u64, tx_rate: u64) {
        if self.find(manager, wan).is_none() {
            let (rx, tx) = (VecDeque::with_capacity(SAMPLES + 1), VecDeque::with_capacity(SAMPLES + 1));
            self.0.push(Graph { manager: manager.to_string(), wan: wan.to_string(), rx, tx });
        }
        for graph in self.0.iter_mut().filter(|g| g.manager == manager && g.wan == wan) {
            for (samples, rate) in [(&mut graph.rx, rx_rate), (&mut graph.tx, tx_rate)] {
                samples.push_back(rate);
                if samples.len() > SAMPLES {
                    samples.pop_front();
                }
            }
        }
    }

    fn find(&self, manager: &str, wan: &str) -> Option<&Graph> {
        self.0.iter().find(|g| g.manager == manager && g.wan == wan)
    }
}

/// A block for each sample, the newest at the right, and what the highest stands for.
fn bars(samples: &VecDeque<u64>) -> String {
    let most = samples.iter().copied().max().unwrap_or(0);
    let top = most.max(FLOOR);
    let missing = SAMPLES.saturating_sub(samples.len());
    let block = |&rate: &u64| {
        let height = rate.saturating_mul(8).saturating_sub(1) / top;
        BLOCKS.get(usize::try_from(height).unwrap_or(0)).copied().unwrap_or('█')
    };
    let graph: String = std::iter::repeat_n(' ', missing).chain(samples.iter().map(block)).collect();
    format!("{graph} {:>10}", bits(most))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_sample_is_a_full_block() {
        let graph = bars(&VecDeque::from([0, 1_250_000, 2_500_000]));
        assert_eq!(graph, format!("{}▁▄█  20.0 Mbps", " ".repeat(SAMPLES - 3)));
        let probes = bars(&VecDeque::from([36, 72]));
        assert!(probes.contains("▁▁") && probes.ends_with("576 bps"), "{probes}");
    }

    #[test]
    fn intervals_are_those_promised() {
        assert_eq!("0.2".parse(), Ok(Interval(Duration::from_millis(200))));
        for bad in ["0.1", "61", "x", "NaN", "inf", "-1"] {
            assert!(bad.parse::<Interval>().is_err(), "{bad}");
        }
    }
}
