//! Why a tunnel cannot start or be configured.

use std::io;
use std::net::SocketAddr;

use model::VpcId;

/// A failure to start or to configure a tunnel.
#[derive(Debug, thiserror::Error)]
pub enum TunnelError {
    /// No address to listen on was given.
    #[error("no underlay address to listen on")]
    NoListenAddress,
    /// An underlay socket cannot be opened; another process may hold the port.
    #[error("cannot listen on UDP {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the kernel said.
        source: io::Error,
    },
    /// The engine's thread or its wake-up cannot be made.
    #[error("cannot start the forwarding engine")]
    Start(#[source] io::Error),
    /// A TUN queue does not take the offload settings; it may lack `IFF_VNET_HDR`.
    #[error("cannot set up the TUN queue of {vpc}")]
    Device {
        /// Whose queue.
        vpc: VpcId,
        /// What the kernel said.
        source: io::Error,
    },
    /// The engine's thread has ended.
    #[error("the forwarding engine has stopped")]
    Stopped,
}
