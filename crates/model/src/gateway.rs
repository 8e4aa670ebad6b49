//! Gateways as the control plane knows them.

use std::net::Ipv4Addr;

use crate::id::{GatewayId, PeeringConnectionId, Uin};
use crate::overlay::{PublicKey, Vni};
use crate::region::Region;
use crate::time::UnixMillis;

/// A gateway that joined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gateway {
    /// Its id.
    pub id: GatewayId,
    /// The region that it carries.
    pub region: Region,
    /// SHA-256 of its TLS certificate's public key (SubjectPublicKeyInfo, DER): how it is known
    /// after it joined.
    pub identity: [u8; 32],
    /// Its tunnel key.
    pub tunnel_public_key: PublicKey,
    /// Where other gateways reach it, `host:port`; `None` behind a NAT.
    pub endpoint: Option<String>,
    /// Its address inside the tunnels, a /32 of 100.64.0.0/10 (RFC 6598).
    pub overlay_address: Ipv4Addr,
    /// When it joined.
    pub joined_at: UnixMillis,
}

/// A single-use permission to join as the gateway of a region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinToken {
    /// SHA-256 of the secret in the join string.
    pub secret_hash: [u8; 32],
    /// The region that the gateway will carry.
    pub region: Region,
    /// When it is void.
    pub expires_at: UnixMillis,
}

/// What is left of a deleted peering until both ends have confirmed that they stopped carrying it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tombstone {
    /// The peering that was.
    pub peering: PeeringConnectionId,
    /// Who deleted it.
    pub owner: Uin,
    /// Its VNI, reserved as long as the tombstone stands.
    pub vni: Vni,
    /// The gateways that have not confirmed yet.
    pub awaiting: Vec<GatewayId>,
    /// When it was deleted.
    pub deleted_at: UnixMillis,
}
