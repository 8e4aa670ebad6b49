//! VPCs and subnets.

use model::command::{SubnetCreate, SubnetQuery, SubnetSpec, VpcCreate, VpcQuery};
use model::{CidrBlock, CidrError, Command, DomainError, Region, SubnetRef, Zone};

use super::field::{NO_MAX_LIMIT, order, shown, vpc, vpc_filter};
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
        region,
        name: given(p, "vpcName")?.to_owned(),
        cidr,
        subnets: subnet_specs(p)?,
    }))
}

pub(super) fn vpc_list(region: Region, p: &Parameters, _: &Limits) -> Result<Command, ApiError> {
    Ok(Command::VpcList(VpcQuery {
        region,
        vpc: vpc_filter(region, p)?,
        name: optional(p, "vpcName").map(str::to_owned),
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

pub(super) fn subnet_list(region: Region, p: &Parameters, _: &Limits) -> Result<Command, ApiError> {
    let subnet = optional(p, "subnetId")
        .map(|text| {
            text.parse::<SubnetRef>()
                .map_err(|_| DomainError::SubnetNotFound(shown(text)))
        })
        .transpose()?;
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
        order: order(p, &["subnetName"])?,
        paging: paging(p, NO_MAX_LIMIT)?,
    }))
}
