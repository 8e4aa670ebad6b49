//! Gateways: how they join, change and leave.
//!
//! A region has one gateway. Joining and leaving write the deployment's tally of the region, so that
//! two gateways cannot both join, and nobody decides on a gateway that leaves meanwhile. The id of a
//! gateway follows from its identity and its overlay address from its region, so that their own keys
//! and that tally guard their uniqueness.

use std::net::Ipv4Addr;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use model::{Gateway, GatewayId, JoinToken, PublicKey, Region, Tombstone, Uin, UnixMillis, World};
use store::record::{Key, Tally};

use super::Core;
use super::commit::Draft;
use super::task::is_void;
use crate::catalog::Catalog;
use crate::error::{JoinError, OperatorError, UseCaseError};
use crate::sealing::SealError;

/// Tombstones confirmed in one transaction; each takes up to five writes.
const CONFIRMED_AT_ONCE: usize = 20;

/// The account that stands for the deployment itself. Its tally of a region is written whenever a
/// gateway joins or leaves, read by whoever relies on which gateway the region has, and never
/// removed.
pub(super) const DEPLOYMENT: Uin = Uin(0);

/// The record that changes with the gateways of a region.
fn gateways_of(region: Region) -> Tally {
    Tally {
        owner: DEPLOYMENT,
        region,
        vpcs: 0,
    }
}

/// The key of [`gateways_of`].
pub(super) fn gateways_key(region: Region) -> Key {
    Key::Tally {
        owner: DEPLOYMENT,
        region,
    }
}

/// Whether a gateway has ever joined for a region, even if it has left.
pub(crate) fn has_had_gateway(catalog: &Catalog, region: Region) -> bool {
    catalog.revision_of(&gateways_key(region)).is_some()
}

/// A gateway that wants to join.
#[derive(Clone)]
pub struct GatewayJoin {
    /// The secret of the join string.
    pub secret: Vec<u8>,
    /// SHA-256 of its TLS certificate's public key, proven by the connection.
    pub identity: [u8; 32],
    /// Its tunnel key.
    pub tunnel_public_key: PublicKey,
    /// Where other gateways reach it, `host:port`; `None` behind a NAT.
    pub endpoint: Option<String>,
}

impl Core {
    /// Makes a single-use permission to join as the gateway of a region, and tells its secret and
    /// when it is void.
    ///
    /// # Errors
    /// [`UseCaseError`].
    pub async fn token_create(
        &self,
        region: Region,
        lifetime: Duration,
    ) -> Result<([u8; 16], UnixMillis), UseCaseError> {
        let mut secret = [0; 16];
        aws_lc_rs::rand::fill(&mut secret).map_err(|_| SealError::Seal)?;
        let expires_at = self.now().after(lifetime);
        self.decide(|draft| {
            draft.put(JoinToken {
                secret_hash: sha256(&secret),
                region,
                expires_at,
            });
            Ok::<_, UseCaseError>(())
        })
        .await?;
        Ok((secret, expires_at))
    }

    /// Lets a gateway join and consumes its token. An identity that has joined before gets its own
    /// record again, with the tunnel key and the endpoint that it gives now, whether or not its
    /// token still stands.
    ///
    /// # Errors
    /// [`JoinError`].
    pub async fn gateway_join(&self, ask: GatewayJoin) -> Result<Gateway, JoinError> {
        check_endpoint(ask.endpoint.as_deref())?;
        let hash = sha256(&ask.secret);
        self.decide(|draft| self.join(draft, &ask, hash)).await
    }

    fn join(
        &self,
        draft: &mut Draft<'_>,
        ask: &GatewayJoin,
        hash: [u8; 32],
    ) -> Result<Gateway, JoinError> {
        let catalog = draft.catalog();
        let now = self.now();
        let token = catalog
            .join_token(&hash)
            .filter(|token| !is_void(token.expires_at, now));
        if let Some(known) = catalog.gateway_by_identity(&ask.identity) {
            if let Some(token) = token {
                if token.region != known.region {
                    return Err(JoinError::IdentityTaken {
                        gateway: known.id,
                        region: known.region,
                    });
                }
                draft.delete(&Key::Join(hash));
            }
            return Ok(update(draft, known, ask.tunnel_public_key, &ask.endpoint));
        }
        let token = token.ok_or(JoinError::Token)?;
        if let Some(other) = catalog.gateway_of(token.region) {
            return Err(JoinError::RegionTaken {
                region: token.region,
                gateway: other.id,
            });
        }
        let gateway = Gateway {
            id: gateway_id(catalog, &ask.identity)?,
            region: token.region,
            identity: ask.identity,
            tunnel_public_key: ask.tunnel_public_key,
            endpoint: ask.endpoint.clone(),
            overlay_address: overlay_address(catalog, token.region)?,
            joined_at: now,
        };
        draft.delete(&Key::Join(hash));
        draft.put(gateways_of(token.region));
        draft.put(gateway.clone());
        Ok(gateway)
    }

    /// Notes a gateway's new tunnel key and endpoint. Writes nothing when both are known.
    ///
    /// # Errors
    /// [`OperatorError::GatewayNotFound`] and [`OperatorError::Invalid`].
    pub async fn gateway_update(
        &self,
        id: GatewayId,
        tunnel_public_key: PublicKey,
        endpoint: Option<String>,
    ) -> Result<Gateway, UseCaseError> {
        check_endpoint(endpoint.as_deref()).map_err(|error| OperatorError::Invalid {
            field: "endpoint",
            reason: error.to_string(),
        })?;
        self.decide(|draft| {
            let known = draft
                .catalog()
                .gateway(id)
                .ok_or(OperatorError::GatewayNotFound(id))?;
            Ok(update(draft, known, tunnel_public_key, &endpoint))
        })
        .await
    }

    /// The gateway with an identity.
    pub fn gateway_by_identity(&self, identity: &[u8; 32]) -> Option<Gateway> {
        self.catalog().gateway_by_identity(identity).cloned()
    }

    /// Removes a gateway that will not come back. Nothing is awaited from it any more.
    ///
    /// # Errors
    /// [`OperatorError::GatewayNotFound`].
    pub async fn gateway_remove(&self, id: GatewayId) -> Result<(), UseCaseError> {
        loop {
            let is_removed = self
                .decide(|draft| {
                    let catalog = draft.catalog();
                    let gateway = catalog
                        .gateway(id)
                        .ok_or(OperatorError::GatewayNotFound(id))?;
                    let mut awaited: Vec<&Tombstone> = catalog
                        .tombstones()
                        .filter(|tombstone| tombstone.awaiting.contains(&id))
                        .take(CONFIRMED_AT_ONCE + 1)
                        .collect();
                    let is_last = awaited.len() <= CONFIRMED_AT_ONCE;
                    awaited.truncate(CONFIRMED_AT_ONCE);
                    for tombstone in awaited {
                        self.confirm(draft, tombstone, id);
                    }
                    if is_last {
                        draft.put(gateways_of(gateway.region));
                        draft.delete(&Key::Gateway(id));
                    }
                    Ok::<_, UseCaseError>(is_last)
                })
                .await?;
            if is_removed {
                return Ok(());
            }
        }
    }
}

fn update(
    draft: &mut Draft<'_>,
    known: &Gateway,
    tunnel_public_key: PublicKey,
    endpoint: &Option<String>,
) -> Gateway {
    let gateway = Gateway {
        tunnel_public_key,
        endpoint: endpoint.clone(),
        ..known.clone()
    };
    if gateway != *known {
        draft.put(gateway.clone());
    }
    gateway
}

/// An id made of a part of the identity, so that two joins of one identity meet in one key.
fn gateway_id(catalog: &Catalog, identity: &[u8; 32]) -> Result<GatewayId, UseCaseError> {
    let (parts, _) = identity.as_chunks::<8>();
    parts
        .iter()
        .map(|part| GatewayId::from_entropy(u64::from_be_bytes(*part)))
        .find(|id| catalog.gateway(*id).is_none())
        .ok_or_else(|| UseCaseError::Internal("the ids of this identity are taken".to_owned()))
}

/// The first free address of the region's block: 100.64.<zone prefix>.1 to .254.
fn overlay_address(catalog: &Catalog, region: Region) -> Result<Ipv4Addr, UseCaseError> {
    let block = u8::try_from(region.zone_prefix())
        .map_err(|_| UseCaseError::Internal(format!("region {region} has no overlay addresses")))?;
    (1..=254)
        .map(|host| Ipv4Addr::new(100, 64, block, host))
        .find(|address| {
            catalog
                .gateways()
                .all(|gateway| gateway.overlay_address != *address)
        })
        .ok_or_else(|| UseCaseError::Internal(format!("region {region} has too many gateways")))
}

fn check_endpoint(endpoint: Option<&str>) -> Result<(), JoinError> {
    let Some(text) = endpoint else {
        return Ok(());
    };
    let is_valid = text.len() <= 300
        && text.bytes().all(|byte| byte.is_ascii_graphic())
        && text.rsplit_once(':').is_some_and(|(host, port)| {
            let is_bracketed = host.starts_with('[') && host.ends_with(']');
            !host.is_empty()
                && (is_bracketed || !host.contains(':'))
                && port.parse::<u16>().is_ok_and(|port| port != 0)
        });
    if is_valid {
        Ok(())
    } else {
        Err(JoinError::Endpoint(text.to_owned()))
    }
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    digest(&SHA256, bytes)
        .as_ref()
        .try_into()
        .expect("SHA-256 gives 32 bytes")
}
