//! Access keys.

use serde::{Deserialize, Serialize};

/// Asks for an access key.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyRequest {
    /// The account that its requests act for.
    pub uin: u64,
    /// The sub-account that signs with it; the account itself when absent.
    #[serde(default)]
    pub sub_account: Option<u64>,
    /// Whether it may only be used for what changes nothing.
    #[serde(default)]
    pub read_only: bool,
    /// The public half; drawn when absent.
    #[serde(default)]
    pub secret_id: Option<String>,
    /// The secret half; drawn when absent.
    #[serde(default)]
    pub secret_key: Option<String>,
}

impl std::fmt::Debug for KeyRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyRequest")
            .field("uin", &self.uin)
            .field("sub_account", &self.sub_account)
            .field("read_only", &self.read_only)
            .field("secret_id", &self.secret_id)
            .finish_non_exhaustive()
    }
}

/// A new access key, with the secret half that is shown this once.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyView {
    /// The public half.
    pub secret_id: String,
    /// The secret half.
    pub secret_key: String,
}

impl std::fmt::Debug for KeyView {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyView")
            .field("secret_id", &self.secret_id)
            .finish_non_exhaustive()
    }
}

/// An access key, without its secret half.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyDetail {
    /// The public half.
    pub secret_id: String,
    /// The account that its requests act for.
    pub uin: u64,
    /// The sub-account that signs with it.
    pub sub_account: Option<u64>,
    /// Whether it may only be used for what changes nothing.
    pub read_only: bool,
    /// `enabled`, `disabled`, or `ended` when it was replaced and its time is over.
    pub status: String,
    /// When it ends, because it was replaced, UTC.
    pub ends_at: Option<String>,
    /// When it was made, UTC.
    pub created_at: String,
}

/// Changes an access key; what is absent stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyChange {
    /// The public half.
    pub secret_id: String,
    /// Whether it may be used; enabling takes away its end.
    #[serde(default)]
    pub enabled: Option<bool>,
    /// Whether it may only be used for what changes nothing.
    #[serde(default)]
    pub read_only: Option<bool>,
}

/// Replaces an access key by a new one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyRotation {
    /// The public half of the old one.
    pub secret_id: String,
    /// How long the old one goes on being used; 0 disables it at once.
    #[serde(default)]
    pub grace_secs: u64,
}

/// Names an access key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyName {
    /// The public half.
    pub secret_id: String,
}
