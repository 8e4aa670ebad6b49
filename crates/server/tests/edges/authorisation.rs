//! Sub-accounts, policies and keys, as callers meet them.

use serde_json::{Value, json};
use server::Dataplane;
use server::admin::{
    KeyChange, KeyName, KeyRequest, KeyRotation, KeyView, OwnerFilter, PolicyRequest,
    SubAccountRequest,
};

use crate::bed::{Bed, first};
use crate::client::Caller;

const OWNER: u64 = 2_407_912_486;
const SUB: u64 = 100_000_000_001;

fn caller(key: &KeyView) -> Caller {
    Caller::new(&key.secret_id, &key.secret_key)
}

async fn sub_account(bed: &Bed) -> Caller {
    let ask = SubAccountRequest {
        owner: OWNER,
        name: "ci".to_owned(),
        uin: Some(SUB),
        policy: None,
    };
    let made = bed.admin().sub_account_create(&ask).await.unwrap();
    assert_eq!((made.uin, made.owner, made.statements), (SUB, OWNER, 0));
    let ask = KeyRequest {
        uin: OWNER,
        sub_account: Some(SUB),
        ..KeyRequest::default()
    };
    caller(&bed.admin().key_create(&ask).await.unwrap())
}

async fn set_policy(bed: &Bed, statement: Value) -> Vec<String> {
    let policy = json!({"version": "2.0", "statement": statement}).to_string();
    let set = bed.admin().policy_set(SUB, &PolicyRequest { policy }).await;
    set.unwrap().warnings
}

async fn answer(bed: &Bed, who: &Caller, action: &str, parameters: &[(&str, &str)]) -> Value {
    let now = bed.clock_secs();
    bed.client().call(who, now, "gz", action, parameters).await
}

#[track_caller]
fn check(answer: &Value, code: i64, mentions: &str) {
    assert_eq!(answer["code"], code, "{answer}");
    let code_desc = match code {
        0 => "Success",
        4104 => "SecretidNotExit",
        _ => "AuthFailure",
    };
    assert_eq!(answer["codeDesc"], code_desc, "{answer}");
    let message = answer["message"].as_str().unwrap();
    assert!(message.contains(mentions), "{message}");
}

const CREATE: [(&str, &str); 6] = [
    ("vpcId", "gz_vpc_226"),
    ("peerVpcId", "gz_vpc_89"),
    ("peerUin", "2407912486"),
    ("peeringConnectionName", "test"),
    ("peerRegion", "gz"),
    ("bandwidth", "20"),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_sub_account_may_do_what_its_policy_permits_and_acts_for_its_owner() {
    let bed = Bed::start(Dataplane::None).await;
    let sub = sub_account(&bed).await;
    let refused = answer(&bed, &sub, "DescribeVpcEx", &[]).await;
    check(&refused, 4101, "name/vpc:DescribeVpcEx");

    let everything = json!({"effect": "allow", "action": "*", "resource": "*"});
    assert!(set_policy(&bed, everything.clone()).await.is_empty());
    let listed = answer(&bed, &sub, "DescribeVpcEx", &[]).await;
    check(&listed, 0, "");
    assert_eq!(listed["totalCount"], 2);
    let created = answer(&bed, &sub, "CreateVpcPeeringConnectionEx", &CREATE).await;
    check(&created, 0, "");
    // It is the owner's, also the task.
    bed.end_of(created["taskId"].as_u64().unwrap())
        .await
        .unwrap();
    let peerings = bed.call("gz", "DescribeVpcPeeringConnections", &[]).await;
    assert_eq!(peerings["totalCount"], 1);

    let pcx = peerings["data"][0]["peeringConnectionId"].as_str().unwrap();
    let denial = json!({
        "effect": "deny", "action": "name/vpc:Delete*", "resource": "qcs::vpc:::pcx/*",
    });
    set_policy(&bed, json!([everything, denial])).await;
    let delete = [("peeringConnectionId", pcx)];
    let refused = answer(&bed, &sub, "DeleteVpcPeeringConnectionEx", &delete).await;
    check(
        &refused,
        4102,
        &format!("qcs::vpc:gz:uin/{OWNER}:pcx/{pcx}"),
    );
    // What does not exist is refused alike.
    let unknown = [("peeringConnectionId", "pcx-zzzzzzzz")];
    let refused = answer(&bed, &sub, "DeleteVpcPeeringConnectionEx", &unknown).await;
    check(&refused, 4102, "pcx/pcx-zzzzzzzz");
    let left = bed.call("gz", "DescribeVpcPeeringConnections", &[]).await;
    assert_eq!(left["data"][0]["state"], 1, "{left}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_names_the_resources_and_nothing_else_of_the_account() {
    let bed = Bed::start(Dataplane::None).await;
    let sub = sub_account(&bed).await;
    let vpcs = bed.call("gz", "DescribeVpcEx", &[]).await;
    let id = |name: &str| {
        let vpcs = vpcs["data"].as_array().unwrap().iter();
        let mut found = vpcs.filter(|vpc| vpc["vpcName"] == name);
        found.next().unwrap()["unVpcId"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let (web, data) = (id("web"), id("data"));
    let statement = |vpc: &str| {
        json!({
            "effect": "allow",
            "action": ["name/vpc:Create*", "name/vpc:Describe*"],
            "resource": [format!("qcs::vpc:gz:uin/{OWNER}:vpc/{vpc}"), "qcs::vpc:::pcx/*"],
            "condition": {"string_equal": {"vpc:accepter_vpc_region": "gz"}},
        })
    };
    set_policy(&bed, statement(&data)).await;
    let refused = answer(&bed, &sub, "CreateVpcPeeringConnectionEx", &CREATE).await;
    check(&refused, 4102, &format!("vpc/{web}"));
    let message = refused["message"].as_str().unwrap();
    assert!(
        !message.contains("pcx/") && !message.contains(&data),
        "{message}"
    );
    // A list is of everything.
    let refused = answer(&bed, &sub, "DescribeVpcPeeringConnections", &[]).await;
    check(&refused, 4102, &format!("qcs::vpc:gz:uin/{OWNER}:*"));
    set_policy(&bed, statement(&web)).await;
    let created = answer(&bed, &sub, "CreateVpcPeeringConnectionEx", &CREATE).await;
    check(&created, 0, "");
    let mut far = CREATE;
    (far[1].1, far[4].1) = ("sh_vpc_7", "sh");
    let refused = answer(&bed, &sub, "CreateVpcPeeringConnectionEx", &far).await;
    check(&refused, 4102, "vpc/");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_is_not_understood_changes_nothing() {
    let bed = Bed::start(Dataplane::None).await;
    let sub = sub_account(&bed).await;
    let fine = json!({"effect": "allow", "action": "name/vpc:DescribeVpcEx", "resource": "*"});
    set_policy(&bed, fine.clone()).await;
    let before = bed.admin().policy(SUB).await.unwrap();
    for (statement, mentions) in [
        (
            json!({"effect": "allow", "action": "*", "resource": "*",
            "condition": {"ip_equal": {"qcs:ip": "10.0.0.0/8"}}}),
            "ip_equal",
        ),
        (
            json!([fine, {"effect": "allow", "action": "cvm:*", "resource": "*"}]),
            "statement 1",
        ),
        (json!({"effect": "allow", "action": "*"}), "resource"),
    ] {
        let policy = json!({"version": "2.0", "statement": statement}).to_string();
        let error = bed.admin().policy_set(SUB, &PolicyRequest { policy }).await;
        let error = error.unwrap_err().to_string();
        assert!(error.contains(mentions), "{error}");
    }
    assert_eq!(bed.admin().policy(SUB).await.unwrap(), before);
    check(&answer(&bed, &sub, "DescribeVpcEx", &[]).await, 0, "");
    // A misspelt action is legal, and told.
    let misspelt = json!({"effect": "deny", "action": "vpc:DeletePeering", "resource": "*"});
    let warnings = set_policy(&bed, misspelt).await;
    assert_eq!(
        warnings,
        ["`name/vpc:DeletePeering` matches no action of this server"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_changes_for_the_next_request() {
    let bed = Bed::start(Dataplane::None).await;
    let admin = bed.admin();
    let ask = KeyRequest {
        uin: OWNER,
        read_only: true,
        ..KeyRequest::default()
    };
    let key = admin.key_create(&ask).await.unwrap();
    let who = caller(&key);
    let list = async |who: &Caller| answer(&bed, who, "DescribeVpcEx", &[]).await;
    let create =
        async |who: &Caller| answer(&bed, who, "CreateVpcPeeringConnectionEx", &CREATE).await;
    check(&list(&who).await, 0, "");
    check(&create(&who).await, 4101, "read-only");
    let change = |enabled, read_only| KeyChange {
        secret_id: key.secret_id.clone(),
        enabled,
        read_only,
    };
    admin.key_change(&change(Some(false), None)).await.unwrap();
    check(&list(&who).await, 4104, "disabled");
    admin.key_change(&change(Some(true), None)).await.unwrap();
    let changed = admin.key_change(&change(None, Some(false))).await.unwrap();
    assert_eq!(
        (changed.read_only, changed.status.as_str()),
        (false, "enabled")
    );
    check(&create(&who).await, 0, "");

    let rotation = |secret_id: &str, grace_secs| KeyRotation {
        secret_id: secret_id.to_owned(),
        grace_secs,
    };
    let second = admin
        .key_rotate(&rotation(&key.secret_id, 60))
        .await
        .unwrap();
    check(&list(&who).await, 0, "");
    check(&list(&caller(&second)).await, 0, "");
    bed.clock.advance(std::time::Duration::from_secs(60));
    check(&list(&who).await, 4104, "");
    let third = admin
        .key_rotate(&rotation(&second.secret_id, 0))
        .await
        .unwrap();
    check(&list(&caller(&second)).await, 4104, "");
    check(&list(&caller(&third)).await, 0, "");
    let name = KeyName {
        secret_id: third.secret_id.clone(),
    };
    admin.key_delete(&name).await.unwrap();
    check(&list(&caller(&third)).await, 4104, "");

    let filter = OwnerFilter { uin: Some(OWNER) };
    let keys = admin.keys(&filter).await.unwrap();
    let shown: Vec<(&str, &str)> = keys
        .iter()
        .map(|key| (key.secret_id.as_str(), key.status.as_str()))
        .collect();
    let (old, second) = (key.secret_id.as_str(), second.secret_id.as_str());
    let seeded = first().secret_id;
    for expected in [
        (seeded.as_str(), "enabled"),
        (old, "ended"),
        (second, "disabled"),
    ] {
        assert!(shown.contains(&expected), "{expected:?}: {shown:?}");
    }
    assert_eq!(keys.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn rights_survive_a_restart() {
    let mut bed = Bed::start(Dataplane::None).await;
    let sub = sub_account(&bed).await;
    let reading = json!({"effect": "allow", "action": "vpc:Describe*", "resource": "*"});
    set_policy(&bed, reading).await;
    bed.stop().await;
    bed.run().await;
    check(&answer(&bed, &sub, "DescribeVpcEx", &[]).await, 0, "");
    let refused = answer(&bed, &sub, "CreateVpcPeeringConnectionEx", &CREATE).await;
    check(&refused, 4101, "CreateVpcPeeringConnectionEx");
    bed.admin().sub_account_delete(SUB).await.unwrap();
    check(&answer(&bed, &sub, "DescribeVpcEx", &[]).await, 4104, "");
}
