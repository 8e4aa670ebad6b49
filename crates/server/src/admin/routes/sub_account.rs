//! Sub-accounts and their policies.

use api::tencent::action::ACTIONS;
use api::tencent::v3;
use api::tencent::{parse_policy, policy_json};
use axum::Json;
use axum::extract::{ConnectInfo, Path, State};
use model::{Policy, Principal, SubAccount, Uin};
use serde_json::{Value, json};

use super::super::{OwnerFilter, PolicyRequest, PolicyView, SubAccountRequest, SubAccountView};
use super::deed::{Deed, Made, Operator};
use super::refusal::{Ask, Filter, Refusal};
use super::{Shared, uin};
use crate::catalog::Catalog;
use crate::core::{SubAccountCreate, policy_action};
use crate::error::{OperatorError, UseCaseError};
use crate::reconcile::time_of;

pub(super) async fn create(
    State(admin): Shared,
    ConnectInfo(operator): ConnectInfo<Operator>,
    Ask(ask): Ask<SubAccountRequest>,
) -> Result<Json<SubAccountView>, Refusal> {
    let deed = Deed::new(operator, "subaccount.create")
        .on("owner", &ask.owner)
        .on("name", &ask.name)
        .on_any("uin", ask.uin);
    let core = admin.core.clone();
    let work = async move {
        let policy = ask.policy.as_deref().map(parsed).transpose()?;
        let sub_account = core
            .sub_account_create(SubAccountCreate {
                owner: Uin(ask.owner),
                uin: ask.uin.map(Uin),
                name: ask.name,
                policy: policy.unwrap_or_default(),
            })
            .await?;
        let view = view(&core.catalog(), &sub_account);
        Ok((view, Made::id(&sub_account.uin)))
    };
    deed.perform(admin, work).await
}

pub(super) async fn list(
    State(admin): Shared,
    Filter(filter): Filter<OwnerFilter>,
) -> Json<Vec<SubAccountView>> {
    let catalog = admin.core.catalog();
    let wanted = |found: &&SubAccount| filter.uin.is_none_or(|uin| found.owner == Uin(uin));
    let views = catalog
        .sub_accounts()
        .filter(wanted)
        .map(|found| view(&catalog, found));
    Json(views.collect())
}

pub(super) async fn remove(
    State(admin): Shared,
    ConnectInfo(operator): ConnectInfo<Operator>,
    Path(text): Path<String>,
) -> Result<Json<Value>, Refusal> {
    let deed = Deed::new(operator, "subaccount.delete").on("uin", &text);
    let core = admin.core.clone();
    let work = async move {
        core.sub_account_delete(uin(&text)?).await?;
        Ok((json!({}), Made::default()))
    };
    deed.perform(admin, work).await
}

pub(super) async fn policy(
    State(admin): Shared,
    Path(text): Path<String>,
) -> Result<Json<PolicyView>, Refusal> {
    let uin = uin(&text)?;
    let catalog = admin.core.catalog();
    let found = catalog
        .sub_account(uin)
        .ok_or_else(|| UseCaseError::from(OperatorError::SubAccountNotFound(uin)))?;
    Ok(Json(policy_view(found)))
}

pub(super) async fn policy_set(
    State(admin): Shared,
    ConnectInfo(operator): ConnectInfo<Operator>,
    Path(text): Path<String>,
    Ask(ask): Ask<PolicyRequest>,
) -> Result<Json<PolicyView>, Refusal> {
    let deed = Deed::new(operator, "policy.set").on("uin", &text);
    let core = admin.core.clone();
    let work = async move {
        let set = core.policy_set(uin(&text)?, parsed(&ask.policy)?).await?;
        Ok((policy_view(&set), Made::default()))
    };
    deed.perform(admin, work).await
}

fn parsed(text: &str) -> Result<Policy, Refusal> {
    parse_policy(text).map_err(|error| {
        let mut text = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(error) = cause {
            text = format!("{text}: {error}");
            cause = error.source();
        }
        Refusal::bad(text)
    })
}

fn policy_view(sub_account: &SubAccount) -> PolicyView {
    PolicyView {
        uin: sub_account.uin.0,
        policy: policy_json(&sub_account.policy),
        warnings: warnings(&sub_account.policy),
    }
}

/// The actions of a policy that are none of this server's: other products' ones, and misspelt ones.
fn warnings(policy: &Policy) -> Vec<String> {
    let actions = policy
        .statements
        .iter()
        .flat_map(|statement| &statement.actions);
    let without_effect = actions.filter(|pattern| {
        let legacy = ACTIONS.iter().map(|action| policy_action(action.name));
        let mut names = legacy.chain(v3::action::all().map(v3::Action::policy_name));
        !names.any(|name| pattern.matches(&name))
    });
    without_effect
        .map(|pattern| format!("`{pattern}` matches no action of this server"))
        .collect()
}

pub(super) fn view(catalog: &Catalog, sub_account: &SubAccount) -> SubAccountView {
    let principal = Principal::SubAccount(sub_account.uin);
    SubAccountView {
        uin: sub_account.uin.0,
        owner: sub_account.owner.0,
        name: sub_account.name.clone(),
        statements: sub_account.policy.statements.len() as u64,
        keys: catalog
            .keys()
            .filter(|key| key.principal == principal)
            .count() as u64,
        created_at: time_of(sub_account.created_at),
    }
}
