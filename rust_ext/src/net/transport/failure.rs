//! Why a transport cannot be had: the step that failed, and what the system said.

use std::fmt;
use std::io;

/// A step that failed.
#[derive(Debug)]
pub struct Failure {
    /// What was being done, e.g. `bind(AF_XDP)`.
    pub step: String,
    /// What the system said.
    pub error: io::Error,
}

impl Failure {
    /// A setting that is not allowed.
    pub fn refused(text: String) -> Failure {
        Failure { step: String::new(), error: io::Error::new(io::ErrorKind::InvalidInput, text) }
    }

    /// The number of the error; 0 where the system was not to blame.
    pub fn errno(&self) -> i32 {
        self.error.raw_os_error().unwrap_or(0)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        if self.step.is_empty() { self.error.fmt(out) } else { write!(out, "{}: {}", self.step, self.error) }
    }
}

impl std::error::Error for Failure {}

/// Say what was being done when an error came.
pub trait Step<T> {
    /// # Errors
    /// The error, with the step.
    fn step(self, step: &str) -> Result<T, Failure>;
}

impl<T> Step<T> for io::Result<T> {
    fn step(self, step: &str) -> Result<T, Failure> {
        self.map_err(|error| Failure { step: step.into(), error })
    }
}

/// Whether an error says that the other end is gone, which ends a measurement and is none of its own.
pub fn is_gone(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionRefused, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), UnexpectedEof | ConnectionReset | ConnectionRefused)
}
