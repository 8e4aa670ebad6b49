//! The one error of this crate.

use std::io;

use crate::desired::AttachmentError;

/// What went wrong at the kernel. "Already there" and "already gone" are outcomes, not errors, and
/// never appear here.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// A system call or netlink request was refused.
    #[error("cannot {what}")]
    System {
        /// What was attempted, as an infinitive.
        what: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The named network namespace does not exist (or its process is gone).
    #[error("there is no network namespace {0}")]
    NamespaceMissing(String),
    /// A network namespace of that name exists already.
    #[error("a network namespace named {0} exists already")]
    NamespaceExists(String),
    /// The text cannot name a network namespace.
    #[error("`{0}` cannot name a network namespace")]
    NamespaceName(String),
    /// The interface does not exist.
    #[error("there is no interface {interface} in {place}")]
    InterfaceMissing {
        /// The interface that was looked up.
        interface: String,
        /// The namespace it was looked up in.
        place: String,
    },
    /// The interface may not be taken, or its name is not free.
    #[error("interface {interface} cannot be used: {reason}")]
    InterfaceInUse {
        /// The interface.
        interface: String,
        /// What speaks against it.
        reason: String,
    },
    /// An attachment is wrong in itself.
    #[error(transparent)]
    Attachment(#[from] AttachmentError),
    /// A [`FakeKernel`](crate::FakeKernel) was told to refuse this step.
    #[error("refused as the test asked")]
    Refused,
}

impl KernelError {
    /// The kernel's error number, when a system call or netlink request was refused.
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::System { source, .. } => source.raw_os_error(),
            Self::NamespaceMissing(_)
            | Self::NamespaceExists(_)
            | Self::NamespaceName(_)
            | Self::InterfaceMissing { .. }
            | Self::InterfaceInUse { .. }
            | Self::Attachment(_)
            | Self::Refused => None,
        }
    }
}

/// Wraps an I/O error with what was attempted.
pub(crate) trait Context<T> {
    fn context(self, what: impl FnOnce() -> String) -> Result<T, KernelError>;
}

impl<T, E: Into<io::Error>> Context<T> for Result<T, E> {
    fn context(self, what: impl FnOnce() -> String) -> Result<T, KernelError> {
        self.map_err(|source| KernelError::System {
            what: what(),
            source: source.into(),
        })
    }
}
