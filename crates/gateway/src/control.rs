//! The local verbs: JSON over HTTP on a Unix socket that only the owner may open.
//!
//! `GET /status`, `GET /plan`, `GET /attachments`, `POST /attachments`,
//! `DELETE /attachments/{name}`. [`Client`] speaks to it for the command line.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, Path as UrlPath, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get};
use axum::{Json, Router};
use kernel::{Attachment, Kernel, host_commands};
use serde::{Deserialize, Serialize};
use tokio::net::UnixListener;
use tokio::sync::Mutex;
use tunnel::TunnelStatus;

use crate::agent::chain;
use crate::attachment::{self, Checked};
pub use crate::attachment::{
    AttachError, AttachReply, AttachRequest, AttachTarget, AttachmentView,
};
pub use crate::client::{Client, ClientError};
use crate::desired::desired;
use crate::forwarder::Forwarder;
use crate::shared::Shared;
use crate::state::StateFolder;
use crate::status::{ErrorView, GatewayStatus, Sources, owned, pair_views, peering_views};

const MAX_BODY_BYTES: usize = 64 << 10;
/// How long an attach waits for a VPC or subnet that the server may be about to send.
const SLICE_WAIT: Duration = Duration::from_secs(2);
/// How long a change waits for the reconcile loop.
const APPLY_WAIT: Duration = Duration::from_secs(20);

/// What the next reconcile would do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanView {
    /// The steps in their order, in words.
    pub steps: Vec<String>,
}

/// An error answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorReply {
    /// What went wrong, for the user.
    pub error: String,
}

/// What does not change while the gateway runs, as `status` shows it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Facts {
    pub(crate) instance: String,
    pub(crate) tunnel_public_key: String,
    pub(crate) advertise: Option<String>,
}

/// What the local verbs work on.
pub(crate) struct Control {
    pub(crate) shared: Arc<Shared>,
    pub(crate) kernel: Arc<dyn Kernel>,
    pub(crate) forwarder: Arc<dyn Forwarder>,
    pub(crate) folder: Arc<StateFolder>,
    pub(crate) membership: crate::sync::MembershipCell,
    pub(crate) facts: Facts,
    /// Attach and detach one after the other.
    pub(crate) changing: Mutex<()>,
}

impl Control {
    /// The whole state.
    pub(crate) async fn status(&self) -> GatewayStatus {
        let tunnel = self.tunnel_status().await;
        let applied = self.shared.applied.borrow().clone();
        let slice = self.shared.slice();
        let attachments = self.attachment_views();
        let growth = self.shared.growth();
        let membership = self.membership.get();
        let mut status = GatewayStatus {
            gateway: membership
                .as_ref()
                .map(|membership| membership.gateway.to_string()),
            region: membership
                .as_ref()
                .map(|membership| membership.region.to_string()),
            software_version: crate::SOFTWARE_VERSION.to_owned(),
            instance: self.facts.instance.clone(),
            tunnel_public_key: self.facts.tunnel_public_key.clone(),
            listen: self.forwarder.local_addresses(),
            advertise: self.facts.advertise.clone(),
            server: self.shared.server(),
            desired_generation: slice.as_ref().map(|slice| slice.generation.0),
            generation: applied.generation.map(|generation| generation.0),
            errors: applied
                .failures
                .iter()
                .map(|f| ErrorView {
                    subject: f.subject(),
                    message: f.message.clone(),
                })
                .collect(),
            drops: owned(&tunnel.drops),
            io: tunnel.io.into(),
            ..GatewayStatus::default()
        };
        if let Some(slice) = &slice {
            status.pairs = pair_views(slice, &tunnel);
            status.peerings = peering_views(&Sources {
                slice,
                status: &tunnel,
                applied: &applied,
                attachments: &attachments,
                growth: &growth,
            });
        }
        status.attachments = attachments;
        status
    }

    /// What the engine does.
    pub(crate) async fn tunnel_status(&self) -> TunnelStatus {
        let forwarder = self.forwarder.clone();
        // The engine's answer is empty when it has stopped; so is this.
        tokio::task::spawn_blocking(move || forwarder.status())
            .await
            .unwrap_or_default()
    }

    fn attachment_views(&self) -> BTreeMap<String, AttachmentView> {
        let applied = self.shared.applied.borrow().clone();
        let error_of = |name: &str, attachment: &Attachment| {
            let own = |f: &&crate::shared::Failure| f.attachment.as_deref() == Some(name);
            let of_vpc = |f: &&crate::shared::Failure| {
                f.attachment.is_none() && f.vpc == Some(attachment.vpc)
            };
            let failure = applied.failures.iter().find(own);
            let failure = failure.or_else(|| applied.failures.iter().find(of_vpc));
            failure.map(|failure| failure.message.clone())
        };
        let attachments = self.shared.attachments();
        let views = attachments.iter().map(|(name, attachment)| {
            (
                name.clone(),
                attachment::view(attachment, error_of(name, attachment)),
            )
        });
        views.collect()
    }

    async fn attach(&self, request: AttachRequest) -> Result<AttachReply, Refused> {
        let _changing = self.changing.lock().await;
        let before = self.shared.attachments();
        let checked = self.check(&request, &before).await?;
        let mut after = before.clone();
        after.insert(request.name.clone(), checked.attachment.clone());
        let failure = self.put(after).await?;
        if let Some(message) = failure.into_iter().find_map(|(name, message)| {
            (name.as_deref() == Some(&request.name) || name.is_none()).then_some(message)
        }) {
            // What was refused is not tried again behind the user's back.
            self.put(before).await?;
            return Err(Refused {
                status: StatusCode::CONFLICT,
                message,
            });
        }
        Ok(self.reply(&checked))
    }

    /// Checks a request, waiting a little for a VPC or subnet that was made just before.
    async fn check(
        &self,
        request: &AttachRequest,
        existing: &BTreeMap<String, Attachment>,
    ) -> Result<Checked, Refused> {
        let mut slices = self.shared.slice.subscribe();
        let deadline = tokio::time::Instant::now() + SLICE_WAIT;
        loop {
            let slice = slices.borrow_and_update().clone();
            let outcome = match &slice {
                Some(slice) => attachment::check(request, slice, existing).map_err(Refused::from),
                None => Err(Refused {
                    status: StatusCode::SERVICE_UNAVAILABLE,
                    message:
                        "the server has not sent this gateway's VPCs yet; see `gateway status`"
                            .to_owned(),
                }),
            };
            let Err(refused) = outcome else {
                return outcome;
            };
            if !refused.may_arrive() {
                return Err(refused);
            }
            match tokio::time::timeout_at(deadline, slices.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) | Err(_) => return Err(refused),
            }
        }
    }

    /// Puts the attachments in force; returns what failed, by attachment.
    async fn put(
        &self,
        attachments: BTreeMap<String, Attachment>,
    ) -> Result<Vec<(Option<String>, String)>, Refused> {
        attachment::save(&self.folder, &attachments).map_err(|error| Refused {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            message: chain(&error),
        })?;
        let version = self.shared.set_attachments(attachments);
        let applied = self.shared.applied_since(version, APPLY_WAIT).await;
        let applied = applied.ok_or_else(|| Refused {
            status: StatusCode::GATEWAY_TIMEOUT,
            message: format!(
                "it is remembered, but was not applied within {} s; see `gateway status`",
                APPLY_WAIT.as_secs()
            ),
        })?;
        let of_attachments = applied
            .failures
            .into_iter()
            .filter(|f| f.attachment.is_some());
        Ok(of_attachments
            .map(|failure| (failure.attachment, failure.message))
            .collect())
    }

    fn reply(&self, checked: &Checked) -> AttachReply {
        let attachment = &checked.attachment;
        let mtu_bytes = self
            .shared
            .applied
            .borrow()
            .devices
            .get(&attachment.vpc)
            .copied();
        let mtu_bytes = mtu_bytes.unwrap_or(tunnel::ASSUMED_UNDERLAY_MTU);
        let host = checked
            .address
            .map(|address| kernel::HostConfig { address });
        let shown = Attachment {
            host,
            ..attachment.clone()
        };
        let host_commands = match attachment.host {
            Some(_) => Vec::new(),
            None => host_commands(&shown, checked.cidr, mtu_bytes),
        };
        AttachReply {
            vpc: attachment.vpc.to_string(),
            subnet: attachment.subnet.to_string(),
            cidr: checked.cidr.to_string(),
            address: checked.address,
            gateway_address: checked.cidr.gateway_address(),
            mtu_bytes,
            host_commands,
        }
    }

    async fn detach(&self, name: &str) -> Result<(), Refused> {
        let _changing = self.changing.lock().await;
        let mut attachments = self.shared.attachments();
        if attachments.remove(name).is_none() {
            return Err(Refused {
                status: StatusCode::NOT_FOUND,
                message: format!("there is no attachment `{name}`"),
            });
        }
        self.put(attachments).await?;
        Ok(())
    }

    async fn plan(&self) -> Result<PlanView, Refused> {
        let Some(slice) = self.shared.slice() else {
            return Ok(PlanView::default());
        };
        let devices = self.shared.applied.borrow().devices.clone();
        let mtu_of = |vpc| {
            let engine = self.forwarder.device_mtu(vpc);
            engine
                .or_else(|| devices.get(&vpc).copied())
                .unwrap_or(tunnel::engine::LOCAL_MTU)
        };
        let desired = desired(&slice, &self.shared.attachments(), mtu_of);
        let observed = self.kernel.observe().await.map_err(|error| Refused {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            message: chain(&error),
        })?;
        let steps = kernel::plan(&desired.kernel, &observed);
        Ok(PlanView {
            steps: steps.iter().map(ToString::to_string).collect(),
        })
    }
}

/// A refused request.
#[derive(Debug)]
struct Refused {
    status: StatusCode,
    message: String,
}

impl Refused {
    fn may_arrive(&self) -> bool {
        self.status == StatusCode::NOT_FOUND || self.status == StatusCode::SERVICE_UNAVAILABLE
    }
}

impl From<AttachError> for Refused {
    fn from(error: AttachError) -> Self {
        let status = match error {
            AttachError::NoVpc { .. } | AttachError::NoSubnet { .. } => StatusCode::NOT_FOUND,
            AttachError::NameTaken(_)
            | AttachError::TargetTaken(_)
            | AttachError::SubnetFull(_) => StatusCode::CONFLICT,
            AttachError::Name(_)
            | AttachError::VpcId(_)
            | AttachError::SubnetId(_)
            | AttachError::Interface(_)
            | AttachError::Address { .. }
            | AttachError::NotConfigurable => StatusCode::BAD_REQUEST,
        };
        Refused {
            status,
            message: error.to_string(),
        }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (
            self.status,
            Json(ErrorReply {
                error: self.message,
            }),
        )
            .into_response()
    }
}

/// Serves the local verbs until it is dropped.
pub(crate) async fn serve(listener: UnixListener, control: Arc<Control>) {
    let router = Router::new()
        .route(
            "/status",
            get(async |State(control): State<Arc<Control>>| Json(control.status().await)),
        )
        .route(
            "/plan",
            get(async |State(control): State<Arc<Control>>| control.plan().await.map(Json)),
        )
        .route("/attachments", get(list_attachments).post(attach))
        .route("/attachments/{name}", delete(detach))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .with_state(control);
    if let Err(error) = axum::serve(listener, router).await {
        tracing::error!(%error, "the local socket is not served any more; restart the gateway");
    }
}

async fn list_attachments(
    State(control): State<Arc<Control>>,
) -> Json<BTreeMap<String, AttachmentView>> {
    Json(control.attachment_views())
}

// The work goes on when the caller hangs up: half a change would be worse than an unwanted one.
async fn attach(
    State(control): State<Arc<Control>>,
    Json(request): Json<AttachRequest>,
) -> Result<Json<AttachReply>, Refused> {
    let attached = tokio::spawn(async move { control.attach(request).await });
    attached.await.map_err(|error| panicked(&error))?.map(Json)
}

async fn detach(
    State(control): State<Arc<Control>>,
    UrlPath(name): UrlPath<String>,
) -> Result<StatusCode, Refused> {
    let detached = tokio::spawn(async move { control.detach(&name).await });
    detached.await.map_err(|error| panicked(&error))??;
    Ok(StatusCode::NO_CONTENT)
}

fn panicked(error: &tokio::task::JoinError) -> Refused {
    Refused {
        status: StatusCode::INTERNAL_SERVER_ERROR,
        message: error.to_string(),
    }
}

/// Makes the socket, readable and writable by the owner alone from the first moment on.
///
/// # Errors
/// When another process listens there, or the socket cannot be made.
pub(crate) fn bind(path: &Path) -> std::io::Result<UnixListener> {
    use std::os::unix::fs::PermissionsExt;

    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        return Err(std::io::Error::new(
            std::io::ErrorKind::AddrInUse,
            "another gateway listens there; give this one another socket",
        ));
    }
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    // Bound beside its place, closed to others, then moved: there is no moment at which it is open.
    let fresh = path.with_extension(format!("new-{}", std::process::id()));
    remove_if_there(&fresh)?;
    let listener = UnixListener::bind(&fresh)?;
    std::fs::set_permissions(&fresh, std::fs::Permissions::from_mode(0o600))?;
    std::fs::rename(&fresh, path)?;
    Ok(listener)
}

fn remove_if_there(path: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}
