//! Accounts and access keys, as the operator makes them.

use model::{AccessKey, Account, AppId, KeyStatus, Quotas, Uin};
use zeroize::Zeroizing;

use super::Core;
use crate::error::{OperatorError, UseCaseError};
use crate::sealing::{SealError, Secret};

/// The largest account number: 12 digits.
const LARGEST_UIN: u64 = 999_999_999_999;

/// The longest secret id and secret key.
const LONGEST_KEY: usize = 128;

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

/// Parameters of a new access key.
pub struct KeyCreate {
    /// Whose it is.
    pub owner: Uin,
    /// Its public half: 1 to 128 printable ASCII characters without slash; drawn when absent.
    pub secret_id: Option<String>,
    /// Its secret half: 1 to 128 printable ASCII characters; drawn when absent.
    pub secret_key: Option<String>,
}

/// A new access key.
#[derive(Debug)]
pub struct CreatedKey {
    /// The public half.
    pub secret_id: String,
    /// The secret half. It is shown once; afterwards only the server reads it.
    pub secret_key: Secret,
}

impl Core {
    /// Makes an account.
    ///
    /// # Errors
    /// [`OperatorError::AccountExists`], [`OperatorError::AppIdTaken`] and
    /// [`OperatorError::Invalid`].
    pub async fn account_create(&self, ask: AccountCreate) -> Result<Account, UseCaseError> {
        if ask.name.is_empty() || ask.name.chars().any(char::is_control) {
            return Err(invalid("name", "it is empty or has control characters").into());
        }
        if let Some(uin) = ask.uin
            && !(1..=LARGEST_UIN).contains(&uin.0)
        {
            return Err(invalid("uin", "an account number has 1 to 12 digits").into());
        }
        if ask.app_id == Some(AppId(0)) {
            return Err(invalid("app id", "0 is no application number").into());
        }
        self.decide(|draft| {
            let catalog = draft.catalog();
            let uin = ask
                .uin
                .unwrap_or_else(|| Uin(rand::random_range(100_000_000_000..=LARGEST_UIN)));
            if catalog.account(uin).is_some() {
                return Err(OperatorError::AccountExists(uin).into());
            }
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

    /// Makes an access key for an account.
    ///
    /// # Errors
    /// [`OperatorError::AccountNotFound`], [`OperatorError::KeyExists`],
    /// [`OperatorError::Invalid`] and [`OperatorError::Sealing`].
    pub async fn key_create(&self, ask: KeyCreate) -> Result<CreatedKey, UseCaseError> {
        let secret_id = match ask.secret_id {
            None => format!("AKID{}", *random_text(32)?),
            Some(text) => {
                check_text("secret id", &text)?;
                if text.contains('/') {
                    return Err(invalid("secret id", "it contains a slash").into());
                }
                text
            }
        };
        let secret_key = match ask.secret_key.map(Zeroizing::new) {
            None => random_text(32)?,
            Some(text) => {
                check_text("secret key", &text)?;
                text
            }
        };
        let sealed_secret = self.master_key.seal(secret_key.as_bytes(), &secret_id)?;
        self.decide(|draft| {
            if draft.catalog().account(ask.owner).is_none() {
                return Err(UseCaseError::from(OperatorError::AccountNotFound(
                    ask.owner,
                )));
            }
            if draft.catalog().key(&secret_id).is_some() {
                return Err(OperatorError::KeyExists(secret_id.clone()).into());
            }
            draft.put(AccessKey {
                secret_id: secret_id.clone(),
                owner: ask.owner,
                sealed_secret: sealed_secret.clone(),
                status: KeyStatus::Enabled,
                created_at: self.now(),
            });
            Ok(())
        })
        .await?;
        Ok(CreatedKey {
            secret_id,
            secret_key: Secret::from(secret_key.as_bytes().to_vec()),
        })
    }
}

fn check_text(field: &'static str, text: &str) -> Result<(), OperatorError> {
    if text.is_empty() || text.len() > LONGEST_KEY {
        return Err(invalid(field, "it has not 1 to 128 characters"));
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(invalid(
            field,
            "only printable ASCII characters are allowed",
        ));
    }
    Ok(())
}

fn invalid(field: &'static str, reason: &str) -> OperatorError {
    OperatorError::Invalid {
        field,
        reason: reason.to_owned(),
    }
}

/// Letters and digits from the system's source of randomness, each equally likely.
fn random_text(length: usize) -> Result<Zeroizing<String>, SealError> {
    const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let mut text = Zeroizing::new(String::with_capacity(length));
    let mut byte = Zeroizing::new([0]);
    while text.len() < length {
        aws_lc_rs::rand::fill(&mut *byte).map_err(|_| SealError::Seal)?;
        // 248 is the largest multiple of 62 in a byte; higher values would favour some letters.
        if byte[0] < 248 {
            text.push(char::from(ALPHABET[usize::from(byte[0] % 62)]));
        }
    }
    Ok(text)
}
