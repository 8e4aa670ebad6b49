//! Peering connections.

use model::command::{
    Direction, Order, PeeringAction, PeeringCreate, PeeringFilter, PeeringModify, PeeringQuery,
    PeeringStateFilter, Reach, Reply,
};
use model::peering::{ChargeType, QosLevel};
use model::{Bandwidth, Command, DomainError, PeeringConnectionId, Region, Uin, VpcId};

use super::{
    Action, Build, Product, TAGS, answer, apart_from_filters, ids, paging, parse_id, tags, vpc,
};
use crate::tencent::request::Limits;
use crate::tencent::v3::error::{Error, Fault};
use crate::tencent::v3::field::{
    Arguments, Declared, Field, Filter, Kind, MOST_ENTRIES, optional, required, shown,
};
use crate::tencent::v3::{request_id, response};

const CHARGE_TYPES: Kind = Kind::Word(&["POSTPAID_BY_DAY_MAX", "POSTPAID_BY_MONTH_95"]);
const QOS_LEVELS: Kind = Kind::Word(&["PT", "AU", "AG"]);
const TYPES: Kind = Kind::Word(&["VPC_PEER", "VPC_BM_PEER"]);
const PEERING: Kind = Kind::Id(PeeringConnectionId::PREFIX);
const VPC: Kind = Kind::Id(VpcId::PREFIX);

// Any number: which are allowed depends on the deployment.
const BANDWIDTH: Kind = Kind::Integer {
    least: 0,
    most: u32::MAX as i64,
};

const TARGET: &[Field] = &[required("PeeringConnectionId", PEERING)];

const CREATE_ERRORS: &[&str] = &[
    "InternalError",
    "InvalidParameter",
    "InvalidParameterValue",
    "InvalidParameterValue.Combination",
    "InvalidParameterValue.DuplicateRegion",
    "InvalidParameterValue.Empty",
    "InvalidParameterValue.Malformed",
    "LimitExceeded.VpcPeerAvaLimitExceeded",
    "LimitExceeded.VpcPeerTotalLimitExceeded",
    "MissingParameter",
    "ResourceNotFound",
    "UnauthorizedOperation.VpcPeerCidrConflict",
    "UnsupportedOperation",
    "UnsupportedOperation.PurchaseLimit",
    "UnsupportedOperation.VpcPeerAlreadyExist",
    "UnsupportedOperation.VpcPeerCidrConflict",
    // Beyond the page.
    "InvalidParameterValue.TagDuplicateKey",
    "InvalidParameterValue.TagInvalidKey",
    "InvalidParameterValue.TagInvalidKeyLen",
    "InvalidParameterValue.TagInvalidVal",
    "LimitExceeded.TagKeyPerResourceExceeded",
    "UnsupportedOperation.TagSystemReservedTagKey",
];

/// The page has the list of the creation, which lacks what only a change can meet.
const MODIFY_ERRORS: &[&str] = &[
    "InternalError",
    "InvalidParameter",
    "InvalidParameterValue",
    "InvalidParameterValue.Combination",
    "InvalidParameterValue.Empty",
    "InvalidParameterValue.Malformed",
    "MissingParameter",
    "ResourceNotFound",
    "UnsupportedOperation",
    "UnsupportedOperation.MutexOperationTaskRunning",
    "UnsupportedOperation.VpcPeerInvalidStateChange",
    "UnsupportedOperation.VpcPeerPurviewError",
];

pub(super) const ACTIONS: &[Action] = &[
    Action {
        name: "AcceptVpcPeeringConnection",
        product: Product::Vpc,
        fields: TARGET,
        answer: &[],
        errors: &[
            "InternalServerError",
            "InvalidParameter.Coexist",
            "InvalidParameterValue.Malformed",
            "ResourceNotFound",
            "UnsupportedOperation.VpcPeerInvalidStateChange",
            "UnsupportedOperation.VpcPeerPurviewError",
            // Beyond the page: the accepter's side is admitted here, as the requester's at creation.
            "LimitExceeded.VpcPeerAvaLimitExceeded",
            "UnauthorizedOperation.VpcPeerCidrConflict",
            "UnsupportedOperation.MutexOperationTaskRunning",
            "UnsupportedOperation.VpcPeerAlreadyExist",
            "UnsupportedOperation.VpcPeerCidrConflict",
        ],
        build: Build::InRegion(|region, arguments, _| {
            target(region, arguments).map(Command::PeeringAccept)
        }),
        render: response::done,
    },
    Action {
        name: "CreateVpcPeeringConnection",
        product: Product::Vpc,
        fields: &[
            required("SourceVpcId", VPC),
            required("PeeringConnectionName", Kind::Name),
            required("DestinationVpcId", VPC),
            required("DestinationUin", Kind::Text),
            required("DestinationRegion", Kind::Text),
            optional("Bandwidth", BANDWIDTH),
            optional("Type", TYPES),
            optional("ChargeType", CHARGE_TYPES),
            optional("QosLevel", QOS_LEVELS),
            optional("Tags", TAGS),
            optional("ClientToken", Kind::ClientToken),
        ],
        answer: &[required("PeeringConnectionId", PEERING)],
        errors: CREATE_ERRORS,
        build: Build::InRegion(create),
        render: response::peering_created,
    },
    Action {
        name: "DeleteVpcPeeringConnection",
        product: Product::Vpc,
        fields: TARGET,
        answer: &[],
        errors: &[
            "InternalError",
            "InvalidParameterValue.Malformed",
            "ResourceNotFound",
            "UnsupportedOperation.MutexOperationTaskRunning",
            "UnsupportedOperation.NotSupportDeleteVpcBmPeer",
            "UnsupportedOperation.VpcPeerPurviewError",
        ],
        build: Build::InRegion(|region, arguments, _| {
            target(region, arguments).map(Command::PeeringDelete)
        }),
        render: response::done,
    },
    Action {
        name: "DescribeVpcPeeringConnections",
        product: Product::Vpc,
        fields: &[
            optional(
                "PeeringConnectionIds",
                Kind::List {
                    of: &PEERING,
                    most: MOST_ENTRIES as usize,
                },
            ),
            optional(
                "Filters",
                Kind::Filters(&["vpc-id", "state", "peering-connection-name"]),
            ),
            optional("Offset", Kind::Offset(Declared::Plain)),
            optional("Limit", Kind::Limit(Declared::Plain)),
            optional(
                "OrderField",
                Kind::Word(&["CreatedTime", "PeeringConnectionName"]),
            ),
            optional("OrderDirection", Kind::Word(&["DESC", "ASC"])),
        ],
        answer: answer::PEERINGS,
        errors: &[
            "InternalError",
            "InvalidParameter",
            "InvalidParameter.Coexist",
            "InvalidParameter.FilterNotDict",
            "InvalidParameterValue",
            "InvalidParameterValue.LimitExceeded",
            "InvalidParameterValue.Malformed",
            "InvalidParameterValue.Range",
            "InvalidParameterValue.TooLong",
            "LimitExceeded",
            "ResourceNotFound",
            "UnknownParameter",
        ],
        build: Build::InRegion(list),
        render: response::peerings,
    },
    Action {
        name: "DescribeVpcTaskResult",
        product: Product::Vpc,
        fields: &[required("TaskId", Kind::Text)],
        answer: answer::TASK_RESULT,
        errors: &[
            "InternalError.ModuleError",
            "InvalidParameterValue",
            "ResourceNotFound",
            "UnauthorizedOperation",
            "UnsupportedOperation",
        ],
        build: Build::InRegion(task_result),
        render: response::task_result,
    },
    Action {
        name: "EnableVpcPeeringConnection",
        product: Product::Vpc,
        fields: TARGET,
        answer: &[],
        // The vendor has no such action in this version; the codes are those of its neighbours.
        errors: &[
            "InvalidParameterValue.Malformed",
            "LimitExceeded.VpcPeerAvaLimitExceeded",
            "LimitExceeded.VpcPeerTotalLimitExceeded",
            "ResourceNotFound",
            "UnauthorizedOperation.VpcPeerCidrConflict",
            "UnsupportedOperation.MutexOperationTaskRunning",
            "UnsupportedOperation.VpcPeerAlreadyExist",
            "UnsupportedOperation.VpcPeerCidrConflict",
            "UnsupportedOperation.VpcPeerInvalidStateChange",
            "UnsupportedOperation.VpcPeerPurviewError",
        ],
        build: Build::InRegion(|region, arguments, _| {
            target(region, arguments).map(Command::PeeringEnable)
        }),
        render: response::done,
    },
    Action {
        name: "ModifyVpcPeeringConnection",
        product: Product::Vpc,
        fields: &[
            required("PeeringConnectionId", PEERING),
            optional("PeeringConnectionName", Kind::Name),
            optional("Bandwidth", BANDWIDTH),
            optional("ChargeType", CHARGE_TYPES),
        ],
        answer: &[],
        errors: MODIFY_ERRORS,
        build: Build::InRegion(modify),
        render: response::done,
    },
    Action {
        name: "RejectVpcPeeringConnection",
        product: Product::Vpc,
        fields: TARGET,
        answer: &[],
        errors: &[
            "InternalError",
            "InvalidParameterValue.Malformed",
            "ResourceNotFound",
            "UnsupportedOperation.VpcPeerInvalidStateChange",
            "UnsupportedOperation.VpcPeerPurviewError",
            // Beyond the page.
            "UnsupportedOperation.MutexOperationTaskRunning",
        ],
        build: Build::InRegion(|region, arguments, _| {
            target(region, arguments).map(Command::PeeringReject)
        }),
        render: response::done,
    },
];

fn create(region: Region, arguments: &Arguments, limits: &Limits) -> Result<Command, Error> {
    if arguments.text("Type") == Some("VPC_BM_PEER") {
        return Err(Error::Unsupported("a peering with bare metal".to_owned()));
    }
    let peer_region = destination_region(arguments.required_text("DestinationRegion")?)?;
    let (vpc, peer_vpc) = (
        vpc(arguments, "SourceVpcId")?,
        vpc(arguments, "DestinationVpcId")?,
    );
    if vpc == peer_vpc {
        let reason = "it is the VPC at the other end as well";
        return Err(Error::value("DestinationVpcId", Fault::NotAllowed, reason));
    }
    let bandwidth = bandwidth(arguments, limits)?;
    Ok(Command::PeeringCreate(PeeringCreate {
        tags: tags(arguments),
        region,
        vpc,
        peer_region,
        peer_vpc,
        peer_uin: destination_uin(arguments.required_text("DestinationUin")?)?,
        name: arguments.required_text("PeeringConnectionName")?.to_owned(),
        // A peering inside one region is not limited, whatever is asked for.
        bandwidth: match bandwidth {
            Some(bandwidth) if region != peer_region => bandwidth,
            Some(_) | None => Bandwidth::Unlimited,
        },
        charge_type: charge_type(arguments).unwrap_or_default(),
        qos_level: qos_level(arguments).unwrap_or_default(),
        reply: Reply::Peering,
    }))
}

fn modify(region: Region, arguments: &Arguments, limits: &Limits) -> Result<Command, Error> {
    let name = arguments.text("PeeringConnectionName").map(str::to_owned);
    let bandwidth = bandwidth(arguments, limits)?;
    let charge_type = charge_type(arguments);
    if name.is_none() && bandwidth.is_none() && charge_type.is_none() {
        let names = "PeeringConnectionName, Bandwidth or ChargeType";
        return Err(Error::Missing(names.to_owned()));
    }
    let PeeringAction {
        peering,
        reach,
        reply,
        ..
    } = target(region, arguments)?;
    Ok(Command::PeeringModify(PeeringModify {
        region,
        peering,
        name,
        bandwidth,
        charge_type,
        reach,
        reply,
    }))
}

fn list(region: Region, arguments: &Arguments, _: &Limits) -> Result<Command, Error> {
    apart_from_filters(arguments, "PeeringConnectionIds")?;
    let mut filters = Vec::new();
    if arguments.has("PeeringConnectionIds") {
        filters.push(PeeringFilter::Ids(ids(arguments, "PeeringConnectionIds")?));
    }
    for given in arguments.filters() {
        filters.push(filter(given)?);
    }
    let order = match arguments.text("OrderField") {
        Some("PeeringConnectionName") => Order::Name,
        Some(_) | None => Order::CreateTime,
    };
    let direction = match arguments.text("OrderDirection") {
        Some("ASC") => Direction::Ascending,
        Some(_) | None => Direction::Descending,
    };
    Ok(Command::PeeringList(PeeringQuery {
        region,
        vpc: None,
        peering: None,
        name: None,
        state: None,
        network: None,
        filters,
        order,
        paging: paging(arguments, direction),
    }))
}

fn task_result(_: Region, arguments: &Arguments, _: &Limits) -> Result<Command, Error> {
    let text = arguments.required_text("TaskId")?;
    let task = request_id::task_of(text)
        .map_err(|reason| Error::value("TaskId", Fault::NotAllowed, reason))?;
    match task {
        Some(task) => Ok(Command::WorkResult(task)),
        None => Err(DomainError::TaskNotFound(text.to_owned()).into()),
    }
}

fn filter(filter: Filter<'_>) -> Result<PeeringFilter, Error> {
    Ok(match filter.name {
        "vpc-id" => {
            let ids = filter.texts().map(|id| parse_id("vpc-id", id));
            PeeringFilter::Ends(ids.collect::<Result<_, _>>()?)
        }
        "state" => {
            let states = filter.texts().map(state);
            PeeringFilter::States(states.collect::<Result<_, _>>()?)
        }
        _ => PeeringFilter::Names(filter.texts().map(str::to_owned).collect()),
    })
}

fn state(word: &str) -> Result<PeeringStateFilter, Error> {
    Ok(match word {
        "PENDING" => PeeringStateFilter::Pending,
        "ACTIVE" => PeeringStateFilter::Active,
        "EXPIRED" => PeeringStateFilter::Expired,
        "REJECTED" => PeeringStateFilter::Rejected,
        "DELETED" => PeeringStateFilter::Deleted,
        "FAILED" => PeeringStateFilter::Failed,
        "ISOLATED" => PeeringStateFilter::Isolated,
        other => {
            let reason = format!("`{}` is not a state", shown(other));
            return Err(Error::value("state", Fault::NotAllowed, reason));
        }
    })
}

fn target(region: Region, arguments: &Arguments) -> Result<PeeringAction, Error> {
    let id = arguments.required_text("PeeringConnectionId")?;
    Ok(PeeringAction {
        region,
        peering: parse_id("PeeringConnectionId", id)?,
        reach: Reach::Any,
        reply: Reply::Peering,
    })
}

fn destination_region(text: &str) -> Result<Region, Error> {
    text.parse().map_err(|error: model::RegionError| {
        Error::value("DestinationRegion", Fault::NotAllowed, error.to_string())
    })
}

fn destination_uin(text: &str) -> Result<Uin, Error> {
    let is_decimal = text.bytes().all(|byte| byte.is_ascii_digit());
    let uin = Some(text)
        .filter(|_| is_decimal)
        .and_then(|text| text.parse().ok());
    uin.ok_or_else(|| {
        let reason = format!("`{}` is not an account number", shown(text));
        Error::value("DestinationUin", Fault::Malformed, reason)
    })
}

fn bandwidth(arguments: &Arguments, limits: &Limits) -> Result<Option<Bandwidth>, Error> {
    let Some(mbps) = arguments.integer("Bandwidth") else {
        return Ok(None);
    };
    let mbps = u32::try_from(mbps).unwrap_or(u32::MAX);
    limits
        .bandwidth(mbps)
        .map(Some)
        .map_err(|reason| Error::value("Bandwidth", Fault::Range, reason))
}

fn charge_type(arguments: &Arguments) -> Option<ChargeType> {
    arguments.text("ChargeType").map(|word| match word {
        "POSTPAID_BY_MONTH_95" => ChargeType::PostpaidByMonth95,
        _ => ChargeType::PostpaidByDayMax,
    })
}

fn qos_level(arguments: &Arguments) -> Option<QosLevel> {
    arguments.text("QosLevel").map(|word| match word {
        "PT" => QosLevel::Platinum,
        "AG" => QosLevel::Silver,
        _ => QosLevel::Gold,
    })
}
