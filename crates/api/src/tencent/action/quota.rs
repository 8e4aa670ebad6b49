//! Quotas, which the dialect knows by number.

use model::Command;
use model::Region;
use model::command::{QuotaKind, QuotaQuery};

use crate::tencent::error::ApiError;
use crate::tencent::parameters::Parameters;
use crate::tencent::read::{indexes, number, required};
use crate::tencent::request::Limits;

/// What the page of DescribeVpcLimit lists besides the five below: quotas of network ACLs, classic
/// links, NAT and VPN gateways, direct connections and network cards, none of which exist here.
const NOTHING: [u32; 20] = [
    4, 5, 7, 8, 15, 17, 18, 22, 32, 33, 34, 35, 36, 37, 38, 44, 51, 55, 56, 57,
];

pub(super) fn list(region: Region, p: &Parameters, _: &Limits) -> Result<Command, ApiError> {
    let kinds = indexes(p, "type")?.into_iter().map(|index| {
        let name = format!("type.{index}");
        kind(&name, required(p, &name)?)
    });
    let kinds: Vec<QuotaKind> = kinds.collect::<Result<_, _>>()?;
    if kinds.is_empty() {
        return Err(ApiError::missing("type.0"));
    }
    Ok(Command::QuotaList(QuotaQuery { region, kinds }))
}

fn kind(name: &str, text: &str) -> Result<QuotaKind, ApiError> {
    match number(name, text)? {
        0 => Ok(QuotaKind::Vpcs),
        1 => Ok(QuotaKind::Subnets),
        2 => Ok(QuotaKind::RouteTables),
        3 => Ok(QuotaKind::Routes),
        20 => Ok(QuotaKind::Peerings),
        other if NOTHING.contains(&other) => Ok(QuotaKind::Nothing(other)),
        _ => Err(ApiError::invalid(name, "there is no quota of this type")),
    }
}
