//! Policies as the vendor writes them: JSON of version 2.0 to [`Policy`] and back.
//!
//! ```json
//! {"version": "2.0", "statement": [{
//!     "effect": "allow",
//!     "action": ["name/vpc:CreateVpcPeeringConnectionEx", "name/vpc:Describe*"],
//!     "resource": ["qcs::vpc:gz:uin/2407912486:vpc/vpc-8e0ypm3z", "qcs::vpc:::pcx/*"],
//!     "condition": {"string_equal": {"vpc:accepter_vpc_region": "sh"}}
//! }]}
//! ```
//!
//! `statement` may be one object, `action`, `resource` and the values of a condition one text. What
//! is not understood is refused, never ignored: a condition that is dropped would permit more than
//! its author meant.

use std::fmt;
use std::marker::PhantomData;

use model::Policy;
use model::policy::{
    Condition, ConditionError, ConditionKey, Effect, Operator, PatternError, Statement,
};
use serde::de::value::MapAccessDeserializer;
use serde::de::{IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value, json};

/// The version of the policy language.
pub const POLICY_VERSION: &str = "2.0";

/// The longest policy, in bytes.
pub const LONGEST_POLICY: usize = 16 * 1024;

/// Why a text is no policy.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// It is too long.
    #[error("the policy has more than {LONGEST_POLICY} bytes")]
    TooLong,
    /// It is not the JSON of a policy, or has a field that is not known.
    #[error("the policy is not valid")]
    Malformed(#[from] serde_json::Error),
    /// It is written in another version of the language.
    #[error("the policy has version `{0}`; only {POLICY_VERSION} is understood")]
    Version(String),
    /// An action or a resource is not valid.
    #[error("statement {statement}, field `{field}`")]
    Pattern {
        /// Which statement, from 0.
        statement: usize,
        /// Which of its fields.
        field: &'static str,
        /// What is wrong.
        source: PatternError,
    },
    /// A list without an entry: the statement would never count.
    #[error("statement {statement} has an empty `{field}`")]
    Empty {
        /// Which statement, from 0.
        statement: usize,
        /// Which of its fields.
        field: &'static str,
    },
    /// The effect is neither.
    #[error("statement {statement} has the effect `{effect}`; write `allow` or `deny`")]
    Effect {
        /// Which statement, from 0.
        statement: usize,
        /// What it says.
        effect: String,
    },
    /// A condition is not valid.
    #[error("statement {statement}, field `condition`")]
    Condition {
        /// Which statement, from 0.
        statement: usize,
        /// What is wrong.
        source: ConditionError,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicyText {
    #[serde(alias = "Version")]
    version: String,
    #[serde(alias = "Statement")]
    statement: OneOrMany<StatementText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StatementText {
    #[serde(alias = "Effect")]
    effect: String,
    #[serde(alias = "Action")]
    action: OneOrMany<String>,
    #[serde(alias = "Resource")]
    resource: OneOrMany<String>,
    #[serde(default, alias = "Condition")]
    condition: Pairs<Pairs<OneOrMany<String>>>,
}

/// Reads a policy.
///
/// # Errors
/// [`PolicyError`], naming the statement and the field.
pub fn parse_policy(text: &str) -> Result<Policy, PolicyError> {
    if text.len() > LONGEST_POLICY {
        return Err(PolicyError::TooLong);
    }
    let policy: PolicyText = serde_json::from_str(text)?;
    if policy.version != POLICY_VERSION {
        return Err(PolicyError::Version(policy.version));
    }
    let statements = policy.statement.0.into_iter().enumerate();
    Ok(Policy {
        statements: statements
            .map(|(number, text)| statement(number, text))
            .collect::<Result<_, _>>()?,
    })
}

fn statement(number: usize, text: StatementText) -> Result<Statement, PolicyError> {
    let effect = match text.effect.to_ascii_lowercase().as_str() {
        "allow" => Effect::Allow,
        "deny" => Effect::Deny,
        _ => {
            return Err(PolicyError::Effect {
                statement: number,
                effect: text.effect.chars().take(64).collect(),
            });
        }
    };
    let mut conditions = Vec::new();
    for (operator, comparisons) in text.condition.0 {
        for (key, values) in comparisons.0 {
            let condition = condition(&operator, &key, values.0);
            conditions.push(condition.map_err(|source| PolicyError::Condition {
                statement: number,
                source,
            })?);
        }
    }
    Ok(Statement {
        effect,
        actions: patterns(number, "action", &text.action.0)?,
        resources: patterns(number, "resource", &text.resource.0)?,
        conditions,
    })
}

fn patterns<T: std::str::FromStr<Err = PatternError>>(
    statement: usize,
    field: &'static str,
    texts: &[String],
) -> Result<Vec<T>, PolicyError> {
    if texts.is_empty() {
        return Err(PolicyError::Empty { statement, field });
    }
    let pattern = |text: &String| {
        text.parse().map_err(|source| PolicyError::Pattern {
            statement,
            field,
            source,
        })
    };
    texts.iter().map(pattern).collect()
}

fn condition(operator: &str, key: &str, values: Vec<String>) -> Result<Condition, ConditionError> {
    let operator: Operator = operator.parse()?;
    let key: ConditionKey = key.parse()?;
    Condition::new(operator, key, values)
}

/// The JSON of a policy; reading it gives an equal one.
pub fn policy_json(policy: &Policy) -> Value {
    let statements: Vec<Value> = policy.statements.iter().map(statement_json).collect();
    json!({"version": POLICY_VERSION, "statement": statements})
}

fn statement_json(statement: &Statement) -> Value {
    let actions: Vec<String> = statement.actions.iter().map(ToString::to_string).collect();
    let resources: Vec<String> = statement
        .resources
        .iter()
        .map(ToString::to_string)
        .collect();
    let effect = match statement.effect {
        Effect::Allow => "allow",
        Effect::Deny => "deny",
    };
    let mut object = Map::new();
    object.insert("effect".to_owned(), effect.into());
    object.insert("action".to_owned(), actions.into());
    object.insert("resource".to_owned(), resources.into());
    if !statement.conditions.is_empty() {
        object.insert(
            "condition".to_owned(),
            condition_json(&statement.conditions),
        );
    }
    Value::Object(object)
}

fn condition_json(conditions: &[Condition]) -> Value {
    let mut object = Map::new();
    for condition in conditions {
        // Reading refuses the same key twice under one operator, so nothing is written over.
        let operator = object
            .entry(condition.operator().to_string())
            .or_insert_with(|| json!({}));
        operator[condition.key().name()] = condition.values().into();
    }
    Value::Object(object)
}

/// A list that may be written as its only element.
struct OneOrMany<T>(Vec<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OneOrMany<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Elements<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Elements<T> {
            type Value = Vec<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("one entry or a list")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Vec<T>, E> {
                T::deserialize(text.into_deserializer()).map(|one| vec![one])
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Vec<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(|one| vec![one])
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<T>, A::Error> {
                let mut elements = Vec::new();
                while let Some(element) = seq.next_element()? {
                    elements.push(element);
                }
                Ok(elements)
            }
        }

        // Not an untagged enum: that hides which field is wrong, and that one is given twice.
        from.deserialize_any(Elements(PhantomData)).map(OneOrMany)
    }
}

/// The entries of an object in their order, none of them twice.
struct Pairs<T>(Vec<(String, T)>);

impl<T> Default for Pairs<T> {
    fn default() -> Self {
        Pairs(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Pairs<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Entries<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Entries<T> {
            type Value = Pairs<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs<T>, A::Error> {
                let mut entries: Vec<(String, T)> = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, T>()? {
                    if entries.iter().any(|(other, _)| *other == name) {
                        let reason = format!("`{name}` is given twice");
                        return Err(serde::de::Error::custom(reason));
                    }
                    entries.push((name, value));
                }
                Ok(Pairs(entries))
            }
        }

        from.deserialize_map(Entries(PhantomData))
    }
}

#[cfg(test)]
#[path = "policy_tests.rs"]
mod tests;
