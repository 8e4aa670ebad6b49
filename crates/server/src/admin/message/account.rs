//! Accounts, sub-accounts and quotas.

use std::fmt;

use model::Quotas;
use serde::{Deserialize, Serialize};

/// Asks for an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountRequest {
    /// A name for the operator.
    pub name: String,
    /// Its number, 1 to 12 digits; drawn when absent.
    #[serde(default)]
    pub uin: Option<u64>,
    /// Its application number; drawn when absent.
    #[serde(default)]
    pub app_id: Option<u64>,
}

/// An account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountView {
    /// Its number.
    pub uin: u64,
    /// Its application number.
    pub app_id: u64,
    /// Its name for the operator.
    pub name: String,
    /// When it was made, UTC.
    pub created_at: String,
}

/// An account with what belongs to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountDetail {
    /// The account.
    #[serde(flatten)]
    pub account: AccountView,
    /// How much it may have.
    pub quotas: QuotasView,
    /// Its VPCs.
    pub vpcs: u64,
    /// The peerings that it sees.
    pub peerings: u64,
    /// Its sub-accounts.
    pub sub_accounts: Vec<SubAccountView>,
    /// Its access keys, those of its sub-accounts included.
    pub keys: Vec<super::KeyDetail>,
}

/// Asks for a sub-account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubAccountRequest {
    /// The account that it acts for.
    pub owner: u64,
    /// A name for the operator.
    pub name: String,
    /// Its number, 1 to 12 digits; drawn when absent.
    #[serde(default)]
    pub uin: Option<u64>,
    /// The text of its policy; it may do nothing when absent.
    #[serde(default)]
    pub policy: Option<String>,
}

/// A sub-account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubAccountView {
    /// Its number.
    pub uin: u64,
    /// The account that it acts for.
    pub owner: u64,
    /// Its name for the operator.
    pub name: String,
    /// How many statements its policy has.
    pub statements: u64,
    /// Its access keys.
    pub keys: u64,
    /// When it was made, UTC.
    pub created_at: String,
}

/// Which sub-accounts or keys.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OwnerFilter {
    /// Only of this account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uin: Option<u64>,
}

/// Sets the policy of a sub-account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyRequest {
    /// Its text, in the vendor's JSON form of version 2.0.
    pub policy: String,
}

/// The policy of a sub-account.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PolicyView {
    /// The sub-account.
    pub uin: u64,
    /// The policy, in the vendor's JSON form of version 2.0.
    pub policy: serde_json::Value,
    /// What in it has no effect here, in words.
    pub warnings: Vec<String>,
}

/// How many calls of each action an account may make in a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RateView {
    /// As many as the server is configured to allow.
    Default,
    /// So many; 0 for any number.
    #[serde(untagged)]
    PerSecond(u32),
}

impl From<Option<u32>> for RateView {
    fn from(rate: Option<u32>) -> RateView {
        rate.map_or(RateView::Default, RateView::PerSecond)
    }
}

impl From<RateView> for Option<u32> {
    fn from(rate: RateView) -> Option<u32> {
        match rate {
            RateView::Default => None,
            RateView::PerSecond(rate) => Some(rate),
        }
    }
}

impl fmt::Display for RateView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RateView::Default => f.write_str("default"),
            RateView::PerSecond(0) => f.write_str("unlimited"),
            RateView::PerSecond(rate) => rate.fmt(f),
        }
    }
}

macro_rules! quotas {
    ($($(#[$doc:meta])* $field:ident;)+) => {
        /// How much an account may have.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
        pub struct QuotasView {
            $($(#[$doc])* pub $field: u32,)+
            /// Calls of each action of the API in a second.
            pub requests_per_second: RateView,
        }

        /// Changes how much an account may have; what is absent stays.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct QuotasChange {
            $($(#[$doc])*
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub $field: Option<u32>,)+
            /// Calls of each action of the API in a second.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub requests_per_second: Option<RateView>,
        }

        impl From<&Quotas> for QuotasView {
            fn from(quotas: &Quotas) -> QuotasView {
                let Quotas { $($field,)+ requests_per_second } = *quotas;
                QuotasView {
                    $($field,)+
                    requests_per_second: requests_per_second.into(),
                }
            }
        }

        impl QuotasView {
            /// Every quota with its name, for tables.
            pub fn named(&self) -> Vec<(&'static str, String)> {
                vec![
                    $((stringify!($field), self.$field.to_string()),)+
                    ("requests_per_second", self.requests_per_second.to_string()),
                ]
            }
        }

        impl QuotasChange {
            /// The quotas that it changes, with their names.
            pub fn named(&self) -> Vec<(&'static str, String)> {
                let all = [
                    $((stringify!($field), self.$field.map(|value| value.to_string())),)+
                    (
                        "requests_per_second",
                        self.requests_per_second.map(|rate| rate.to_string()),
                    ),
                ];
                let changed = all.into_iter().filter_map(|(name, value)| Some((name, value?)));
                changed.collect()
            }

            pub(crate) fn apply(&self, quotas: &mut Quotas) {
                $(if let Some(value) = self.$field {
                    quotas.$field = value;
                })+
                if let Some(rate) = self.requests_per_second {
                    quotas.requests_per_second = rate.into();
                }
            }
        }
    };
}

quotas! {
    /// VPCs in each region.
    vpcs_per_region;
    /// Subnets in each VPC.
    subnets_per_vpc;
    /// Route tables in each VPC, the default one included.
    route_tables_per_vpc;
    /// Routes in each route table, the Local route not counted.
    routes_per_table;
    /// Peerings of each VPC that are active, or pending on its own request.
    peerings_per_vpc;
    /// Pending requests of others to each VPC.
    inbox_per_vpc;
    /// Assistant CIDR blocks of each VPC.
    assistant_cidrs_per_vpc;
}
