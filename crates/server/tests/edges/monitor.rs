//! `GetMonitorData`: from the counters of gateway doubles to the points that callers get.

use std::path::Path;
use std::time::Duration;

use api::sync::{GatewayMessage, Traffic};
use api::tencent::{Method, Parameters, SignedRequest, sign};
use http::Request;
use model::{Region, Side};
use serde_json::{Value, json};
use server::{Dataplane, StartError};

use crate::bed::{Bed, eventually, first, second};
use crate::client::{Caller, form};
use crate::double::{Counted, Double};

const MINUTE: Duration = Duration::from_secs(60);

/// A server with a gateway in both regions that has counted nothing, and a peering of the first
/// account from gz to sh. The time is 16:00:00 in UTC+8.
struct Site {
    bed: Bed,
    gz: Double,
    sh: Double,
    peering: String,
}

impl Site {
    async fn start() -> Site {
        let bed = Bed::start(Dataplane::Gateways).await;
        let gz = bed.gateway(Region::Guangzhou).await;
        let sh = bed.gateway(Region::Shanghai).await;
        for double in [&gz, &sh] {
            count(double, Counted::default(), Counted::default());
        }
        let peering = peer(&bed, "gz_vpc_226", "sh_vpc_7").await;
        Site {
            bed,
            gz,
            sh,
            peering,
        }
    }

    /// The points from one minute of the hour on to another, a value for each minute.
    async fn points(&self, region: &str, metric: &str, from: u32, to: u32) -> Vec<f64> {
        let (start, end) = (time(from), time(to));
        let times = [("period", "60"), ("startTime", &start), ("endTime", &end)];
        let answer = ask(&self.bed, &first(), region, &self.peering, metric, &times).await;
        assert_eq!(answer["code"], 0, "{answer}");
        let points = answer["dataPoints"].as_array().unwrap();
        points.iter().map(|point| point.as_f64().unwrap()).collect()
    }

    /// Waits until the last minute of a range has this value.
    async fn await_point(&self, region: &str, metric: &str, minute: u32, value: f64) {
        eventually(&format!("{metric} is {value}"), || async {
            self.points(region, metric, minute, minute).await == [value]
        })
        .await;
    }
}

fn count(double: &Double, requester: Counted, accepter: Counted) {
    double.claims.send_modify(|claims| {
        claims.requester = requester;
        claims.accepter = accepter;
    });
}

fn sent(packets: u64, bytes: u64) -> Counted {
    Counted {
        sent: Traffic { packets, bytes },
        ..Counted::default()
    }
}

fn received(packets: u64, bytes: u64) -> Counted {
    Counted {
        received: Traffic { packets, bytes },
        ..Counted::default()
    }
}

/// Bytes that make one Mbps over a minute.
const MBPS_MINUTE: u64 = 7_500_000;

fn time(minute: u32) -> String {
    format!("2027-01-15 16:{minute:02}:00")
}

async fn peer(bed: &Bed, vpc: &str, peer: &str) -> String {
    let parameters = [
        ("vpcId", vpc),
        ("peerVpcId", peer),
        ("peerUin", "2407912486"),
        ("peeringConnectionName", "test"),
        ("peerRegion", &peer[..2]),
        ("bandwidth", "20"),
    ];
    let answer = bed
        .call(&vpc[..2], "CreateVpcPeeringConnectionEx", &parameters)
        .await;
    let task = answer["taskId"].as_u64().unwrap();
    bed.end_of(task).await.unwrap();
    let id = task.to_string();
    let done = bed
        .call("gz", "DescribeVpcTaskResult", &[("taskId", &id)])
        .await;
    let id = &done["data"]["output"]["uniqVpcPeerId"];
    id.as_str().unwrap().to_owned()
}

async fn ask(
    bed: &Bed,
    caller: &Caller,
    region: &str,
    peering: &str,
    metric: &str,
    more: &[(&str, &str)],
) -> Value {
    let mut parameters = vec![
        ("namespace", "qce/pcx"),
        ("metricName", metric),
        ("dimensions.0.name", "peeringConnectionId"),
        ("dimensions.0.value", peering),
    ];
    parameters.extend(more);
    let now = bed.clock_secs();
    bed.client()
        .call(caller, now, region, "GetMonitorData", &parameters)
        .await
}

async fn scrape(bed: &Bed, series: &str) -> f64 {
    let answer = bed.client().send(Request::get("/metrics"), "").await;
    let text = String::from_utf8(answer.body.to_vec()).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(series));
    let value = line.unwrap_or_else(|| panic!("{series} is not in {text}"));
    value.trim().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_end_is_told_what_passed_there() {
    let site = Site::start().await;
    site.bed.clock.advance(Duration::from_secs(30));
    let out = Counted {
        capped: 200,
        ..sent(600, MBPS_MINUTE)
    };
    count(&site.gz, out, Counted::default());
    count(&site.sh, Counted::default(), received(600, MBPS_MINUTE));
    // The minute has not ended: it shows what has passed so far, over the whole minute.
    for (region, metric, value) in [
        ("gz", "outbandwidth", 1.0),
        ("gz", "OutBandwidth", 1.0),
        ("gz", "outpkg", 10.0),
        ("gz", "pkgdrop", 25.0),
        ("gz", "OutbandRate", 5.0),
        ("gz", "inbandwidth", 0.0),
        ("gz", "inpkg", 0.0),
        ("sh", "inbandwidth", 1.0),
        ("sh", "inpkg", 10.0),
        ("sh", "InbandRate", 5.0),
        ("sh", "outbandwidth", 0.0),
        ("sh", "pkgdrop", 0.0),
    ] {
        site.await_point(region, metric, 0, value).await;
    }
    // Without times: from the beginning of the day until now, in periods of five minutes.
    let answer = ask(&site.bed, &first(), "gz", &site.peering, "outpkg", &[]).await;
    assert_eq!(answer["code"], 0, "{answer}");
    assert_eq!(answer["codeDesc"], "Success");
    assert_eq!(answer["metricName"], "outpkg");
    assert_eq!(answer["startTime"], "2027-01-15 00:00:00");
    assert_eq!(answer["endTime"], "2027-01-15 16:00:30");
    assert_eq!(answer["period"], 300);
    let points = answer["dataPoints"].as_array().unwrap();
    assert_eq!(points.len(), 16 * 12 + 1);
    assert_eq!(points[16 * 12], json!(2.0));
    assert!(points[..16 * 12].iter().all(|point| *point == json!(0.0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn minutes_are_kept_apart_and_outlive_the_server() {
    let mut site = Site::start().await;
    site.bed.clock.advance(Duration::from_secs(30));
    count(&site.gz, sent(60, MBPS_MINUTE), Counted::default());
    site.await_point("gz", "outbandwidth", 0, 1.0).await;
    // Half of this second one belongs to each minute.
    site.bed.clock.advance(MINUTE);
    count(&site.gz, sent(120, 3 * MBPS_MINUTE), Counted::default());
    site.await_point("gz", "outbandwidth", 1, 1.0).await;
    let expected = [2.0, 1.0, 0.0];
    assert_eq!(site.points("gz", "outbandwidth", 0, 2).await, expected);
    eventually("the ended minute is stored", || async {
        scrape(&site.bed, "peerway_history_points ").await > 0.0
    })
    .await;
    assert!(scrape(&site.bed, "peerway_history_bytes ").await > 4096.0);
    assert_eq!(
        scrape(&site.bed, "peerway_history_max_bytes ").await,
        f64::from(1 << 30)
    );

    for _ in 0..2 {
        site.gz.disconnect().await;
        site.sh.disconnect().await;
        site.bed.stop().await;
        site.bed.run().await;
        assert_eq!(site.points("gz", "outbandwidth", 0, 2).await, expected);
        // The same counters again: nothing is counted twice.
        site.gz.connect(site.bed.sync(), &site.bed.ca()).await;
        eventually("the gateway has reported", || async {
            let session = site.bed.sessions().get(site.gz.id());
            session.is_some_and(|session| session.report().is_some_and(|r| !r.peerings.is_empty()))
        })
        .await;
        assert_eq!(site.points("gz", "outbandwidth", 0, 2).await, expected);
    }
    // What was sent while there was no server is not lost, and gets its average.
    site.bed.clock.advance(Duration::from_secs(90));
    count(&site.gz, sent(180, 6 * MBPS_MINUTE), Counted::default());
    site.await_point("gz", "outbandwidth", 2, 2.0).await;
    assert_eq!(
        site.points("gz", "outbandwidth", 0, 3).await,
        [2.0, 2.0, 2.0, 0.0]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn counters_that_begin_again_are_all_new() {
    let mut site = Site::start().await;
    site.bed.clock.advance(Duration::from_secs(10));
    count(&site.gz, sent(600, 4 * MBPS_MINUTE), Counted::default());
    site.await_point("gz", "outbandwidth", 0, 4.0).await;
    // The gateway restarts.
    site.gz.disconnect().await;
    count(&site.gz, sent(60, MBPS_MINUTE), Counted::default());
    site.bed.clock.advance(Duration::from_secs(10));
    site.gz.connect(site.bed.sync(), &site.bed.ca()).await;
    site.await_point("gz", "outbandwidth", 0, 5.0).await;
    assert_eq!(site.points("gz", "outpkg", 0, 0).await, [11.0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peering_inside_one_region_is_measured_at_both_sides_and_told_for_the_requesters() {
    let mut site = Site::start().await;
    site.peering = peer(&site.bed, "gz_vpc_226", "gz_vpc_89").await;
    site.bed.clock.advance(Duration::from_secs(30));
    count(&site.gz, sent(600, MBPS_MINUTE), received(600, MBPS_MINUTE));
    site.await_point("gz", "outbandwidth", 0, 1.0).await;
    assert_eq!(site.points("gz", "inbandwidth", 0, 0).await, [0.0]);
    site.bed.clock.advance(MINUTE);
    // Both peerings at gz, both sides of the local one.
    eventually("three sides are stored", || async {
        scrape(&site.bed, "peerway_history_points ").await == 3.0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_is_believed_about_its_own_region_only() {
    let site = Site::start().await;
    site.bed.clock.advance(Duration::from_secs(30));
    count(&site.gz, sent(60, MBPS_MINUTE), Counted::default());
    count(&site.sh, Counted::default(), received(600, MBPS_MINUTE));
    site.await_point("sh", "inbandwidth", 0, 1.0).await;
    site.await_point("gz", "outbandwidth", 0, 1.0).await;
    // sh reports the requester's side, which is gz's.
    let session = site.bed.sessions().get(site.sh.id()).unwrap();
    let mut forged = session.report().unwrap().clone();
    let peering = site.peering.parse().unwrap();
    let own = forged.peerings.get_mut(&(peering, Side::Accepter)).unwrap();
    own.received.bytes += MBPS_MINUTE;
    own.sent.bytes = 9 * MBPS_MINUTE;
    let copy = own.clone();
    forged.peerings.insert((peering, Side::Requester), copy);
    site.sh.send(GatewayMessage::Report(forged)).await;
    // The report is taken, but for what it forges.
    site.await_point("sh", "inbandwidth", 0, 2.0).await;
    assert_eq!(site.points("gz", "outbandwidth", 0, 0).await, [1.0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_foreign_and_wrong_region_peerings_answer_alike() {
    let site = Site::start().await;
    let bed = &site.bed;
    let not_found = |id: &str| {
        json!({
            "code": -502,
            "codeDesc": "OperationDenied.SourceNotExists",
            "message": format!("peering connection {id} not found"),
        })
    };
    let unknown = "pcx-zzzzzzzz";
    let answer = ask(bed, &first(), "gz", unknown, "inpkg", &[]).await;
    assert_eq!(answer, not_found(unknown));
    for (caller, region) in [(second(), "gz"), (second(), "sh"), (first(), "bj")] {
        let answer = ask(bed, &caller, region, &site.peering, "inpkg", &[]).await;
        assert_eq!(answer, not_found(&site.peering));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_have_the_products_codes() {
    let site = Site::start().await;
    for (more, code, code_desc) in [
        (vec![("period", "10")], -503, "InvalidParameter"),
        (
            vec![
                ("startTime", "2027-01-15 16:00:01"),
                ("endTime", "2027-01-15 16:00:00"),
            ],
            -503,
            "InvalidParameter",
        ),
        (
            vec![("period", "60"), ("startTime", "2027-01-13 16:00:00")],
            -507,
            "OperationDenied.ExceedLimit",
        ),
        (
            vec![
                ("dimensions.1.name", "vpcId"),
                ("dimensions.1.value", "vpc-1"),
            ],
            -509,
            "InvalidParameter.DimensionGroupError",
        ),
        (
            vec![("metricName", "")],
            -505,
            "InvalidParameter.MissingParameter",
        ),
    ] {
        let answer = ask(&site.bed, &first(), "gz", &site.peering, "inpkg", &more).await;
        assert_eq!(answer["code"], code, "{answer}");
        assert_eq!(answer["codeDesc"], code_desc, "{answer}");
        assert!(answer.get("dataPoints").is_none());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_may_be_signed_for_the_monitor_host() {
    let site = Site::start().await;
    let caller = first();
    let parameters = caller.parameters(
        site.bed.clock_secs(),
        "ap-guangzhou",
        "GetMonitorData",
        &[
            ("namespace", "qce/pcx"),
            ("metricName", "inpkg"),
            ("dimensions.0.name", "peeringConnectionId"),
            ("dimensions.0.value", &site.peering),
        ],
    );
    let mut signed = parameters.clone();
    let all: Parameters = parameters.into_iter().collect();
    let request = SignedRequest {
        method: Method::Get,
        host: "monitor.api.qcloud.com",
        path: "/v2/index.php",
        parameters: &all,
    };
    let signature = sign(&request, caller.secret_key.as_bytes());
    signed.push(("Signature".to_owned(), signature));
    // The client sends another host.
    let answer = site.bed.client().get(&signed).await.json();
    assert_eq!(answer["code"], 0, "{answer}: {}", form(&signed));
}

#[tokio::test(flavor = "multi_thread")]
async fn points_are_kept_for_31_days() {
    let site = Site::start().await;
    site.bed.clock.advance(Duration::from_secs(30));
    count(&site.gz, sent(60, MBPS_MINUTE), Counted::default());
    site.await_point("gz", "outbandwidth", 0, 1.0).await;
    let points = "peerway_history_points ";
    site.bed.clock.advance(31 * 24 * 60 * MINUTE - MINUTE);
    eventually("the minute is stored", || async {
        scrape(&site.bed, points).await == 1.0
    })
    .await;
    site.await_point("gz", "outbandwidth", 0, 1.0).await;
    site.bed.clock.advance(61 * MINUTE);
    eventually("the minute is gone", || async {
        scrape(&site.bed, points).await == 0.0
    })
    .await;
    site.await_point("gz", "outbandwidth", 0, 0.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_file_of_points_is_named_at_the_start() {
    let mut bed = Bed::start(Dataplane::None).await;
    bed.stop().await;
    let file = bed.path("state/series.db");
    assert!(Path::new(&file).exists());
    std::fs::write(&file, vec![b'x'; 8192]).unwrap();
    let started = server::build_with_clock(bed.config(), bed.clock.clone()).await;
    let error = started.err().unwrap();
    assert!(matches!(error, StartError::Series { .. }), "{error}");
    assert!(error.to_string().contains("series.db"), "{error}");
    // Moved away, the server starts with an empty one.
    std::fs::remove_file(&file).unwrap();
    bed.run().await;
    assert_eq!(scrape(&bed, "peerway_history_points ").await, 0.0);
}
