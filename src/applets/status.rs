//! `bsbf-status`: what the running manager knows of the WANs, and what it decided lately.

use std::path::{Path, PathBuf};

use argh::FromArgs;

use crate::applet::{self, Applet};
use crate::error::{EXIT_DONE, EXIT_NO_MANAGER, Error, Outcome};
use crate::manager::RUN_DIR;
use crate::sys::control;
use crate::wire::question::Question;
use crate::wire::status::{Status, VERSION, WanStatus};

/// The row of the table.
pub const APPLET: Applet = Applet {
    name: "bsbf-status",
    summary: "Show the state of the WANs and the last decisions",
    run: |arguments| applet::with_args("bsbf-status", arguments, run),
};

/// Managers that may run: one of the whole, or up to two of the halves.
const DAEMONS: [&str; 3] = ["bond", "route", "mptcp"];
/// Decisions that are shown.
const EVENTS: usize = 10;

/// Show the state of the WANs and the last decisions, as the running manager knows them.
#[derive(FromArgs)]
#[argh(
    example = "{command_name}\n{command_name} --run-dir /tmp/run",
    note = "Asks the sockets bond.sock, route.sock and mptcp.sock in /var/run/bsbf; reads no other file.",
    note = "Exit codes: 0 shown, 1 failed, 2 wrong arguments, 3 no manager runs."
)]
struct Args {
    /// the manager's directory (default: /var/run/bsbf)
    #[argh(option, arg_name = "dir")]
    run_dir: Option<PathBuf>,
}

fn run(args: Args) -> Outcome {
    let dir = args.run_dir.unwrap_or_else(|| Path::new(RUN_DIR).to_path_buf());
    let mut shown = 0;
    for daemon in DAEMONS {
        let socket = dir.join(format!("{daemon}.sock"));
        let answer =
            control::ask(&socket, &Question::Status).map_err(|e| Error::new("ask", socket.display(), e))?;
        let Some(answer) = answer else { continue };
        let status = Status::from_json(&answer)
            .ok()
            .filter(|s| s.version == VERSION)
            .ok_or_else(|| Error::new("understand", format!("bsbf-{daemon}"), "it is of another version"))?;
        applet::say(&table(&status));
        shown += 1;
    }
    if shown == 0 {
        let cause = "none runs (bsbf-bond, bsbf-route or bsbf-mptcp)";
        return Err(Error::new("ask", "the manager", cause).with_exit(EXIT_NO_MANAGER));
    }
    Ok(EXIT_DONE)
}

fn table(status: &Status) -> String {
    let mut rows =
        vec![["WAN", "STATE", "SINCE", "RTT", "LOSS", "METRIC", "ENDPOINT", "WHY"].map(String::from)];
    rows.extend(status.wans.iter().map(row));
    let mut widths = [0; 8];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut out = format!("bsbf-{}\n", status.daemon);
    for row in &rows {
        let line: String = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}  ")).collect();
        out += line.trim_end();
        out.push('\n');
    }
    status.notes.iter().for_each(|note| out += &format!("note: {note}\n"));
    for event in status.events.iter().rev().take(EVENTS).rev() {
        out += &format!("{:>9} ago  {}\n", ago(event.ago_ms), event.text);
    }
    out
}

fn row(wan: &WanStatus) -> [String; 8] {
    let endpoint = |e: &crate::wire::status::EndpointStatus| {
        format!("{} {}{}", e.id, e.address, if e.backup { " backup" } else { "" })
    };
    let endpoints: Vec<String> = wan.endpoints.iter().map(endpoint).collect();
    [
        wan.name.clone(),
        wan.state.clone(),
        ago(wan.since_ms),
        wan.rtt_ms.map_or("-".into(), |ms| format!("{ms:.1} ms")),
        format!("{} %", wan.loss_percent),
        wan.metric.map_or("-".into(), |m| m.to_string()),
        if endpoints.is_empty() { "-".into() } else { endpoints.join(", ") },
        wan.reason.clone(),
    ]
}

/// A duration as people say it.
fn ago(ms: u64) -> String {
    match ms / 1000 {
        0..=9 => format!("{}.{} s", ms / 1000, ms % 1000 / 100),
        s @ 10..=119 => format!("{s} s"),
        s @ 120..=7199 => format!("{} min", s / 60),
        s @ 7200..=172_799 => format!("{} h", s / 3600),
        s => format!("{} d", s / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_short() {
        for (ms, text) in
            [(0, "0.0 s"), (9_940, "9.9 s"), (119_000, "119 s"), (3_600_000, "60 min"), (90_000_000, "25 h")]
        {
            assert_eq!(ago(ms), text);
        }
    }
}
