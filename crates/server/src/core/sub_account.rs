//! Sub-accounts and their policies, as the operator makes them.

use model::{Policy, Principal, SubAccount, Uin};
use store::record::Key;

use super::Core;
use super::account::{check_free, check_name, check_uin, draw_uin};
use crate::error::{OperatorError, UseCaseError};

/// The keys that go with a sub-account in one transaction; the bound of a transaction is 128 writes.
const KEYS_DELETED_AT_ONCE: usize = 100;

/// Parameters of a new sub-account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubAccountCreate {
    /// The account that it acts for.
    pub owner: Uin,
    /// Its number, 1 to 12 digits; drawn when absent.
    pub uin: Option<Uin>,
    /// A name for the operator.
    pub name: String,
    /// What it may do.
    pub policy: Policy,
}

impl Core {
    /// Makes a sub-account.
    ///
    /// # Errors
    /// [`OperatorError::AccountNotFound`], [`OperatorError::AccountExists`],
    /// [`OperatorError::SubAccountExists`] and [`OperatorError::Invalid`].
    pub async fn sub_account_create(
        &self,
        ask: SubAccountCreate,
    ) -> Result<SubAccount, UseCaseError> {
        check_name(&ask.name)?;
        check_uin(ask.uin)?;
        self.decide(|draft| {
            if draft.catalog().account(ask.owner).is_none() {
                return Err(UseCaseError::from(OperatorError::AccountNotFound(
                    ask.owner,
                )));
            }
            let uin = ask.uin.unwrap_or_else(draw_uin);
            check_free(draft, uin)?;
            let sub_account = SubAccount {
                uin,
                owner: ask.owner,
                name: ask.name.clone(),
                policy: ask.policy.clone(),
                created_at: self.now(),
            };
            draft.put(sub_account.clone());
            Ok(sub_account)
        })
        .await
    }

    /// Replaces the policy of a sub-account, from its next request on.
    ///
    /// # Errors
    /// [`OperatorError::SubAccountNotFound`].
    pub async fn policy_set(&self, uin: Uin, policy: Policy) -> Result<SubAccount, UseCaseError> {
        self.decide(|draft| {
            let sub_account = draft.catalog().sub_account(uin);
            let sub_account = sub_account.ok_or(OperatorError::SubAccountNotFound(uin))?;
            let sub_account = SubAccount {
                policy: policy.clone(),
                ..sub_account.clone()
            };
            draft.put(sub_account.clone());
            Ok::<_, UseCaseError>(sub_account)
        })
        .await
    }

    /// Deletes a sub-account with its keys. What it made belongs to its owner and stays.
    ///
    /// # Errors
    /// [`OperatorError::SubAccountNotFound`] and [`OperatorError::TooManyKeys`].
    pub async fn sub_account_delete(&self, uin: Uin) -> Result<SubAccount, UseCaseError> {
        self.decide(|draft| {
            let catalog = draft.catalog();
            let sub_account = catalog.sub_account(uin);
            let sub_account = sub_account.ok_or(OperatorError::SubAccountNotFound(uin))?;
            let principal = Principal::SubAccount(uin);
            let keys: Vec<&str> = catalog
                .keys()
                .filter(|key| key.principal == principal)
                .map(|key| key.secret_id.as_str())
                .collect();
            if keys.len() > KEYS_DELETED_AT_ONCE {
                let limit = KEYS_DELETED_AT_ONCE;
                return Err(UseCaseError::from(OperatorError::TooManyKeys {
                    uin,
                    limit,
                }));
            }
            for secret_id in keys {
                draft.delete(&Key::AccessKey(secret_id.to_owned()));
            }
            draft.delete(&Key::SubAccount(uin));
            Ok(sub_account.clone())
        })
        .await
    }
}
