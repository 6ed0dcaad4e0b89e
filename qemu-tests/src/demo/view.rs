//! Draws the show: in place on a terminal, line by line elsewhere. Nothing is wider than 80 columns.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io::{Write as _, stdout};
use std::time::Duration;

use crate::topology::Lab;

/// Events that stay on the screen.
const EVENTS: usize = 10;
/// Characters of a bar at the link's full rate.
const BAR: usize = 24;
const WIDTH: usize = 80;
/// A plain line is printed every this many drawings (5 a second).
const PLAIN_EVERY: u32 = 5;

/// What is to be seen at one moment.
pub struct Picture {
    /// Since the show began.
    pub elapsed: Duration,
    /// One for each WAN.
    pub rows: Vec<Row>,
    /// Payload of the download in bit/s.
    pub goodput: f64,
    /// The rates of all links together, in bit/s.
    pub sum: f64,
}

/// One WAN.
pub struct Row {
    /// The device.
    pub name: String,
    /// Bit/s received.
    pub rate: f64,
    /// Bit/s possible.
    pub link_rate: f64,
    /// In the manager's eyes; "?" without one.
    pub state: String,
    /// As the manager measured it.
    pub rtt_ms: Option<f64>,
    /// Whether the kernel's preferred default route is this WAN's.
    pub is_preferred: bool,
    /// Whether the kernel has an endpoint of this WAN's address.
    pub has_endpoint: bool,
}

/// The screen, or the lines.
pub struct View {
    plain: bool,
    title: String,
    stage: String,
    events: VecDeque<String>,
    /// Lines of the last picture, to go back up by.
    height: usize,
    drawings: u32,
}

impl View {
    /// Plain output is a line a second and one per event.
    pub fn new(plain: bool, lab: &Lab) -> View {
        let title = format!("One MPTCP download over {} WANs", lab.wans());
        View { plain, title, stage: String::new(), events: VecDeque::new(), height: 0, drawings: 0 }
    }

    /// A new part of the script.
    pub fn stage(&mut self, at: Duration, title: &str) {
        self.stage = title.into();
        self.event(at, &format!("** {title}"));
    }

    /// Something that happened.
    pub fn event(&mut self, at: Duration, text: &str) {
        let line = format!("{:5.1} s  {text}", at.as_secs_f32());
        if self.plain {
            println!("{line}");
        }
        if self.events.len() == EVENTS {
            self.events.pop_front();
        }
        self.events.push_back(line);
    }

    /// Shows the picture.
    pub fn draw(&mut self, picture: &Picture) {
        self.drawings += 1;
        if !self.plain {
            self.draw_in_place(picture);
        } else if self.drawings.is_multiple_of(PLAIN_EVERY) {
            let mut line = format!("{:5.1} s  ", picture.elapsed.as_secs_f32());
            for row in &picture.rows {
                let _ = write!(line, "{} {:4.1} Mbit/s {}, ", row.name, row.rate / 1e6, row.state);
            }
            println!("{line}download {:.1} Mbit/s", picture.goodput / 1e6);
        }
    }

    /// What follows is printed below the last picture.
    pub fn end(&mut self) {
        self.height = 0;
        println!();
    }

    fn draw_in_place(&mut self, picture: &Picture) {
        let mut lines = vec![
            format!("{:<68}{:6.1} s", self.title, picture.elapsed.as_secs_f32()),
            self.stage.clone(),
            String::new(),
        ];
        lines.extend(picture.rows.iter().map(row_line));
        let total = (picture.goodput / 1e6, picture.sum / 1e6);
        lines.push(format!(
            "{:>6} {} {:5.1} of {:.0} Mbit/s payload",
            "both",
            bar(total.0 / total.1),
            total.0,
            total.1
        ));
        lines.push(String::new());
        lines.extend(self.events.iter().cloned());
        lines.resize(lines.len() + EVENTS - self.events.len(), String::new());
        let mut out = String::new();
        if self.height > 0 {
            let _ = write!(out, "\x1b[{}A", self.height);
        }
        for line in &lines {
            let clipped: String = line.chars().take(WIDTH - 1).collect();
            // Erase the line before it is written: the last one may have been longer.
            let _ = writeln!(out, "\x1b[2K{clipped}");
        }
        self.height = lines.len();
        print!("{out}");
        // A terminal that went away ends the program by its signal.
        let _ = stdout().flush();
    }
}

fn row_line(row: &Row) -> String {
    let mut line = format!(
        "{:>6} {} {:5.1} of {:.0} Mbit/s  {:<8}",
        row.name,
        bar(row.rate / row.link_rate),
        row.rate / 1e6,
        row.link_rate / 1e6,
        row.state
    );
    if let Some(rtt) = row.rtt_ms {
        let _ = write!(line, "{rtt:4.0} ms");
    }
    if row.has_endpoint {
        line.push_str("  endpoint");
    }
    if row.is_preferred {
        line.push_str("  default");
    }
    line
}

fn bar(part: f64) -> String {
    // Rates over a short window may exceed the link's by a frame.
    let full = ((part.clamp(0.0, 1.0) * BAR as f64).round() as usize).min(BAR);
    format!("{}{}", "█".repeat(full), "░".repeat(BAR - full))
}
