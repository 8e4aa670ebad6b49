//! Tasks from their commit to their end: what they wait for, what fails them, what a failure leaves.

use std::time::Duration;

use api::sync::ApplyError;
use model::{PeeringConnectionId, Region, TaskId};
use server::Dataplane;
use server::clock::Clock;
use server::reconcile::{Verdict, verdict};

use crate::bed::{Bed, START, eventually, first, second};
use crate::client::Caller;
use crate::double::{Claims, Double};

const LATE: Duration = Duration::from_secs(61);

/// Nothing is applied, so nothing crosses.
fn silent() -> Claims {
    Claims {
        applies: false,
        crosses: false,
        ..Claims::GOOD
    }
}

/// A server with a gateway in both regions.
async fn site() -> (Bed, Double, Double) {
    let bed = Bed::start(Dataplane::Gateways).await;
    let gz = bed.gateway(Region::Guangzhou).await;
    let sh = bed.gateway(Region::Shanghai).await;
    for double in [&gz, &sh] {
        settled(&bed, double).await;
    }
    (bed, gz, sh)
}

/// Waits until a gateway has reported all that it was sent.
async fn settled(bed: &Bed, double: &Double) {
    eventually("the gateway has reported", || async {
        let session = bed.sessions().get(double.id());
        session.is_some_and(|session| session.runs(bed.core().catalog().revision()))
    })
    .await;
}

async fn create_as(bed: &Bed, caller: &Caller, region: &str, vpc: &str, peer: &str) -> u64 {
    let parameters = [
        ("vpcId", vpc),
        ("peerVpcId", peer),
        ("peerUin", "2407912486"),
        ("peeringConnectionName", "test"),
        ("peerRegion", &peer[..2]),
        ("bandwidth", "20"),
    ];
    let answer = bed
        .call_as(caller, region, "CreateVpcPeeringConnectionEx", &parameters)
        .await;
    answer["taskId"].as_u64().unwrap()
}

async fn create(bed: &Bed) -> u64 {
    create_as(bed, &first(), "gz", "gz_vpc_226", "sh_vpc_7").await
}

/// An active peering.
async fn active(bed: &Bed) -> String {
    bed.end_of(create(bed).await).await.unwrap();
    only_peering(bed).await.id
}

async fn only_peering(bed: &Bed) -> server::admin::PeeringView {
    let peerings = bed.admin().peerings().await.unwrap();
    assert_eq!(peerings.len(), 1, "{peerings:?}");
    peerings.into_iter().next().unwrap()
}

async fn act_as(bed: &Bed, caller: &Caller, region: &str, action: &str, peering: &str) -> u64 {
    let parameters = [("peeringConnectionId", peering)];
    let answer = bed.call_as(caller, region, action, &parameters).await;
    answer["taskId"].as_u64().unwrap()
}

async fn delete(bed: &Bed, peering: &str) -> u64 {
    act_as(bed, &first(), "gz", "DeleteVpcPeeringConnectionEx", peering).await
}

async fn modify(bed: &Bed, peering: &str, bandwidth: &str) -> u64 {
    let parameters = [("peeringConnectionId", peering), ("bandwidth", bandwidth)];
    let answer = bed
        .call("gz", "ModifyVpcPeeringConnectionEx", &parameters)
        .await;
    answer["taskId"].as_u64().unwrap()
}

/// What the reconciler decides about a task on what is known at this moment.
fn judged(bed: &Bed, task: u64) -> Verdict {
    let catalog = bed.core().catalog();
    let task = catalog.task(TaskId(task)).unwrap();
    verdict(&catalog, bed.sessions(), task, bed.clock.now())
}

/// Waits until a gateway has received and reported everything, with what it now claims.
async fn claim(bed: &Bed, double: &Double, claims: Claims) {
    // A clock reading of its own tells the report that follows the claim.
    let clock_ahead_millis = double.claims.borrow().clock_ahead_millis + 1;
    let applies = claims.applies;
    double.claims.send_replace(Claims {
        clock_ahead_millis,
        ..claims
    });
    let expected = START.0.unsigned_abs() + clock_ahead_millis;
    eventually("the claim arrives", || async {
        let session = bed.sessions().get(double.id()).unwrap();
        let is_served = session.evaluated() >= bed.core().catalog().revision();
        let is_reported = session
            .report()
            .is_some_and(|report| report.unix_millis == expected);
        is_served && is_reported && (!applies || session.applied() == session.sent())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_creation_waits_for_both_gateways_and_for_a_probe() {
    let (bed, gz, sh) = site().await;
    claim(&bed, &gz, silent()).await;
    claim(&bed, &sh, silent()).await;
    let task = create(&bed).await;
    assert_eq!(judged(&bed, task), Verdict::Wait);
    let programmed = Claims {
        crosses: false,
        ..Claims::GOOD
    };
    claim(&bed, &gz, programmed.clone()).await;
    assert_eq!(judged(&bed, task), Verdict::Wait);
    claim(&bed, &sh, programmed).await;
    assert_eq!(judged(&bed, task), Verdict::Wait);
    assert_eq!(bed.task(&first(), task).await.0, 2);
    gz.claims.send_replace(Claims::GOOD);
    bed.end_of(task).await.unwrap();
    assert_eq!(only_peering(&bed).await.state, "active");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_does_not_help_while_one_gateway_is_behind() {
    let (bed, gz, sh) = site().await;
    claim(&bed, &sh, silent()).await;
    let task = create(&bed).await;
    claim(&bed, &gz, Claims::GOOD).await;
    assert_eq!(judged(&bed, task), Verdict::Wait);
    sh.claims.send_replace(Claims {
        crosses: false,
        ..Claims::GOOD
    });
    bed.end_of(task).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_gateway_that_carries_both_vpcs_is_enough() {
    let bed = Bed::start(Dataplane::Gateways).await;
    let _gz = bed.gateway(Region::Guangzhou).await;
    let task = create_as(&bed, &first(), "gz", "gz_vpc_226", "gz_vpc_89").await;
    bed.end_of(task).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_region_without_gateway_fails_a_creation_at_once() {
    let bed = Bed::start(Dataplane::Gateways).await;
    let _gz = bed.gateway(Region::Guangzhou).await;
    let message = bed.end_of(create(&bed).await).await.unwrap_err();
    assert!(message.contains("region sh has no gateway"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_creation_names_the_cause_and_leaves_nothing() {
    type Prepare = fn(&Double);
    let error = ApplyError {
        subject: "pw-1-vpc".to_owned(),
        message: "no such device".to_owned(),
    };
    let with_error = Claims {
        errors: vec![error],
        ..silent()
    };
    let cases: [(Claims, Prepare, &[&str]); 4] = [
        (
            silent(),
            |_| {},
            &[
                "region sh: gateway",
                "has not applied the change",
                "generation",
            ],
        ),
        (
            with_error,
            |_| {},
            &["region sh: gateway", "pw-1-vpc: no such device"],
        ),
        (
            Claims {
                crosses: false,
                ..Claims::GOOD
            },
            |gz| gz.claims.send_modify(|claims| claims.crosses = false),
            &[
                "gateway pair gz (gw-",
                ") - sh (gw-",
                "no probe crossed VNI 4096",
            ],
        ),
        (
            Claims {
                crosses: false,
                shakes_hands: false,
                ..Claims::GOOD
            },
            |gz| {
                gz.claims.send_modify(|claims| {
                    (claims.crosses, claims.shakes_hands) = (false, false);
                });
            },
            &["gateway pair gz (gw-", ") - sh (gw-", "no handshake"],
        ),
    ];
    for (claims, prepare, expected) in cases {
        let (bed, gz, sh) = site().await;
        let applies = claims.applies;
        claim(&bed, &sh, claims).await;
        prepare(&gz);
        let task = create(&bed).await;
        for double in [&gz, &sh] {
            if applies {
                settled(&bed, double).await;
            }
        }
        bed.clock.advance(LATE);
        let message = bed.end_of(task).await.unwrap_err();
        for part in expected {
            assert!(message.contains(part), "{part}: {message}");
        }
        assert!(bed.admin().peerings().await.unwrap().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_is_not_connected_is_named_with_the_time() {
    let (bed, _gz, mut sh) = site().await;
    let id = sh.id();
    sh.disconnect().await;
    eventually("it is gone", || async {
        !bed.sessions().get(id).unwrap().is_connected()
    })
    .await;
    let task = create(&bed).await;
    bed.clock.advance(LATE);
    let message = bed.end_of(task).await.unwrap_err();
    let expected = format!("region sh: gateway {id} is not connected (since 2027-01-15T08:00:00Z)");
    assert_eq!(message, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_modification_ends_when_both_run_it_and_is_taken_back_when_late() {
    let (bed, gz, _sh) = site().await;
    let peering = active(&bed).await;
    bed.end_of(modify(&bed, &peering, "100").await)
        .await
        .unwrap();
    assert_eq!(only_peering(&bed).await.bandwidth_mbps, 100);

    claim(&bed, &gz, silent()).await;
    let task = modify(&bed, &peering, "200").await;
    assert_eq!(only_peering(&bed).await.bandwidth_mbps, 200);
    bed.clock.advance(LATE);
    let message = bed.end_of(task).await.unwrap_err();
    assert!(message.contains("region gz: gateway"), "{message}");
    assert_eq!(only_peering(&bed).await.bandwidth_mbps, 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_acceptance_that_fails_leaves_the_request_with_its_deadline() {
    let (bed, gz, sh) = site().await;
    bed.end_of_as(
        &second(),
        create_as(&bed, &second(), "sh", "sh_vpc_8", "gz_vpc_226").await,
    )
    .await
    .unwrap();
    let pending = only_peering(&bed).await;
    assert_eq!(pending.state, "pending");
    let deadline = bed.core().catalog().next_expiry();
    claim(&bed, &sh, silent()).await;
    let accept = "AcceptVpcPeeringConnectionEx";
    let task = act_as(&bed, &first(), "gz", accept, &pending.id).await;
    assert_eq!(only_peering(&bed).await.state, "active");
    claim(&bed, &gz, Claims::GOOD).await;
    bed.clock.advance(LATE);
    let message = bed.end_of(task).await.unwrap_err();
    assert!(message.contains("region sh: gateway"), "{message}");
    assert_eq!(only_peering(&bed).await.state, "pending");
    assert_eq!(bed.core().catalog().next_expiry(), deadline);

    claim(&bed, &sh, Claims::GOOD).await;
    let task = act_as(&bed, &first(), "gz", accept, &pending.id).await;
    bed.end_of(task).await.unwrap();
    assert_eq!(only_peering(&bed).await.state, "active");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_ends_when_both_gateways_have_confirmed() {
    let (bed, gz, sh) = site().await;
    let peering = active(&bed).await;
    claim(&bed, &sh, silent()).await;
    let task = delete(&bed, &peering).await;
    claim(&bed, &gz, Claims::GOOD).await;
    let id: PeeringConnectionId = peering.parse().unwrap();
    eventually("gz has confirmed", || async {
        bed.core().catalog().tombstone(id).unwrap().awaiting == [sh.id()]
    })
    .await;
    assert_eq!(bed.task(&first(), task).await.0, 2);
    sh.claims.send_replace(Claims::GOOD);
    bed.end_of(task).await.unwrap();
    assert!(bed.core().catalog().tombstone(id).is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unconfirmed_deletion_is_final_and_keeps_its_vni_over_a_restart() {
    let (mut bed, _gz, mut sh) = site().await;
    let peering = active(&bed).await;
    let vni = only_peering(&bed).await.vni;
    sh.disconnect().await;
    let task = delete(&bed, &peering).await;
    assert!(bed.admin().peerings().await.unwrap().is_empty());
    bed.clock.advance(LATE);
    let message = bed.end_of(task).await.unwrap_err();
    let gateway = format!("region sh: gateway {} is not connected", sh.id());
    assert!(
        message.contains(&gateway) && message.contains("deleted"),
        "{message}"
    );

    bed.stop().await;
    bed.run().await;
    let id: PeeringConnectionId = peering.parse().unwrap();
    assert_eq!(
        bed.core().catalog().tombstone(id).unwrap().awaiting,
        [sh.id()]
    );
    // The double of gz found its stream ended; the new peering is not carried yet.
    create(&bed).await;
    assert_ne!(only_peering(&bed).await.vni, vni);

    sh.connect(bed.sync(), &bed.ca()).await;
    eventually("the tombstone is gone", || async {
        bed.core().catalog().tombstone(id).is_none()
    })
    .await;
    assert!(bed.core().catalog().vni(vni.try_into().unwrap()).is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_gateway_is_not_waited_for() {
    let (bed, _gz, mut sh) = site().await;
    let peering = active(&bed).await;
    sh.disconnect().await;
    let task = delete(&bed, &peering).await;
    bed.admin()
        .gateway_remove(&sh.id().to_string())
        .await
        .unwrap();
    bed.end_of(task).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_server_goes_on_with_a_task() {
    let (mut bed, mut gz, mut sh) = site().await;
    for double in [&gz, &sh] {
        claim(&bed, double, silent()).await;
    }
    let task = create(&bed).await;
    bed.stop().await;
    bed.run().await;
    assert_eq!(bed.task(&first(), task).await.0, 2);
    for double in [&mut gz, &mut sh] {
        double.claims.send_replace(Claims::GOOD);
        double.connect(bed.sync(), &bed.ca()).await;
    }
    bed.end_of(task).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_server_fails_what_became_late_meanwhile() {
    let (mut bed, gz, sh) = site().await;
    for double in [&gz, &sh] {
        claim(&bed, double, silent()).await;
    }
    let task = create(&bed).await;
    bed.stop().await;
    bed.clock.advance(LATE);
    bed.run().await;
    let message = bed.end_of(task).await.unwrap_err();
    assert!(
        message.contains("not since the server started"),
        "{message}"
    );
    assert!(bed.admin().peerings().await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_expires_in_time() {
    let bed = Bed::start(Dataplane::Gateways).await;
    create_as(&bed, &second(), "sh", "sh_vpc_8", "gz_vpc_226").await;
    assert_eq!(only_peering(&bed).await.state, "pending");
    bed.clock.advance(Duration::from_secs(7 * 24 * 3600));
    eventually("the request expires", || async {
        only_peering(&bed).await.state == "expired"
    })
    .await;
}
