//! Gateways, the strings that they join with, and what each is to carry.

use std::time::Duration;

use api::sync::{JoinString, Secret};
use axum::Json;
use axum::extract::{ConnectInfo, Path as UrlPath, State};
use model::{Gateway, GatewayId, Generation, Region, World, slice_of};
use serde_json::{Value, json};

use super::super::{
    ApplyErrorView, GatewayView, PairView, SessionView, TOKEN_LIFETIME_SECS, TokenRequest,
    TokenView,
};
use super::deed::{Deed, Made, Operator};
use super::refusal::{Ask, Refusal};
use super::{Admin, Shared};
use crate::error::{OperatorError, UseCaseError};
use crate::reconcile::time_of;
use crate::sync::sessions::{Connection, Session};

/// The longest life of a join string.
const LONGEST_TOKEN_LIFETIME_SECS: u64 = 30 * 24 * 3600;

pub(super) async fn list(State(admin): Shared) -> Json<Vec<GatewayView>> {
    let catalog = admin.core.catalog();
    let views = catalog.gateways().map(|gateway| {
        let session = admin.sessions.get(gateway.id);
        gateway_view(gateway, session.as_ref())
    });
    Json(views.collect())
}

pub(super) async fn remove(
    State(admin): Shared,
    ConnectInfo(operator): ConnectInfo<Operator>,
    UrlPath(text): UrlPath<String>,
) -> Result<Json<Value>, Refusal> {
    let deed = Deed::new(operator, "gateway.remove").on("gateway", &text);
    let (core, sessions) = (admin.core.clone(), admin.sessions.clone());
    let work = async move {
        let id = gateway_id(&text)?;
        core.gateway_remove(id).await?;
        sessions.forget(id);
        core.hosts().forget(id);
        Ok((json!({}), Made::default()))
    };
    deed.perform(admin, work).await
}

pub(super) async fn token_create(
    State(admin): Shared,
    ConnectInfo(operator): ConnectInfo<Operator>,
    Ask(ask): Ask<TokenRequest>,
) -> Result<Json<TokenView>, Refusal> {
    let deed = Deed::new(operator, "gateway.token").on("region", &ask.region);
    let shared = admin.clone();
    let work = async move { Ok((token(&shared, ask).await?, Made::default())) };
    deed.perform(admin, work).await
}

async fn token(admin: &Admin, ask: TokenRequest) -> Result<TokenView, Refusal> {
    let region: Region = ask
        .region
        .parse()
        .map_err(|error: model::RegionError| Refusal::bad(error.to_string()))?;
    let lifetime_secs = ask.lifetime_secs.unwrap_or(TOKEN_LIFETIME_SECS);
    if !(1..=LONGEST_TOKEN_LIFETIME_SECS).contains(&lifetime_secs) {
        return Err(Refusal::bad(format!(
            "lifetime_secs is {lifetime_secs}; it must be from 1 to {LONGEST_TOKEN_LIFETIME_SECS}"
        )));
    }
    let lifetime = Duration::from_secs(lifetime_secs);
    let (secret, expires_at) = admin.core.token_create(region, lifetime).await?;
    let join = JoinString::new(
        admin.sync_address.clone(),
        admin.ca_sha256,
        Secret::new(secret.to_vec()),
        u64::try_from(expires_at.secs()).unwrap_or_default(),
    )
    .map_err(|error| Refusal::internal(error.to_string()))?;
    Ok(TokenView {
        join: join.to_string(),
        region: region.to_string(),
        expires_at: time_of(expires_at),
    })
}

pub(super) async fn slice(
    State(admin): Shared,
    UrlPath(id): UrlPath<String>,
) -> Result<Json<Value>, Refusal> {
    let id = gateway_id(&id)?;
    let catalog = admin.core.catalog();
    let gateway = catalog
        .gateway(id)
        .ok_or_else(|| UseCaseError::from(OperatorError::GatewayNotFound(id)))?;
    let slice = slice_of(&*catalog, gateway, Generation(catalog.revision().0));
    Ok(Json(super::super::slice_dump::dump(&slice)))
}

fn gateway_id(text: &str) -> Result<GatewayId, Refusal> {
    text.parse()
        .map_err(|error: model::IdError| Refusal::bad(error.to_string()))
}

fn gateway_view(gateway: &Gateway, session: Option<&Session>) -> GatewayView {
    GatewayView {
        id: gateway.id.to_string(),
        region: gateway.region.to_string(),
        endpoint: gateway.endpoint.clone(),
        tunnel_public_key: gateway.tunnel_public_key.to_string(),
        overlay_address: gateway.overlay_address.to_string(),
        joined_at: time_of(gateway.joined_at),
        session: session.map(session_view),
    }
}

fn session_view(session: &Session) -> SessionView {
    let (connected, since) = match session.connection {
        Connection::Connected { since } => (true, since),
        Connection::Disconnected { since } => (false, since),
    };
    let report = session.report();
    let errors = report.into_iter().flat_map(|report| &report.errors);
    let pairs = report.into_iter().flat_map(|report| &report.pairs);
    SessionView {
        connected,
        since: time_of(since),
        remote: session.remote.to_string(),
        software_version: session.software_version.clone(),
        clock_skew_millis: session.clock_skew_millis,
        sent_generation: session.sent().0,
        applied_generation: session.applied().0,
        evaluated_revision: session.evaluated().0,
        reported_at: session.reported_at().map(time_of),
        errors: errors
            .map(|error| ApplyErrorView {
                subject: error.subject.clone(),
                message: error.message.clone(),
            })
            .collect(),
        pairs: pairs
            .map(|(gateway, pair)| PairView {
                gateway: gateway.to_string(),
                last_handshake_age_millis: pair.last_handshake_age_millis,
                rtt_micros: pair.rtt_micros,
                probes_sent: pair.probes_sent,
                probes_lost: pair.probes_lost,
            })
            .collect(),
    }
}
