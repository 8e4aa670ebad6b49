//! What `GetMonitorData` tells, against what the hosts counted.

use std::time::Duration;

use model::Region;

use crate::harness::{SH_HOST, TwoRegions, bulk};
use crate::rates::{disable_receive_offload, received};

/// Asks for a metric from `start` on in periods of 300 s; without a start, of today.
async fn ask(
    site: &TwoRegions,
    region: &str,
    peering: &str,
    metric: &str,
    start: Option<&str>,
) -> serde_json::Value {
    let mut parameters = vec![
        ("namespace", "qce/pcx"),
        ("metricName", metric),
        ("dimensions.0.name", "peeringConnectionId"),
        ("dimensions.0.value", peering),
    ];
    parameters.extend(start.map(|start| ("startTime", start)));
    let answer = site
        .tenant
        .client
        .call(region, "GetMonitorData", &parameters);
    answer.await.unwrap()
}

/// The IP bytes that an end has sent or received since `start`.
async fn total(site: &TwoRegions, region: &str, peering: &str, metric: &str, start: &str) -> f64 {
    let answer = ask(site, region, peering, metric, Some(start)).await;
    let points = answer["dataPoints"].as_array().unwrap().iter();
    let mbps: f64 = points.map(|point| point.as_f64().unwrap()).sum();
    mbps * 300.0 * 1e6 / 8.0
}

/// The IP bytes that a host has received, and a few more that are not IPv4.
fn ip_bytes(site: &TwoRegions, host: &str) -> f64 {
    const ETHERNET_HEADER: u64 = 14;
    let (bytes, packets) = received(site.lab.host(host));
    (bytes - packets * ETHERNET_HEADER) as f64
}

#[tokio::test(flavor = "multi_thread")]
async fn root_the_measured_bytes_are_those_that_the_hosts_received() {
    let site = TwoRegions::start(&[]).await;
    let peering = site.peer(20).await;
    disable_receive_offload(&site, "a-sh", Region::Shanghai);
    disable_receive_offload(&site, "a-gz", Region::Guangzhou);
    let today = ask(&site, "gz", &peering, "inbandwidth", None).await;
    let start = today["startTime"].as_str().unwrap().to_owned();
    tokio::task::block_in_place(|| bulk(site.lab.host("a-gz"), site.lab.host("a-sh"), SH_HOST, 2));

    // Both directions: the data at the one host, the acknowledgements at the other. Gateways report
    // every second; within a few all of it is told, the minute that runs included.
    for (host, inward, outward) in [("a-sh", "sh", "gz"), ("a-gz", "gz", "sh")] {
        let agrees = |told: f64, counted: f64| (told / counted - 1.0).abs() <= 0.005;
        let what = format!("the points to agree with what {host} counted");
        let told = peerway::lab::wait_for(&what, Duration::from_secs(10), || async {
            let into = total(&site, inward, &peering, "inbandwidth", &start).await;
            let out_of = total(&site, outward, &peering, "outbandwidth", &start).await;
            let counted = ip_bytes(&site, host);
            println!("{host} counted {counted:.0}, in {into:.0}, out {out_of:.0}");
            agrees(into, counted) && agrees(out_of, counted)
        });
        told.await.unwrap();
    }
    let counted = ip_bytes(&site, "a-sh");
    assert!(counted > 5e6, "{counted} bytes are no transfer at 20 Mbps");
}
