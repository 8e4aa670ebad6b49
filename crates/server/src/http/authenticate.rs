//! Who calls: the key that signed, its account, whether the request is of this time, and how often the
//! account may call.

use api::tencent::{ApiError, Common, SignatureError, SignedRequest, verify};
use model::{AccessKey, Principal, World};

use super::PublicApi;
use crate::catalog::Catalog;
use crate::core::Caller;
use crate::rate::Rate;

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
        let catalog = self.core.catalog();
        let key = catalog
            .key(&common.secret_id)
            .filter(|key| key.is_usable(self.core.clock().now()))
            .filter(|key| catalog.account(key.owner).is_some())
            .filter(|key| has_principal(&catalog, key))
            .ok_or(ApiError::SecretId)?;
        let secret = self.core.secret_key(key).map_err(|error| {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                secret_id = key.secret_id,
                "a secret key cannot be opened"
            );
            ApiError::Internal
        })?;
        verify(signed, secret.expose())?;
        self.check_clock(common.timestamp)?;
        // Keys here are long-term ones, which no token goes with.
        if common.token.is_some() {
            return Err(ApiError::Token);
        }
        Ok(Caller::from(key))
    }

    /// Checks that the caller's account may make one more call of an action.
    pub(super) fn check_rate(&self, caller: &Caller, action: &'static str) -> Result<(), ApiError> {
        let catalog = self.core.catalog();
        let own = catalog.quotas_of(caller.account).requests_per_second;
        let rate = own.map_or(self.options.rate_limit, Rate);
        let now = self.core.clock().now();
        if self.buckets.take(caller.account, action, rate, now) {
            return Ok(());
        }
        Err(ApiError::TooManyRequests(format!(
            "an account may make {} calls of {action} in a second",
            rate.0
        )))
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

/// Whether whoever signs with a key is still there.
fn has_principal(catalog: &Catalog, key: &AccessKey) -> bool {
    match key.principal {
        Principal::Account => true,
        Principal::SubAccount(uin) => catalog
            .sub_account(uin)
            .is_some_and(|sub_account| sub_account.owner == key.owner),
    }
}
