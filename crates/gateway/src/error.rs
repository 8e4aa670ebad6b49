//! What starting, running and cleaning a gateway can fail with.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use api::sync::Problem;
use kernel::KernelError;
use tunnel::TunnelError;

pub use crate::connect::ConnectError;
pub use crate::state::StateError;
pub use crate::sync::JoinError;

/// Why a gateway cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The state folder cannot be used.
    #[error(transparent)]
    State(#[from] StateError),
    /// It has never joined and has nothing to join with.
    #[error(
        "this gateway has not joined a server; make a join string with `peerway gateway token` on \
         the server and give it with --join"
    )]
    NotJoined,
    /// The join string is for another deployment than the one that the state folder belongs to.
    #[error(
        "the join string is for another deployment than the state folder {}; use another folder, \
         or leave out --join", .0.display()
    )]
    OtherDeployment(PathBuf),
    /// The advertised endpoint is malformed.
    #[error("the advertised endpoint: {0}")]
    Advertise(Problem),
    /// The kernel edge cannot be used.
    #[error("the kernel cannot be used")]
    Kernel(#[from] KernelError),
    /// The forwarding engine did not start.
    #[error("the tunnel cannot start")]
    Tunnel(#[from] TunnelError),
    /// The local socket cannot be made.
    #[error("cannot listen on the local socket {}", path.display())]
    ControlSocket {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The metrics' address cannot be listened on.
    #[error("cannot serve metrics on {address}")]
    Telemetry {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
}

/// Why a gateway stopped by itself.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// It could not join.
    #[error("the gateway could not join")]
    Join(#[source] JoinError),
    /// One of its parts ended, which only a defect makes it do.
    #[error("a part of the gateway has ended unexpectedly: {0}")]
    Part(String),
}

/// Why not everything of a gateway could be removed.
#[derive(Debug, thiserror::Error)]
pub enum CleanError {
    /// The state folder cannot be used.
    #[error(transparent)]
    State(#[from] StateError),
    /// The kernel could not be asked.
    #[error("the kernel cannot be used")]
    Kernel(#[from] KernelError),
    /// Something is left.
    #[error("not everything could be removed: {}", .0.join("; "))]
    Left(Vec<String>),
}
