//! Random records for the property tests.

use model::command::Reply;
use model::peering::{ChargeType, QosLevel};
use model::policy::{Condition, ConditionKey, Effect, Statement};
use model::{
    Access, Bandwidth, CidrBlock, Description, GatewayId, KeyStatus, LegacyRouteTableId,
    LegacySubnetId, LegacyVpcId, Name, NextHop, PeeringConnectionId, PeeringEnd, PeeringState,
    Policy, Principal, PublicKey, Quotas, Region, Route, RouteItemId, RouteTableId, RouteTableKind,
    SealedSecret, Side, SubnetId, Tags, TaskId, TaskKind, TaskState, Uin, UnixMillis, Vni, VpcId,
    Zone,
};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;

fn region() -> impl Strategy<Value = Region> {
    select(Region::ALL)
}

fn name() -> impl Strategy<Value = Name> {
    "\\PC{1,60}".prop_filter_map("a name", |text| Name::new(&text).ok())
}

fn cidr() -> impl Strategy<Value = CidrBlock> {
    (any::<u32>(), 0u8..=32).prop_map(|(address, len)| CidrBlock::new(address.into(), len).unwrap())
}

fn millis() -> impl Strategy<Value = UnixMillis> {
    any::<i64>().prop_map(UnixMillis)
}

fn vni() -> impl Strategy<Value = Vni> {
    (1..=Vni::MAX.get()).prop_map(|number| Vni::try_from(number).unwrap())
}

fn bandwidth() -> impl Strategy<Value = Bandwidth> {
    any::<u32>().prop_map(Bandwidth::from_mbps)
}

/// Some tags that come from a number, none for every other one.
fn tags(number: u64) -> Tags {
    let all = [
        ("city", "gz"),
        ("empty", ""),
        ("\u{57ce}", "b\u{fc}ro \"x\""),
    ];
    Tags::new(all.into_iter().take((number % 4) as usize)).unwrap()
}

fn vpc() -> impl Strategy<Value = Vpc> {
    (
        any::<u64>(),
        region(),
        any::<u32>(),
        any::<u64>(),
        name(),
        cidr(),
        millis(),
        any::<u64>(),
    )
        .prop_map(
            |(id, region, number, owner, name, cidr, created_at, epoch)| Vpc {
                id: VpcId::from_entropy(id),
                legacy_id: LegacyVpcId { region, number },
                owner: Uin(owner),
                name,
                cidr,
                // The last /16 of each, unless the VPC's own block is there.
                assistant_cidrs: ["172.31.0.0/16", "192.168.0.0/16"]
                    .iter()
                    .map(|block| block.parse::<CidrBlock>().unwrap())
                    .filter(|block| epoch % 2 == 0 && !block.overlaps(cidr))
                    .collect(),
                tags: tags(epoch),
                created_at,
                epoch,
            },
        )
}

fn state() -> impl Strategy<Value = PeeringState> {
    let side = select(vec![Side::Requester, Side::Accepter]);
    prop_oneof![
        millis().prop_map(|expires_at| PeeringState::Pending { expires_at }),
        millis().prop_map(|since| PeeringState::Active { since }),
        millis().prop_map(|since| PeeringState::Expired { since }),
        millis().prop_map(|since| PeeringState::Rejected { since }),
        (millis(), any::<String>())
            .prop_map(|(since, reason)| PeeringState::Failed { since, reason }),
        millis().prop_map(|since| PeeringState::Isolated { since }),
        (side, millis()).prop_map(|(by, since)| PeeringState::Deleted { by, since }),
    ]
}

fn peering() -> impl Strategy<Value = PeeringConnection> {
    let charge = select(vec![
        ChargeType::PostpaidByDayMax,
        ChargeType::PostpaidByMonth95,
    ]);
    let qos = select(vec![QosLevel::Platinum, QosLevel::Gold, QosLevel::Silver]);
    let ends = (vpc(), vpc()).prop_filter("ends that can be peered", |(one, other)| {
        one.id != other.id && !one.cidr.overlaps(other.cidr)
    });
    let rest = (vni(), state(), option::of(any::<u64>()), millis());
    (any::<u64>(), name(), ends, bandwidth(), charge, qos, rest).prop_map(
        |(id, name, (requester, accepter), bandwidth, charge_type, qos_level, rest)| {
            let (vni, state, task, created_at) = rest;
            PeeringConnection {
                id: PeeringConnectionId::from_entropy(id),
                name,
                requester: PeeringEnd::from(&requester),
                accepter: PeeringEnd::from(&accepter),
                bandwidth,
                charge_type,
                qos_level,
                vni,
                state,
                requester_tags: tags(id),
                accepter_tags: tags(id / 7),
                task: task.map(TaskId),
                created_at,
            }
        },
    )
}

fn task() -> impl Strategy<Value = Task> {
    let kind = prop_oneof![
        select(vec![
            TaskKind::Create,
            TaskKind::Reject,
            TaskKind::Enable,
            TaskKind::Delete
        ]),
        millis().prop_map(|expires_at| TaskKind::Accept { expires_at }),
        bandwidth().prop_map(|previous| TaskKind::Modify { previous }),
    ];
    let state = prop_oneof![
        Just(TaskState::Running),
        millis().prop_map(|at| TaskState::Succeeded { at }),
        (millis(), any::<String>()).prop_map(|(at, message)| TaskState::Failed { at, message }),
    ];
    let reply = select(vec![Reply::Task, Reply::Peering]);
    (any::<[u64; 3]>(), reply, kind, state, millis(), millis()).prop_map(
        |([id, owner, peering], reply, kind, state, created_at, deadline)| Task {
            id: TaskId(id),
            owner: Uin(owner),
            reply,
            kind,
            peering: PeeringConnectionId::from_entropy(peering),
            state,
            created_at,
            deadline,
        },
    )
}

fn route_table() -> impl Strategy<Value = RouteTable> {
    let kind = select(vec![RouteTableKind::Default, RouteTableKind::Ordinary]);
    let description = option::of(name().prop_map(|name| Description::new(name.as_str()).unwrap()));
    let routes = btree_map(cidr(), (any::<u64>(), description), 0..6);
    (
        any::<[u64; 2]>(),
        region(),
        any::<u32>(),
        name(),
        kind,
        routes,
        millis(),
    )
        .prop_map(
            |([id, vpc], region, number, name, kind, routes, created_at)| RouteTable {
                id: RouteTableId::from_entropy(id),
                legacy_id: LegacyRouteTableId { region, number },
                vpc: VpcId::from_entropy(vpc),
                name,
                kind,
                routes: routes
                    .into_iter()
                    .map(|(destination, (peering, description))| Route {
                        id: RouteItemId::from_entropy(peering),
                        is_enabled: peering % 2 == 0,
                        destination,
                        next_hop: NextHop::Peering(PeeringConnectionId::from_entropy(peering)),
                        description,
                    })
                    .collect(),
                tags: tags(vpc),
                created_at,
            },
        )
}

fn subnet() -> impl Strategy<Value = Subnet> {
    (
        any::<[u64; 3]>(),
        region(),
        any::<[u32; 2]>(),
        name(),
        cidr(),
        millis(),
    )
        .prop_map(
            |([id, vpc, table], region, [number, zone], name, cidr, created_at)| Subnet {
                id: SubnetId::from_entropy(id),
                legacy_id: LegacySubnetId { region, number },
                vpc: VpcId::from_entropy(vpc),
                name,
                cidr,
                zone: Zone(zone),
                route_table: RouteTableId::from_entropy(table),
                tags: tags(table),
                created_at,
            },
        )
}

fn account() -> impl Strategy<Value = Account> {
    (
        any::<[u64; 2]>(),
        any::<String>(),
        any::<[u32; 7]>(),
        option::of(any::<u32>()),
        millis(),
    )
        .prop_map(
            |([uin, app_id], name, [a, b, c, d, e, f, g], rate, created_at)| Account {
                uin: Uin(uin),
                app_id: model::AppId(app_id),
                name,
                quotas: Quotas {
                    vpcs_per_region: a,
                    subnets_per_vpc: b,
                    route_tables_per_vpc: c,
                    routes_per_table: d,
                    peerings_per_vpc: e,
                    inbox_per_vpc: f,
                    assistant_cidrs_per_vpc: g,
                    requests_per_second: rate,
                },
                created_at,
            },
        )
}

fn access_key() -> impl Strategy<Value = AccessKey> {
    let status = select(vec![KeyStatus::Enabled, KeyStatus::Disabled]);
    let access = select(vec![Access::Full, Access::ReadOnly]);
    let principal = option::of(any::<u64>()).prop_map(|uin| match uin {
        None => Principal::Account,
        Some(uin) => Principal::SubAccount(Uin(uin)),
    });
    (
        "[!-.0-~]{1,64}",
        any::<u64>(),
        vec(any::<u8>(), 0..80),
        (status, access, principal),
        option::of(millis()),
        millis(),
    )
        .prop_map(
            |(secret_id, owner, sealed, (status, access, principal), ends_at, created_at)| {
                AccessKey {
                    secret_id,
                    owner: Uin(owner),
                    principal,
                    access,
                    sealed_secret: SealedSecret(sealed),
                    status,
                    ends_at,
                    created_at,
                }
            },
        )
}

fn statement() -> impl Strategy<Value = Statement> {
    let effect = select(vec![Effect::Allow, Effect::Deny]);
    let action = "(\\*|name/(vpc|monitor):[A-Za-z*]{1,12})";
    let resource = "(\\*|qcs::vpc:(gz|ap-shanghai)?:(uin/[1-9]{1,12})?:(vpc|pcx)/[a-z0-9*-]{1,12})";
    let operator = "string_(not_)?(equal|like)(_if_exist)?";
    let key = select(ConditionKey::ALL.to_vec());
    let condition = (operator, key, any::<bool>()).prop_map(|(operator, key, is_short)| {
        let value = match (key.name().ends_with("region"), is_short) {
            (true, true) => "gz",
            (true, false) => "ap-shanghai",
            (false, true) => "gz_vpc_226",
            (false, false) => "vpc-8e0ypm3z",
        };
        Condition::new(operator.parse().unwrap(), key, vec![value.to_owned()]).unwrap()
    });
    let lists = (vec(action, 0..3), vec(resource, 0..3), vec(condition, 0..3));
    (effect, lists).prop_map(|(effect, (actions, resources, conditions))| Statement {
        effect,
        actions: actions.iter().map(|text| text.parse().unwrap()).collect(),
        resources: resources.iter().map(|text| text.parse().unwrap()).collect(),
        conditions,
    })
}

fn sub_account() -> impl Strategy<Value = SubAccount> {
    let uins = any::<[u64; 2]>().prop_filter("two numbers", |[uin, owner]| uin != owner);
    (uins, any::<String>(), vec(statement(), 0..4), millis()).prop_map(
        |([uin, owner], name, statements, created_at)| SubAccount {
            uin: Uin(uin),
            owner: Uin(owner),
            name,
            policy: Policy { statements },
            created_at,
        },
    )
}

fn gateway() -> impl Strategy<Value = Gateway> {
    let address = (64u8..128, any::<[u8; 2]>());
    let endpoint = option::of(any::<String>());
    (
        any::<u64>(),
        region(),
        any::<[[u8; 32]; 2]>(),
        endpoint,
        address,
        millis(),
    )
        .prop_map(
            |(id, region, [identity, key], endpoint, (b, [c, d]), joined_at)| Gateway {
                id: GatewayId::from_entropy(id),
                region,
                identity,
                tunnel_public_key: PublicKey(key),
                endpoint,
                overlay_address: [100, b, c, d].into(),
                joined_at,
            },
        )
}

fn join_token() -> impl Strategy<Value = JoinToken> {
    (any::<[u8; 32]>(), region(), millis()).prop_map(|(secret_hash, region, expires_at)| {
        JoinToken {
            secret_hash,
            region,
            expires_at,
        }
    })
}

fn tombstone() -> impl Strategy<Value = Tombstone> {
    (any::<[u64; 2]>(), vni(), vec(any::<u64>(), 0..3), millis()).prop_map(
        |([peering, owner], vni, awaiting, deleted_at)| Tombstone {
            peering: PeeringConnectionId::from_entropy(peering),
            owner: Uin(owner),
            vni,
            awaiting: awaiting.into_iter().map(GatewayId::from_entropy).collect(),
            deleted_at,
        },
    )
}

fn index() -> impl Strategy<Value = Record> {
    prop_oneof![
        (vni(), any::<u64>()).prop_map(|(vni, id)| {
            let peering = PeeringConnectionId::from_entropy(id);
            Record::Vni(VniReservation { vni, peering })
        }),
        (any::<u64>(), region(), any::<u32>()).prop_map(|(owner, region, vpcs)| {
            let owner = Uin(owner);
            Record::Tally(Tally {
                owner,
                region,
                vpcs,
            })
        }),
        (region(), any::<[u32; 3]>()).prop_map(|(region, [vpc, subnet, route_table])| {
            Record::NumberFloor(NumberFloor {
                region,
                vpc,
                subnet,
                route_table,
            })
        }),
        (0..3, region(), any::<u32>(), any::<u64>()).prop_map(|(kind, region, number, id)| {
            Record::Legacy(match kind {
                0 => LegacyIndex::Vpc(LegacyVpcId { region, number }, VpcId::from_entropy(id)),
                1 => LegacyIndex::Subnet(
                    LegacySubnetId { region, number },
                    SubnetId::from_entropy(id),
                ),
                _ => LegacyIndex::RouteTable(
                    LegacyRouteTableId { region, number },
                    RouteTableId::from_entropy(id),
                ),
            })
        }),
    ]
}

pub(super) fn record() -> impl Strategy<Value = Record> {
    prop_oneof![
        account().prop_map(Record::from),
        access_key().prop_map(Record::from),
        sub_account().prop_map(Record::from),
        vpc().prop_map(Record::from),
        subnet().prop_map(Record::from),
        route_table().prop_map(Record::from),
        peering().prop_map(Record::from),
        task().prop_map(Record::from),
        gateway().prop_map(Record::from),
        join_token().prop_map(Record::from),
        tombstone().prop_map(Record::from),
        index(),
    ]
}
