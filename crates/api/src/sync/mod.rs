//! The gateway sync protocol: plain Rust values for every message and checked conversions from and
//! to the generated types of [`proto`].
//!
//! The service itself (client and server stubs) is in [`proto`]. Users convert at the edge of the
//! stream: `GatewayMessage::try_from(received)?`, `proto::ServerMessage::from(message)`. What comes
//! from the wire is validated once, there; a refused message names the field.

mod convert;
mod ipv6;
mod join;
mod message;
pub mod proto;
mod slice;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use convert::{FieldError, Problem, check_endpoint};
pub use join::{JoinString, JoinStringError, Secret};
pub use message::{
    ApplyError, GatewayMessage, Hello, JoinReply, JoinRequest, PairReport, PeeringReport, Report,
    ServerMessage, Traffic, Welcome,
};
pub use slice::{decode_change, decode_snapshot, encode_change, encode_snapshot};

/// The largest message that either side accepts. A snapshot of 1000 VPCs and 10 000 peerings at the
/// default quotas takes about 20 MB, more than gRPC's usual limit of 4 MiB, so both ends set this one.
pub const MAX_MESSAGE_BYTES: usize = 64 << 20;
