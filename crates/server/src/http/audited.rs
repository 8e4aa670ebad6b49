//! Calls in the audit log: those that change something, whatever comes of them, and those that are
//! not authorised. A call that exceeds its rate is only counted, so that nobody can fill the log
//! faster than the rate allows.

use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use api::tencent::{AnswerHead, ApiError, action};
use http::Extensions;
use model::Outcome;

use crate::audit::{Audit, Ending, Entry, Who, rfc3339};
use crate::catalog::Catalog;
use crate::core::{Caller, Core, NotAuthorised};

/// The longest message in an entry, in characters.
const LONGEST_MESSAGE: usize = 512;

/// Where a request came from, in its extensions.
#[derive(Debug, Clone, Copy)]
pub(super) struct Remote(pub(super) SocketAddr);

/// A call that will be in the audit log.
pub(super) struct Audited {
    core: Arc<Core>,
    audit: Audit,
    time: String,
    who: Who,
    action: &'static str,
    named: BTreeMap<String, String>,
    from: String,
}

impl Audited {
    pub(super) fn new(
        core: &Arc<Core>,
        audit: &Audit,
        caller: &Caller,
        action: &'static str,
        named: BTreeMap<String, String>,
        extensions: &Extensions,
    ) -> Audited {
        let from = match extensions.get::<Remote>() {
            Some(Remote(address)) => address.to_string(),
            None => "unknown".to_owned(),
        };
        Audited {
            core: Arc::clone(core),
            audit: audit.clone(),
            time: rfc3339(core.clock().now()),
            who: Who::from(caller),
            action,
            named,
            from,
        }
    }

    /// The action.
    pub(super) fn action(&self) -> &'static str {
        self.action
    }

    /// Writes down that the call was refused.
    pub(super) async fn refused(self, error: &ApiError) {
        self.write(refusal(error), false).await;
    }

    /// Writes down what was decided.
    pub(super) async fn decided(self, decided: Result<&Outcome, &ApiError>) {
        let ending = match decided {
            Ok(outcome) => success(outcome, &self.core.catalog()),
            Err(error) => refusal(error),
        };
        self.write(ending, false).await;
    }

    /// Writes down that the first answer was given again.
    pub(super) async fn repeated(self, answer: AnswerHead) {
        let ending = Ending {
            code: answer.code,
            code_desc: answer.code_desc,
            message: answer.message.chars().take(LONGEST_MESSAGE).collect(),
            task: answer.task_id,
            ids: Vec::new(),
        };
        self.write(ending, true).await;
    }

    /// Writes down what was decided in a dialect whose codes are words.
    pub(super) async fn decided_in_words(self, decided: Result<&Outcome, (&'static str, String)>) {
        let ending = match decided {
            Ok(outcome) => success(outcome, &self.core.catalog()),
            Err((code, message)) => Ending {
                code: 1,
                code_desc: code.to_owned(),
                message: message.chars().take(LONGEST_MESSAGE).collect(),
                ..Ending::default()
            },
        };
        self.write(ending, false).await;
    }

    /// Writes down that the first answer was given again.
    pub(super) async fn repeated_in_words(self) {
        self.write(Ending::success(), true).await;
    }

    async fn write(self, result: Ending, repeated: bool) {
        let entry = Entry {
            time: self.time,
            who: self.who,
            action: self.action.to_owned(),
            named: self.named,
            from: self.from,
            result,
            repeated,
        };
        self.audit.record(&entry).await;
    }
}

/// Runs something to its end, also when nobody waits for it any more: what is committed for a caller
/// that has gone is written down as well.
pub(super) async fn to_its_end<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> T {
    match tokio::spawn(work).await {
        Ok(value) => value,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // Only the end of the runtime takes tasks away, and this one with them.
            Err(_) => std::future::pending().await,
        },
    }
}

fn success(outcome: &Outcome, catalog: &Catalog) -> Ending {
    let mut ending = Ending::success();
    match outcome {
        Outcome::VpcCreated { vpc, subnets, .. } => {
            ending.ids.push(vpc.id.to_string());
            ending
                .ids
                .extend(subnets.iter().map(|view| view.subnet.id.to_string()));
        }
        Outcome::SubnetsCreated(subnets) => {
            ending
                .ids
                .extend(subnets.iter().map(|view| view.subnet.id.to_string()));
        }
        Outcome::RouteTableCreated { route_table, .. } => {
            ending.ids.push(route_table.id.to_string());
        }
        Outcome::PeeringCreated(peering) => ending.ids.push(peering.to_string()),
        Outcome::TaskStarted(task) => {
            ending.task = Some(task.0);
            ending
                .ids
                .extend(catalog.task(*task).map(|task| task.peering.to_string()));
        }
        Outcome::RoutesChanged { route_table, .. } => {
            ending.ids.push(route_table.id.to_string());
        }
        Outcome::AssistantCidrsChanged(added) => {
            ending
                .ids
                .extend(added.first().map(|view| view.vpc.to_string()));
        }
        Outcome::AssistantCidrs(_)
        | Outcome::AssistantCidrConflicts { .. }
        | Outcome::Vpcs(_)
        | Outcome::AllVpcs(_)
        | Outcome::Vpc(_)
        | Outcome::Subnets(_)
        | Outcome::Subnet(_)
        | Outcome::RouteTables(_)
        | Outcome::Routes(_)
        | Outcome::Peerings(_)
        | Outcome::Tags(_)
        | Outcome::MonitorData(_)
        | Outcome::Quotas(_)
        | Outcome::TaskResult(_)
        | Outcome::Account(_)
        | Outcome::Regions
        | Outcome::Zones(_)
        | Outcome::Done => {}
    }
    ending
}

fn refusal(error: &ApiError) -> Ending {
    let (code, code_desc) = error.code();
    Ending {
        code,
        code_desc: code_desc.to_owned(),
        message: error.to_string().chars().take(LONGEST_MESSAGE).collect(),
        ..Ending::default()
    }
}

/// Whether a call that was refused before it was decided is written down: when the action changes
/// something, or when the caller is not authorised.
pub(super) fn is_audited(action: &str, error: &ApiError) -> bool {
    let is_known = action::find(action).is_some();
    let is_read = ["Describe", "Get"]
        .iter()
        .any(|verb| action.starts_with(verb));
    match error {
        ApiError::Action { .. } | ApiError::Resources { .. } => true,
        _ => is_known && !is_read,
    }
}

/// What a caller is told who is not authorised.
pub(super) fn not_authorised(refusal: NotAuthorised) -> ApiError {
    match refusal {
        NotAuthorised::ReadOnly { action } => ApiError::Action {
            action,
            reason: "the key is read-only",
        },
        NotAuthorised::Action { action } => ApiError::Action {
            action,
            reason: "no policy of the sub-account permits it",
        },
        NotAuthorised::Resources { action, refused } => ApiError::Resources {
            action,
            resources: refused.iter().map(ToString::to_string).collect(),
        },
    }
}
