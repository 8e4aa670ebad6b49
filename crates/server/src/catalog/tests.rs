//! However a catalog came about, it is the same.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use model::testing;
use model::{Bandwidth, PeeringState, PublicKey, SealedSecret, Side, TaskKind, TaskState, Zone};
use proptest::prelude::*;
use store::Entry;
use store::record::{LegacyIndex, NumberFloor, Tally, encode};

use super::*;

const NOW: UnixMillis = UnixMillis(1_700_000_000_000);

/// A record of some kind under one of few ids, with content that varies.
fn record(kind: u8, id: u8, content: u8) -> Record {
    let region = Region::ALL[usize::from(content % 3)];
    let owner = Uin(u64::from(content % 4) + 1);
    let time = UnixMillis(NOW.0 + i64::from(content / 2));
    let vpc = |number: u8, owner: u64| {
        testing::vpc(
            number.into(),
            Region::ALL[usize::from(number % 3)],
            owner,
            "10.1.0.0/16",
        )
    };
    match kind {
        0 => Record::Account(Account {
            uin: Uin(id.into()),
            app_id: AppId(content.into()),
            name: "test".to_owned(),
            quotas: Quotas {
                vpcs_per_region: content.into(),
                ..Quotas::default()
            },
            created_at: time,
        }),
        1 => Record::AccessKey(AccessKey {
            secret_id: format!("AKID{id}"),
            owner,
            principal: model::Principal::Account,
            access: model::Access::Full,
            sealed_secret: SealedSecret(vec![content]),
            status: model::KeyStatus::Enabled,
            ends_at: None,
            created_at: time,
        }),
        2 => Record::Vpc(Vpc {
            owner,
            epoch: content.into(),
            ..vpc(id, 1)
        }),
        3 => Record::Subnet(Subnet {
            id: SubnetId::from_entropy(id.into()),
            legacy_id: LegacySubnetId {
                region,
                number: id.into(),
            },
            vpc: vpc(content % 3, 1).id,
            name: model::Name::new("test").unwrap(),
            cidr: "10.1.1.0/24".parse().unwrap(),
            zone: Zone(100_001),
            tags: model::Tags::default(),
            route_table: RouteTableId::from_entropy(u64::from(content % 3)),
            created_at: time,
        }),
        4 => Record::RouteTable(RouteTable {
            id: RouteTableId::from_entropy(id.into()),
            legacy_id: LegacyRouteTableId {
                region,
                number: id.into(),
            },
            vpc: vpc(content % 3, 1).id,
            name: model::Name::new("test").unwrap(),
            kind: RouteTableKind::Default,
            tags: model::Tags::default(),
            routes: vec![],
            created_at: time,
        }),
        5 => Record::Peering(peering(id, content, time)),
        6 => Record::Task(Task {
            id: TaskId(u64::from(id) + 1),
            owner,
            reply: model::command::Reply::Task,
            kind: TaskKind::Modify {
                previous: Bandwidth::from_mbps(content.into()),
            },
            peering: PeeringConnectionId::from_entropy(id.into()),
            state: match content % 3 {
                0 => TaskState::Running,
                1 => TaskState::Succeeded { at: time },
                _ => TaskState::Failed {
                    at: time,
                    message: "no".to_owned(),
                },
            },
            created_at: NOW,
            deadline: time,
        }),
        7 => Record::Gateway(Gateway {
            id: GatewayId::from_entropy(id.into()),
            region: Region::ALL[usize::from(id)],
            identity: [id; 32],
            tunnel_public_key: PublicKey([content; 32]),
            endpoint: None,
            overlay_address: Ipv4Addr::new(100, 64, 0, id),
            joined_at: time,
        }),
        8 => Record::JoinToken(JoinToken {
            secret_hash: [id; 32],
            region,
            expires_at: time,
        }),
        9 => Record::Tombstone(Tombstone {
            peering: PeeringConnectionId::from_entropy(id.into()),
            owner,
            vni: Vni::try_from(u32::from(content) + 1).unwrap(),
            awaiting: vec![GatewayId::from_entropy(content.into())],
            deleted_at: time,
        }),
        10 => Record::Vni(VniReservation {
            vni: Vni::try_from(u32::from(id) + 1).unwrap(),
            peering: PeeringConnectionId::from_entropy(content.into()),
        }),
        11 => {
            let vpc = vpc(id, 1);
            Record::Legacy(LegacyIndex::Vpc(vpc.legacy_id, vpc.id))
        }
        12 => Record::NumberFloor(NumberFloor {
            region: Region::ALL[usize::from(id % 3)],
            vpc: content.into(),
            subnet: 0,
            route_table: id.into(),
        }),
        _ => Record::Tally(Tally {
            owner: Uin(id.into()),
            region: Region::ALL[0],
            vpcs: content.into(),
        }),
    }
}

fn peering(id: u8, content: u8, time: UnixMillis) -> PeeringConnection {
    let end = |number: u8, owner: u64| {
        testing::vpc(
            number.into(),
            Region::ALL[usize::from(number % 3)],
            owner,
            &format!("10.{number}.0.0/16"),
        )
    };
    let (from, to) = (
        end(content % 3, 1),
        end(content % 4 + 3, u64::from(content % 2) + 1),
    );
    let since = time;
    let state = match content % 6 {
        0 => PeeringState::Pending { expires_at: time },
        1 => PeeringState::Active { since },
        2 => PeeringState::Expired { since },
        3 => PeeringState::Rejected { since },
        4 => PeeringState::Deleted {
            by: Side::Requester,
            since,
        },
        _ => PeeringState::Failed {
            since,
            reason: "no".to_owned(),
        },
    };
    PeeringConnection {
        state,
        ..testing::peering(id.into(), &from, &to, time)
    }
}

#[derive(Debug, Clone)]
enum Step {
    Put(u8, u8, u8),
    Delete(u8, u8),
}

fn step() -> impl Strategy<Value = Step> {
    let kinds = 0..13u8;
    prop_oneof![
        3 => (kinds.clone(), 0..4u8, any::<u8>()).prop_map(|(kind, id, content)| Step::Put(kind, id, content)),
        1 => (kinds, 0..4u8).prop_map(|(kind, id)| Step::Delete(kind, id)),
    ]
}

/// The change and what it does to the stored entries.
fn change(step: &Step, revision: Revision, entries: &mut BTreeMap<String, Entry>) -> Change {
    let write = match step {
        Step::Put(kind, id, content) => {
            let (key, value) = encode(&record(*kind, *id, *content));
            let (key, entry) = (
                key.to_string(),
                Entry {
                    value: value.clone(),
                    revision,
                },
            );
            entries.insert(key.clone(), entry);
            Write::Put { key, value }
        }
        Step::Delete(kind, id) => {
            let key = record(*kind, *id, 0).key().to_string();
            entries.remove(&key);
            Write::Delete { key }
        }
    };
    Change {
        revision,
        writes: vec![write],
    }
}

proptest! {
    #[test]
    fn a_catalog_moved_by_changes_equals_one_built_from_the_snapshot(
        steps in prop::collection::vec(step(), 1..80),
    ) {
        let mut catalog = Catalog::default();
        let mut snapshot = Snapshot::default();
        for step in &steps {
            snapshot.revision = snapshot.revision.next();
            let earlier = catalog.clone();
            let unchanged = earlier.clone();
            let change = change(step, snapshot.revision, &mut snapshot.entries);
            catalog.apply(&change).unwrap();
            // Readers that hold an earlier revision do not see it move.
            prop_assert_eq!(&earlier, &unchanged);
            prop_assert_eq!(&catalog, &Catalog::from_snapshot(&snapshot).unwrap());
        }
    }

    #[test]
    fn the_indexes_answer_what_a_search_through_everything_finds(
        steps in prop::collection::vec(step(), 1..80),
    ) {
        let mut catalog = Catalog::default();
        let mut snapshot = Snapshot::default();
        for step in &steps {
            snapshot.revision = snapshot.revision.next();
            catalog.apply(&change(step, snapshot.revision, &mut snapshot.entries)).unwrap();
        }
        check_indexes(&catalog)?;
    }
}

fn check_indexes(catalog: &Catalog) -> Result<(), TestCaseError> {
    for number in 0..8u32 {
        let id = VpcId::from_entropy(number.into());
        let found: Vec<_> = catalog.peerings_of(id).collect();
        let searched: Vec<_> = catalog
            .peerings()
            .filter(|p| p.side_of(id).is_some())
            .collect();
        prop_assert_eq!(found, searched);
        let found: Vec<_> = catalog.open_peerings_of(id).collect();
        let is_open = |p: &&PeeringConnection| {
            matches!(
                p.state,
                PeeringState::Pending { .. } | PeeringState::Active { .. }
            )
        };
        let searched: Vec<_> = catalog.peerings_of(id).filter(is_open).collect();
        prop_assert_eq!(found, searched);
    }
    for owner in (1..5).map(Uin) {
        for region in &Region::ALL[..3] {
            let (total, visible) = catalog.visible_peerings(owner, *region);
            let found: Vec<_> = visible
                .map(|peering| (peering.created_at, peering.id))
                .collect();
            let mut searched: Vec<_> = catalog
                .peerings()
                .filter(|p| p.is_visible_to(owner))
                .filter(|p| {
                    [p.requester, p.accepter]
                        .iter()
                        .any(|end| end.owner == owner && end.region() == *region)
                })
                .map(|p| (p.created_at, p.id))
                .collect();
            searched.sort_unstable();
            prop_assert_eq!(total, searched.len());
            prop_assert_eq!(found, searched);
            let found = catalog.vpcs_of(owner, *region).count();
            let searched = catalog
                .vpcs()
                .filter(|v| v.owner == owner && v.region() == *region);
            prop_assert_eq!(found, searched.count());
        }
    }
    let next = catalog
        .peerings()
        .filter_map(|peering| match peering.state {
            PeeringState::Pending { expires_at } => Some(expires_at),
            _ => None,
        });
    prop_assert_eq!(catalog.next_expiry(), next.min());
    prop_assert!(catalog.running_tasks().all(Task::is_running));
    let running = catalog
        .tasks
        .values()
        .filter(|task| task.is_running())
        .count();
    prop_assert_eq!(catalog.running_tasks().count(), running);
    prop_assert_eq!(
        catalog.ended_tasks().count(),
        catalog.tasks.size() - running
    );
    for gateway in catalog.gateways() {
        prop_assert_eq!(
            catalog.gateway_by_identity(&gateway.identity),
            Some(gateway)
        );
        prop_assert_eq!(catalog.gateway_of(gateway.region), Some(gateway));
    }
    Ok(())
}

#[test]
fn what_is_no_record_is_refused() {
    let write = |key: &str, value: &'static str| Change {
        revision: Revision(1),
        writes: vec![Write::Put {
            key: key.to_owned(),
            value: value.as_bytes().into(),
        }],
    };
    for (key, value) in [
        ("vpc/none", "{}"),
        ("account/1", "{}"),
        ("account/1", r#"{"v":99}"#),
    ] {
        assert!(
            Catalog::default().apply(&write(key, value)).is_err(),
            "{key} {value}"
        );
    }
}
