//! From outcomes to JSON: the recorded shapes, and the table of actions against what is written.

use std::sync::Arc;

use model::admission::Refusal;
use model::assistant::{Conflict, Obstacle};
use model::command::{QuotaKind, Reply};
use model::outcome::{
    AccountView, AssistantCidrView, Page, PeeringView, RouteTableView, RouteView, SubnetView,
    TagView, VpcView,
};
use model::peering::{ChargeType, QosLevel};
use model::{
    AppId, Bandwidth, CidrBlock, Name, NextHop, PeeringConnection, PeeringEnd, PeeringState,
    Region, Route, RouteTable, RouteTableKind, Subnet, Tagged, Tags, Task, TaskId, TaskKind,
    TaskState, Uin, Vni, Vpc, Zone,
};
use serde_json::{Value, json};

use super::*;
use crate::tencent::v3::action;
use crate::tencent::v3::field::{Field, Kind};

const REQUEST_ID: &str = "2c9d1c0e-5f0b-4b62-9a53-3b8a4a1a7a10";

// 2024-01-02 03:04:05 in UTC+8.
const CREATED: UnixMillis = UnixMillis(1_704_135_845_000);

fn vpc(legacy: &str, id: &str, cidr: &str) -> Vpc {
    Vpc {
        tags: tags(),
        id: id.parse().unwrap(),
        legacy_id: legacy.parse().unwrap(),
        owner: Uin(100_000_000_001),
        name: Name::new("a.b").unwrap(),
        cidr: cidr.parse().unwrap(),
        assistant_cidrs: Vec::new(),
        created_at: CREATED,
        epoch: 0,
    }
}

fn own_vpc() -> Vpc {
    vpc("gz_vpc_245", "vpc-aaaaaaaa", "10.0.0.0/16")
}

fn table() -> RouteTable {
    RouteTable {
        tags: tags(),
        id: "rtb-85alck92".parse().unwrap(),
        legacy_id: "gz_rtb_359".parse().unwrap(),
        vpc: own_vpc().id,
        name: Name::new("default").unwrap(),
        kind: RouteTableKind::Default,
        routes: vec![Route {
            id: "rti-0a1b2c3d".parse().unwrap(),
            destination: "10.1.0.0/16".parse().unwrap(),
            next_hop: NextHop::Peering("pcx-0a1b2c3d".parse().unwrap()),
            description: None,
            is_enabled: true,
        }],
        created_at: CREATED,
    }
}

fn subnet() -> SubnetView {
    SubnetView {
        subnet: Subnet {
            tags: tags(),
            id: "subnet-3lzrkspo".parse().unwrap(),
            legacy_id: "gz_subnet_18748".parse().unwrap(),
            vpc: own_vpc().id,
            name: Name::new("s").unwrap(),
            cidr: "10.0.200.0/24".parse().unwrap(),
            zone: Zone(100_002),
            route_table: table().id,
            created_at: CREATED,
        },
        vpc: own_vpc(),
        route_table: table(),
        hosts: 0,
    }
}

fn peerings() -> Outcome {
    let accepter = vpc("sh_vpc_20", "vpc-bbbbbbbb", "10.1.0.0/16");
    let view = PeeringView {
        viewer: Uin(100_000_000_001),
        peering: Arc::new(PeeringConnection {
            requester_tags: tags(),
            accepter_tags: Tags::new([("other", "account")]).unwrap(),
            id: "pcx-0a1b2c3d".parse().unwrap(),
            name: Name::new("example").unwrap(),
            requester: PeeringEnd::from(&own_vpc()),
            accepter: PeeringEnd::from(&accepter),
            bandwidth: Bandwidth::Unlimited,
            charge_type: ChargeType::default(),
            qos_level: QosLevel::default(),
            vni: Vni::FIRST,
            state: PeeringState::Active { since: CREATED },
            task: None,
            created_at: CREATED,
        }),
        requester_app_id: AppId(1_250_000_001),
        accepter_app_id: AppId(1_250_000_002),
    };
    Outcome::Peerings(Page {
        total: 7,
        items: vec![view],
    })
}

fn tags() -> Tags {
    Tags::new([("city", "gz"), ("empty", "")]).unwrap()
}

fn assistant() -> AssistantCidrView {
    AssistantCidrView {
        vpc: own_vpc().id,
        cidr: "172.16.0.0/16".parse().unwrap(),
        subnets: vec![subnet()],
    }
}

/// Two blocks that conflict with something of every kind.
fn conflicts() -> Vec<Conflict> {
    let block = |text: &str| text.parse::<CidrBlock>().unwrap();
    let conflict = |cidr: &str, with| Conflict {
        cidr: block(cidr),
        with,
    };
    let vpc = own_vpc().id;
    let peering = "pcx-0a1b2c3d".parse().unwrap();
    let refused = |refusal| Obstacle::Peering { peering, refusal };
    let own = |cidr: &str| Obstacle::Assistant {
        vpc,
        cidr: block(cidr),
    };
    vec![
        conflict(
            "172.16.0.0/16",
            Obstacle::Vpc {
                vpc,
                cidr: block("172.16.0.0/12"),
            },
        ),
        conflict("172.16.0.0/16", own("172.16.4.0/24")),
        conflict(
            "172.16.0.0/16",
            Obstacle::Route {
                route_table: table().id,
                destination: block("172.16.9.0/24"),
            },
        ),
        conflict(
            "10.9.0.0/16",
            refused(Refusal::EndsOverlap {
                requester: block("10.9.1.0/24"),
                accepter: block("10.9.0.0/16"),
            }),
        ),
        conflict(
            "10.9.0.0/16",
            refused(Refusal::OverlapBeyond {
                vpc: "vpc-bbbbbbbb".parse().unwrap(),
                cidr: block("10.9.0.0/16"),
                through: peering,
            }),
        ),
    ]
}

/// An outcome of every action.
fn outcome(action: &str) -> Outcome {
    match action {
        "CreateVpcPeeringConnection" => Outcome::PeeringCreated("pcx-0a1b2c3d".parse().unwrap()),
        "DescribeVpcPeeringConnections" => peerings(),
        "CreateVpc" => Outcome::VpcCreated {
            vpc: own_vpc(),
            subnets: Vec::new(),
            route_table: table(),
        },
        "DescribeVpcs" => Outcome::Vpcs(Page {
            total: 1,
            items: vec![VpcView {
                assistant_cidrs: vec![assistant()],
                vpc: own_vpc(),
                subnets: 1,
                route_tables: 1,
                peerings: 0,
                hosts: 0,
            }],
        }),
        "CreateAssistantCidr" | "DeleteAssistantCidr" | "ModifyAssistantCidr" => {
            Outcome::AssistantCidrsChanged(vec![assistant()])
        }
        "DescribeAssistantCidr" => Outcome::AssistantCidrs(Page {
            total: 1,
            items: vec![assistant()],
        }),
        "CheckAssistantCidr" => Outcome::AssistantCidrConflicts {
            vpc: own_vpc().id,
            conflicts: conflicts(),
        },
        "CreateSubnet" | "CreateSubnets" => Outcome::SubnetsCreated(vec![subnet()]),
        "CreateRouteTable" | "CreateRouteTableWithRoutes" => Outcome::RouteTableCreated {
            route_table: table(),
            routes: Vec::new(),
        },
        "CreateRoutes" | "DeleteRoutes" | "ReplaceRoutes" | "EnableRoutes" | "DisableRoutes" => {
            Outcome::RoutesChanged {
                old: table().routes,
                new: table().routes,
                route_table: table(),
            }
        }
        "DescribeVpcTaskResult" => Outcome::TaskResult(Task {
            id: TaskId(7),
            owner: Uin(100_000_000_001),
            reply: Reply::Peering,
            kind: TaskKind::Create,
            peering: "pcx-0a1b2c3d".parse().unwrap(),
            state: TaskState::Failed {
                at: CREATED,
                message: "region sh has no gateway".to_owned(),
            },
            created_at: CREATED,
            deadline: CREATED,
        }),
        "DescribeRouteTables" | "DescribeRouteConflicts" => Outcome::RouteTables(Page {
            total: 1,
            items: vec![RouteTableView {
                route_table: table(),
                vpc: own_vpc(),
                subnets: vec![subnet().subnet.id],
            }],
        }),
        "DescribeRoutes" | "DescribeRouteList" => Outcome::Routes(Page {
            total: 1,
            items: vec![RouteView {
                route: table().routes[0].clone(),
                route_table: table().id,
            }],
        }),
        "DescribeRegions" => Outcome::Regions,
        "DescribeZones" => Outcome::Zones(Region::Guangzhou),
        "DescribeResourceTagsByResourceIds" => Outcome::Tags(Page {
            total: 3,
            items: vec![TagView {
                resource: Tagged::Subnet(subnet().subnet.id),
                key: "city".to_owned(),
                value: "gz".to_owned(),
            }],
        }),
        "DescribeSubAccounts" | "GetCallerIdentity" | "GetUserAppId" => {
            Outcome::Account(AccountView {
                uin: Uin(100_000_000_001),
                app_id: AppId(1_250_000_001),
                signer: Uin(100_000_000_009),
                sub_accounts: vec![(Uin(100_000_000_009), "ci".to_owned(), CREATED)],
            })
        }
        "DescribeVpcLimits" => {
            Outcome::Quotas(vec![(QuotaKind::Peerings, 10), (QuotaKind::Nothing(1), 0)])
        }
        "DescribeSubnets" => Outcome::Subnets(Page {
            total: 1,
            items: vec![subnet()],
        }),
        _ => Outcome::Done,
    }
}

fn rendered(action: &str) -> Value {
    let action = action::all().find(|found| found.name == action).unwrap();
    let members = action
        .render(&outcome(action.name), &Arguments::default())
        .unwrap();
    serde_json::from_slice(&envelope(&members, REQUEST_ID)).unwrap()
}

/// Checks that a value has exactly the declared members, in the declared types.
fn check(kind: &Kind, value: &Value, path: &str) {
    let fits = match kind {
        Kind::Text | Kind::Name => value.is_string(),
        Kind::Id(prefix) => value.as_str().is_some_and(|text| text.starts_with(prefix)),
        Kind::Word(words) => value.as_str().is_some_and(|text| words.contains(&text)),
        Kind::Integer { .. } => value.is_i64() || value.is_u64(),
        Kind::Boolean(_) => value.is_boolean(),
        Kind::List { of, .. } => match value.as_array() {
            Some(items) => {
                for item in items {
                    check(of, item, &format!("{path}.0"));
                }
                true
            }
            None => false,
        },
        Kind::Object(fields) => {
            check_members(fields, value, path);
            true
        }
        Kind::Limit(_) | Kind::Offset(_) | Kind::Filters(_) | Kind::ClientToken => false,
    };
    assert!(fits, "{path} is {value}, declared as {kind:?}");
}

fn check_members(fields: &[Field], value: &Value, path: &str) {
    let members = value
        .as_object()
        .unwrap_or_else(|| panic!("{path} is {value}"));
    let declared: Vec<&str> = fields.iter().map(|field| field.name).collect();
    for name in members.keys() {
        assert!(
            declared.contains(&name.as_str()),
            "{path}.{name} is not declared"
        );
    }
    for field in fields {
        let member = members.get(field.name);
        let member = member.unwrap_or_else(|| panic!("{path}.{} is missing", field.name));
        check(&field.kind, member, &format!("{path}.{}", field.name));
    }
}

#[test]
fn every_answer_has_the_declared_members_and_the_request_id() {
    for action in action::all() {
        let mut body = rendered(action.name);
        let response = body.as_object_mut().unwrap();
        assert_eq!(response.len(), 1, "{}", action.name);
        let members = response
            .get_mut("Response")
            .unwrap()
            .as_object_mut()
            .unwrap();
        assert_eq!(members.remove("RequestId"), Some(json!(REQUEST_ID)));
        check_members(action.answer, &body["Response"], action.name);
    }
}

#[test]
fn a_peering_looks_as_clients_expect() {
    let expected = json!({"Response": {
        "TotalCount": 7,
        "PeerConnectionSet": [{
            "SourceVpcId": "vpc-aaaaaaaa", "PeerVpcId": "vpc-bbbbbbbb",
            "DestinationVpcId": "vpc-bbbbbbbb", "PeeringConnectionId": "pcx-0a1b2c3d",
            "PeeringConnectionName": "example", "State": "ACTIVE", "IsNgw": false, "Bandwidth": 0,
            "SourceRegion": "gz", "DestinationRegion": "sh", "CreateTime": "2024-01-02 03:04:05",
            "AppId": 1_250_000_001, "PeerAppId": 1_250_000_002, "ChargeType": "POSTPAID_BY_DAY_MAX",
            "SourceUin": 100_000_000_001_u64, "DestinationUin": 100_000_000_001_u64,
            "TagSet": [{"Key": "city", "Value": "gz"}, {"Key": "empty", "Value": ""}],
            "QosLevel": "AU", "Type": "VPC_PEER"
        }],
        "RequestId": REQUEST_ID
    }});
    assert_eq!(rendered("DescribeVpcPeeringConnections"), expected);
}

#[test]
fn the_caller_and_its_surroundings_are_told() {
    let identity = rendered("GetCallerIdentity");
    assert_eq!(identity["Response"]["AccountId"], "100000000001");
    assert_eq!(identity["Response"]["UserId"], "100000000009");
    let app = rendered("GetUserAppId");
    assert_eq!(app["Response"]["OwnerUin"], "100000000001");
    assert_eq!(app["Response"]["AppId"], 1_250_000_001);
    let zones = rendered("DescribeZones");
    let first = json!({"Zone": "ap-guangzhou-1", "ZoneName": "ap-guangzhou-1",
        "ZoneId": "100001", "ZoneState": "AVAILABLE"});
    assert_eq!(zones["Response"]["ZoneSet"][0], first);
}

#[test]
fn a_kept_row_shows_no_tags_of_another_account() {
    let action = action::find("DescribeVpcPeeringConnections", "2017-03-12").unwrap();
    let (rows, arguments) = (Rows::default(), Arguments::default());
    let Outcome::Peerings(mine) = peerings() else {
        panic!("no peerings")
    };
    let mut theirs = mine.clone();
    theirs.items[0].viewer = Uin(100_000_000_002);
    for _ in 0..2 {
        for page in [&mine, &theirs] {
            let outcome = Outcome::Peerings(page.clone());
            let kept = rows.render(action, &arguments, &outcome, REQUEST_ID);
            assert_eq!(kept, render(action, &arguments, &outcome, REQUEST_ID));
        }
    }
    let theirs = Outcome::Peerings(theirs);
    let body = render(action, &arguments, &theirs, REQUEST_ID);
    let body: Value = serde_json::from_slice(&body).unwrap();
    let seen = &body["Response"]["PeerConnectionSet"][0]["TagSet"];
    assert_eq!(*seen, json!([{"Key": "other", "Value": "account"}]));
}

#[test]
fn tags_are_shown_with_their_resources_and_apart() {
    let set = json!([{"Key": "city", "Value": "gz"}, {"Key": "empty", "Value": ""}]);
    for (action, path) in [
        ("CreateVpc", "/Response/Vpc"),
        ("DescribeVpcs", "/Response/VpcSet/0"),
        ("CreateSubnet", "/Response/Subnet"),
        ("DescribeSubnets", "/Response/SubnetSet/0"),
        (
            "CreateAssistantCidr",
            "/Response/AssistantCidrSet/0/SubnetSet/0",
        ),
        ("CreateRouteTable", "/Response/RouteTable"),
        ("DescribeRouteTables", "/Response/RouteTableSet/0"),
    ] {
        let body = rendered(action);
        assert_eq!(body.pointer(path).unwrap()["TagSet"], set, "{action}");
    }
    let listed = rendered("DescribeResourceTagsByResourceIds");
    let expected = json!({"TotalCount": 3, "Offset": 0, "Limit": 20, "Tags": [{
        "TagKey": "city", "TagValue": "gz", "ResourceId": "subnet-3lzrkspo",
        "TagKeyMd5": "4ed5d2eaed1a1fadcc41ad1d58ed603e",
        "TagValueMd5": "c9317245afa86c4304c53887545eb21b",
        "ServiceType": "vpc", "Category": "Custom"
    }], "RequestId": REQUEST_ID});
    assert_eq!(listed["Response"], expected);
}

#[test]
fn assistant_blocks_are_shown_with_their_subnets() {
    let created = rendered("CreateAssistantCidr");
    let set = &created["Response"]["AssistantCidrSet"];
    assert_eq!(set[0]["CidrBlock"], "172.16.0.0/16");
    assert_eq!(set[0]["AssistantType"], 0);
    assert_eq!(set[0]["SubnetSet"][0]["SubnetId"], "subnet-3lzrkspo");
    let vpcs = rendered("DescribeVpcs");
    assert_eq!(&vpcs["Response"]["VpcSet"][0]["AssistantCidrSet"], set);
}

#[test]
fn conflicts_are_told_block_by_block() {
    let item = |id: &str, block: &str| json!({"ConflictId": id, "DestinationItem": block, "ConfilctId": id});
    let vpc = own_vpc().id.to_string();
    let expected = json!([
        {"ConflictSourceId": vpc, "SourceItem": "172.16.0.0/16", "ConflictItemSet": [
            item(&vpc, "172.16.0.0/12"), item(&vpc, "172.16.4.0/24"),
            item("rtb-85alck92", "172.16.9.0/24")
        ]},
        // What another account's peering leads to is not told.
        {"ConflictSourceId": vpc, "SourceItem": "10.9.0.0/16", "ConflictItemSet": [
            item("pcx-0a1b2c3d", "10.9.1.0/24"), item("pcx-0a1b2c3d", "10.9.0.0/16")
        ]}
    ]);
    let told = rendered("CheckAssistantCidr");
    assert_eq!(told["Response"]["ConflictSourceSet"], expected);
}

#[test]
fn a_route_looks_as_clients_expect() {
    let body = rendered("CreateRoutes");
    let table = &body["Response"]["RouteTableSet"][0];
    assert_eq!(body["Response"]["TotalCount"], 1);
    assert_eq!(
        table["RouteSet"],
        json!([{
            "DestinationCidrBlock": "10.1.0.0/16", "GatewayType": "PEERCONNECTION",
            "GatewayId": "pcx-0a1b2c3d", "RouteItemId": "rti-0a1b2c3d",
            "RouteId": table["RouteSet"][0]["RouteId"], "RouteDescription": "", "Enabled": true,
            "RouteType": "USER", "RouteTableId": "rtb-85alck92", "DestinationIpv6CidrBlock": "",
            "PublishedToVbc": false, "CreatedTime": "", "CdcId": ""
        }])
    );
    assert!(table["RouteSet"][0]["RouteId"].as_u64().unwrap() > 0);
}

#[test]
fn routes_are_left_out_of_tables_on_request() {
    let action = action::find("DescribeRouteTables", "2017-03-12").unwrap();
    let node = crate::tencent::v3::tree::from_json(br#"{"NeedRouterInfo": false}"#).unwrap();
    let arguments = Arguments::read(action.fields, node, "").unwrap();
    let members = action.render(&outcome(action.name), &arguments).unwrap();
    let body: Value = serde_json::from_slice(&members).unwrap();
    assert_eq!(body["RouteTableSet"][0]["RouteSet"], json!([]));
    assert_eq!(
        body["RouteTableSet"][0]["AssociationSet"],
        json!([{"SubnetId": "subnet-3lzrkspo", "RouteTableId": "rtb-85alck92"}])
    );
}

#[test]
fn a_task_tells_what_became_of_its_peering() {
    assert_eq!(
        rendered("DescribeVpcTaskResult")["Response"],
        json!({
            "Status": "FAILED", "Output": "region sh has no gateway",
            "Result": [{"ResourceId": "pcx-0a1b2c3d", "Status": "FAILED"}], "RequestId": REQUEST_ID
        })
    );
}

#[test]
fn conflicts_are_told_for_the_blocks_that_routes_overlap() {
    let action = action::find("DescribeRouteConflicts", "2017-03-12").unwrap();
    let body = br#"{"RouteTableId": "rtb-85alck92", "DestinationCidrBlocks":
        ["10.1.0.0/16", "10.1.7.0/24", "10.0.0.0/8", "10.2.0.0/16"]}"#;
    let node = crate::tencent::v3::tree::from_json(body).unwrap();
    let arguments = Arguments::read(action.fields, node, "").unwrap();
    let members = action.render(&outcome(action.name), &arguments).unwrap();
    let body: Value = serde_json::from_slice(&members).unwrap();
    let conflicts = body["RouteConflictSet"].as_array().unwrap();
    let blocks: Vec<&Value> = conflicts
        .iter()
        .map(|conflict| &conflict["DestinationCidrBlock"])
        .collect();
    assert_eq!(blocks, ["10.1.0.0/16", "10.1.7.0/24", "10.0.0.0/8"]);
    let route = &conflicts[0]["ConflictSet"][0];
    assert_eq!(route["DestinationCidrBlock"], "10.1.0.0/16");
}

#[test]
fn kept_rows_are_those_that_would_be_rendered() {
    let rows = Rows::default();
    let arguments = Arguments::default();
    for name in ["DescribeVpcPeeringConnections", "DescribeVpcs"] {
        let action = action::find(name, "2017-03-12").unwrap();
        // The second time they come from what was kept, and a changed record has a row of its own.
        let (mut outcome, same) = (outcome(name), outcome(name));
        for _ in 0..2 {
            let expected = render(action, &arguments, &outcome, REQUEST_ID);
            let body = rows.render(action, &arguments, &outcome, REQUEST_ID);
            assert_eq!(body, expected);
            let again = rows.render(action, &arguments, &outcome, REQUEST_ID);
            assert_eq!(again, expected);
            if let Outcome::Peerings(page) = &mut outcome {
                let view = &mut page.items[0];
                let mut changed = (*view.peering).clone();
                changed.name = Name::new("changed").unwrap();
                view.peering = Arc::new(changed);
            }
        }
        let expected = render(action, &arguments, &same, REQUEST_ID);
        assert_eq!(rows.render(action, &arguments, &same, REQUEST_ID), expected);
    }
}

#[test]
fn answers_are_exactly_these_texts() {
    assert_eq!(
        envelope(b"{}", REQUEST_ID),
        format!(r#"{{"Response":{{"RequestId":"{REQUEST_ID}"}}}}"#).into_bytes()
    );
    let refused = render_error(&Error::SecretId, None, REQUEST_ID);
    assert_eq!(
        String::from_utf8(refused).unwrap(),
        format!(
            "{{\"Response\":{{\"Error\":{{\"Code\":\"AuthFailure.SecretIdNotFound\",\
             \"Message\":\"the SecretId does not exist or its key is disabled\"}},\
             \"RequestId\":\"{REQUEST_ID}\"}}}}"
        )
    );
    assert_eq!(CONTENT_TYPE, "application/json");
}

#[test]
fn an_outcome_of_another_action_is_an_internal_error() {
    let action = action::find("CreateVpc", "2017-03-12").unwrap();
    assert_eq!(action.render(&Outcome::Done, &Arguments::default()), None);
}
