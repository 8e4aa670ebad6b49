//! Readers of parameters that actions on different resources share.

use model::command::Order;
use model::{DomainError, Region, SubnetRef, VpcRef};

use crate::tencent::error::ApiError;
use crate::tencent::parameters::Parameters;
pub(super) use crate::tencent::read::shown;
use crate::tencent::read::{optional, required};

/// The most entries of a peering or route table list; the other lists document none.
pub(super) const MAX_LIMIT: u64 = 50;
pub(super) const NO_MAX_LIMIT: u64 = u32::MAX as u64;

/// An id that cannot be one is answered like one that does not exist.
pub(super) fn vpc(region: Region, name: &str, p: &Parameters) -> Result<VpcRef, ApiError> {
    vpc_ref(region, required(p, name)?)
}

pub(super) fn vpc_filter(region: Region, p: &Parameters) -> Result<Option<VpcRef>, ApiError> {
    optional(p, "vpcId")
        .map(|text| vpc_ref(region, text))
        .transpose()
}

pub(super) fn vpc_ref(region: Region, text: &str) -> Result<VpcRef, ApiError> {
    text.parse().map_err(|_| {
        DomainError::VpcNotFound {
            vpc: shown(text),
            region: region.to_string(),
        }
        .into()
    })
}

pub(super) fn subnet(text: &str) -> Result<SubnetRef, ApiError> {
    text.parse()
        .map_err(|_| DomainError::SubnetNotFound(shown(text)).into())
}

pub(super) fn order(p: &Parameters, by_name: &[&str]) -> Result<Order, ApiError> {
    match optional(p, "orderField") {
        None | Some("createTime") => Ok(Order::CreateTime),
        Some(field) if by_name.contains(&field) => Ok(Order::Name),
        Some(_) => {
            let reason = format!("it is not createTime or {}", by_name[0]);
            Err(ApiError::invalid("orderField", reason))
        }
    }
}
