//! Who calls: the key that signed, its account, and whether the request is of this time.

use api::tencent::{ApiError, Common, SignatureError, SignedRequest, verify};
use model::{AccessKey, Principal};

use super::PublicApi;
use crate::catalog::Catalog;
use crate::core::Caller;

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

    fn check_clock(&self, timestamp: u64) -> Result<(), ApiError> {
        let now = u64::try_from(self.core.clock().now().secs()).unwrap_or_default();
        let window_secs = self.clock_window.as_secs();
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
