//! Accounts, their access keys and their quotas.

use crate::id::{AppId, Uin};
use crate::time::UnixMillis;

/// An account: the owner of VPCs and one side of a peering.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The account number.
    pub uin: Uin,
    /// The application number.
    pub app_id: AppId,
    /// A name for the operator.
    pub name: String,
    /// What it may have.
    pub quotas: Quotas,
    /// When it was made.
    pub created_at: UnixMillis,
}

/// How much an account may have. Source of the defaults: the vendor's usage limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quotas {
    /// VPCs in each region.
    pub vpcs_per_region: u32,
    /// Subnets in each VPC.
    pub subnets_per_vpc: u32,
    /// Route tables in each VPC, the default one included.
    pub route_tables_per_vpc: u32,
    /// Routes in each route table, the Local route not counted.
    pub routes_per_table: u32,
    /// Peerings of each VPC that are active, or pending on its own request.
    pub peerings_per_vpc: u32,
    /// Pending requests of others to each VPC.
    pub inbox_per_vpc: u32,
    /// Assistant CIDR blocks of each VPC.
    pub assistant_cidrs_per_vpc: u32,
    /// Calls of each action of the API in a second, 0 for any number; `None`: what the server is
    /// configured to allow.
    pub requests_per_second: Option<u32>,
}

impl Default for Quotas {
    fn default() -> Self {
        Quotas {
            vpcs_per_region: 5,
            subnets_per_vpc: 10,
            route_tables_per_vpc: 10,
            routes_per_table: 50,
            peerings_per_vpc: 10,
            inbox_per_vpc: 25,
            assistant_cidrs_per_vpc: 5,
            requests_per_second: None,
        }
    }
}

/// An access key: what signs an account's requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessKey {
    /// The public half.
    pub secret_id: String,
    /// The account that its requests act for.
    pub owner: Uin,
    /// Who signs with it.
    pub principal: Principal,
    /// What it may be used for.
    pub access: Access,
    /// The secret half, sealed under the server's master key.
    pub sealed_secret: SealedSecret,
    /// Whether it may be used.
    pub status: KeyStatus,
    /// From when on it is refused, when it was replaced by another key.
    pub ends_at: Option<UnixMillis>,
    /// When it was made.
    pub created_at: UnixMillis,
}

impl AccessKey {
    /// Whether it signs at a time.
    pub fn is_usable(&self, now: UnixMillis) -> bool {
        self.status == KeyStatus::Enabled && self.ends_at.is_none_or(|end| now < end)
    }
}

/// Who signs with an access key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Principal {
    /// The account itself, which may do everything with what it owns.
    Account,
    /// One of its sub-accounts, which may do what its policy permits.
    SubAccount(Uin),
}

/// What an access key may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everything that its principal may do.
    Full,
    /// Of that, what changes nothing.
    ReadOnly,
}

/// Whether an access key may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyStatus {
    /// It signs.
    Enabled,
    /// It is refused.
    Disabled,
}

/// A secret sealed by an AEAD; the bytes are nonce and ciphertext. Printing it shows nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedSecret(pub Vec<u8>);

impl std::fmt::Debug for SealedSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SealedSecret")
    }
}
