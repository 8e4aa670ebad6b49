//! The answers of the products beside VPC.

use model::outcome::AccountView;
use model::{Outcome, Region, Zone};
use serde::Serialize;

use super::{local_time, object};
use crate::tencent::v3::field::Arguments;

const AVAILABLE: &str = "AVAILABLE";

fn account(outcome: &Outcome) -> Option<&AccountView> {
    match outcome {
        Outcome::Account(account) => Some(account),
        _ => None,
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Identity {
    arn: String,
    account_id: String,
    user_id: String,
    principal_id: String,
    r#type: &'static str,
}

pub(in crate::tencent::v3) fn identity(outcome: &Outcome, _: &Arguments) -> Option<Vec<u8>> {
    let account = account(outcome)?;
    let (owner, signer) = (account.uin, account.signer);
    Some(object(&Identity {
        arn: format!("qcs::cam::uin/{owner}:uin/{signer}"),
        account_id: owner.to_string(),
        user_id: signer.to_string(),
        principal_id: signer.to_string(),
        r#type: "CAMUser",
    }))
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct AppId {
    uin: String,
    owner_uin: String,
    app_id: u64,
}

pub(in crate::tencent::v3) fn app_id(outcome: &Outcome, _: &Arguments) -> Option<Vec<u8>> {
    let account = account(outcome)?;
    Some(object(&AppId {
        uin: account.signer.to_string(),
        owner_uin: account.uin.to_string(),
        app_id: account.app_id.0,
    }))
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct SubAccounts {
    sub_accounts: Vec<SubAccount>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct SubAccount {
    uin: u64,
    name: String,
    uid: u64,
    remark: &'static str,
    create_time: String,
    user_type: u8,
    last_login_ip: &'static str,
    last_login_time: &'static str,
}

pub(in crate::tencent::v3) fn sub_accounts(outcome: &Outcome, _: &Arguments) -> Option<Vec<u8>> {
    const SUB_USER: u8 = 2;

    let listed = account(outcome)?.sub_accounts.iter();
    let listed = listed.map(|(uin, name, created_at)| SubAccount {
        uin: uin.0,
        name: name.clone(),
        uid: uin.0,
        remark: "",
        create_time: local_time(*created_at),
        user_type: SUB_USER,
        // Nobody logs in here.
        last_login_ip: "",
        last_login_time: "",
    });
    Some(object(&SubAccounts {
        sub_accounts: listed.collect(),
    }))
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Regions {
    total_count: u64,
    region_set: Vec<RegionBody>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct RegionBody {
    region: &'static str,
    region_name: &'static str,
    region_state: &'static str,
}

pub(in crate::tencent::v3) fn regions(outcome: &Outcome, _: &Arguments) -> Option<Vec<u8>> {
    let body = |region: &Region| RegionBody {
        region: region.long(),
        region_name: region.long(),
        region_state: AVAILABLE,
    };
    matches!(outcome, Outcome::Regions).then(|| {
        object(&Regions {
            total_count: Region::ALL.len() as u64,
            region_set: Region::ALL.iter().map(body).collect(),
        })
    })
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Zones {
    total_count: u64,
    zone_set: Vec<ZoneBody>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ZoneBody {
    zone: String,
    zone_name: String,
    zone_id: String,
    zone_state: &'static str,
}

pub(in crate::tencent::v3) fn zones(outcome: &Outcome, _: &Arguments) -> Option<Vec<u8>> {
    let Outcome::Zones(region) = outcome else {
        return None;
    };
    let body = |zone: Zone| ZoneBody {
        zone: zone.name(*region),
        zone_name: zone.name(*region),
        zone_id: zone.0.to_string(),
        zone_state: AVAILABLE,
    };
    let zone_set: Vec<ZoneBody> = Zone::listed(*region).map(body).collect();
    Some(object(&Zones {
        total_count: zone_set.len() as u64,
        zone_set,
    }))
}
