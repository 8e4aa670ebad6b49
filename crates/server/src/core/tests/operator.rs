//! Accounts, keys and seeds.

use model::command::{SubnetTarget, VpcModify, VpcTarget};
use model::{AppId, World};

use super::super::{AccountCreate, KeyCreate};
use super::*;
use crate::error::{OpenError, OperatorError};
use crate::seed::{Seed, SeedError, SeedReport};

const SEED: &str = r#"
[[account]]
uin = 2407912486
app_id = 1351000042
name = "first"

[[account.key]]
secret_id = "AKIDz8krbsJ5yKBZQpn74WFkmLPx3gnPhESA"
secret_key = "Gu5t9xGARNpq86cd98joQYCN3Cozk1qA"

[[account.vpc]]
id = "gz_vpc_226"
name = "web"
cidr = "10.226.0.0/16"

[[account.vpc.subnet]]
name = "a"
cidr = "10.226.1.0/24"
zone = 100002

[[account.vpc]]
id = "gz_vpc_89"
name = "db"
cidr = "10.89.0.0/16"
"#;

fn account(uin: Option<u64>, app_id: Option<u64>) -> AccountCreate {
    AccountCreate {
        uin: uin.map(Uin),
        app_id: app_id.map(AppId),
        name: "test".to_owned(),
    }
}

fn refused<T: std::fmt::Debug>(result: Result<T, UseCaseError>) -> OperatorError {
    match result {
        Err(UseCaseError::Operator(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn account_numbers_are_given_or_drawn_and_unique() {
    let bed = Bed::new().await;
    let first = bed
        .core
        .account_create(account(Some(7), Some(8)))
        .await
        .unwrap();
    assert_eq!((first.uin, first.app_id), (Uin(7), AppId(8)));
    let drawn = bed.core.account_create(account(None, None)).await.unwrap();
    assert_eq!(drawn.uin.to_string().len(), 12);
    assert!(bed.core.catalog().account(drawn.uin).is_some());

    let taken = refused(bed.core.account_create(account(Some(7), None)).await);
    assert!(matches!(taken, OperatorError::AccountExists(Uin(7))));
    let taken = refused(bed.core.account_create(account(None, Some(8))).await);
    assert!(matches!(
        taken,
        OperatorError::AppIdTaken { owner: Uin(7), .. }
    ));
    for (uin, app_id) in [
        (Some(0), None),
        (Some(1_000_000_000_000), None),
        (None, Some(0)),
    ] {
        let invalid = refused(bed.core.account_create(account(uin, app_id)).await);
        assert!(matches!(invalid, OperatorError::Invalid { .. }));
    }
}

#[tokio::test]
async fn a_key_is_sealed_in_the_store_and_opens_with_the_master_key() {
    let bed = Bed::new().await;
    bed.core
        .account_create(account(Some(7), None))
        .await
        .unwrap();
    let ask = |secret_id: Option<&str>, secret_key: Option<&str>| KeyCreate {
        secret_id: secret_id.map(str::to_owned),
        secret_key: secret_key.map(str::to_owned),
        ..KeyCreate::of_account(Uin(7))
    };
    let made = bed
        .core
        .key_create(ask(Some("AKIDone"), Some("verysecret")))
        .await
        .unwrap();
    assert_eq!(
        (made.secret_id.as_str(), made.secret_key.expose()),
        ("AKIDone", &b"verysecret"[..])
    );
    let catalog = bed.core.catalog();
    let key = catalog.key("AKIDone").unwrap();
    assert_eq!(bed.core.secret_key(key).unwrap().expose(), b"verysecret");
    let stored = Store::snapshot(&*bed.store).await.unwrap();
    assert!(!String::from_utf8_lossy(&stored.entries["key/AKIDone"].value).contains("verysecret"));

    let drawn = bed.core.key_create(ask(None, None)).await.unwrap();
    assert!(drawn.secret_id.starts_with("AKID"));
    assert_eq!(
        (drawn.secret_id.len(), drawn.secret_key.expose().len()),
        (36, 32)
    );
    let taken = refused(bed.core.key_create(ask(Some("AKIDone"), None)).await);
    assert!(matches!(taken, OperatorError::KeyExists(_)));
    for bad in ["", "a/b", "a b", "\u{e9}", &"x".repeat(129)] {
        let invalid = refused(bed.core.key_create(ask(Some(bad), None)).await);
        assert!(matches!(invalid, OperatorError::Invalid { .. }), "{bad}");
    }
    let nobody = KeyCreate {
        owner: Uin(8),
        ..ask(None, None)
    };
    assert!(matches!(
        refused(bed.core.key_create(nobody).await),
        OperatorError::AccountNotFound(Uin(8))
    ));
}

#[tokio::test]
async fn a_foreign_master_key_does_not_open_the_state() {
    let bed = Bed::new().await;
    bed.core
        .apply_seed(&Seed::parse(SEED).unwrap())
        .await
        .unwrap();
    let store = Arc::clone(&bed.store) as Arc<dyn Store>;
    let clock = Arc::clone(&bed.clock) as Arc<dyn crate::clock::Clock>;
    let opened = Core::open(store, clock, MasterKey::new(&[8; 32]), Rules::default()).await;
    assert!(matches!(opened, Err(OpenError::MasterKey { .. })));
}

#[tokio::test]
async fn a_seed_is_applied_once() {
    let bed = Bed::new().await;
    let seed = Seed::parse(SEED).unwrap();
    let report = bed.core.apply_seed(&seed).await.unwrap();
    assert_eq!(
        report,
        SeedReport {
            accounts: 1,
            keys: 1,
            vpcs: 2,
            subnets: 1
        }
    );
    let catalog = bed.core.catalog();
    let vpc = catalog
        .vpc_by_ref(GZ, "gz_vpc_226".parse().unwrap())
        .unwrap();
    assert_eq!(
        (vpc.owner, vpc.cidr.to_string()),
        (Uin(2_407_912_486), "10.226.0.0/16".to_owned())
    );
    assert_eq!(catalog.subnets_of(vpc.id).count(), 1);

    assert_eq!(
        bed.core.apply_seed(&seed).await.unwrap(),
        SeedReport::default()
    );
    assert_eq!(*bed.core.catalog(), *catalog);

    let more = format!(
        "{SEED}\n[[account.vpc.subnet]]\nname = \"b\"\ncidr = \"10.89.1.0/24\"\nzone = 100001\n"
    );
    let report = bed
        .core
        .apply_seed(&Seed::parse(&more).unwrap())
        .await
        .unwrap();
    assert_eq!(
        report,
        SeedReport {
            subnets: 1,
            ..SeedReport::default()
        }
    );
    // Numbers of later VPCs continue behind the seed's.
    assert_eq!(bed.vpc(5, GZ, "10.1.0.0/16").await.legacy_id.number, 227);
}

#[tokio::test]
async fn what_an_account_does_with_its_networks_does_not_keep_the_seed_from_being_applied() {
    let bed = Bed::new().await;
    let seed = Seed::parse(SEED).unwrap();
    bed.core.apply_seed(&seed).await.unwrap();
    let owner = 2_407_912_486;
    let catalog = bed.core.catalog();
    let find = |id: &str| catalog.vpc_by_ref(GZ, id.parse().unwrap()).unwrap().clone();
    let (web, db) = (find("gz_vpc_226"), find("gz_vpc_89"));
    let target = |vpc: &Vpc| VpcTarget {
        region: GZ,
        vpc: vpc.id.into(),
    };
    let rename = VpcModify {
        target: target(&web),
        name: Some("renamed".to_owned()),
    };
    bed.execute(owner, Command::VpcModify(rename))
        .await
        .unwrap();
    let subnet = catalog.subnets_of(web.id).next().unwrap().0.clone();
    let delete = SubnetTarget {
        region: GZ,
        vpc: Some(web.id.into()),
        subnet: subnet.id.into(),
    };
    bed.execute(owner, Command::SubnetDelete(delete))
        .await
        .unwrap();
    // In the place of the seed's subnet.
    bed.subnet(&web, "10.226.0.0/20").await.unwrap();
    bed.execute(owner, Command::VpcDelete(target(&db)))
        .await
        .unwrap();
    let report = bed.core.apply_seed(&seed).await.unwrap();
    let expected = SeedReport {
        vpcs: 1,
        ..SeedReport::default()
    };
    assert_eq!(report, expected, "what was deleted is made again");
    let catalog = bed.core.catalog();
    assert_eq!(catalog.vpc(web.id).unwrap().name.as_str(), "renamed");
    assert_eq!(catalog.subnets_of(web.id).count(), 1);
    // A new account has to be as the seed wants it.
    let bad = SEED.replace("10.226.1.0/24", "10.227.1.0/24");
    let bad = Seed::parse(&bad.replace("2407912486", "7").replace("AKID", "BKID")).unwrap();
    let other = Bed::new().await;
    let refused = other.core.apply_seed(&bad).await;
    assert!(matches!(refused, Err(SeedError::Refused { .. })));
}

#[tokio::test]
async fn a_seed_that_differs_names_both_values_and_makes_nothing() {
    let bed = Bed::new().await;
    bed.core
        .apply_seed(&Seed::parse(SEED).unwrap())
        .await
        .unwrap();
    let before = bed.core.catalog();
    for (from, to, wanted, found) in [
        ("\"first\"", "\"second\"", "second", "first"),
        ("app_id = 1351000042", "app_id = 5", "5", "1351000042"),
        (
            "10.89.0.0/16",
            "10.90.0.0/16",
            "10.90.0.0/16",
            "10.89.0.0/16",
        ),
        ("zone = 100002", "zone = 100003", "100003", "100002"),
        (
            "uin = 2407912486\napp_id = 1351000042",
            "uin = 9",
            "9",
            "2407912486",
        ),
    ] {
        let seed = Seed::parse(&SEED.replace(from, to)).unwrap();
        match bed.core.apply_seed(&seed).await {
            Err(SeedError::Differs {
                wanted: w,
                found: f,
                ..
            }) => assert_eq!((&*w, &*f), (wanted, found)),
            other => panic!("{to}: {other:?}"),
        }
    }
    let secret = SEED.replace("Gu5t9", "XXXXX");
    let error = bed
        .core
        .apply_seed(&Seed::parse(&secret).unwrap())
        .await
        .unwrap_err();
    assert!(!error.to_string().contains("GARNpq"), "{error}");
    assert_eq!(*bed.core.catalog(), *before);
}

#[tokio::test]
async fn what_the_use_cases_refuse_a_seed_cannot_make() {
    let bed = Bed::new().await;
    let seed = Seed::parse(&SEED.replace("10.226.1.0/24", "10.227.1.0/24")).unwrap();
    let error = bed.core.apply_seed(&seed).await.unwrap_err();
    assert!(
        matches!(error, SeedError::Refused { ref what, .. } if what == "gz_vpc_226"),
        "{error}"
    );
    bed.core
        .apply_seed(&Seed::parse(SEED).unwrap())
        .await
        .unwrap();
}

#[test]
fn malformed_seeds_are_refused() {
    for text in [
        "account = 1",
        "[[account]]\nuin = 1\nname = \"a\"\nunknown = 1",
        "[[account]]\nname = \"a\"",
        &SEED.replace("gz_vpc_226", "xx_vpc_226"),
        &SEED.replace("10.226.0.0/16", "10.226.0.1/16"),
    ] {
        assert!(
            matches!(Seed::parse(text), Err(SeedError::Malformed(_))),
            "{text}"
        );
    }
    assert_eq!(Seed::parse("").unwrap().accounts, []);
}

#[tokio::test]
async fn a_number_is_given_once() {
    let bed = Bed::new().await;
    bed.core
        .account_create(account(Some(1), None))
        .await
        .unwrap();
    let make = |number| {
        bed.core
            .vpc_create_with_number(Uin(1), vpc_create(GZ, "10.1.0.0/16", &[]), number)
    };
    assert_eq!(make(89).await.unwrap().legacy_id.to_string(), "gz_vpc_89");
    assert!(matches!(
        refused(make(89).await),
        OperatorError::NumberTaken(_)
    ));
    let nobody = bed
        .core
        .vpc_create_with_number(Uin(2), vpc_create(GZ, "10.1.0.0/16", &[]), 90);
    assert!(matches!(
        refused(nobody.await),
        OperatorError::AccountNotFound(Uin(2))
    ));
}
