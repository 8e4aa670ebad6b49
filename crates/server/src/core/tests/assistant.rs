//! Assistant blocks: what VPCs are extended by, and what that means to subnets, routes and peerings.

use model::admission::{OverlapScope, Refusal};
use model::assistant::{Conflict, Obstacle};
use model::command::{AssistantCidrModify, AssistantCidrQuery, Direction, Paging, VpcTarget};
use model::outcome::AssistantCidrView;
use model::{CidrBlock, Quotas, World};

use super::*;

fn blocks(texts: &[&str]) -> Vec<CidrBlock> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

/// The command that adds and removes blocks of a VPC.
pub(super) fn modify(vpc: &Vpc, add: &[&str], remove: &[&str]) -> Command {
    Command::AssistantCidrModify(ask(vpc, add, remove))
}

fn ask(vpc: &Vpc, add: &[&str], remove: &[&str]) -> AssistantCidrModify {
    AssistantCidrModify {
        target: VpcTarget {
            region: vpc.region(),
            vpc: vpc.id.into(),
        },
        add: blocks(add),
        remove: blocks(remove),
    }
}

impl Bed {
    async fn extend(&self, vpc: &Vpc, add: &[&str]) -> Result<Outcome, UseCaseError> {
        self.execute(vpc.owner.0, modify(vpc, add, &[])).await
    }

    async fn shrink(&self, vpc: &Vpc, remove: &[&str]) -> Result<Outcome, UseCaseError> {
        self.execute(vpc.owner.0, modify(vpc, &[], remove)).await
    }

    fn blocks_of(&self, vpc: &Vpc) -> Vec<CidrBlock> {
        self.core.catalog().vpc(vpc.id).unwrap().blocks().collect()
    }

    async fn conflicts(&self, vpc: &Vpc, add: &[&str], remove: &[&str]) -> Vec<Conflict> {
        let command = Command::AssistantCidrCheck(ask(vpc, add, remove));
        match self.execute(vpc.owner.0, command).await.unwrap() {
            Outcome::AssistantCidrConflicts { vpc: of, conflicts } => {
                assert_eq!(of, vpc.id);
                conflicts
            }
            other => panic!("{other:?}"),
        }
    }

    /// What a refusal says is what a check tells before; nothing is changed.
    async fn refused(&self, vpc: &Vpc, add: &[&str], remove: &[&str]) -> Obstacle {
        let before = self.blocks_of(vpc);
        let told = self.conflicts(vpc, add, remove).await;
        let refusal = domain(self.execute(vpc.owner.0, modify(vpc, add, remove)).await);
        assert_eq!(refusal, DomainError::AssistantCidrConflict(told[0].clone()));
        assert_eq!(self.blocks_of(vpc), before);
        told[0].with.clone()
    }
}

#[tokio::test]
async fn a_vpc_gets_blocks_and_loses_them() {
    let bed = Bed::new().await;
    let vpc = bed.vpc(1, GZ, "10.1.0.0/16").await;
    let added = bed.extend(&vpc, &["172.16.0.0/16", "10.2.0.0/24"]).await;
    let view = |cidr: &str| AssistantCidrView {
        vpc: vpc.id,
        cidr: cidr.parse().unwrap(),
        subnets: Vec::new(),
    };
    let expected = vec![view("172.16.0.0/16"), view("10.2.0.0/24")];
    assert_eq!(added.unwrap(), Outcome::AssistantCidrsChanged(expected));
    let now = blocks(&["10.1.0.0/16", "172.16.0.0/16", "10.2.0.0/24"]);
    assert_eq!(bed.blocks_of(&vpc), now);
    let swap = modify(&vpc, &["10.3.0.0/24"], &["172.16.0.0/16"]);
    bed.execute(1, swap).await.unwrap();
    let now = blocks(&["10.1.0.0/16", "10.2.0.0/24", "10.3.0.0/24"]);
    assert_eq!(bed.blocks_of(&vpc), now);
    bed.shrink(&vpc, &["10.2.0.0/24", "10.3.0.0/24"])
        .await
        .unwrap();
    assert_eq!(bed.blocks_of(&vpc), blocks(&["10.1.0.0/16"]));
}

#[tokio::test]
async fn what_cannot_be_a_block_is_refused() {
    let bed = Bed::new().await;
    let vpc = bed.vpc(1, GZ, "10.1.0.0/16").await;
    bed.extend(&vpc, &["10.2.0.0/24"]).await.unwrap();
    let refuse = async |add: &[&str], remove: &[&str]| {
        domain(bed.execute(1, modify(&vpc, add, remove)).await)
    };
    for cidr in ["8.8.0.0/16", "10.4.0.0/29", "10.0.0.0/11"] {
        let error = refuse(&[cidr], &[]).await;
        assert!(matches!(error, DomainError::AssistantCidr(_)), "{error:?}");
    }
    let repeated = DomainError::AssistantCidrRepeated("10.5.0.0/24".to_owned());
    assert_eq!(refuse(&["10.5.0.0/24", "10.5.0.0/24"], &[]).await, repeated);
    let unknown = DomainError::AssistantCidrNotFound("10.6.0.0/24".to_owned());
    assert_eq!(refuse(&[], &["10.6.0.0/24"]).await, unknown);
    // The block that the VPC was made with does not go.
    let main = DomainError::AssistantCidrNotFound("10.1.0.0/16".to_owned());
    assert_eq!(refuse(&[], &["10.1.0.0/16"]).await, main);
    let stranger = domain(bed.execute(2, modify(&vpc, &["10.7.0.0/24"], &[])).await);
    assert!(matches!(stranger, DomainError::VpcNotFound { .. }));
    let limit = Quotas::default().assistant_cidrs_per_vpc;
    let many: Vec<String> = (10..10 + limit).map(|n| format!("10.{n}.0.0/24")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let full = DomainError::AssistantCidrLimit { limit };
    assert_eq!(refuse(&many, &[]).await, full);
    // What goes makes room.
    bed.execute(1, modify(&vpc, &many, &["10.2.0.0/24"]))
        .await
        .unwrap();
}

#[tokio::test]
async fn blocks_of_a_vpc_do_not_overlap() {
    let bed = Bed::new().await;
    let vpc = bed.vpc(1, GZ, "10.1.0.0/16").await;
    bed.extend(&vpc, &["10.2.0.0/24"]).await.unwrap();
    let own = |cidr: &str| Obstacle::Vpc {
        vpc: vpc.id,
        cidr: cidr.parse().unwrap(),
    };
    let assistant = |cidr: &str| Obstacle::Assistant {
        vpc: vpc.id,
        cidr: cidr.parse().unwrap(),
    };
    for (add, obstacle) in [
        (&["10.1.4.0/24"][..], own("10.1.0.0/16")),
        (&["10.0.0.0/14"], own("10.1.0.0/16")),
        (&["10.2.0.0/28"], assistant("10.2.0.0/24")),
        (&["10.3.0.0/24", "10.3.0.0/25"], assistant("10.3.0.0/24")),
    ] {
        assert_eq!(bed.refused(&vpc, add, &[]).await, obstacle);
    }
    // A larger one may take the place of a smaller one.
    let grow = modify(&vpc, &["10.2.0.0/16"], &["10.2.0.0/24"]);
    bed.execute(1, grow).await.unwrap();
}

#[tokio::test]
async fn subnets_lie_in_a_block_and_keep_it() {
    let bed = Bed::new().await;
    let vpc = bed.vpc(1, GZ, "10.1.0.0/16").await;
    let refusal = domain(bed.subnet(&vpc, "10.2.0.0/25").await);
    assert!(matches!(refusal, DomainError::SubnetCidr(_)), "{refusal:?}");
    bed.extend(&vpc, &["10.2.0.0/24"]).await.unwrap();
    // Half of it lies outside.
    let refusal = domain(bed.subnet(&vpc, "10.2.0.0/23").await);
    assert!(matches!(refusal, DomainError::SubnetCidr(_)), "{refusal:?}");
    let made = bed.subnet(&vpc, "10.2.0.0/25").await.unwrap();
    let Outcome::SubnetsCreated(made) = made else {
        panic!("{made:?}")
    };
    let subnet = &made[0].subnet;
    let kept = Obstacle::Subnet {
        subnet: subnet.id,
        cidr: subnet.cidr,
    };
    assert_eq!(bed.refused(&vpc, &[], &["10.2.0.0/24"]).await, kept);
    // Not when another block holds it from then on, which is shown with it.
    let swap = modify(&vpc, &["10.2.0.0/16"], &["10.2.0.0/24"]);
    let Outcome::AssistantCidrsChanged(views) = bed.execute(1, swap).await.unwrap() else {
        panic!("another outcome")
    };
    assert_eq!(views[0].subnets[0].subnet.id, subnet.id);
    let delete = Command::SubnetDelete(model::command::SubnetTarget {
        region: GZ,
        vpc: None,
        subnet: subnet.id.into(),
    });
    bed.execute(1, delete).await.unwrap();
    bed.shrink(&vpc, &["10.2.0.0/16"]).await.unwrap();
}

#[tokio::test]
async fn routes_lead_out_of_every_block() {
    let bed = Bed::without_dataplane().await;
    let (gz, sh) = (
        bed.vpc(1, GZ, "10.1.0.0/16").await,
        bed.vpc(1, SH, "10.2.0.0/16").await,
    );
    bed.extend(&gz, &["10.8.0.0/16"]).await.unwrap();
    let hop = bed.connected(&gz, &sh).await.id.to_string();
    let refusal = domain(bed.route(&gz, "10.8.1.0/24", &hop).await);
    assert!(
        matches!(refusal, DomainError::Destination(_)),
        "{refusal:?}"
    );
    bed.route(&gz, "10.9.1.0/24", &hop).await.unwrap();
    // A wider one is no obstacle: what is inside the VPC never follows it.
    bed.route(&gz, "10.0.0.0/8", &hop).await.unwrap();
    let in_the_way = Obstacle::Route {
        route_table: bed.table(gz.id).id,
        destination: "10.9.1.0/24".parse().unwrap(),
    };
    assert_eq!(bed.refused(&gz, &["10.9.0.0/16"], &[]).await, in_the_way);
    bed.extend(&gz, &["10.9.0.0/24"]).await.unwrap();
}

#[tokio::test]
async fn a_block_overlaps_neither_a_peer_nor_a_peer_of_a_peer() {
    let bed = Bed::without_dataplane().await;
    let gz = bed.vpc(1, GZ, "10.1.0.0/16").await;
    let sh = bed.vpc(2, SH, "10.2.0.0/16").await;
    let bj = bed.vpc(3, BJ, "10.3.0.0/16").await;
    let peering = bed.connected(&gz, &sh).await;
    let beyond = bed.connected(&bj, &sh).await;
    bed.extend(&bj, &["10.9.0.0/16"]).await.unwrap();

    let peer = Obstacle::Peering {
        peering: peering.id,
        refusal: Refusal::EndsOverlap {
            requester: "10.2.4.0/24".parse().unwrap(),
            accepter: "10.2.0.0/16".parse().unwrap(),
        },
    };
    assert_eq!(bed.refused(&gz, &["10.2.4.0/24"], &[]).await, peer);
    // Account 1 learns that account 2 reaches it, not through what.
    let hidden = Obstacle::Peering {
        peering: peering.id,
        refusal: Refusal::OverlapBeyond {
            vpc: sh.id,
            cidr: "10.9.7.0/24".parse().unwrap(),
            through: peering.id,
        },
    };
    assert_eq!(bed.refused(&gz, &["10.9.7.0/24"], &[]).await, hidden);
    // And the other way round: what account 2 has is told to account 2.
    let other = bed.vpc(2, BJ, "10.4.0.0/16").await;
    bed.connected(&other, &sh).await;
    let told = Obstacle::Peering {
        peering: bed
            .core
            .catalog()
            .open_peerings_of(other.id)
            .next()
            .unwrap()
            .id,
        refusal: Refusal::PeersOverlap {
            vpc: sh.id,
            cidr: "10.9.8.0/24".parse().unwrap(),
            other_cidr: "10.9.0.0/16".parse().unwrap(),
            existing: beyond.id,
        },
    };
    assert_eq!(bed.refused(&other, &["10.9.8.0/24"], &[]).await, told);
    bed.delete(&beyond).await.unwrap();
    bed.extend(&gz, &["10.9.7.0/24"]).await.unwrap();
    invariants::check(&bed.core.catalog());
}

#[tokio::test]
async fn the_blocks_that_vpcs_have_count_when_they_are_peered() {
    let bed = Bed::without_dataplane().await;
    let gz = bed.vpc(1, GZ, "10.1.0.0/16").await;
    let sh = bed.vpc(1, SH, "10.2.0.0/16").await;
    let bj = bed.vpc(1, BJ, "10.3.0.0/16").await;
    bed.extend(&gz, &["10.2.9.0/24"]).await.unwrap();
    let refusal = domain(bed.request(&gz, &sh).await);
    let ends = Refusal::EndsOverlap {
        requester: "10.2.9.0/24".parse().unwrap(),
        accepter: "10.2.0.0/16".parse().unwrap(),
    };
    assert_eq!(refusal, DomainError::Admission(ends));
    bed.request(&gz, &bj).await.unwrap();
    // gz and sh would both be reached from bj.
    let refusal = domain(bed.request(&bj, &sh).await);
    assert!(
        matches!(&refusal, DomainError::Admission(Refusal::PeersOverlap { other_cidr, .. })
            if other_cidr.to_string() == "10.2.9.0/24"),
        "{refusal:?}"
    );
    bed.shrink(&gz, &["10.2.9.0/24"]).await.unwrap();
    bed.request(&bj, &sh).await.unwrap();
}

#[tokio::test]
async fn inside_one_region_peers_may_overlap_unless_configured() {
    for scope in [OverlapScope::CrossRegion, OverlapScope::AllPeerings] {
        let bed = Bed::with(Rules {
            overlap: scope,
            dataplane: Dataplane::None,
            ..Rules::default()
        })
        .await;
        let hub = bed.vpc(1, GZ, "10.1.0.0/16").await;
        let one = bed.vpc(1, GZ, "10.2.0.0/16").await;
        let other = bed.vpc(1, GZ, "10.3.0.0/16").await;
        bed.connected(&hub, &one).await;
        bed.connected(&hub, &other).await;
        let extended = bed.extend(&one, &["10.3.0.0/24"]).await;
        assert_eq!(extended.is_ok(), scope == OverlapScope::CrossRegion);
    }
}

#[tokio::test]
async fn a_strangers_request_stands_in_nobodys_way() {
    let bed = Bed::without_dataplane().await;
    let gz = bed.vpc(1, GZ, "10.1.0.0/16").await;
    let sh = bed.vpc(2, SH, "10.2.0.0/16").await;
    let peering = bed.request(&gz, &sh).await.unwrap();
    // The requester's own request counts for itself, the accepter is free.
    bed.refused(&gz, &["10.2.4.0/24"], &[]).await;
    bed.extend(&sh, &["10.1.9.0/24"]).await.unwrap();
    let refusal = domain(bed.accept(&peering).await);
    let ends = Refusal::EndsOverlap {
        requester: "10.1.0.0/16".parse().unwrap(),
        accepter: "10.1.9.0/24".parse().unwrap(),
    };
    assert_eq!(refusal, DomainError::Admission(ends));
    bed.shrink(&sh, &["10.1.9.0/24"]).await.unwrap();
    bed.accept(&peering).await.unwrap();
}

#[tokio::test]
async fn what_the_accepter_extends_by_must_fit_the_requesters_peers_when_it_accepts() {
    let bed = Bed::without_dataplane().await;
    let gz = bed.vpc(1, GZ, "10.1.0.0/16").await;
    let sh = bed.vpc(2, SH, "10.2.0.0/16").await;
    let bj = bed.vpc(3, BJ, "10.3.0.0/16").await;
    bed.connected(&gz, &bj).await;
    let peering = bed.request(&gz, &sh).await.unwrap();
    bed.extend(&sh, &["10.3.4.0/24"]).await.unwrap();
    let refusal = domain(bed.accept(&peering).await);
    let beyond = Refusal::OverlapBeyond {
        vpc: gz.id,
        cidr: "10.3.4.0/24".parse().unwrap(),
        through: peering.id,
    };
    assert_eq!(refusal, DomainError::Admission(beyond));
    assert!(!refusal.to_string().contains(&bj.id.to_string()));
    invariants::check(&bed.core.catalog());
}

#[tokio::test]
async fn assistant_blocks_are_listed_with_their_subnets_and_in_parts() {
    let bed = Bed::new().await;
    let one = bed.vpc(1, GZ, "10.1.0.0/16").await;
    bed.clock.advance(std::time::Duration::from_secs(1));
    let other = bed.vpc(1, GZ, "10.2.0.0/16").await;
    bed.extend(&other, &["10.8.0.0/24"]).await.unwrap();
    bed.extend(&one, &["10.9.0.0/24", "10.7.0.0/24"])
        .await
        .unwrap();
    bed.subnet(&one, "10.7.0.0/28").await.unwrap();
    bed.subnet(&one, "10.1.0.0/28").await.unwrap();
    let list = async |caller, only: Vec<VpcId>, offset, limit| {
        let query = AssistantCidrQuery {
            region: GZ,
            only,
            filters: Vec::new(),
            paging: Paging {
                offset,
                limit,
                direction: Direction::Ascending,
            },
        };
        bed.execute(caller, Command::AssistantCidrList(query)).await
    };
    let Ok(Outcome::AssistantCidrs(all)) = list(1, Vec::new(), 0, 20).await else {
        panic!("no list")
    };
    let shown: Vec<_> = all
        .items
        .iter()
        .map(|view| (view.vpc, view.cidr.to_string(), view.subnets.len()))
        .collect();
    let expected = [
        (one.id, "10.9.0.0/24".to_owned(), 0),
        (one.id, "10.7.0.0/24".to_owned(), 1),
        (other.id, "10.8.0.0/24".to_owned(), 0),
    ];
    assert_eq!((all.total, &shown[..]), (3, &expected[..]));
    let Ok(Outcome::AssistantCidrs(part)) = list(1, vec![one.id], 1, 1).await else {
        panic!("no list")
    };
    assert_eq!((part.total, part.items.len()), (2, 1));
    assert_eq!(part.items[0].cidr.to_string(), "10.7.0.0/24");
    let stranger = domain(list(2, vec![one.id], 0, 20).await);
    assert!(matches!(stranger, DomainError::VpcNotFound { .. }));
    let Ok(Outcome::AssistantCidrs(none)) = list(2, Vec::new(), 0, 20).await else {
        panic!("no list")
    };
    assert_eq!(none.total, 0);
}
