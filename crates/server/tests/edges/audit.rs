//! What the audit log says of calls and operators.

use std::fs;

use serde_json::{Value, json};
use server::Dataplane;
use server::admin::{AuditFilter, KeyRequest, QuotasChange};

use crate::bed::{Bed, SECRET_KEY, first, second};
use crate::client::Caller;

async fn entries(bed: &Bed, action: &str) -> Vec<Value> {
    let filter = AuditFilter {
        action: Some(action.to_owned()),
        ..AuditFilter::default()
    };
    let page = bed.admin().audit(&filter).await.unwrap();
    let mut entries = page.entries;
    for entry in &mut entries {
        let from = entry["from"].as_str().unwrap();
        if from.starts_with("127.0.0.1:") {
            entry["from"] = "client".into();
        }
    }
    entries
}

const ACTION: &str = "CreateVpcPeeringConnectionEx";

const CREATE: [(&str, &str); 6] = [
    ("vpcId", "gz_vpc_226"),
    ("peerVpcId", "gz_vpc_89"),
    ("peerUin", "2407912486"),
    ("peeringConnectionName", "a name"),
    ("peerRegion", "gz"),
    ("bandwidth", "20"),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_changes_something_is_written_down_with_its_result() {
    let bed = Bed::start(Dataplane::None).await;
    let now = bed.clock_secs();
    let created = bed.call("gz", ACTION, &CREATE).await;
    let pcx = bed.admin().peerings().await.unwrap()[0].id.clone();
    let refused = bed
        .client()
        .call(&first(), now, "gz", ACTION, &CREATE)
        .await;
    assert_eq!(refused["code"], 4000);
    let named = json!({
        "Region": "gz", "bandwidth": "20", "peerRegion": "gz", "peerUin": "2407912486",
        "peerVpcId": "gz_vpc_89", "vpcId": "gz_vpc_226",
    });
    let who = json!({"uin": 2_407_912_486_u64, "secret_id": first().secret_id});
    let time = "2027-01-15T08:00:00.000Z";
    assert_eq!(
        entries(&bed, ACTION).await,
        [
            json!({
                "time": time, "who": who, "action": ACTION, "named": named, "from": "client",
                "result": {
                    "code": 0, "code_desc": "Success", "task": created["taskId"], "ids": [pcx],
                },
            }),
            json!({
                "time": time, "who": who, "action": ACTION, "named": named, "from": "client",
                "result": {
                    "code": 4000, "code_desc": "PeeringConnectionVpcConflict",
                    "message": refused["message"],
                },
            }),
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_and_strangers_are_not_written_down_but_refusals_are() {
    let bed = Bed::start(Dataplane::None).await;
    let now = bed.clock_secs();
    bed.call("gz", "DescribeVpcEx", &[]).await;
    let stranger = Caller::new("AKIDnobody", "key");
    let forger = Caller::new(&first().secret_id, "notthekey");
    for who in [&stranger, &forger] {
        bed.client().call(who, now, "gz", ACTION, &CREATE).await;
    }
    assert_eq!(entries(&bed, "*").await, [] as [Value; 0]);

    let ask = KeyRequest {
        uin: 2_407_912_486,
        sub_account: None,
        read_only: true,
        ..KeyRequest::default()
    };
    let key = bed.admin().key_create(&ask).await.unwrap();
    let reader = Caller::new(&key.secret_id, &key.secret_key);
    bed.client().call(&reader, now, "gz", ACTION, &CREATE).await;
    // What cannot be parsed was still asked for.
    bed.client()
        .call(&second(), now, "sh", ACTION, &[("vpcId", "x")])
        .await;
    let found = entries(&bed, ACTION).await;
    let seen: Vec<(&Value, &Value)> = found
        .iter()
        .map(|entry| (&entry["who"]["secret_id"], &entry["result"]["code"]))
        .collect();
    let (reader, other) = (json!(key.secret_id), json!("AKIDother"));
    assert_eq!(seen, [(&reader, &json!(4101)), (&other, &json!(4000))]);
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_are_written_down_without_secrets() {
    let bed = Bed::start(Dataplane::None).await;
    let ask = KeyRequest {
        uin: 2_407_912_486,
        secret_id: Some("AKIDgiven".to_owned()),
        secret_key: Some("avisiblesecret".to_owned()),
        ..KeyRequest::default()
    };
    bed.admin().key_create(&ask).await.unwrap();
    bed.admin().key_create(&ask).await.unwrap_err();
    let change = QuotasChange {
        peerings_per_vpc: Some(20),
        ..QuotasChange::default()
    };
    bed.admin()
        .quotas_set(2_407_912_486, &change)
        .await
        .unwrap();
    let operator = json!({"operator": nix::unistd::geteuid().as_raw()});
    let (time, from) = ("2027-01-15T08:00:00.000Z", "admin-socket");
    let named = json!({"read_only": "false", "secret_id": "AKIDgiven", "uin": "2407912486"});
    assert_eq!(
        entries(&bed, "*").await,
        [
            json!({
                "time": time, "who": operator, "action": "key.create", "named": named,
                "from": from, "result": {
                    "code": 0, "code_desc": "Success", "ids": ["AKIDgiven"],
                },
            }),
            json!({
                "time": time, "who": operator, "action": "key.create", "named": named,
                "from": from, "result": {
                    "code": 400, "code_desc": "Refused",
                    "message": "access key AKIDgiven exists already",
                },
            }),
            json!({
                "time": time, "who": operator, "action": "quota.set",
                "named": {"peerings_per_vpc": "20", "uin": "2407912486"},
                "from": from, "result": {"code": 0, "code_desc": "Success"},
            }),
        ]
    );
    let file = bed.path("state/audit/audit-00000001.jsonl");
    let text = fs::read_to_string(file).unwrap();
    for secret in ["avisiblesecret", SECRET_KEY] {
        assert!(!text.contains(secret));
    }
}
