//! Assistant CIDR blocks of VPCs.
//!
//! A new block counts at every VPC that leads to the extended one, so a decision that adds one writes
//! the epochs of the VPC and of those where a peering with it stands. Two VPCs that a third one leads
//! to meet there, and so do a block and a peering. A block that goes only gives back: the VPC's own
//! epoch keeps subnets out of it.

use std::collections::BTreeSet;

use model::admission::{OverlapScope, stands_at};
use model::assistant::{Conflict, Extension};
use model::command::AssistantCidrModify;
use model::vpc::is_vpc_cidr;
use model::{DomainError, Outcome, Uin, Vpc, VpcId, World};
use store::record::Key;

use super::Core;
use super::commit::Draft;
use super::list::assistant_views;
use super::vpc::vpc_of;
use crate::catalog::Catalog;
use crate::error::UseCaseError;

impl Core {
    /// Adds assistant blocks to a VPC, takes some away, or both; all or none.
    pub(super) fn assistant_cidr_modify(
        &self,
        draft: &mut Draft<'_>,
        caller: Uin,
        ask: &AssistantCidrModify,
    ) -> Result<Outcome, UseCaseError> {
        let catalog = draft.catalog();
        let (vpc, extension) = extension(catalog, caller, ask)?;
        let conflicts = extension.conflicts(catalog, vpc, self.rules.overlap);
        if let Some(conflict) = conflicts.into_iter().next() {
            return Err(DomainError::AssistantCidrConflict(conflict).into());
        }
        if !extension.added.is_empty() {
            draft.read(&Key::Account(caller));
            for peer in leading_to(catalog, vpc) {
                draft.next_epoch(peer);
            }
        }
        let vpc = Vpc {
            assistant_cidrs: extension.result(),
            ..vpc.next_epoch()
        };
        draft.put(vpc.clone());
        // A new block has subnets when it takes the place of theirs.
        let added = assistant_views(catalog, &self.hosts, &vpc, &extension.added);
        Ok(Outcome::AssistantCidrsChanged(added))
    }
}

/// Tells everything that speaks against a change.
pub(super) fn check(
    catalog: &Catalog,
    caller: Uin,
    ask: &AssistantCidrModify,
    scope: OverlapScope,
) -> Result<Outcome, UseCaseError> {
    let (vpc, extension) = extension(catalog, caller, ask)?;
    let conflicts: Vec<Conflict> = extension.conflicts(catalog, vpc, scope);
    Ok(Outcome::AssistantCidrConflicts {
        vpc: vpc.id,
        conflicts,
    })
}

/// The change that is asked for, as far as it can be judged without looking at anything else.
fn extension<'a>(
    catalog: &'a Catalog,
    caller: Uin,
    ask: &AssistantCidrModify,
) -> Result<(&'a Vpc, Extension), DomainError> {
    let vpc = vpc_of(catalog, caller, ask.target.region, ask.target.vpc)?;
    let mut named = BTreeSet::new();
    for cidr in ask.remove.iter().chain(&ask.add) {
        if !named.insert(cidr) {
            return Err(DomainError::AssistantCidrRepeated(cidr.to_string()));
        }
    }
    if let Some(cidr) = ask.add.iter().find(|cidr| !is_vpc_cidr(**cidr)) {
        return Err(DomainError::AssistantCidr(format!(
            "{cidr} is not inside 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16 with a mask from /12 \
             to /28"
        )));
    }
    let unknown = ask
        .remove
        .iter()
        .find(|cidr| !vpc.assistant_cidrs.contains(cidr));
    if let Some(cidr) = unknown {
        return Err(DomainError::AssistantCidrNotFound(cidr.to_string()));
    }
    let mut kept = vpc.assistant_cidrs.clone();
    kept.retain(|cidr| !ask.remove.contains(cidr));
    let limit = catalog.quotas_of(caller).assistant_cidrs_per_vpc;
    if !ask.add.is_empty() && kept.len() + ask.add.len() > limit as usize {
        return Err(DomainError::AssistantCidrLimit { limit });
    }
    let added = ask.add.clone();
    Ok((vpc, Extension { kept, added }))
}

/// The VPCs where a peering with this one stands.
fn leading_to(catalog: &Catalog, vpc: &Vpc) -> BTreeSet<VpcId> {
    let others = catalog.open_peerings_of(vpc.id).map(|peering| {
        let other = match peering.requester.vpc == vpc.id {
            true => peering.accepter.vpc,
            false => peering.requester.vpc,
        };
        (peering, other)
    });
    let leading = others.filter(|(peering, other)| stands_at(peering, *other));
    leading.map(|(_, other)| other).collect()
}
