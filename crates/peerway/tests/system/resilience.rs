//! Processes die; traffic does not depend on the server and comes back with the gateway.

use std::time::{Duration, Instant};

use model::Region;
use nix::sys::signal::Signal;
use peerway::traffic::Ping;

use crate::harness::{SH_HOST, TwoRegions, ping};

#[tokio::test(flavor = "multi_thread")]
async fn root_no_packet_is_lost_while_the_server_is_killed_and_comes_back() {
    let mut site = TwoRegions::start(&[]).await;
    let peering = site.peer(20).await;
    let host = kernel::netns::Namespace::open(site.lab.host("a-gz").name()).unwrap();
    let pinging = std::thread::spawn(move || ping(&host, SH_HOST, 20_000));
    site.lab.stop_server(Signal::SIGKILL).unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    site.lab.start_server().await.unwrap();
    let result = tokio::task::block_in_place(|| pinging.join().unwrap());
    assert!(
        result.is_complete(),
        "{} of {} answered",
        result.rtts.len(),
        result.sent
    );
    // The restarted server has the state, and the gateways have found it again.
    let change = [("bandwidth", "50")];
    site.tenant
        .act("gz", "ModifyVpcPeeringConnectionEx", &peering, &change)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn root_traffic_is_back_within_two_seconds_after_a_gateway_was_killed() {
    let mut site = TwoRegions::start(&[]).await;
    site.peer(20).await;
    site.lab
        .stop_gateway(Region::Shanghai, Signal::SIGKILL)
        .unwrap();
    let started = Instant::now();
    site.lab
        .start_gateway(Region::Shanghai, None)
        .await
        .unwrap();
    let probe = Ping {
        count: 1,
        timeout: Duration::from_millis(100),
        ..Ping::to(SH_HOST)
    };
    while probe.run(site.lab.host("a-gz")).unwrap().rtts.is_empty() {
        assert!(
            started.elapsed() < Duration::from_secs(10),
            "traffic did not come back"
        );
    }
    let took = started.elapsed();
    println!(
        "traffic again {} ms after the start of the gateway",
        took.as_millis()
    );
    assert!(took < Duration::from_secs(2), "{took:?}");
    assert!(ping(site.lab.host("a-gz"), SH_HOST, 3).is_complete());
}

#[tokio::test(flavor = "multi_thread")]
async fn root_a_gateway_starts_and_forwards_without_any_server() {
    let mut site = TwoRegions::start(&[]).await;
    site.peer(20).await;
    site.lab.stop_server(Signal::SIGKILL).unwrap();
    site.lab
        .stop_gateway(Region::Guangzhou, Signal::SIGTERM)
        .unwrap();
    site.lab
        .start_gateway(Region::Guangzhou, None)
        .await
        .unwrap();
    crate::harness::await_crossing(site.lab.host("a-gz"), SH_HOST).await;
}
