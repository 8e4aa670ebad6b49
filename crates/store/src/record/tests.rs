//! The stored forms: golden, refused, and there and back.

use model::command::Reply;
use model::peering::{ChargeType, QosLevel};
use model::policy::{Condition, ConditionKey, Effect, Statement};
use model::{
    Access, Bandwidth, Description, GatewayId, KeyStatus, LegacyRouteTableId, LegacySubnetId,
    LegacyVpcId, Name, NextHop, PeeringConnectionId, PeeringEnd, PeeringState, Policy, Principal,
    PublicKey, Quotas, Region, Route, RouteItemId, RouteTableId, RouteTableKind, SealedSecret,
    Side, SubnetId, Tags, TaskId, TaskKind, TaskState, Uin, UnixMillis, Vni, Zone,
};
use proptest::collection::vec;
use proptest::prelude::*;

use super::strategies::record;
use super::*;

/// Key and JSON of one record of each kind, one pair of lines per record. `REGENERATE=1` rewrites
/// it; a change of a line that was ever released needs a new record version.
const GOLDEN: &str = include_str!("golden.txt");

fn examples() -> Vec<Record> {
    let created_at = UnixMillis(1_500_000_000_123);
    let since = created_at;
    let vpc = |region, number, tail: &str, cidr: &str| Vpc {
        id: format!("vpc-{tail}").parse().unwrap(),
        legacy_id: LegacyVpcId { region, number },
        owner: Uin(2_407_912_486),
        name: Name::new("b\u{fc}ro \u{793a}").unwrap(),
        cidr: cidr.parse().unwrap(),
        assistant_cidrs: Vec::new(),
        tags: Tags::default(),
        created_at,
        epoch: 3,
    };
    let requester = vpc(Region::Guangzhou, 226, "8e0ypm3z", "10.0.0.0/16");
    let accepter = vpc(Region::Shanghai, 89, "1rt9p0ab", "10.1.0.0/16");
    let pcx: PeeringConnectionId = "pcx-6gw5wy11".parse().unwrap();
    let table: RouteTableId = "rtb-2er1xs0d".parse().unwrap();
    let subnet_id: SubnetId = "subnet-5gu2jxf4".parse().unwrap();
    let vni = Vni::FIRST;
    let legacy_table = LegacyRouteTableId {
        region: Region::Guangzhou,
        number: 8751,
    };
    let legacy_subnet = LegacySubnetId {
        region: Region::Guangzhou,
        number: 18720,
    };
    let peering = |state| PeeringConnection {
        id: pcx,
        name: Name::new("gz-sh").unwrap(),
        requester: PeeringEnd::from(&requester),
        accepter: PeeringEnd::from(&accepter),
        bandwidth: Bandwidth::from_mbps(20),
        charge_type: ChargeType::PostpaidByMonth95,
        qos_level: QosLevel::Gold,
        vni,
        state,
        requester_tags: Tags::default(),
        accepter_tags: Tags::default(),
        task: Some(TaskId(4711)),
        created_at,
    };
    let task = |reply, kind, state| Task {
        id: TaskId(4711),
        owner: requester.owner,
        reply,
        kind,
        peering: pcx,
        state,
        created_at,
        deadline: UnixMillis(1_500_000_060_123),
    };
    let message = "region sh has no gateway".to_owned();
    let gateway: GatewayId = "gw-0a1b2c3d".parse().unwrap();
    let condition = Condition::new(
        "string_equal".parse().unwrap(),
        ConditionKey::Region,
        vec!["gz".to_owned()],
    )
    .unwrap();
    vec![
        Record::Account(Account {
            uin: requester.owner,
            app_id: model::AppId(1_251_000_001),
            name: "example".into(),
            quotas: Quotas::default(),
            created_at,
        }),
        Record::AccessKey(AccessKey {
            secret_id: "AKIDEXAMPLE".into(),
            owner: requester.owner,
            principal: Principal::SubAccount(Uin(100_000_000_001)),
            access: Access::ReadOnly,
            sealed_secret: SealedSecret(vec![0x00, 0x0f, 0xf0, 0xff]),
            status: KeyStatus::Enabled,
            ends_at: Some(UnixMillis(1_500_000_060_123)),
            created_at,
        }),
        Record::Vpc(requester.clone()),
        Record::Vpc(Vpc {
            assistant_cidrs: vec!["172.16.0.0/16".parse().unwrap()],
            tags: Tags::new([("city", "b\u{fc}ro"), ("empty", "")]).unwrap(),
            ..accepter.clone()
        }),
        Record::Subnet(Subnet {
            id: subnet_id,
            legacy_id: legacy_subnet,
            vpc: requester.id,
            name: Name::new("web").unwrap(),
            cidr: "10.0.1.0/24".parse().unwrap(),
            zone: Zone(100_002),
            route_table: table,
            tags: Tags::default(),
            created_at,
        }),
        Record::RouteTable(RouteTable {
            id: table,
            legacy_id: legacy_table,
            vpc: requester.id,
            name: Name::new("default").unwrap(),
            kind: RouteTableKind::Default,
            routes: vec![Route {
                id: RouteItemId::from_entropy(7),
                is_enabled: false,
                destination: accepter.cidr,
                next_hop: NextHop::Peering(pcx),
                description: Some(Description::new("to the web").unwrap()),
            }],
            tags: Tags::default(),
            created_at,
        }),
        Record::Peering(peering(PeeringState::Pending {
            expires_at: UnixMillis(1_500_604_800_123),
        })),
        Record::Peering(peering(PeeringState::Active { since })),
        Record::Peering(peering(PeeringState::Deleted {
            by: Side::Accepter,
            since,
        })),
        Record::Task(task(Reply::Task, TaskKind::Create, TaskState::Running)),
        Record::Task(task(
            Reply::Peering,
            TaskKind::Modify {
                previous: Bandwidth::Unlimited,
            },
            TaskState::Failed { at: since, message },
        )),
        Record::Gateway(Gateway {
            id: gateway,
            region: Region::Shanghai,
            identity: [0xab; 32],
            tunnel_public_key: PublicKey([0x5c; 32]),
            endpoint: Some("gw.example.net:51820".into()),
            overlay_address: [100, 64, 0, 2].into(),
            joined_at: created_at,
        }),
        Record::JoinToken(JoinToken {
            secret_hash: [0x1f; 32],
            region: Region::Shanghai,
            expires_at: UnixMillis(1_500_003_600_123),
        }),
        Record::Tombstone(Tombstone {
            peering: pcx,
            owner: requester.owner,
            vni,
            awaiting: vec![gateway],
            deleted_at: created_at,
        }),
        Record::Vni(VniReservation { vni, peering: pcx }),
        Record::Legacy(LegacyIndex::Vpc(requester.legacy_id, requester.id)),
        Record::Legacy(LegacyIndex::Subnet(legacy_subnet, subnet_id)),
        Record::Legacy(LegacyIndex::RouteTable(legacy_table, table)),
        Record::Tally(Tally {
            owner: requester.owner,
            region: Region::Guangzhou,
            vpcs: 2,
        }),
        Record::NumberFloor(NumberFloor {
            region: Region::Guangzhou,
            vpc: 226,
            subnet: 0,
            route_table: 8755,
        }),
        Record::SubAccount(SubAccount {
            uin: Uin(100_000_000_001),
            owner: requester.owner,
            name: "auditor".into(),
            policy: Policy {
                statements: vec![Statement {
                    effect: Effect::Allow,
                    actions: vec!["name/vpc:Describe*".parse().unwrap()],
                    resources: vec!["qcs::vpc:gz::vpc/vpc-8e0ypm3z".parse().unwrap()],
                    conditions: vec![condition],
                }],
            },
            created_at,
        }),
    ]
}

fn text(value: &[u8]) -> &str {
    std::str::from_utf8(value).unwrap()
}

#[test]
fn the_stored_form_is_the_golden_one() {
    let mut actual = String::new();
    for record in examples() {
        let (key, value) = encode(&record);
        actual.push_str(&format!("{key}\n{}\n\n", text(&value)));
    }
    if std::env::var_os("REGENERATE").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/record/golden.txt");
        std::fs::write(path, &actual).unwrap();
        return;
    }
    assert_eq!(actual, GOLDEN);
}

#[test]
fn golden_records_are_read() {
    let read = GOLDEN.split_terminator("\n\n").map(|pair| {
        let (key, value) = pair.split_once('\n').unwrap();
        decode(key, value.as_bytes()).unwrap()
    });
    assert_eq!(read.collect::<Vec<_>>(), examples());
}

/// Decodes a golden record after a change of its JSON object.
fn decode_changed(
    record: &Record,
    change: impl FnOnce(&mut serde_json::Map<String, serde_json::Value>),
) -> Result<Record, RecordError> {
    let (key, value) = encode(record);
    let mut fields = serde_json::from_slice(&value).unwrap();
    change(&mut fields);
    decode(&key.to_string(), &serde_json::to_vec(&fields).unwrap())
}

#[test]
fn newer_versions_are_refused_whatever_they_hold() {
    for record in examples() {
        let mut newer = 0;
        let result = decode_changed(&record, |fields| {
            newer = fields["v"].as_u64().unwrap() + 1;
            fields.insert("v".into(), newer.into());
            fields.insert("something_new".into(), 1.into());
        });
        assert!(
            matches!(
                result,
                Err(RecordError::Newer { found, supported, .. })
                    if u64::from(found) == newer && u64::from(supported) == newer - 1
            ),
            "{result:?}"
        );
        let result = decode_changed(&record, |fields| {
            fields.insert("v".into(), 0.into());
        });
        assert!(matches!(result, Err(RecordError::Inconsistent { .. })));
    }
}

#[test]
fn a_key_of_version_1_is_the_accounts_own_without_limits() {
    let old = concat!(
        r#"{"v":1,"secret_id":"AKIDEXAMPLE","owner":"7","sealed_secret":"00","#,
        r#""status":"enabled","created_at":1500000000123}"#
    );
    let Record::AccessKey(key) = decode("key/AKIDEXAMPLE", old.as_bytes()).unwrap() else {
        panic!("another kind");
    };
    assert_eq!(key.principal, Principal::Account);
    assert_eq!((key.access, key.ends_at), (Access::Full, None));
}

#[test]
fn tags_that_are_not_allowed_are_refused() {
    let vpc = examples()
        .into_iter()
        .find(|record| matches!(record, Record::Vpc(_)));
    let result = decode_changed(&vpc.unwrap(), |fields| {
        let tags = serde_json::json!({"qcs:x": "y"});
        assert!(fields.insert("tags".into(), tags).is_none());
    });
    assert!(matches!(result, Err(RecordError::Malformed { .. })));
}

#[test]
fn blocks_of_one_vpc_that_overlap_are_refused() {
    let vpc = examples()
        .into_iter()
        .find(|record| matches!(record, Record::Vpc(_)));
    let result = decode_changed(&vpc.unwrap(), |fields| {
        let blocks = serde_json::json!(["10.0.9.0/24"]);
        assert!(fields.insert("assistant_cidrs".into(), blocks).is_none());
    });
    assert!(matches!(result, Err(RecordError::Inconsistent { .. })));
}

#[test]
fn unknown_fields_are_refused_at_every_depth() {
    for record in examples() {
        let (_, value) = encode(&record);
        let fields: serde_json::Map<String, serde_json::Value> =
            serde_json::from_slice(&value).unwrap();
        let nested = fields.iter().filter(|(_, value)| value.is_object());
        let mut places: Vec<Option<String>> = nested.map(|(name, _)| Some(name.clone())).collect();
        places.push(None);
        for place in places {
            let result = decode_changed(&record, |fields| {
                let object = match &place {
                    Some(name) => fields[name].as_object_mut().unwrap(),
                    None => fields,
                };
                object.insert("something_new".into(), 1.into());
            });
            assert!(
                matches!(result, Err(RecordError::Malformed { .. })),
                "{place:?}: {result:?}"
            );
        }
    }
}

/// Fields that earlier versions did not have, by the first part of the key. Without them a record
/// means what it meant then.
const ADDED_LATER: [(&str, &str); 1] = [("task", "announced")];

#[test]
fn no_field_can_be_left_out_unnoticed() {
    for record in examples() {
        let (key, value) = encode(&record);
        let fields: serde_json::Map<String, serde_json::Value> =
            serde_json::from_slice(&value).unwrap();
        let kind = key.to_string().split('/').next().unwrap().to_owned();
        let is_old = |name: &&String| !ADDED_LATER.contains(&(&*kind, &***name));
        let given = fields.keys().filter(|name| !fields[*name].is_null());
        for name in given.filter(is_old) {
            let result = decode_changed(&record, |fields| {
                fields.remove(name);
            });
            assert_ne!(result.ok(), Some(record.clone()), "without {name}");
        }
    }
}

#[test]
fn tasks_of_the_first_version_were_all_announced() {
    let json = br#"{"v":1,"id":"4711","owner":"7","kind":{"name":"create"},
        "peering":"pcx-6gw5wy11","state":{"name":"running"},"created_at":1,"deadline":2}"#;
    let Ok(Record::Task(task)) = decode("task/4711", json) else {
        panic!("not read as a task");
    };
    assert_eq!((task.id, task.reply), (TaskId(4711), Reply::Task));
}

#[test]
fn routes_of_the_first_version_are_enabled_and_get_ids_that_stay() {
    let json = concat!(
        r#"{"v":1,"id":"rtb-2er1xs0d","legacy_id":"gz_rtb_8751","vpc":"vpc-8e0ypm3z","#,
        r#""name":"default","kind":"default","routes":["#,
        r#"{"destination":"10.1.0.0/16","next_hop":{"peering":"pcx-6gw5wy11"}},"#,
        r#"{"destination":"10.1.0.0/17","next_hop":{"peering":"pcx-6gw5wy11"}}],"created_at":1}"#
    );
    let read = || match decode("rtb/rtb-2er1xs0d", json.as_bytes()) {
        Ok(Record::RouteTable(table)) => table,
        other => panic!("{other:?}"),
    };
    let routes = read().routes;
    assert!(routes.iter().all(|route| route.is_enabled));
    assert_ne!(routes[0].id, routes[1].id);
    assert_ne!(routes[0].id.number(), routes[1].id.number());
    assert_eq!(routes, read().routes);
}

#[test]
fn values_out_of_range_are_refused() {
    let examples = examples();
    let find = |prefix: &str| {
        let matches = |record: &&Record| record.key().to_string().starts_with(prefix);
        examples.iter().find(matches).unwrap()
    };
    let end = |vpc: &str, cidr: &str| {
        serde_json::json!({
            "vpc": vpc, "legacy_id": "sh_vpc_89", "owner": "1", "cidr": cidr,
        })
    };
    let route = serde_json::json!({
        "destination": "10.1.0.0/16", "next_hop": {"peering": "pcx-6gw5wy11"},
    });
    for (prefix, field, value) in [
        ("vpc/", "cidr", "10.0.0.1/16".into()),
        ("vpc/", "name", "".into()),
        ("vpc/", "legacy_id", "gz_vpc_0226".into()),
        ("vpc/", "owner", "+7".into()),
        ("vpc/", "owner", 7.into()),
        ("vpc/", "epoch", (-1).into()),
        ("key/", "sealed_secret", "0".into()),
        ("key/", "sealed_secret", "0G".into()),
        ("key/", "sealed_secret", "AB".into()),
        ("key/", "status", "unknown".into()),
        ("key/", "access", "none".into()),
        ("key/", "sub_account", 7.into()),
        ("sub/", "owner", "100000000001".into()),
        (
            "sub/",
            "statements",
            serde_json::json!([{"effect": "allow", "actions": ["nonsense"], "resources": [], "conditions": []}]),
        ),
        (
            "sub/",
            "statements",
            serde_json::json!([{"effect": "allow", "actions": [], "resources": [], "conditions": [
                {"operator": "string_equal", "key": "vpc:moon", "values": ["gz"]}
            ]}]),
        ),
        ("pcx/", "vni", 0.into()),
        ("pcx/", "vni", (1 << 24).into()),
        ("pcx/", "accepter", end("vpc-8e0ypm3z", "10.9.0.0/16")),
        ("pcx/", "accepter", end("vpc-1rt9p0ab", "10.0.9.0/24")),
        ("pcx/", "state", serde_json::json!({"name": "active"})),
        ("gateway/", "overlay_address", "10.0.0.1".into()),
        ("gateway/", "region", "ap-shanghai".into()),
        ("gateway/", "identity", "ab".into()),
        ("rtb/", "routes", vec![route.clone(), route].into()),
        ("legacy/", "id", "subnet-5gu2jxf4".into()),
        ("vni/", "vni", 0.into()),
    ] {
        let shown = format!("{prefix} {field} {value}");
        let result = decode_changed(find(prefix), |fields| {
            let old = fields.insert(field.into(), value);
            assert!(old.is_some(), "{shown}: no such field");
        });
        assert!(
            matches!(
                result,
                Err(RecordError::Malformed { .. } | RecordError::Inconsistent { .. })
            ),
            "{shown}: {result:?}"
        );
    }
}

#[test]
fn a_record_belongs_under_its_own_key() {
    let examples = examples();
    let (_, value) = encode(&examples[2]);
    let result = decode("vpc/vpc-00000000", &value);
    assert!(matches!(result, Err(RecordError::Misplaced { .. })));
    for json in ["", "{", "[]", "null", "7", "{\"v\":-1}", "{\"v\":\"1\"}"] {
        let result = decode("vpc/vpc-00000000", json.as_bytes());
        assert!(
            matches!(result, Err(RecordError::Malformed { .. })),
            "{json}"
        );
    }
}

#[test]
fn other_spellings_are_no_keys() {
    for key in [
        "",
        "vpc",
        "vpc/",
        "vpc/gz_vpc_226",
        "vpc/vpc-8e0ypm3z/",
        "/vpc/vpc-8e0ypm3z",
        "VPC/vpc-8e0ypm3z",
        "account/007",
        "account/+7",
        "account/7 ",
        "key/",
        "sub/",
        "sub/007",
        "key/a/b",
        "key/a b",
        "vni/0",
        "vni/16777216",
        "tally/7",
        "tally/7/ap-guangzhou",
        "legacy/226",
        "join/ab",
        "join/ABABABABABABABABABABABABABABABABABABABABABABABABABABABABABABABAB",
        "unknown/7",
    ] {
        assert_eq!(key.parse::<Key>(), Err(KeyError(key.to_owned())));
    }
}

#[test]
fn a_sealed_secret_is_not_shown_by_errors() {
    let result = decode_changed(&examples()[1], |fields| {
        fields.insert("sealed_secret".into(), "deadbeefzz".into());
    });
    let error = result.unwrap_err();
    let source = std::error::Error::source(&error).unwrap();
    assert!(!format!("{error} {source} {error:?}").contains("deadbeef"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn what_is_encoded_is_decoded(record in record()) {
        let (key, value) = encode(&record);
        prop_assert_eq!(key.to_string().parse(), Ok(key.clone()));
        prop_assert_eq!(decode(&key.to_string(), &value).unwrap(), record);
    }

    #[test]
    fn no_text_makes_decoding_panic(key in "[a-z]{1,8}/\\PC{0,20}", value in vec(any::<u8>(), 0..80)) {
        prop_assert!(decode(&key, &value).is_err());
    }
}
