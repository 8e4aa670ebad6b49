//! Route tables and their routes.

use model::command::{
    Direction, Order, RouteChange, RouteFilter, RouteQuery, RouteReplace, RouteSelector, RouteSpec,
    RouteTableAssociate, RouteTableCreate, RouteTableFilter, RouteTableModify, RouteTableQuery,
    RouteTableTarget, RouteTargets,
};
use model::{
    CidrBlock, Command, DomainError, Region, RouteTableId, RouteTableRef, SubnetId, SubnetRef,
};

use super::network::{LISTED, admits, filter_ids};
use super::{
    Action, Build, Product, TAGS, answer, apart_from_filters, filters, ids, paging, parse_id,
    tag_filter, tags, vpc,
};
use crate::tencent::request::Limits;
use crate::tencent::v3::error::{Error, Fault};
use crate::tencent::v3::field::{
    Arguments, Declared, Field, Filter, Kind, MOST_ENTRIES, optional, required,
};
use crate::tencent::v3::response;

const TABLE: Kind = Kind::Id("rtb-");
const TEXT: Kind = Kind::Text;
const FLAG: Kind = Kind::Boolean(Declared::Plain);
const NUMBER: Kind = Kind::Integer {
    least: 0,
    most: u32::MAX as i64,
};
const ITEM: Kind = Kind::Id("rti-");
const MOST_ROUTES: usize = 100;

// All members are optional here, because which are needed depends on the action.
const ROUTE: Kind = Kind::Object(&[
    optional("DestinationCidrBlock", TEXT),
    optional("GatewayType", Kind::Word(GATEWAY_TYPES)),
    optional("GatewayId", TEXT),
    optional("RouteId", NUMBER),
    optional("RouteItemId", TEXT),
    optional("RouteDescription", TEXT),
    optional("Enabled", FLAG),
    optional("RouteType", TEXT),
    optional("RouteTableId", TEXT),
    optional("DestinationIpv6CidrBlock", TEXT),
    optional("PublishedToVbc", FLAG),
    optional("CreatedTime", TEXT),
    optional("CdcId", TEXT),
]);

const PEERING: &str = "PEERCONNECTION";

const GATEWAY_TYPES: &[&str] = &[
    "CVM",
    "VPN",
    "DIRECTCONNECT",
    PEERING,
    "HAVIP",
    "NAT",
    "NORMAL_CVM",
    "EIP",
    "LOCAL_GATEWAY",
    "INTRANAT",
    "USER_CCN",
    "GWLB_ENDPOINT",
    "CCN",
    "SSLVPN",
];

const ROUTES: Kind = Kind::List {
    of: &ROUTE,
    most: MOST_ROUTES,
};

const CHANGE: &[Field] = &[required("RouteTableId", TABLE), required("Routes", ROUTES)];

const SWITCH: &[Field] = &[
    required("RouteTableId", TABLE),
    optional(
        "RouteIds",
        Kind::List {
            of: &NUMBER,
            most: MOST_ROUTES,
        },
    ),
    optional(
        "RouteItemIds",
        Kind::List {
            of: &ITEM,
            most: MOST_ROUTES,
        },
    ),
];

const ROUTE_LIST: &[Field] = &[
    optional(
        "Filters",
        Kind::Filters(&[
            "vpc-id",
            "gateway-id",
            "description",
            "route-table-id",
            "dest-cidr",
        ]),
    ),
    optional("Offset", Kind::Offset(Declared::Plain)),
    optional("Limit", Kind::Limit(Declared::Plain)),
];

const ROUTE_ERRORS: &[&str] = &[
    "InvalidParameter.Coexist",
    "InvalidParameterValue",
    "InvalidParameterValue.CidrNotInPeerVpc",
    "InvalidParameterValue.Duplicate",
    "InvalidParameterValue.Empty",
    "InvalidParameterValue.LimitExceeded",
    "InvalidParameterValue.Malformed",
    "InvalidParameterValue.Range",
    "InvalidParameterValue.RouteNextHopInvalid",
    "InvalidParameterValue.RoutePolicyPriorityConflict",
    "InvalidParameterValue.SubnetOverlapRoute",
    "InvalidParameterValue.TooLong",
    "InvalidParameterValue.VpcCidrConflict",
    "InvalidParameterValue.VpcCidrOverlapRoute",
    "LimitExceeded",
    "MissingParameter",
    "ResourceNotFound",
    "UnknownParameter.WithGuess",
    "UnsupportedOperation",
    "UnsupportedOperation.Ecmp",
    "UnsupportedOperation.RecordNotExists",
    "UnsupportedOperation.SystemRoute",
    "InvalidParameterValue.TagDuplicateKey",
    "InvalidParameterValue.TagInvalidKey",
    "InvalidParameterValue.TagInvalidKeyLen",
    "InvalidParameterValue.TagInvalidVal",
    "LimitExceeded.TagKeyPerResourceExceeded",
    "UnsupportedOperation.TagSystemReservedTagKey",
];

const TABLE_ERRORS: &[&str] = &[
    "InvalidParameter",
    "InvalidParameterValue",
    "InvalidParameterValue.Duplicate",
    "InvalidParameterValue.Empty",
    "InvalidParameterValue.LimitExceeded",
    "InvalidParameterValue.Malformed",
    "InvalidParameterValue.TooLong",
    "LimitExceeded",
    "MissingParameter",
    "ResourceNotFound",
    "UnsupportedOperation.DelDefaultRoute",
    "UnsupportedOperation.DelRouteWithSubnet",
    "UnsupportedOperation.NotSupportDeleteDefaultRouteTable",
    "UnsupportedOperation.RouteTableHasSubnetRule",
    "UnsupportedOperation.VpcMismatch",
    "InvalidParameterValue.TagDuplicateKey",
    "InvalidParameterValue.TagInvalidKey",
    "InvalidParameterValue.TagInvalidKeyLen",
    "InvalidParameterValue.TagInvalidVal",
    "LimitExceeded.TagKeyPerResourceExceeded",
    "UnsupportedOperation.TagSystemReservedTagKey",
];

const fn action(
    name: &'static str,
    fields: &'static [Field],
    answer: &'static [Field],
    errors: &'static [&'static str],
    build: fn(Region, &Arguments, &Limits) -> Result<Command, Error>,
    render: super::Render,
) -> Action {
    Action {
        name,
        product: Product::Vpc,
        fields,
        answer,
        errors,
        build: Build::InRegion(build),
        render,
    }
}

pub(super) const ACTIONS: &[Action] = &[
    action(
        "CreateRouteTable",
        &[
            required("VpcId", Kind::Id("vpc-")),
            required("RouteTableName", Kind::Name),
            optional("Tags", TAGS),
            optional("ClientToken", Kind::ClientToken),
        ],
        answer::ROUTE_TABLE_CREATED,
        TABLE_ERRORS,
        table_create,
        response::route_table_created,
    ),
    action(
        "CreateRouteTableWithRoutes",
        &[
            required("VpcId", Kind::Id("vpc-")),
            required("RouteTableName", Kind::Name),
            required("Routes", ROUTES),
            optional("Tags", TAGS),
            optional("ClientToken", Kind::ClientToken),
        ],
        answer::ROUTE_TABLE_CREATED,
        ROUTE_ERRORS,
        table_create,
        response::route_table_created,
    ),
    action(
        "CreateRoutes",
        &[
            required("RouteTableId", TABLE),
            required("Routes", ROUTES),
            optional("ClientToken", Kind::ClientToken),
        ],
        answer::ROUTES_CREATED,
        ROUTE_ERRORS,
        routes_create,
        response::routes_created,
    ),
    action(
        "DeleteRouteTable",
        &[required("RouteTableId", TABLE)],
        &[],
        TABLE_ERRORS,
        |region, arguments, _| target(region, arguments).map(Command::RouteTableDelete),
        response::done,
    ),
    action(
        "DeleteRoutes",
        CHANGE,
        answer::ROUTES_DELETED,
        ROUTE_ERRORS,
        routes_delete,
        response::routes_deleted,
    ),
    action(
        "DescribeRouteConflicts",
        &[
            required("RouteTableId", TABLE),
            required(
                "DestinationCidrBlocks",
                Kind::List {
                    of: &TEXT,
                    most: MOST_ROUTES,
                },
            ),
        ],
        answer::ROUTE_CONFLICTS,
        &["InvalidParameterValue.Malformed", "ResourceNotFound"],
        route_conflicts,
        response::route_conflicts,
    ),
    action(
        "DescribeRouteList",
        ROUTE_LIST,
        answer::ROUTES,
        LISTED,
        route_list,
        response::routes,
    ),
    action(
        "DescribeRouteTables",
        &[
            optional(
                "RouteTableIds",
                Kind::List {
                    of: &TABLE,
                    most: MOST_ENTRIES as usize,
                },
            ),
            optional("Filters", Kind::Filters(TABLE_FILTERS)),
            optional("Offset", Kind::Offset(Declared::AsText)),
            optional("Limit", Kind::Limit(Declared::AsText)),
            optional("NeedRouterInfo", FLAG),
        ],
        answer::ROUTE_TABLES,
        LISTED,
        table_list,
        response::route_tables,
    ),
    action(
        "DescribeRoutes",
        ROUTE_LIST,
        answer::ROUTES,
        LISTED,
        route_list,
        response::routes,
    ),
    action(
        "DisableRoutes",
        SWITCH,
        &[],
        ROUTE_ERRORS,
        |region, arguments, _| switch(region, arguments).map(Command::RouteDisable),
        response::routes_switched,
    ),
    action(
        "EnableRoutes",
        SWITCH,
        &[],
        ROUTE_ERRORS,
        |region, arguments, _| switch(region, arguments).map(Command::RouteEnable),
        response::routes_switched,
    ),
    action(
        "ModifyRouteTableAttribute",
        &[
            required("RouteTableId", TABLE),
            required("RouteTableName", Kind::Name),
        ],
        &[],
        TABLE_ERRORS,
        table_rename,
        response::done,
    ),
    action(
        "ReplaceRouteTableAssociation",
        &[
            required("RouteTableId", TABLE),
            required("SubnetId", Kind::Id("subnet-")),
        ],
        &[],
        TABLE_ERRORS,
        associate,
        response::done,
    ),
    action(
        "ReplaceRoutes",
        CHANGE,
        answer::ROUTES_REPLACED,
        ROUTE_ERRORS,
        routes_replace,
        response::routes_replaced,
    ),
    action(
        "ResetRoutes",
        &[
            required("RouteTableId", TABLE),
            required("RouteTableName", Kind::Name),
            required("Routes", ROUTES),
        ],
        &[],
        ROUTE_ERRORS,
        routes_reset,
        response::done,
    ),
];

const TABLE_FILTERS: &[&str] = &[
    "route-table-id",
    "route-table-name",
    "vpc-id",
    "association.main",
    "tag-key",
    "tag:*",
    "visible",
    "next-hop-type",
];

fn target(region: Region, arguments: &Arguments) -> Result<RouteTableTarget, Error> {
    Ok(RouteTableTarget {
        region,
        vpc: None,
        route_table: table(arguments)?,
    })
}

fn table(arguments: &Arguments) -> Result<RouteTableRef, Error> {
    let id = arguments.required_text("RouteTableId")?;
    parse_id::<RouteTableId>("RouteTableId", id).map(RouteTableRef::Unified)
}

fn table_create(region: Region, arguments: &Arguments, _: &Limits) -> Result<Command, Error> {
    let routes = arguments.objects("Routes").map(spec);
    Ok(Command::RouteTableCreate(RouteTableCreate {
        tags: tags(arguments),
        region,
        vpc: vpc(arguments, "VpcId")?,
        name: arguments.required_text("RouteTableName")?.to_owned(),
        routes: routes.collect::<Result<_, _>>()?,
    }))
}

fn table_rename(region: Region, arguments: &Arguments, _: &Limits) -> Result<Command, Error> {
    Ok(Command::RouteTableModify(RouteTableModify {
        target: target(region, arguments)?,
        name: Some(arguments.required_text("RouteTableName")?.to_owned()),
        routes: None,
    }))
}

fn routes_reset(region: Region, arguments: &Arguments, _: &Limits) -> Result<Command, Error> {
    let routes = arguments.objects("Routes").map(spec);
    Ok(Command::RouteTableModify(RouteTableModify {
        target: target(region, arguments)?,
        name: Some(arguments.required_text("RouteTableName")?.to_owned()),
        routes: Some(routes.collect::<Result<_, _>>()?),
    }))
}

fn associate(region: Region, arguments: &Arguments, _: &Limits) -> Result<Command, Error> {
    let subnet = arguments.required_text("SubnetId")?;
    Ok(Command::RouteTableAssociate(RouteTableAssociate {
        target: target(region, arguments)?,
        subnets: vec![parse_id::<SubnetId>("SubnetId", subnet).map(SubnetRef::Unified)?],
    }))
}

fn routes_create(region: Region, arguments: &Arguments, _: &Limits) -> Result<Command, Error> {
    some_routes(arguments)?;
    let routes = arguments.objects("Routes").map(spec);
    Ok(Command::RouteCreate(RouteChange {
        region,
        vpc: None,
        route_table: table(arguments)?,
        routes: routes.collect::<Result<_, _>>()?,
    }))
}

fn some_routes(arguments: &Arguments) -> Result<(), Error> {
    match arguments.list("Routes").is_empty() {
        true => Err(Error::value("Routes", Fault::Empty, "it is empty")),
        false => Ok(()),
    }
}

fn routes_delete(region: Region, arguments: &Arguments, _: &Limits) -> Result<Command, Error> {
    some_routes(arguments)?;
    let routes = arguments.objects("Routes").map(selector);
    Ok(Command::RouteRemove(RouteTargets {
        table: target(region, arguments)?,
        routes: routes.collect::<Result<_, _>>()?,
    }))
}

fn routes_replace(region: Region, arguments: &Arguments, _: &Limits) -> Result<Command, Error> {
    some_routes(arguments)?;
    let routes = arguments.objects("Routes");
    let routes = routes.map(|route| Ok((selector(route)?, spec(route)?)));
    Ok(Command::RouteReplace(RouteReplace {
        table: target(region, arguments)?,
        routes: routes.collect::<Result<_, Error>>()?,
    }))
}

fn switch(region: Region, arguments: &Arguments) -> Result<RouteTargets, Error> {
    if arguments.has("RouteIds") && arguments.has("RouteItemIds") {
        return Err(Error::Coexist("RouteIds", "RouteItemIds"));
    }
    let numbers = arguments.integers("RouteIds").map(number);
    let items = arguments.texts("RouteItemIds");
    let items = items.map(|id| parse_id("RouteItemIds", id).map(RouteSelector::Id));
    let routes: Vec<RouteSelector> = numbers.chain(items).collect::<Result<_, _>>()?;
    if routes.is_empty() {
        return Err(Error::Missing("RouteIds or RouteItemIds".to_owned()));
    }
    Ok(RouteTargets {
        table: target(region, arguments)?,
        routes,
    })
}

fn number(value: i64) -> Result<RouteSelector, Error> {
    let number = u32::try_from(value).map_err(|_| {
        Error::value(
            "RouteId",
            Fault::Range,
            format!("{value} is not the number of a route"),
        )
    })?;
    Ok(RouteSelector::Number(number))
}

/// A route by its id, or by its number if that is given alone.
fn selector(route: &Arguments) -> Result<RouteSelector, Error> {
    if let Some(id) = route.text("RouteItemId") {
        return parse_id("RouteItemId", id).map(RouteSelector::Id);
    }
    match route.integer("RouteId") {
        Some(value) => number(value),
        None => Err(Error::Missing("RouteId or RouteItemId".to_owned())),
    }
}

fn spec(route: &Arguments) -> Result<RouteSpec, Error> {
    if route.has("DestinationIpv6CidrBlock") {
        return Err(Error::Unsupported("`DestinationIpv6CidrBlock`".to_owned()));
    }
    let given_destination = route.required_text("DestinationCidrBlock")?;
    let gateway_type = route.required_text("GatewayType")?;
    if gateway_type != PEERING {
        return Err(DomainError::NextHopType(gateway_type.to_owned()).into());
    }
    Ok(RouteSpec {
        destination: destination("DestinationCidrBlock", given_destination)?,
        given_destination: given_destination.to_owned(),
        next_hop: route.required_text("GatewayId")?.to_owned(),
        description: route.text("RouteDescription").map(str::to_owned),
        is_enabled: route.boolean("Enabled").unwrap_or(true),
        is_within_peer: true,
    })
}

fn table_list(region: Region, arguments: &Arguments, _: &Limits) -> Result<Command, Error> {
    apart_from_filters(arguments, "RouteTableIds")?;
    let has = |name| arguments.filters().any(|filter| filter.name == name);
    if has("next-hop-type") && !(has("route-table-id") && has("vpc-id")) {
        return Err(Error::FilterAlone(
            "next-hop-type",
            "route-table-id and vpc-id",
        ));
    }
    Ok(Command::RouteTableList(RouteTableQuery {
        region,
        vpc: None,
        route_table: None,
        name: None,
        only: ids(arguments, "RouteTableIds")?,
        filters: filters(arguments, table_filter)?,
        order: Order::CreateTime,
        paging: paging(arguments, Direction::Descending),
    }))
}

/// The table, whose routes the answer compares with the blocks.
fn route_conflicts(region: Region, arguments: &Arguments, _: &Limits) -> Result<Command, Error> {
    for text in arguments.texts("DestinationCidrBlocks") {
        destination("DestinationCidrBlocks", text)?;
    }
    let id = arguments.required_text("RouteTableId")?;
    Ok(Command::RouteTableList(RouteTableQuery {
        region,
        vpc: None,
        route_table: None,
        name: None,
        only: vec![parse_id("RouteTableId", id)?],
        filters: Vec::new(),
        order: Order::CreateTime,
        paging: paging(arguments, Direction::Descending),
    }))
}

fn destination(name: &str, text: &str) -> Result<CidrBlock, Error> {
    CidrBlock::parse_truncating(text)
        .map_err(|error| Error::value(name, Fault::NotAllowed, error.to_string()))
}

/// `None` for a filter that all route tables pass.
fn table_filter(filter: Filter<'_>) -> Result<Option<RouteTableFilter>, Error> {
    if let Some(tags) = tag_filter(filter) {
        return Ok(Some(RouteTableFilter::Tags(tags)));
    }
    let texts = || filter.texts().map(str::to_owned).collect();
    Ok(Some(match filter.name {
        "route-table-id" => RouteTableFilter::Ids(filter_ids(filter)?),
        "vpc-id" => RouteTableFilter::Vpcs(filter_ids(filter)?),
        "route-table-name" => RouteTableFilter::NameParts(texts()),
        "association.main" => match (admits(filter, true)?, admits(filter, false)?) {
            (true, true) => return Ok(None),
            (main, false) => RouteTableFilter::Default(main),
            (false, true) => RouteTableFilter::Default(false),
        },
        "visible" if admits(filter, true)? => return Ok(None),
        "next-hop-type" if filter.texts().any(|word| word == PEERING) => {
            RouteTableFilter::ToPeerings
        }
        // All tables are visible, and there are only routes to peerings.
        _ => RouteTableFilter::Nothing,
    }))
}

fn route_list(region: Region, arguments: &Arguments, _: &Limits) -> Result<Command, Error> {
    let filters = arguments.filters().map(route_filter);
    Ok(Command::RouteList(RouteQuery {
        region,
        filters: filters.collect::<Result<_, _>>()?,
        paging: paging(arguments, Direction::Ascending),
    }))
}

fn route_filter(filter: Filter<'_>) -> Result<RouteFilter, Error> {
    let texts = || filter.texts().map(str::to_owned).collect();
    Ok(match filter.name {
        "vpc-id" => RouteFilter::Vpcs(filter_ids(filter)?),
        "route-table-id" => RouteFilter::Tables(filter_ids(filter)?),
        "gateway-id" => RouteFilter::NextHops(texts()),
        "description" => RouteFilter::DescriptionParts(texts()),
        _ => RouteFilter::DestinationStarts(texts()),
    })
}
