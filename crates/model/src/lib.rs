//! The domain of Peerway: identifiers, address blocks, VPCs, peering connections, admission and the
//! slice of the world that one gateway carries.
//!
//! Everything here is a value or a pure function. There is no I/O, no clock and no randomness: the
//! callers hand in the time and the entropy. Wire and storage forms live in `api` and `store`.
//!
//! Start with `peering` for the life of a peering connection, then `admission` for what may be
//! peered with what, then [`slice`] for what becomes of it at a gateway.

pub mod cidr;
pub mod id;
pub mod overlay;
pub mod region;
pub mod slice;

pub use cidr::{CidrBlock, CidrError};
pub use id::{
    AppId, GatewayId, Generation, IdError, LegacyRouteTableId, LegacySubnetId, LegacyVpcId,
    PeeringConnectionId, RouteTableId, RouteTableRef, SubnetId, SubnetRef, TaskId, Uin, VpcId,
    VpcRef,
};
pub use overlay::{Bandwidth, OverlayError, PublicKey, Side, Vni};
pub use region::{Region, RegionError, Zone};
