//! The pure difference: which steps lead from what is observed to what is desired.
//!
//! Order: stranded cards go home, what goes makes room (detach, remove), then namespaces, sysctls, the TUN device,
//! bridges with their addresses, routes, and attachments last. A plan for a world that is as desired
//! is empty.

use std::collections::{BTreeMap, BTreeSet};

use model::{CidrBlock, SubnetId, VpcId};

use crate::desired::{
    AttachmentKind, KernelDesired, TUN, VpcDesired, bridge_mac, bridge_name, port_name,
};
use crate::observed::{
    LinkKind, LinkObserved, Observed, OuterObserved, RouteAction, RouteEntry, VpcObserved,
};
use crate::step::{AttachStep, Change, Step};

/// The steps, in the order to apply them.
pub fn plan(desired: &KernelDesired, observed: &Observed) -> Vec<Step> {
    let mut steps = Vec::new();
    for (link, card) in &observed.stranded {
        let restore = Change::Restore {
            link: link.clone(),
            original_name: card.original_name.clone(),
        };
        steps.push(Step::In(card.vpc, restore));
    }
    // In all VPCs before anything is made: what leaves one may be wanted in another.
    for (vpc, found) in &observed.vpcs {
        let Some(wanted) = desired.vpcs.get(vpc) else {
            let ports = found.links.iter().filter(|(name, _)| is_port(name));
            steps.extend(ports.map(|(name, link)| Step::In(*vpc, detach(name, link))));
            steps.push(Step::DeleteNamespace(*vpc));
            continue;
        };
        let changes = removals(wanted, &attachments_of(desired, *vpc, wanted), found);
        steps.extend(changes.into_iter().map(|change| Step::In(*vpc, change)));
    }
    let nothing = VpcObserved::default();
    for (vpc, wanted) in &desired.vpcs {
        let found = observed.vpcs.get(vpc);
        if found.is_none() {
            steps.push(Step::CreateNamespace(*vpc));
        }
        let attachments = attachments_of(desired, *vpc, wanted);
        let mut changes = plan_vpc(wanted, &attachments, found.unwrap_or(&nothing));
        if observed.is_ipv6_missing {
            changes.retain(|change| !is_ipv6_sysctl(change));
        }
        steps.extend(changes.into_iter().map(|change| Step::In(*vpc, change)));
    }
    steps
}

/// The attachments of a VPC that can be made, by port. What cannot is reported by the reconcile and
/// gets no step.
fn attachments_of(
    desired: &KernelDesired,
    vpc: VpcId,
    wanted: &VpcDesired,
) -> BTreeMap<String, AttachStep> {
    let all = desired.attachments.iter();
    all.filter(|(_, attachment)| attachment.vpc == vpc)
        .filter_map(|(name, attachment)| {
            let step = AttachStep {
                name: name.clone(),
                attachment: attachment.clone(),
                subnet: desired.subnet_of(attachment).ok()?,
                mtu_bytes: wanted.mtu_bytes,
            };
            Some((port_name(name), step))
        })
        .collect()
}

/// Whether a port is what the attachment asks for, apart from what can be changed in place.
fn is_made_for(link: &LinkObserved, step: &AttachStep) -> bool {
    let needs_outer = matches!(step.attachment.kind, AttachmentKind::VethToBridge { .. });
    link.made_for == Some(step.fingerprint()) && (link.outer.is_some() || !needs_outer)
}

fn is_ipv6_sysctl(change: &Change) -> bool {
    matches!(change, Change::SetSysctl { path, .. } if path.starts_with("net/ipv6/"))
}

fn is_port(name: &str) -> bool {
    name.len() == 14 && name.starts_with("at") && name[2..].bytes().all(|b| b.is_ascii_hexdigit())
}

fn detach(port: &str, link: &LinkObserved) -> Change {
    Change::Detach {
        port: port.to_owned(),
        original_name: link.original_name.clone(),
    }
}

fn plan_vpc(
    wanted: &VpcDesired,
    attachments: &BTreeMap<String, AttachStep>,
    found: &VpcObserved,
) -> Vec<Change> {
    let mut changes = sysctls(&global_sysctls(), found);
    if !found.links.get("lo").is_some_and(|link| link.is_up) {
        changes.push(Change::SetUp("lo".to_owned()));
    }
    plan_link(
        &mut changes,
        found,
        TUN,
        Change::CreateTun,
        wanted.mtu_bytes,
    );
    changes.extend(sysctls(&tun_sysctls(), found));
    plan_up(&mut changes, found, TUN);
    for (subnet, cidr) in &wanted.subnets {
        plan_bridge(&mut changes, found, *subnet, *cidr, wanted.mtu_bytes);
    }
    let routes = routes(wanted);
    changes.extend(
        routes
            .difference(&found.routes)
            .cloned()
            .map(Change::AddRoute),
    );
    for (port, step) in attachments {
        plan_attachment(&mut changes, found, port, step);
    }
    changes
}

fn removals(
    wanted: &VpcDesired,
    attachments: &BTreeMap<String, AttachStep>,
    found: &VpcObserved,
) -> Vec<Change> {
    let bridges: BTreeSet<String> = wanted.subnets.keys().copied().map(bridge_name).collect();
    let mut changes = Vec::new();
    for (name, link) in &found.links {
        let wanted = attachments.get(name);
        if is_port(name) && !wanted.is_some_and(|step| is_made_for(link, step)) {
            changes.push(detach(name, link));
        }
    }
    for (name, link) in &found.links {
        if link.kind == LinkKind::Bridge && !bridges.contains(name) {
            changes.push(Change::DeleteLink(name.clone()));
        }
    }
    let stale: Vec<_> = found.routes.difference(&routes(wanted)).cloned().collect();
    changes.extend(stale.into_iter().map(Change::RemoveRoute));
    changes
}

/// The sysctls of a whole VPC namespace. Everything is set explicitly: a new namespace inherits some
/// of the host's values.
fn global_sysctls() -> Vec<(String, &'static str)> {
    // rp_filter: the larger of "all" and the link's own counts, so "all" has to be 0.
    [
        ("net/ipv4/ip_forward", "1"),
        ("net/ipv4/conf/all/rp_filter", "0"),
        ("net/ipv4/conf/default/rp_filter", "1"),
        ("net/ipv4/conf/all/accept_local", "0"),
        ("net/ipv4/conf/all/send_redirects", "0"),
        ("net/ipv4/conf/default/send_redirects", "0"),
        ("net/ipv4/conf/all/accept_redirects", "0"),
        ("net/ipv4/conf/all/accept_source_route", "0"),
        ("net/ipv6/conf/all/disable_ipv6", "1"),
        ("net/ipv6/conf/default/disable_ipv6", "1"),
    ]
    .map(|(path, value)| (path.to_owned(), value))
    .to_vec()
}

// ICMP errors of the engine have a subnet's gateway address as source, which is local here.
fn tun_sysctls() -> Vec<(String, &'static str)> {
    vec![
        (format!("net/ipv4/conf/{TUN}/rp_filter"), "0"),
        (format!("net/ipv4/conf/{TUN}/accept_local"), "1"),
        (format!("net/ipv4/conf/{TUN}/send_redirects"), "0"),
    ]
}

fn bridge_sysctls(bridge: &str) -> Vec<(String, &'static str)> {
    vec![
        (format!("net/ipv4/conf/{bridge}/rp_filter"), "1"),
        (format!("net/ipv4/conf/{bridge}/accept_local"), "0"),
        (format!("net/ipv4/conf/{bridge}/send_redirects"), "0"),
    ]
}

/// Every sysctl that matters for a VPC with these bridges, for the observer to read.
pub fn sysctl_paths<'a>(bridges: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut all = global_sysctls();
    all.extend(tun_sysctls());
    all.extend(bridges.flat_map(bridge_sysctls));
    all.into_iter().map(|(path, _)| path).collect()
}

fn sysctls(wanted: &[(String, &str)], found: &VpcObserved) -> Vec<Change> {
    wanted
        .iter()
        .filter(|(path, value)| found.sysctls.get(path).map(String::as_str) != Some(value))
        .map(|(path, value)| Change::SetSysctl {
            path: path.clone(),
            value: (*value).to_owned(),
        })
        .collect()
}

fn plan_link(
    changes: &mut Vec<Change>,
    found: &VpcObserved,
    name: &str,
    create: Change,
    mtu_bytes: u16,
) {
    let link = found.links.get(name);
    if link.is_none() {
        changes.push(create);
    }
    if link.map(|link| link.mtu_bytes) != Some(mtu_bytes.into()) {
        changes.push(Change::SetMtu {
            link: name.to_owned(),
            mtu_bytes,
        });
    }
}

fn plan_up(changes: &mut Vec<Change>, found: &VpcObserved, name: &str) {
    if !found.links.get(name).is_some_and(|link| link.is_up) {
        changes.push(Change::SetUp(name.to_owned()));
    }
}

fn plan_bridge(
    changes: &mut Vec<Change>,
    found: &VpcObserved,
    subnet: SubnetId,
    cidr: CidrBlock,
    mtu_bytes: u16,
) {
    let name = bridge_name(subnet);
    let create = Change::CreateBridge {
        name: name.clone(),
        mac: bridge_mac(subnet),
    };
    plan_link(changes, found, &name, create, mtu_bytes);
    changes.extend(sysctls(&bridge_sysctls(&name), found));
    let wanted = (cidr.gateway_address(), cidr.prefix_len());
    let addresses = found
        .links
        .get(&name)
        .map(|link| link.addresses.clone())
        .unwrap_or_default();
    for (address, prefix_len) in addresses.iter().copied().filter(|entry| *entry != wanted) {
        changes.push(Change::RemoveAddress {
            link: name.clone(),
            address,
            prefix_len,
        });
    }
    if !addresses.contains(&wanted) {
        let (address, prefix_len) = wanted;
        changes.push(Change::AddAddress {
            link: name.clone(),
            address,
            prefix_len,
        });
    }
    plan_up(changes, found, &name);
}

fn routes(wanted: &VpcDesired) -> BTreeSet<RouteEntry> {
    let everywhere = CidrBlock::new(std::net::Ipv4Addr::UNSPECIFIED, 0).expect("0.0.0.0/0");
    let blocks = std::iter::once(&wanted.cidr).chain(&wanted.assistant_cidrs);
    let unreachable = blocks.map(|block| RouteEntry {
        destination: *block,
        action: RouteAction::Unreachable,
    });
    let leaving = RouteEntry {
        destination: everywhere,
        action: RouteAction::Device(TUN.to_owned()),
    };
    unreachable.chain([leaving]).collect()
}

fn plan_attachment(changes: &mut Vec<Change>, found: &VpcObserved, port: &str, step: &AttachStep) {
    let link = found.links.get(port);
    let Some(link) = link.filter(|link| is_made_for(link, step)) else {
        changes.push(Change::Attach(step.clone()));
        return;
    };
    if link.mtu_bytes != u32::from(step.mtu_bytes) {
        changes.push(Change::SetMtu {
            link: port.to_owned(),
            mtu_bytes: step.mtu_bytes,
        });
    }
    let bridge = bridge_name(step.attachment.subnet);
    if link.bridge.as_ref() != Some(&bridge) {
        changes.push(Change::SetBridge {
            link: port.to_owned(),
            bridge,
        });
    }
    plan_up(changes, found, port);
    let AttachmentKind::VethToBridge { bridge } = &step.attachment.kind else {
        return;
    };
    let joined = OuterObserved {
        bridge: Some(bridge.clone()),
        is_up: true,
    };
    if link.outer.as_ref() != Some(&joined) {
        changes.push(Change::JoinBridge {
            port: port.to_owned(),
            bridge: bridge.clone(),
        });
    }
}
