//! VPCs and subnets.

use model::command::{
    SubnetCreate, SubnetModify, SubnetQuery, SubnetSpec, SubnetTarget, VpcCreate, VpcModify,
    VpcQuery, VpcTarget,
};
use model::{CidrBlock, CidrError, Command, DomainError, Region, Zone};

use super::field::{NO_MAX_LIMIT, order, subnet, vpc, vpc_filter, vpc_ref};
use crate::tencent::error::ApiError;
use crate::tencent::parameters::Parameters;
use crate::tencent::read::{given, indexes, number, optional, paging, required};
use crate::tencent::request::Limits;

/// The shortest mask of a VPC in this dialect; the domain allows shorter ones.
const MIN_VPC_PREFIX_LEN: u8 = 16;

pub(super) fn vpc_create(region: Region, p: &Parameters, _: &Limits) -> Result<Command, ApiError> {
    let cidr: CidrBlock = required(p, "cidrBlock")?
        .parse()
        .map_err(|error: CidrError| DomainError::VpcCidr(error.to_string()))?;
    if cidr.prefix_len() < MIN_VPC_PREFIX_LEN {
        let reason = format!("the mask of {cidr} is shorter than /{MIN_VPC_PREFIX_LEN}");
        return Err(DomainError::VpcCidr(reason).into());
    }
    Ok(Command::VpcCreate(VpcCreate {
        tags: Vec::new(),
        region,
        name: given(p, "vpcName")?.to_owned(),
        cidr,
        subnets: subnet_specs(p)?,
    }))
}

pub(super) fn vpc_target(region: Region, p: &Parameters) -> Result<VpcTarget, ApiError> {
    let vpc = vpc(region, "vpcId", p)?;
    Ok(VpcTarget { region, vpc })
}

pub(super) fn vpc_modify(region: Region, p: &Parameters, _: &Limits) -> Result<Command, ApiError> {
    Ok(Command::VpcModify(VpcModify {
        target: vpc_target(region, p)?,
        name: Some(given(p, "vpcName")?.to_owned()),
    }))
}

/// The older list: everything, or one VPC with what it holds.
pub(super) fn vpc_list_or_get(
    region: Region,
    p: &Parameters,
    _: &Limits,
) -> Result<Command, ApiError> {
    Ok(match vpc_filter(region, p)? {
        None => Command::VpcListAll(region),
        Some(vpc) => Command::VpcGet(VpcTarget { region, vpc }),
    })
}

pub(super) fn vpc_list(region: Region, p: &Parameters, _: &Limits) -> Result<Command, ApiError> {
    Ok(Command::VpcList(VpcQuery {
        region,
        vpc: vpc_filter(region, p)?,
        name: optional(p, "vpcName").map(str::to_owned),
        only: Vec::new(),
        filters: Vec::new(),
        order: order(p, &["vpcName"])?,
        paging: paging(p, NO_MAX_LIMIT)?,
    }))
}

pub(super) fn subnet_create(
    region: Region,
    p: &Parameters,
    _: &Limits,
) -> Result<Command, ApiError> {
    let vpc = vpc(region, "vpcId", p)?;
    let subnets = subnet_specs(p)?;
    if subnets.is_empty() {
        return Err(ApiError::missing("subnetSet.0.subnetName"));
    }
    Ok(Command::SubnetCreate(SubnetCreate {
        tags: Vec::new(),
        region,
        vpc,
        subnets,
    }))
}

fn subnet_specs(p: &Parameters) -> Result<Vec<SubnetSpec>, ApiError> {
    let spec = |index: u32| {
        let field = |name: &str| format!("subnetSet.{index}.{name}");
        let cidr = required(p, &field("cidrBlock"))?
            .parse()
            .map_err(|error: CidrError| DomainError::SubnetCidr(error.to_string()))?;
        Ok(SubnetSpec {
            name: given(p, &field("subnetName"))?.to_owned(),
            cidr,
            zone: zone(p, &field("zoneId"))?,
        })
    };
    indexes(p, "subnetSet")?.into_iter().map(spec).collect()
}

fn zone(p: &Parameters, name: &str) -> Result<Zone, ApiError> {
    number(name, required(p, name)?).map(Zone)
}

pub(super) fn subnet_target(region: Region, p: &Parameters) -> Result<SubnetTarget, ApiError> {
    Ok(SubnetTarget {
        region,
        vpc: Some(vpc(region, "vpcId", p)?),
        subnet: subnet(required(p, "subnetId")?)?,
    })
}

pub(super) fn subnet_modify(
    region: Region,
    p: &Parameters,
    _: &Limits,
) -> Result<Command, ApiError> {
    Ok(Command::SubnetModify(SubnetModify {
        target: subnet_target(region, p)?,
        name: Some(given(p, "subnetName")?.to_owned()),
    }))
}

/// The page's own example gives the VPC by another name of the parameter.
pub(super) fn subnet_get(region: Region, p: &Parameters, _: &Limits) -> Result<Command, ApiError> {
    let names = ["vpcId", "unVpcId", "unvpcid"];
    let vpc = names.iter().find_map(|name| optional(p, name));
    let vpc = vpc.ok_or_else(|| ApiError::missing("vpcId"))?;
    Ok(Command::SubnetGet(SubnetTarget {
        region,
        vpc: Some(vpc_ref(region, vpc)?),
        subnet: subnet(required(p, "subnetId")?)?,
    }))
}

pub(super) fn subnet_list(region: Region, p: &Parameters, _: &Limits) -> Result<Command, ApiError> {
    let subnet = optional(p, "subnetId").map(subnet).transpose()?;
    let zones = indexes(p, "zoneIds")?
        .into_iter()
        .map(|index| zone(p, &format!("zoneIds.{index}")))
        .collect::<Result<_, _>>()?;
    Ok(Command::SubnetList(SubnetQuery {
        region,
        vpc: vpc_filter(region, p)?,
        subnet,
        name: optional(p, "subnetName").map(str::to_owned),
        zones,
        only: Vec::new(),
        filters: Vec::new(),
        order: order(p, &["subnetName"])?,
        paging: paging(p, NO_MAX_LIMIT)?,
    }))
}
