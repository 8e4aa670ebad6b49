//! The real kernel: namespaces that the tests make and remove. Needs root.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::process::Command;

use kernel::desired::{TUN, bridge_name, outer_name, port_name};
use kernel::netns::Namespace;
use kernel::{
    Attachment, AttachmentKind, HostConfig, InstanceId, Kernel, KernelDesired, KernelError,
    LinuxKernel, NamespaceRef, Step, VpcDesired, clean, link, plan, reconcile,
};
use model::{CidrBlock, SubnetId, VpcId};

/// A gateway's own namespace with nothing in it, hosts, and a kernel of one instance.
struct Site {
    own: Namespace,
    hosts: Vec<Namespace>,
    instance: InstanceId,
    kernel: LinuxKernel,
}

impl Site {
    fn new(tag: &str, hosts: usize) -> Site {
        assert!(
            nix::unistd::geteuid().is_root(),
            "run as root, or leave the tests named root_ out"
        );
        let name = |what: &str| format!("pwk{}-{tag}-{what}", std::process::id());
        let own = Namespace::create(&name("own")).unwrap();
        let hosts = (0..hosts)
            .map(|n| Namespace::create(&name(&n.to_string())).unwrap())
            .collect();
        let entropy = tag
            .bytes()
            .fold(u64::from(std::process::id()), |hash, byte| {
                hash.wrapping_mul(1_000_003) ^ u64::from(byte)
            });
        let instance = InstanceId::from_entropy(entropy.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let underlay = Some(Ipv4Addr::new(192, 0, 2, 9).into());
        let kernel = own
            .run(|| LinuxKernel::new(instance.clone(), underlay))
            .unwrap();
        Site {
            own,
            hosts,
            instance,
            kernel,
        }
    }

    async fn settle(&self, desired: &KernelDesired) -> usize {
        let report = reconcile(&self.kernel, desired).await.unwrap();
        assert!(
            report.is_settled(),
            "{:#?} {:#?}",
            report.errors,
            report.drift
        );
        report.applied.len()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let prefix = self.instance.namespace_prefix();
        let left = Namespace::list().unwrap_or_default();
        for name in left.iter().filter(|name| name.starts_with(&prefix)) {
            let _ = Namespace::delete(name);
        }
        for namespace in self.hosts.iter().chain([&self.own]) {
            let _ = Namespace::delete(namespace.name());
        }
    }
}

fn cidr(text: &str) -> CidrBlock {
    text.parse().unwrap()
}

fn vpc(subnets: &[(u64, &str)]) -> VpcDesired {
    let subnets = subnets
        .iter()
        .map(|(id, block)| (SubnetId::from_entropy(*id), cidr(block)));
    VpcDesired {
        cidr: cidr("10.1.0.0/16"),
        assistant_cidrs: BTreeSet::new(),
        mtu_bytes: 1390,
        subnets: subnets.collect(),
    }
}

fn host(vpc: u64, subnet: u64, namespace: &Namespace, address: [u8; 4]) -> Attachment {
    Attachment {
        vpc: VpcId::from_entropy(vpc),
        subnet: SubnetId::from_entropy(subnet),
        kind: AttachmentKind::VethToNamespace {
            namespace: NamespaceRef::Name(namespace.name().to_owned()),
            interface: "eth0".into(),
        },
        host: Some(HostConfig {
            address: address.into(),
        }),
    }
}

fn ping_once(from: &Namespace, to: &str) -> bool {
    let arguments = [
        "netns",
        "exec",
        from.name(),
        "ping",
        "-c",
        "1",
        "-W",
        "1",
        "-q",
        to,
    ];
    Command::new("ip")
        .args(arguments)
        .output()
        .unwrap()
        .status
        .success()
}

/// Whether a request is answered within some seconds: the kernel takes its time to bring a new port
/// into service, and address resolution retries once a second.
fn pings(from: &Namespace, to: &str) -> bool {
    (0..10).any(|_| ping_once(from, to))
}

fn ip(namespace: &Namespace, arguments: &[&str]) -> String {
    let output = Command::new("ip")
        .args(["-n", namespace.name()])
        .args(arguments)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

fn two_subnets(site: &Site) -> KernelDesired {
    KernelDesired {
        vpcs: BTreeMap::from([(
            VpcId::from_entropy(1),
            vpc(&[(1, "10.1.1.0/24"), (2, "10.1.2.0/24")]),
        )]),
        attachments: BTreeMap::from([
            ("a".into(), host(1, 1, &site.hosts[0], [10, 1, 1, 10])),
            ("b".into(), host(1, 2, &site.hosts[1], [10, 1, 2, 10])),
        ]),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn root_hosts_in_two_subnets_reach_each_other_and_a_second_reconcile_writes_nothing() {
    let site = Site::new("two", 2);
    let desired = two_subnets(&site);
    assert!(site.settle(&desired).await > 0);
    assert!(pings(&site.hosts[0], "10.1.2.10"));
    assert!(pings(&site.hosts[0], "10.1.1.1"));
    assert!(
        !ping_once(&site.hosts[0], "10.1.3.1"),
        "what is in no subnet is unreachable"
    );
    assert_eq!(site.settle(&desired).await, 0);
    site.kernel.open_tun(VpcId::from_entropy(1)).unwrap();

    let report = clean(&site.kernel).await.unwrap();
    assert!(report.is_settled(), "{:?}", report.errors);
    assert_eq!(
        site.kernel.observe().await.unwrap(),
        kernel::Observed::default()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn root_drift_is_repaired() {
    let site = Site::new("drift", 2);
    let desired = two_subnets(&site);
    site.settle(&desired).await;
    let inside = Namespace::open(&site.instance.namespace(VpcId::from_entropy(1))).unwrap();
    let first = bridge_name(SubnetId::from_entropy(1));
    ip(&inside, &["link", "del", &first]);
    ip(
        &inside,
        &[
            "addr",
            "flush",
            "dev",
            &bridge_name(SubnetId::from_entropy(2)),
        ],
    );
    ip(&inside, &["route", "del", "default"]);
    assert!(!ping_once(&site.hosts[0], "10.1.2.10"));
    assert!(site.settle(&desired).await > 0);
    assert!(pings(&site.hosts[0], "10.1.2.10"));

    let mut smaller = desired.clone();
    smaller.attachments.remove("b");
    smaller
        .vpcs
        .get_mut(&VpcId::from_entropy(1))
        .unwrap()
        .subnets
        .pop_last();
    site.settle(&smaller).await;
    assert_eq!(site.settle(&smaller).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn root_a_network_card_moves_in_and_comes_back_under_its_name() {
    let site = Site::new("nic", 2);
    // Two ends of veth pairs stand for cards; what hangs on the other end is outside.
    link::create_veth_pair(&site.own, "card0", &site.hosts[0], "eth0").unwrap();
    link::create_veth_pair(&site.own, "wan0", &site.hosts[1], "eth0").unwrap();
    link::add_address(&site.own, "wan0", Ipv4Addr::new(192, 0, 2, 9).into(), 24).unwrap();
    let nic = |interface: &str| Attachment {
        kind: AttachmentKind::Nic {
            interface: interface.into(),
        },
        host: None,
        ..host(1, 1, &site.hosts[0], [0; 4])
    };
    let mut desired = KernelDesired {
        vpcs: BTreeMap::from([(VpcId::from_entropy(1), vpc(&[(1, "10.1.1.0/24")]))]),
        attachments: BTreeMap::from([("card".into(), nic("card0"))]),
    };
    site.settle(&desired).await;
    link::add_address(
        &site.hosts[0],
        "eth0",
        Ipv4Addr::new(10, 1, 1, 10).into(),
        24,
    )
    .unwrap();
    link::set_up(&site.hosts[0], "eth0").unwrap();
    assert!(pings(&site.hosts[0], "10.1.1.1"));
    assert!(!ip(&site.own, &["link"]).contains("card0"));

    desired.attachments.insert("wan".into(), nic("wan0"));
    let report = reconcile(&site.kernel, &desired).await.unwrap();
    let (_, error) = &report.errors[0];
    assert!(matches!(error, KernelError::Refused { interface, .. } if interface == "wan0"));

    desired.attachments.clear();
    site.settle(&desired).await;
    assert!(ip(&site.own, &["link"]).contains("card0"));
}

#[tokio::test(flavor = "multi_thread")]
async fn root_a_bridge_of_the_host_joins_a_subnet() {
    let site = Site::new("bridge", 1);
    link::create_bridge(&site.own, "lan").unwrap();
    link::set_up(&site.own, "lan").unwrap();
    link::create_veth_pair(&site.own, "port", &site.hosts[0], "eth0").unwrap();
    link::set_master(&site.own, "port", "lan").unwrap();
    link::set_up(&site.own, "port").unwrap();
    link::add_address(
        &site.hosts[0],
        "eth0",
        Ipv4Addr::new(10, 1, 1, 10).into(),
        24,
    )
    .unwrap();
    link::set_up(&site.hosts[0], "eth0").unwrap();
    let attachment = Attachment {
        kind: AttachmentKind::VethToBridge {
            bridge: "lan".into(),
        },
        host: None,
        ..host(1, 1, &site.hosts[0], [0; 4])
    };
    let desired = KernelDesired {
        vpcs: BTreeMap::from([(VpcId::from_entropy(1), vpc(&[(1, "10.1.1.0/24")]))]),
        attachments: BTreeMap::from([("lan".into(), attachment)]),
    };
    site.settle(&desired).await;
    assert!(pings(&site.hosts[0], "10.1.1.1"));
    assert_eq!(site.settle(&desired).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn root_an_attachment_to_an_absent_namespace_is_reported_and_made_when_it_appears() {
    let mut site = Site::new("late", 1);
    let late = format!("pwk{}-late-host", std::process::id());
    let mut desired = KernelDesired {
        vpcs: BTreeMap::from([(VpcId::from_entropy(1), vpc(&[(1, "10.1.1.0/24")]))]),
        attachments: BTreeMap::from([("a".into(), host(1, 1, &site.hosts[0], [10, 1, 1, 10]))]),
    };
    let mut absent = host(1, 1, &site.hosts[0], [10, 1, 1, 11]);
    absent.kind = AttachmentKind::VethToNamespace {
        namespace: NamespaceRef::Name(late.clone()),
        interface: "eth0".into(),
    };
    desired.attachments.insert("late".into(), absent);
    let report = reconcile(&site.kernel, &desired).await.unwrap();
    assert_eq!(report.errors.len(), 1, "{:?}", report.errors);
    assert!(
        pings(&site.hosts[0], "10.1.1.1"),
        "the others are made all the same"
    );
    site.hosts.push(Namespace::create(&late).unwrap());
    site.settle(&desired).await;
    assert!(pings(&site.hosts[1], "10.1.1.10"));
}

#[tokio::test(flavor = "multi_thread")]
async fn root_cleaning_one_instance_leaves_the_other_alone() {
    let (first, second) = (Site::new("one", 2), Site::new("other", 2));
    first.settle(&two_subnets(&first)).await;
    let desired = two_subnets(&second);
    second.settle(&desired).await;
    clean(&first.kernel).await.unwrap();
    assert!(pings(&second.hosts[0], "10.1.2.10"));
    assert!(plan(&desired, &second.kernel.observe().await.unwrap()).is_empty());
    assert!(!second.kernel.observe().await.unwrap().vpcs.is_empty());
    assert!(port_name("a").len() <= 15);
}

#[tokio::test(flavor = "multi_thread")]
async fn root_a_missing_device_is_reported_and_not_made_by_opening_it() {
    let site = Site::new("notun", 0);
    let vpc = VpcId::from_entropy(1);
    site.kernel
        .apply(&Step::CreateNamespace(vpc))
        .await
        .unwrap();
    let opened = site.kernel.open_tun(vpc);
    assert!(matches!(opened, Err(KernelError::NoLink { link, .. }) if link == TUN));
    let inside = Namespace::open(&site.instance.namespace(vpc)).unwrap();
    assert!(!ip(&inside, &["link"]).contains(TUN));
}

#[tokio::test(flavor = "current_thread")]
async fn root_a_runtime_with_one_thread_will_do() {
    let site = Site::new("single", 2);
    let desired = two_subnets(&site);
    assert!(site.settle(&desired).await > 0);
    assert_eq!(site.settle(&desired).await, 0);
}

fn card(interface: &str) -> Attachment {
    Attachment {
        vpc: VpcId::from_entropy(1),
        subnet: SubnetId::from_entropy(1),
        kind: AttachmentKind::Nic {
            interface: interface.into(),
        },
        host: None,
    }
}

fn to_bridge(bridge: &str) -> Attachment {
    Attachment {
        kind: AttachmentKind::VethToBridge {
            bridge: bridge.into(),
        },
        ..card("")
    }
}

fn one_subnet(name: &str, attachment: Attachment) -> KernelDesired {
    KernelDesired {
        vpcs: BTreeMap::from([(VpcId::from_entropy(1), vpc(&[(1, "10.1.1.0/24")]))]),
        attachments: BTreeMap::from([(name.into(), attachment)]),
    }
}

const CARD_ALIAS: &str = "uplink: rack 7";

/// A site with a card in use: one end of a veth pair, the other in the first host's namespace.
fn site_with_card(tag: &str) -> Site {
    let site = Site::new(tag, 1);
    link::create_veth_pair(&site.own, "card0", &site.hosts[0], "eth0").unwrap();
    ip(&site.own, &["link", "set", "card0", "up", "mtu", "1450"]);
    ip(&site.own, &["link", "set", "card0", "alias", CARD_ALIAS]);
    site
}

fn is_card_as_before(site: &Site) -> bool {
    let shown = ip(&site.own, &["link", "show", "card0"]);
    shown.contains("mtu 1450")
        && shown.contains(",UP")
        && shown.contains(&format!("alias {CARD_ALIAS}\n"))
}

fn inside(site: &Site) -> Namespace {
    Namespace::open(&site.instance.namespace(VpcId::from_entropy(1))).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn root_two_gateways_in_one_namespace_attach_bridges_under_the_same_name() {
    let first = Site::new("same1", 0);
    let mut second = Site::new("same2", 0);
    link::create_bridge(&first.own, "lan").unwrap();
    second.kernel = first
        .own
        .run(|| LinuxKernel::new(second.instance.clone(), None))
        .unwrap();
    let desired = one_subnet("lan", to_bridge("lan"));
    first.settle(&desired).await;
    second.settle(&desired).await;
    clean(&first.kernel).await.unwrap();
    assert_eq!(second.settle(&desired).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn root_the_outer_end_of_a_bridge_attachment_is_repaired() {
    let site = Site::new("outer", 0);
    link::create_bridge(&site.own, "lan").unwrap();
    link::create_bridge(&site.own, "dmz").unwrap();
    let desired = one_subnet("lan", to_bridge("lan"));
    site.settle(&desired).await;
    let outer = outer_name(&site.instance, "lan");
    let disturbances: [&[&str]; 3] = [&["nomaster"], &["down"], &["master", "dmz"]];
    for disturbance in disturbances {
        let change = [&["link", "set", outer.as_str()], disturbance].concat();
        ip(&site.own, &change);
        assert_eq!(site.settle(&desired).await, 1, "{disturbance:?}");
        let shown = ip(&site.own, &["link", "show", &outer]);
        assert!(
            shown.contains("master lan") && shown.contains(",UP"),
            "{shown}"
        );
        assert_eq!(site.settle(&desired).await, 0);
    }
    let elsewhere = one_subnet("lan", to_bridge("dmz"));
    assert!(site.settle(&elsewhere).await > 0);
    assert!(ip(&site.own, &["link", "show", &outer]).contains("master dmz"));
    assert_eq!(site.settle(&elsewhere).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn root_an_attachment_with_another_target_is_made_anew() {
    let site = Site::new("retarget", 2);
    let on = |number: usize, last| host(1, 1, &site.hosts[number], [10, 1, 1, last]);
    site.settle(&one_subnet("web", on(0, 10))).await;
    assert!(pings(&site.hosts[0], "10.1.1.1"));

    let moved = one_subnet("web", on(1, 10));
    assert!(site.settle(&moved).await > 0);
    assert!(pings(&site.hosts[1], "10.1.1.1"));
    assert!(!ip(&site.hosts[0], &["link"]).contains("eth0"));
    assert_eq!(site.settle(&moved).await, 0);

    let readdressed = one_subnet("web", on(1, 11));
    assert!(site.settle(&readdressed).await > 0);
    assert!(ip(&site.hosts[1], &["addr"]).contains("10.1.1.11/24"));
    assert_eq!(site.settle(&readdressed).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn root_a_network_card_comes_back_as_it_was() {
    let site = site_with_card("restore");
    assert!(is_card_as_before(&site));
    let desired = one_subnet("card", card("card0"));
    site.settle(&desired).await;
    assert_eq!(site.settle(&desired).await, 0);
    assert!(clean(&site.kernel).await.unwrap().is_settled());
    assert!(is_card_as_before(&site));
}

#[tokio::test(flavor = "multi_thread")]
async fn root_a_network_card_stays_while_its_name_is_taken() {
    let site = site_with_card("taken");
    site.settle(&one_subnet("card", card("card0"))).await;
    link::create_bridge(&site.own, "card0").unwrap();
    let report = clean(&site.kernel).await.unwrap();
    let (_, error) = &report.errors[0];
    assert!(error.to_string().contains("rename that one"), "{error}");
    assert!(!report.drift.is_empty());
    assert!(ip(&inside(&site), &["link"]).contains(&port_name("card")));

    link::delete_link(&site.own, "card0").unwrap();
    assert!(clean(&site.kernel).await.unwrap().is_settled());
    assert!(is_card_as_before(&site));
}

#[tokio::test(flavor = "multi_thread")]
async fn root_a_network_card_left_half_way_is_found_and_restored() {
    let site = site_with_card("killed");
    let desired = one_subnet("card", card("card0"));
    site.settle(&desired).await;
    let port = port_name("card");
    let own = site.own.name();

    // Killed after the move, before the card got its name back.
    ip(&inside(&site), &["link", "set", &port, "netns", own]);
    assert!(clean(&site.kernel).await.unwrap().is_settled());
    assert!(is_card_as_before(&site));

    // Killed before the move, or just before the mark was removed.
    site.settle(&desired).await;
    ip(
        &inside(&site),
        &["link", "set", &port, "name", "card0", "netns", own],
    );
    site.settle(&desired).await;
    assert_eq!(site.settle(&desired).await, 0);
    assert!(clean(&site.kernel).await.unwrap().is_settled());
    assert!(is_card_as_before(&site));
}

/// Puts a macvlan on a card: like a VLAN it stands on the card and goes when the card goes.
fn add_upper(site: &Site) {
    let add = "link add link card0 name upper type macvlan";
    ip(&site.own, &add.split(' ').collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn root_a_link_that_is_no_veth_pair_of_ours_is_not_removed() {
    let site = site_with_card("nopair");
    add_upper(&site);
    site.settle(&one_subnet("upper", card("upper"))).await;
    let port = port_name("upper");
    ip(&inside(&site), &["link", "set", &port, "alias", ""]);
    let report = clean(&site.kernel).await.unwrap();
    let (_, error) = &report.errors[0];
    assert!(matches!(error, KernelError::Refused { interface, .. } if *interface == port));
    assert!(ip(&inside(&site), &["-d", "link", "show", &port]).contains("macvlan"));
}

#[tokio::test(flavor = "multi_thread")]
async fn root_a_network_card_that_others_stand_on_is_refused() {
    let site = site_with_card("under");
    let refused = async |attachments: &[&str]| {
        let mut desired = one_subnet("card", card("card0"));
        desired.attachments = attachments
            .iter()
            .map(|name| ((*name).to_owned(), card(name)))
            .collect();
        let report = reconcile(&site.kernel, &desired).await.unwrap();
        assert!(is_card_as_before(&site));
        report.errors[0].1.to_string()
    };
    add_upper(&site);
    let error = refused(&["card0"]).await;
    assert!(error.contains("upper stands on it"), "{error}");

    site.settle(&one_subnet("upper", card("upper"))).await;
    let error = refused(&["upper", "card0"]).await;
    assert!(error.contains("upper stands on it"), "{error}");

    assert!(clean(&site.kernel).await.unwrap().is_settled());
    ip(&site.own, &["link", "del", "upper"]);
    link::create_bridge(&site.own, "lan").unwrap();
    link::set_master(&site.own, "card0", "lan").unwrap();
    let error = refused(&["lan"]).await;
    assert!(error.contains("card0 stands on it"), "{error}");
    ip(&site.own, &["link", "set", "card0", "nomaster"]);
    site.settle(&one_subnet("card", card("card0"))).await;
}
