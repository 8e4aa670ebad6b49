//! Peering connections and tasks.

use model::command::{
    NetworkKind, PeeringAction, PeeringCreate, PeeringModify, PeeringQuery, PeeringStateFilter,
    Reach, Reply,
};
use model::peering::{ChargeType, QosLevel};
use model::{Bandwidth, Command, DomainError, PeeringConnectionId, Region, TaskId, Uin};

use super::field::{MAX_LIMIT, order, shown, vpc, vpc_filter};
use crate::tencent::error::ApiError;
use crate::tencent::invented;
use crate::tencent::parameters::Parameters;
use crate::tencent::read::{given, number, optional, paging, required};
use crate::tencent::request::{Limits, region as parse_region};

/// How an action is meant: which peerings it is for, and what its caller is answered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Form {
    reach: Reach,
    reply: Reply,
}

/// The plain actions: for peerings inside one region, done when they are answered.
pub(super) const PLAIN: Form = Form {
    reach: Reach::SameRegion,
    reply: Reply::Peering,
};

/// The `Ex` actions: for every peering, answered with a task.
pub(super) const EX: Form = Form {
    reach: Reach::Any,
    reply: Reply::Task,
};

/// Both ends are in one region, and the peering is not limited.
pub(super) fn create(region: Region, p: &Parameters, _: &Limits) -> Result<Command, ApiError> {
    all_given(p, &["vpcId", "peerVpcId", "peerUin"])?;
    new_peering(PLAIN, [region, region], Bandwidth::Unlimited, p)
}

pub(super) fn create_ex(
    region: Region,
    p: &Parameters,
    limits: &Limits,
) -> Result<Command, ApiError> {
    all_given(
        p,
        &["vpcId", "peerVpcId", "peerUin", "peerRegion", "bandwidth"],
    )?;
    let peer_region = parse_region("peerRegion", required(p, "peerRegion")?)?;
    let bandwidth = bandwidth(required(p, "bandwidth")?, limits)?;
    new_peering(EX, [region, peer_region], bandwidth, p)
}

// Every parameter is looked for before any is judged, so that the first answer to an incomplete
// request names what is missing. Names may be given and empty.
fn all_given(p: &Parameters, names: &[&str]) -> Result<(), ApiError> {
    names
        .iter()
        .try_for_each(|name| required(p, name).map(drop))?;
    given(p, "peeringConnectionName").map(drop)
}

fn new_peering(
    form: Form,
    [region, peer_region]: [Region; 2],
    bandwidth: Bandwidth,
    p: &Parameters,
) -> Result<Command, ApiError> {
    if network(p)? == Some(NetworkKind::BareMetal) {
        let reason = "only 1, VPC to VPC, is supported";
        return Err(ApiError::invalid("type", reason));
    }
    Ok(Command::PeeringCreate(PeeringCreate {
        tags: Vec::new(),
        region,
        vpc: vpc(region, "vpcId", p)?,
        peer_region,
        peer_vpc: vpc(peer_region, "peerVpcId", p)?,
        peer_uin: number::<u64>("peerUin", required(p, "peerUin")?).map(Uin)?,
        name: given(p, "peeringConnectionName")?.to_owned(),
        bandwidth,
        charge_type: charge_type(p)?.unwrap_or_default(),
        qos_level: qos_level(p)?.unwrap_or_default(),
        reply: form.reply,
    }))
}

pub(super) fn action(
    form: Form,
    region: Region,
    p: &Parameters,
) -> Result<PeeringAction, ApiError> {
    Ok(PeeringAction {
        region,
        peering: peering(required(p, "peeringConnectionId")?)?,
        reach: form.reach,
        reply: form.reply,
    })
}

/// Changes the name, and nothing else.
pub(super) fn modify(region: Region, p: &Parameters, _: &Limits) -> Result<Command, ApiError> {
    let id = required(p, "peeringConnectionId")?;
    let name = given(p, "peeringConnectionName")?;
    Ok(Command::PeeringModify(PeeringModify {
        region,
        peering: peering(id)?,
        name: Some(name.to_owned()),
        bandwidth: None,
        charge_type: None,
        reach: PLAIN.reach,
        reply: PLAIN.reply,
    }))
}

pub(super) fn modify_ex(
    region: Region,
    p: &Parameters,
    limits: &Limits,
) -> Result<Command, ApiError> {
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
        reach: EX.reach,
        reply: EX.reply,
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
        network: network(p)?,
        filters: Vec::new(),
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

/// What a peering leads to.
fn network(p: &Parameters) -> Result<Option<NetworkKind>, ApiError> {
    match optional(p, "type") {
        None => Ok(None),
        Some("1") => Ok(Some(NetworkKind::Vpc)),
        Some("2") => Ok(Some(NetworkKind::BareMetal)),
        Some(_) => Err(ApiError::invalid("type", "it is not 1 or 2")),
    }
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
    limits
        .bandwidth(mbps)
        .map_err(|reason| ApiError::invalid("bandwidth", reason))
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

#[cfg(test)]
#[path = "peering_tests.rs"]
mod tests;
