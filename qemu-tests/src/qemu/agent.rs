//! Runs programs in a virtual router, by the agent that listens there on the LAN ([`crate::guest::agent`]).

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use crate::failure::{Doing, Result, failed};
use crate::guest::agent::{EXIT, OUTPUT, PORT};
use crate::ns::Ns;

/// The router's address on the LAN.
const ADDRESS: [u8; 4] = [192, 168, 4, 1];
/// A router that does not answer for so long hangs.
const PATIENCE: Duration = Duration::from_secs(60);
/// On a busy machine. The second SYN follows after a second, the third after three.
const CONNECT: Duration = Duration::from_secs(20);
/// For one that may not have booted yet.
const BRIEFLY: Duration = Duration::from_secs(1);

/// The agent of a router, reached from a host of its LAN.
#[derive(Clone)]
pub struct Agent {
    lan: Ns,
}

/// What a program did.
#[derive(Debug)]
pub struct Ran {
    /// Its exit code; 128 and the signal's number if a signal ended it.
    pub code: i32,
    /// What it printed, on either output.
    pub output: String,
}

impl Agent {
    /// The agent of the router of this LAN.
    pub fn new(lan: Ns) -> Agent {
        Agent { lan }
    }

    /// Starts a program; its output is read from the result, and dropping that ends the program.
    pub fn start(&self, words: &[&str]) -> Result<Program> {
        let connection =
            self.connect(CONNECT).doing(format_args!("reach the router to run {}", words.join(" ")))?;
        let mut request = Vec::new();
        for word in words {
            request.extend(word.bytes().chain([0]));
        }
        request.push(0);
        (&connection).write_all(&request)?;
        Ok(Program { connection, line: Vec::new(), code: None })
    }

    /// Runs a program to its end.
    pub fn run(&self, words: &[&str]) -> Result<Ran> {
        let mut program = self.start(words)?;
        let mut output = Vec::new();
        while let Some(part) = program.part().doing(format_args!("run {}", words.join(" ")))? {
            output.extend(part);
        }
        let code = program.code.unwrap_or_default();
        Ok(Ran { code, output: String::from_utf8_lossy(&output).into_owned() })
    }

    /// Runs a line of shell, which has to end with 0, and gives what it printed.
    pub fn shell(&self, line: &str) -> Result<String> {
        let Ran { code, output } = self.run(&["sh", "-c", line])?;
        if code != 0 {
            return failed(format!("in the router `{line}` ended with {code}: {}", output.trim()));
        }
        Ok(output)
    }

    /// Whether it can be reached.
    pub fn answers(&self) -> bool {
        self.connect(BRIEFLY).is_ok()
    }

    fn connect(&self, within: Duration) -> io::Result<TcpStream> {
        let connection =
            self.lan.enter(|| TcpStream::connect_timeout(&SocketAddr::from((ADDRESS, PORT)), within))?;
        connection.set_nodelay(true)?;
        connection.set_read_timeout(Some(PATIENCE))?;
        Ok(connection)
    }
}

/// A program that runs in the router; it is killed when this is dropped.
pub struct Program {
    connection: TcpStream,
    line: Vec<u8>,
    /// Its exit code, once it has ended.
    pub code: Option<i32>,
}

impl Program {
    /// The same, but it may be silent for so long.
    pub fn patient(self, silence: Duration) -> Result<Program> {
        self.connection.set_read_timeout(Some(silence))?;
        Ok(self)
    }

    /// For who wants to end the program while another thread reads.
    pub fn closer(&self) -> Result<TcpStream> {
        Ok(self.connection.try_clone()?)
    }

    /// The next line without its end; None after the last.
    pub fn line(&mut self) -> Result<Option<String>> {
        loop {
            if let Some(end) = self.line.iter().position(|byte| *byte == b'\n') {
                let rest = self.line.split_off(end + 1);
                let line = std::mem::replace(&mut self.line, rest);
                return Ok(Some(String::from_utf8_lossy(&line).trim_end().to_string()));
            }
            match self.part()? {
                Some(part) => self.line.extend(part),
                None if self.line.is_empty() => return Ok(None),
                None => self.line.push(b'\n'),
            }
        }
    }

    /// More of its output; None once it has ended.
    fn part(&mut self) -> Result<Option<Vec<u8>>> {
        if self.code.is_some() {
            return Ok(None);
        }
        let mut header = [0; 5];
        self.connection.read_exact(&mut header).doing("hear the router")?;
        let [kind, length @ ..] = header;
        let mut content = vec![0; u32::from_be_bytes(length) as usize];
        self.connection.read_exact(&mut content).doing("hear the router")?;
        match kind {
            OUTPUT => Ok(Some(content)),
            EXIT if content.len() == 4 => {
                self.code = Some(i32::from_be_bytes([content[0], content[1], content[2], content[3]]));
                Ok(None)
            }
            _ => failed(format!("the router's agent sent a frame of kind {kind}")),
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // The agent ends the program when it sees this; clones of the socket do not hold it back.
        let _ = self.connection.shutdown(Shutdown::Both);
    }
}
