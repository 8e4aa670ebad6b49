//! What one line of the audit log says.

use std::collections::BTreeMap;

use model::{Principal, UnixMillis};
use serde::Serialize;

use crate::core::Caller;

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// When it was asked for, RFC 3339 with milliseconds, UTC.
    pub time: String,
    /// Who asked.
    pub who: Who,
    /// The action of the API, or the operator's, such as `key.disable`.
    pub action: String,
    /// What it named: ids, regions and blocks, as given.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub named: BTreeMap<String, String>,
    /// Where the request came from: an address and port, or `admin-socket`.
    pub from: String,
    /// How it ended.
    pub result: Ending,
    /// Whether it is a repetition that was given its first answer again.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub repeated: bool,
}

/// Who did something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Who {
    /// A caller of the API.
    Caller {
        /// The account.
        uin: u64,
        /// The sub-account that signed, if one did.
        #[serde(skip_serializing_if = "Option::is_none")]
        sub_account: Option<u64>,
        /// The public half of the key.
        secret_id: String,
    },
    /// Somebody on the operator's socket.
    Operator {
        /// The Unix user id of the process at the other end.
        operator: u32,
    },
}

impl From<&Caller> for Who {
    fn from(caller: &Caller) -> Who {
        Who::Caller {
            uin: caller.account.0,
            sub_account: match caller.principal {
                Principal::Account => None,
                Principal::SubAccount(uin) => Some(uin.0),
            },
            secret_id: caller.secret_id.clone(),
        }
    }
}

/// How something ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Ending {
    /// The answer's `code`; of an operator's call the HTTP status, or 0. API 3.0 has no numbers: 0 for
    /// a success and 1 for a refusal.
    pub code: i32,
    /// The answer's `codeDesc`; `Success` or `Refused` for an operator's call.
    pub code_desc: String,
    /// Why it was refused.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// The task that it began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<u64>,
    /// The ids of what it made, or of the peering that it began to change.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ids: Vec<String>,
}

impl Ending {
    /// A success.
    pub fn success() -> Ending {
        Ending {
            code_desc: "Success".to_owned(),
            ..Ending::default()
        }
    }
}

/// The parameters that are repeated in entries; with a list's index, as `routeSet.0.nextHub`, they
/// count as well. Everything else could be anything.
const KNOWN: [&str; 30] = [
    "bandwidth",
    "chargeType",
    "cidrBlock",
    "destinationCidrBlock",
    "nextHub",
    "nextType",
    "peerRegion",
    "peerUin",
    "peerVpcId",
    "peeringConnectionId",
    "Region",
    "routeTableId",
    "subnetId",
    "vpcId",
    "zoneId",
    // The spellings of API 3.0.
    "Bandwidth",
    "ChargeType",
    "CidrBlock",
    "DestinationCidrBlock",
    "DestinationRegion",
    "DestinationUin",
    "DestinationVpcId",
    "GatewayId",
    "PeeringConnectionId",
    "RouteId",
    "RouteTableId",
    "SourceVpcId",
    "SubnetId",
    "VpcId",
    "Zone",
];

/// The most parameters in one entry.
const MOST_NAMED: usize = 24;

/// The longest value in an entry, in characters.
const LONGEST_VALUE: usize = 64;

/// What parameters name, as far as an entry repeats it.
pub fn named<'a>(parameters: impl Iterator<Item = (&'a str, &'a str)>) -> BTreeMap<String, String> {
    let is_known = |name: &str| {
        let parts = name.split(['.', '_']);
        let mut words = parts.filter(|part| !part.bytes().all(|byte| byte.is_ascii_digit()));
        words.next_back().is_some_and(|word| KNOWN.contains(&word))
    };
    parameters
        .filter(|(name, value)| name.len() <= LONGEST_VALUE && is_known(name) && !value.is_empty())
        .take(MOST_NAMED)
        .map(|(name, value)| {
            let value = value.chars().take(LONGEST_VALUE).collect();
            (name.to_owned(), value)
        })
        .collect()
}

/// The line that tells how many entries are missing.
pub(super) fn gap(now: UnixMillis, missing: u64) -> String {
    let (time, action) = (rfc3339(now), "audit.gap");
    format!(
        r#"{{"time":"{time}","who":{{"server":true}},"action":"{action}","missing":{missing}}}"#
    )
}

/// A time in RFC 3339 with milliseconds, UTC. Equally long for all times of four-digit years, so that
/// texts compare as times do.
pub fn rfc3339(at: UnixMillis) -> String {
    let Ok(time) = time::OffsetDateTime::from_unix_timestamp(at.secs()) else {
        return at.0.to_string();
    };
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
        time.year(),
        u8::from(time.month()),
        time.day(),
        time.hour(),
        time.minute(),
        time.second(),
        at.0.rem_euclid(1000),
    )
}
