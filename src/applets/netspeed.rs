//! `bsbf-netspeed`: what each WAN carries just now, and all of them together.
//!
//! Every INTERVAL the byte counters of each interface are read, and the difference to the last reading is
//! divided by the time that really went by. An interface is known by its name: one that vanishes is `gone`,
//! and when it returns, as a modem does under a new ifindex, its counters began at zero. So did counters that
//! are smaller than before (the driver began anew).
//!
//! Download is what the interface received, upload what it sent, link-layer headers included as far as the
//! driver counts them. 1 Mbps is 1,000,000 bits a second.
//!
//! Source: rtnetlink(7), IFLA_STATS64.

use std::io::{self, IsTerminal, Write};
use std::str::FromStr;
use std::time::Duration;

use argh::FromArgs;
use miniserde::{Serialize, json};

use crate::applet::{self, Applet};
use crate::error::{EXIT_DONE, EXIT_USAGE, Error, Outcome};
use crate::sys::clock;
use crate::sys::kernel::Kernel;
use crate::sys::signals::EndSignals;
use crate::types::{IfIndex, IfName, micros};
use crate::wire::calendar;
use crate::wire::rtnl::Link;

#[cfg(test)]
mod tests;

/// The row of the table.
pub const APPLET: Applet = Applet {
    name: "bsbf-netspeed",
    summary: "Show the live throughput of network interfaces",
    run: |arguments| applet::with_args("bsbf-netspeed", arguments, run),
};

/// The cursor to the first column of the first line.
const HOME: &str = "\x1b[H";
/// Clears the rest of the line, then ends it.
const END_OF_LINE: &str = "\x1b[K\n";
/// Clears the rest of the screen.
const CLEAR_REST: &str = "\x1b[J";

/// Show the live throughput of network interfaces: download, upload and their sum, in Mbps.
///
/// Redrawn in place on a terminal; into a pipe, one line per interface and one for the sum.
#[derive(FromArgs)]
#[argh(
    example = "{command_name} 1 wan wwan0\n{command_name} 0.5 eth1 --count 1 | grep ^sum:\n{command_name} 10 wan --json",
    note = "Reads the kernel's counters by netlink: no file is read and no privilege is needed.",
    note = "An interface that vanishes is shown as gone, and counted again once one of its name appears."
)]
struct Args {
    /// print one JSON object per sample and line: rates in bits per second, null for what is gone
    /// (default: text)
    #[argh(switch)]
    json: bool,

    /// end after so many samples (default: run until interrupted)
    #[argh(option, arg_name = "samples")]
    count: Option<u64>,

    /// time between two samples in seconds, 0.1 to 3600, fractions allowed
    #[argh(positional, arg_name = "INTERVAL")]
    interval: Interval,

    /// the interfaces to measure, at least one
    #[argh(positional, arg_name = "IFACE")]
    interfaces: Vec<IfName>,
}

/// The time between two samples.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Interval(Duration);

impl FromStr for Interval {
    type Err = String;

    fn from_str(text: &str) -> Result<Interval, String> {
        match calendar::micros(text).and_then(|micros| u64::try_from(micros).ok()) {
            Some(micros @ 100_000..=3_600_000_000) => Ok(Interval(Duration::from_micros(micros))),
            _ => Err(format!("'{text}' is not a number of seconds from 0.1 to 3600")),
        }
    }
}

fn run(args: Args) -> Outcome {
    if args.interfaces.is_empty() {
        let cause = "name at least one (bsbf-netspeed INTERVAL IFACE...)";
        return Err(Error::new("measure", "no interface", cause).with_exit(EXIT_USAGE));
    }
    let signals = EndSignals::catch().map_err(|e| Error::new("catch", "signals", e))?;
    let mut kernel = Kernel::open().map_err(|e| Error::new("open", "a netlink socket", e))?;
    let mut meters = find(&mut kernel, args.interfaces)?;
    let form = match io::stdout().is_terminal() {
        _ if args.json => Form::Json,
        true => Form::Screen,
        false => Form::Lines,
    };
    let mut last = clock::now();
    let mut due = last + args.interval.0;
    let mut samples = 0;
    while args.count.is_none_or(|count| samples < count) {
        if signals.wait(due.since(clock::now())).map_err(|e| Error::new("wait for", "the next sample", e))? {
            break;
        }
        let now = clock::now();
        if now < due {
            continue;
        }
        let elapsed = now.since(last);
        last = now;
        // A fixed beat; what was missed (a stopped process, a slow reader) is not made up for.
        due = due + args.interval.0;
        if due <= now {
            due = now + args.interval.0;
        }
        let mut sample = Sample { wall: clock::wall_seconds(), elapsed, rates: Vec::new() };
        for meter in &mut meters {
            let rate = meter.update(read(&mut kernel, &meter.name)?, elapsed);
            sample.rates.push((meter.name.clone(), rate));
        }
        samples += 1;
        let mut stdout = io::stdout().lock();
        match stdout.write_all(form.print(&sample).as_bytes()).and_then(|()| stdout.flush()) {
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => break,
            written => written.map_err(|e| Error::new("write to", "stdout", e))?,
        }
    }
    Ok(EXIT_DONE)
}

/// A meter for each interface, once each; all must exist at the start, so that a misspelt one is noticed.
fn find(kernel: &mut Kernel, names: Vec<IfName>) -> Result<Vec<Meter>, Error> {
    let mut meters: Vec<Meter> = Vec::new();
    for name in names {
        if meters.iter().any(|meter| meter.name == name) {
            continue;
        }
        let Some(stats) = read(kernel, &name)? else {
            let all = kernel.link_names().map_err(|e| Error::new("list", "interfaces", e))?;
            let all: Vec<&str> = all.iter().map(IfName::as_str).collect();
            let cause = format!("no such interface; there are: {}", all.join(" "));
            return Err(Error::new("measure", name, cause));
        };
        meters.push(Meter { name, last: Some(stats) });
    }
    Ok(meters)
}

fn read(kernel: &mut Kernel, name: &IfName) -> Result<Option<Reading>, Error> {
    let link = kernel.link_named(name);
    link.map(|link| link.map(Reading::from)).map_err(|e| Error::new("read the counters of", name, e))
}

/// What an interface has carried since its counters began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Reading {
    ifindex: IfIndex,
    rx_bytes: u64,
    tx_bytes: u64,
}

impl From<Link> for Reading {
    fn from(link: Link) -> Reading {
        Reading { ifindex: link.index, rx_bytes: link.rx_bytes, tx_bytes: link.tx_bytes }
    }
}

/// An interface and its last reading.
struct Meter {
    name: IfName,
    /// `None` while the interface is gone.
    last: Option<Reading>,
}

/// Bits per second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Rate {
    download: u64,
    upload: u64,
}

impl Meter {
    /// Takes a reading, made `elapsed` after the last one, and gives the rate between both; `None` while the
    /// interface is gone.
    fn update(&mut self, stats: Option<Reading>, elapsed: Duration) -> Option<Rate> {
        let before = std::mem::replace(&mut self.last, stats);
        let now = stats?;
        let before = before.filter(|before| before.ifindex == now.ifindex);
        let rate = |before: Option<u64>, now: u64| {
            let bytes = now.checked_sub(before.unwrap_or(0)).unwrap_or(now);
            bits_per_second(bytes, elapsed)
        };
        Some(Rate {
            download: rate(before.map(|b| b.rx_bytes), now.rx_bytes),
            upload: rate(before.map(|b| b.tx_bytes), now.tx_bytes),
        })
    }
}

fn bits_per_second(bytes: u64, elapsed: Duration) -> u64 {
    let (bits, elapsed) = (bytes.saturating_mul(8), micros(elapsed).max(1));
    // In two parts, because bits times a million would not fit.
    let (whole, rest) = (bits / elapsed, bits % elapsed);
    whole.saturating_mul(1_000_000).saturating_add(rest.saturating_mul(1_000_000) / elapsed)
}

/// The rates of all interfaces over one interval.
struct Sample {
    /// When it was taken, in seconds since 1970.
    wall: u64,
    /// The time it covers.
    elapsed: Duration,
    /// `None` for an interface that is gone.
    rates: Vec<(IfName, Option<Rate>)>,
}

impl Sample {
    fn sum(&self) -> Rate {
        self.rates.iter().filter_map(|(_, rate)| *rate).fold(Rate::default(), |sum, rate| Rate {
            download: sum.download.saturating_add(rate.download),
            upload: sum.upload.saturating_add(rate.upload),
        })
    }
}

/// How samples are printed.
enum Form {
    /// In place, in columns.
    Screen,
    /// Line below line, without padding: `wan: Download: 94.1 Mbps Upload: 3.2 Mbps`.
    Lines,
    /// One object per line.
    Json,
}

impl Form {
    fn print(&self, sample: &Sample) -> String {
        let (name_width, number_width) = match self {
            Form::Screen => {
                (sample.rates.iter().map(|(name, _)| name.as_str().len()).max().unwrap_or(0).max(3), 8)
            }
            Form::Lines => (0, 0),
            Form::Json => return json_line(sample),
        };
        let line = |name: &str, rate: Option<Rate>| {
            let name = format!("{:1$}", format!("{name}:"), name_width + 1);
            let mbps = |bits: u64| {
                let tenths = bits.saturating_add(50_000) / 100_000;
                format!("{:>number_width$} Mbps", format!("{}.{}", tenths / 10, tenths % 10))
            };
            match rate {
                Some(rate) => {
                    format!("{name} Download: {} Upload: {}", mbps(rate.download), mbps(rate.upload))
                }
                None => format!("{name} gone"),
            }
        };
        let mut lines: Vec<String> =
            sample.rates.iter().map(|(name, rate)| line(name.as_str(), *rate)).collect();
        lines.push(line("sum", Some(sample.sum())));
        match self {
            Form::Screen => format!("{HOME}{}{END_OF_LINE}{CLEAR_REST}", lines.join(END_OF_LINE)),
            _ => lines.join("\n") + "\n",
        }
    }
}

#[derive(Serialize)]
struct JsonSample<'a> {
    time: u64,
    seconds: f64,
    interfaces: Vec<JsonRate<'a>>,
    sum: JsonRate<'a>,
}

#[derive(Serialize)]
struct JsonRate<'a> {
    name: &'a str,
    download_bps: Option<u64>,
    upload_bps: Option<u64>,
}

fn json_line(sample: &Sample) -> String {
    fn rate(name: &str, rate: Option<Rate>) -> JsonRate<'_> {
        JsonRate { name, download_bps: rate.map(|r| r.download), upload_bps: rate.map(|r| r.upload) }
    }
    json::to_string(&JsonSample {
        time: sample.wall,
        seconds: sample.elapsed.as_secs_f64(),
        interfaces: sample.rates.iter().map(|(name, r)| rate(name.as_str(), *r)).collect(),
        sum: rate("sum", Some(sample.sum())),
    }) + "\n"
}
