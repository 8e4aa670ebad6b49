//! API 3.0: no action tells or changes anything of another account's.

use std::collections::BTreeMap;

use api::tencent::v3::{Action, action};
use serde_json::{Value, json};
use server::Dataplane;

use crate::bed::{Bed, first, second};
use crate::v3::{Call, body_of, call, code};

const OWNER: u64 = 2_407_912_486;

/// Actions that name nothing that an account has. Those of tags name resources in a text of their own.
const NAME_NOTHING: [&str; 10] = [
    "CreateVpc",
    "DescribeRegions",
    "DescribeResourceTagsByResourceIds",
    "DescribeSubAccounts",
    "DescribeVpcLimits",
    // A request of another account is in v3_work.rs.
    "DescribeVpcTaskResult",
    "DescribeZones",
    "GetCallerIdentity",
    "GetUserAppId",
    "ModifyResourceTags",
];

async fn made(bed: &Bed, action: &str, body: Value) -> Value {
    let answer = call(bed, action, &body).await;
    assert_eq!(code(&answer), "", "{action}: {answer}");
    answer["Response"].clone()
}

/// One of everything, of the first account; by the names of the parameters that name them.
async fn furnish(bed: &Bed) -> BTreeMap<&'static str, Value> {
    let vpcs = made(bed, "DescribeVpcs", json!({})).await;
    let (one, other) = (&vpcs["VpcSet"][0], &vpcs["VpcSet"][1]);
    let block = one["CidrBlock"].as_str().unwrap();
    let inside = |third: u8| block.replace(".0.0/16", &format!(".{third}.0/24"));
    let subnet = |third: u8| json!({"SubnetName": "s", "CidrBlock": inside(third), "Zone": "ap-guangzhou-1"});
    let mut first_subnet = subnet(1);
    first_subnet["VpcId"] = one["VpcId"].clone();
    let subnet_id = made(bed, "CreateSubnet", first_subnet).await["Subnet"]["SubnetId"].clone();
    let assistant = json!({"VpcId": one["VpcId"], "CidrBlocks": ["172.16.0.0/16"]});
    made(bed, "CreateAssistantCidr", assistant).await;
    let table = json!({"VpcId": one["VpcId"], "RouteTableName": "t"});
    let table = made(bed, "CreateRouteTable", table).await["RouteTable"]["RouteTableId"].clone();
    let peering = json!({
        "SourceVpcId": one["VpcId"], "DestinationVpcId": other["VpcId"],
        "DestinationUin": OWNER.to_string(), "DestinationRegion": "ap-guangzhou",
        "PeeringConnectionName": "p",
    });
    let peering = made(bed, "CreateVpcPeeringConnection", peering).await;
    let peering = peering["PeeringConnectionId"].clone();
    let route = json!({
        "DestinationCidrBlock": other["CidrBlock"], "GatewayType": "PEERCONNECTION",
        "GatewayId": peering,
    });
    let asked = json!({"RouteTableId": table, "Routes": [route]});
    let routes = made(bed, "CreateRoutes", asked).await;
    let number = routes["RouteTableSet"][0]["RouteSet"][0]["RouteId"].clone();
    let mut route = route;
    route["RouteId"] = number.clone();
    BTreeMap::from([
        ("VpcId", one["VpcId"].clone()),
        ("VpcIds", json!([one["VpcId"]])),
        ("SourceVpcId", one["VpcId"].clone()),
        ("DestinationVpcId", other["VpcId"].clone()),
        ("DestinationUin", json!(OWNER.to_string())),
        ("DestinationRegion", json!("ap-guangzhou")),
        ("SubnetId", subnet_id.clone()),
        ("SubnetIds", json!([subnet_id])),
        ("RouteTableId", table.clone()),
        ("RouteTableIds", json!([table])),
        ("PeeringConnectionId", peering.clone()),
        ("PeeringConnectionIds", json!([peering])),
        ("PeeringConnectionName", json!("mine")),
        ("VpcName", json!("mine")),
        ("SubnetName", json!("mine")),
        ("Zone", json!("ap-guangzhou-1")),
        ("CidrBlock", json!(inside(7))),
        ("CidrBlocks", json!(["172.18.0.0/16"])),
        ("NewCidrBlocks", json!(["172.17.0.0/16"])),
        ("OldCidrBlocks", json!(["172.16.0.0/16"])),
        ("Subnets", json!([subnet(8)])),
        ("Routes", json!([route])),
        ("RouteIds", json!([number])),
        (
            "Filters",
            json!([{"Name": "vpc-id", "Values": [one["VpcId"]]}]),
        ),
    ])
}

/// A body that names what is known wherever the action takes it.
fn body(action: &Action, known: &BTreeMap<&'static str, Value>) -> Value {
    let has = |name: &str| action.fields.iter().any(|field| field.name == name);
    let mut body = body_of(action.fields);
    for (name, value) in known.iter().filter(|(name, _)| has(name)) {
        body[*name] = value.clone();
    }
    // Ids and filters exclude each other.
    let members = body.as_object_mut().unwrap();
    if members.keys().any(|name| is_id(name)) {
        members.remove("Filters");
    }
    body
}

fn is_id(name: &str) -> bool {
    name.ends_with("Id") || name.ends_with("Ids")
}

#[tokio::test(flavor = "multi_thread")]
async fn no_action_tells_or_changes_what_is_another_accounts() {
    let bed = Bed::start(Dataplane::None).await;
    let known = furnish(&bed).await;
    let state = bed.core().catalog().revision();
    for action in action::all().filter(|action| !NAME_NOTHING.contains(&action.name)) {
        let body = body(action, &known);
        let mut names = body.as_object().unwrap().keys();
        let names_something = names.any(|name| is_id(name) || name == "Filters");
        assert!(names_something, "{} needs a row", action.name);
        let mut sent = Call::new(&bed, action.name, &body);
        sent.version = action.product.version();
        let answer = sent.send(&bed, Some(&second())).await.json();
        // What a list does not find is an error where ids are given, but not for peerings.
        let is_empty = answer["Response"]["TotalCount"] == 0;
        assert!(
            is_empty || code(&answer) == "ResourceNotFound",
            "{} with {body}: {answer}",
            action.name
        );
        assert_eq!(bed.core().catalog().revision(), state, "{}", action.name);
        if !action.is_write() {
            let answer = sent.send(&bed, Some(&first())).await.json();
            assert_eq!(code(&answer), "", "{}: {answer}", action.name);
            assert_ne!(answer["Response"]["TotalCount"], 0, "{}", action.name);
        }
    }
    for name in NAME_NOTHING {
        assert!(action::all().any(|action| action.name == name), "{name}");
    }
}
