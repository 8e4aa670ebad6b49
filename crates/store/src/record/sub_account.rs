//! Sub-accounts with their policies.

use model::policy::{ActionPattern, Condition, Effect, ResourcePattern, Statement};
use model::{Policy, SubAccount, Uin, UnixMillis};
use serde::{Deserialize, Serialize};

use super::Stored;
use super::text::{self, Text};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SubAccountRecord {
    v: u32,
    #[serde(with = "text")]
    uin: Uin,
    #[serde(with = "text")]
    owner: Uin,
    name: String,
    statements: Vec<StatementRecord>,
    #[serde(with = "text::millis")]
    created_at: UnixMillis,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StatementRecord {
    effect: EffectRecord,
    actions: Vec<Text<ActionPattern>>,
    resources: Vec<Text<ResourcePattern>>,
    conditions: Vec<ConditionRecord>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum EffectRecord {
    Allow,
    Deny,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ConditionRecord {
    operator: String,
    key: String,
    values: Vec<String>,
}

impl Stored for SubAccountRecord {
    type Domain = SubAccount;
    const VERSION: u32 = 1;

    fn from_domain(sub_account: &SubAccount) -> Self {
        let statements = sub_account.policy.statements.iter();
        SubAccountRecord {
            v: Self::VERSION,
            uin: sub_account.uin,
            owner: sub_account.owner,
            name: sub_account.name.clone(),
            statements: statements.map(StatementRecord::from_domain).collect(),
            created_at: sub_account.created_at,
        }
    }

    fn into_domain(self) -> Result<SubAccount, &'static str> {
        if self.uin == self.owner {
            return Err("a sub-account is not its own owner");
        }
        let statements = self.statements.into_iter();
        Ok(SubAccount {
            uin: self.uin,
            owner: self.owner,
            name: self.name,
            policy: Policy {
                statements: statements
                    .map(StatementRecord::into_domain)
                    .collect::<Result<_, _>>()?,
            },
            created_at: self.created_at,
        })
    }
}

impl StatementRecord {
    fn from_domain(statement: &Statement) -> StatementRecord {
        let conditions = statement.conditions.iter();
        StatementRecord {
            effect: match statement.effect {
                Effect::Allow => EffectRecord::Allow,
                Effect::Deny => EffectRecord::Deny,
            },
            actions: statement.actions.iter().cloned().map(Text).collect(),
            resources: statement.resources.iter().cloned().map(Text).collect(),
            conditions: conditions
                .map(|condition| ConditionRecord {
                    operator: condition.operator().to_string(),
                    key: condition.key().to_string(),
                    values: condition.values().to_vec(),
                })
                .collect(),
        }
    }

    fn into_domain(self) -> Result<Statement, &'static str> {
        let conditions = self.conditions.into_iter();
        Ok(Statement {
            effect: match self.effect {
                EffectRecord::Allow => Effect::Allow,
                EffectRecord::Deny => Effect::Deny,
            },
            actions: self
                .actions
                .into_iter()
                .map(|Text(pattern)| pattern)
                .collect(),
            resources: self
                .resources
                .into_iter()
                .map(|Text(pattern)| pattern)
                .collect(),
            conditions: conditions
                .map(ConditionRecord::into_domain)
                .collect::<Result<_, _>>()?,
        })
    }
}

impl ConditionRecord {
    fn into_domain(self) -> Result<Condition, &'static str> {
        let invalid = |_| "a condition of the policy is not valid";
        let operator = self.operator.parse().map_err(invalid)?;
        let key = self.key.parse().map_err(invalid)?;
        Condition::new(operator, key, self.values).map_err(invalid)
    }
}
