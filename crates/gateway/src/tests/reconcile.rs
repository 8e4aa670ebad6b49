//! The reconcile loop.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use api::sync::ServerMessage;
use kernel::desired::TUN;
use kernel::step::{Change, Step};
use model::Generation;
use model::slice::GatewaySlice;

use super::server::FakeServer;
use super::site::Site;
use crate::control::{AttachRequest, AttachTarget};
use crate::testing::{peer_id, peering_key, slice, vpc_id};

/// The slice with a second peering, of VPC 2.
fn two_peerings(generation: u64) -> GatewaySlice {
    let mut slice = slice(generation);
    let mut second = slice.peerings[&peering_key()].clone();
    second.local_vpc = vpc_id(2);
    second.vni = model::Vni::try_from(5000).unwrap();
    let key = (
        model::PeeringConnectionId::from_entropy(2),
        model::Side::Accepter,
    );
    slice.peerings.insert(key, second);
    slice
}

fn vpc_of(step: &Step) -> model::VpcId {
    match step {
        Step::CreateNamespace(vpc) | Step::DeleteNamespace(vpc) | Step::In(vpc, _) => *vpc,
    }
}

#[tokio::test]
async fn a_restart_without_a_server_forwards_and_writes_nothing() {
    let server = FakeServer::start(Some(slice(7))).await;
    let site = Site::new();
    let gateway = site.start(Some(server.join_string())).await;
    gateway.await_generation(7).await;
    let request = AttachRequest {
        name: "web".to_owned(),
        vpc: "gz_vpc_2".to_owned(),
        subnet: "10.2.1.0/24".to_owned(),
        target: AttachTarget::Process {
            pid: 1,
            interface: "eth0".to_owned(),
        },
        configure: false,
        address: None,
    };
    gateway.client.attach(&request).await.unwrap();
    gateway.stop().await.unwrap();
    drop(server);

    let steps = site.kernel.applied();
    let gateway = site.start(None).await;
    let status = gateway.await_generation(7).await;
    assert_eq!(
        site.kernel.applied(),
        steps,
        "the second apply writes nothing"
    );
    assert_eq!(
        gateway.forwarder.vpcs(),
        BTreeSet::from([vpc_id(1), vpc_id(2)])
    );
    let last = gateway.forwarder.last().unwrap();
    assert_eq!(*last.slice, slice(7));
    assert_eq!(
        last.endpoints[&peer_id()],
        "192.0.2.2:51820".parse().unwrap()
    );
    assert!(status.attachments.contains_key("web"));
    assert!(gateway.client.plan().await.unwrap().steps.is_empty());
    gateway.stop().await.unwrap();
}

#[tokio::test]
async fn a_removed_peering_stops_in_the_engine_before_the_kernel_is_touched() {
    let server = FakeServer::start(Some(two_peerings(7))).await;
    let site = Site::new();
    let gateway = site.start(Some(server.join_string())).await;
    gateway.await_generation(7).await;
    server.send(ServerMessage::Change(two_peerings(7).change_to(&slice(8))));
    gateway.await_generation(8).await;

    let applied = site.kernel.applied();
    let deleted = applied
        .iter()
        .position(|step| *step == Step::DeleteNamespace(vpc_id(2)))
        .unwrap();
    let stopped = gateway.forwarder.configured();
    let stopped = stopped
        .iter()
        .find(|c| c.slice.generation == Generation(8))
        .unwrap();
    assert!(
        stopped.kernel_steps <= deleted,
        "{} > {deleted}",
        stopped.kernel_steps
    );
    assert!(
        !stopped.devices.contains_key(&vpc_id(2)),
        "its device is released first"
    );
    gateway.stop().await.unwrap();
}

#[tokio::test]
async fn a_failing_vpc_does_not_stop_the_others_and_is_tried_again() {
    let server = FakeServer::start(Some(two_peerings(7))).await;
    let site = Site::new();
    site.kernel.refuse(|step| vpc_of(step) == vpc_id(2));
    let gateway = site.start(Some(server.join_string())).await;
    let status = gateway.await_generation(7).await;
    assert_eq!(gateway.forwarder.vpcs(), BTreeSet::from([vpc_id(1)]));
    let subjects: BTreeSet<String> = status.errors.iter().map(|e| e.subject.clone()).collect();
    assert_eq!(subjects, BTreeSet::from([vpc_id(2).to_string()]));
    let seen = server
        .await_seen(|seen| seen.reports.iter().any(|report| !report.errors.is_empty()))
        .await;
    assert_eq!(
        seen.reports.last().unwrap().errors[0].subject,
        vpc_id(2).to_string()
    );

    site.kernel.allow_all();
    gateway
        .await_status(|status| status.errors.is_empty())
        .await;
    assert_eq!(
        gateway.forwarder.vpcs(),
        BTreeSet::from([vpc_id(1), vpc_id(2)])
    );
    gateway.stop().await.unwrap();
}

#[tokio::test]
async fn a_device_follows_the_engines_mtu() {
    let server = FakeServer::start(Some(slice(7))).await;
    let site = Site::new();
    let gateway = site.start(Some(server.join_string())).await;
    gateway.await_generation(7).await;
    let set = |mtu_bytes| {
        let change = Change::SetMtu {
            link: TUN.to_owned(),
            mtu_bytes,
        };
        site.kernel.applied().contains(&Step::In(vpc_id(1), change))
    };
    assert!(set(1390), "an IPv4 underlay of 1500");
    gateway
        .forwarder
        .mtus
        .lock()
        .unwrap()
        .insert(vpc_id(1), 8890);
    gateway.await_status(|_| set(8890)).await;
    gateway.stop().await.unwrap();
}

#[tokio::test]
async fn a_device_that_was_made_again_is_opened_again() {
    let server = FakeServer::start(Some(slice(7))).await;
    let site = Site::new();
    let gateway = site.start(Some(server.join_string())).await;
    gateway.await_generation(7).await;
    let before = gateway.forwarder.last().unwrap().devices[&vpc_id(1)].clone();
    site.kernel
        .disturb(|observed| drop(observed.vpcs.remove(&vpc_id(1))));
    // Another VPC's appearance makes the loop look at the kernel.
    server.send(ServerMessage::Change(slice(7).change_to(&two_peerings(8))));
    gateway.await_generation(8).await;
    let after = gateway.forwarder.last().unwrap().devices[&vpc_id(1)].clone();
    assert!(
        !Arc::ptr_eq(&before, &after),
        "the old queue leads to a device that is gone"
    );
    gateway.stop().await.unwrap();
}

#[tokio::test]
async fn a_generation_that_the_engine_did_not_take_is_not_in_force() {
    let server = FakeServer::start(Some(slice(7))).await;
    let site = Site::new();
    let gateway = site.start(Some(server.join_string())).await;
    gateway.await_generation(7).await;
    gateway.forwarder.is_stopped.store(true, Ordering::SeqCst);
    server.send(ServerMessage::Change(slice(7).change_to(&slice(8))));
    let status = gateway
        .await_status(|status| !status.errors.is_empty())
        .await;
    assert_eq!(
        (status.generation, status.desired_generation),
        (Some(7), Some(8))
    );
    assert_eq!(status.errors[0].subject, "gateway");

    gateway.forwarder.is_stopped.store(false, Ordering::SeqCst);
    gateway.await_generation(8).await;
    gateway.stop().await.unwrap();
}

#[tokio::test]
async fn a_slice_that_cannot_be_remembered_is_not_in_force() {
    let server = FakeServer::start(Some(slice(7))).await;
    let site = Site::new();
    let gateway = site.start(Some(server.join_string())).await;
    gateway.await_generation(7).await;
    let obstacle = site.state_file("slice.json.new");
    std::fs::create_dir(&obstacle).unwrap();
    server.send(ServerMessage::Change(slice(7).change_to(&slice(8))));
    let status = gateway
        .await_status(|status| !status.errors.is_empty())
        .await;
    assert_eq!(status.generation, Some(7));
    assert_eq!(
        gateway.forwarder.last().unwrap().slice.generation,
        Generation(8)
    );

    std::fs::remove_dir(&obstacle).unwrap();
    gateway.await_generation(8).await;
    gateway.stop().await.unwrap();
}
