//! Joining, and the connection to the server.

use std::time::Duration;

use api::sync::ServerMessage;
use model::Generation;
use tonic::Status;
use tunnel::TunnelEvent;

use super::server::FakeServer;
use super::site::{Site, mode};
use crate::error::{JoinError, RunError, StartError, StateError};
use crate::status::Connection;
use crate::testing::{TestCa, gateway_id, peering_key, slice, vpc_id};

#[tokio::test]
async fn a_gateway_joins_follows_the_server_and_reports() {
    let server = FakeServer::start(Some(slice(7))).await;
    let site = Site::new();
    let gateway = site.start(Some(server.join_string())).await;
    let status = gateway.await_generation(7).await;
    assert_eq!(status.gateway, Some(gateway_id().to_string()));
    assert_eq!(status.server.connection, Connection::Connected);
    assert!(gateway.forwarder.vpcs().contains(&vpc_id(1)));

    let seen = server
        .await_seen(|seen| {
            seen.reports
                .iter()
                .any(|report| report.generation == Generation(7))
        })
        .await;
    assert_eq!(seen.joins.len(), 1);
    assert_eq!(seen.joins[0].endpoint.as_deref(), Some("192.0.2.1:51820"));
    assert_eq!(seen.hellos[0].running, Generation(0));
    for name in [
        "ca.pem",
        "server",
        "gateway",
        "slice.json",
        "identity.key",
        "tunnel.key",
    ] {
        assert_eq!(mode(&site.state_file(name)), 0o600, "{name}");
    }
    gateway.stop().await.unwrap();
    assert!(!site.socket().exists());
}

#[tokio::test]
async fn a_crossed_probe_is_reported_at_once() {
    let server = FakeServer::start(Some(slice(7))).await;
    let site = Site::new();
    let gateway = site.start(Some(server.join_string())).await;
    gateway.await_generation(7).await;
    let (peering, side) = peering_key();
    gateway
        .forwarder
        .status
        .lock()
        .unwrap()
        .peerings
        .entry((peering, side))
        .or_default()
        .last_probe = Some(Duration::ZERO);
    let vni = model::Vni::FIRST;
    let started = std::time::Instant::now();
    gateway
        .forwarder
        .emit(TunnelEvent::ProbeCrossed { peering, side, vni });
    let crossed = |seen: &super::server::Seen| {
        let last = seen
            .reports
            .last()
            .and_then(|report| report.peerings.get(&(peering, side)));
        last.is_some_and(|peering| peering.probe_crossed)
    };
    server.await_seen(crossed).await;
    assert!(
        started.elapsed() < Duration::from_millis(900),
        "{:?}",
        started.elapsed()
    );
    gateway.stop().await.unwrap();
}

#[tokio::test]
async fn another_server_gets_no_secret() {
    let server = FakeServer::start(Some(slice(7))).await;
    let site = Site::new();
    let gateway = site.start(Some(server.join_string_with_pin([9; 32]))).await;
    let error = gateway.ended().await.unwrap_err();
    assert!(
        matches!(error, RunError::Join(JoinError::WrongServer(_))),
        "{error:?}"
    );
    assert!(server.seen().joins.is_empty());
    assert!(!site.state_file("gateway").exists() && !site.state_file("ca.pem").exists());
}

#[tokio::test]
async fn a_refused_join_ends_the_gateway_with_the_servers_words() {
    let server = FakeServer::start(None).await;
    server.change(|behaviour| {
        behaviour.refuse_join = Some(Status::already_exists("region gz already has a gateway"));
    });
    let site = Site::new();
    let error = site
        .start(Some(server.join_string()))
        .await
        .ended()
        .await
        .unwrap_err();
    let RunError::Join(JoinError::Refused(message)) = error else {
        panic!("{error:?}")
    };
    assert_eq!(message, "region gz already has a gateway");
}

#[tokio::test]
async fn a_server_that_is_not_there_yet_is_waited_for() {
    let server = FakeServer::start(Some(slice(7))).await;
    server.change(|behaviour| behaviour.refuse_join = Some(Status::unavailable("starting")));
    let site = Site::new();
    let gateway = site.start(Some(server.join_string())).await;
    server.await_seen(|seen| seen.joins.len() >= 2).await;
    server.change(|behaviour| behaviour.refuse_join = None);
    gateway.await_generation(7).await;
    gateway.stop().await.unwrap();
}

#[tokio::test]
async fn a_gateway_that_was_refused_later_goes_on_forwarding() {
    let server = FakeServer::start(Some(slice(7))).await;
    let site = Site::new();
    let gateway = site.start(Some(server.join_string())).await;
    gateway.await_generation(7).await;
    gateway.stop().await.unwrap();

    server.change(|behaviour| {
        behaviour.refuse_stream = Some(Status::unauthenticated("this gateway is not known"));
    });
    let gateway = site.start(None).await;
    let status = gateway
        .await_status(|status| status.server.connection == Connection::Refused)
        .await;
    assert_eq!(
        status.server.error.as_deref(),
        Some("this gateway is not known")
    );
    assert_eq!(status.generation, Some(7));
    assert!(gateway.forwarder.vpcs().contains(&vpc_id(1)));
    gateway.stop().await.unwrap();
}

#[tokio::test]
async fn an_older_slice_is_ignored_and_said() {
    let server = FakeServer::start(Some(slice(7))).await;
    let site = Site::new();
    let gateway = site.start(Some(server.join_string())).await;
    gateway.await_generation(7).await;
    let mut older = slice(6);
    older.peerings.clear();
    server.send(ServerMessage::Snapshot(older));
    let status = gateway
        .await_status(|status| status.server.error.is_some())
        .await;
    assert!(status.server.error.unwrap().contains("generation 6"));
    assert_eq!(status.desired_generation, Some(7));
    assert_eq!(
        gateway.forwarder.last().unwrap().slice.generation,
        Generation(7)
    );
    gateway.stop().await.unwrap();
}

#[tokio::test]
async fn changes_are_followed_and_a_gap_asks_for_the_whole() {
    let server = FakeServer::start(Some(slice(7))).await;
    let site = Site::new();
    let gateway = site.start(Some(server.join_string())).await;
    gateway.await_generation(7).await;
    server.send(ServerMessage::Change(slice(7).change_to(&slice(8))));
    gateway.await_generation(8).await;
    assert_eq!(server.seen().snapshot_requests, 0);

    server.change(|behaviour| behaviour.slice = Some(slice(11)));
    server.send(ServerMessage::Change(slice(9).change_to(&slice(10))));
    server.await_seen(|seen| seen.snapshot_requests == 1).await;
    gateway.await_generation(11).await;
    gateway.stop().await.unwrap();
}

#[tokio::test]
async fn the_slice_of_another_gateway_is_not_applied() {
    let mut foreign = slice(7);
    foreign.gateway = model::GatewayId::from_entropy(99);
    let server = FakeServer::start(Some(foreign)).await;
    let site = Site::new();
    let gateway = site.start(Some(server.join_string())).await;
    let status = gateway
        .await_status(|status| status.server.connection == Connection::Refused)
        .await;
    assert_eq!(status.desired_generation, None);
    assert!(site.kernel.applied().is_empty());
    gateway.stop().await.unwrap();
}

#[tokio::test]
async fn a_clock_that_differs_is_shown() {
    let server = FakeServer::start(Some(slice(7))).await;
    server.change(|behaviour| behaviour.clock_ahead = Duration::from_secs(45));
    let site = Site::new();
    let gateway = site.start(Some(server.join_string())).await;
    let status = gateway.await_generation(7).await;
    assert!(status.server.is_clock_skewed(), "{:?}", status.server);
    assert!(crate::status_text(&status).contains("WARNING"));
    gateway.stop().await.unwrap();
}

#[tokio::test]
async fn a_start_that_cannot_work_is_refused_before_anything_runs() {
    let server = FakeServer::start(Some(slice(7))).await;
    let site = Site::new();
    let refused = site.build(site.config(None)).await.err().unwrap();
    assert!(matches!(refused, StartError::NotJoined), "{refused:?}");
    let mut config = site.config(Some(server.join_string()));
    config.advertise = Some("no-port".to_owned());
    assert!(matches!(
        site.build(config).await.err().unwrap(),
        StartError::Advertise(_)
    ));

    let gateway = site.start(Some(server.join_string())).await;
    gateway.await_generation(7).await;
    let refused = site.build(site.config(None)).await.err().unwrap();
    assert!(
        matches!(refused, StartError::State(StateError::Locked(_))),
        "{refused:?}"
    );
    let other = Site::new();
    let mut config = other.config(Some(server.join_string()));
    config.control_socket = site.socket();
    let refused = other.build(config).await.err().unwrap();
    assert!(
        matches!(refused, StartError::ControlSocket { .. }),
        "{refused:?}"
    );
    gateway.stop().await.unwrap();

    let elsewhere = FakeServer::start_with(TestCa::new(), None).await;
    let config = site.config(Some(elsewhere.join_string()));
    let refused = site.build(config).await.err().unwrap();
    assert!(
        matches!(refused, StartError::OtherDeployment(_)),
        "{refused:?}"
    );
}
