//! Gateways and permissions to join.

use std::net::Ipv4Addr;

use model::{CidrBlock, Gateway, GatewayId, JoinToken, PublicKey, Region, UnixMillis};
use serde::{Deserialize, Serialize};

use super::{Stored, text};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GatewayRecord {
    v: u32,
    #[serde(with = "text")]
    id: GatewayId,
    #[serde(with = "text")]
    region: Region,
    #[serde(with = "text::hex")]
    identity: [u8; 32],
    #[serde(with = "text")]
    tunnel_public_key: PublicKey,
    endpoint: Option<String>,
    #[serde(with = "text")]
    overlay_address: Ipv4Addr,
    #[serde(with = "text::millis")]
    joined_at: UnixMillis,
}

impl Stored for GatewayRecord {
    type Domain = Gateway;
    const VERSION: u32 = 1;

    fn from_domain(gateway: &Gateway) -> Self {
        GatewayRecord {
            v: Self::VERSION,
            id: gateway.id,
            region: gateway.region,
            identity: gateway.identity,
            tunnel_public_key: gateway.tunnel_public_key,
            endpoint: gateway.endpoint.clone(),
            overlay_address: gateway.overlay_address,
            joined_at: gateway.joined_at,
        }
    }

    fn into_domain(self) -> Result<Gateway, &'static str> {
        let shared = CidrBlock::new(Ipv4Addr::new(100, 64, 0, 0), 10);
        if !shared.is_some_and(|block| block.contains_address(self.overlay_address)) {
            return Err("the overlay address is outside 100.64.0.0/10");
        }
        Ok(Gateway {
            id: self.id,
            region: self.region,
            identity: self.identity,
            tunnel_public_key: self.tunnel_public_key,
            endpoint: self.endpoint,
            overlay_address: self.overlay_address,
            joined_at: self.joined_at,
        })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct JoinTokenRecord {
    v: u32,
    #[serde(with = "text::hex")]
    secret_hash: [u8; 32],
    #[serde(with = "text")]
    region: Region,
    #[serde(with = "text::millis")]
    expires_at: UnixMillis,
}

impl Stored for JoinTokenRecord {
    type Domain = JoinToken;
    const VERSION: u32 = 1;

    fn from_domain(token: &JoinToken) -> Self {
        JoinTokenRecord {
            v: Self::VERSION,
            secret_hash: token.secret_hash,
            region: token.region,
            expires_at: token.expires_at,
        }
    }

    fn into_domain(self) -> Result<JoinToken, &'static str> {
        Ok(JoinToken {
            secret_hash: self.secret_hash,
            region: self.region,
            expires_at: self.expires_at,
        })
    }
}
