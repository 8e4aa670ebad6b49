//! The domain of Peerway: identifiers, address blocks, VPCs, peering connections, admission and the
//! slice of the world that one gateway carries.
//!
//! Everything here is a value or a pure function. There is no I/O, no clock and no randomness: the
//! callers hand in the time and the entropy. Wire and storage forms live in `api` and `store`.
//!
//! Start with [`peering`] for the life of a peering connection, then [`admission`] for what may be
//! peered with what, then [`mod@slice`] for what becomes of it at a gateway.

pub mod account;
pub mod admission;
pub mod assistant;
pub mod cidr;
pub mod command;
pub mod error;
pub mod gateway;
pub mod id;
pub mod ipv6;
pub mod monitor;
pub mod name;
pub mod outcome;
pub mod overlay;
pub mod peering;
pub mod policy;
pub mod region;
pub mod slice;
mod slice_build;
pub mod tag;
pub mod task;
pub mod testing;
pub mod time;
pub mod vpc;
pub mod world;

pub use account::{Access, AccessKey, Account, KeyStatus, Principal, Quotas, SealedSecret};
pub use cidr::{CidrBlock, CidrError};
pub use command::Command;
pub use error::DomainError;
pub use gateway::{Gateway, JoinToken, Tombstone};
pub use id::{
    AppId, GatewayId, Generation, IdError, LegacyRouteTableId, LegacySubnetId, LegacyVpcId,
    PeeringConnectionId, RouteItemId, RouteTableId, RouteTableRef, SubnetId, SubnetRef, TaskId,
    Uin, VpcId, VpcRef,
};
pub use ipv6::{Ipv6Block, Ipv6BlockError};
pub use name::{Description, Name, NameError};
pub use outcome::Outcome;
pub use overlay::{Bandwidth, OverlayError, PublicKey, Side, Vni};
pub use peering::{PeeringConnection, PeeringEnd, PeeringState};
pub use policy::{Policy, SubAccount};
pub use region::{Region, RegionError, Zone};
pub use slice_build::{has_route, slice_of};
pub use tag::{TagError, Tagged, Tags};
pub use task::{Task, TaskKind, TaskState};
pub use time::UnixMillis;
pub use vpc::{NextHop, Route, RouteTable, RouteTableKind, Subnet, Vpc};
pub use world::World;
