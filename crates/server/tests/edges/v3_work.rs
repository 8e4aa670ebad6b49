//! API 3.0: creations that happen once, and the work that goes on behind an answer.

use std::time::Duration;

use model::Region;
use serde_json::{Value, json};
use server::Dataplane;

use crate::bed::{BOUND, Bed, eventually, first, second};
use crate::double::Claims;
use crate::v3::{Call, call, code};

const OWNER: u64 = 2_407_912_486;
const DAY: Duration = Duration::from_secs(24 * 3600);

fn vpc(token: &str, cidr: &str) -> Value {
    json!({"VpcName": "once", "CidrBlock": cidr, "ClientToken": token})
}

async fn vpcs(bed: &Bed) -> u64 {
    let listed = call(bed, "DescribeVpcs", &json!({})).await;
    listed["Response"]["TotalCount"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_gives_the_first_answer_for_a_day_and_over_a_restart() {
    let mut bed = Bed::start(Dataplane::None).await;
    let before = vpcs(&bed).await;
    let asked = vpc("t-1", "10.50.0.0/16");
    let made = call(&bed, "CreateVpc", &asked).await;
    assert_eq!(code(&made), "", "{made}");
    assert_eq!(call(&bed, "CreateVpc", &asked).await, made);
    bed.stop().await;
    bed.run().await;
    bed.clock.advance(DAY - Duration::from_secs(1));
    assert_eq!(call(&bed, "CreateVpc", &asked).await, made);
    assert_eq!(vpcs(&bed).await, before + 1);
    bed.clock.advance(Duration::from_secs(2));
    eventually("the token is forgotten", || async {
        call(&bed, "CreateVpc", &asked).await != made
    })
    .await;
    assert_eq!(vpcs(&bed).await, before + 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_with_other_parameters_is_refused() {
    let bed = Bed::start(Dataplane::None).await;
    let before = vpcs(&bed).await;
    let made = call(&bed, "CreateVpc", &vpc("t-1", "10.50.0.0/16")).await;
    assert_eq!(code(&made), "", "{made}");
    // What it is decided by is what is asked for, not how it is written.
    let again = json!({"ClientToken": "t-1", "CidrBlock": "10.50.0.0/16", "VpcName": "once"});
    assert_eq!(call(&bed, "CreateVpc", &again).await, made);
    let other = call(&bed, "CreateVpc", &vpc("t-1", "10.51.0.0/16")).await;
    assert_eq!(code(&other), "InvalidParameterValue.Combination");
    let message = other["Response"]["Error"]["Message"].as_str().unwrap();
    assert!(message.contains("t-1"), "{message}");
    // Another account, another action and another region of it are told apart.
    let theirs = Call::new(&bed, "CreateVpc", &vpc("t-1", "10.51.0.0/16"));
    let theirs = theirs.send(&bed, Some(&second())).await.json();
    assert_eq!(code(&theirs), "", "{theirs}");
    let table = json!({
        "VpcId": made["Response"]["Vpc"]["VpcId"], "RouteTableName": "t", "ClientToken": "t-1",
    });
    assert_eq!(code(&call(&bed, "CreateRouteTable", &table).await), "");
    assert_eq!(vpcs(&bed).await, before + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_creation_may_be_tried_again_with_its_token() {
    let bed = Bed::start(Dataplane::None).await;
    let made = call(&bed, "CreateVpc", &vpc("t-1", "10.50.0.0/16")).await;
    let subnet = |cidr: &str| {
        json!({
            "VpcId": made["Response"]["Vpc"]["VpcId"], "SubnetName": "s", "CidrBlock": cidr,
            "Zone": "ap-guangzhou-1", "ClientToken": "s-1",
        })
    };
    let blocker = call(&bed, "CreateSubnet", &{
        let mut blocker = subnet("10.50.1.0/24");
        blocker["ClientToken"] = json!("s-0");
        blocker
    })
    .await;
    let asked = subnet("10.50.1.128/25");
    let refused = call(&bed, "CreateSubnet", &asked).await;
    assert_eq!(code(&refused), "InvalidParameterValue.SubnetConflict");
    let blocker = json!({"SubnetId": blocker["Response"]["Subnet"]["SubnetId"]});
    assert_eq!(code(&call(&bed, "DeleteSubnet", &blocker).await), "");
    let made = call(&bed, "CreateSubnet", &asked).await;
    assert_eq!(code(&made), "", "{made}");
    assert_eq!(call(&bed, "CreateSubnet", &asked).await, made);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_leaves_a_token_unused() {
    let bed = Bed::start(Dataplane::None).await;
    let asked = vpc("t-1", "10.50.0.0/16");
    let mut dry = Call::new(&bed, "CreateVpc", &asked);
    dry.more.push(("x-peerway-dryrun", "true"));
    let answer = dry.send(&bed, Some(&first())).await.json();
    assert_eq!(code(&answer), "DryRunOperation");
    assert_eq!(code(&call(&bed, "CreateVpc", &asked).await), "");
}

/// The gateways of both regions, in which nothing crosses yet.
async fn create(bed: &Bed, more: Value) -> Value {
    let vpcs = call(bed, "DescribeVpcs", &json!({})).await;
    let mut far = Call::new(bed, "DescribeVpcs", &json!({}));
    far.region = "ap-shanghai";
    let far = far.send(bed, Some(&first())).await.json();
    let mut body = json!({
        "SourceVpcId": vpcs["Response"]["VpcSet"][0]["VpcId"],
        "DestinationVpcId": far["Response"]["VpcSet"][0]["VpcId"],
        "DestinationUin": OWNER.to_string(), "DestinationRegion": "ap-shanghai",
        "PeeringConnectionName": "work",
    });
    let (body_members, more) = (body.as_object_mut().unwrap(), more);
    body_members.extend(more.as_object().unwrap().clone());
    call(bed, "CreateVpcPeeringConnection", &body).await
}

async fn status(bed: &Bed, of: &Value) -> (String, String) {
    let asked = json!({"TaskId": of["Response"]["RequestId"]});
    let answer = call(bed, "DescribeVpcTaskResult", &asked).await;
    let text = |name: &str| answer["Response"][name].as_str().unwrap_or("").to_owned();
    (text("Status"), text("Output"))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_work_behind_an_answer_is_asked_for_by_its_request() {
    let bed = Bed::start(Dataplane::Gateways).await;
    let gz = bed.gateway(Region::Guangzhou).await;
    let sh = bed.gateway(Region::Shanghai).await;
    for gateway in [&gz, &sh] {
        gateway.claims.send_modify(|claims| claims.crosses = false);
    }
    let made = create(&bed, json!({"ClientToken": "p-1"})).await;
    assert_eq!(code(&made), "", "{made}");
    assert_eq!(status(&bed, &made).await.0, "RUNNING");
    // Its terms cannot be changed meanwhile.
    let terms = json!({
        "PeeringConnectionId": made["Response"]["PeeringConnectionId"], "Bandwidth": 50,
    });
    let locked = call(&bed, "ModifyVpcPeeringConnection", &terms).await;
    assert_eq!(
        code(&locked),
        "UnsupportedOperation.MutexOperationTaskRunning"
    );
    for gateway in [&gz, &sh] {
        gateway.claims.send_replace(Claims::GOOD);
    }
    eventually("the work is done", || async {
        status(&bed, &made).await.0 == "SUCCESS"
    })
    .await;
    // The first answer has the first id, so a repetition may ask as well.
    let again = create(&bed, json!({"ClientToken": "p-1"})).await;
    assert_eq!(again, made);
    // It is nobody else's, and no other request left any.
    let asked = json!({"TaskId": made["Response"]["RequestId"]});
    let stranger = Call::new(&bed, "DescribeVpcTaskResult", &asked);
    let stranger = stranger.send(&bed, Some(&second())).await.json();
    assert_eq!(code(&stranger), "ResourceNotFound");
    let listed = call(&bed, "DescribeVpcs", &json!({})).await;
    let asked = json!({"TaskId": listed["Response"]["RequestId"]});
    let nothing = call(&bed, "DescribeVpcTaskResult", &asked).await;
    assert_eq!(code(&nothing), "ResourceNotFound");
}

#[tokio::test(flavor = "multi_thread")]
async fn work_that_fails_tells_the_cause_and_leaves_the_state() {
    let bed = Bed::start(Dataplane::Gateways).await;
    let made = create(&bed, json!({})).await;
    assert_eq!(code(&made), "", "{made}");
    let deadline = tokio::time::Instant::now() + BOUND;
    let output = loop {
        match status(&bed, &made).await {
            (status, output) if status == "FAILED" => break output,
            other => assert!(tokio::time::Instant::now() < deadline, "{other:?}"),
        }
    };
    assert!(output.contains("gz") || output.contains("sh"), "{output}");
    let asked = json!({"PeeringConnectionIds": [made["Response"]["PeeringConnectionId"]]});
    let seen = call(&bed, "DescribeVpcPeeringConnections", &asked).await;
    assert_eq!(seen["Response"]["PeerConnectionSet"][0]["State"], "FAILED");
}
