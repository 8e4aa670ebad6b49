//! The forwarding engine: packets from VPCs go capped, framed and sealed to other gateways, and
//! what comes back is checked before a VPC sees it.
//!
//! Two layers: a pure core ([`engine`] and what it uses: packets, `now` and randomness are handed
//! in) and a thin I/O layer (`runtime`, `tun`, `udp`). [`Tunnel`] is the running whole. This crate
//! opens no TUN device, speaks no netlink and resolves no names: the gateway hands in queues and
//! endpoints. `docs/wire.md` describes every byte that leaves a gateway.
//!
//! Start with [`Tunnel::start`] and [`Tunnel::configure`], then [`engine::Engine`].

pub mod arp;
pub mod buffers;
pub mod coalesce;
pub mod counters;
mod decapsulate;
pub mod engine;
mod error;
pub mod flow;
pub mod framing;
mod gateway;
pub mod gso;
pub mod inbox;
pub mod lookup;
pub mod mtu;
pub mod nd;
pub mod outbox;
pub mod packet;
pub mod path_mtu;
mod poll;
pub mod ports;
pub mod probe;
mod receive;
mod runtime;
mod send;
pub mod session;
pub mod shaper;
mod status;
pub mod testing;
#[cfg(test)]
mod tests;
mod tun;
mod turn;
mod udp;
mod worker;

use aws_lc_rs::agreement::{PrivateKey, X25519};
use model::{GatewayId, PeeringConnectionId, PublicKey, Side, Vni};

pub use counters::Traffic;
pub use error::TunnelError;
pub use gateway::ASSUMED_UNDERLAY_MTU;
pub use mtu::inner_mtu;
pub use runtime::{Tunnel, TunnelDesired, TunnelOptions};
pub use status::{IoStatus, PairStatus, PeeringStatus, TunnelStatus};

/// Something that the gateway's agent waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TunnelEvent {
    /// A session with another gateway came up or was renewed.
    HandshakeCompleted {
        /// The other gateway.
        gateway: GatewayId,
    },
    /// A probe of ours in a peering's VNI was answered: it crossed both ways. Sent once when a side
    /// of a peering is configured with this VNI, and again after the path was silent for 5 s.
    ProbeCrossed {
        /// The peering.
        peering: PeeringConnectionId,
        /// Our side of it.
        side: Side,
        /// The VNI that the probe crossed in.
        vni: Vni,
    },
}

/// The public key of a tunnel's private key (Curve25519).
pub fn public_key(private_key: &[u8; 32]) -> PublicKey {
    let private =
        PrivateKey::from_private_key(&X25519, private_key).expect("any 32 bytes are a private key");
    let public = private.compute_public_key().expect("and have a public one");
    PublicKey(public.as_ref().try_into().expect("of 32 bytes"))
}

/// Draws a private key from the operating system's randomness, clamped (RFC 7748, section 5).
pub fn generate_private_key() -> [u8; 32] {
    let mut key = [0; 32];
    fill_random(&mut key);
    key[0] &= 248;
    key[31] = (key[31] & 127) | 64;
    key
}

/// Fills at most 256 bytes from the operating system's randomness.
fn fill_random(bytes: &mut [u8]) {
    // SAFETY: the pointer and the length describe `bytes`.
    let filled = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
    // Requests up to 256 bytes are never interrupted or short (getrandom(2)); without randomness
    // there is no safe way to go on.
    assert_eq!(
        usize::try_from(filled).ok(),
        Some(bytes.len()),
        "the kernel gives no randomness"
    );
}
