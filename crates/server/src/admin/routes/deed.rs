//! What an operator does, with its entry in the audit log.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;

use axum::Json;
use axum::extract::connect_info::Connected;
use axum::serve::IncomingStream;
use model::TaskId;
use tokio::net::UnixListener;

use super::Admin;
use super::refusal::Refusal;
use crate::audit::{Ending, Entry, Who, rfc3339};

/// Where operators come from.
const SOCKET: &str = "admin-socket";

/// The user id that stands for nobody in particular, as the kernel uses it.
const NOBODY: u32 = 65534;

/// Who is at the other end of the socket.
#[derive(Debug, Clone, Copy)]
pub(super) struct Operator {
    uid: u32,
}

impl Connected<IncomingStream<'_, UnixListener>> for Operator {
    fn connect_info(stream: IncomingStream<'_, UnixListener>) -> Self {
        let uid = match stream.io().peer_cred() {
            Ok(credentials) => credentials.uid(),
            Err(error) => {
                tracing::warn!(%error, "the user of an operator's connection is unknown");
                NOBODY
            }
        };
        Operator { uid }
    }
}

/// Something that changes the deployment, or tries to.
pub(super) struct Deed {
    operator: Operator,
    action: &'static str,
    named: BTreeMap<String, String>,
}

/// What a deed made.
#[derive(Default)]
pub(super) struct Made {
    pub(super) task: Option<TaskId>,
    pub(super) ids: Vec<String>,
}

impl Made {
    /// Something with an id.
    pub(super) fn id(id: &impl ToString) -> Made {
        Made {
            ids: vec![id.to_string()],
            ..Made::default()
        }
    }
}

impl Deed {
    pub(super) fn new(operator: Operator, action: &'static str) -> Deed {
        Deed {
            operator,
            action,
            named: BTreeMap::new(),
        }
    }

    /// Adds what the deed concerns. Never a secret.
    pub(super) fn on(mut self, what: &str, id: &impl ToString) -> Deed {
        let id = id.to_string().chars().take(128).collect();
        self.named.insert(what.to_owned(), id);
        self
    }

    /// Adds what the deed concerns, if it is given.
    pub(super) fn on_any(self, what: &str, id: Option<impl ToString>) -> Deed {
        match id {
            Some(id) => self.on(what, &id),
            None => self,
        }
    }

    /// Does it and writes down what came of it before it is answered. It is finished and written
    /// down also when the operator does not wait.
    pub(super) async fn perform<T: Send + 'static>(
        self,
        admin: Arc<Admin>,
        work: impl Future<Output = Result<(T, Made), Refusal>> + Send + 'static,
    ) -> Result<Json<T>, Refusal> {
        let time = rfc3339(admin.core.clock().now());
        let performed = tokio::spawn(async move {
            let result = work.await;
            let ending = match &result {
                Ok((_, made)) => Ending {
                    task: made.task.map(|task| task.0),
                    ids: made.ids.clone(),
                    ..Ending::success()
                },
                Err(refusal) => Ending {
                    code: i32::from(refusal.status.as_u16()),
                    code_desc: "Refused".to_owned(),
                    message: refusal.text.clone(),
                    ..Ending::default()
                },
            };
            tracing::info!(
                action = self.action,
                operator = self.operator.uid,
                named = ?self.named,
                result = ending.code_desc,
                "an operator acted"
            );
            let entry = Entry {
                time,
                who: Who::Operator {
                    operator: self.operator.uid,
                },
                action: self.action.to_owned(),
                named: self.named,
                from: SOCKET.to_owned(),
                result: ending,
                repeated: false,
            };
            admin.audit.record(&entry).await;
            result
        });
        match performed.await {
            Ok(result) => result.map(|(value, _)| Json(value)),
            Err(_) => Err(Refusal::internal("the server failed; its log tells more")),
        }
    }
}
