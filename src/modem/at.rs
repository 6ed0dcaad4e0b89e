//! AT commands, as 3GPP TS 27.007 and ITU-T V.250 have them: a line there, lines back, the last of which is the result.
//!
//! What a modem sends is a stream that others write into too: the echo of what it was asked, results that nobody asked for
//! (`+CREG: 1`, `RDY`), the answer to an earlier question that was late, at times noise. So an answer is only what is
//! wanted, followed by a result; everything else is passed over. Memory is bounded whatever comes: of a line that is
//! longer than any answer the rest is dropped.

use std::time::Duration;

use embedded_io::{Error, ErrorKind, Read, Write};

/// The longest line that is kept; answers have half of it.
pub const LINE: usize = 96;

/// A line of text.
pub type Text = heapless::String<LINE>;

/// A port to a modem. What it is asked for waits, and fails with `TimedOut` once the time that it was given is over;
/// zero bytes read, and any other error, are the port's end.
pub trait Port: Read + Write {
    /// Gives it so much time from now on.
    fn within(&mut self, time: Duration);
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Nothing came.
    Silent,
    /// Something came, but no answer, or not the whole of it.
    Unfinished,
    /// The modem does not want to; in its words.
    Refused(Text),
    /// The port is gone: the modem restarts, or was pulled out.
    Gone,
}

/// What begins lines that nobody has asked for, beside those with a sign in front.
const UNASKED: [&str; 9] = [
    "RDY",
    "RING",
    "APP RDY",
    "SMS READY",
    "SMS DONE",
    "CALL READY",
    "PB DONE",
    "POWERED DOWN",
    "NORMAL POWER DOWN",
];

/// Speaks AT over a port.
pub struct Client<P> {
    port: P,
    block: [u8; 64],
    next: usize,
    filled: usize,
    /// What has come of the line that is coming.
    line: Text,
    /// Something has come since the last command.
    heard: bool,
}

impl<P: Port> Client<P> {
    /// A client of this port.
    pub fn new(port: P) -> Client<P> {
        Client { port, block: [0; 64], next: 0, filled: 0, line: Text::new(), heard: false }
    }

    /// Gives a command that only succeeds or fails.
    ///
    /// # Errors
    /// As [`Trouble`] says.
    pub fn tell(&mut self, command: &str, within: Duration) -> Result<(), Trouble> {
        self.exchange(command, None, within).map(drop)
    }

    /// Asks, and gives what follows `prefix` in the answer; without a prefix, the first line that can be one.
    ///
    /// # Errors
    /// As [`Trouble`] says.
    pub fn ask(&mut self, command: &str, prefix: &str, within: Duration) -> Result<Text, Trouble> {
        self.exchange(command, Some(prefix), within)
    }

    /// Whether the port's end comes within this time.
    pub fn ends(&mut self, within: Duration) -> bool {
        self.port.within(within);
        loop {
            match self.line() {
                Ok(_) => {}
                Err(ErrorKind::TimedOut) => return false,
                Err(_) => return true,
            }
        }
    }

    fn exchange(&mut self, command: &str, prefix: Option<&str>, within: Duration) -> Result<Text, Trouble> {
        self.port.within(within);
        self.heard = false;
        match self.send(command) {
            Err(ErrorKind::TimedOut) => return Err(Trouble::Silent),
            other => other.map_err(|_| Trouble::Gone)?,
        }
        let mut answer = None;
        loop {
            let line = match self.line() {
                Ok(line) => line,
                Err(ErrorKind::TimedOut) if self.heard => return Err(Trouble::Unfinished),
                Err(ErrorKind::TimedOut) => return Err(Trouble::Silent),
                Err(_) => return Err(Trouble::Gone),
            };
            match result(&line) {
                Some(false) => return Err(Trouble::Refused(line)),
                Some(true) => match (prefix, answer.take()) {
                    (None, _) => return Ok(line),
                    (Some(_), Some(answer)) => return Ok(answer),
                    // Of a command before, which we had given up waiting for.
                    (Some(_), None) => {}
                },
                None => {
                    if let (Some(prefix), None) = (prefix, &answer) {
                        answer = wanted(&line, prefix);
                    }
                }
            }
        }
    }

    fn send(&mut self, command: &str) -> Result<(), ErrorKind> {
        // Kept in one piece, for modems that see a command's end in a pause.
        let text = [command, "\r"].concat();
        let mut rest = text.as_bytes();
        while !rest.is_empty() {
            let sent = self.port.write(rest).map_err(|e| e.kind())?;
            rest = rest.get(sent..).filter(|_| sent > 0).ok_or(ErrorKind::WriteZero)?;
        }
        self.port.flush().map_err(|e| e.kind())
    }

    /// The next line that has something in it. Half of one is kept for the next time.
    fn line(&mut self) -> Result<Text, ErrorKind> {
        loop {
            while let Some(&byte) = self.block.get(self.next..self.filled).and_then(<[u8]>::first) {
                self.next += 1;
                self.heard = true;
                match byte {
                    b'\r' | b'\n' if self.line.is_empty() => {}
                    b'\r' | b'\n' => return Ok(std::mem::take(&mut self.line)),
                    // What does not fit is dropped, and no answer is so long.
                    b' '..=b'~' => drop(self.line.push(byte.into())),
                    _ => drop(self.line.push('?')),
                }
            }
            self.next = 0;
            self.filled = 0;
            match self.port.read(&mut self.block).map_err(|e| e.kind())? {
                0 => return Err(ErrorKind::BrokenPipe),
                // No more than there is room for, whatever the port says.
                count => self.filled = count.min(self.block.len()),
            }
        }
    }
}

/// Whether a line is a command's result, and whether a good one.
fn result(line: &str) -> Option<bool> {
    match line {
        "OK" => Some(true),
        "ERROR" | "COMMAND NOT SUPPORT" => Some(false),
        _ if line.starts_with("+CME ERROR") || line.starts_with("+CMS ERROR") => Some(false),
        _ => None,
    }
}

/// The answer that is in a line, if it is one.
fn wanted(line: &str, prefix: &str) -> Option<Text> {
    let line = line.trim();
    let rest = match prefix {
        // Some modems name the command in the answer, and put it into quotes.
        "" => match line.strip_prefix("+CGMM:").or_else(|| line.strip_prefix("+CGMI:")) {
            Some(rest) => rest.trim().trim_matches('"'),
            // The echo; what nobody has asked for; noise.
            None if line.starts_with("AT") || line.starts_with(['+', '^', '*', '$', '%']) => return None,
            None if line.contains('?') || UNASKED.iter().any(|start| is_start(line, start)) => return None,
            None => line,
        },
        _ => line.strip_prefix(prefix)?.trim(),
    };
    Text::try_from(rest).ok()
}

fn is_start(line: &str, start: &str) -> bool {
    line.get(..start.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(start))
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (words, more) = match self {
            Trouble::Silent => ("no answer", ""),
            Trouble::Unfinished => ("it says something, but gives no whole answer", ""),
            Trouble::Gone => ("its port is gone", ""),
            Trouble::Refused(words) => ("it refuses: ", words.as_str()),
        };
        f.write_str(words)?;
        f.write_str(more)
    }
}
