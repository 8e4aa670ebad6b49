//! Requests that come again, and requests that come too often.

use std::time::Duration;

use api::tencent::Method;
use api::tencent::signature::PATH;
use bytes::Bytes;
use http::Request;
use serde_json::Value;
use server::admin::{AuditFilter, QuotasChange, RateView};
use server::config::Replay;
use server::{Dataplane, Rate};

use crate::bed::{Bed, eventually, first, second};
use crate::client::{Answer, Caller, form};

type Pairs = Vec<(String, String)>;

const FIRST: u64 = 2_407_912_486;

const VPC: [(&str, &str); 2] = [("vpcName", "new"), ("cidrBlock", "10.50.0.0/16")];

const PEERING: [(&str, &str); 6] = [
    ("vpcId", "gz_vpc_226"),
    ("peerVpcId", "gz_vpc_89"),
    ("peerUin", "2407912486"),
    ("peeringConnectionName", "a name"),
    ("peerRegion", "gz"),
    ("bandwidth", "20"),
];

/// A signed request of the first account, not sent yet.
fn signed(bed: &Bed, action: &str, parameters: &[(&str, &str)]) -> Pairs {
    let caller = first();
    let all = caller.parameters(bed.clock_secs(), "gz", action, parameters);
    caller.sign(Method::Get, all)
}

/// The same request by POST: only the signature is another one.
fn posted(request: &Pairs) -> String {
    let unsigned = request.iter().filter(|(name, _)| name != "Signature");
    form(&first().sign(Method::Post, unsigned.cloned().collect()))
}

async fn post(bed: &Bed, request: &Pairs) -> Answer {
    bed.client()
        .send(Request::post(PATH), posted(request))
        .await
}

async fn body(bed: &Bed, request: &Pairs) -> Bytes {
    bed.client().get(request).await.body
}

async fn code(bed: &Bed, request: &Pairs) -> i64 {
    bed.client().get(request).await.json()["code"]
        .as_i64()
        .unwrap()
}

async fn vpcs(bed: &Bed) -> u64 {
    let list = bed.call("gz", "DescribeVpcEx", &[]).await;
    list["totalCount"].as_u64().unwrap()
}

async fn metric(bed: &Bed, name: &str) -> f64 {
    let metrics = bed.client().send(Request::get("/metrics"), "").await;
    let text = String::from_utf8(metrics.body.to_vec()).unwrap();
    let line = text.lines().find(|line| line.starts_with(name));
    let line = line.unwrap_or_else(|| panic!("no {name} in {text}"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_write_gets_its_first_answer_and_has_no_second_effect() {
    let bed = Bed::start(Dataplane::None).await;
    let before = vpcs(&bed).await;
    let create = signed(&bed, "CreateVpc", &VPC);
    let answer = body(&bed, &create).await;
    for _ in 0..3 {
        assert_eq!(body(&bed, &create).await, answer);
    }
    let reversed: Pairs = create.iter().rev().cloned().collect();
    assert_eq!(body(&bed, &reversed).await, answer);
    assert_eq!(post(&bed, &create).await.body, answer);
    assert_eq!(vpcs(&bed).await, before + 1);
    // What has changed since then makes no difference.
    let created: Value = serde_json::from_slice(&answer).unwrap();
    assert_eq!(created["code"], 0, "{created}");
    let vpc = created["vpcId"].as_str().unwrap().to_owned();
    let more = [
        ("vpcId", vpc.as_str()),
        ("subnetSet.0.cidrBlock", "10.50.1.0/24"),
        ("subnetSet.0.subnetName", "new"),
        ("subnetSet.0.zoneId", "100001"),
    ];
    bed.call("gz", "CreateSubnet", &more).await;
    assert_eq!(body(&bed, &create).await, answer);
    // Another nonce makes it another request.
    assert_ne!(body(&bed, &signed(&bed, "CreateVpc", &VPC)).await, answer);
    assert_eq!(vpcs(&bed).await, before + 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn any_difference_makes_a_request_another_one() {
    let bed = Bed::start(Dataplane::None).await;
    let before = vpcs(&bed).await;
    let caller = first();
    let base = caller.parameters(bed.clock_secs(), "gz", "CreateVpc", &VPC);
    let changed = |name: &str, value: String| -> Pairs {
        let pairs = base.iter().map(|(known, old)| match known == name {
            true => (known.clone(), value.clone()),
            false => (known.clone(), old.clone()),
        });
        pairs.collect()
    };
    let mut longer = base.clone();
    longer.push(("RequestClient".to_owned(), "test".to_owned()));
    let variants = [
        base.clone(),
        changed("Timestamp", (bed.clock_secs() + 1).to_string()),
        changed("vpcName", "other".to_owned()),
        longer,
    ];
    for (number, variant) in (1..).zip(variants) {
        let request = caller.sign(Method::Get, variant);
        assert_eq!(code(&bed, &request).await, 0);
        assert_eq!(code(&bed, &request).await, 0);
        assert_eq!(vpcs(&bed).await, before + number);
        if number == 3 {
            let more = QuotasChange {
                vpcs_per_region: Some(100),
                ..QuotasChange::default()
            };
            bed.admin().quotas_set(FIRST, &more).await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_an_answer_too() {
    let bed = Bed::start(Dataplane::None).await;
    let made = bed
        .call("gz", "CreateVpcPeeringConnectionEx", &PEERING)
        .await;
    bed.end_of(made["taskId"].as_u64().unwrap()).await.unwrap();
    let again = signed(&bed, "CreateVpcPeeringConnectionEx", &PEERING);
    let refused = body(&bed, &again).await;
    let decoded: Value = serde_json::from_slice(&refused).unwrap();
    assert_eq!(decoded["codeDesc"], "PeeringConnectionVpcConflict");
    let pcx = bed.admin().peerings().await.unwrap()[0].id.clone();
    let delete = [("peeringConnectionId", pcx.as_str())];
    bed.call("gz", "DeleteVpcPeeringConnectionEx", &delete)
        .await;
    assert_eq!(body(&bed, &again).await, refused);
    assert_eq!(bed.admin().peerings().await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn first_answers_outlive_a_restart() {
    let mut bed = Bed::start(Dataplane::None).await;
    let create = signed(&bed, "CreateVpc", &VPC);
    let refused = signed(
        &bed,
        "CreateVpc",
        &[("vpcName", "x"), ("cidrBlock", "8.8.0.0/16")],
    );
    let answers = [body(&bed, &create).await, body(&bed, &refused).await];
    let made = vpcs(&bed).await;
    bed.stop().await;
    bed.run().await;
    assert_eq!(body(&bed, &create).await, answers[0]);
    assert_eq!(body(&bed, &refused).await, answers[1]);
    assert_eq!(vpcs(&bed).await, made);
    assert_eq!(metric(&bed, "peerway_answers_remembered ").await, 2.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn equal_requests_at_the_same_time_have_one_effect_and_one_answer() {
    let bed = Bed::start(Dataplane::None).await;
    let before = vpcs(&bed).await;
    let create = signed(&bed, "CreateVpc", &VPC);
    let calls = (0..16).map(|_| body(&bed, &create));
    let answers = futures::future::join_all(calls).await;
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    let created: Value = serde_json::from_slice(&answers[0]).unwrap();
    assert_eq!(created["code"], 0, "{created}");
    assert_eq!(vpcs(&bed).await, before + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_read_is_answered_anew() {
    let bed = Bed::start(Dataplane::None).await;
    let list = signed(&bed, "DescribeVpcEx", &[]);
    let before = bed.client().get(&list).await.json();
    bed.call("gz", "CreateVpc", &VPC).await;
    let after = bed.client().get(&list).await.json();
    let count = |list: &Value| list["totalCount"].as_u64().unwrap();
    assert_eq!(count(&after), count(&before) + 1);
    // Only the write is remembered.
    assert_eq!(metric(&bed, "peerway_answers_remembered ").await, 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_strict_mode_refuses_repetitions_of_reads_and_writes() {
    let strict = |config: &mut server::config::ServerConfig| config.replay = Replay::Strict;
    let mut bed = Bed::start_with(Dataplane::None, strict).await;
    let before = vpcs(&bed).await;
    let create = signed(&bed, "CreateVpc", &VPC);
    let refused = signed(
        &bed,
        "CreateVpc",
        &[("vpcName", "x"), ("cidrBlock", "8.8.0.0/16")],
    );
    let list = signed(&bed, "DescribeVpcEx", &[]);
    for (request, expected) in [(&create, 0), (&refused, 4000), (&list, 0)] {
        assert_eq!(code(&bed, request).await, expected);
        for _ in 0..2 {
            let again = bed.client().get(request).await.json();
            assert_eq!(again["code"], 4500, "{again}");
            assert_eq!(again["codeDesc"], "InvalidRequest.ReplayAttack");
        }
    }
    bed.stop().await;
    bed.run().await;
    assert_eq!(code(&bed, &create).await, 4500);
    assert_eq!(vpcs(&bed).await, before + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_never_decided_is_not_remembered() {
    let bed = Bed::start(Dataplane::None).await;
    let malformed = signed(&bed, "CreateVpc", &[("cidrBlock", "10.50.0.0/16")]);
    assert_eq!(code(&bed, &malformed).await, 4000);
    let mut forged = signed(&bed, "CreateVpc", &VPC);
    let signature = forged.pop().unwrap();
    let forger = Caller::new(&first().secret_id, "wrong");
    let wrong = forger.sign(Method::Get, forged.clone());
    assert_eq!(code(&bed, &wrong).await, 4100);
    assert_eq!(metric(&bed, "peerway_answers_remembered ").await, 0.0);
    // Who cannot sign learns nothing of an answer, nor takes it away.
    forged.push(signature);
    assert_eq!(code(&bed, &forged).await, 0);
    assert_eq!(code(&bed, &wrong).await, 4100);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_kept_as_long_as_its_request_is_accepted() {
    let window = |config: &mut server::config::ServerConfig| {
        config.clock_window = Duration::from_secs(300);
    };
    let bed = Bed::start_with(Dataplane::None, window).await;
    let early = bed.clock_secs() - 300;
    let late = bed.clock_secs() + 300;
    let caller = first();
    let at = |secs| {
        caller.sign(
            Method::Get,
            caller.parameters(secs, "gz", "CreateVpc", &VPC),
        )
    };
    let outside = [at(early - 1), at(late + 1)];
    for request in &outside {
        let stale = bed.client().get(request).await.json();
        assert_eq!(stale["code"], 4500, "{stale}");
        assert_eq!(stale["codeDesc"], "InvalidRequest.ReplayAttack");
    }
    let (oldest, newest) = (at(early), at(late));
    let answers = [body(&bed, &oldest).await, body(&bed, &newest).await];
    let before = vpcs(&bed).await;
    let remembered = async || metric(&bed, "peerway_answers_remembered ").await;
    assert_eq!(body(&bed, &oldest).await, answers[0]);
    bed.clock.advance(Duration::from_secs(1));
    assert_eq!(code(&bed, &oldest).await, 4500);
    eventually("the oldest answer is forgotten", async || {
        remembered().await == 1.0
    })
    .await;
    assert_eq!(body(&bed, &newest).await, answers[1]);
    bed.clock.advance(Duration::from_secs(600));
    assert_eq!(code(&bed, &newest).await, 4500);
    eventually("the newest answer is forgotten", async || {
        remembered().await == 0.0
    })
    .await;
    assert_eq!(vpcs(&bed).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn repetitions_are_counted_and_written_down_as_such() {
    let bed = Bed::start(Dataplane::None).await;
    let create = signed(&bed, "CreateVpcPeeringConnectionEx", &PEERING);
    let answer = bed.client().get(&create).await.json();
    bed.client().get(&create).await;
    let name = "peerway_api_repetitions_total{action=\"CreateVpcPeeringConnectionEx\"}";
    assert_eq!(metric(&bed, name).await, 1.0);
    let calls = "peerway_api_requests_total{action=\"CreateVpcPeeringConnectionEx\",code=\"0\"}";
    assert_eq!(metric(&bed, calls).await, 2.0);
    let filter = AuditFilter {
        action: Some("CreateVpcPeeringConnectionEx".to_owned()),
        ..AuditFilter::default()
    };
    let entries = bed.admin().audit(&filter).await.unwrap().entries;
    let repeated: Vec<&Value> = entries.iter().map(|entry| &entry["repeated"]).collect();
    assert_eq!(repeated, [&Value::Null, &Value::Bool(true)]);
    for entry in &entries {
        assert_eq!(entry["result"]["code"], 0, "{entry}");
        assert_eq!(entry["result"]["task"], answer["taskId"], "{entry}");
    }
}

/// How many of some equal calls, each with a nonce of its own, are answered.
async fn answered(bed: &Bed, caller: &Caller, action: &str, calls: usize) -> usize {
    let mut answered = 0;
    for _ in 0..calls {
        let now = bed.clock_secs();
        let answer = bed.client().call(caller, now, "gz", action, &[]).await;
        match answer["code"].as_i64().unwrap() {
            0 => answered += 1,
            code => {
                assert_eq!(code, 4400, "{answer}");
                assert_eq!(answer["codeDesc"], "InvalidRequest.LimitExceeded");
                assert!(answer["message"].as_str().unwrap().contains(action));
            }
        }
    }
    answered
}

fn three_a_second(config: &mut server::config::ServerConfig) {
    config.rate_limit = Rate(3);
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_are_limited_for_each_account_and_action() {
    let bed = Bed::start_with(Dataplane::None, three_a_second).await;
    assert_eq!(answered(&bed, &first(), "DescribeVpcEx", 5).await, 3);
    assert_eq!(answered(&bed, &first(), "DescribeSubnetEx", 5).await, 3);
    assert_eq!(answered(&bed, &second(), "DescribeVpcEx", 5).await, 3);
    bed.clock.advance(Duration::from_millis(334));
    assert_eq!(answered(&bed, &first(), "DescribeVpcEx", 5).await, 1);
    bed.clock.advance(Duration::from_secs(60));
    assert_eq!(answered(&bed, &first(), "DescribeVpcEx", 5).await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_cannot_sign_uses_up_nobodys_rate() {
    let bed = Bed::start_with(Dataplane::None, three_a_second).await;
    let forger = Caller::new(&first().secret_id, "wrong");
    for _ in 0..5 {
        let now = bed.clock_secs();
        let forged = bed
            .client()
            .call(&forger, now, "gz", "DescribeVpcEx", &[])
            .await;
        assert_eq!(forged["code"], 4100);
    }
    assert_eq!(answered(&bed, &first(), "DescribeVpcEx", 5).await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn actions_that_do_not_exist_share_one_rate() {
    let bed = Bed::start_with(Dataplane::None, three_a_second).await;
    let mut codes = Vec::new();
    for number in 0..5 {
        let (now, action) = (bed.clock_secs(), format!("Nothing{number}"));
        let answer = bed.client().call(&first(), now, "gz", &action, &[]).await;
        codes.push(answer["code"].as_i64().unwrap());
    }
    assert_eq!(codes, [6100, 6100, 6100, 4400, 4400]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_gives_an_account_another_rate() {
    let mut bed = Bed::start_with(Dataplane::None, three_a_second).await;
    let set = async |bed: &Bed, rate| {
        let change = QuotasChange {
            requests_per_second: Some(rate),
            ..QuotasChange::default()
        };
        let quotas = bed.admin().quotas_set(FIRST, &change).await.unwrap();
        assert_eq!(quotas.requests_per_second, rate);
    };
    let shown = bed.admin().quotas(FIRST).await.unwrap();
    assert_eq!(shown.requests_per_second, RateView::Default);
    set(&bed, RateView::PerSecond(5)).await;
    assert_eq!(answered(&bed, &first(), "DescribeVpcEx", 8).await, 5);
    assert_eq!(answered(&bed, &second(), "DescribeVpcEx", 8).await, 3);
    bed.stop().await;
    bed.run().await;
    let shown = bed.admin().quotas(FIRST).await.unwrap();
    assert_eq!(shown.requests_per_second, RateView::PerSecond(5));
    assert_eq!(answered(&bed, &first(), "DescribeVpcEx", 8).await, 5);
    set(&bed, RateView::PerSecond(0)).await;
    assert_eq!(answered(&bed, &first(), "DescribeVpcEx", 8).await, 8);
    set(&bed, RateView::Default).await;
    assert_eq!(answered(&bed, &first(), "DescribeSubnetEx", 8).await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_of_zero_is_no_limit() {
    let unlimited = |config: &mut server::config::ServerConfig| {
        config.rate_limit = Rate::UNLIMITED;
    };
    let bed = Bed::start_with(Dataplane::None, unlimited).await;
    assert_eq!(answered(&bed, &first(), "DescribeVpcEx", 120).await, 120);
}
