//! The difference between desired and observed, as ordered steps.
//!
//! First what must go (ports before the namespaces they are in, so that a NIC is home before its
//! namespace ends), then each VPC from the inside out, last the attachments. In a new namespace
//! everything that restrains forwarding stands before the first link comes up.

use std::collections::BTreeMap;

use model::{CidrBlock, SubnetId, VpcId};

use crate::desired::{Attachment, AttachmentKind, KernelDesired, VpcDesired};
use crate::names::{PEER_DEVICE, bridge_name, port_name};
use crate::observed::{
    BridgeObserved, Observed, OuterLink, OuterObserved, PortObserved, VpcObserved,
};
use crate::step::{OuterSettings, Step, VpcRoute};
use crate::sysctl;

/// The steps that make the kernel as desired, in the order to apply them. Attachments that cannot be
/// made at all ([`KernelDesired::check`]) count as not desired.
pub fn plan(desired: &KernelDesired, observed: &Observed) -> Vec<Step> {
    let attachments = wanted_attachments(desired);
    let mut steps = Vec::new();
    for (vpc, seen) in &observed.vpcs {
        for (port, port_seen) in &seen.ports {
            if !attachments.get(&(*vpc, port.clone())).is_some_and(|wanted| wanted.keeps(port_seen)) {
                steps.push(Step::Detach { vpc: *vpc, port: port.clone() });
            }
        }
    }
    for vpc in observed.vpcs.keys().filter(|vpc| !desired.vpcs.contains_key(vpc)) {
        steps.push(Step::DeleteNamespace { vpc: *vpc });
    }
    steps.extend(observed.stale.iter().map(|vpc| Step::DeleteNamespace { vpc: *vpc }));
    let absent = VpcObserved::default();
    for (vpc, wanted) in &desired.vpcs {
        let seen = observed.vpcs.get(vpc);
        if seen.is_none() {
            steps.push(Step::CreateNamespace { vpc: *vpc });
        }
        let seen = seen.unwrap_or(&absent);
        VpcPlan { vpc: *vpc, wanted, seen, observed, steps: &mut steps }.run();
    }
    for ((vpc, port), wanted) in &attachments {
        let seen = observed.vpcs.get(vpc).and_then(|vpc| vpc.ports.get(port));
        wanted.plan(port, seen.filter(|seen| wanted.keeps(seen)), &mut steps);
    }
    steps
}

struct WantedAttachment<'a> {
    name: &'a str,
    attachment: &'a Attachment,
    cidr: CidrBlock,
    mtu_bytes: u16,
}

fn wanted_attachments(desired: &KernelDesired) -> BTreeMap<(VpcId, String), WantedAttachment<'_>> {
    desired
        .attachments
        .iter()
        .filter_map(|(name, attachment)| {
            let cidr = desired.check(name, attachment).ok()?;
            let mtu_bytes = desired.vpcs.get(&attachment.vpc)?.mtu_bytes;
            let wanted = WantedAttachment { name, attachment, cidr, mtu_bytes };
            Some(((attachment.vpc, port_name(name)), wanted))
        })
        .collect()
}

struct VpcPlan<'a> {
    vpc: VpcId,
    wanted: &'a VpcDesired,
    seen: &'a VpcObserved,
    observed: &'a Observed,
    steps: &'a mut Vec<Step>,
}

impl VpcPlan<'_> {
    fn run(mut self) {
        self.set_sysctls(sysctl::of_namespace());
        if !self.seen.is_loopback_up {
            self.set_up("lo");
        }
        self.remove_routes();
        self.remove_bridges();
        self.plan_peer0();
        for (subnet, cidr) in &self.wanted.subnets {
            self.plan_bridge(*subnet, *cidr);
        }
        self.add_routes();
    }

    fn set_sysctls(&mut self, settings: impl Iterator<Item = sysctl::Setting>) {
        let values: Vec<(String, String)> = settings
            .filter(|(path, value)| self.seen.sysctls.get(path).is_none_or(|seen| seen != value))
            .map(|(path, value)| (path, value.to_owned()))
            .collect();
        if !values.is_empty() {
            self.steps.push(Step::SetSysctls { vpc: self.vpc, values });
        }
    }

    fn set_up(&mut self, link: &str) {
        self.steps.push(Step::SetLinkUp { vpc: self.vpc, link: link.to_owned() });
    }

    fn set_mtu(&mut self, link: &str, seen: Option<u32>) {
        let mtu_bytes = self.wanted.mtu_bytes;
        if seen != Some(mtu_bytes.into()) {
            self.steps.push(Step::SetMtu { vpc: self.vpc, link: link.to_owned(), mtu_bytes });
        }
    }

    fn wanted_routes(&self) -> [VpcRoute; 2] {
        [VpcRoute::Unreachable(self.wanted.cidr), VpcRoute::DefaultToPeer]
    }

    fn remove_routes(&mut self) {
        let wanted = self.wanted_routes();
        for route in self.seen.routes.iter().filter(|route| !wanted.contains(route)) {
            self.steps.push(Step::RemoveRoute { vpc: self.vpc, route: *route });
        }
    }

    fn add_routes(&mut self) {
        for route in self.wanted_routes() {
            if !self.seen.routes.contains(&route) {
                self.steps.push(Step::AddRoute { vpc: self.vpc, route });
            }
        }
    }

    fn remove_bridges(&mut self) {
        for subnet in self.seen.bridges.keys() {
            if !self.wanted.subnets.contains_key(subnet) {
                self.steps.push(Step::DeleteLink { vpc: self.vpc, link: bridge_name(*subnet) });
            }
        }
    }

    fn plan_peer0(&mut self) {
        let mut seen = self.seen.peer0.as_ref();
        if seen.is_some_and(|tun| !tun.is_well_formed) {
            self.steps.push(Step::DeleteLink { vpc: self.vpc, link: PEER_DEVICE.to_owned() });
            seen = None;
        }
        if seen.is_none() {
            self.steps.push(Step::CreateTun { vpc: self.vpc });
        }
        self.set_link_sysctls(seen.is_some(), sysctl::of_tun(PEER_DEVICE));
        self.set_mtu(PEER_DEVICE, seen.map(|tun| tun.mtu_bytes));
        if !seen.is_some_and(|tun| tun.is_up) {
            self.set_up(PEER_DEVICE);
        }
    }

    // A link that is made anew has none of the settings that were read from the old one.
    fn set_link_sysctls(&mut self, exists: bool, settings: impl Iterator<Item = sysctl::Setting>) {
        if exists {
            self.set_sysctls(settings);
        } else {
            let values = settings.map(|(path, value)| (path, value.to_owned())).collect();
            self.steps.push(Step::SetSysctls { vpc: self.vpc, values });
        }
    }

    fn plan_bridge(&mut self, subnet: SubnetId, cidr: CidrBlock) {
        let (vpc, link) = (self.vpc, bridge_name(subnet));
        let mac = self.observed.instance.bridge_mac(vpc, subnet);
        let seen = self.seen.bridges.get(&subnet);
        match seen {
            None => self.steps.push(Step::CreateBridge { vpc, subnet, mac }),
            Some(bridge) if bridge.mac != mac => {
                self.steps.push(Step::SetMac { vpc, link: link.clone(), mac });
            }
            Some(_) => {}
        }
        self.set_link_sysctls(seen.is_some(), sysctl::of_bridge(&link));
        self.set_mtu(&link, seen.map(|bridge| bridge.mtu_bytes));
        self.plan_address(&link, cidr, seen);
        if !seen.is_some_and(|bridge| bridge.is_up) {
            self.set_up(&link);
        }
    }

    fn plan_address(&mut self, link: &str, cidr: CidrBlock, seen: Option<&BridgeObserved>) {
        let vpc = self.vpc;
        let wanted = (cidr.gateway_address(), cidr.prefix_len());
        let seen = seen.into_iter().flat_map(|bridge| &bridge.addresses);
        let (kept, strays): (Vec<_>, Vec<_>) = seen.partition(|address| **address == wanted);
        for (address, prefix_len) in strays.into_iter().copied() {
            let link = link.to_owned();
            self.steps.push(Step::RemoveAddress { vpc, link, address, prefix_len });
        }
        if kept.is_empty() {
            let (address, prefix_len) = wanted;
            let link = link.to_owned();
            self.steps.push(Step::AddAddress { vpc, link, address, prefix_len });
        }
    }
}

impl WantedAttachment<'_> {
    /// Whether the port is this attachment's, or else must be made anew. A target that has lost its
    /// name keeps its pair: the host may still be there, and nothing better could be made.
    fn keeps(&self, seen: &PortObserved) -> bool {
        let is_ours =
            seen.record.as_ref().is_some_and(|record| record.is_of(self.name, self.attachment));
        match seen.outer {
            OuterObserved::Missing => false,
            OuterObserved::None | OuterObserved::Unreachable | OuterObserved::Present(_) => is_ours,
        }
    }

    fn plan(&self, port: &str, seen: Option<&PortObserved>, steps: &mut Vec<Step>) {
        let (name, attachment) = (self.name.to_owned(), self.attachment.clone());
        let (vpc, subnet, mtu_bytes) = (attachment.vpc, attachment.subnet, self.mtu_bytes);
        let settings = self.outer_settings();
        let Some(seen) = seen else {
            steps.push(Step::Attach { name: name.clone(), attachment: attachment.clone(), mtu_bytes });
            if settings.bridge.is_some() || settings.host.is_some() {
                steps.push(Step::ConfigureOuter { name, attachment, settings });
            }
            return;
        };
        if seen.subnet != Some(subnet) || !seen.is_up {
            steps.push(Step::JoinBridge { vpc, subnet, port: port.to_owned() });
        }
        let is_nic = matches!(attachment.kind, AttachmentKind::Nic { .. });
        if !is_nic && seen.mtu_bytes != u32::from(mtu_bytes) {
            steps.push(Step::SetMtu { vpc, link: port.to_owned(), mtu_bytes });
        }
        if let OuterObserved::Present(outer) = &seen.outer
            && !settings.are_met_by(outer)
        {
            steps.push(Step::ConfigureOuter { name, attachment, settings });
        }
    }

    fn outer_settings(&self) -> OuterSettings {
        let bridge = match &self.attachment.kind {
            AttachmentKind::VethToBridge { bridge } => Some(bridge.clone()),
            AttachmentKind::Nic { .. } | AttachmentKind::VethToNamespace { .. } => None,
        };
        let host = self.attachment.host.map(|host| {
            (host.address, self.cidr.prefix_len(), self.cidr.gateway_address())
        });
        OuterSettings { mtu_bytes: self.mtu_bytes, bridge, host }
    }
}

impl OuterSettings {
    fn are_met_by(&self, outer: &OuterLink) -> bool {
        let must_be_up = self.bridge.is_some() || self.host.is_some();
        outer.mtu_bytes == u32::from(self.mtu_bytes)
            && (outer.is_up || !must_be_up)
            && (self.bridge.is_none() || self.bridge == outer.bridge)
            && self.host.is_none_or(|(address, prefix_len, gateway)| {
                outer.addresses.contains(&(address, prefix_len))
                    && outer.default_via == Some(gateway)
            })
    }
}
