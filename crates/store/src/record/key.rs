//! The keys: one readable path per record.

use std::fmt;
use std::str::FromStr;

use model::{
    GatewayId, PeeringConnectionId, Region, RouteTableId, SubnetId, TaskId, Uin, Vni, VpcId,
};

use super::index::LegacyId;
use super::text::hex;

/// A text that is no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not the key of a record")]
pub struct KeyError(pub String);

/// Where a record is stored. Text form: the prefix of the kind, a slash, the id.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Key {
    /// `account/<uin>`.
    Account(Uin),
    /// `key/<secret id>`. The secret id consists of printable ASCII characters without slash.
    AccessKey(String),
    /// `sub/<uin>`.
    SubAccount(Uin),
    /// `vpc/<id>`.
    Vpc(VpcId),
    /// `subnet/<id>`.
    Subnet(SubnetId),
    /// `rtb/<id>`.
    RouteTable(RouteTableId),
    /// `pcx/<id>`.
    Peering(PeeringConnectionId),
    /// `task/<id>`.
    Task(TaskId),
    /// `gateway/<id>`.
    Gateway(GatewayId),
    /// `join/<SHA-256 of the secret, lower-case hexadecimal>`.
    Join([u8; 32]),
    /// `tombstone/<peering id>`.
    Tombstone(PeeringConnectionId),
    /// `vni/<number>`.
    Vni(Vni),
    /// `legacy/<legacy id>`.
    Legacy(LegacyId),
    /// `tally/<uin>/<region>`.
    Tally {
        /// The account.
        owner: Uin,
        /// The region, by its short code.
        region: Region,
    },
    /// `floor/<region>`.
    NumberFloor(Region),
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Key::Account(uin) => write!(f, "account/{uin}"),
            Key::AccessKey(secret_id) => write!(f, "key/{secret_id}"),
            Key::SubAccount(uin) => write!(f, "sub/{uin}"),
            Key::Vpc(id) => write!(f, "vpc/{id}"),
            Key::Subnet(id) => write!(f, "subnet/{id}"),
            Key::RouteTable(id) => write!(f, "rtb/{id}"),
            Key::Peering(id) => write!(f, "pcx/{id}"),
            Key::Task(id) => write!(f, "task/{id}"),
            Key::Gateway(id) => write!(f, "gateway/{id}"),
            Key::Join(hash) => write!(f, "join/{}", hex::print(hash)),
            Key::Tombstone(id) => write!(f, "tombstone/{id}"),
            Key::Vni(vni) => write!(f, "vni/{vni}"),
            Key::Legacy(id) => write!(f, "legacy/{id}"),
            Key::Tally { owner, region } => write!(f, "tally/{owner}/{region}"),
            Key::NumberFloor(region) => write!(f, "floor/{region}"),
        }
    }
}

impl FromStr for Key {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Key, KeyError> {
        parse(text)
            // One record has one key: other spellings of the same number or region are refused.
            .filter(|key| key.to_string() == text)
            .ok_or_else(|| KeyError(text.to_owned()))
    }
}

fn parse(text: &str) -> Option<Key> {
    let (prefix, rest) = text.split_once('/')?;
    match prefix {
        "account" => rest.parse().ok().map(Key::Account),
        "key" => {
            let is_plain = |byte: u8| byte.is_ascii_graphic() && byte != b'/';
            let is_valid = !rest.is_empty() && rest.bytes().all(is_plain);
            is_valid.then(|| Key::AccessKey(rest.to_owned()))
        }
        "sub" => rest.parse().ok().map(Key::SubAccount),
        "vpc" => rest.parse().ok().map(Key::Vpc),
        "subnet" => rest.parse().ok().map(Key::Subnet),
        "rtb" => rest.parse().ok().map(Key::RouteTable),
        "pcx" => rest.parse().ok().map(Key::Peering),
        "task" => rest.parse().ok().map(Key::Task),
        "gateway" => rest.parse().ok().map(Key::Gateway),
        "join" => hex::parse(rest)?.try_into().ok().map(Key::Join),
        "tombstone" => rest.parse().ok().map(Key::Tombstone),
        "vni" => Vni::try_from(rest.parse::<u32>().ok()?).ok().map(Key::Vni),
        "legacy" => rest.parse().ok().map(Key::Legacy),
        "tally" => {
            let (owner, region) = rest.split_once('/')?;
            let owner = owner.parse().ok()?;
            let region = region.parse().ok()?;
            Some(Key::Tally { owner, region })
        }
        "floor" => rest.parse().ok().map(Key::NumberFloor),
        _ => None,
    }
}
