//! The audit log.

use serde::{Deserialize, Serialize};

/// Which entries of the audit log.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditFilter {
    /// Only of this account or sub-account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uin: Option<u64>,
    /// Only this action; a `*` at the end stands for any text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// Only from this time on, in milliseconds of Unix time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since_millis: Option<i64>,
    /// Only before this time, in milliseconds of Unix time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_millis: Option<i64>,
    /// The most entries, at most [`MOST_ENTRIES`]; the newest ones, or with `after` the next ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// Only behind this position, as an earlier answer gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// The most entries of the audit log in one answer.
pub const MOST_ENTRIES: usize = 10_000;

/// Entries of the audit log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AuditView {
    /// The entries, oldest first.
    pub entries: Vec<serde_json::Value>,
    /// Where to go on.
    pub next: String,
}
