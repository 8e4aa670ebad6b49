//! Assistant CIDR blocks of VPCs.

use model::command::{AssistantCidrModify, AssistantCidrQuery, Direction, VpcFilter, VpcTarget};
use model::{CidrBlock, CidrError, Command, DomainError, Region};

use super::network::filter_ids;
use super::{Action, Build, Product, answer, apart_from_filters, ids, paging, vpc};
use crate::tencent::request::Limits;
use crate::tencent::v3::error::{Error, Fault};
use crate::tencent::v3::field::{
    Arguments, Declared, Field, Kind, MOST_ENTRIES, optional, required,
};
use crate::tencent::v3::response;

const VPC: Kind = Kind::Id("vpc-");
const BLOCK: Kind = Kind::Text;
const BLOCKS: Kind = Kind::List {
    of: &BLOCK,
    most: MOST_ENTRIES as usize,
};

const CREATE_ERRORS: &[&str] = &[
    "InvalidParameterValue",
    "InvalidParameterValue.Duplicate",
    "InvalidParameterValue.LimitExceeded",
    "InvalidParameterValue.Malformed",
    "InvalidParameterValue.SubnetConflict",
    "InvalidParameterValue.SubnetOverlapAssistCidr",
    "InvalidParameterValue.SubnetRange",
    "InvalidParameterValue.VpcCidrConflict",
    "InvalidParameterValue.VpcCidrOverlapRoute",
    "LimitExceeded",
    "ResourceNotFound",
];

const MODIFY_ERRORS: &[&str] = &[
    "InvalidParameterValue",
    "InvalidParameterValue.Duplicate",
    "InvalidParameterValue.LimitExceeded",
    "InvalidParameterValue.Malformed",
    "InvalidParameterValue.SubnetConflict",
    "InvalidParameterValue.SubnetOverlapAssistCidr",
    "InvalidParameterValue.SubnetRange",
    "InvalidParameterValue.VpcCidrConflict",
    "InvalidParameterValue.VpcCidrOverlapRoute",
    "LimitExceeded",
    "ResourceInUse",
    "ResourceNotFound",
    "UnsupportedOperation",
];

pub(super) const ACTIONS: &[Action] = &[
    Action {
        name: "CheckAssistantCidr",
        product: Product::Vpc,
        fields: CHANGE,
        answer: answer::ASSISTANT_CIDR_CONFLICTS,
        errors: &[
            "InvalidParameterValue",
            "InvalidParameterValue.Duplicate",
            "InvalidParameterValue.LimitExceeded",
            "InvalidParameterValue.Malformed",
            "InvalidParameterValue.SubnetConflict",
            "LimitExceeded",
            "ResourceNotFound",
        ],
        build: Build::InRegion(|region, arguments, _| {
            change(region, arguments).map(Command::AssistantCidrCheck)
        }),
        render: response::assistant_cidr_conflicts,
    },
    Action {
        name: "CreateAssistantCidr",
        product: Product::Vpc,
        fields: &[
            required("VpcId", VPC),
            required("CidrBlocks", BLOCKS),
            optional("ClientToken", Kind::ClientToken),
        ],
        answer: answer::ASSISTANT_CIDRS_CHANGED,
        errors: CREATE_ERRORS,
        build: Build::InRegion(|region, arguments, _| {
            let add = batch(arguments)?;
            modify(region, arguments, add, Vec::new()).map(Command::AssistantCidrModify)
        }),
        render: response::assistant_cidrs_changed,
    },
    Action {
        name: "DeleteAssistantCidr",
        product: Product::Vpc,
        fields: &[required("VpcId", VPC), required("CidrBlocks", BLOCKS)],
        answer: &[],
        errors: &[
            "InvalidParameter",
            "InvalidParameterValue.Duplicate",
            "InvalidParameterValue.LimitExceeded",
            "InvalidParameterValue.Malformed",
            "ResourceInUse",
            "ResourceNotFound",
        ],
        build: Build::InRegion(|region, arguments, _| {
            let remove = batch(arguments)?;
            modify(region, arguments, Vec::new(), remove).map(Command::AssistantCidrModify)
        }),
        render: response::assistant_cidrs_deleted,
    },
    Action {
        name: "DescribeAssistantCidr",
        product: Product::Vpc,
        fields: &[
            optional(
                "VpcIds",
                Kind::List {
                    of: &VPC,
                    most: MOST_ENTRIES as usize,
                },
            ),
            optional("Filters", Kind::Filters(&["vpc-id"])),
            optional("Offset", Kind::Offset(Declared::Plain)),
            optional("Limit", Kind::Limit(Declared::Plain)),
        ],
        answer: answer::ASSISTANT_CIDRS,
        errors: &[
            "InvalidParameter.Coexist",
            "InvalidParameterValue",
            "InvalidParameterValue.Malformed",
            "InvalidParameterValue.Range",
            "ResourceNotFound",
        ],
        build: Build::InRegion(list),
        render: response::assistant_cidrs,
    },
    Action {
        name: "ModifyAssistantCidr",
        product: Product::Vpc,
        fields: CHANGE,
        answer: answer::ASSISTANT_CIDRS_CHANGED,
        errors: MODIFY_ERRORS,
        build: Build::InRegion(|region, arguments, _| {
            change(region, arguments).map(Command::AssistantCidrModify)
        }),
        render: response::assistant_cidrs_changed,
    },
];

const CHANGE: &[Field] = &[
    required("VpcId", VPC),
    optional("NewCidrBlocks", BLOCKS),
    optional("OldCidrBlocks", BLOCKS),
];

fn batch(arguments: &Arguments) -> Result<Vec<CidrBlock>, Error> {
    if arguments.list("CidrBlocks").is_empty() {
        return Err(Error::value("CidrBlocks", Fault::Empty, "it is empty"));
    }
    blocks(arguments, "CidrBlocks")
}

fn change(region: Region, arguments: &Arguments) -> Result<AssistantCidrModify, Error> {
    let (new, old) = ("NewCidrBlocks", "OldCidrBlocks");
    if arguments.list(new).is_empty() && arguments.list(old).is_empty() {
        return Err(Error::Missing(format!("{new}` or `{old}")));
    }
    let (add, remove) = (blocks(arguments, new)?, blocks(arguments, old)?);
    modify(region, arguments, add, remove)
}

fn blocks(arguments: &Arguments, name: &str) -> Result<Vec<CidrBlock>, Error> {
    let parse = |text: &str| {
        text.parse()
            .map_err(|error: CidrError| DomainError::AssistantCidr(error.to_string()).into())
    };
    arguments.texts(name).map(parse).collect()
}

fn modify(
    region: Region,
    arguments: &Arguments,
    add: Vec<CidrBlock>,
    remove: Vec<CidrBlock>,
) -> Result<AssistantCidrModify, Error> {
    let vpc = vpc(arguments, "VpcId")?;
    Ok(AssistantCidrModify {
        target: VpcTarget { region, vpc },
        add,
        remove,
    })
}

fn list(region: Region, arguments: &Arguments, _: &Limits) -> Result<Command, Error> {
    apart_from_filters(arguments, "VpcIds")?;
    let filters = arguments
        .filters()
        .map(|filter| filter_ids(filter).map(VpcFilter::Ids));
    Ok(Command::AssistantCidrList(AssistantCidrQuery {
        region,
        only: ids(arguments, "VpcIds")?,
        filters: filters.collect::<Result<_, _>>()?,
        paging: paging(arguments, Direction::Ascending),
    }))
}
