//! Joining, and what goes down a gateway's stream.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use api::sync::{GatewayMessage, proto};
use model::{PublicKey, Region};
use server::Dataplane;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status};

use crate::bed::{Bed, eventually};
use crate::double::{Claims, Double};

async fn create_vpc(bed: &Bed, region: &str, name: &str, cidr: &str) -> String {
    let parameters = [("vpcName", name), ("cidrBlock", cidr)];
    let answer = bed.call(region, "CreateVpc", &parameters).await;
    answer["uniqVpcId"].as_str().unwrap().to_owned()
}

async fn has_vpc(double: &Double, vpc: &str) {
    let id = vpc.parse().unwrap();
    eventually("the VPC reaches the gateway", || async {
        double.slice(|slice| slice.vpcs.contains_key(&id)) == Some(true)
    })
    .await;
}

async fn end(double: &Double) -> Status {
    eventually("the stream ends", || async {
        double.received(|received| received.ended.is_some())
    })
    .await;
    double.received(|received| received.ended.clone()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_good_once_and_for_one_region() {
    let bed = Bed::start(Dataplane::Gateways).await;
    let join = bed.join_string(Region::Guangzhou).await;
    let reply = Double::new().join(&join, &bed.ca()).await.unwrap();
    assert_eq!(reply.region, Region::Guangzhou);
    let status = Double::new().join(&join, &bed.ca()).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied, "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_gateway_for_a_region_is_refused_by_name() {
    let bed = Bed::start(Dataplane::Gateways).await;
    let first = bed.gateway(Region::Guangzhou).await;
    let join = bed.join_string(Region::Guangzhou).await;
    let status = Double::new().join(&join, &bed.ca()).await.unwrap_err();
    assert_eq!(status.code(), Code::AlreadyExists, "{status}");
    let message = status.message();
    assert!(
        message.contains("gz") && message.contains(&first.id().to_string()),
        "{message}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_identity_that_joins_again_is_the_same_gateway() {
    let bed = Bed::start(Dataplane::Gateways).await;
    let join = bed.join_string(Region::Guangzhou).await;
    let mut double = Double::new();
    let first = double.join(&join, &bed.ca()).await.unwrap();
    let again = double.join(&join, &bed.ca()).await.unwrap();
    assert_eq!(first, again);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_known_identities_have_a_stream() {
    let bed = Bed::start(Dataplane::Gateways).await;
    let stranger = Double::new();
    for (shows_certificate, hint) in [(true, "join again"), (false, "certificate")] {
        let mut client = stranger
            .client(bed.sync(), &bed.ca(), shows_certificate)
            .await;
        let (_queue, messages) = tokio::sync::mpsc::channel(1);
        let opened = client.sync(ReceiverStream::new(messages)).await;
        let status = opened.err().unwrap();
        assert_eq!(status.code(), Code::Unauthenticated, "{status}");
        assert!(status.message().contains(hint), "{status}");
    }
    let mut client = stranger.client(bed.sync(), &bed.ca(), false).await;
    let status = client
        .join(proto::JoinRequest::default())
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated, "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_comes_first_and_then_changes_of_the_own_region_only() {
    let bed = Bed::start(Dataplane::Gateways).await;
    let gz = bed.gateway(Region::Guangzhou).await;
    let sh = bed.gateway(Region::Shanghai).await;
    eventually("both have their slices", || async {
        gz.slice(|slice| slice.vpcs.len()) == Some(2)
            && sh.slice(|slice| slice.vpcs.len()) == Some(2)
    })
    .await;
    let welcome = gz.received(|received| received.welcome.clone()).unwrap();
    assert_eq!(
        (welcome.gateway, welcome.region),
        (gz.id(), Region::Guangzhou)
    );

    let in_sh = create_vpc(&bed, "sh", "near", "10.20.0.0/16").await;
    let in_gz = create_vpc(&bed, "gz", "here", "10.21.0.0/16").await;
    has_vpc(&gz, &in_gz).await;
    has_vpc(&sh, &in_sh).await;
    // The double applies changes by their generations, so none was lost or reordered.
    gz.received(|received| assert_eq!((received.snapshots, received.changes), (1, 1)));
    let knows_sh = gz.slice(|slice| slice.vpcs.contains_key(&in_sh.parse().unwrap()));
    assert_eq!(knows_sh, Some(false));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_is_sent_when_it_is_asked_for() {
    let bed = Bed::start(Dataplane::Gateways).await;
    let gz = bed.gateway(Region::Guangzhou).await;
    gz.send(GatewayMessage::SnapshotRequest).await;
    eventually("a second snapshot comes", || async {
        gz.received(|received| received.snapshots) == 2
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_hello_ends_the_stream() {
    let bed = Bed::start(Dataplane::Gateways).await;
    let gz = bed.gateway(Region::Guangzhou).await;
    gz.send(GatewayMessage::Hello(gz.hello())).await;
    assert_eq!(end(&gz).await.code(), Code::FailedPrecondition);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reconnect_replaces_the_older_stream() {
    let bed = Bed::start(Dataplane::Gateways).await;
    let mut gz = bed.gateway(Region::Guangzhou).await;
    let older = Arc::clone(&gz.received);
    eventually("the first snapshot comes", || async {
        older.lock().unwrap().snapshots == 1
    })
    .await;
    // The older stream goes on being read, as by a gateway whose packets were only late.
    let stream = gz.take_stream();
    gz.connect(bed.sync(), &bed.ca()).await;
    eventually("the older stream is ended", || async {
        older.lock().unwrap().ended.as_ref().map(Status::code) == Some(Code::Aborted)
    })
    .await;
    let vpc = create_vpc(&bed, "gz", "here", "10.21.0.0/16").await;
    has_vpc(&gz, &vpc).await;
    assert!(bed.sessions().get(gz.id()).unwrap().is_connected());
    stream.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_leaves_is_noticed() {
    let bed = Bed::start(Dataplane::Gateways).await;
    let mut gz = bed.gateway(Region::Guangzhou).await;
    let connected = || async {
        bed.sessions()
            .get(gz.id())
            .is_some_and(|s| s.is_connected())
    };
    eventually("it is connected", connected).await;
    let id = gz.id();
    gz.disconnect().await;
    eventually("it is not connected", || async {
        bed.sessions()
            .get(id)
            .is_some_and(|session| !session.is_connected())
    })
    .await;
}

/// A path to the server that can be cut without either end being told.
async fn breakable_path(server: SocketAddr) -> (SocketAddr, Arc<AtomicBool>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let is_cut = Arc::new(AtomicBool::new(false));
    let cut = Arc::clone(&is_cut);
    tokio::spawn(async move {
        let (inside, _) = listener.accept().await.unwrap();
        let outside = TcpStream::connect(server).await.unwrap();
        let (mut inside, mut outside) = (inside.into_split(), outside.into_split());
        let up = pass_on(&mut inside.0, &mut outside.1, &cut);
        let down = pass_on(&mut outside.0, &mut inside.1, &cut);
        tokio::join!(up, down);
    });
    (address, is_cut)
}

async fn pass_on(from: &mut OwnedReadHalf, to: &mut OwnedWriteHalf, cut: &AtomicBool) {
    let mut buffer = vec![0; 16 << 10];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        if cut.load(Ordering::SeqCst) {
            continue;
        }
        if to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_dies_without_a_word_is_noticed_within_ten_seconds() {
    let bed = Bed::start(Dataplane::Gateways).await;
    let mut gz = Double::new();
    let join = bed.join_string(Region::Guangzhou).await;
    gz.join(&join, &bed.ca()).await.unwrap();
    let (path, is_cut) = breakable_path(bed.sync()).await;
    gz.connect(path, &bed.ca()).await;
    let id = gz.id();
    let is_connected = || {
        bed.sessions()
            .get(id)
            .is_some_and(|session| session.is_connected())
    };
    eventually("it is connected", || async { is_connected() }).await;
    is_cut.store(true, Ordering::SeqCst);
    let began = Instant::now();
    eventually("its end is noticed", || async { !is_connected() }).await;
    assert!(
        began.elapsed() < Duration::from_secs(10),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_gateway_is_sent_away_and_its_region_is_free() {
    let bed = Bed::start(Dataplane::Gateways).await;
    let gz = bed.gateway(Region::Guangzhou).await;
    eventually("it has its slice", || async { gz.slice(|_| ()).is_some() }).await;
    bed.admin()
        .gateway_remove(&gz.id().to_string())
        .await
        .unwrap();
    let status = end(&gz).await;
    assert_eq!(status.code(), Code::Unauthenticated, "{status}");
    bed.gateway(Region::Guangzhou).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_tunnel_key_reaches_the_other_gateways() {
    let bed = Bed::start(Dataplane::Gateways).await;
    let gz = bed.gateway(Region::Guangzhou).await;
    let mut sh = bed.gateway(Region::Shanghai).await;
    let parameters = [
        ("vpcId", "gz_vpc_226"),
        ("peerVpcId", "sh_vpc_7"),
        ("peerUin", "2407912486"),
        ("peeringConnectionName", "far"),
        ("peerRegion", "sh"),
        ("bandwidth", "20"),
    ];
    let answer = bed
        .call("gz", "CreateVpcPeeringConnectionEx", &parameters)
        .await;
    bed.end_of(answer["taskId"].as_u64().unwrap())
        .await
        .unwrap();
    let id = sh.id();
    let key_of_sh = || gz.slice(|slice| slice.tunnel_peers.get(&id).map(|peer| peer.public_key));
    assert_eq!(key_of_sh(), Some(Some(sh.tunnel_public_key)));
    sh.disconnect().await;
    sh.tunnel_public_key = PublicKey([9; 32]);
    sh.endpoint = None;
    sh.connect(bed.sync(), &bed.ca()).await;
    eventually("the new key arrives", || async {
        key_of_sh() == Some(Some(PublicKey([9; 32])))
    })
    .await;
    let endpoint = gz.slice(|slice| slice.tunnel_peers[&id].endpoint.clone());
    assert_eq!(endpoint, Some(None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateways_clock_is_compared() {
    let bed = Bed::start(Dataplane::Gateways).await;
    let gz = bed.gateway(Region::Guangzhou).await;
    gz.claims.send_replace(Claims {
        clock_ahead_millis: 45_000,
        ..Claims::GOOD
    });
    eventually("the skew is known", || async {
        let gateways = bed.admin().gateways().await.unwrap();
        let session = gateways[0].session.as_ref();
        session.is_some_and(|session| session.clock_skew_millis == 45_000)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stops_ends_the_streams_and_takes_them_again() {
    let mut bed = Bed::start(Dataplane::Gateways).await;
    let mut gz = bed.gateway(Region::Guangzhou).await;
    eventually("it has its slice", || async { gz.slice(|_| ()).is_some() }).await;
    let began = Instant::now();
    bed.stop().await;
    assert!(
        began.elapsed() < Duration::from_secs(9),
        "{:?}",
        began.elapsed()
    );
    end(&gz).await;
    bed.run().await;
    gz.connect(bed.sync(), &bed.ca()).await;
    eventually("it has its slice again", || async {
        gz.slice(|_| ()).is_some()
    })
    .await;
}
