//! What a sub-account may do: policies in the vendor's terms, and how they decide.
//!
//! A policy is a list of statements. A statement allows or denies actions on resources, under
//! conditions. For each resource of a request a matching denial wins over any permission, and what
//! nothing permits is refused. Reading and writing the vendor's JSON is not done here; the parts of a
//! statement are texts that [`ActionPattern`], [`ResourcePattern`] and [`Condition`] check once.
//!
//! Source: legacy VPC API, "resource-level permissions of VPC operations"; the vendor's description
//! of the policy language, version 2.0.

mod condition;
mod pattern;

#[cfg(test)]
mod tests;

use std::fmt;

pub use condition::{Condition, ConditionError, ConditionKey, Facts, Operator};
pub use pattern::{ActionPattern, PatternError, ResourcePattern};

use crate::id::Uin;
use crate::region::Region;
use crate::time::UnixMillis;

/// Somebody who acts for an account with rights of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubAccount {
    /// Its number; no account and no other sub-account has it.
    pub uin: Uin,
    /// The account that it acts for, and that owns whatever it makes.
    pub owner: Uin,
    /// A name for the operator.
    pub name: String,
    /// What it may do. Without statements: nothing.
    pub policy: Policy,
    /// When it was made.
    pub created_at: UnixMillis,
}

/// What a sub-account may do. The default permits nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Policy {
    /// The statements; their order does not matter.
    pub statements: Vec<Statement>,
}

/// One rule of a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// What it does with what it matches.
    pub effect: Effect,
    /// The actions; one of them has to match.
    pub actions: Vec<ActionPattern>,
    /// The resources; one of them has to match.
    pub resources: Vec<ResourcePattern>,
    /// The conditions; all of them have to hold.
    pub conditions: Vec<Condition>,
}

/// What a statement does with what it matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It permits, unless another statement denies.
    Allow,
    /// It refuses, whatever other statements permit.
    Deny,
}

/// A resource as policies name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// Where it is; absent for what belongs to no region.
    pub region: Option<Region>,
    /// The account that it is asked for as a resource of.
    pub account: Uin,
    /// The last part of its name, in every spelling that stands for it, such as `vpc/vpc-8e0ypm3z`
    /// and `vpc/gz_vpc_226`; `*` for all resources. The first one is shown.
    pub names: Vec<String>,
}

impl Resource {
    /// All resources of an account: what actions are checked on that name none.
    pub fn all(account: Uin, region: Option<Region>) -> Resource {
        Resource {
            region,
            account,
            names: vec!["*".to_owned()],
        }
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let region = self.region.map_or("", Region::short);
        let name = self.names.first().map_or("*", String::as_str);
        write!(f, "qcs::vpc:{region}:uin/{}:{name}", self.account)
    }
}

/// A request as policies see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyRequest {
    /// The action, such as `name/vpc:CreateVpcPeeringConnectionEx`.
    pub action: String,
    /// What it touches; at least one.
    pub resources: Vec<Resource>,
    /// What conditions can ask about.
    pub facts: Facts,
}

/// What a policy says to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// It is permitted.
    Allowed,
    /// The action is not permitted on anything.
    ActionRefused,
    /// The action is not permitted on these resources.
    ResourcesRefused(Vec<Resource>),
}

impl Policy {
    /// Decides on a request of a sub-account of `owner`.
    pub fn decide(&self, owner: Uin, request: &PolicyRequest) -> Decision {
        let concerned = || {
            let statements = self.statements.iter();
            statements.filter(|statement| statement.has_action(&request.action))
        };
        let is_permitted_somewhere = concerned().any(|statement| statement.effect == Effect::Allow);
        let is_denied_everywhere = concerned().any(|statement| {
            statement.effect == Effect::Deny
                && statement.resources.contains(&ResourcePattern::Any)
                && statement.is_met_by(&request.facts)
        });
        if !is_permitted_somewhere || is_denied_everywhere || request.resources.is_empty() {
            return Decision::ActionRefused;
        }
        let matching = |resource, effect| {
            concerned().any(|statement| {
                statement.effect == effect
                    && statement.has_resource(owner, resource)
                    && statement.is_met_by(&request.facts)
            })
        };
        let resources = request.resources.iter();
        let refused: Vec<Resource> = resources
            .filter(|resource| {
                matching(resource, Effect::Deny) || !matching(resource, Effect::Allow)
            })
            .cloned()
            .collect();
        if refused.is_empty() {
            Decision::Allowed
        } else {
            Decision::ResourcesRefused(refused)
        }
    }
}

impl Statement {
    fn has_action(&self, action: &str) -> bool {
        self.actions.iter().any(|pattern| pattern.matches(action))
    }

    fn has_resource(&self, owner: Uin, resource: &Resource) -> bool {
        let mut patterns = self.resources.iter();
        patterns.any(|pattern| pattern.matches(owner, resource))
    }

    fn is_met_by(&self, facts: &Facts) -> bool {
        self.conditions
            .iter()
            .all(|condition| condition.holds(facts))
    }
}
