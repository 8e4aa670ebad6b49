//! The texts of a statement that stand for many actions or resources.

use std::fmt;
use std::str::FromStr;

use super::Resource;
use crate::id::Uin;
use crate::region::Region;

/// The longest pattern, in bytes.
const LONGEST: usize = 256;

/// The products whose actions a policy can name.
const SERVICES: [&str; 2] = ["vpc", "monitor"];

/// A text that is no pattern of actions or resources.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// It is empty, or too long.
    #[error("a pattern has 1 to {LONGEST} characters")]
    Length,
    /// It is no action.
    #[error("`{0}` is no action; write `*`, `name/vpc:*` or `name/vpc:DescribeVpcEx`")]
    Action(String),
    /// It belongs to a product that is not served here.
    #[error("`{0}` belongs to a product that is not served here; only vpc and monitor are")]
    Service(String),
    /// It is no resource.
    #[error(
        "`{0}` is no resource; write `*` or `qcs::vpc:REGION:uin/ACCOUNT:KIND/ID`, where region \
         and account may be empty and the last part may have `*`"
    )]
    Resource(String),
    /// Its region is none.
    #[error("`{0}` names a region that is none; write `gz`, `ap-guangzhou` or nothing")]
    Region(String),
    /// Its account is none.
    #[error("`{0}` names an account that is none; write `uin/2407912486` or nothing")]
    Account(String),
}

/// Actions by name, with `*` for any text. Upper and lower case count alike, so that a denial is not
/// evaded by a spelling. Text form: `*`, or `name/`, the product, `:`, the name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActionPattern(String);

impl ActionPattern {
    /// Whether an action is among them.
    pub fn matches(&self, action: &str) -> bool {
        let pattern = self.0.to_ascii_lowercase();
        matches_wildcard(&pattern, &action.to_ascii_lowercase())
    }
}

impl FromStr for ActionPattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        check_length(text)?;
        if text == "*" {
            return Ok(ActionPattern(text.to_owned()));
        }
        let malformed = || PatternError::Action(text.to_owned());
        // The shorter form without `name/` is the later editions'.
        let name = text.strip_prefix("name/").unwrap_or(text);
        let (service, action) = name.split_once(':').ok_or_else(malformed)?;
        if !SERVICES.contains(&service) {
            return Err(PatternError::Service(text.to_owned()));
        }
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'*';
        if action.is_empty() || !action.bytes().all(is_plain) {
            return Err(malformed());
        }
        Ok(ActionPattern(format!("name/{name}")))
    }
}

impl fmt::Display for ActionPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Resources by name. Text form: `*`, or six parts with colons between them, of which the second is
/// empty: `qcs::vpc:gz:uin/2407912486:vpc/vpc-8e0ypm3z`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResourcePattern {
    /// Every resource.
    Any,
    /// Some resources.
    Named {
        /// Only there; everywhere when absent.
        region: Option<Region>,
        /// Only this account's; when absent, those of the account that the policy belongs to.
        account: Option<Uin>,
        /// Kind and id, such as `vpc/vpc-8e0ypm3z` or `pcx/*`; `*` stands for any text.
        name: String,
    },
}

impl ResourcePattern {
    /// Whether a resource is among them, in a policy that belongs to `owner`.
    pub fn matches(&self, owner: Uin, resource: &Resource) -> bool {
        match self {
            ResourcePattern::Any => true,
            ResourcePattern::Named {
                region,
                account,
                name,
            } => {
                region.is_none_or(|region| resource.region == Some(region))
                    && account.unwrap_or(owner) == resource.account
                    && resource
                        .names
                        .iter()
                        .any(|text| matches_wildcard(name, text))
            }
        }
    }
}

impl FromStr for ResourcePattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        check_length(text)?;
        if text == "*" {
            return Ok(ResourcePattern::Any);
        }
        let malformed = || PatternError::Resource(text.to_owned());
        let parts: Vec<&str> = text.split(':').collect();
        let &["qcs", "", service, region, account, name] = parts.as_slice() else {
            return Err(malformed());
        };
        if service != "vpc" {
            return Err(PatternError::Service(text.to_owned()));
        }
        let is_plain = |byte: u8| byte.is_ascii_graphic();
        let is_name = name == "*"
            || name
                .split_once('/')
                .is_some_and(|(kind, id)| !kind.is_empty() && !id.is_empty());
        if !is_name || !name.bytes().all(is_plain) {
            return Err(malformed());
        }
        Ok(ResourcePattern::Named {
            region: match region {
                "" | "*" => None,
                region => Some(
                    region
                        .parse()
                        .map_err(|_| PatternError::Region(text.to_owned()))?,
                ),
            },
            account: match account {
                "" => None,
                account => {
                    Some(uin(account).ok_or_else(|| PatternError::Account(text.to_owned()))?)
                }
            },
            name: name.to_owned(),
        })
    }
}

// Without a sign or leading zeros: one account has one spelling.
fn uin(account: &str) -> Option<Uin> {
    let digits = account.strip_prefix("uin/")?;
    let uin: Uin = digits.parse().ok()?;
    (uin.to_string() == digits && uin.0 > 0).then_some(uin)
}

impl fmt::Display for ResourcePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ResourcePattern::Any => f.write_str("*"),
            ResourcePattern::Named {
                region,
                account,
                name,
            } => {
                write!(f, "qcs::vpc:{}:", region.map_or("", Region::short))?;
                if let Some(account) = account {
                    write!(f, "uin/{account}")?;
                }
                write!(f, ":{name}")
            }
        }
    }
}

fn check_length(text: &str) -> Result<(), PatternError> {
    if text.is_empty() || text.len() > LONGEST {
        return Err(PatternError::Length);
    }
    Ok(())
}

/// Whether a text is one that a pattern stands for. `*` is any text, also none; nothing else is
/// special. Time grows with the product of the lengths at most.
pub(super) fn matches_wildcard(pattern: &str, text: &str) -> bool {
    let mut pieces = pattern.split('*');
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let Some(last) = pieces.next_back() else {
        return rest.is_empty();
    };
    for piece in pieces {
        match rest.find(piece) {
            Some(at) => rest = &rest[at + piece.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}
