//! Gateways that join, change and leave.

use std::time::Duration;

use super::*;
use crate::error::{JoinError, OperatorError};

const LIFETIME: Duration = Duration::from_secs(600);

impl Bed {
    async fn token(&self, region: Region) -> Vec<u8> {
        let (secret, expires_at) = self.core.token_create(region, LIFETIME).await.unwrap();
        assert_eq!(
            expires_at,
            crate::clock::Clock::now(&*self.clock).after(LIFETIME)
        );
        secret.to_vec()
    }
}

#[tokio::test]
async fn a_token_lets_one_gateway_join_once() {
    let bed = Bed::new().await;
    let secret = bed.token(GZ).await;
    let gateway = bed
        .core
        .gateway_join(gateway_join(secret.clone(), 1))
        .await
        .unwrap();
    assert_eq!(gateway.region, GZ);
    assert_eq!(gateway.overlay_address.to_string(), "100.64.1.1");
    assert_eq!(bed.core.gateway_by_identity(&[1; 32]), Some(gateway));
    let again = bed.core.gateway_join(gateway_join(secret, 2)).await;
    assert!(matches!(again, Err(JoinError::Token)));
}

#[tokio::test]
async fn unknown_and_void_tokens_are_refused() {
    let bed = Bed::new().await;
    let unknown = bed.core.gateway_join(gateway_join(vec![0; 16], 1)).await;
    assert!(matches!(unknown, Err(JoinError::Token)));
    let secret = bed.token(GZ).await;
    bed.clock.advance(LIFETIME);
    let void = bed.core.gateway_join(gateway_join(secret, 1)).await;
    assert!(matches!(void, Err(JoinError::Token)));
    bed.core.expire_due().await.unwrap();
    assert_eq!(bed.core.catalog().join_tokens().count(), 0);
}

#[tokio::test]
async fn the_same_identity_gets_its_own_record_again() {
    let bed = Bed::new().await;
    let secret = bed.token(GZ).await;
    let first = bed
        .core
        .gateway_join(gateway_join(secret.clone(), 1))
        .await
        .unwrap();
    let revision = bed.core.catalog().revision();
    let again = bed
        .core
        .gateway_join(gateway_join(secret.clone(), 1))
        .await
        .unwrap();
    assert_eq!(
        (again, bed.core.catalog().revision()),
        (first.clone(), revision)
    );

    let mut moved = gateway_join(secret, 1);
    moved.endpoint = None;
    let moved = bed.core.gateway_join(moved).await.unwrap();
    assert_eq!(
        moved,
        Gateway {
            endpoint: None,
            ..first
        }
    );

    let elsewhere = gateway_join(bed.token(SH).await, 1);
    let refused = bed.core.gateway_join(elsewhere).await;
    assert!(matches!(
        refused,
        Err(JoinError::IdentityTaken { region: GZ, .. })
    ));
}

#[tokio::test]
async fn a_region_has_one_gateway_and_keeps_the_token_of_a_refused_one() {
    let bed = Bed::new().await;
    let first = bed.gateway(GZ, 1).await;
    let secret = bed.token(GZ).await;
    let refused = bed.core.gateway_join(gateway_join(secret.clone(), 2)).await;
    let taken = |error| matches!(error, JoinError::RegionTaken { region: GZ, gateway } if gateway == first.id);
    assert!(taken(refused.unwrap_err()));
    bed.core.gateway_remove(first.id).await.unwrap();
    let second = bed
        .core
        .gateway_join(gateway_join(secret, 2))
        .await
        .unwrap();
    assert_ne!(second.id, first.id);
    assert_eq!(
        bed.gateway(SH, 3).await.overlay_address.to_string(),
        "100.64.2.1"
    );
}

#[tokio::test]
async fn of_two_that_join_at_once_one_is_refused() {
    let bed = Bed::new().await;
    let (one, other) = (bed.token(GZ).await, bed.token(GZ).await);
    let (one, other) = tokio::join!(
        bed.core.gateway_join(gateway_join(one, 1)),
        bed.core.gateway_join(gateway_join(other, 2)),
    );
    assert_eq!(
        [one.is_ok(), other.is_ok()]
            .iter()
            .filter(|ok| **ok)
            .count(),
        1
    );
    let error = one.err().or(other.err()).unwrap();
    assert!(matches!(error, JoinError::RegionTaken { .. }));
    assert_eq!(bed.core.catalog().gateways().count(), 1);
}

#[tokio::test]
async fn endpoints_are_host_and_port() {
    let bed = Bed::new().await;
    let gateway = bed.gateway(GZ, 1).await;
    let update = async |endpoint: &str| {
        let key = gateway.tunnel_public_key;
        bed.core
            .gateway_update(gateway.id, key, Some(endpoint.to_owned()))
            .await
    };
    for good in ["gw.example.org:51820", "192.0.2.1:1", "[2001:db8::1]:51820"] {
        assert_eq!(update(good).await.unwrap().endpoint.as_deref(), Some(good));
    }
    for bad in [
        "",
        "192.0.2.1",
        ":51820",
        "a:0",
        "a:65536",
        "2001:db8::1:51820",
        "a b:1",
    ] {
        let error = update(bad).await.unwrap_err();
        assert!(
            matches!(error, UseCaseError::Operator(OperatorError::Invalid { .. })),
            "{bad}"
        );
    }
    let revision = bed.core.catalog().revision();
    update("[2001:db8::1]:51820").await.unwrap();
    assert_eq!(bed.core.catalog().revision(), revision);
    bed.core.gateway_remove(gateway.id).await.unwrap();
    let gone = update("a:1").await.unwrap_err();
    assert!(
        matches!(gone, UseCaseError::Operator(OperatorError::GatewayNotFound(id)) if id == gateway.id)
    );
}

#[tokio::test]
async fn nothing_is_awaited_from_a_removed_gateway() {
    let bed = Bed::new().await;
    let gateway = bed.gateway(GZ, 1).await;
    let keeps = bed.gateway(BJ, 2).await;
    // More deletions than one transaction confirms.
    let mut tasks = Vec::new();
    for _ in 0..3 {
        for number in 1..=9 {
            let gz = bed
                .vpc_or_known(number, GZ, &format!("10.{number}.0.0/16"))
                .await;
            let sh = bed.vpc_or_known(100, SH, "10.100.0.0/16").await;
            let peering = bed.connected(&gz, &sh).await;
            tasks.push(bed.delete(&peering).await.unwrap());
        }
    }
    let gz = bed.vpc(50, GZ, "10.50.0.0/16").await;
    let bj = bed.vpc(50, BJ, "10.51.0.0/16").await;
    let shared = bed.connected(&gz, &bj).await;
    let last = bed.delete(&shared).await.unwrap();
    assert!(tasks.iter().all(|task| bed.task(*task).is_running()));
    bed.core.gateway_remove(gateway.id).await.unwrap();
    assert!(tasks.iter().all(|task| !bed.task(*task).is_running()));
    assert!(bed.task(last).is_running());
    let catalog = bed.core.catalog();
    let awaiting: Vec<_> = catalog
        .tombstones()
        .flat_map(|left| left.awaiting.clone())
        .collect();
    assert_eq!(awaiting, [keeps.id]);
    assert_eq!(catalog.gateways().count(), 1);
    invariants::check(&catalog);
}

impl Bed {
    async fn vpc_or_known(&self, owner: u64, region: Region, cidr: &str) -> Vpc {
        let known = self
            .core
            .catalog()
            .vpcs_of(Uin(owner), region)
            .next()
            .cloned();
        match known {
            Some(vpc) => vpc,
            None => self.vpc(owner, region, cidr).await,
        }
    }
}
