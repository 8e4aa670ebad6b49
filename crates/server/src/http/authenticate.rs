//! Who calls: the key that signed, its account, whether the request is of this time, and how often the
//! account may call.

use api::tencent::{ApiError, Common, SignatureError, SignedRequest, verify};
use model::{AccessKey, Principal, World};

use super::PublicApi;
use crate::catalog::Catalog;
use crate::core::Caller;
use crate::rate::Rate;
use crate::sealing::Secret;

impl PublicApi {
    /// Who calls: the owner of the key that signed, inside the clock window.
    pub(super) fn authenticate(
        &self,
        common: &Common,
        signed: &SignedRequest<'_>,
    ) -> Result<Caller, ApiError> {
        if signed.parameters.get("Signature").is_none_or(str::is_empty) {
            return Err(ApiError::Signature(SignatureError::Missing));
        }
        let (caller, secret) = self.owner_of(&common.secret_id)?;
        verify(signed, secret.expose())?;
        self.check_clock(common.timestamp)?;
        // Keys here are long-term ones, which no token goes with.
        if common.token.is_some() {
            return Err(ApiError::Token);
        }
        Ok(caller)
    }

    /// The owner of a key that may be used, and its secret half.
    pub(super) fn owner_of(&self, secret_id: &str) -> Result<(Caller, Secret), KeyError> {
        let catalog = self.core.catalog();
        let key = catalog
            .key(secret_id)
            .filter(|key| key.is_usable(self.core.clock().now()))
            .filter(|key| catalog.account(key.owner).is_some())
            .filter(|key| has_principal(&catalog, key))
            .ok_or(KeyError::Unknown)?;
        let secret = self.core.secret_key(key).map_err(|error| {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                secret_id = key.secret_id,
                "a secret key cannot be opened"
            );
            KeyError::Sealed
        })?;
        Ok((Caller::from(key), secret))
    }

    /// Checks that the caller's account may make one more call of an action.
    pub(super) fn check_rate(&self, caller: &Caller, action: &'static str) -> Result<(), ApiError> {
        self.take_call(caller, action)
            .map_err(ApiError::TooManyRequests)
    }

    /// Takes one call of an action from what the caller's account may make; if there is none left, the
    /// limit in words.
    pub(super) fn take_call(&self, caller: &Caller, action: &'static str) -> Result<(), String> {
        let catalog = self.core.catalog();
        let own = catalog.quotas_of(caller.account).requests_per_second;
        let rate = own.map_or(self.options.rate_limit, Rate);
        let now = self.core.clock().now();
        if self.buckets.take(caller.account, action, rate, now) {
            return Ok(());
        }
        let limit = rate.0;
        Err(format!(
            "an account may make {limit} calls of {action} in a second"
        ))
    }

    fn check_clock(&self, timestamp: u64) -> Result<(), ApiError> {
        let now = u64::try_from(self.core.clock().now().secs()).unwrap_or_default();
        let window_secs = self.options.clock_window.as_secs();
        if now.abs_diff(timestamp) > window_secs {
            return Err(ApiError::Expired {
                timestamp,
                now,
                window_secs,
            });
        }
        Ok(())
    }
}

/// Why a key does not sign.
pub(super) enum KeyError {
    /// There is none of that name that may be used.
    Unknown,
    /// Its secret half cannot be opened; the log tells why.
    Sealed,
}

impl From<KeyError> for ApiError {
    fn from(error: KeyError) -> ApiError {
        match error {
            KeyError::Unknown => ApiError::SecretId,
            KeyError::Sealed => ApiError::Internal,
        }
    }
}

/// Whether whoever signs with a key is still there.
fn has_principal(catalog: &Catalog, key: &AccessKey) -> bool {
    match key.principal {
        Principal::Account => true,
        Principal::SubAccount(uin) => catalog
            .sub_account(uin)
            .is_some_and(|sub_account| sub_account.owner == key.owner),
    }
}
