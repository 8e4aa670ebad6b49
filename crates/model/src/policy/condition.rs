//! Conditions of a statement: what a request is about, compared with texts of the policy.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use super::pattern::matches_wildcard;
use crate::id::VpcRef;
use crate::region::Region;

/// What conditions can ask about a request. Each value is given in every spelling that stands for it.
pub type Facts = BTreeMap<ConditionKey, Vec<String>>;

/// A condition that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConditionError {
    /// The operator is unknown.
    #[error(
        "the condition operator `{0}` is not supported; string_equal, string_not_equal, \
         string_like and string_not_like are, each also with _if_exist"
    )]
    Operator(String),
    /// The key is unknown.
    #[error("the condition key `{key}` is not supported; {} are", ConditionKey::ALL.map(ConditionKey::name).join(", "))]
    Key {
        /// The key.
        key: String,
    },
    /// There is nothing to compare with.
    #[error("the condition on `{0}` has no values")]
    NoValues(ConditionKey),
    /// A value that the key never has.
    #[error("`{value}` cannot be a value of `{key}`; write {expected}")]
    Value {
        /// The key.
        key: ConditionKey,
        /// The value.
        value: String,
        /// What could stand there.
        expected: &'static str,
    },
}

macro_rules! condition_keys {
    ($($(#[$doc:meta])* $variant:ident $name:literal $kind:ident;)+) => {
        /// What a condition can ask about.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum ConditionKey {
            $($(#[$doc])* $variant,)+
        }

        impl ConditionKey {
            /// Every key.
            pub const ALL: [ConditionKey; [$($name),+].len()] = [$(ConditionKey::$variant),+];

            /// Its text in policies.
            pub fn name(self) -> &'static str {
                match self { $(ConditionKey::$variant => $name,)+ }
            }

            fn kind(self) -> Kind {
                match self { $(ConditionKey::$variant => Kind::$kind,)+ }
            }
        }
    };
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Vpc,
    Region,
}

condition_keys! {
    /// The VPC that was asked, by an id.
    AccepterVpc "vpc:accepter_vpc" Vpc;
    /// The region of the VPC that was asked.
    AccepterVpcRegion "vpc:accepter_vpc_region" Region;
    /// The region that the request works in.
    Region "vpc:region" Region;
    /// The VPC that asks, by an id.
    RequesterVpc "vpc:requester_vpc" Vpc;
    /// The region of the VPC that asks.
    RequesterVpcRegion "vpc:requester_vpc_region" Region;
    /// The VPC that a network's resource is or belongs to, by an id.
    Vpc "vpc:vpc" Vpc;
}

impl fmt::Display for ConditionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Debug for ConditionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for ConditionKey {
    type Err = ConditionError;

    fn from_str(text: &str) -> Result<Self, ConditionError> {
        ConditionKey::ALL
            .into_iter()
            .find(|key| key.name() == text)
            .ok_or_else(|| ConditionError::Key {
                key: text.to_owned(),
            })
    }
}

/// How a condition compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operator {
    /// Whether `*` in the values stands for any text.
    pub wildcards: bool,
    /// Whether it holds when no value compares equal, instead of when one does.
    pub negated: bool,
    /// Whether it holds for requests that the key says nothing about.
    pub if_exist: bool,
}

impl FromStr for Operator {
    type Err = ConditionError;

    fn from_str(text: &str) -> Result<Self, ConditionError> {
        let (stem, if_exist) = match text.strip_suffix("_if_exist") {
            Some(stem) => (stem, true),
            None => (text, false),
        };
        let (wildcards, negated) = match stem {
            "string_equal" => (false, false),
            "string_not_equal" => (false, true),
            "string_like" => (true, false),
            "string_not_like" => (true, true),
            _ => return Err(ConditionError::Operator(text.to_owned())),
        };
        Ok(Operator {
            wildcards,
            negated,
            if_exist,
        })
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.wildcards, self.negated) {
            (false, false) => "string_equal",
            (false, true) => "string_not_equal",
            (true, false) => "string_like",
            (true, true) => "string_not_like",
        })?;
        f.write_str(if self.if_exist { "_if_exist" } else { "" })
    }
}

/// One condition of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    operator: Operator,
    key: ConditionKey,
    values: Vec<String>,
}

impl Condition {
    /// Puts a condition together.
    ///
    /// # Errors
    /// [`ConditionError::NoValues`], and [`ConditionError::Value`] when a value can never be the
    /// key's: such a condition would be one that is silently never, or always, fulfilled.
    pub fn new(
        operator: Operator,
        key: ConditionKey,
        values: Vec<String>,
    ) -> Result<Condition, ConditionError> {
        if values.is_empty() {
            return Err(ConditionError::NoValues(key));
        }
        let expected = match key.kind() {
            Kind::Vpc => "a VPC's id, `vpc-xxxxxxxx` or `gz_vpc_226`",
            Kind::Region => "a region, `gz` or `ap-guangzhou`",
        };
        for value in &values {
            let has_wildcard = operator.wildcards && value.contains('*');
            let is_possible = match key.kind() {
                _ if value.len() > 64 => false,
                _ if has_wildcard => true,
                Kind::Vpc => value.parse::<VpcRef>().is_ok(),
                Kind::Region => value.parse::<Region>().is_ok(),
            };
            if !is_possible {
                return Err(ConditionError::Value {
                    key,
                    value: value.chars().take(64).collect(),
                    expected,
                });
            }
        }
        Ok(Condition {
            operator,
            key,
            values,
        })
    }

    /// How it compares.
    pub fn operator(&self) -> Operator {
        self.operator
    }

    /// What it asks about.
    pub fn key(&self) -> ConditionKey {
        self.key
    }

    /// What it compares with; at least one.
    pub fn values(&self) -> &[String] {
        &self.values
    }

    /// Whether it holds for a request. One that asks about something that the request does not have
    /// does not hold, negated or not, unless its operator says `_if_exist`.
    pub fn holds(&self, facts: &Facts) -> bool {
        let Some(found) = facts.get(&self.key) else {
            return self.operator.if_exist;
        };
        let is_equal = |value: &String, spelling: &String| match self.operator.wildcards {
            true => matches_wildcard(value, spelling),
            false => value == spelling,
        };
        let one_is_equal = self
            .values
            .iter()
            .any(|value| found.iter().any(|spelling| is_equal(value, spelling)));
        one_is_equal != self.operator.negated
    }
}
