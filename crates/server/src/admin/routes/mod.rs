//! What answers on the operator's socket, by resource.

mod account;
mod audit;
mod deed;
mod gateway;
mod key;
mod peering;
mod refusal;
mod sub_account;
mod task;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{delete, get, post};
use model::Uin;

use super::Socket;
use crate::audit::Audit;
use crate::core::Core;
use crate::listener::Lifetime;
use crate::sync::Sessions;
use deed::Operator;
use refusal::Refusal;

/// What the routes work with.
pub(crate) struct Admin {
    pub(crate) core: Arc<Core>,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) audit: Audit,
    /// The `host:port` of join strings.
    pub(crate) sync_address: String,
    pub(crate) ca_sha256: [u8; 32],
}

type Shared = State<Arc<Admin>>;

/// Serves the operator until the lifetime stops.
pub(crate) async fn serve(admin: Admin, socket: Socket, lifetime: Lifetime) {
    let routes = Router::new()
        .route("/accounts", get(account::list).post(account::create))
        .route("/accounts/{uin}", get(account::show))
        .route("/audit", get(audit::page))
        .route("/gateway-tokens", post(gateway::token_create))
        .route("/gateways", get(gateway::list))
        .route("/gateways/{id}", delete(gateway::remove))
        .route("/keys", get(key::list).post(key::create))
        .route("/keys/change", post(key::change))
        .route("/keys/delete", post(key::remove))
        .route("/keys/rotate", post(key::rotate))
        .route("/peerings", get(peering::list))
        .route("/peerings/{id}", get(peering::show).delete(peering::remove))
        .route(
            "/quotas/{uin}",
            get(account::quotas).post(account::quotas_set),
        )
        .route("/slices/{gateway}", get(gateway::slice))
        .route(
            "/sub-accounts",
            get(sub_account::list).post(sub_account::create),
        )
        .route("/sub-accounts/{uin}", delete(sub_account::remove))
        .route(
            "/sub-accounts/{uin}/policy",
            get(sub_account::policy).post(sub_account::policy_set),
        )
        .route("/tasks", get(task::list))
        .fallback(async || Refusal::new(StatusCode::NOT_FOUND, "nothing is served here"))
        .with_state(Arc::new(admin));
    let Socket { listener, file } = socket;
    let stop = lifetime.stop.clone();
    let routes = routes.into_make_service_with_connect_info::<Operator>();
    let served = axum::serve(listener, routes)
        .with_graceful_shutdown(async move { stop.cancelled().await })
        .await;
    if let Err(error) = served {
        tracing::error!(%error, "the operator's socket is no longer served");
    }
    drop(file);
}

fn uin(text: &str) -> Result<Uin, Refusal> {
    text.parse()
        .map_err(|_| Refusal::bad(format!("`{text}` is no account number")))
}
