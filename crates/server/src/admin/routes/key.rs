//! Access keys.

use std::time::Duration;

use axum::Json;
use axum::extract::{ConnectInfo, State};
use model::{Access, AccessKey, KeyStatus, Principal, Uin, UnixMillis};
use serde_json::{Value, json};

use super::super::{KeyChange, KeyDetail, KeyName, KeyRequest, KeyRotation, KeyView, OwnerFilter};
use super::Shared;
use super::deed::{Deed, Made, Operator};
use super::refusal::{Ask, Filter, Refusal};
use crate::catalog::Catalog;
use crate::core::{CreatedKey, KeyCreate};
use crate::reconcile::time_of;

pub(super) async fn create(
    State(admin): Shared,
    ConnectInfo(operator): ConnectInfo<Operator>,
    Ask(ask): Ask<KeyRequest>,
) -> Result<Json<KeyView>, Refusal> {
    let access = access(ask.read_only);
    let deed = Deed::new(operator, "key.create")
        .on("uin", &ask.uin)
        .on_any("sub_account", ask.sub_account)
        .on_any("secret_id", ask.secret_id.as_ref())
        .on("read_only", &ask.read_only);
    let core = admin.core.clone();
    let work = async move {
        let key = core
            .key_create(KeyCreate {
                owner: Uin(ask.uin),
                principal: match ask.sub_account {
                    None => Principal::Account,
                    Some(uin) => Principal::SubAccount(Uin(uin)),
                },
                access,
                secret_id: ask.secret_id,
                secret_key: ask.secret_key,
            })
            .await?;
        made(&key)
    };
    deed.perform(admin, work).await
}

pub(super) async fn rotate(
    State(admin): Shared,
    ConnectInfo(operator): ConnectInfo<Operator>,
    Ask(ask): Ask<KeyRotation>,
) -> Result<Json<KeyView>, Refusal> {
    let deed = Deed::new(operator, "key.rotate")
        .on("secret_id", &ask.secret_id)
        .on("grace_secs", &ask.grace_secs);
    let core = admin.core.clone();
    let work = async move {
        let grace = Duration::from_secs(ask.grace_secs);
        made(&core.key_rotate(&ask.secret_id, grace).await?)
    };
    deed.perform(admin, work).await
}

pub(super) async fn change(
    State(admin): Shared,
    ConnectInfo(operator): ConnectInfo<Operator>,
    Ask(ask): Ask<KeyChange>,
) -> Result<Json<KeyDetail>, Refusal> {
    let action = match (ask.enabled, ask.read_only) {
        (Some(true), None) => "key.enable",
        (Some(false), None) => "key.disable",
        (None, Some(_)) => "key.set-access",
        (None, None) | (Some(_), Some(_)) => {
            return Err(Refusal::bad("give one of enabled and read_only"));
        }
    };
    let deed = Deed::new(operator, action)
        .on("secret_id", &ask.secret_id)
        .on_any("read_only", ask.read_only);
    let core = admin.core.clone();
    let work = async move {
        let key = match (ask.enabled, ask.read_only) {
            (Some(enabled), _) => {
                let status = match enabled {
                    true => KeyStatus::Enabled,
                    false => KeyStatus::Disabled,
                };
                core.key_set_status(&ask.secret_id, status).await?
            }
            (None, read_only) => {
                let access = access(read_only.unwrap_or_default());
                core.key_set_access(&ask.secret_id, access).await?
            }
        };
        Ok((view(&key, core.clock().now()), Made::default()))
    };
    deed.perform(admin, work).await
}

pub(super) async fn remove(
    State(admin): Shared,
    ConnectInfo(operator): ConnectInfo<Operator>,
    Ask(ask): Ask<KeyName>,
) -> Result<Json<Value>, Refusal> {
    let deed = Deed::new(operator, "key.delete").on("secret_id", &ask.secret_id);
    let core = admin.core.clone();
    let work = async move {
        core.key_delete(&ask.secret_id).await?;
        Ok((json!({}), Made::default()))
    };
    deed.perform(admin, work).await
}

pub(super) async fn list(
    State(admin): Shared,
    Filter(filter): Filter<OwnerFilter>,
) -> Json<Vec<KeyDetail>> {
    let now = admin.core.clock().now();
    let catalog = admin.core.catalog();
    Json(views(&catalog, filter.uin.map(Uin), now))
}

/// The keys of one account or all, by account, then in order of creation.
pub(super) fn views(catalog: &Catalog, owner: Option<Uin>, now: UnixMillis) -> Vec<KeyDetail> {
    let mut keys: Vec<&AccessKey> = catalog
        .keys()
        .filter(|key| owner.is_none_or(|owner| key.owner == owner))
        .collect();
    keys.sort_unstable_by_key(|key| (key.owner, key.created_at, &key.secret_id));
    keys.into_iter().map(|key| view(key, now)).collect()
}

fn view(key: &AccessKey, now: UnixMillis) -> KeyDetail {
    let status = match key.status {
        KeyStatus::Disabled => "disabled",
        KeyStatus::Enabled if key.is_usable(now) => "enabled",
        KeyStatus::Enabled => "ended",
    };
    KeyDetail {
        secret_id: key.secret_id.clone(),
        uin: key.owner.0,
        sub_account: match key.principal {
            Principal::Account => None,
            Principal::SubAccount(uin) => Some(uin.0),
        },
        read_only: key.access == Access::ReadOnly,
        status: status.to_owned(),
        ends_at: key.ends_at.map(time_of),
        created_at: time_of(key.created_at),
    }
}

fn access(read_only: bool) -> Access {
    match read_only {
        true => Access::ReadOnly,
        false => Access::Full,
    }
}

fn made(key: &CreatedKey) -> Result<(KeyView, Made), Refusal> {
    let secret_key = String::from_utf8(key.secret_key.expose().to_vec());
    let view = KeyView {
        secret_id: key.secret_id.clone(),
        secret_key: secret_key.map_err(|_| Refusal::internal("the new key is not text"))?,
    };
    Ok((view, Made::id(&key.secret_id)))
}
