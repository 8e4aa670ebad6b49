//! Peerings of all accounts.

use axum::Json;
use axum::extract::{ConnectInfo, Path, State};
use model::{PeeringConnection, PeeringConnectionId, Region, Side, Uin, World};

use super::super::{EndView, PeeringFilter, PeeringView, SideView, StartedView};
use super::Shared;
use super::deed::{Deed, Made, Operator};
use super::refusal::{Filter, Refusal};
use crate::error::{OperatorError, UseCaseError};
use crate::reconcile::time_of;
use crate::sync::Sessions;

/// The states that peerings are listed by.
const STATES: [&str; 7] = [
    "pending", "active", "expired", "rejected", "failed", "isolated", "deleted",
];

pub(super) async fn list(
    State(admin): Shared,
    Filter(filter): Filter<PeeringFilter>,
) -> Result<Json<Vec<PeeringView>>, Refusal> {
    if let Some(state) = &filter.state
        && !STATES.contains(&state.as_str())
    {
        let states = STATES.join(", ");
        return Err(Refusal::bad(format!("`{state}` is no state; {states} are")));
    }
    let region = filter.region.as_deref().map(str::parse::<Region>);
    let region = region
        .transpose()
        .map_err(|error| Refusal::bad(error.to_string()))?;
    let catalog = admin.core.catalog();
    let is_wanted = |peering: &&PeeringConnection| {
        let has_end = |fits: &dyn Fn(Side) -> bool| fits(Side::Requester) || fits(Side::Accepter);
        filter
            .uin
            .is_none_or(|uin| has_end(&|side| peering.is_owned_by(Uin(uin), side)))
            && region.is_none_or(|region| has_end(&|side| peering.end(side).region() == region))
            && filter
                .state
                .as_deref()
                .is_none_or(|state| peering.state.name() == state)
    };
    let views = catalog
        .peerings()
        .filter(is_wanted)
        .map(|peering| view(&*catalog, &admin.sessions, peering));
    Ok(Json(views.collect()))
}

pub(super) async fn show(
    State(admin): Shared,
    Path(text): Path<String>,
) -> Result<Json<PeeringView>, Refusal> {
    let id = peering_id(&text)?;
    let catalog = admin.core.catalog();
    let peering = catalog
        .peering(id)
        .ok_or_else(|| UseCaseError::from(OperatorError::PeeringNotFound(id)))?;
    Ok(Json(view(&*catalog, &admin.sessions, peering)))
}

pub(super) async fn remove(
    State(admin): Shared,
    ConnectInfo(operator): ConnectInfo<Operator>,
    Path(text): Path<String>,
) -> Result<Json<StartedView>, Refusal> {
    let deed = Deed::new(operator, "peering.delete").on("peering", &text);
    let core = admin.core.clone();
    let work = async move {
        let task = core.peering_remove(peering_id(&text)?).await?;
        let made = Made {
            task: Some(task),
            ..Made::default()
        };
        Ok((StartedView { task: task.0 }, made))
    };
    deed.perform(admin, work).await
}

fn peering_id(text: &str) -> Result<PeeringConnectionId, Refusal> {
    text.parse()
        .map_err(|error: model::IdError| Refusal::bad(error.to_string()))
}

fn view(world: &dyn World, sessions: &Sessions, peering: &PeeringConnection) -> PeeringView {
    let end = |side: Side| {
        let end = peering.end(side);
        let gateway = world.gateway_of(end.region());
        let session = gateway.and_then(|gateway| sessions.get(gateway.id));
        let report = session
            .as_ref()
            .and_then(|session| session.peering(peering.id, side))
            .filter(|report| report.vni == peering.vni);
        EndView {
            vpc: end.vpc.to_string(),
            legacy_vpc: end.legacy_id.to_string(),
            region: end.region().to_string(),
            uin: end.owner.0,
            cidr: end.cidr.to_string(),
            report: report.map(|report| SideView {
                probe_crossed: report.probe_crossed,
                last_probe_age_millis: report.last_probe_age_millis,
                sent_packets: report.sent.packets,
                sent_bytes: report.sent.bytes,
                received_packets: report.received.packets,
                received_bytes: report.received.bytes,
                drops: report.drops.clone(),
            }),
        }
    };
    PeeringView {
        id: peering.id.to_string(),
        name: peering.name.to_string(),
        state: peering.state.name().to_owned(),
        requester: end(Side::Requester),
        accepter: end(Side::Accepter),
        bandwidth_mbps: peering.bandwidth.mbps(),
        vni: peering.vni.get(),
        task: peering.task.map(|task| task.0),
        created_at: time_of(peering.created_at),
    }
}
