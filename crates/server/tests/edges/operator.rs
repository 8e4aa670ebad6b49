//! The operator's socket and what `/metrics` tells.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;

use api::sync::JoinString;
use http::Request;
use model::Region;
use server::admin::{AccountRequest, BindError, ClientError, KeyRequest, TokenRequest};
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
        secret_id: None,
        secret_key: None,
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
