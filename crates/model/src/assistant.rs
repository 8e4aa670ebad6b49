//! Assistant CIDR blocks: what a VPC may be extended by.
//!
//! A new block overlaps neither a block of the VPC, nor a block of a VPC that it is peered with, nor
//! another peer's of such a VPC, and no custom route of the VPC leads into it. Subnets lie in one
//! block each, so a block stays as long as one of them needs it.

use std::fmt;

use crate::admission::{OverlapScope, Refusal, extension_refusals};
use crate::cidr::CidrBlock;
use crate::id::{PeeringConnectionId, RouteTableId, SubnetId, VpcId};
use crate::vpc::Vpc;
use crate::world::World;

/// Why a VPC cannot be extended by a block, or not do without one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// The block.
    pub cidr: CidrBlock,
    /// What it conflicts with.
    pub with: Obstacle,
}

/// What stands in the way of a change of a VPC's blocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Obstacle {
    /// The block that the VPC was made with.
    Vpc {
        /// The VPC.
        vpc: VpcId,
        /// Its block.
        cidr: CidrBlock,
    },
    /// Another assistant block of the VPC, or one that is asked for at the same time.
    Assistant {
        /// The VPC.
        vpc: VpcId,
        /// Its block.
        cidr: CidrBlock,
    },
    /// A custom route of the VPC.
    Route {
        /// Its table.
        route_table: RouteTableId,
        /// Where it leads.
        destination: CidrBlock,
    },
    /// A subnet that lies in a block which is to go.
    Subnet {
        /// The subnet.
        subnet: SubnetId,
        /// Its block.
        cidr: CidrBlock,
    },
    /// What a peering of the VPC leads to.
    Peering {
        /// The peering.
        peering: PeeringConnectionId,
        /// What admission says.
        refusal: Refusal,
    },
}

/// A change of a VPC's assistant blocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extension {
    /// The blocks that the VPC keeps.
    pub kept: Vec<CidrBlock>,
    /// The blocks that it gets.
    pub added: Vec<CidrBlock>,
}

impl Extension {
    /// The assistant blocks afterwards.
    pub fn result(&self) -> Vec<CidrBlock> {
        [self.kept.as_slice(), &self.added].concat()
    }

    /// Everything that speaks against the change, block by block in the order asked for.
    pub fn conflicts(&self, world: &dyn World, vpc: &Vpc, scope: OverlapScope) -> Vec<Conflict> {
        let mut conflicts = Vec::new();
        for (index, cidr) in self.added.iter().enumerate() {
            let others = self.kept.iter().chain(&self.added[..index]);
            conflicts.extend(
                obstacles(world, vpc, *cidr, others, scope)
                    .into_iter()
                    .map(|with| Conflict { cidr: *cidr, with }),
            );
        }
        conflicts.extend(self.orphans(world, vpc));
        conflicts
    }

    /// The subnets that would be left without a block.
    fn orphans(&self, world: &dyn World, vpc: &Vpc) -> Vec<Conflict> {
        let result = self.result();
        let stays = |block: CidrBlock| {
            vpc.cidr.contains(block) || result.iter().any(|other| other.contains(block))
        };
        let subnets = world.subnets_of(vpc.id);
        let orphans = subnets.filter(|(subnet, _)| !stays(subnet.cidr));
        let conflicts = orphans.filter_map(|(subnet, _)| {
            Some(Conflict {
                cidr: vpc.block_of(subnet.cidr)?,
                with: Obstacle::Subnet {
                    subnet: subnet.id,
                    cidr: subnet.cidr,
                },
            })
        });
        conflicts.collect()
    }
}

/// What stands in the way of one more block beside others.
fn obstacles<'a>(
    world: &dyn World,
    vpc: &Vpc,
    cidr: CidrBlock,
    others: impl Iterator<Item = &'a CidrBlock>,
    scope: OverlapScope,
) -> Vec<Obstacle> {
    let id = vpc.id;
    let mut obstacles = Vec::new();
    if vpc.cidr.overlaps(cidr) {
        obstacles.push(Obstacle::Vpc {
            vpc: id,
            cidr: vpc.cidr,
        });
    }
    let overlapped = others.filter(|other| other.overlaps(cidr));
    obstacles.extend(overlapped.map(|other| Obstacle::Assistant {
        vpc: id,
        cidr: *other,
    }));
    for table in world.route_tables_of(id) {
        let inside = table
            .routes
            .iter()
            .filter(|route| cidr.contains(route.destination));
        obstacles.extend(inside.map(|route| Obstacle::Route {
            route_table: table.id,
            destination: route.destination,
        }));
    }
    let refusals = extension_refusals(world, vpc, cidr, scope).into_iter();
    obstacles.extend(refusals.map(|(peering, refusal)| Obstacle::Peering { peering, refusal }));
    obstacles
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cidr = self.cidr;
        match &self.with {
            Obstacle::Vpc { cidr: other, .. } => {
                write!(f, "{cidr} overlaps {other}, which the VPC was made with")
            }
            Obstacle::Assistant { cidr: other, .. } => {
                write!(f, "{cidr} overlaps the assistant CIDR block {other}")
            }
            Obstacle::Route {
                route_table,
                destination,
            } => write!(
                f,
                "a route of {route_table} leads to {destination} inside {cidr}"
            ),
            Obstacle::Subnet {
                subnet,
                cidr: block,
            } => {
                write!(f, "{subnet} ({block}) lies in {cidr}; delete it first")
            }
            Obstacle::Peering { refusal, .. } => refusal.fmt(f),
        }
    }
}
