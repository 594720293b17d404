//! What can go wrong before a run starts; what goes wrong in the data is a `Problem` or a `Fault`.

use std::fmt;

/// See the variants.
#[derive(Debug)]
pub enum Error {
    /// A name that is not known.
    UnknownName {
        /// The axis or setting.
        what: &'static str,
        /// What was asked for.
        name: String,
        /// What could be.
        known: &'static [&'static str],
    },
    /// A setting outside its range.
    Config(String),
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Error::UnknownName { what, name, known } => {
                write!(out, "unknown {what} '{name}'; known: {}", known.join(", "))
            }
            Error::Config(text) => out.write_str(text),
        }
    }
}

impl std::error::Error for Error {}
