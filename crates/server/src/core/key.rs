//! Access keys: made, listed, disabled, rotated and deleted by the operator. A change counts for the
//! next request, because requests look keys up in the catalog.

use std::time::Duration;

use model::{Access, AccessKey, KeyStatus, Principal, SealedSecret, Uin};
use store::record::Key;
use zeroize::Zeroizing;

use super::Core;
use super::account::invalid;
use super::commit::Draft;
use crate::error::{OperatorError, UseCaseError};
use crate::sealing::{SealError, Secret};

/// The longest secret id and secret key.
const LONGEST_KEY: usize = 128;

/// The longest time that a replaced key goes on being used.
pub const LONGEST_GRACE: Duration = Duration::from_secs(30 * 24 * 3600);

/// Parameters of a new access key.
pub struct KeyCreate {
    /// The account that its requests act for.
    pub owner: Uin,
    /// Who signs with it.
    pub principal: Principal,
    /// What it may be used for.
    pub access: Access,
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

impl KeyCreate {
    /// A key of the account itself, for everything, with drawn halves.
    pub fn of_account(owner: Uin) -> KeyCreate {
        KeyCreate {
            owner,
            principal: Principal::Account,
            access: Access::Full,
            secret_id: None,
            secret_key: None,
        }
    }
}

impl Core {
    /// Makes an access key for an account.
    ///
    /// # Errors
    /// [`OperatorError::AccountNotFound`], [`OperatorError::SubAccountNotFound`],
    /// [`OperatorError::KeyExists`], [`OperatorError::Invalid`] and [`OperatorError::Sealing`].
    pub async fn key_create(&self, ask: KeyCreate) -> Result<CreatedKey, UseCaseError> {
        let halves = self.halves(ask.secret_id, ask.secret_key)?;
        self.decide(|draft| {
            self.put_key(
                draft,
                AccessKey {
                    secret_id: halves.secret_id.clone(),
                    owner: ask.owner,
                    principal: ask.principal,
                    access: ask.access,
                    sealed_secret: halves.sealed_secret.clone(),
                    status: KeyStatus::Enabled,
                    ends_at: None,
                    created_at: self.now(),
                },
            )
        })
        .await?;
        Ok(halves.created())
    }

    /// Makes a new key for whoever has an old one, with the same rights. The old one is refused
    /// after `grace`; at once when that is zero. A key that ends sooner already still does.
    ///
    /// # Errors
    /// [`OperatorError::KeyNotFound`], [`OperatorError::KeyUnusable`] when the old key is not in use
    /// any more, [`OperatorError::Invalid`] and [`OperatorError::Sealing`].
    pub async fn key_rotate(
        &self,
        secret_id: &str,
        grace: Duration,
    ) -> Result<CreatedKey, UseCaseError> {
        if grace > LONGEST_GRACE {
            let reason = format!("it is more than {} s", LONGEST_GRACE.as_secs());
            return Err(invalid("grace", &reason).into());
        }
        let halves = self.halves(None, None)?;
        self.decide(|draft| {
            let old = found(draft, secret_id)?;
            let now = self.now();
            if !old.is_usable(now) {
                return Err(UseCaseError::from(OperatorError::KeyUnusable(
                    secret_id.to_owned(),
                )));
            }
            let replaced = if grace.is_zero() {
                AccessKey {
                    status: KeyStatus::Disabled,
                    ..old.clone()
                }
            } else {
                let end = now.after(grace);
                AccessKey {
                    ends_at: Some(old.ends_at.map_or(end, |sooner| sooner.min(end))),
                    ..old.clone()
                }
            };
            let new = AccessKey {
                secret_id: halves.secret_id.clone(),
                sealed_secret: halves.sealed_secret.clone(),
                ends_at: None,
                created_at: now,
                ..old.clone()
            };
            draft.put(replaced);
            self.put_key(draft, new)
        })
        .await?;
        Ok(halves.created())
    }

    /// Refuses a key from the next request on, or lets it sign again. A key that is enabled has no
    /// end any more.
    ///
    /// # Errors
    /// [`OperatorError::KeyNotFound`].
    pub async fn key_set_status(
        &self,
        secret_id: &str,
        status: KeyStatus,
    ) -> Result<AccessKey, UseCaseError> {
        self.change_key(secret_id, |key| {
            key.status = status;
            if status == KeyStatus::Enabled {
                key.ends_at = None;
            }
        })
        .await
    }

    /// Changes what a key may be used for, from the next request on.
    ///
    /// # Errors
    /// [`OperatorError::KeyNotFound`].
    pub async fn key_set_access(
        &self,
        secret_id: &str,
        access: Access,
    ) -> Result<AccessKey, UseCaseError> {
        self.change_key(secret_id, |key| key.access = access).await
    }

    /// Deletes a key.
    ///
    /// # Errors
    /// [`OperatorError::KeyNotFound`].
    pub async fn key_delete(&self, secret_id: &str) -> Result<AccessKey, UseCaseError> {
        self.decide(|draft| {
            let key = found(draft, secret_id)?.clone();
            draft.delete(&Key::AccessKey(key.secret_id.clone()));
            Ok::<_, UseCaseError>(key)
        })
        .await
    }

    async fn change_key(
        &self,
        secret_id: &str,
        change: impl Fn(&mut AccessKey) + Send + Sync,
    ) -> Result<AccessKey, UseCaseError> {
        self.decide(|draft| {
            let mut key = found(draft, secret_id)?.clone();
            change(&mut key);
            draft.put(key.clone());
            Ok::<_, UseCaseError>(key)
        })
        .await
    }

    fn put_key(&self, draft: &mut Draft<'_>, key: AccessKey) -> Result<(), UseCaseError> {
        let catalog = draft.catalog();
        if catalog.account(key.owner).is_none() {
            return Err(OperatorError::AccountNotFound(key.owner).into());
        }
        if let Principal::SubAccount(uin) = key.principal {
            let sub_account = catalog.sub_account(uin);
            let sub_account = sub_account
                .filter(|sub_account| sub_account.owner == key.owner)
                .ok_or(OperatorError::SubAccountNotFound(uin))?;
            // Written, so that its deletion and a new key of it cannot both commit.
            draft.put(sub_account.clone());
        }
        if catalog.key(&key.secret_id).is_some() {
            return Err(OperatorError::KeyExists(key.secret_id).into());
        }
        draft.put(key);
        Ok(())
    }

    fn halves(
        &self,
        secret_id: Option<String>,
        secret_key: Option<String>,
    ) -> Result<Halves, UseCaseError> {
        let secret_id = match secret_id {
            None => format!("AKID{}", *random_text(32)?),
            Some(text) => {
                check_text("secret id", &text)?;
                if text.contains('/') {
                    return Err(invalid("secret id", "it contains a slash").into());
                }
                text
            }
        };
        let secret_key = match secret_key.map(Zeroizing::new) {
            None => random_text(32)?,
            Some(text) => {
                check_text("secret key", &text)?;
                text
            }
        };
        Ok(Halves {
            sealed_secret: self.master_key.seal(secret_key.as_bytes(), &secret_id)?,
            secret_id,
            secret_key,
        })
    }
}

/// A key that is not made yet.
struct Halves {
    secret_id: String,
    secret_key: Zeroizing<String>,
    sealed_secret: SealedSecret,
}

impl Halves {
    fn created(self) -> CreatedKey {
        CreatedKey {
            secret_id: self.secret_id,
            secret_key: Secret::from(self.secret_key.as_bytes().to_vec()),
        }
    }
}

fn found<'a>(draft: &Draft<'a>, secret_id: &str) -> Result<&'a AccessKey, OperatorError> {
    let key = draft.catalog().key(secret_id);
    key.ok_or_else(|| OperatorError::KeyNotFound(secret_id.to_owned()))
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
