//! VPCs and subnets.

use model::command::QuotaKind;
use model::outcome::{AssistantCidrView, SubnetView, VpcView};
use model::{Outcome, Vpc};
use serde::Serialize;

use super::assistant::AssistantCidrBody;
use super::tag::{TagBody, tag_set};
use super::{local_time, object};
use crate::tencent::v3::action::network::QUOTA_WORDS;
use crate::tencent::v3::field::Arguments;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct VpcCreated {
    vpc: VpcBody,
}

pub(in crate::tencent::v3) fn vpc_created(outcome: &Outcome, _: &Arguments) -> Option<Vec<u8>> {
    match outcome {
        Outcome::VpcCreated { vpc, .. } => Some(object(&VpcCreated {
            vpc: VpcBody::new(vpc, &[]),
        })),
        _ => None,
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Vpcs {
    total_count: u64,
    vpc_set: Vec<VpcBody>,
}

pub(in crate::tencent::v3) fn vpcs(outcome: &Outcome, _: &Arguments) -> Option<Vec<u8>> {
    match outcome {
        Outcome::Vpcs(page) => Some(object(&Vpcs {
            total_count: page.total,
            vpc_set: page.items.iter().map(VpcBody::from).collect(),
        })),
        _ => None,
    }
}

/// The servers that are shown when none were given.
const DNS_SERVERS: [&str; 2] = ["183.60.83.19", "183.60.82.98"];

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct VpcBody {
    vpc_id: String,
    vpc_name: String,
    cidr_block: String,
    is_default: bool,
    enable_multicast: bool,
    created_time: String,
    dns_server_set: [&'static str; 2],
    domain_name: &'static str,
    dhcp_options_id: &'static str,
    enable_dhcp: bool,
    ipv6_cidr_block: &'static str,
    ipv6_cidr_block_set: [(); 0],
    tag_set: Vec<TagBody>,
    assistant_cidr_set: Vec<AssistantCidrBody>,
    enable_route_vpc_publish: bool,
    enable_route_vpc_publish_ipv6: bool,
    stack_type: &'static str,
}

impl From<&VpcView> for VpcBody {
    fn from(view: &VpcView) -> Self {
        VpcBody::new(&view.vpc, &view.assistant_cidrs)
    }
}

impl VpcBody {
    fn new(vpc: &Vpc, assistant_cidrs: &[AssistantCidrView]) -> Self {
        VpcBody {
            vpc_id: vpc.id.to_string(),
            vpc_name: vpc.name.to_string(),
            cidr_block: vpc.cidr.to_string(),
            is_default: false,
            enable_multicast: false,
            created_time: local_time(vpc.created_at),
            dns_server_set: DNS_SERVERS,
            // Nothing of that kind is offered.
            domain_name: "",
            dhcp_options_id: "",
            enable_dhcp: true,
            ipv6_cidr_block: "",
            ipv6_cidr_block_set: [],
            tag_set: tag_set(&vpc.tags),
            assistant_cidr_set: assistant_cidrs.iter().map(Into::into).collect(),
            enable_route_vpc_publish: false,
            enable_route_vpc_publish_ipv6: false,
            stack_type: "DualStack",
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct SubnetCreated {
    subnet: SubnetBody,
}

pub(in crate::tencent::v3) fn subnet_created(outcome: &Outcome, _: &Arguments) -> Option<Vec<u8>> {
    match outcome {
        Outcome::SubnetsCreated(views) => {
            let subnet = views.first()?.into();
            Some(object(&SubnetCreated { subnet }))
        }
        _ => None,
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct SubnetsCreated {
    subnet_set: Vec<SubnetBody>,
}

pub(in crate::tencent::v3) fn subnets_created(outcome: &Outcome, _: &Arguments) -> Option<Vec<u8>> {
    match outcome {
        Outcome::SubnetsCreated(views) => Some(object(&SubnetsCreated {
            subnet_set: views.iter().map(SubnetBody::from).collect(),
        })),
        _ => None,
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Subnets {
    total_count: u64,
    subnet_set: Vec<SubnetBody>,
    next_token: &'static str,
}

pub(in crate::tencent::v3) fn subnets(outcome: &Outcome, _: &Arguments) -> Option<Vec<u8>> {
    match outcome {
        Outcome::Subnets(page) => Some(object(&Subnets {
            total_count: page.total,
            subnet_set: page.items.iter().map(SubnetBody::from).collect(),
            next_token: "",
        })),
        _ => None,
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct SubnetBody {
    vpc_id: String,
    subnet_id: String,
    subnet_name: String,
    cidr_block: String,
    is_default: bool,
    enable_broadcast: bool,
    zone: String,
    route_table_id: String,
    created_time: String,
    available_ip_address_count: u64,
    total_ip_address_count: u64,
    ipv6_cidr_block: &'static str,
    network_acl_id: &'static str,
    is_remote_vpc_snat: bool,
    tag_set: Vec<TagBody>,
    cdc_id: &'static str,
    is_cdc_subnet: u8,
    stack_type: &'static str,
}

impl From<&SubnetView> for SubnetBody {
    fn from(view: &SubnetView) -> Self {
        let subnet = &view.subnet;
        let total = 1u64 << (32 - subnet.cidr.prefix_len());
        SubnetBody {
            vpc_id: view.vpc.id.to_string(),
            subnet_id: subnet.id.to_string(),
            subnet_name: subnet.name.to_string(),
            cidr_block: subnet.cidr.to_string(),
            is_default: false,
            enable_broadcast: false,
            zone: subnet.zone.name(view.vpc.region()),
            route_table_id: view.route_table.id.to_string(),
            created_time: local_time(subnet.created_at),
            // The network's, the gateway's and the last address are taken.
            available_ip_address_count: total.saturating_sub(3 + view.hosts),
            total_ip_address_count: total,
            ipv6_cidr_block: "",
            network_acl_id: "",
            is_remote_vpc_snat: false,
            tag_set: tag_set(&subnet.tags),
            cdc_id: "",
            is_cdc_subnet: 0,
            stack_type: "DualStack",
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Quotas {
    vpc_limit_set: Vec<Quota>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Quota {
    limit_type: &'static str,
    limit_value: u32,
}

pub(in crate::tencent::v3) fn quotas(outcome: &Outcome, _: &Arguments) -> Option<Vec<u8>> {
    let Outcome::Quotas(quotas) = outcome else {
        return None;
    };
    let word = |kind| QUOTA_WORDS.iter().find(|(_, known)| *known == kind);
    let quota = |(kind, value): &(QuotaKind, u32)| {
        let (limit_type, _) = word(*kind)?;
        Some(Quota {
            limit_type,
            limit_value: *value,
        })
    };
    let vpc_limit_set = quotas.iter().map(quota).collect::<Option<_>>()?;
    Some(object(&Quotas { vpc_limit_set }))
}
