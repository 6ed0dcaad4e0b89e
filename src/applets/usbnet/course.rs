//! One modem, from the first word to the last.

use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use super::report::{Ending, Report};
use crate::modem::at::{Client, Trouble};
use crate::modem::dialogue::{self, Known, Unknown};
use crate::modem::{Family, Mode, of_usb, ports};
use crate::sys::clock;
use crate::sys::files;
use crate::sys::serial::SerialPort;
use crate::sys::usb;
use crate::types::Time;

/// For the first answer: a modem needs 10 to 30 s from being plugged in, and most were long ago.
const FIRST_ANSWER: Duration = Duration::from_secs(15);
/// For leaving the bus at its reset; a port that is not on USB never does.
const LEAVES: Duration = Duration::from_secs(15);
/// Between two looks at ports that are not there yet.
const LOOK: Duration = Duration::from_millis(500);
/// How long a port is waited for before the next one has its turn: at first, and twice as long each time, up to this.
const TURN: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(4)];

/// What is wanted of every modem.
#[derive(Clone, Copy)]
pub struct Wish {
    /// The mode; None to see which it has.
    pub mode: Option<Mode>,
    /// Only say what would be set.
    pub dry_run: bool,
    /// Wait until it is back.
    pub wait: bool,
    /// How long that may take.
    pub timeout: Duration,
}

/// A modem, and where it is.
pub struct Job {
    root: PathBuf,
    /// What the user calls it: the place on the bus, or the port that he named.
    pub name: String,
    /// The port that he named.
    named: Option<PathBuf>,
    /// The place on the bus, if it is on it.
    place: Option<String>,
    /// Whose it is; None asks the modem.
    family: Option<&'static Family>,
    /// It may be of no family at all.
    stranger: bool,
}

impl Job {
    /// What is at a place on the bus, if its ids are a modem's, and of the family if one is given.
    pub fn of_place(root: &Path, place: String, only: Option<&'static Family>) -> Option<Job> {
        let device = usb::device(root, &place)?;
        let (family, stranger) = of_usb(device.vendor, device.product)?;
        only.is_none_or(|only| only.name == family.name).then(|| Job {
            root: root.to_path_buf(),
            name: place.clone(),
            named: None,
            place: Some(place),
            family: Some(family).filter(|_| !stranger),
            stranger,
        })
    }

    /// A port that the user has named.
    pub fn of_port(root: &Path, port: &Path, family: Option<&'static Family>) -> Job {
        Job {
            root: root.to_path_buf(),
            name: port.display().to_string(),
            named: Some(port.to_path_buf()),
            place: usb::place_of(root, port),
            family,
            stranger: false,
        }
    }

    /// The ports worth asking, the likeliest first, and what the device is now.
    fn ports(&self) -> (Vec<PathBuf>, Option<u16>) {
        let mut paths: Vec<PathBuf> = self.named.iter().cloned().collect();
        let Some(place) = &self.place else { return (paths, None) };
        let Some(device) = usb::device(&self.root, place) else { return (paths, None) };
        // In another mode the port that was named may be another one's. Before, it is what was asked for.
        if self.named.as_ref().is_none_or(|port| !files::exists(port)) {
            let of_usb = of_usb(device.vendor, device.product).map(|(family, _)| family);
            let model = self.family.or(of_usb).map(|family| family.model("", Some(device.product)));
            let found = usb::serial_ports(&self.root, place);
            for port in ports::ranked(&found, model.map_or(0, |model| model.at_interface)) {
                paths.push(self.root.join("dev").join(&port.tty));
            }
        }
        (paths, Some(device.product))
    }
}

/// Why it did not work out, in words; None for what is no modem of these.
type Failure = Option<String>;

/// Does what is wished for, and tells how it went.
pub fn run(job: &Job, wish: &Wish) -> Report {
    let mut report = Report::of(&job.name);
    report.result = match attempt(job, wish, &mut report) {
        Ok(ending) => ending,
        Err(None) => Ending::Stranger,
        Err(words) => {
            report.error = words;
            Ending::Failed
        }
    };
    report
}

fn attempt(job: &Job, wish: &Wish, report: &mut Report) -> Result<Ending, Failure> {
    let start = clock::now() + FIRST_ANSWER.min(wish.timeout);
    let (mut client, path, known) = reach(job, start, false)?;
    report.learn(&path, &known);
    let Some(mode) = wish.mode else { return Ok(Ending::Shown) };
    let name = mode.name();
    let Some(number) = known.model.number(mode) else {
        return Err(Some(match known.model.modes {
            [] => "which numbers its modes have is not known here, so none is set".to_owned(),
            _ => ["it has no ", name, "; it has ", &known.model.names()].concat(),
        }));
    };
    if known.number == number {
        report.words.push_str(" already");
        return Ok(Ending::Already);
    }
    report.words.push_str(" -> ");
    report.words.push_str(name);
    if wish.dry_run {
        report.words.push_str(", not done (--dry-run)");
        return Ok(Ending::WouldChange);
    }
    let done = dialogue::set(&mut client, known.family, number);
    done.map_err(|trouble| Some([name, " is not set: ", &trouble.to_string()].concat()))?;
    if !wish.wait {
        report.words.push_str(", not waited for");
        return Ok(Ending::Sent);
    }
    let reset = clock::now();
    client.ends(LEAVES.min(wish.timeout));
    drop(client);
    let (_, path, known) = reach(job, reset + wish.timeout, true).map_err(|words| {
        Some(["set to ", name, ", but not back in time: ", &words.unwrap_or_default()].concat())
    })?;
    let now = report.learn(&path, &known);
    if known.number != number {
        return Err(Some(["set to ", name, ", but after its restart it has ", &now].concat()));
    }
    let seconds = clock::now().since(reset).as_secs().to_string();
    report.words.push_str(&[", back after ", &seconds, " s"].concat());
    Ok(Ending::Changed)
}

/// Calls at its ports in turn, until one of them answers.
///
/// One that is on its way back may refuse what it knows well a moment later, and its ports come one by one; all of this
/// is tried again then.
fn reach(job: &Job, until: Time, is_back: bool) -> Result<(Client<SerialPort>, PathBuf, Known), Failure> {
    let mut turn = TURN[0];
    loop {
        let (paths, product) = job.ports();
        // What the likeliest says.
        let mut first = None;
        let mut opened = false;
        for path in paths {
            let words = match SerialPort::open(&path) {
                Err(e) => no_port(&path, &e),
                Ok(port) => {
                    opened = true;
                    let mut client = Client::new(port);
                    let woken = dialogue::wake(&mut client, turn).map_err(Unknown::from);
                    match woken.and_then(|()| {
                        dialogue::know(&mut client, job.family, product, until.since(clock::now()))
                    }) {
                        Ok(known) => return Ok((client, path, known)),
                        Err(Unknown::Stranger(_)) if job.stranger => return Err(None),
                        // Its last word, unless it is just starting.
                        Err(unknown) => match (&unknown, is_back) {
                            (Unknown::Trouble(Trouble::Silent | Trouble::Unfinished), _) | (_, true) => {
                                [&path.to_string_lossy(), ": ", &unknown.to_string()].concat()
                            }
                            _ => return Err(Some(unknown.to_string())),
                        },
                    }
                }
            };
            first = first.or(Some(words));
        }
        if clock::now() >= until || !(opened || is_back) {
            let none = || "it has no serial port that takes AT commands (kmod-usb-serial-option?)".to_owned();
            return Err(Some(first.unwrap_or_else(none)));
        }
        if !opened {
            thread::sleep(LOOK);
        }
        turn = (turn * 2).min(TURN[1]);
    }
}

fn no_port(path: &Path, e: &io::Error) -> String {
    let path = path.to_string_lossy();
    match e.raw_os_error() {
        Some(libc::EBUSY) => [&path, ": another program has it"].concat(),
        Some(libc::ENOTTY) => [&path, ": no serial port"].concat(),
        _ => [&path, ": ", &e.to_string()].concat(),
    }
}
