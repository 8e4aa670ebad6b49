//! The plan against a kernel in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use kernel::desired::{TUN, bridge_name, port_name};
use kernel::step::Change;
use kernel::{
    Attachment, AttachmentKind, FakeKernel, HostConfig, Kernel, KernelDesired, KernelError,
    NamespaceRef, Step, VpcDesired, clean, plan, reconcile,
};
use model::{SubnetId, VpcId};

fn desired() -> KernelDesired {
    let attachment = Attachment {
        vpc: VpcId::from_entropy(1),
        subnet: SubnetId::from_entropy(1),
        kind: AttachmentKind::VethToNamespace {
            namespace: NamespaceRef::Name("web".into()),
            interface: "eth0".into(),
        },
        host: Some(HostConfig {
            address: Ipv4Addr::new(10, 1, 1, 10),
        }),
    };
    let vpc = VpcDesired {
        cidr: "10.1.0.0/16".parse().unwrap(),
        assistant_cidrs: BTreeSet::new(),
        mtu_bytes: 1390,
        subnets: BTreeMap::from([(SubnetId::from_entropy(1), "10.1.1.0/24".parse().unwrap())]),
    };
    KernelDesired {
        vpcs: BTreeMap::from([(VpcId::from_entropy(1), vpc)]),
        attachments: BTreeMap::from([("web".into(), attachment)]),
    }
}

fn texts(steps: &[Step]) -> Vec<String> {
    let vpc = format!("{}: ", VpcId::from_entropy(1));
    steps
        .iter()
        .map(|step| step.to_string().replace(&vpc, ""))
        .collect()
}

#[tokio::test]
async fn what_is_in_no_subnet_of_any_block_is_unreachable() {
    let kernel = FakeKernel::new();
    let mut desired = desired();
    reconcile(&kernel, &desired).await.unwrap();
    let id = VpcId::from_entropy(1);
    let vpc = desired.vpcs.get_mut(&id).unwrap();
    vpc.assistant_cidrs.insert("172.16.0.0/16".parse().unwrap());
    let added = reconcile(&kernel, &desired).await.unwrap();
    let steps: Vec<String> = texts(&added.applied);
    assert_eq!(steps, ["add the route 172.16.0.0/16 unreachable"]);
    desired.vpcs.get_mut(&id).unwrap().assistant_cidrs.clear();
    let removed = reconcile(&kernel, &desired).await.unwrap();
    let steps: Vec<String> = texts(&removed.applied);
    assert_eq!(steps, ["remove the route 172.16.0.0/16 unreachable"]);
}

#[tokio::test]
async fn an_empty_kernel_is_filled_in_order() {
    let kernel = FakeKernel::new();
    let report = reconcile(&kernel, &desired()).await.unwrap();
    assert!(report.is_settled());
    let bridge = bridge_name(SubnetId::from_entropy(1));
    let steps = texts(&report.applied);
    let position = |text: &str| {
        steps
            .iter()
            .position(|step| step.starts_with(text))
            .unwrap()
    };
    assert_eq!(position("make the namespace"), 0);
    assert!(position("make the TUN device") < position("set net/ipv4/conf/peer0/rp_filter to 0"));
    assert!(position("make the bridge") < position(&format!("add 10.1.1.1/24 to {bridge}")));
    assert!(steps.contains(&format!("set net/ipv4/conf/{bridge}/rp_filter to 1")));
    assert!(steps.contains(&"set net/ipv4/conf/peer0/accept_local to 1".to_owned()));
    assert!(steps.contains(&"add the route 0.0.0.0/0 through peer0".to_owned()));
    assert!(steps.contains(&"add the route 10.1.0.0/16 unreachable".to_owned()));
    assert_eq!(
        steps.last().unwrap(),
        "attach eth0 of namespace web as web to 10.1.1.0/24"
    );
}

#[tokio::test]
async fn applying_twice_writes_nothing() {
    let kernel = FakeKernel::new();
    reconcile(&kernel, &desired()).await.unwrap();
    let before = kernel.applied().len();
    let report = reconcile(&kernel, &desired()).await.unwrap();
    assert!(report.applied.is_empty() && report.is_settled());
    assert_eq!(kernel.applied().len(), before);
}

#[tokio::test]
async fn what_nobody_wants_any_more_goes_and_ports_go_first() {
    let kernel = FakeKernel::new();
    reconcile(&kernel, &desired()).await.unwrap();
    let report = clean(&kernel).await.unwrap();
    let port = port_name("web");
    assert_eq!(
        texts(&report.applied),
        [format!("detach {port}"), "remove the namespace".into()]
    );
}

#[tokio::test]
async fn a_refused_step_is_reported_and_finished_later() {
    let kernel = FakeKernel::new();
    kernel.refuse(|step| matches!(step, Step::In(_, Change::AddAddress { .. })));
    let report = reconcile(&kernel, &desired()).await.unwrap();
    assert_eq!(report.errors.len(), 1);
    assert_eq!(report.drift.len(), 1);
    kernel.allow_all();
    let report = reconcile(&kernel, &desired()).await.unwrap();
    assert_eq!(report.applied.len(), 1);
    assert!(report.is_settled());
}

#[tokio::test]
async fn only_what_drifted_is_repaired() {
    let kernel = FakeKernel::new();
    reconcile(&kernel, &desired()).await.unwrap();
    kernel.disturb(|observed| {
        let vpc = observed.vpcs.get_mut(&VpcId::from_entropy(1)).unwrap();
        vpc.links.get_mut(TUN).unwrap().mtu_bytes = 1500;
        let bridge = bridge_name(SubnetId::from_entropy(1));
        let addresses = &mut vpc.links.get_mut(&bridge).unwrap().addresses;
        addresses.insert((Ipv4Addr::new(10, 1, 1, 2), 24));
    });
    let bridge = bridge_name(SubnetId::from_entropy(1));
    let steps = plan(&desired(), &kernel.observe().await.unwrap());
    let expected = [
        "set the MTU of peer0 to 1390".to_owned(),
        format!("remove 10.1.1.2/24 from {bridge}"),
    ];
    assert_eq!(texts(&steps), expected);
}

#[tokio::test]
async fn without_ipv6_nothing_of_it_is_set() {
    let kernel = FakeKernel::new();
    kernel.disturb(|observed| observed.is_ipv6_missing = true);
    let report = reconcile(&kernel, &desired()).await.unwrap();
    assert!(report.is_settled(), "{:?}", report.errors);
    assert!(plan(&desired(), &kernel.observe().await.unwrap()).is_empty());
}

#[tokio::test]
async fn a_namespace_stays_while_a_port_in_it_cannot_be_detached() {
    let kernel = FakeKernel::new();
    reconcile(&kernel, &desired()).await.unwrap();
    kernel.refuse(|step| matches!(step, Step::In(_, Change::Detach { .. })));
    let report = clean(&kernel).await.unwrap();
    assert!(report.applied.is_empty(), "{:?}", report.applied);
    assert_eq!((report.errors.len(), report.drift.len()), (1, 2));
    kernel.allow_all();
    assert!(clean(&kernel).await.unwrap().is_settled());
}

#[tokio::test]
async fn an_attachment_that_cannot_be_made_is_reported_and_gets_no_step() {
    let check = |change: fn(&mut Attachment), expected: &'static str| async move {
        let kernel = FakeKernel::new();
        let mut desired = desired();
        reconcile(&kernel, &desired).await.unwrap();
        let mut wrong = desired.attachments["web"].clone();
        change(&mut wrong);
        desired.attachments.insert("wrong".into(), wrong);
        let report = reconcile(&kernel, &desired).await.unwrap();
        assert!(report.applied.is_empty() && report.errors.is_empty() && report.drift.is_empty());
        assert!(!report.is_settled());
        let [KernelError::Attachment { name, reason }] = report.refused.as_slice() else {
            panic!("{:?}", report.refused);
        };
        assert_eq!(name, "wrong");
        assert!(reason.contains(expected), "{reason}");
    };
    fn at(attachment: &mut Attachment, last: u8) {
        let address = Ipv4Addr::new(10, 1, 1, last);
        attachment.host = Some(HostConfig { address });
    }
    check(|wrong| wrong.vpc = VpcId::from_entropy(9), "does not carry").await;
    check(
        |wrong| wrong.subnet = SubnetId::from_entropy(9),
        "has no subnet-",
    )
    .await;
    check(|wrong| at(wrong, 0), "network address").await;
    check(|wrong| at(wrong, 1), "gateway address").await;
    check(|wrong| at(wrong, 255), "broadcast address").await;
    let outside = |wrong: &mut Attachment| {
        let address = Ipv4Addr::new(10, 1, 2, 9);
        wrong.host = Some(HostConfig { address });
    };
    check(outside, "lies outside").await;
}

#[tokio::test]
async fn an_attachment_with_another_target_is_detached_before_it_is_made() {
    let kernel = FakeKernel::new();
    let mut desired = desired();
    reconcile(&kernel, &desired).await.unwrap();
    desired.attachments.get_mut("web").unwrap().kind = AttachmentKind::VethToBridge {
        bridge: "lan".into(),
    };
    let report = reconcile(&kernel, &desired).await.unwrap();
    assert!(report.is_settled());
    let port = port_name("web");
    let expected = [
        format!("detach {port}"),
        "attach the bridge lan as web to 10.1.1.0/24".to_owned(),
    ];
    assert_eq!(texts(&report.applied), expected);
    assert!(plan(&desired, &kernel.observe().await.unwrap()).is_empty());

    // What cannot be detached is not made over.
    kernel.refuse(|step| matches!(step, Step::In(_, Change::Detach { .. })));
    desired.attachments.get_mut("web").unwrap().kind = AttachmentKind::Nic {
        interface: "eth7".into(),
    };
    let report = reconcile(&kernel, &desired).await.unwrap();
    assert!(report.applied.is_empty(), "{:?}", report.applied);
}

#[tokio::test]
async fn an_attachment_that_changes_its_vpc_leaves_the_old_one_first() {
    let kernel = FakeKernel::new();
    let mut desired = desired();
    let [first, second] = [1, 2].map(VpcId::from_entropy);
    desired.vpcs.insert(second, desired.vpcs[&first].clone());
    desired.attachments.get_mut("web").unwrap().vpc = first.max(second);
    reconcile(&kernel, &desired).await.unwrap();
    desired.attachments.get_mut("web").unwrap().vpc = first.min(second);
    let steps = plan(&desired, &kernel.observe().await.unwrap());
    assert!(matches!(&steps[0], Step::In(_, Change::Detach { .. })));
    assert!(matches!(&steps[1], Step::In(_, Change::Attach(_))));
    assert_eq!(steps.len(), 2);
}
