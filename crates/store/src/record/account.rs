//! Accounts and access keys.

use model::{
    Access, AccessKey, Account, AppId, KeyStatus, Principal, Quotas, SealedSecret, Uin, UnixMillis,
};
use serde::{Deserialize, Serialize};

use super::Stored;
use super::text::{self, Text};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AccountRecord {
    v: u32,
    #[serde(with = "text")]
    uin: Uin,
    #[serde(with = "text")]
    app_id: AppId,
    name: String,
    quotas: QuotasRecord,
    #[serde(with = "text::millis")]
    created_at: UnixMillis,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct QuotasRecord {
    vpcs_per_region: u32,
    subnets_per_vpc: u32,
    route_tables_per_vpc: u32,
    routes_per_table: u32,
    peerings_per_vpc: u32,
    inbox_per_vpc: u32,
    // As the next one: records of accounts that have the default stay as they were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    assistant_cidrs_per_vpc: Option<u32>,
    // Written only where it is set, so that records of accounts without it stay as they were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    requests_per_second: Option<u32>,
}

impl Stored for AccountRecord {
    type Domain = Account;
    const VERSION: u32 = 1;

    fn from_domain(account: &Account) -> Self {
        let quotas = account.quotas;
        AccountRecord {
            v: Self::VERSION,
            uin: account.uin,
            app_id: account.app_id,
            name: account.name.clone(),
            quotas: QuotasRecord {
                vpcs_per_region: quotas.vpcs_per_region,
                subnets_per_vpc: quotas.subnets_per_vpc,
                route_tables_per_vpc: quotas.route_tables_per_vpc,
                routes_per_table: quotas.routes_per_table,
                peerings_per_vpc: quotas.peerings_per_vpc,
                inbox_per_vpc: quotas.inbox_per_vpc,
                assistant_cidrs_per_vpc: Some(quotas.assistant_cidrs_per_vpc)
                    .filter(|quota| *quota != Quotas::default().assistant_cidrs_per_vpc),
                requests_per_second: quotas.requests_per_second,
            },
            created_at: account.created_at,
        }
    }

    fn into_domain(self) -> Result<Account, &'static str> {
        let quotas = self.quotas;
        Ok(Account {
            uin: self.uin,
            app_id: self.app_id,
            name: self.name,
            quotas: Quotas {
                vpcs_per_region: quotas.vpcs_per_region,
                subnets_per_vpc: quotas.subnets_per_vpc,
                route_tables_per_vpc: quotas.route_tables_per_vpc,
                routes_per_table: quotas.routes_per_table,
                peerings_per_vpc: quotas.peerings_per_vpc,
                inbox_per_vpc: quotas.inbox_per_vpc,
                assistant_cidrs_per_vpc: quotas
                    .assistant_cidrs_per_vpc
                    .unwrap_or(Quotas::default().assistant_cidrs_per_vpc),
                requests_per_second: quotas.requests_per_second,
            },
            created_at: self.created_at,
        })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AccessKeyRecord {
    v: u32,
    secret_id: String,
    #[serde(with = "text")]
    owner: Uin,
    // Version 1 knew neither sub-accounts nor read-only keys, and keys had no end.
    #[serde(default)]
    sub_account: Option<Text<Uin>>,
    #[serde(default)]
    access: AccessRecord,
    #[serde(with = "text::hex")]
    sealed_secret: Vec<u8>,
    status: KeyStatusRecord,
    #[serde(default)]
    ends_at: Option<i64>,
    #[serde(with = "text::millis")]
    created_at: UnixMillis,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum AccessRecord {
    #[default]
    Full,
    ReadOnly,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum KeyStatusRecord {
    Enabled,
    Disabled,
}

impl Stored for AccessKeyRecord {
    type Domain = AccessKey;
    const VERSION: u32 = 2;

    fn from_domain(key: &AccessKey) -> Self {
        AccessKeyRecord {
            v: Self::VERSION,
            secret_id: key.secret_id.clone(),
            owner: key.owner,
            sub_account: match key.principal {
                Principal::Account => None,
                Principal::SubAccount(uin) => Some(Text(uin)),
            },
            access: match key.access {
                Access::Full => AccessRecord::Full,
                Access::ReadOnly => AccessRecord::ReadOnly,
            },
            sealed_secret: key.sealed_secret.0.clone(),
            status: match key.status {
                KeyStatus::Enabled => KeyStatusRecord::Enabled,
                KeyStatus::Disabled => KeyStatusRecord::Disabled,
            },
            ends_at: key.ends_at.map(|end| end.0),
            created_at: key.created_at,
        }
    }

    fn into_domain(self) -> Result<AccessKey, &'static str> {
        Ok(AccessKey {
            secret_id: self.secret_id,
            owner: self.owner,
            principal: match self.sub_account {
                None => Principal::Account,
                Some(Text(uin)) => Principal::SubAccount(uin),
            },
            access: match self.access {
                AccessRecord::Full => Access::Full,
                AccessRecord::ReadOnly => Access::ReadOnly,
            },
            sealed_secret: SealedSecret(self.sealed_secret),
            status: match self.status {
                KeyStatusRecord::Enabled => KeyStatus::Enabled,
                KeyStatusRecord::Disabled => KeyStatus::Disabled,
            },
            ends_at: self.ends_at.map(UnixMillis),
            created_at: self.created_at,
        })
    }
}
