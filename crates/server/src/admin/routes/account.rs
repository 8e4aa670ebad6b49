//! Accounts and their quotas.

use axum::Json;
use axum::extract::{ConnectInfo, Path, State};
use model::{Account, AppId, Uin, World};

use super::super::{AccountDetail, AccountRequest, AccountView, QuotasChange, QuotasView};
use super::deed::{Deed, Made, Operator};
use super::refusal::{Ask, Refusal};
use super::{Shared, key, sub_account, uin};
use crate::core::AccountCreate;
use crate::error::{OperatorError, UseCaseError};
use crate::reconcile::time_of;

pub(super) async fn create(
    State(admin): Shared,
    ConnectInfo(operator): ConnectInfo<Operator>,
    Ask(ask): Ask<AccountRequest>,
) -> Result<Json<AccountView>, Refusal> {
    let deed = Deed::new(operator, "account.create")
        .on("name", &ask.name)
        .on_any("uin", ask.uin)
        .on_any("app_id", ask.app_id);
    let core = admin.core.clone();
    let work = async move {
        let account = core
            .account_create(AccountCreate {
                uin: ask.uin.map(Uin),
                app_id: ask.app_id.map(AppId),
                name: ask.name,
            })
            .await?;
        Ok((view(&account), Made::id(&account.uin)))
    };
    deed.perform(admin, work).await
}

pub(super) async fn list(State(admin): Shared) -> Json<Vec<AccountView>> {
    Json(admin.core.catalog().accounts().map(view).collect())
}

pub(super) async fn show(
    State(admin): Shared,
    Path(text): Path<String>,
) -> Result<Json<AccountDetail>, Refusal> {
    let catalog = admin.core.catalog();
    let uin = uin(&text)?;
    let account = catalog.account(uin).ok_or_else(|| not_found(uin))?;
    let vpcs: Vec<_> = catalog.vpcs().filter(|vpc| vpc.owner == uin).collect();
    let peerings = catalog
        .peerings()
        .filter(|peering| peering.is_visible_to(uin));
    let sub_accounts = catalog
        .sub_accounts()
        .filter(|sub_account| sub_account.owner == uin);
    Ok(Json(AccountDetail {
        account: view(account),
        quotas: QuotasView::from(&catalog.quotas_of(uin)),
        vpcs: vpcs.len() as u64,
        peerings: peerings.count() as u64,
        sub_accounts: sub_accounts
            .map(|found| sub_account::view(&catalog, found))
            .collect(),
        keys: key::views(&catalog, Some(uin), admin.core.clock().now()),
    }))
}

pub(super) async fn quotas(
    State(admin): Shared,
    Path(text): Path<String>,
) -> Result<Json<QuotasView>, Refusal> {
    let uin = uin(&text)?;
    let catalog = admin.core.catalog();
    let account = catalog.account(uin).ok_or_else(|| not_found(uin))?;
    Ok(Json(QuotasView::from(&account.quotas)))
}

pub(super) async fn quotas_set(
    State(admin): Shared,
    ConnectInfo(operator): ConnectInfo<Operator>,
    Path(text): Path<String>,
    Ask(change): Ask<QuotasChange>,
) -> Result<Json<QuotasView>, Refusal> {
    let mut deed = Deed::new(operator, "quota.set").on("uin", &text);
    for (name, value) in change.named() {
        deed = deed.on(name, &value);
    }
    let core = admin.core.clone();
    let work = async move {
        let uin = uin(&text)?;
        if change.named().is_empty() {
            return Err(Refusal::bad("no quota is given; name at least one"));
        }
        let account = core.quotas_set(uin, |quotas| change.apply(quotas)).await?;
        Ok((QuotasView::from(&account.quotas), Made::default()))
    };
    deed.perform(admin, work).await
}

fn not_found(uin: Uin) -> Refusal {
    UseCaseError::from(OperatorError::AccountNotFound(uin)).into()
}

fn view(account: &Account) -> AccountView {
    AccountView {
        uin: account.uin.0,
        app_id: account.app_id.0,
        name: account.name.clone(),
        created_at: time_of(account.created_at),
    }
}
