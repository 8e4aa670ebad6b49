//! The blocks of VPCs.

use model::CidrBlock;
use model::assistant::{Conflict, Obstacle};
use model::command::AssistantCidrModify;

use super::*;

impl Reference {
    pub(super) fn blocks(&self, vpc: VpcId) -> Vec<CidrBlock> {
        let vpc = &self.vpcs[&vpc];
        let mut blocks = vec![vpc.cidr];
        blocks.extend(&vpc.assistant_cidrs);
        blocks
    }

    /// Which of some blocks meet which of a VPC's.
    pub(super) fn meetings(
        &self,
        blocks: &[CidrBlock],
        vpc: VpcId,
    ) -> std::vec::IntoIter<(CidrBlock, CidrBlock)> {
        let mut met = Vec::new();
        for block in blocks {
            for other in self.blocks(vpc) {
                if meet(*block, other) {
                    met.push((*block, other));
                }
            }
        }
        met.into_iter()
    }

    pub(super) fn no_ends(&self, from: VpcId, to: VpcId) -> Vec<Refusal> {
        let met = self.meetings(&self.blocks(from), to);
        met.map(|(requester, accepter)| Refusal::EndsOverlap {
            requester,
            accepter,
        })
        .collect()
    }

    /// Why `vpc` cannot lead to these blocks of `peer` through a peering, in words for the owner of
    /// `peer`.
    pub(super) fn beyond(
        &self,
        vpc: VpcId,
        peer: VpcId,
        through: PeeringConnectionId,
        blocks: &[CidrBlock],
    ) -> Vec<Refusal> {
        let mut refusals = Vec::new();
        for (id, life) in &self.peerings {
            let other = match (life.state, life.from == vpc, life.to == vpc) {
                ("active" | "pending", true, _) => life.to,
                ("active", _, true) => life.from,
                _ => continue,
            };
            let crosses = |end| self.region(vpc) != self.region(end);
            if *id == through || !crosses(peer) || !crosses(other) {
                continue;
            }
            let owner = self.owner(peer);
            let knows = self.owner(vpc) == owner || self.owner(other) == owner;
            for (cidr, other_cidr) in self.meetings(blocks, other) {
                refusals.push(if knows {
                    Refusal::PeersOverlap {
                        vpc,
                        cidr,
                        other_cidr,
                        existing: *id,
                    }
                } else {
                    Refusal::OverlapBeyond { vpc, cidr, through }
                });
            }
        }
        refusals
    }

    /// Why no route of a VPC leads there.
    pub(super) fn inside(&self, vpc: VpcId, destination: CidrBlock) -> Vec<DomainError> {
        let mut objections = Vec::new();
        for block in self.blocks(vpc) {
            let (inner, outer) = (range(destination), range(block));
            if outer.0 <= inner.0 && inner.1 <= outer.1 {
                let reason = format!("{destination} lies inside {block} of the VPC");
                objections.push(DomainError::Destination(reason));
            }
        }
        objections
    }

    pub(super) fn against_extension(
        &self,
        caller: Uin,
        ask: &AssistantCidrModify,
    ) -> Vec<DomainError> {
        let VpcRef::Unified(vpc) = ask.target.vpc else {
            panic!("a legacy id")
        };
        assert!(self.owner(vpc) == caller && ask.add.len() + ask.remove.len() == 1);
        let has = &self.vpcs[&vpc].assistant_cidrs;
        if let [gone] = ask.remove[..] {
            let error = DomainError::AssistantCidrNotFound(gone.to_string());
            return (!has.contains(&gone))
                .then_some(error)
                .into_iter()
                .collect();
        }
        let cidr = ask.add[0];
        let mut objections = Vec::new();
        let limit = self.quota(vpc).assistant_cidrs_per_vpc;
        if has.len() >= limit as usize {
            objections.push(DomainError::AssistantCidrLimit { limit });
        }
        let own = self.meetings(&[cidr], vpc).map(|(_, own)| {
            if own == self.vpcs[&vpc].cidr {
                Obstacle::Vpc { vpc, cidr: own }
            } else {
                Obstacle::Assistant { vpc, cidr: own }
            }
        });
        let mut obstacles: Vec<Obstacle> = own.collect();
        let inside = self.routes.iter().filter(|(of, to, _)| {
            let (inner, outer) = (range(*to), range(cidr));
            *of == vpc && outer.0 <= inner.0 && inner.1 <= outer.1
        });
        for (_, destination, _) in inside {
            let of_vpc = self.tables.iter().filter(|(_, of)| **of == vpc);
            obstacles.extend(of_vpc.map(|(table, _)| Obstacle::Route {
                route_table: *table,
                destination: *destination,
            }));
        }
        for (id, life) in &self.peerings {
            let (peer, is_requester) = match (life.state, life.from == vpc, life.to == vpc) {
                ("active" | "pending", true, _) => (life.to, true),
                ("active", _, true) => (life.from, false),
                _ => continue,
            };
            let ends = self.meetings(&[cidr], peer).map(|(cidr, other)| {
                let (requester, accepter) = match is_requester {
                    true => (cidr, other),
                    false => (other, cidr),
                };
                Refusal::EndsOverlap {
                    requester,
                    accepter,
                }
            });
            let mut refusals: Vec<Refusal> = ends.collect();
            if life.state == "active" {
                refusals.extend(self.beyond(peer, vpc, *id, &[cidr]));
            }
            obstacles.extend(refusals.into_iter().map(|refusal| Obstacle::Peering {
                peering: *id,
                refusal,
            }));
        }
        objections.extend(
            obstacles
                .into_iter()
                .map(|with| DomainError::AssistantCidrConflict(Conflict { cidr, with })),
        );
        objections
    }
}
