//! The products beside VPC, as far as clients of peerings call them: who am I (`sts`, `cam`) and where
//! can I be (`cvm`).

use model::command::AccountQuery;
use model::{Command, Uin};

use super::{Action, Build, Product, answer};
use crate::tencent::v3::error::{Error, Fault};
use crate::tencent::v3::field::{Arguments, Kind, MOST_ENTRIES, optional, required};
use crate::tencent::v3::response;

const UIN: Kind = Kind::Integer {
    least: 0,
    most: i64::MAX,
};

const ALWAYS: &[&str] = &[
    "InvalidParameter",
    "InvalidParameterValue",
    "MissingParameter",
];

const FILTER: Kind = Kind::Filters(&["zone", "zone-name", "region", "zone-state"]);

pub(super) const ACTIONS: &[Action] = &[
    Action {
        name: "DescribeRegions",
        product: Product::Cvm,
        fields: &[],
        answer: answer::REGIONS,
        errors: ALWAYS,
        build: Build::Anywhere(|_, _| Ok(Command::RegionList)),
        render: response::regions,
    },
    Action {
        name: "DescribeSubAccounts",
        product: Product::Cam,
        fields: &[required(
            "FilterSubAccountUin",
            Kind::List {
                of: &UIN,
                most: MOST_ENTRIES as usize,
            },
        )],
        answer: answer::SUB_ACCOUNTS,
        errors: ALWAYS,
        build: Build::Anywhere(sub_accounts),
        render: response::sub_accounts,
    },
    Action {
        name: "DescribeZones",
        product: Product::Cvm,
        fields: &[optional("Filters", FILTER)],
        answer: answer::ZONES,
        errors: ALWAYS,
        build: Build::InRegion(|region, arguments, _| match arguments.list("Filters") {
            [] => Ok(Command::ZoneList(region)),
            _ => Err(Error::Unsupported("`Filters` of zones".to_owned())),
        }),
        render: response::zones,
    },
    Action {
        name: "GetCallerIdentity",
        product: Product::Sts,
        fields: &[],
        answer: answer::IDENTITY,
        errors: ALWAYS,
        build: Build::Anywhere(own_account),
        render: response::identity,
    },
    Action {
        name: "GetUserAppId",
        product: Product::Cam,
        fields: &[],
        answer: answer::APP_ID,
        errors: ALWAYS,
        build: Build::Anywhere(own_account),
        render: response::app_id,
    },
];

fn own_account(signer: Uin, _: &Arguments) -> Result<Command, Error> {
    let only = Vec::new();
    Ok(Command::AccountShow(AccountQuery { signer, only }))
}

fn sub_accounts(signer: Uin, arguments: &Arguments) -> Result<Command, Error> {
    let uin = |value: i64| {
        let value = u64::try_from(value).ok();
        let reason = "it is no account number";
        value
            .map(Uin)
            .ok_or_else(|| Error::value("FilterSubAccountUin", Fault::Range, reason))
    };
    let only = arguments.integers("FilterSubAccountUin").map(uin);
    Ok(Command::AccountShow(AccountQuery {
        signer,
        only: only.collect::<Result<_, _>>()?,
    }))
}
