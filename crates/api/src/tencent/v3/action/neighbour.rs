//! The products beside VPC, as far as clients of peerings call them: who am I (`sts`, `cam`), where can
//! I be (`cvm`), and the tags of what I have (`tag`).

use model::command::AccountQuery;
use model::{Command, Uin};

use super::{Action, Build, Product, answer};
use crate::tencent::v3::error::{Error, Fault};
use crate::tencent::v3::field::{Arguments, Declared, Kind, MOST_ENTRIES, optional, required};
use crate::tencent::v3::response;

const TEXT: Kind = Kind::Text;
const UIN: Kind = Kind::Integer {
    least: 0,
    most: i64::MAX,
};
const TAG: Kind = Kind::Object(&[required("TagKey", TEXT), optional("TagValue", TEXT)]);
const TAG_KEY: Kind = Kind::Object(&[required("TagKey", TEXT)]);

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
        name: "DescribeResourceTagsByResourceIds",
        product: Product::Tag,
        fields: &[
            required("ServiceType", TEXT),
            required("ResourcePrefix", TEXT),
            required(
                "ResourceIds",
                Kind::List {
                    of: &TEXT,
                    most: MOST_ENTRIES as usize,
                },
            ),
            required("ResourceRegion", TEXT),
            optional("Offset", Kind::Offset(Declared::Plain)),
            optional("Limit", Kind::Limit(Declared::Plain)),
        ],
        answer: answer::RESOURCE_TAGS,
        errors: ALWAYS,
        build: Build::Anywhere(own_account),
        render: response::no_tags,
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
    Action {
        name: "ModifyResourceTags",
        product: Product::Tag,
        fields: &[
            required("Resource", TEXT),
            optional("ReplaceTags", Kind::List { of: &TAG, most: 20 }),
            optional(
                "DeleteTags",
                Kind::List {
                    of: &TAG_KEY,
                    most: 20,
                },
            ),
        ],
        answer: &[],
        errors: ALWAYS,
        build: Build::Anywhere(modify_tags),
        render: response::nothing,
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

/// Resources have no tags, so taking tags away leaves everything as it is, and giving them is refused.
fn modify_tags(signer: Uin, arguments: &Arguments) -> Result<Command, Error> {
    if !arguments.list("ReplaceTags").is_empty() {
        return Err(Error::Unsupported(
            "`ReplaceTags`: resources have no tags".to_owned(),
        ));
    }
    own_account(signer, arguments)
}
