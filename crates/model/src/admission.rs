//! Admission: which peerings may exist together.
//!
//! Let the *standing* peerings of a VPC be its active ones and the pending ones that it requested
//! itself. Then at every revision:
//!
//! 1. the two ends of an active peering do not overlap;
//! 2. an unordered pair of VPCs has at most one pending or active peering;
//! 3. no two standing cross-region peerings of one VPC lead to blocks that overlap (with
//!    [`OverlapScope::AllPeerings`]: no two standing peerings at all);
//! 4. a VPC has no more standing peerings than its owner's quota;
//! 5. a VPC has no more pending requests of others than its owner's inbox limit. A request whose
//!    acceptance is still being carried out keeps its place, because it may be pending again.
//!
//! A request is checked on the requester's side when it is made or enabled, and on the accepter's
//! side when the peering becomes active. So a stranger's request takes nothing of the accepter's
//! and learns nothing of its other peerings. Because the requester's own pending requests stand, the
//! answer to two competing decisions does not depend on which commits first.
//!
//! The blocks of a VPC are the one that it was made with and its assistant ones, and it can be
//! [extended](extension_refusals) by more of those. A stranger's pending request does not stand in the
//! way of that. So a request can be pending whose acceptance would break rule 1, or rule 3 on the
//! requester's side, and an acceptance is checked for both. What stands in the way on the other side
//! of a peering is told as far as its peerings are the caller's as well.
//!
//! Only pending and active peerings of the two VPCs are looked at, so the cost of a decision is
//! bounded by the quotas of their owners and does not grow with anybody's past or other peerings.

use crate::cidr::CidrBlock;
use crate::id::{PeeringConnectionId, VpcId};
use crate::overlay::Side;
use crate::peering::{PeeringConnection, PeeringEnd, PeeringState};
use crate::task::TaskKind;
use crate::vpc::Vpc;
use crate::world::World;

/// Which peerings must not overlap each other at one VPC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OverlapScope {
    /// Those between different regions.
    #[default]
    CrossRegion,
    /// All.
    AllPeerings,
}

/// Why a peering is not admitted, in words that the caller may read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The two ends overlap.
    #[error("the CIDR blocks {requester} and {accepter} of the two VPCs overlap")]
    EndsOverlap {
        /// The requester's block.
        requester: CidrBlock,
        /// The accepter's block.
        accepter: CidrBlock,
    },
    /// The pair has a peering already.
    #[error("the two VPCs already have the peering connection {existing}")]
    PairExists {
        /// The peering that is pending or active.
        existing: PeeringConnectionId,
    },
    /// Another peering of the same VPC leads to an overlapping block.
    #[error("{cidr} overlaps {other_cidr}, which {vpc} reaches through {existing}")]
    PeersOverlap {
        /// The VPC whose peers would overlap.
        vpc: VpcId,
        /// The block of the new peer.
        cidr: CidrBlock,
        /// The block of the other peer.
        other_cidr: CidrBlock,
        /// The peering that leads to it.
        existing: PeeringConnectionId,
    },
    /// The VPC at the other side leads to an overlapping block through a peering that the caller is
    /// no party of.
    #[error("{cidr} overlaps a block that {vpc} reaches through another peering connection")]
    OverlapBeyond {
        /// The VPC whose peers would overlap.
        vpc: VpcId,
        /// The block on the caller's side.
        cidr: CidrBlock,
        /// The peering between the two.
        through: PeeringConnectionId,
    },
    /// The VPC has as many peerings as it may.
    #[error("{vpc} already has its {limit} peering connections")]
    Limit {
        /// The VPC.
        vpc: VpcId,
        /// The quota.
        limit: u32,
    },
    /// The accepter's VPC has as many pending requests as it may.
    #[error("{vpc} has too many pending requests; they have to be answered first")]
    InboxFull {
        /// The accepter's VPC.
        vpc: VpcId,
    },
}

/// Whether a peering stands at a VPC: it is active, or pending on that VPC's own request.
pub fn stands_at(peering: &PeeringConnection, vpc: VpcId) -> bool {
    match peering.state {
        PeeringState::Active { .. } => peering.side_of(vpc).is_some(),
        PeeringState::Pending { .. } => peering.requester.vpc == vpc,
        PeeringState::Expired { .. }
        | PeeringState::Rejected { .. }
        | PeeringState::Failed { .. }
        | PeeringState::Isolated { .. }
        | PeeringState::Deleted { .. } => false,
    }
}

/// Whether a request takes a place in the inbox of a VPC: it is pending there, or its acceptance is
/// still being carried out and may lead back to that.
pub fn waits_at(world: &dyn World, peering: &PeeringConnection, vpc: VpcId) -> bool {
    let may_be_pending = match peering.state {
        PeeringState::Pending { .. } => true,
        PeeringState::Active { .. } => is_being_accepted(world, peering),
        PeeringState::Expired { .. }
        | PeeringState::Rejected { .. }
        | PeeringState::Failed { .. }
        | PeeringState::Isolated { .. }
        | PeeringState::Deleted { .. } => false,
    };
    may_be_pending && peering.accepter.vpc == vpc
}

fn is_being_accepted(world: &dyn World, peering: &PeeringConnection) -> bool {
    let task = peering.task.and_then(|task| world.task(task));
    task.is_some_and(|task| task.is_running() && matches!(task.kind, TaskKind::Accept { .. }))
}

/// Checks a new peering, whose record is not in the world yet. Its state tells which rules apply:
/// pending for another account, active for the same one.
///
/// # Errors
/// [`Refusal`], the first rule that it would break.
pub fn admit_create(
    world: &dyn World,
    new: &PeeringConnection,
    scope: OverlapScope,
) -> Result<(), Refusal> {
    check_ends(world, new)?;
    check_pair(world, new)?;
    match new.state {
        PeeringState::Active { .. } => {
            check_side(world, new, Side::Requester, scope)?;
            check_side(world, new, Side::Accepter, scope)
        }
        PeeringState::Pending { .. }
        | PeeringState::Expired { .. }
        | PeeringState::Rejected { .. }
        | PeeringState::Failed { .. }
        | PeeringState::Isolated { .. }
        | PeeringState::Deleted { .. } => {
            check_side(world, new, Side::Requester, scope)?;
            check_inbox(world, new)
        }
    }
}

/// Checks that a pending peering may become active.
///
/// # Errors
/// [`Refusal`], the first rule that it would break.
pub fn admit_accept(
    world: &dyn World,
    peering: &PeeringConnection,
    scope: OverlapScope,
) -> Result<(), Refusal> {
    check_ends(world, peering)?;
    check_pair(world, peering)?;
    check_side(world, peering, Side::Accepter, scope)?;
    let accepter = blocks_of(world, &peering.accepter);
    let beyond = overlaps_beyond(world, peering, Side::Accepter, &accepter, scope);
    beyond.into_iter().next().map_or(Ok(()), Err)
}

/// Checks that an expired peering may be pending again.
///
/// # Errors
/// [`Refusal`], the first rule that it would break.
pub fn admit_enable(
    world: &dyn World,
    peering: &PeeringConnection,
    scope: OverlapScope,
) -> Result<(), Refusal> {
    check_ends(world, peering)?;
    check_pair(world, peering)?;
    check_side(world, peering, Side::Requester, scope)?;
    check_inbox(world, peering)
}

/// Everything that speaks against one more block of a VPC, as far as its peerings go, each with the
/// peering that it is about.
pub fn extension_refusals(
    world: &dyn World,
    vpc: &Vpc,
    cidr: CidrBlock,
    scope: OverlapScope,
) -> Vec<(PeeringConnectionId, Refusal)> {
    let mut refusals = Vec::new();
    let standing = world.open_peerings_of(vpc.id);
    for peering in standing.filter(|peering| stands_at(peering, vpc.id)) {
        let side = side_at(peering, vpc.id);
        let overlapped = |block: &CidrBlock| block.overlaps(cidr);
        let peer_blocks = blocks_of(world, peering.end(side.other()));
        refusals.extend(peer_blocks.into_iter().find(overlapped).map(|block| {
            let (requester, accepter) = match side {
                Side::Requester => (cidr, block),
                Side::Accepter => (block, cidr),
            };
            let refusal = Refusal::EndsOverlap {
                requester,
                accepter,
            };
            (peering.id, refusal)
        }));
        // A pending request takes nothing at its accepter's, whose peerings are not looked at.
        if matches!(peering.state, PeeringState::Active { .. }) {
            let beyond = overlaps_beyond(world, peering, side, &[cidr], scope).into_iter();
            refusals.extend(beyond.map(|refusal| (peering.id, refusal)));
        }
    }
    refusals
}

/// The blocks of one end's VPC, the one that it was made with first.
pub fn blocks_of(world: &dyn World, end: &PeeringEnd) -> Vec<CidrBlock> {
    match world.vpc(end.vpc) {
        Some(vpc) => vpc.blocks().collect(),
        // The VPC of a peering that has ended may be gone.
        None => vec![end.cidr],
    }
}

fn side_at(peering: &PeeringConnection, vpc: VpcId) -> Side {
    peering
        .side_of(vpc)
        .expect("the index holds peerings of the VPC")
}

fn first_overlap(ours: &[CidrBlock], theirs: &[CidrBlock]) -> Option<(CidrBlock, CidrBlock)> {
    let pairs = ours
        .iter()
        .flat_map(|our| theirs.iter().map(move |their| (*our, *their)));
    pairs.into_iter().find(|(our, their)| our.overlaps(*their))
}

fn is_in_scope(peering: &PeeringConnection, scope: OverlapScope) -> bool {
    match scope {
        OverlapScope::CrossRegion => peering.is_cross_region(),
        OverlapScope::AllPeerings => true,
    }
}

fn check_ends(world: &dyn World, peering: &PeeringConnection) -> Result<(), Refusal> {
    let requester = blocks_of(world, &peering.requester);
    let accepter = blocks_of(world, &peering.accepter);
    match first_overlap(&requester, &accepter) {
        Some((requester, accepter)) => Err(Refusal::EndsOverlap {
            requester,
            accepter,
        }),
        None => Ok(()),
    }
}

/// The other peerings that stand at a VPC and lead to something that overlaps one of these blocks,
/// which the peering leads to.
fn overlaps_at<'a>(
    world: &'a dyn World,
    peering: &'a PeeringConnection,
    vpc: VpcId,
    blocks: &'a [CidrBlock],
    scope: OverlapScope,
) -> impl Iterator<Item = (&'a PeeringConnection, CidrBlock, CidrBlock)> {
    let is_counted = move |other: &&PeeringConnection| {
        other.id != peering.id
            && stands_at(other, vpc)
            && is_in_scope(peering, scope)
            && is_in_scope(other, scope)
    };
    let others = world.open_peerings_of(vpc).filter(is_counted);
    others.filter_map(move |other| {
        let peer = other.end(side_at(other, vpc).other());
        let (cidr, other_cidr) = first_overlap(blocks, &blocks_of(world, peer))?;
        Some((other, cidr, other_cidr))
    })
}

/// What would overlap at the other side of a peering if it led there to these blocks of ours.
fn overlaps_beyond(
    world: &dyn World,
    peering: &PeeringConnection,
    side: Side,
    blocks: &[CidrBlock],
    scope: OverlapScope,
) -> Vec<Refusal> {
    let owner = peering.end(side).owner;
    let vpc = peering.end(side.other()).vpc;
    let refusal = |(other, cidr, other_cidr): (&PeeringConnection, CidrBlock, CidrBlock)| {
        if other.is_visible_to(owner) {
            Refusal::PeersOverlap {
                vpc,
                cidr,
                other_cidr,
                existing: other.id,
            }
        } else {
            Refusal::OverlapBeyond {
                vpc,
                cidr,
                through: peering.id,
            }
        }
    };
    overlaps_at(world, peering, vpc, blocks, scope)
        .map(refusal)
        .collect()
}

fn check_pair(world: &dyn World, peering: &PeeringConnection) -> Result<(), Refusal> {
    let mut open = world.open_peerings_of(peering.requester.vpc);
    let existing =
        open.find(|other| other.id != peering.id && other.side_of(peering.accepter.vpc).is_some());
    existing.map_or(Ok(()), |other| {
        Err(Refusal::PairExists { existing: other.id })
    })
}

fn check_side(
    world: &dyn World,
    peering: &PeeringConnection,
    side: Side,
    scope: OverlapScope,
) -> Result<(), Refusal> {
    let vpc = peering.end(side).vpc;
    let owner = peering.end(side).owner;
    let blocks = blocks_of(world, peering.end(side.other()));
    if let Some((other, cidr, other_cidr)) = overlaps_at(world, peering, vpc, &blocks, scope).next()
    {
        return Err(Refusal::PeersOverlap {
            vpc,
            cidr,
            other_cidr,
            existing: other.id,
        });
    }
    let standing = world
        .open_peerings_of(vpc)
        .filter(|other| other.id != peering.id && stands_at(other, vpc));
    let limit = world.quotas_of(owner).peerings_per_vpc;
    if standing.count() >= limit as usize {
        return Err(Refusal::Limit { vpc, limit });
    }
    Ok(())
}

fn check_inbox(world: &dyn World, peering: &PeeringConnection) -> Result<(), Refusal> {
    let vpc = peering.accepter.vpc;
    let waiting = world
        .open_peerings_of(vpc)
        .filter(|other| other.id != peering.id && waits_at(world, other, vpc));
    if waiting.count() >= world.quotas_of(peering.accepter.owner).inbox_per_vpc as usize {
        return Err(Refusal::InboxFull { vpc });
    }
    Ok(())
}
