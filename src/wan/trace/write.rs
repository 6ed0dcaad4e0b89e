//! Writing a trace.

use std::fmt::Write;

use super::kernel::{self, LISTS};
use super::{MAGIC, VERSION, decision_line};
use crate::types::{IfIndex, Time};
use crate::wan::liveness::Method;
use crate::wan::mind::{Action, Event};
use crate::wan::mptcp::Mptcp;
use crate::wan::settings::Settings;
use crate::wan::world::{Memory, World};

/// Turns what happens into lines.
#[derive(Debug)]
pub struct Writer {
    text: String,
    last: Time,
    /// The kernel as told last; nothing before the first.
    lists: Option<[Vec<String>; LISTS.len()]>,
    counters: Vec<(IfIndex, u64, u64)>,
}

impl Writer {
    /// Begins a trace with its head.
    pub fn new(kind: &str, settings: &Settings, memory: &Memory, start: Time) -> Writer {
        let text = format!("{MAGIC}{VERSION}\nkind {kind}\nstart {}\n", start.0);
        let mut writer = Writer { text, last: start, lists: None, counters: Vec::new() };
        writer.settings(settings);
        writer.memory(memory);
        writer
    }

    /// The lines since the last call.
    pub fn take(&mut self) -> String {
        std::mem::take(&mut self.text)
    }

    /// How much there is to take, in bytes.
    pub fn waiting(&self) -> usize {
        self.text.len()
    }

    /// The mind is told something.
    pub fn event(&mut self, event: &Event, now: Time) {
        let letter = match event {
            Event::World(_) => "w",
            Event::Answer { .. } => "a",
            Event::Counters(_) => "c",
            Event::SubflowFailed(_) => "f",
            Event::Mptcp(..) => "x",
            Event::Release(_) => "r",
            Event::Keep(_) => "k",
            Event::Settings(_) => "s",
            Event::Tick => "t",
        };
        self.begin(letter, now);
        match event {
            Event::Answer { index, seq } => self.add(format_args!(" {} {seq}\n", index.0)),
            Event::SubflowFailed(address) => self.add(format_args!(" {address}\n")),
            Event::Mptcp(index, found) => {
                self.add(format_args!(" {} {}\n", index.0, found.map_or("-", Mptcp::word)));
            }
            Event::Release(name) | Event::Keep(name) => self.add(format_args!(" {name}\n")),
            Event::Counters(counters) => self.counters(counters),
            Event::World(world) => {
                self.text.push('\n');
                self.world(world);
            }
            Event::Settings(settings) => {
                self.text.push('\n');
                self.settings(settings);
            }
            Event::Tick => self.text.push('\n'),
        }
    }

    /// What the mind asked for then.
    pub fn actions(&mut self, actions: &[Action]) {
        for action in actions {
            match action {
                Action::Probe(index, probe, _) => {
                    let method = match probe.method {
                        Method::Icmp => 'i',
                        Method::Tcp => 't',
                    };
                    self.add(format_args!("p {} {} {} {method}\n", index.0, probe.seq, probe.target));
                }
                Action::Tell(decision) => self.add(format_args!("d {}\n", decision_line(decision))),
                // They follow from what it was told.
                Action::Change(_) => {}
            }
        }
    }

    /// The mind takes back what it remembers.
    pub fn recall(&mut self, memory: &Memory, now: Time) {
        self.begin("m", now);
        self.text.push('\n');
        self.memory(memory);
    }

    fn begin(&mut self, letter: &str, now: Time) {
        self.add(format_args!("{} {letter}", now.0.saturating_sub(self.last.0)));
        self.last = self.last.max(now);
    }

    fn add(&mut self, line: std::fmt::Arguments) {
        // Writing to a string does not fail.
        let _ = self.text.write_fmt(line);
    }

    fn settings(&mut self, settings: &Settings) {
        for (option, values) in settings.options() {
            self.add(format_args!(": {option}"));
            values.iter().for_each(|value| self.add(format_args!(" {value}")));
            self.text.push('\n');
        }
    }

    fn memory(&mut self, memory: &Memory) {
        for line in memory.to_text().lines() {
            self.add(format_args!("| {line}\n"));
        }
    }

    fn counters(&mut self, counters: &[(IfIndex, u64, u64)]) {
        for &(index, rx, tx) in counters {
            let last = self.counters.iter().find(|(i, ..)| *i == index);
            let (rx_last, tx_last) = last.map_or((0, 0), |&(_, rx, tx)| (rx, tx));
            // One that fell (a device that was made anew) is a negative difference.
            let (rx, tx) = (rx.wrapping_sub(rx_last).cast_signed(), tx.wrapping_sub(tx_last).cast_signed());
            self.add(format_args!(" {},{rx},{tx}", index.0));
        }
        self.counters = counters.to_vec();
        self.text.push('\n');
    }

    /// For each list the part that is new: what stands before and behind it stays.
    fn world(&mut self, world: &World) {
        let new = kernel::lines(world);
        let old = self.lists.take().unwrap_or_default();
        for ((name, old), new) in LISTS.iter().zip(&old).zip(&new) {
            if old == new {
                continue;
            }
            let before = old.iter().zip(new).take_while(|(a, b)| a == b).count();
            let rest = (&old[before..], &new[before..]);
            let behind = rest.0.iter().rev().zip(rest.1.iter().rev()).take_while(|(a, b)| a == b).count();
            self.add(format_args!("= {name} {before} {}\n", old.len() - before - behind));
            for line in &new[before..new.len() - behind] {
                self.add(format_args!("+ {line}\n"));
            }
        }
        self.lists = Some(new);
    }
}
