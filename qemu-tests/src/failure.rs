//! Why a test or the demo ended early.

use std::fmt::{self, Display};

/// A failed claim, or a reason why this machine cannot check it.
#[derive(Debug)]
pub enum Failure {
    /// The claim does not hold, or the lab itself broke.
    Failed(String),
    /// Something that the test needs is missing here; says what.
    Skipped(String),
}

/// What tests and the lab's own functions return.
pub type Result<T = (), E = Failure> = std::result::Result<T, E>;

/// A failure with this text.
pub fn failed<T>(text: impl Into<String>) -> Result<T> {
    Err(Failure::Failed(text.into()))
}

/// A skip with this reason.
pub fn skipped<T>(why: impl Into<String>) -> Result<T> {
    Err(Failure::Skipped(why.into()))
}

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Failed(text) => f.write_str(text),
            Failure::Skipped(why) => write!(f, "skipped: {why}"),
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(e: std::io::Error) -> Failure {
        Failure::Failed(e.to_string())
    }
}

impl From<std::net::AddrParseError> for Failure {
    fn from(e: std::net::AddrParseError) -> Failure {
        Failure::Failed(e.to_string())
    }
}

impl From<nix::Error> for Failure {
    fn from(e: nix::Error) -> Failure {
        Failure::Failed(e.desc().to_string())
    }
}

/// Adds what was being done to an error from below.
pub trait Doing<T> {
    /// `what` reads as in "cannot {what}: no such file".
    fn doing(self, what: impl Display) -> Result<T>;
}

impl<T, E: Into<Failure>> Doing<T> for std::result::Result<T, E> {
    fn doing(self, what: impl Display) -> Result<T> {
        self.map_err(|e| match e.into() {
            Failure::Failed(text) => Failure::Failed(format!("cannot {what}: {text}")),
            skip @ Failure::Skipped(_) => skip,
        })
    }
}

/// Ends the test with the formatted text unless the condition holds.
#[macro_export]
macro_rules! check {
    ($condition:expr, $($text:tt)+) => {
        // Bound to a name so that the negation is of a bool and not of a comparison of floats.
        let holds: bool = $condition;
        if !holds {
            return Err($crate::failure::Failure::Failed(format!($($text)+)));
        }
    };
}
