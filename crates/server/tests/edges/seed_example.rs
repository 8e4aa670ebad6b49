//! The example that the whole project started from, sent as it is printed to a server that was
//! given nothing but a seed.

use serde_json::Value;
use server::Dataplane;

use crate::bed::{Bed, first, second};

const EXAMPLE: [(&str, &str); 6] = [
    ("vpcId", "gz_vpc_226"),
    ("peerVpcId", "gz_vpc_89"),
    ("peerUin", "2407912486"),
    ("peeringConnectionName", "tses"),
    ("peerRegion", "gz"),
    ("bandwidth", "20"),
];

async fn create(bed: &Bed) -> u64 {
    let answer = bed
        .call("gz", "CreateVpcPeeringConnectionEx", &EXAMPLE)
        .await;
    let object = answer.as_object().unwrap();
    let names: Vec<&str> = object.keys().map(String::as_str).collect();
    assert_eq!(names, ["code", "codeDesc", "message", "taskId"]);
    assert_eq!(answer["codeDesc"], "Success");
    assert_eq!(answer["message"], "");
    assert!(answer["code"].is_u64(), "{answer}");
    answer["taskId"].as_u64().unwrap()
}

async fn peerings(bed: &Bed) -> Vec<Value> {
    let answer = bed.call("gz", "DescribeVpcPeeringConnections", &[]).await;
    let data = answer["data"].as_array().unwrap().clone();
    assert_eq!(answer["totalCount"], data.len());
    data
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documented_example_succeeds_without_a_data_plane() {
    let bed = Bed::start(Dataplane::None).await;
    let task = create(&bed).await;
    let answer = bed
        .call(
            "gz",
            "DescribeVpcTaskResult",
            &[("taskId", &task.to_string())],
        )
        .await;
    assert_eq!(answer["data"]["status"], 0, "{answer}");
    let id = answer["data"]["output"]["uniqVpcPeerId"].as_str().unwrap();
    let listed = peerings(&bed).await;
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0]["peeringConnectionId"], id);
    assert_eq!(listed[0]["state"], 1);
    assert_eq!(listed[0]["uin"], 2_407_912_486_u64);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documented_example_is_taken_and_fails_at_once_where_the_region_has_no_gateway() {
    let bed = Bed::start(Dataplane::Gateways).await;
    let task = create(&bed).await;
    let message = bed.end_of(task).await.unwrap_err();
    assert!(message.contains("region gz has no gateway"), "{message}");
    assert!(
        message.contains("peerway gateway token --region gz"),
        "{message}"
    );
    assert!(peerings(&bed).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documented_example_from_another_account_ends_at_once() {
    let bed = Bed::start(Dataplane::Gateways).await;
    let mut parameters = EXAMPLE;
    parameters[0] = ("vpcId", "sh_vpc_8");
    let answer = bed
        .call_as(&second(), "sh", "CreateVpcPeeringConnectionEx", &parameters)
        .await;
    let task = answer["taskId"].as_u64().unwrap();
    assert_eq!(bed.task(&second(), task).await.0, 0);
    let listed = peerings(&bed).await;
    assert_eq!(listed[0]["state"], 0, "{listed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_wrong_region_of_the_callers_vpc_is_not_found() {
    let bed = Bed::start(Dataplane::None).await;
    let now = bed.clock_secs();
    let action = "CreateVpcPeeringConnectionEx";
    let answer = bed
        .client()
        .call(&first(), now, "sh", action, &EXAMPLE)
        .await;
    assert_eq!(answer["code"], 4000);
    assert_eq!(answer["codeDesc"], "InvalidVpc.NotFound");
}
