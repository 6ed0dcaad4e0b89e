//! Errors that say what was being done, to what, and why it failed; and the exit codes.

use std::fmt;

/// What a command returns: the exit code on success, or an error to be printed once.
pub type Outcome = Result<u8, Error>;

/// Done.
pub const EXIT_DONE: u8 = 0;
/// The command could not do its job; the message says why.
pub const EXIT_FAILED: u8 = 1;
/// Wrong arguments; usage is on stderr.
pub const EXIT_USAGE: u8 = 2;
/// `bsbf-status` found no running manager.
pub const EXIT_NO_MANAGER: u8 = 3;
/// `bsbf-usbnet` found no modem.
pub const EXIT_NO_MODEM: u8 = 3;
/// Another manager holds the lock.
pub const EXIT_LOCKED: u8 = 4;
/// No command of that name, as in the shell.
pub const EXIT_UNKNOWN_COMMAND: u8 = 127;

/// An error of a command.
///
/// Printed as `cannot DOING WHAT: CAUSE`.
#[derive(Debug)]
pub struct Error {
    /// What was being done, as a verb phrase: "set metric of default route on".
    doing: &'static str,
    /// The thing it was done to: an interface, a file with its line, an address. May be empty.
    what: String,
    /// Why it failed, in words.
    cause: String,
    /// The exit code the command ends with.
    pub exit: u8,
}

impl Error {
    /// An error that ends the command with [`EXIT_FAILED`].
    pub fn new(doing: &'static str, what: impl fmt::Display, cause: impl fmt::Display) -> Error {
        Error::of(doing, &what, &cause)
    }

    /// The same once for all types: they are many, and each would have its own code.
    fn of(doing: &'static str, what: &dyn fmt::Display, cause: &dyn fmt::Display) -> Error {
        Error { doing, what: what.to_string(), cause: cause.to_string(), exit: EXIT_FAILED }
    }

    /// The same error with another exit code.
    pub fn with_exit(self, exit: u8) -> Error {
        Error { exit, ..self }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {}", self.doing)?;
        if !self.what.is_empty() {
            write!(f, " {}", self.what)?;
        }
        write!(f, ": {}", self.cause)
    }
}
