//! The stored form of the domain's aggregates: readable JSON with a version.
//!
//! Each kind has a record struct of its own, so that a field of `model` can change its name without
//! changing what is on the disk. Ids and blocks are text, times Unix milliseconds, bytes lower-case
//! hexadecimal. Decoding validates: a record of a newer version, an unknown field, a value out of
//! its range, or a record under another one's key is an error, never skipped or repaired.
//!
//! Start with [`Record`] and [`Key`]; [`encode`] and [`decode`] are each other's inverse.

mod account;
mod gateway;
mod index;
mod key;
mod peering;
mod sub_account;
mod task;
mod text;
mod vpc;

#[cfg(test)]
mod strategies;
#[cfg(test)]
mod tests;

pub use index::{LegacyId, LegacyIndex, NumberFloor, Tally, VniReservation};
pub use key::{Key, KeyError};

use bytes::Bytes;
use model::{
    AccessKey, Account, Gateway, JoinToken, PeeringConnection, RouteTable, SubAccount, Subnet,
    Task, Tombstone, Vpc,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::transaction::{Guard, Revision, Write};

/// A stored value that is not the record its key promises.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The key is not one of ours.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Written by a newer version of the software.
    #[error(
        "`{key}` has record version {found}, this version knows {supported}; start the newer \
         version again"
    )]
    Newer {
        /// The record's key.
        key: Key,
        /// The version found.
        found: u32,
        /// The newest version known.
        supported: u32,
    },
    /// Not the JSON of this kind of record, or with a field that is unknown or out of range.
    #[error("`{key}` does not hold a valid record")]
    Malformed {
        /// The record's key.
        key: Key,
        /// What is wrong with it, and where.
        source: serde_json::Error,
    },
    /// The fields contradict each other.
    #[error("`{key}` contradicts itself: {reason}")]
    Inconsistent {
        /// The record's key.
        key: Key,
        /// How.
        reason: &'static str,
    },
    /// The record belongs under another key.
    #[error("`{key}` holds the record of `{belongs}`")]
    Misplaced {
        /// Where it was found.
        key: Key,
        /// Where it belongs.
        belongs: Key,
    },
}

/// The JSON form of one kind.
trait Stored: Serialize + DeserializeOwned {
    /// The aggregate of `model`, or an index of ours.
    type Domain;
    /// The newest version known; the first is 1.
    const VERSION: u32;

    /// The record of an aggregate, in the newest version.
    fn from_domain(domain: &Self::Domain) -> Self;

    /// The aggregate; an error is the reason why the fields contradict each other.
    fn into_domain(self) -> Result<Self::Domain, &'static str>;
}

macro_rules! records {
    ($($(#[$doc:meta])* $kind:ident($domain:ty) = $stored:ty, $key:pat => |$value:ident| $of:expr;)+) => {
        /// Everything that a store can hold.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum Record {
            $($(#[$doc])* $kind($domain),)+
        }

        $(impl From<$domain> for Record {
            fn from(domain: $domain) -> Record {
                Record::$kind(domain)
            }
        })+

        impl Record {
            /// Where the record is stored.
            pub fn key(&self) -> Key {
                match self {
                    $(Record::$kind($value) => $of,)+
                }
            }
        }

        /// A record with the place where it is stored.
        pub fn encode(record: &Record) -> (Key, Bytes) {
            let value = match record {
                $(Record::$kind(domain) => to_json(&<$stored>::from_domain(domain)),)+
            };
            (record.key(), value)
        }

        /// Reads a stored entry back.
        ///
        /// # Errors
        /// [`RecordError`], when the key is not one of ours or the value is not its record.
        pub fn decode(key: &str, value: &[u8]) -> Result<Record, RecordError> {
            let key: Key = key.parse()?;
            let record: Record = match &key {
                $($key => from_json::<$stored>(&key, value)?.into(),)+
            };
            if record.key() != key {
                let belongs = record.key();
                return Err(RecordError::Misplaced { key, belongs });
            }
            Ok(record)
        }
    };
}

records! {
    /// An account.
    Account(Account) = account::AccountRecord,
        Key::Account(_) => |account| Key::Account(account.uin);
    /// An access key.
    AccessKey(AccessKey) = account::AccessKeyRecord,
        Key::AccessKey(_) => |key| Key::AccessKey(key.secret_id.clone());
    /// A sub-account.
    SubAccount(SubAccount) = sub_account::SubAccountRecord,
        Key::SubAccount(_) => |sub_account| Key::SubAccount(sub_account.uin);
    /// A VPC.
    Vpc(Vpc) = vpc::VpcRecord,
        Key::Vpc(_) => |vpc| Key::Vpc(vpc.id);
    /// A subnet.
    Subnet(Subnet) = vpc::SubnetRecord,
        Key::Subnet(_) => |subnet| Key::Subnet(subnet.id);
    /// A route table.
    RouteTable(RouteTable) = vpc::RouteTableRecord,
        Key::RouteTable(_) => |table| Key::RouteTable(table.id);
    /// A peering connection.
    Peering(PeeringConnection) = peering::PeeringRecord,
        Key::Peering(_) => |peering| Key::Peering(peering.id);
    /// A task.
    Task(Task) = task::TaskRecord,
        Key::Task(_) => |task| Key::Task(task.id);
    /// A gateway.
    Gateway(Gateway) = gateway::GatewayRecord,
        Key::Gateway(_) => |gateway| Key::Gateway(gateway.id);
    /// A permission to join.
    JoinToken(JoinToken) = gateway::JoinTokenRecord,
        Key::Join(_) => |token| Key::Join(token.secret_hash);
    /// What is left of a deleted peering.
    Tombstone(Tombstone) = peering::TombstoneRecord,
        Key::Tombstone(_) => |tombstone| Key::Tombstone(tombstone.peering);
    /// Who has a VNI.
    Vni(VniReservation) = index::VniRecord,
        Key::Vni(_) => |reservation| Key::Vni(reservation.vni);
    /// What a legacy id stands for.
    Legacy(LegacyIndex) = index::LegacyRecord,
        Key::Legacy(_) => |index| Key::Legacy(index.legacy_id());
    /// What counts against the quotas of an account in a region.
    Tally(Tally) = index::TallyRecord,
        Key::Tally { .. } => |tally| Key::Tally { owner: tally.owner, region: tally.region };
    /// Which legacy numbers were in use once.
    NumberFloor(NumberFloor) = index::NumberFloorRecord,
        Key::NumberFloor(_) => |floor| Key::NumberFloor(floor.region);
}

impl Record {
    /// The write that stores the record.
    pub fn put(&self) -> Write {
        let (key, value) = encode(self);
        Write::Put {
            key: key.to_string(),
            value,
        }
    }
}

impl Key {
    /// The write that removes the record.
    pub fn delete(&self) -> Write {
        Write::Delete {
            key: self.to_string(),
        }
    }

    /// The condition that the record was last written by that revision, or, with `None`, that there
    /// is none.
    pub fn guard(&self, expected: Option<Revision>) -> Guard {
        Guard {
            key: self.to_string(),
            expected,
        }
    }
}

fn to_json(record: &impl Serialize) -> Bytes {
    // Every map key is a field name and no field can fail, so neither can this.
    serde_json::to_vec(record)
        .expect("records are plain structs")
        .into()
}

fn from_json<S: Stored>(key: &Key, value: &[u8]) -> Result<S::Domain, RecordError> {
    #[derive(Deserialize)]
    struct Version {
        v: u32,
    }

    let malformed = |source| RecordError::Malformed {
        key: key.clone(),
        source,
    };
    let Version { v } = serde_json::from_slice(value).map_err(malformed)?;
    if v > S::VERSION {
        return Err(RecordError::Newer {
            key: key.clone(),
            found: v,
            supported: S::VERSION,
        });
    }
    let inconsistent = |reason| RecordError::Inconsistent {
        key: key.clone(),
        reason,
    };
    if v == 0 {
        return Err(inconsistent("record versions start at 1"));
    }
    let record: S = serde_json::from_slice(value).map_err(malformed)?;
    record.into_domain().map_err(inconsistent)
}
