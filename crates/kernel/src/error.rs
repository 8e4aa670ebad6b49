//! What the kernel edge can fail with.

use std::io;

/// Why something could not be observed or applied.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// A system call failed.
    #[error("{doing}: {source}")]
    Io {
        /// What was being done.
        doing: String,
        /// Why it failed.
        source: io::Error,
    },
    /// A netlink request failed.
    #[error("{doing}: {source}")]
    Netlink {
        /// What was being done.
        doing: String,
        /// Why it failed, by errno where the kernel gave one.
        source: io::Error,
    },
    /// A namespace that should exist does not.
    #[error("there is no network namespace {0}")]
    NoNamespace(String),
    /// A link that should exist does not.
    #[error("there is no link {link} in {place}")]
    NoLink {
        /// The link's name.
        link: String,
        /// The namespace it was looked for in.
        place: String,
    },
    /// A network interface that must stay where it is.
    #[error("{interface} stays where it is: {reason}")]
    Refused {
        /// The interface.
        interface: String,
        /// Why.
        reason: String,
    },
    /// The attachment names a VPC or subnet that the gateway does not carry.
    #[error("attachment {name}: {reason}")]
    Attachment {
        /// The attachment's name.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl KernelError {
    /// Wraps an I/O error with what was being done.
    pub fn io(doing: impl Into<String>, source: impl Into<io::Error>) -> KernelError {
        KernelError::Io {
            doing: doing.into(),
            source: source.into(),
        }
    }

    /// The errno behind the error, if there is one.
    pub fn errno(&self) -> Option<i32> {
        match self {
            KernelError::Io { source, .. } | KernelError::Netlink { source, .. } => {
                source.raw_os_error()
            }
            KernelError::NoNamespace(_)
            | KernelError::NoLink { .. }
            | KernelError::Refused { .. }
            | KernelError::Attachment { .. } => None,
        }
    }
}
