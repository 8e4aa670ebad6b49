//! The forwarding engine as the agent sees it; a fake stands in for it in tests.

use std::net::SocketAddr;

use model::VpcId;
use tunnel::{Tunnel, TunnelDesired, TunnelError, TunnelStatus};

/// A forwarding engine. The calls block for as long as the engine needs for its current batch.
pub trait Forwarder: Send + Sync {
    /// Replaces the whole configuration.
    ///
    /// # Errors
    /// As for [`Tunnel::configure`].
    fn configure(&self, desired: TunnelDesired) -> Result<(), TunnelError>;

    /// A snapshot of what it does.
    fn status(&self) -> TunnelStatus;

    /// The MTU in bytes that a VPC's device should have; `None` when no peering of it could carry
    /// anything.
    fn device_mtu(&self, vpc: VpcId) -> Option<u16>;

    /// The underlay addresses that it listens on.
    fn local_addresses(&self) -> Vec<SocketAddr>;
}

impl Forwarder for Tunnel {
    fn configure(&self, desired: TunnelDesired) -> Result<(), TunnelError> {
        Tunnel::configure(self, desired)
    }

    fn status(&self) -> TunnelStatus {
        Tunnel::status(self)
    }

    fn device_mtu(&self, vpc: VpcId) -> Option<u16> {
        Tunnel::device_mtu(self, vpc)
    }

    fn local_addresses(&self) -> Vec<SocketAddr> {
        Tunnel::local_addresses(self)
    }
}
