//! The operator's socket and what `/metrics` tells.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;

use api::sync::JoinString;
use http::Request;
use model::Region;
use server::admin::{
    AccountRequest, AuditFilter, BindError, ClientError, KeyRequest, OwnerFilter, PeeringFilter,
    QuotasChange, SubAccountRequest, TaskFilter, TokenRequest,
};
use server::config::ServerConfig;
use server::{Dataplane, StartError};

use crate::bed::{Bed, START};
use crate::client::Caller;

#[tokio::test(flavor = "multi_thread")]
async fn a_new_account_calls_with_its_new_key() {
    let bed = Bed::start(Dataplane::None).await;
    let ask = AccountRequest {
        name: "third".to_owned(),
        uin: Some(3),
        app_id: None,
    };
    let account = bed.admin().account_create(&ask).await.unwrap();
    assert_eq!((account.uin, account.name.as_str()), (3, "third"));
    let ask = KeyRequest {
        uin: 3,
        ..KeyRequest::default()
    };
    let key = bed.admin().key_create(&ask).await.unwrap();
    let caller = Caller::new(&key.secret_id, &key.secret_key);
    let listed = bed.call_as(&caller, "gz", "DescribeVpcEx", &[]).await;
    assert_eq!(listed["totalCount"], 0);
    let accounts = bed.admin().accounts().await.unwrap();
    let uins: Vec<u64> = accounts.iter().map(|account| account.uin).collect();
    assert_eq!(uins, [3, 1_000_000_002, 2_407_912_486]);
    assert!(!format!("{key:?}").contains(&key.secret_key));
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_told_in_words() {
    let bed = Bed::start(Dataplane::None).await;
    let taken = AccountRequest {
        name: "again".to_owned(),
        uin: Some(2_407_912_486),
        app_id: None,
    };
    let error = bed.admin().account_create(&taken).await.unwrap_err();
    assert!(
        matches!(&error, ClientError::Refused(text) if text.contains("exists")),
        "{error}"
    );
    for (region, lifetime_secs, expected) in [
        ("mars", None, "mars"),
        ("gz", Some(0), "lifetime_secs"),
        ("gz", Some(u64::MAX), "from 1"),
    ] {
        let region = region.to_owned();
        let ask = TokenRequest {
            region,
            lifetime_secs,
        };
        let error = bed.admin().token_create(&ask).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
    let error = bed.admin().gateway_remove("gw-aaaaaaaa").await.unwrap_err();
    assert!(error.to_string().contains("gw-aaaaaaaa"), "{error}");
    let error = bed.admin().slice("nonsense").await.unwrap_err();
    assert!(matches!(error, ClientError::Refused(_)), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_join_string_leads_to_this_server() {
    let bed = Bed::start(Dataplane::Gateways).await;
    let join: JoinString = bed.join_string(Region::Shanghai).await.parse().unwrap();
    assert_eq!(join.address(), bed.sync().to_string());
    assert_eq!(join.secret().expose().len(), 16);
    let expected = START.secs().unsigned_abs() + 600;
    assert_eq!(join.expires_at_unix_secs(), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_gateway_is_to_carry_can_be_looked_at() {
    let bed = Bed::start(Dataplane::Gateways).await;
    let gz = bed.gateway(Region::Guangzhou).await;
    let slice = bed.admin().slice(&gz.id().to_string()).await.unwrap();
    assert_eq!(slice["region"], "gz");
    let vpcs = slice["vpcs"].as_object().unwrap();
    let mut legacy: Vec<&str> = vpcs
        .values()
        .map(|vpc| vpc["legacy_id"].as_str().unwrap())
        .collect();
    legacy.sort_unstable();
    assert_eq!(legacy, ["gz_vpc_226", "gz_vpc_89"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_socket_is_for_its_owner_and_goes_with_the_server() {
    let mut bed = Bed::start(Dataplane::None).await;
    let path = bed.path("admin.sock");
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let (admin, folder) = (bed.admin(), bed.path("state"));
    assert_eq!(
        fs::metadata(folder).unwrap().permissions().mode() & 0o777,
        0o700
    );
    bed.stop().await;
    assert!(!path.exists());
    let error = admin.accounts().await.unwrap_err();
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error}");
    let text = error.to_string();
    assert!(
        text.contains("peerway server") && text.contains(path.to_str().unwrap()),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_a_dead_server_left_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = ServerConfig::local(folder.path().join("state"));
    config.admin_socket = folder.path().join("admin.sock");

    let living = UnixListener::bind(&config.admin_socket).unwrap();
    let error = server::build(config.clone()).await.err().unwrap();
    assert!(
        matches!(error, StartError::Admin(BindError::InUse(_))),
        "{error}"
    );
    drop(living);
    assert!(config.admin_socket.exists());
    drop(server::build(config.clone()).await.unwrap());

    fs::write(&config.admin_socket, "precious").unwrap();
    let error = server::build(config.clone()).await.err().unwrap();
    assert!(
        matches!(error, StartError::Admin(BindError::NoSocket(_))),
        "{error}"
    );
    assert_eq!(fs::read(&config.admin_socket).unwrap(), b"precious");
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_count_calls_and_show_gateways_and_peerings() {
    let bed = Bed::start(Dataplane::Gateways).await;
    let _gz = bed.gateway(Region::Guangzhou).await;
    let parameters = [
        ("vpcId", "gz_vpc_226"),
        ("peerVpcId", "gz_vpc_89"),
        ("peerUin", "2407912486"),
        ("peeringConnectionName", "test"),
        ("peerRegion", "gz"),
        ("bandwidth", "20"),
    ];
    let answer = bed
        .call("gz", "CreateVpcPeeringConnectionEx", &parameters)
        .await;
    bed.end_of(answer["taskId"].as_u64().unwrap())
        .await
        .unwrap();
    let stranger = Caller::new("AKIDnobody", "key");
    let now = bed.clock_secs();
    bed.client()
        .call(&stranger, now, "gz", "DescribeVpcEx", &[])
        .await;
    let answer = bed.client().send(Request::get("/metrics"), "").await;
    assert_eq!(answer.status, 200);
    let text = String::from_utf8(answer.body.to_vec()).unwrap();
    let pcx = &bed.admin().peerings().await.unwrap()[0].id;
    let side = format!("region=\"gz\",peering=\"{pcx}\",side=\"accepter\"");
    for expected in [
        "peerway_api_requests_total{action=\"CreateVpcPeeringConnectionEx\",code=\"0\"} 1",
        "peerway_api_requests_total{action=\"DescribeVpcEx\",code=\"4104\"} 1",
        "peerway_api_request_seconds_bucket{action=\"DescribeVpcEx\",le=\"+Inf\"} 1",
        "peerway_tasks_running 0",
        "peerway_peerings{state=\"active\"} 1",
        "# TYPE peerway_store_syncs_total counter",
        "peerway_gateway_connected{gateway=",
        &format!("peerway_peering_bytes_total{{{side},direction=\"sent\"}} 300"),
        &format!("peerway_peering_drops_total{{{side},cause=\"no_route\"}} 5"),
    ] {
        assert!(text.contains(expected), "{expected}\n{text}");
    }
}

const FIRST: u64 = 2_407_912_486;

/// A peering of two accounts that waits for consent, and one of the first account's own.
async fn two_peerings(bed: &Bed) -> (String, String) {
    let create = async |to: (&str, &str, &str)| {
        let parameters = [
            ("vpcId", "gz_vpc_226"),
            ("peerVpcId", to.0),
            ("peerRegion", to.1),
            ("peerUin", to.2),
            ("peeringConnectionName", "test"),
            ("bandwidth", "20"),
        ];
        bed.call("gz", "CreateVpcPeeringConnectionEx", &parameters)
            .await;
    };
    create(("sh_vpc_8", "sh", "1000000002")).await;
    create(("gz_vpc_89", "gz", "2407912486")).await;
    let peerings = bed.admin().peerings().await.unwrap();
    let id = |state: &str| {
        let mut found = peerings.iter().filter(|peering| peering.state == state);
        found.next().unwrap().id.clone()
    };
    (id("pending"), id("active"))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_is_shown_with_what_belongs_to_it() {
    let bed = Bed::start(Dataplane::None).await;
    let ask = SubAccountRequest {
        owner: FIRST,
        name: "ci".to_owned(),
        uin: Some(77),
        policy: Some(r#"{"version":"2.0","statement":[]}"#.to_owned()),
    };
    bed.admin().sub_account_create(&ask).await.unwrap();
    two_peerings(&bed).await;
    let account = bed.admin().account(FIRST).await.unwrap();
    assert_eq!(account.account.name, "first");
    assert_eq!((account.vpcs, account.peerings), (3, 2));
    assert_eq!(account.keys.len(), 1);
    assert_eq!(account.sub_accounts[0].uin, 77);
    assert_eq!(account.quotas.peerings_per_vpc, 10);
    let of = |uin| OwnerFilter { uin };
    let all = bed.admin().sub_accounts(&of(None)).await.unwrap();
    assert_eq!(all, account.sub_accounts);
    assert!(
        bed.admin()
            .sub_accounts(&of(Some(1)))
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(bed.admin().keys(&of(None)).await.unwrap().len(), 2);
    let error = bed.admin().account(5).await.unwrap_err();
    assert!(error.to_string().contains("no account 5"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_raised_quota_counts_for_the_next_request() {
    let bed = Bed::start(Dataplane::None).await;
    let create = async |name: &str, cidr: &str| {
        let parameters = [("vpcName", name), ("cidrBlock", cidr)];
        let (now, caller) = (bed.clock_secs(), crate::bed::second());
        bed.client()
            .call(&caller, now, "gz", "CreateVpc", &parameters)
            .await
    };
    let set = async |vpcs_per_region| {
        let change = QuotasChange {
            vpcs_per_region: Some(vpcs_per_region),
            ..QuotasChange::default()
        };
        bed.admin().quotas_set(1_000_000_002, &change).await
    };
    let quotas = set(1).await.unwrap();
    assert_eq!((quotas.vpcs_per_region, quotas.peerings_per_vpc), (1, 10));
    assert_eq!(create("a", "10.20.0.0/16").await["code"], 0);
    assert_eq!(
        create("b", "10.21.0.0/16").await["codeDesc"],
        "VpcLimitExceeded"
    );
    set(2).await.unwrap();
    assert_eq!(create("b", "10.21.0.0/16").await["code"], 0);
    assert_eq!(
        bed.admin()
            .quotas(1_000_000_002)
            .await
            .unwrap()
            .vpcs_per_region,
        2
    );
    let nothing = QuotasChange::default();
    for (uin, change, mentions) in [(FIRST, nothing, "at least one"), (5, nothing, "at least")] {
        let error = bed.admin().quotas_set(uin, &change).await.unwrap_err();
        assert!(error.to_string().contains(mentions), "{error}");
    }
    let error = bed.admin().quotas(5).await.unwrap_err();
    assert!(error.to_string().contains("no account 5"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn peerings_and_tasks_are_listed_by_account_state_and_region() {
    let bed = Bed::start(Dataplane::None).await;
    let (pending, active) = two_peerings(&bed).await;
    let filter = |uin: Option<u64>, state: Option<&str>, region: Option<&str>| PeeringFilter {
        uin,
        state: state.map(str::to_owned),
        region: region.map(str::to_owned),
    };
    for (filter, expected) in [
        (filter(Some(FIRST), None, None), vec![&active, &pending]),
        (filter(Some(1_000_000_002), None, None), vec![&pending]),
        (filter(None, Some("active"), None), vec![&active]),
        (filter(None, None, Some("ap-shanghai")), vec![&pending]),
        (
            filter(Some(FIRST), Some("pending"), Some("gz")),
            vec![&pending],
        ),
        (filter(Some(7), None, None), vec![]),
    ] {
        let found = bed.admin().peerings_with(&filter).await.unwrap();
        let mut ids: Vec<&String> = found.iter().map(|peering| &peering.id).collect();
        let mut expected = expected;
        ids.sort_unstable();
        expected.sort_unstable();
        assert_eq!(ids, expected, "{filter:?}");
    }
    for (bad, mentions) in [
        (filter(None, Some("asleep"), None), "pending, active"),
        (filter(None, None, Some("mars")), "mars"),
    ] {
        let error = bed.admin().peerings_with(&bad).await.unwrap_err();
        assert!(error.to_string().contains(mentions), "{error}");
    }
    let shown = bed.admin().peering(&pending).await.unwrap();
    assert_eq!(
        (shown.state.as_str(), shown.accepter.uin),
        ("pending", 1_000_000_002)
    );
    for id in ["pcx-zzzzzzzz", "nonsense", "a/b?c"] {
        let error = bed.admin().peering(id).await.unwrap_err();
        assert!(matches!(error, ClientError::Refused(_)), "{id}: {error}");
    }
    let tasks = bed.admin().tasks(&TaskFilter::default()).await.unwrap();
    assert_eq!(tasks.len(), 2);
    let running = TaskFilter { running: true };
    assert!(bed.admin().tasks(&running).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_deletes_a_peering_of_others() {
    let bed = Bed::start(Dataplane::None).await;
    let (pending, active) = two_peerings(&bed).await;
    let started = bed.admin().peering_remove(&active).await.unwrap();
    bed.admin().peering_remove(&pending).await.unwrap();
    assert!(bed.admin().peerings().await.unwrap().is_empty());
    let listed = bed.call("gz", "DescribeVpcPeeringConnections", &[]).await;
    assert_eq!(listed["totalCount"], 0);
    let tasks = bed.admin().tasks(&TaskFilter::default()).await.unwrap();
    let task = tasks.iter().find(|task| task.id == started.task).unwrap();
    assert_eq!((task.kind.as_str(), task.uin), ("delete", 0));
    // It is no task of the accounts.
    let now = bed.clock_secs();
    let id = started.task.to_string();
    let asked = [("taskId", id.as_str())];
    let caller = crate::bed::first();
    let client = bed.client();
    let answer = client
        .call(&caller, now, "gz", "DescribeVpcTaskResult", &asked)
        .await;
    assert_ne!(answer["code"], 0);
    let error = bed.admin().peering_remove(&active).await.unwrap_err();
    assert!(error.to_string().contains("peering list"), "{error}");
    let filter = AuditFilter {
        action: Some("peering.delete".to_owned()),
        ..AuditFilter::default()
    };
    let audit = bed.admin().audit(&filter).await.unwrap();
    let results: Vec<_> = audit
        .entries
        .iter()
        .map(|entry| &entry["result"]["code"])
        .collect();
    assert_eq!(results, [0, 0, 400]);
    let again = AuditFilter {
        after: Some(audit.next),
        ..filter
    };
    assert!(bed.admin().audit(&again).await.unwrap().entries.is_empty());
    let bad = AuditFilter {
        limit: Some(1_000_000),
        ..AuditFilter::default()
    };
    let error = bed.admin().audit(&bad).await.unwrap_err();
    assert!(error.to_string().contains("10000"), "{error}");
}
