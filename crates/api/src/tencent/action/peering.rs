//! Peering connections and tasks.

use model::command::{
    PeeringAction, PeeringCreate, PeeringModify, PeeringQuery, PeeringStateFilter,
};
use model::peering::{ChargeType, QosLevel};
use model::{Bandwidth, Command, DomainError, PeeringConnectionId, Region, TaskId, Uin};

use super::field::{MAX_LIMIT, order, shown, vpc, vpc_filter};
use crate::tencent::error::ApiError;
use crate::tencent::invented;
use crate::tencent::parameters::Parameters;
use crate::tencent::read::{given, number, optional, paging, required};
use crate::tencent::request::{AllowedBandwidths, Limits, region as parse_region};

/// The bandwidths of the vendor's page, in Mbps.
pub const DOCUMENTED_BANDWIDTHS_MBPS: [u32; 7] = [10, 20, 50, 100, 200, 500, 1000];
pub(super) fn create(region: Region, p: &Parameters, limits: &Limits) -> Result<Command, ApiError> {
    // Every parameter is looked for before any is judged, so that the first answer to an incomplete
    // request names what is missing.
    let peer_uin = required(p, "peerUin")?;
    let name = given(p, "peeringConnectionName")?;
    let peer_region = parse_region("peerRegion", required(p, "peerRegion")?)?;
    let bandwidth_text = required(p, "bandwidth")?;
    required(p, "vpcId")?;
    required(p, "peerVpcId")?;
    match optional(p, "type") {
        None | Some("1") => {}
        Some(_) => {
            let reason = "only 1, VPC to VPC, is supported";
            return Err(ApiError::invalid("type", reason));
        }
    }
    Ok(Command::PeeringCreate(PeeringCreate {
        region,
        vpc: vpc(region, "vpcId", p)?,
        peer_region,
        peer_vpc: vpc(peer_region, "peerVpcId", p)?,
        peer_uin: number::<u64>("peerUin", peer_uin).map(Uin)?,
        name: name.to_owned(),
        bandwidth: bandwidth(bandwidth_text, limits)?,
        charge_type: charge_type(p)?.unwrap_or_default(),
        qos_level: qos_level(p)?.unwrap_or_default(),
    }))
}

pub(super) fn action(region: Region, p: &Parameters) -> Result<PeeringAction, ApiError> {
    Ok(PeeringAction {
        region,
        peering: peering(required(p, "peeringConnectionId")?)?,
    })
}

pub(super) fn modify(region: Region, p: &Parameters, limits: &Limits) -> Result<Command, ApiError> {
    let peering = peering(required(p, "peeringConnectionId")?)?;
    // A name that is there but empty is a wrong name, not an absent one.
    let name = p.get("peeringConnectionName").map(str::to_owned);
    let bandwidth = optional(p, "bandwidth")
        .map(|text| bandwidth(text, limits))
        .transpose()?;
    let charge_type = charge_type(p)?;
    if name.is_none() && bandwidth.is_none() && charge_type.is_none() {
        return Err(ApiError::missing(
            "peeringConnectionName, bandwidth or chargeType",
        ));
    }
    Ok(Command::PeeringModify(PeeringModify {
        region,
        peering,
        name,
        bandwidth,
        charge_type,
    }))
}

pub(super) fn list(region: Region, p: &Parameters, _: &Limits) -> Result<Command, ApiError> {
    Ok(Command::PeeringList(PeeringQuery {
        region,
        vpc: vpc_filter(region, p)?,
        peering: optional(p, "peeringConnectionId")
            .map(peering)
            .transpose()?,
        name: optional(p, "peeringConnectionName").map(str::to_owned),
        state: optional(p, "state").map(state).transpose()?,
        // The page spells it with a small n.
        order: order(p, &["peeringConnectionname", "peeringConnectionName"])?,
        paging: paging(p, MAX_LIMIT)?,
    }))
}

pub(super) fn task_result(p: &Parameters) -> Result<Command, ApiError> {
    number("taskId", required(p, "taskId")?).map(|id| Command::TaskResult(TaskId(id)))
}

fn peering(text: &str) -> Result<PeeringConnectionId, ApiError> {
    text.parse()
        .map_err(|_| DomainError::PeeringNotFound(shown(text)).into())
}

fn state(text: &str) -> Result<PeeringStateFilter, ApiError> {
    match number::<u32>("state", text)? {
        0 => Ok(PeeringStateFilter::Pending),
        1 => Ok(PeeringStateFilter::Active),
        2 => Ok(PeeringStateFilter::Expired),
        3 => Ok(PeeringStateFilter::Rejected),
        4 => Ok(PeeringStateFilter::Deleted),
        5 => Ok(PeeringStateFilter::Failed),
        n if n == u32::from(invented::STATE_ISOLATED) => Ok(PeeringStateFilter::Isolated),
        _ => Err(ApiError::invalid("state", "it is not 0 to 6")),
    }
}

fn bandwidth(text: &str, limits: &Limits) -> Result<Bandwidth, ApiError> {
    let mbps: u32 = number("bandwidth", text)?;
    let ceiling = limits.bandwidth_ceiling_mbps;
    if mbps > ceiling {
        let reason = format!("it is {mbps} Mbps, at most {ceiling} is allowed");
        return Err(ApiError::invalid("bandwidth", reason));
    }
    let allowed = match limits.bandwidths {
        AllowedBandwidths::Any => true,
        AllowedBandwidths::DocumentedSet => mbps == 0 || DOCUMENTED_BANDWIDTHS_MBPS.contains(&mbps),
    };
    if !allowed {
        let reason = format!("it is not one of {DOCUMENTED_BANDWIDTHS_MBPS:?} Mbps");
        return Err(ApiError::invalid("bandwidth", reason));
    }
    Ok(Bandwidth::from_mbps(mbps))
}

fn charge_type(p: &Parameters) -> Result<Option<ChargeType>, ApiError> {
    match optional(p, "chargeType") {
        None => Ok(None),
        Some("POSTPAID_BY_DAY_MAX") => Ok(Some(ChargeType::PostpaidByDayMax)),
        Some("POSTPAID_BY_MONTH_95") => Ok(Some(ChargeType::PostpaidByMonth95)),
        Some(_) => Err(ApiError::invalid(
            "chargeType",
            "it is not POSTPAID_BY_DAY_MAX or POSTPAID_BY_MONTH_95",
        )),
    }
}

fn qos_level(p: &Parameters) -> Result<Option<QosLevel>, ApiError> {
    match optional(p, "qosLevel") {
        None => Ok(None),
        Some("PT") => Ok(Some(QosLevel::Platinum)),
        Some("AU") => Ok(Some(QosLevel::Gold)),
        Some("AG") => Ok(Some(QosLevel::Silver)),
        Some(_) => Err(ApiError::invalid("qosLevel", "it is not PT, AU or AG")),
    }
}
