//! Reading a trace, entry by entry. Any bytes are read without panic; no number in them is a size to be trusted.

use std::fmt;

use super::kernel::LISTS;
use super::read_kernel::{self, Words, alien};
use super::{MAGIC, VERSION};
use crate::types::{IfIndex, Time};
use crate::wan::liveness::{Method, Probe};
use crate::wan::mind::Event;
use crate::wan::mptcp::Mptcp;
use crate::wan::settings::{MAX_WANS, Settings};
use crate::wan::world::{Memory, World};

/// Sets one option, as a settings file does.
pub type SetOption = fn(&mut Settings, &str, &[&str]) -> Result<(), String>;

/// The head of a trace.
#[derive(Clone, Debug)]
pub struct Head {
    /// "bond", "route" or "mptcp".
    pub kind: String,
    /// When the mind was made.
    pub start: Time,
    /// Its settings.
    pub settings: Settings,
    /// What an earlier run had left.
    pub memory: Memory,
}

/// One fact of a trace.
#[derive(Clone, Debug)]
pub enum Entry {
    /// The mind was told this.
    Event(Event),
    /// It took back what it remembers.
    Recall(Memory),
    /// It asked, on the device.
    Probe(IfIndex, Probe),
    /// It decided.
    Decision(String),
}

/// A line that is none of a trace's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadLine {
    /// Which, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub cause: String,
}

impl fmt::Display for BadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.cause)
    }
}

/// A pause beyond a day, in µs, is none of a manager's: it reads the kernel twice a minute.
const MAX_PAUSE: u64 = 86_400_000_000;

/// Reads a trace. Ends at its end, before a last line that is not whole, and after a bad one.
pub struct Reader<'a> {
    rest: &'a [u8],
    line: usize,
    now: Time,
    head: Head,
    lists: [Vec<&'a str>; LISTS.len()],
    world: World,
    counters: Vec<(IfIndex, u64, u64)>,
    set: SetOption,
}

impl<'a> Reader<'a> {
    /// Reads the head.
    pub fn new(bytes: &'a [u8], set: SetOption) -> Result<Reader<'a>, BadLine> {
        let head = Head {
            kind: String::new(),
            start: Time(0),
            settings: Settings::default(),
            memory: Memory::default(),
        };
        let mut reader = Reader {
            rest: bytes,
            line: 0,
            now: Time(0),
            head,
            lists: Default::default(),
            // What seven empty lists mean.
            world: World { endpoints: Some(Vec::new()), ..World::default() },
            counters: Vec::new(),
            set,
        };
        reader.read_head().map_err(|cause| BadLine { line: reader.line.max(1), cause })?;
        Ok(reader)
    }

    /// What stands at its beginning.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// The time of the last entry.
    pub fn now(&self) -> Time {
        self.now
    }

    /// There is a last line that is not whole: the recorder was cut off.
    pub fn is_torn(&self) -> bool {
        !self.rest.is_empty() && !self.rest.contains(&b'\n')
    }

    fn read_head(&mut self) -> Result<(), String> {
        let magic = self.next_line()?.and_then(|line| line.strip_prefix(MAGIC));
        match magic.ok_or("not a trace")? {
            VERSION => {}
            other => return Err(format!("a trace of version {other}, and only {VERSION} is known")),
        }
        let kind = self.next_line()?.and_then(|line| line.strip_prefix("kind ")).ok_or("no kind")?;
        (self.head.settings.routes, self.head.settings.endpoints) = match kind {
            "bond" => (true, true),
            "route" => (true, false),
            "mptcp" => (false, true),
            other => return Err(alien(other)),
        };
        self.head.kind = kind.to_string();
        let start = self.next_line()?.and_then(|line| line.strip_prefix("start ")).ok_or("no start")?;
        self.head.start = Time(start.parse().map_err(|_| alien(start))?);
        self.now = self.head.start;
        self.head.settings = self.settings()?;
        self.head.memory = self.memory()?;
        Ok(())
    }

    /// The next whole line.
    fn next_line(&mut self) -> Result<Option<&'a str>, String> {
        let Some(end) = self.rest.iter().position(|&byte| byte == b'\n') else { return Ok(None) };
        let (line, rest) = (self.rest.get(..end), self.rest.get(end + 1..));
        self.rest = rest.unwrap_or_default();
        self.line += 1;
        std::str::from_utf8(line.unwrap_or_default()).map(Some).map_err(|_| "not text".to_string())
    }

    /// The rest of the next line, if it begins with this mark.
    fn continued(&mut self, mark: &str) -> Result<Option<&'a str>, String> {
        match self.rest.starts_with(mark.as_bytes()) {
            true => Ok(self.next_line()?.and_then(|line| line.strip_prefix(mark))),
            false => Ok(None),
        }
    }

    fn settings(&mut self) -> Result<Settings, String> {
        let halves = &self.head.settings;
        let mut settings =
            Settings { routes: halves.routes, endpoints: halves.endpoints, ..Settings::default() };
        while let Some(line) = self.continued(": ")? {
            let mut words = line.split(' ');
            let option = words.next().unwrap_or_default();
            (self.set)(&mut settings, option, &words.collect::<Vec<_>>())?;
        }
        Ok(settings)
    }

    fn memory(&mut self) -> Result<Memory, String> {
        let mut text = String::new();
        while let Some(line) = self.continued("| ")? {
            if Memory::from_text(line) == Memory::default() {
                return Err(alien(line));
            }
            text += line;
            text.push('\n');
        }
        Ok(Memory::from_text(&text))
    }

    fn entry(&mut self, line: &'a str) -> Result<Entry, String> {
        if let Some(decision) = line.strip_prefix("d ") {
            return Ok(Entry::Decision(decision.to_string()));
        }
        let mut words = Words::of(line);
        let first = words.word();
        if first == "p" {
            let index = words.index();
            let (seq, target) = (words.short(), words.byte());
            let method = match words.word() {
                "i" => Method::Icmp,
                "t" => Method::Tcp,
                other => return Err(alien(other)),
            };
            words.end()?;
            return Ok(Entry::Probe(index, Probe { seq, target, method }));
        }
        let pause: u64 = first.parse().map_err(|_| alien(first))?;
        if pause > MAX_PAUSE {
            return Err(format!("a pause of {pause} µs is more than a day"));
        }
        self.now = Time(self.now.0.saturating_add(pause));
        let event = match words.word() {
            "t" => Event::Tick,
            "a" => Event::Answer { index: words.index(), seq: words.short() },
            "f" => Event::SubflowFailed(words.address()),
            "x" => {
                let (index, word) = (words.index(), words.word());
                match (Mptcp::from_word(word), word) {
                    (None, "-") => Event::Mptcp(index, None),
                    (None, _) => return Err(alien(word)),
                    (found, _) => Event::Mptcp(index, found),
                }
            }
            "r" => words.name().map_or(Event::Tick, Event::Release),
            "k" => words.name().map_or(Event::Tick, Event::Keep),
            "c" => Event::Counters(self.counters(&mut words)?),
            "w" => Event::World(self.world()?),
            "s" => Event::Settings(Box::new(self.settings()?)),
            "m" => {
                words.end()?;
                return self.memory().map(Entry::Recall);
            }
            other => return Err(alien(other)),
        };
        words.end()?;
        Ok(Entry::Event(event))
    }

    fn counters(&mut self, words: &mut Words) -> Result<Vec<(IfIndex, u64, u64)>, String> {
        let mut counters = Vec::new();
        while let Some(word) = words.next() {
            let mut numbers = word.split(',').map(|number| number.parse::<i64>().ok());
            let (index, rx, tx) = (numbers.next(), numbers.next(), numbers.next());
            let (Some(Some(index)), Some(Some(rx)), Some(Some(tx)), None) = (index, rx, tx, numbers.next())
            else {
                return Err(alien(word));
            };
            let index = IfIndex(u32::try_from(index).map_err(|_| alien(word))?);
            let last = self.counters.iter().find(|(i, ..)| *i == index);
            let (rx_last, tx_last) = last.map_or((0, 0), |&(_, rx, tx)| (rx, tx));
            counters.push((
                index,
                rx_last.wrapping_add(rx.cast_unsigned()),
                tx_last.wrapping_add(tx.cast_unsigned()),
            ));
            if counters.len() > MAX_WANS {
                return Err(format!("more than {MAX_WANS} devices"));
            }
        }
        self.counters.clone_from(&counters);
        Ok(counters)
    }

    fn world(&mut self) -> Result<World, String> {
        let mut differs = false;
        while let Some(line) = self.continued("= ")? {
            differs = true;
            let mut words = Words::of(line);
            let name = words.word();
            let (from, count) = (usize::from(words.short()), usize::from(words.short()));
            words.end()?;
            let mut lists = (0..).zip(self.lists.iter_mut()).zip(LISTS);
            let ((number, list), _) = lists.find(|(_, list)| *list == name).ok_or_else(|| alien(name))?;
            let mut new = std::mem::take(list);
            if from + count > new.len() {
                return Err(format!("that list has {} lines", new.len()));
            }
            let behind = new.split_off(from + count);
            new.truncate(from);
            while let Some(line) = self.continued("+ ")? {
                read_kernel::read_line(&mut World::default(), number, line)?;
                new.push(line);
            }
            new.extend(behind);
            if let Some(list) = self.lists.get_mut(number) {
                *list = new;
            }
        }
        if differs {
            self.world = read_kernel::world(&self.lists)?;
        }
        Ok(self.world.clone())
    }
}

impl Iterator for Reader<'_> {
    type Item = Result<(Time, Entry), BadLine>;

    fn next(&mut self) -> Option<Self::Item> {
        let read = match self.next_line() {
            Ok(None) => return None,
            Ok(Some(line)) => self.entry(line),
            Err(cause) => Err(cause),
        };
        Some(read.map(|entry| (self.now, entry)).map_err(|cause| {
            self.rest = &[];
            BadLine { line: self.line, cause }
        }))
    }
}
