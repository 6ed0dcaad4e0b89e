//! A modem that is none: it answers AT commands as models do that we know of, and misbehaves as modems do.
//!
//! [`Modem`] is the modem itself, whatever it is plugged into; [`Modem::serve`] has it speak over anything that reads and
//! writes, a unix socket of QEMU's usb-serial for one; [`slot`] plugs it into a pseudo terminal, from which it disappears
//! when it restarts, as from USB.

pub mod slot;

use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::sleep;
use std::time::Duration;

/// How a model knows its modes, and what it is.
#[derive(Debug)]
pub struct Model {
    /// AT+CGMI.
    pub maker: &'static str,
    /// AT+CGMM.
    pub name: &'static str,
    /// On USB.
    pub ids: (u16, u16),
    /// The interface of its AT port.
    pub at_interface: u8,
    /// The numbers that it takes.
    pub numbers: &'static [u16],
    /// What the mode is asked with, how the answer begins, and how an order begins and ends.
    ask: [&'static str; 4],
    /// It starts anew by itself once the mode is set.
    restarts: bool,
}

const QUECTEL: [&str; 4] = ["AT+QCFG=\"usbnet\"", "+QCFG: \"usbnet\",", "AT+QCFG=\"usbnet\",", ""];
const MEIG: [&str; 4] = ["AT+SER?", "+SER: ", "AT+SER=", ",1"];

const fn quectel(name: &'static str, product: u16, at_interface: u8, numbers: &'static [u16]) -> Model {
    let ids = (0x2c7c, product);
    Model { maker: "Quectel", name, ids, at_interface, numbers, ask: QUECTEL, restarts: false }
}

const fn meig(name: &'static str, ids: (u16, u16), at_interface: u8, numbers: &'static [u16]) -> Model {
    Model { maker: "MEIG INCORPORATED", name, ids, at_interface, numbers, ask: MEIG, restarts: true }
}

/// LTE, of Qualcomm's chips.
pub const EC25: Model = quectel("EC25", 0x0125, 2, &[0, 1, 2, 3]);
/// The same for computers.
pub const EM12: Model = quectel("EM12-G", 0x0512, 2, &[0, 1, 2, 3]);
/// 5G.
pub const RM520N: Model = quectel("RM520N-GL", 0x0801, 2, &[0, 1, 2, 3]);
/// 5G of Unisoc's chips: without QMI.
pub const RM500U: Model = quectel("RM500U-CN", 0x0900, 4, &[1, 2, 3, 5]);
/// LTE of ASR's chips: ECM and RNDIS alone.
pub const SLM770A: Model = meig("SLM770A", (0x2dee, 0x4d57), 3, &[2, 3]);
/// 5G of Qualcomm's chips.
pub const SRM825: Model = meig("SRM825", (0x2dee, 0x4d22), 2, &[1, 2, 3, 7]);
/// LTE of Qualcomm's chips.
pub const SLM828: Model = meig("SLM828", (0x2dee, 0x4d22), 2, &[1, 2, 3, 7]);
/// 5G of Unisoc's chips, with other numbers, under Unisoc's vendor id.
pub const SRM821: Model = meig("SRM821", (0x1782, 0x4d00), 3, &[1, 2, 3]);

/// A phone under Unisoc's vendor id: no modem that anybody knows.
pub const PHONE: Model = Model { maker: "Somebody", name: "Phone 1", ..SRM821 };

/// All modems.
pub const MODELS: [&Model; 8] = [&EC25, &EM12, &RM520N, &RM500U, &SLM770A, &SRM825, &SLM828, &SRM821];

/// How it misbehaves. All at once is possible.
#[derive(Clone, Debug, Default)]
pub struct Habits {
    /// It says nothing at all.
    pub silent: bool,
    /// It says nothing that is AT, and a lot of it, without a line's end.
    pub babbles: bool,
    /// It repeats what it is asked.
    pub echoes: bool,
    /// Before every answer comes a line that nobody asked for, and one that is longer than any.
    pub chatters: bool,
    /// It says the first half of every answer that has something in it.
    pub stops_halfway: bool,
    /// It takes so long for each answer.
    pub slow: Duration,
    /// It says its answers in pieces of a byte.
    pub piecemeal: bool,
    /// It answers orders so.
    pub refuses: Option<&'static str>,
    /// It goes when it is asked for its mode.
    pub goes: bool,
    /// It has another mode after a restart than it was told.
    pub forgets: bool,
    /// It does not come back from a restart.
    pub stays_away: bool,
    /// How long a restart takes.
    pub restart: Duration,
}

/// What it has in its memory.
#[derive(Debug)]
struct Memory {
    mode: u16,
    /// From the next start on.
    next_mode: u16,
    heard: Vec<String>,
    starts: u32,
}

/// Why it stopped speaking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// It restarts.
    Restart,
    /// It is gone from the bus.
    Gone,
    /// Nobody is at the other end any more.
    HungUp,
}

/// One modem; clones are the same one.
#[derive(Clone)]
pub struct Modem {
    /// What it is.
    pub model: &'static Model,
    /// How it behaves.
    pub habits: Habits,
    memory: Arc<Mutex<Memory>>,
}

impl Modem {
    /// One that has this mode.
    pub fn new(model: &'static Model, mode: u16, habits: Habits) -> Modem {
        let memory = Memory { mode, next_mode: mode, heard: Vec::new(), starts: 1 };
        Modem { model, habits, memory: Arc::new(Mutex::new(memory)) }
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// The mode that it has.
    pub fn mode(&self) -> u16 {
        self.memory().mode
    }

    /// How often it has started.
    pub fn starts(&self) -> u32 {
        self.memory().starts
    }

    /// What it was told that it does not only answer.
    pub fn orders(&self) -> Vec<String> {
        let [ask, _, set, _] = self.model.ask;
        let is_order = |line: &&String| *line != ask && line.starts_with(set) || line.starts_with("AT+CFUN");
        self.memory().heard.iter().filter(is_order).cloned().collect()
    }

    /// It starts anew.
    pub fn restart(&self) {
        let mut memory = self.memory();
        memory.starts += 1;
        match self.habits.forgets {
            true => memory.next_mode = memory.mode,
            false => memory.mode = memory.next_mode,
        }
    }

    /// Speaks until it restarts, goes, or nobody listens.
    pub fn serve(&self, mut line: impl Read + Write) -> Stop {
        let mut asked = Vec::new();
        let mut byte = [0];
        loop {
            match line.read(&mut byte) {
                Ok(1) => {}
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                _ => return Stop::HungUp,
            }
            match byte[0] {
                b'\r' => {
                    let command = String::from_utf8_lossy(&asked).trim().to_string();
                    asked.clear();
                    if !command.is_empty()
                        && let Some(stop) = self.hear(&command, &mut line)
                    {
                        return stop;
                    }
                }
                other => asked.push(other),
            }
        }
    }

    fn hear(&self, command: &str, line: &mut impl Write) -> Option<Stop> {
        self.memory().heard.push(command.to_string());
        let habits = &self.habits;
        if habits.silent {
            return None;
        }
        sleep(habits.slow);
        let mut said = String::new();
        if habits.echoes {
            said += &format!("{command}\r\r\n");
        }
        if habits.babbles {
            said += &"~\x7f\x01Z".repeat(500);
            return self.say(line, &said);
        }
        if habits.chatters {
            said += &format!("\r\nRDY\r\n\r\n+CREG: 1\r\n\r\n+QIND: {}\r\n", "x".repeat(600));
        }
        let [ask, answer, set, end] = self.model.ask;
        if habits.goes && command == ask {
            return Some(Stop::Gone);
        }
        let mut stop = None;
        let number = command.strip_prefix(set).and_then(|rest| rest.strip_suffix(end));
        let fact = match command {
            "AT+CGMI" => Some(self.model.maker.to_string()),
            "AT+CGMM" => Some(self.model.name.to_string()),
            _ if command == ask => Some(format!("{answer}{}", self.mode())),
            _ => None,
        };
        let result = match (command, number.map(str::parse)) {
            ("AT" | "ATE0" | "ATE1", _) => "OK",
            _ if fact.is_some() => "OK",
            ("AT+CFUN=1,1", _) => {
                stop = Some(Stop::Restart);
                "OK"
            }
            (_, Some(Ok(number))) => match habits.refuses {
                Some(words) => words,
                None if self.model.numbers.contains(&number) => {
                    self.memory().next_mode = number;
                    stop = self.model.restarts.then_some(Stop::Restart);
                    "OK"
                }
                None => "+CME ERROR: 50",
            },
            _ => "ERROR",
        };
        if let Some(fact) = &fact {
            let half = if habits.stops_halfway { fact.len() / 2 } else { fact.len() };
            said += &format!("\r\n{}", &fact[..half]);
            if habits.stops_halfway {
                return self.say(line, &said);
            }
            said += "\r\n";
        }
        said += &format!("\r\n{result}\r\n");
        self.say(line, &said).or(stop)
    }

    fn say(&self, line: &mut impl Write, text: &str) -> Option<Stop> {
        let size = if self.habits.piecemeal { 1 } else { text.len().max(1) };
        for piece in text.as_bytes().chunks(size) {
            if line.write_all(piece).and_then(|()| line.flush()).is_err() {
                return Some(Stop::HungUp);
            }
            if self.habits.piecemeal {
                sleep(Duration::from_millis(1));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What it says to these words.
    fn talk(modem: &Modem, words: &str) -> (String, Stop) {
        struct Line<'a>(&'a [u8], Vec<u8>);
        impl Read for Line<'_> {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                self.0.read(buffer)
            }
        }
        impl Write for Line<'_> {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.1.write(bytes)
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut line = Line(words.as_bytes(), Vec::new());
        let stop = modem.serve(&mut line);
        (String::from_utf8_lossy(&line.1).into_owned(), stop)
    }

    #[test]
    fn a_mode_holds_from_the_restart_on() {
        let modem = Modem::new(&EC25, 0, Habits::default());
        let (said, stop) = talk(&modem, "AT\rAT+QCFG=\"usbnet\"\rAT+QCFG=\"usbnet\",2\rAT+CFUN=1,1\rAT\r");
        assert_eq!(said, "\r\nOK\r\n\r\n+QCFG: \"usbnet\",0\r\n\r\nOK\r\n\r\nOK\r\n\r\nOK\r\n");
        assert_eq!((stop, modem.mode()), (Stop::Restart, 0));
        modem.restart();
        assert_eq!((modem.mode(), modem.starts()), (2, 2));
        assert_eq!(modem.orders(), ["AT+QCFG=\"usbnet\",2", "AT+CFUN=1,1"]);
    }

    #[test]
    fn what_a_model_has_not_it_refuses() {
        let modem = Modem::new(&SLM770A, 3, Habits::default());
        assert_eq!(
            talk(&modem, "AT+SER=7,1\rAT+SER=2,1\r"),
            ("\r\n+CME ERROR: 50\r\n\r\nOK\r\n".into(), Stop::Restart)
        );
    }
}
