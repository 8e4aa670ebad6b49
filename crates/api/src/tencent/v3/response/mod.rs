//! From an outcome of a use case to the response's bytes.
//!
//! Everything is `{"Response":{..., "RequestId":"..."}}`. Clients decode by type and some dereference
//! without asking, so every member that the pages declare is written, as the JSON type that they
//! declare. What is declared is in the table of actions, and a test compares the two.

mod assistant;
mod neighbour;
mod network;
mod peering;
mod route;
mod rows;
mod tag;

use model::{Outcome, UnixMillis};
use serde::Serialize;

use super::action::Action;
use super::error::Error;
use super::field::Arguments;

pub(super) use assistant::{
    assistant_cidr_conflicts, assistant_cidrs, assistant_cidrs_changed, assistant_cidrs_deleted,
};
pub(super) use neighbour::{app_id, identity, regions, sub_accounts, zones};
pub(super) use network::{quotas, subnet_created, subnets, subnets_created, vpc_created, vpcs};
pub(super) use peering::{peering_created, peerings, task_result};
pub use rows::Rows;

pub(super) use route::{
    route_conflicts, route_table_created, route_tables, routes, routes_created, routes_deleted,
    routes_replaced, routes_switched,
};
pub(super) use tag::resource_tags;

/// The media type of every answer, exactly so: with a charset, two clients do not see errors.
pub const CONTENT_TYPE: &str = "application/json";

/// The body of the answer to a request that succeeded. An outcome that the action cannot have is
/// answered as an internal error.
pub fn render(
    action: &Action,
    arguments: &Arguments,
    outcome: &Outcome,
    request_id: &str,
) -> Vec<u8> {
    match action.render(outcome, arguments) {
        Some(members) => envelope(&members, request_id),
        None => render_error(&Error::Internal, Some(action), request_id),
    }
}

/// The body of the answer to a request that was refused.
pub fn render_error(error: &Error, action: Option<&Action>, request_id: &str) -> Vec<u8> {
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Refusal {
        error: ErrorBody,
    }
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct ErrorBody {
        code: &'static str,
        message: String,
    }
    let refusal = Refusal {
        error: ErrorBody {
            code: error.code(action),
            message: error.to_string(),
        },
    };
    envelope(&object(&refusal), request_id)
}

/// Puts the members of an object and the request's id into the envelope.
fn envelope(members: &[u8], request_id: &str) -> Vec<u8> {
    let members = &members[..members.len() - 1];
    let mut body = Vec::with_capacity(members.len() + request_id.len() + 40);
    body.extend_from_slice(br#"{"Response":"#);
    body.extend_from_slice(members);
    if members.len() > 1 {
        body.push(b',');
    }
    body.extend_from_slice(br#""RequestId":"#);
    let id = serde_json::to_vec(request_id).expect("a text is written");
    body.extend_from_slice(&id);
    body.extend_from_slice(b"}}");
    body
}

fn object<T: Serialize>(members: &T) -> Vec<u8> {
    serde_json::to_vec(members).expect("only strings, numbers and lists of them are written")
}

/// The answer of actions that have nothing to tell.
pub(super) fn done(outcome: &Outcome, _: &Arguments) -> Option<Vec<u8>> {
    matches!(outcome, Outcome::Done).then(|| b"{}".to_vec())
}

/// The vendor's local time: the documentation names no zone, and its examples look like UTC+8.
fn local_time(at: UnixMillis) -> String {
    crate::tencent::response::local_time(at)
}

#[cfg(test)]
mod tests;
