//! What answers on the operator's socket.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use api::sync::{JoinString, Secret};
use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequest, Path as UrlPath, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use model::{
    Account, AppId, Gateway, GatewayId, Generation, PeeringConnection, Region, Side, Task,
    TaskKind, TaskState, Uin, World, slice_of,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::net::{UnixListener, UnixStream};

use super::{
    AccountRequest, AccountView, ApplyErrorView, EndView, ErrorView, GatewayView, KeyRequest,
    KeyView, PairView, PeeringView, SessionView, SideView, TOKEN_LIFETIME_SECS, TaskView,
    TokenRequest, TokenView,
};
use crate::core::{AccountCreate, Core, KeyCreate};
use crate::error::{OperatorError, UseCaseError};
use crate::listener::Lifetime;
use crate::reconcile::time_of;
use crate::sync::Sessions;
use crate::sync::sessions::{Connection, Session};

/// The longest life of a join string.
const LONGEST_TOKEN_LIFETIME_SECS: u64 = 30 * 24 * 3600;

/// What the routes work with.
pub(crate) struct Admin {
    pub(crate) core: Arc<Core>,
    pub(crate) sessions: Arc<Sessions>,
    /// The `host:port` of join strings.
    pub(crate) sync_address: String,
    pub(crate) ca_sha256: [u8; 32],
}

/// The bound socket; its file is removed when it is dropped.
pub(crate) struct Socket {
    listener: UnixListener,
    file: SocketFile,
}

/// Why the socket cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Somebody listens on it.
    #[error("another server listens on `{}`; stop it or choose another socket", .0.display())]
    InUse(PathBuf),
    /// There is something else in its place.
    #[error("`{}` is there and is no socket; remove it or choose another path", .0.display())]
    NoSocket(PathBuf),
    /// It cannot be made or replaced.
    #[error("the operator's socket `{}` cannot be made", path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl Socket {
    /// Makes the socket for its owner only, and its folder when it is not there. What a dead server
    /// left is replaced.
    ///
    /// # Errors
    /// [`BindError`].
    pub(crate) async fn bind(path: &Path) -> Result<Socket, BindError> {
        let failed = |source| BindError::Io {
            path: path.to_owned(),
            source,
        };
        if let Some(folder) = path.parent() {
            let mut builder = fs::DirBuilder::new();
            builder.recursive(true).mode(0o755);
            builder.create(folder).map_err(failed)?;
        }
        match fs::symlink_metadata(path) {
            Ok(found) if !found.file_type().is_socket() => {
                return Err(BindError::NoSocket(path.to_owned()));
            }
            Ok(_) => match UnixStream::connect(path).await {
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
                Ok(_) => return Err(BindError::InUse(path.to_owned())),
                Err(error) => return Err(failed(error)),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
        }
        // Bound beside its place and renamed when its mode is set: nobody can open it before.
        let unfinished = path.with_added_extension(std::process::id().to_string());
        let bound = UnixListener::bind(&unfinished).map_err(failed)?;
        let placed = fs::set_permissions(&unfinished, fs::Permissions::from_mode(0o600))
            .and_then(|()| fs::rename(&unfinished, path));
        if let Err(error) = placed {
            // The first error is the one to tell.
            let _ = fs::remove_file(&unfinished);
            return Err(failed(error));
        }
        Ok(Socket {
            listener: bound,
            file: SocketFile(path.to_owned()),
        })
    }
}

struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.0) {
            tracing::debug!(path = %self.0.display(), %error, "the operator's socket is not removed");
        }
    }
}

/// Serves the operator until the lifetime stops.
pub(crate) async fn serve(admin: Admin, socket: Socket, lifetime: Lifetime) {
    let routes = Router::new()
        .route("/accounts", get(accounts).post(account_create))
        .route("/keys", post(key_create))
        .route("/gateway-tokens", post(token_create))
        .route("/gateways", get(gateways))
        .route("/gateways/{id}", delete(gateway_remove))
        .route("/peerings", get(peerings))
        .route("/tasks", get(tasks))
        .route("/slices/{gateway}", get(slice))
        .fallback(async || Refusal::new(StatusCode::NOT_FOUND, "nothing is served here"))
        .with_state(Arc::new(admin));
    let Socket { listener, file } = socket;
    let stop = lifetime.stop.clone();
    let served = axum::serve(listener, routes)
        .with_graceful_shutdown(async move { stop.cancelled().await })
        .await;
    if let Err(error) = served {
        tracing::error!(%error, "the operator's socket is no longer served");
    }
    drop(file);
}

type Shared = State<Arc<Admin>>;

async fn account_create(
    State(admin): Shared,
    Ask(ask): Ask<AccountRequest>,
) -> Result<Json<AccountView>, Refusal> {
    let account = admin
        .core
        .account_create(AccountCreate {
            uin: ask.uin.map(Uin),
            app_id: ask.app_id.map(AppId),
            name: ask.name,
        })
        .await?;
    tracing::info!(uin = %account.uin, "an account was made");
    Ok(Json(account_view(&account)))
}

async fn accounts(State(admin): Shared) -> Json<Vec<AccountView>> {
    Json(admin.core.catalog().accounts().map(account_view).collect())
}

async fn key_create(
    State(admin): Shared,
    Ask(ask): Ask<KeyRequest>,
) -> Result<Json<KeyView>, Refusal> {
    let owner = Uin(ask.uin);
    let key = admin
        .core
        .key_create(KeyCreate {
            owner,
            secret_id: ask.secret_id,
            secret_key: ask.secret_key,
        })
        .await?;
    tracing::info!(uin = %owner, secret_id = key.secret_id, "an access key was made");
    let secret_key = String::from_utf8(key.secret_key.expose().to_vec());
    Ok(Json(KeyView {
        secret_id: key.secret_id,
        secret_key: secret_key.map_err(|_| Refusal::internal("the new key is not text"))?,
    }))
}

async fn token_create(
    State(admin): Shared,
    Ask(ask): Ask<TokenRequest>,
) -> Result<Json<TokenView>, Refusal> {
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
    tracing::info!(%region, "a join string was made");
    Ok(Json(TokenView {
        join: join.to_string(),
        region: region.to_string(),
        expires_at: time_of(expires_at),
    }))
}

async fn gateways(State(admin): Shared) -> Json<Vec<GatewayView>> {
    let catalog = admin.core.catalog();
    let views = catalog.gateways().map(|gateway| {
        let session = admin.sessions.get(gateway.id);
        gateway_view(gateway, session.as_ref())
    });
    Json(views.collect())
}

async fn gateway_remove(
    State(admin): Shared,
    UrlPath(id): UrlPath<String>,
) -> Result<Json<Value>, Refusal> {
    let id = gateway_id(&id)?;
    admin.core.gateway_remove(id).await?;
    admin.sessions.forget(id);
    tracing::info!(gateway = %id, "a gateway was removed");
    Ok(Json(json!({})))
}

async fn peerings(State(admin): Shared) -> Json<Vec<PeeringView>> {
    let catalog = admin.core.catalog();
    let views = catalog
        .peerings()
        .map(|peering| peering_view(&*catalog, &admin.sessions, peering));
    Json(views.collect())
}

async fn tasks(State(admin): Shared) -> Json<Vec<TaskView>> {
    Json(admin.core.catalog().tasks().map(task_view).collect())
}

async fn slice(State(admin): Shared, UrlPath(id): UrlPath<String>) -> Result<Json<Value>, Refusal> {
    let id = gateway_id(&id)?;
    let catalog = admin.core.catalog();
    let gateway = catalog
        .gateway(id)
        .ok_or_else(|| UseCaseError::from(OperatorError::GatewayNotFound(id)))?;
    let slice = slice_of(&*catalog, gateway, Generation(catalog.revision().0));
    Ok(Json(super::slice_dump::dump(&slice)))
}

fn gateway_id(text: &str) -> Result<GatewayId, Refusal> {
    text.parse()
        .map_err(|error: model::IdError| Refusal::bad(error.to_string()))
}

fn account_view(account: &Account) -> AccountView {
    AccountView {
        uin: account.uin.0,
        app_id: account.app_id.0,
        name: account.name.clone(),
        created_at: time_of(account.created_at),
    }
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

fn peering_view(
    world: &dyn World,
    sessions: &Sessions,
    peering: &PeeringConnection,
) -> PeeringView {
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

fn task_view(task: &Task) -> TaskView {
    let kind = match task.kind {
        TaskKind::Create => "create",
        TaskKind::Accept { .. } => "accept",
        TaskKind::Modify { .. } => "modify",
        TaskKind::Reject => "reject",
        TaskKind::Enable => "enable",
        TaskKind::Delete => "delete",
    };
    let (state, message) = match &task.state {
        TaskState::Running => ("running", None),
        TaskState::Succeeded { .. } => ("succeeded", None),
        TaskState::Failed { message, .. } => ("failed", Some(message.clone())),
    };
    TaskView {
        id: task.id.0,
        kind: kind.to_owned(),
        uin: task.owner.0,
        peering: task.peering.to_string(),
        state: state.to_owned(),
        message,
        created_at: time_of(task.created_at),
        deadline: time_of(task.deadline),
    }
}

/// A refused call.
struct Refusal {
    status: StatusCode,
    text: String,
}

impl Refusal {
    fn new(status: StatusCode, text: impl Into<String>) -> Refusal {
        Refusal {
            status,
            text: text.into(),
        }
    }

    fn bad(text: impl Into<String>) -> Refusal {
        Refusal::new(StatusCode::BAD_REQUEST, text)
    }

    fn internal(text: impl Into<String>) -> Refusal {
        Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, text)
    }
}

impl From<UseCaseError> for Refusal {
    fn from(error: UseCaseError) -> Refusal {
        let status = match &error {
            UseCaseError::Domain(_) | UseCaseError::Operator(_) => StatusCode::BAD_REQUEST,
            UseCaseError::Unavailable { .. } | UseCaseError::Busy => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            UseCaseError::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        // The operator is told the whole chain.
        let mut text = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(error) = cause {
            text = format!("{text}: {error}");
            cause = error.source();
        }
        Refusal { status, text }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status, Json(ErrorView { error: self.text })).into_response()
    }
}

/// A JSON body, refused in the form of all refusals.
struct Ask<T>(T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Ask<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        match Json::from_request(request, state).await {
            Ok(Json(ask)) => Ok(Ask(ask)),
            Err(error) => Err(refused_body(&error)),
        }
    }
}

fn refused_body(error: &JsonRejection) -> Refusal {
    Refusal::new(error.status(), error.body_text())
}
