//! The local verbs and the metrics.

use std::net::Ipv4Addr;

use api::sync::ServerMessage;
use kernel::step::{Change, Step};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::server::FakeServer;
use super::site::{Running, Site, mode};
use crate::control::{AttachRequest, AttachTarget, ClientError};
use crate::explain::Finding;
use crate::testing::{slice, subnet_id, vpc, vpc_id};

fn request(name: &str) -> AttachRequest {
    AttachRequest {
        name: name.to_owned(),
        vpc: "gz_vpc_1".to_owned(),
        subnet: "10.1.1.0/24".to_owned(),
        target: AttachTarget::Namespace {
            name: format!("ns-{name}"),
            interface: "eth0".to_owned(),
        },
        configure: true,
        address: None,
    }
}

async fn joined() -> (FakeServer, Site, Running) {
    let server = FakeServer::start(Some(slice(7))).await;
    let site = Site::new();
    let gateway = site.start(Some(server.join_string())).await;
    gateway.await_generation(7).await;
    (server, site, gateway)
}

fn is_attached(site: &Site, name: &str) -> bool {
    site.kernel
        .applied()
        .iter()
        .any(|step| matches!(step, Step::In(_, Change::Attach(attach)) if attach.name == name))
}

#[tokio::test]
async fn attach_and_detach() {
    let (_server, site, gateway) = joined().await;
    assert_eq!(mode(&site.socket()), 0o600);
    let blocked = gateway.client.status().await.unwrap().peerings[0]
        .findings
        .clone();
    assert!(blocked.contains(&Finding::NoAttachment {
        vpc: vpc_id(1).to_string()
    }));

    let reply = gateway.client.attach(&request("web")).await.unwrap();
    assert_eq!(reply.vpc, vpc_id(1).to_string());
    assert_eq!(reply.subnet, subnet_id(1).to_string());
    assert_eq!(reply.address, Some(Ipv4Addr::new(10, 1, 1, 2)));
    assert_eq!(reply.host_commands, Vec::<String>::new());
    assert!(is_attached(&site, "web"));
    let status = gateway.client.status().await.unwrap();
    assert_eq!(status.attachments["web"].error, None);
    let is_absent = |finding: &Finding| matches!(finding, Finding::NoAttachment { .. });
    assert!(!status.peerings[0].findings.iter().any(is_absent));

    gateway.client.detach("web").await.unwrap();
    assert!(gateway.client.attachments().await.unwrap().is_empty());
    let detached = |step: &Step| matches!(step, Step::In(_, Change::Detach { .. }));
    assert!(site.kernel.applied().iter().any(detached));
    let error = gateway.client.detach("web").await.unwrap_err();
    assert!(
        matches!(error, ClientError::Refused { status: 404, .. }),
        "{error:?}"
    );
    gateway.stop().await.unwrap();
}

#[tokio::test]
async fn without_configure_the_commands_for_the_host_are_given() {
    let (_server, _site, gateway) = joined().await;
    let address = Some(Ipv4Addr::new(10, 1, 1, 77));
    let request = AttachRequest {
        configure: false,
        address,
        ..request("web")
    };
    let reply = gateway.client.attach(&request).await.unwrap();
    assert!(
        reply
            .host_commands
            .iter()
            .any(|line| line.contains("10.1.1.77/24")),
        "{reply:?}"
    );
    assert!(
        reply
            .host_commands
            .iter()
            .any(|line| line.contains("mtu 1390")),
        "{reply:?}"
    );
    gateway.stop().await.unwrap();
}

#[tokio::test]
async fn what_the_kernel_refuses_is_not_remembered() {
    let (_server, site, gateway) = joined().await;
    site.kernel
        .refuse(|step| matches!(step, Step::In(_, Change::Attach(_))));
    let error = gateway.client.attach(&request("web")).await.unwrap_err();
    assert!(
        matches!(error, ClientError::Refused { status: 409, .. }),
        "{error:?}"
    );
    assert!(gateway.client.attachments().await.unwrap().is_empty());
    site.kernel.allow_all();
    gateway.client.attach(&request("other")).await.unwrap();
    assert!(!is_attached(&site, "web"));
    gateway.stop().await.unwrap();
}

#[tokio::test]
async fn a_vpc_that_was_just_made_is_waited_for() {
    let (server, _site, gateway) = joined().await;
    let late = AttachRequest {
        vpc: "gz_vpc_3".to_owned(),
        subnet: "10.3.1.0/24".to_owned(),
        ..request("late")
    };
    let mut next = slice(8);
    next.vpcs.insert(vpc_id(3), vpc(3));
    let (reply, ()) = tokio::join!(gateway.client.attach(&late), async {
        server.send(ServerMessage::Change(slice(7).change_to(&next)));
    });
    assert_eq!(reply.unwrap().vpc, vpc_id(3).to_string());
    gateway.stop().await.unwrap();
}

#[tokio::test]
async fn a_vpc_of_nobody_is_refused_with_its_name() {
    let (_server, _site, gateway) = joined().await;
    let request = AttachRequest {
        vpc: "gz_vpc_999".to_owned(),
        ..request("web")
    };
    let error = gateway.client.attach(&request).await.unwrap_err();
    assert!(error.to_string().contains("gz_vpc_999"), "{error}");
    gateway.stop().await.unwrap();
}

#[tokio::test]
async fn the_plan_shows_what_is_to_be_done_and_does_nothing() {
    let (_server, site, gateway) = joined().await;
    assert!(gateway.client.plan().await.unwrap().steps.is_empty());
    site.kernel.disturb(|observed| {
        observed.vpcs.get_mut(&vpc_id(1)).unwrap().routes.clear();
    });
    let steps = gateway.client.plan().await.unwrap().steps;
    assert_eq!(steps.len(), 2, "{steps:?}");
    assert_eq!(gateway.client.plan().await.unwrap().steps, steps);
    gateway.stop().await.unwrap();
}

#[tokio::test]
async fn nobody_on_the_socket_is_said_in_words() {
    let site = Site::new();
    let error = crate::control::Client::new(site.socket())
        .status()
        .await
        .unwrap_err();
    assert!(error.to_string().contains("no gateway listens"), "{error}");
}

async fn fetch(gateway: &Running, path: &str) -> String {
    let mut stream = tokio::net::TcpStream::connect(gateway.telemetry)
        .await
        .unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn health_and_metrics_are_served() {
    let (_server, site, gateway) = joined().await;
    assert!(
        fetch(&gateway, "/healthz")
            .await
            .starts_with("HTTP/1.1 200")
    );
    let metrics = fetch(&gateway, "/metrics").await;
    assert!(
        metrics.contains("peerway_gateway_generation 7"),
        "{metrics}"
    );
    assert!(
        metrics.contains("peerway_gateway_server_connected 1"),
        "{metrics}"
    );

    site.kernel.refuse(|_| true);
    site.kernel
        .disturb(|observed| drop(observed.vpcs.remove(&vpc_id(1))));
    // The failed attach makes the loop look at the kernel.
    gateway.client.attach(&request("web")).await.unwrap_err();
    let health = fetch(&gateway, "/healthz").await;
    assert!(health.starts_with("HTTP/1.1 503"), "{health}");
    gateway.stop().await.unwrap();
}
