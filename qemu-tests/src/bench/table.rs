//! The table for people: Markdown, one row per quantity, a bold row above each scenario's.

use std::fmt::Write as _;

use super::machine::Machine;
use super::options::Options;
use super::results::Results;
use super::scenario::{Contender, Scenario};
use super::sizes::Sizes;
use super::stats::cell;

/// How the numbers came about, under the table.
const NOTES: &str = "\
Medians, in brackets least and most. Every repetition has a lab and a manager of its own; breaks and repairs fall
evenly over the interval between two probes. Times from a break or repair on include the `ip` command that makes it.
\"Never\" is later than 30 s, or than the repair under load, where an outage lasts 4.5 to 9 s.
Two WANs are 20 Mbit/s at 15 ms and 10 Mbit/s at 30 ms each way, four are 10 Mbit/s at 20 ms each; WAN 1 breaks.
The kernel alone has static endpoints, rules and tables. Data is \"again\" when 100 kB have come over the WAN;
how long the kernel needs follows from TCP's backoff and so from the length of the outage.
CPU, processes and memory are of windows of 20 s with everything that the manager has started; months of 30 days
are computed from such windows, bytes both ways in IP packets and ARP without Ethernet headers.
";

/// The whole page.
pub fn table(options: &Options, machine: &Machine, results: &Results, sizes: &Sizes) -> String {
    let columns: Vec<Contender> = Contender::ALL.into_iter().filter(|c| results.has(*c)).collect();
    let mut page = String::new();
    if !columns.is_empty() {
        let heads: Vec<&str> = columns.iter().map(|contender| head(*contender)).collect();
        row(&mut page, "what", heads.iter().map(ToString::to_string));
        row(&mut page, "---", heads.iter().map(|_| "---".to_string()));
        for scenario in &options.scenarios {
            group(&mut page, *scenario, options.runs, &columns, results);
        }
        // Writing to a String cannot fail.
        let _ = writeln!(page, "\n{NOTES}");
    }
    if let Some(command) = &options.against {
        let _ = writeln!(page, "The other is `{command}`.");
    }
    let Machine { date, kernel, cpus, bytes, version, commands, .. } = machine;
    let _ = writeln!(
        page,
        "{} repetitions on {date}, Linux {kernel}, {cpus} CPUs; {version}, {bytes} bytes for {commands} commands.",
        options.runs
    );
    page += &sizes.table();
    for (name, why) in &results.failures {
        let _ = writeln!(page, "FAILED: {name}: {why}");
    }
    page
}

fn head(contender: Contender) -> &'static str {
    match contender {
        Contender::Bsbf => "bsbf",
        Contender::Kernel => "the kernel alone",
        Contender::Other => "the other",
    }
}

fn row(page: &mut String, first: &str, cells: impl Iterator<Item = String>) {
    let cells: Vec<String> = cells.collect();
    let _ = writeln!(page, "| {first} | {} |", cells.join(" | "));
}

fn group(page: &mut String, scenario: Scenario, runs: usize, columns: &[Contender], results: &Results) {
    let quantities = results.quantities(scenario);
    if quantities.is_empty() {
        return;
    }
    row(page, &format!("**{}**", scenario.title()), columns.iter().map(|_| String::new()));
    for quantity in quantities {
        let of = |contender: &Contender| match results.summary(scenario, quantity, *contender) {
            Some(summary) => cell(&summary, quantity.unit, runs),
            None => "-".to_string(),
        };
        row(page, quantity.label, columns.iter().map(of));
    }
}

#[cfg(test)]
mod tests {
    use super::super::apart::Job;
    use super::super::quantity;
    use super::super::stats::NEVER;
    use super::*;

    #[test]
    fn rows_have_a_cell_for_every_contender() {
        let scenario = Scenario::named("blackhole_loaded_2").unwrap();
        let mut results = Results::default();
        for (repetition, value) in [(0, 500.0), (1, 700.0)] {
            for (contender, value) in [(Contender::Bsbf, value), (Contender::Kernel, NEVER)] {
                let job = Job { scenario, contender, repetition, runs: 2 };
                results.add(&job, Ok(vec![(&quantity::MOVED, value)]));
            }
        }
        let job = Job { scenario, contender: Contender::Bsbf, repetition: 0, runs: 2 };
        results.add(&job, Ok(vec![(&quantity::ROUTE_BACK, 1500.0)]));
        let mut page = String::new();
        group(&mut page, scenario, 2, &[Contender::Bsbf, Contender::Kernel], &results);
        assert_eq!(
            page,
            "| **Silent failure (blackhole), under a download, 2 WANs** |  |  |\n\
             | default route moved | 600 ms (500-700) | never (2 of 2) |\n\
             | default route back after the repair | 1.50 s (of 1) | - |\n"
        );
    }
}
