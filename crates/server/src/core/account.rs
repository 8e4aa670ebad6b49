//! Accounts and their quotas, as the operator makes them.

use model::{Account, AppId, Quotas, Uin};
use store::record::Key;

use super::Core;
use super::commit::Draft;
use crate::error::{OperatorError, UseCaseError};

/// The largest account number: 12 digits.
pub(super) const LARGEST_UIN: u64 = 999_999_999_999;

/// The longest name of an account or sub-account, in characters.
const LONGEST_NAME: usize = 128;

/// Parameters of a new account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountCreate {
    /// Its number, 1 to 12 digits; drawn when absent.
    pub uin: Option<Uin>,
    /// Its application number; drawn when absent.
    pub app_id: Option<AppId>,
    /// A name for the operator.
    pub name: String,
}

impl Core {
    /// Makes an account.
    ///
    /// # Errors
    /// [`OperatorError::AccountExists`], [`OperatorError::SubAccountExists`],
    /// [`OperatorError::AppIdTaken`] and [`OperatorError::Invalid`].
    pub async fn account_create(&self, ask: AccountCreate) -> Result<Account, UseCaseError> {
        check_name(&ask.name)?;
        check_uin(ask.uin)?;
        if ask.app_id == Some(AppId(0)) {
            return Err(invalid("app id", "0 is no application number").into());
        }
        self.decide(|draft| {
            let catalog = draft.catalog();
            let uin = ask.uin.unwrap_or_else(draw_uin);
            check_free(draft, uin)?;
            let app_id = ask
                .app_id
                .unwrap_or_else(|| AppId(rand::random_range(1_250_000_000..=1_399_999_999)));
            if let Some(other) = catalog.accounts().find(|other| other.app_id == app_id) {
                let owner = other.uin;
                return Err(OperatorError::AppIdTaken { app_id, owner }.into());
            }
            let account = Account {
                uin,
                app_id,
                name: ask.name.clone(),
                quotas: Quotas::default(),
                created_at: self.now(),
            };
            draft.put(account.clone());
            Ok(account)
        })
        .await
    }

    /// Changes the quotas of an account. What the account has beyond a smaller quota stays.
    ///
    /// # Errors
    /// [`OperatorError::AccountNotFound`].
    pub async fn quotas_set(
        &self,
        uin: Uin,
        change: impl Fn(&mut Quotas) + Send + Sync,
    ) -> Result<Account, UseCaseError> {
        self.decide(|draft| {
            let account = draft.catalog().account(uin);
            let account = account.ok_or(OperatorError::AccountNotFound(uin))?;
            let mut account = account.clone();
            change(&mut account.quotas);
            draft.put(account.clone());
            Ok(account)
        })
        .await
    }
}

pub(super) fn check_name(name: &str) -> Result<(), OperatorError> {
    if name.is_empty() || name.chars().count() > LONGEST_NAME {
        return Err(invalid("name", "it has not 1 to 128 characters"));
    }
    if name.chars().any(char::is_control) {
        return Err(invalid("name", "it has control characters"));
    }
    Ok(())
}

pub(super) fn check_uin(uin: Option<Uin>) -> Result<(), OperatorError> {
    match uin {
        Some(uin) if !(1..=LARGEST_UIN).contains(&uin.0) => {
            Err(invalid("uin", "an account number has 1 to 12 digits"))
        }
        Some(_) | None => Ok(()),
    }
}

pub(super) fn draw_uin() -> Uin {
    Uin(rand::random_range(100_000_000_000..=LARGEST_UIN))
}

/// Checks that a number is neither an account's nor a sub-account's, and stays so.
pub(super) fn check_free(draft: &mut Draft<'_>, uin: Uin) -> Result<(), OperatorError> {
    draft.read(&Key::Account(uin));
    draft.read(&Key::SubAccount(uin));
    let catalog = draft.catalog();
    if catalog.account(uin).is_some() {
        return Err(OperatorError::AccountExists(uin));
    }
    match catalog.sub_account(uin) {
        Some(_) => Err(OperatorError::SubAccountExists(uin)),
        None => Ok(()),
    }
}

pub(super) fn invalid(field: &'static str, reason: &str) -> OperatorError {
    OperatorError::Invalid {
        field,
        reason: reason.to_owned(),
    }
}
