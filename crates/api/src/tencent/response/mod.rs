//! From an outcome of a use case to the response's bytes.
//!
//! The types here are the wire's: field names and JSON types are those that typed clients decode,
//! which is not always what the vendor's tables say. Source: legacy VPC API, sections 2 to 4 of the
//! action pages; `docs/compatibility.md` lists where they differ.
//!
//! How each resource looks is in a file of its own.

mod monitor;
mod network;
mod peering;
mod quota;
mod route;
mod rows;

use model::{Outcome, UnixMillis};
use serde::{Deserialize, Serialize};
use time::{OffsetDateTime, UtcOffset};

use self::monitor::MonitorBody;
use self::network::{
    AllVpcsBody, CreatedSubnetBody, SubnetBody, SubnetDetailBody, SubnetsCreatedBody, VpcBody,
    VpcCreatedBody, VpcDetailBody,
};
use self::peering::{PeeringBody, PeeringCreatedBody, TaskResultBody, TaskStartedBody};
use self::quota::QuotasBody;
use self::route::{RouteTableBody, RouteTableCreatedBody};
use super::error::ApiError;

pub use self::rows::Rows;

/// The media type of every answer. The HTTP status is always 200.
pub const CONTENT_TYPE: &str = "application/json; charset=utf-8";

/// The body of the answer to a request that succeeded.
pub fn render(outcome: &Outcome) -> Vec<u8> {
    match outcome {
        Outcome::VpcCreated {
            vpc,
            subnets,
            route_table,
        } => success(&VpcCreatedBody::new(vpc, subnets, route_table)),
        Outcome::Vpcs(page) => list(page.total, page.items.iter().map(VpcBody::from)),
        Outcome::AllVpcs(vpcs) => success(&AllVpcsBody::from(vpcs.as_slice())),
        Outcome::Vpc(detail) => success(&VpcDetailBody::from(&**detail)),
        Outcome::SubnetsCreated(subnets) => success(&SubnetsCreatedBody {
            subnet_set: subnets.iter().map(CreatedSubnetBody::from).collect(),
        }),
        Outcome::Subnets(page) => list(page.total, page.items.iter().map(SubnetBody::from)),
        Outcome::Subnet(view) => success(&SubnetDetailBody::from(&**view)),
        Outcome::RouteTableCreated {
            route_table,
            routes,
        } => success(&RouteTableCreatedBody::new(route_table, routes)),
        Outcome::RouteTables(page) => list(page.total, page.items.iter().map(RouteTableBody::from)),
        Outcome::Peerings(page) => list(page.total, page.items.iter().map(PeeringBody::from)),
        Outcome::PeeringCreated(id) => success(&PeeringCreatedBody::from(*id)),
        // Only the number: a client decodes `uniqVpcPeerId` at this level as an integer.
        Outcome::TaskStarted(id) => success(&TaskStartedBody { task_id: id.0 }),
        Outcome::TaskResult(task) => success(&TaskResultBody::from(task)),
        Outcome::Quotas(quotas) => success(&QuotasBody::from(quotas.as_slice())),
        Outcome::MonitorData(data) => success(&MonitorBody::from(data)),
        // What this dialect cannot ask for has nothing to tell in it.
        Outcome::AssistantCidrsChanged(_)
        | Outcome::AssistantCidrs(_)
        | Outcome::AssistantCidrConflicts { .. }
        | Outcome::RoutesChanged { .. }
        | Outcome::Routes(_)
        | Outcome::Tags(_)
        | Outcome::Account(_)
        | Outcome::Regions
        | Outcome::Zones(_)
        | Outcome::Done => success(&EmptyBody {}),
    }
}

/// The body of the answer to a request that was refused.
pub fn render_error(error: &ApiError) -> Vec<u8> {
    let (code, code_desc) = error.code();
    bytes(&Envelope {
        code,
        message: &error.to_string(),
        code_desc,
        payload: &EmptyBody {},
    })
}

/// What an answer says apart from its payload, read back from its body.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AnswerHead {
    /// The numeric code.
    pub code: i32,
    /// The symbolic code.
    pub code_desc: String,
    /// The text.
    pub message: String,
    /// The task that was started.
    #[serde(default)]
    pub task_id: Option<u64>,
}

impl AnswerHead {
    /// Reads the body of an answer that was rendered here. `None` for anything else.
    pub fn read(body: &[u8]) -> Option<AnswerHead> {
        serde_json::from_slice(body).ok()
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Envelope<'a, T> {
    code: i32,
    message: &'a str,
    code_desc: &'static str,
    #[serde(flatten)]
    payload: &'a T,
}

fn success<T: Serialize>(payload: &T) -> Vec<u8> {
    bytes(&Envelope {
        code: 0,
        message: "",
        code_desc: "Success",
        payload,
    })
}

fn list<T: Serialize>(total_count: u64, data: impl Iterator<Item = T>) -> Vec<u8> {
    success(&ListBody {
        total_count,
        data: data.collect(),
    })
}

fn bytes<T: Serialize>(envelope: &Envelope<'_, T>) -> Vec<u8> {
    serde_json::to_vec(envelope).expect("only strings, numbers and lists of them are written")
}

#[derive(Serialize)]
struct EmptyBody {}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ListBody<T> {
    total_count: u64,
    data: Vec<T>,
}

/// The vendor's local time, UTC+8, as `YYYY-MM-DD HH:MM:SS`.
pub(in crate::tencent) fn local_time(at: UnixMillis) -> String {
    const LAST_SECOND_OF_9999: i64 = 253_402_300_799;
    const EIGHT_HOURS: i64 = 8 * 3600;

    let secs = at.secs().clamp(0, LAST_SECOND_OF_9999 - EIGHT_HOURS);
    let offset = UtcOffset::from_hms(8, 0, 0).expect("8 hours are an offset");
    let at = OffsetDateTime::from_unix_timestamp(secs)
        .expect("the range was just limited")
        .to_offset(offset);
    format!(
        "{:04}-{:02}-{:02} {:02}:{:02}:{:02}",
        at.year(),
        u8::from(at.month()),
        at.day(),
        at.hour(),
        at.minute(),
        at.second()
    )
}

#[cfg(test)]
mod tests;
