//! VPCs and subnets.

use std::net::Ipv4Addr;

use model::command::{
    Direction, Order, QuotaKind, QuotaQuery, SubnetCreate, SubnetFilter, SubnetModify, SubnetQuery,
    SubnetSpec, SubnetTarget, VpcCreate, VpcFilter, VpcModify, VpcQuery, VpcTarget,
};
use model::{CidrBlock, CidrError, Command, DomainError, Region, SubnetId, SubnetRef, Zone};

use super::{
    Action, Build, Product, TAGS, answer, apart_from_filters, filters, ids, paging, parse_id,
    tag_filter, tags, vpc,
};
use crate::tencent::request::Limits;
use crate::tencent::v3::error::{Error, Fault};
use crate::tencent::v3::field::{
    Arguments, Declared, Filter, Kind, MOST_ENTRIES, optional, required, shown,
};
use crate::tencent::v3::response;

const VPC: Kind = Kind::Id("vpc-");
const SUBNET: Kind = Kind::Id("subnet-");
const FLAG: Kind = Kind::Boolean(Declared::Plain);
const FLAG_TEXT: Kind = Kind::Boolean(Declared::AsText);
const TEXT: Kind = Kind::Text;
const STACK_TYPES: Kind = Kind::Word(&["DualStack", "IPv6Only"]);

pub(super) const LISTED: &[&str] = &[
    "InvalidParameter.Coexist",
    "InvalidParameter.FilterInvalidKey",
    "InvalidParameter.FilterMissParameter",
    "InvalidParameter.FilterNotDict",
    "InvalidParameter.FilterValuesNotList",
    "InvalidParameterValue.Empty",
    "InvalidParameterValue.LimitExceeded",
    "InvalidParameterValue.Malformed",
    "InvalidParameterValue.NotUtf8EncodingError",
    "InvalidParameterValue.Range",
    "ResourceNotFound",
];

const SUBNET_ERRORS: &[&str] = &[
    "InvalidParameterValue",
    "InvalidParameterValue.Duplicate",
    "InvalidParameterValue.Empty",
    "InvalidParameterValue.LimitExceeded",
    "InvalidParameterValue.Malformed",
    "InvalidParameterValue.SubnetConflict",
    "InvalidParameterValue.SubnetOverlap",
    "InvalidParameterValue.SubnetOverlapRoute",
    "InvalidParameterValue.SubnetRange",
    "InvalidParameterValue.TooLong",
    "InvalidParameterValue.ZoneConflict",
    "LimitExceeded",
    "MissingParameter",
    "ResourceNotFound",
    "UnsupportedOperation.AppIdMismatch",
    "UnsupportedOperation.RecordExists",
    "UnsupportedOperation.RecordNotExists",
    "InvalidParameterValue.TagDuplicateKey",
    "InvalidParameterValue.TagInvalidKey",
    "InvalidParameterValue.TagInvalidKeyLen",
    "InvalidParameterValue.TagInvalidVal",
    "LimitExceeded.TagKeyPerResourceExceeded",
    "UnsupportedOperation.TagSystemReservedTagKey",
];

pub(super) const ACTIONS: &[Action] = &[
    Action {
        name: "CreateSubnet",
        product: Product::Vpc,
        fields: &[
            required("VpcId", VPC),
            required("SubnetName", Kind::Name),
            required("Zone", TEXT),
            optional("CidrBlock", TEXT),
            optional("StackType", STACK_TYPES),
            optional("Ipv6CidrBlock", TEXT),
            optional("Tags", TAGS),
            optional("CdcId", TEXT),
            optional("ClientToken", Kind::ClientToken),
        ],
        answer: answer::SUBNET_CREATED,
        errors: SUBNET_ERRORS,
        build: Build::InRegion(subnet_create),
        render: response::subnet_created,
    },
    Action {
        name: "CreateSubnets",
        product: Product::Vpc,
        fields: &[
            required("VpcId", VPC),
            required(
                "Subnets",
                Kind::List {
                    of: &SUBNET_SPEC,
                    most: 100,
                },
            ),
            optional("Tags", TAGS),
            optional("CdcId", TEXT),
            optional("ClientToken", Kind::ClientToken),
        ],
        answer: answer::SUBNETS_CREATED,
        errors: SUBNET_ERRORS,
        build: Build::InRegion(subnets_create),
        render: response::subnets_created,
    },
    Action {
        name: "CreateVpc",
        product: Product::Vpc,
        fields: &[
            required("VpcName", Kind::Name),
            optional("CidrBlock", TEXT),
            optional("StackType", STACK_TYPES),
            optional("Ipv6CidrBlock", TEXT),
            optional("AddressType", Kind::Word(&["GUA", "ULA"])),
            optional("EnableMulticast", FLAG_TEXT),
            optional("DnsServers", Kind::List { of: &TEXT, most: 4 }),
            optional("DomainName", TEXT),
            optional("Tags", TAGS),
            optional("EnableRouteVpcPublish", FLAG),
            optional("EnableRouteVpcPublishIpv6", FLAG),
            optional("ClientToken", Kind::ClientToken),
        ],
        answer: answer::VPC_CREATED,
        errors: &[
            "InvalidParameterValue",
            "InvalidParameterValue.LimitExceeded",
            "InvalidParameterValue.Malformed",
            "InvalidParameterValue.SubnetOverlap",
            "InvalidParameterValue.TooLong",
            "LimitExceeded",
            "MissingParameter",
            "ResourceInsufficient",
            "ResourceNotFound",
            "UnauthorizedOperation",
            "UnsupportedOperation.AppIdMismatch",
            "UnsupportedOperation.EnableMulticast",
            "UnsupportedOperation.RecordExists",
            "InvalidParameterValue.TagDuplicateKey",
            "InvalidParameterValue.TagInvalidKey",
            "InvalidParameterValue.TagInvalidKeyLen",
            "InvalidParameterValue.TagInvalidVal",
            "LimitExceeded.TagKeyPerResourceExceeded",
            "UnsupportedOperation.TagSystemReservedTagKey",
        ],
        build: Build::InRegion(vpc_create),
        render: response::vpc_created,
    },
    Action {
        name: "DeleteSubnet",
        product: Product::Vpc,
        fields: &[required("SubnetId", SUBNET)],
        answer: &[],
        errors: &[
            "InvalidParameterValue.Malformed",
            "ResourceInUse",
            "ResourceNotFound",
            "UnsupportedOperation.RecordNotExists",
        ],
        build: Build::InRegion(|region, arguments, _| {
            subnet_target(region, arguments).map(Command::SubnetDelete)
        }),
        render: response::done,
    },
    Action {
        name: "DeleteVpc",
        product: Product::Vpc,
        fields: &[required("VpcId", VPC)],
        answer: &[],
        errors: &[
            "FailedOperation.NetDetectTimeOut",
            "InvalidParameterValue.Malformed",
            "LimitExceeded.ActionLimited",
            "ResourceInUse",
            "ResourceNotFound",
            "UnsupportedOperation.AppIdMismatch",
            "UnsupportedOperation.RecordNotExists",
            "UnsupportedOperation.RouteTableHasSubnetRule",
        ],
        build: Build::InRegion(|region, arguments, _| {
            vpc_target(region, arguments).map(Command::VpcDelete)
        }),
        render: response::done,
    },
    Action {
        name: "DescribeSubnets",
        product: Product::Vpc,
        fields: &[
            optional(
                "SubnetIds",
                Kind::List {
                    of: &SUBNET,
                    most: MOST_ENTRIES as usize,
                },
            ),
            optional("Filters", Kind::Filters(SUBNET_FILTERS)),
            optional("Offset", Kind::Offset(Declared::AsText)),
            optional("Limit", Kind::Limit(Declared::AsText)),
            optional("MaxResults", Kind::Limit(Declared::Plain)),
            optional("NextToken", TEXT),
        ],
        answer: answer::SUBNETS,
        errors: LISTED,
        build: Build::InRegion(subnet_list),
        render: response::subnets,
    },
    Action {
        name: "DescribeVpcLimits",
        product: Product::Vpc,
        fields: &[required(
            "LimitTypes",
            Kind::List {
                of: &TEXT,
                most: 100,
            },
        )],
        answer: answer::QUOTAS,
        errors: &[
            "InvalidParameterValue",
            "InvalidParameterValue.LimitExceeded",
        ],
        build: Build::InRegion(quota_list),
        render: response::quotas,
    },
    Action {
        name: "DescribeVpcs",
        product: Product::Vpc,
        fields: &[
            optional(
                "VpcIds",
                Kind::List {
                    of: &VPC,
                    most: MOST_ENTRIES as usize,
                },
            ),
            optional("Filters", Kind::Filters(VPC_FILTERS)),
            optional("Offset", Kind::Offset(Declared::AsText)),
            optional("Limit", Kind::Limit(Declared::AsText)),
        ],
        answer: answer::VPCS,
        errors: LISTED,
        build: Build::InRegion(vpc_list),
        render: response::vpcs,
    },
    Action {
        name: "ModifySubnetAttribute",
        product: Product::Vpc,
        fields: &[
            required("SubnetId", SUBNET),
            optional("SubnetName", Kind::Name),
            optional("EnableBroadcast", FLAG_TEXT),
        ],
        answer: &[],
        errors: &[
            "InvalidParameterValue",
            "InvalidParameterValue.Empty",
            "InvalidParameterValue.Malformed",
            "InvalidParameterValue.TooLong",
            "ResourceNotFound",
        ],
        build: Build::InRegion(subnet_modify),
        render: response::done,
    },
    Action {
        name: "ModifyVpcAttribute",
        product: Product::Vpc,
        fields: &[
            required("VpcId", VPC),
            optional("VpcName", Kind::Name),
            optional("EnableMulticast", FLAG_TEXT),
            optional("DnsServers", Kind::List { of: &TEXT, most: 4 }),
            optional("DomainName", TEXT),
            optional("EnableRouteVpcPublish", FLAG),
            optional("EnableRouteVpcPublishIpv6", FLAG),
            optional("EnableCdcPublish", FLAG),
        ],
        answer: &[],
        errors: &[
            "InvalidParameterValue",
            "InvalidParameterValue.Empty",
            "InvalidParameterValue.LimitExceeded",
            "InvalidParameterValue.Malformed",
            "InvalidParameterValue.TooLong",
            "ResourceNotFound",
            "UnauthorizedOperation",
            "UnsupportedOperation.EnableMulticast",
        ],
        build: Build::InRegion(vpc_modify),
        render: response::done,
    },
];

const SUBNET_SPEC: Kind = Kind::Object(&[
    required("SubnetName", Kind::Name),
    required("Zone", TEXT),
    optional("CidrBlock", TEXT),
    optional("StackType", STACK_TYPES),
    optional("Ipv6CidrBlock", TEXT),
    optional("RouteTableId", Kind::Id("rtb-")),
]);

const VPC_FILTERS: &[&str] = &[
    "vpc-name",
    "is-default",
    "vpc-id",
    "cidr-block",
    "tag-key",
    "tag:*",
    "ipv6-cidr-block",
    "isp-type",
    "address-type",
];

const SUBNET_FILTERS: &[&str] = &[
    "subnet-id",
    "vpc-id",
    "cidr-block",
    "is-default",
    "is-remote-vpc-snat",
    "subnet-name",
    "zone",
    "tag-key",
    "tag:*",
    "cdc-id",
    "is-cdc-subnet",
    "ipv6-cidr-block",
    "isp-type",
    "address-type",
];

fn vpc_create(region: Region, arguments: &Arguments, _: &Limits) -> Result<Command, Error> {
    refuse_unsupported(arguments)?;
    refuse_multicast(arguments)?;
    check_dns_servers(arguments)?;
    let cidr = cidr(arguments, DomainError::VpcCidr)?;
    Ok(Command::VpcCreate(VpcCreate {
        tags: tags(arguments),
        region,
        name: arguments.required_text("VpcName")?.to_owned(),
        cidr,
        subnets: Vec::new(),
    }))
}

fn refuse_multicast(arguments: &Arguments) -> Result<(), Error> {
    match arguments.boolean("EnableMulticast") {
        Some(true) => Err(Error::Multicast),
        Some(false) | None => Ok(()),
    }
}

fn check_dns_servers(arguments: &Arguments) -> Result<(), Error> {
    let mut servers = arguments.texts("DnsServers");
    match servers.find(|text| text.parse::<Ipv4Addr>().is_err()) {
        Some(text) => {
            let reason = format!("`{}` is not an IPv4 address", shown(text));
            Err(Error::value("DnsServers", Fault::NotAllowed, reason))
        }
        None => Ok(()),
    }
}

/// Refuses what is asked for and not offered, because to accept it silently would be a lie.
fn refuse_unsupported(arguments: &Arguments) -> Result<(), Error> {
    if arguments.text("StackType") == Some("IPv6Only") {
        return Err(Error::Unsupported(
            "a network of IPv6 only (`StackType`)".to_owned(),
        ));
    }
    let given = ["Ipv6CidrBlock", "AddressType", "CdcId"];
    match given.into_iter().find(|name| arguments.has(name)) {
        Some(name) => Err(Error::Unsupported(format!("`{name}`"))),
        None => Ok(()),
    }
}

/// The block that is only optional for networks of IPv6 only.
fn cidr(arguments: &Arguments, refusal: fn(String) -> DomainError) -> Result<CidrBlock, Error> {
    let text = arguments.required_text("CidrBlock")?;
    text.parse()
        .map_err(|error: CidrError| refusal(error.to_string()).into())
}

fn vpc_target(region: Region, arguments: &Arguments) -> Result<VpcTarget, Error> {
    let vpc = vpc(arguments, "VpcId")?;
    Ok(VpcTarget { region, vpc })
}

/// What is not kept is only accepted where it says what is so anyway.
fn vpc_modify(region: Region, arguments: &Arguments, _: &Limits) -> Result<Command, Error> {
    refuse_multicast(arguments)?;
    check_dns_servers(arguments)?;
    let flags = [
        "EnableRouteVpcPublish",
        "EnableRouteVpcPublishIpv6",
        "EnableCdcPublish",
    ];
    for name in flags {
        if arguments.boolean(name) == Some(true) {
            return Err(Error::Unsupported(format!("`{name}`")));
        }
    }
    Ok(Command::VpcModify(VpcModify {
        target: vpc_target(region, arguments)?,
        name: arguments.text("VpcName").map(str::to_owned),
    }))
}

fn subnet_target(region: Region, arguments: &Arguments) -> Result<SubnetTarget, Error> {
    let id = arguments.required_text("SubnetId")?;
    Ok(SubnetTarget {
        region,
        vpc: None,
        subnet: parse_id::<SubnetId>("SubnetId", id).map(SubnetRef::Unified)?,
    })
}

fn subnet_modify(region: Region, arguments: &Arguments, _: &Limits) -> Result<Command, Error> {
    if arguments.boolean("EnableBroadcast") == Some(true) {
        return Err(Error::Unsupported("`EnableBroadcast`".to_owned()));
    }
    Ok(Command::SubnetModify(SubnetModify {
        target: subnet_target(region, arguments)?,
        name: arguments.text("SubnetName").map(str::to_owned),
    }))
}

/// The words of quotas, in the order in which the domain's kinds answer them.
pub(in crate::tencent::v3) const QUOTA_WORDS: &[(&str, QuotaKind)] = &[
    ("appid-max-vpcs", QuotaKind::Vpcs),
    ("vpc-max-subnets", QuotaKind::Subnets),
    ("vpc-max-route-tables", QuotaKind::RouteTables),
    ("route-table-max-policies", QuotaKind::Routes),
    ("vpc-max-available-vpcpeers", QuotaKind::Peerings),
    ("vpc-max-vpcpeers", QuotaKind::PeeringsAndRequests),
    ("vpc-max-assistant_cidrs", QuotaKind::AssistantCidrs),
    // What is not offered has a limit of nothing.
    ("vpc-max-vpn-gateways", QuotaKind::Nothing(1)),
    ("vpc-max-nat-gateways", QuotaKind::Nothing(2)),
    ("vpc-max-network-acls", QuotaKind::Nothing(3)),
    ("vpc-max-enis", QuotaKind::Nothing(4)),
];

fn quota_list(region: Region, arguments: &Arguments, _: &Limits) -> Result<Command, Error> {
    let kinds = arguments.texts("LimitTypes").map(|word| {
        let known = QUOTA_WORDS.iter().find(|(known, _)| *known == word);
        known.map(|(_, kind)| *kind).ok_or_else(|| {
            let reason = format!("`{}` is not a kind of limit here", shown(word));
            Error::value("LimitTypes", Fault::NotAllowed, reason)
        })
    });
    Ok(Command::QuotaList(QuotaQuery {
        region,
        kinds: kinds.collect::<Result<_, _>>()?,
    }))
}

fn subnet_create(region: Region, arguments: &Arguments, _: &Limits) -> Result<Command, Error> {
    Ok(Command::SubnetCreate(SubnetCreate {
        tags: tags(arguments),
        region,
        vpc: vpc(arguments, "VpcId")?,
        subnets: vec![subnet_spec(region, arguments)?],
    }))
}

fn subnets_create(region: Region, arguments: &Arguments, _: &Limits) -> Result<Command, Error> {
    refuse_unsupported(arguments)?;
    let specs = arguments.objects("Subnets").map(|spec| {
        if spec.has("RouteTableId") {
            return Err(Error::Unsupported(
                "`RouteTableId` of a new subnet".to_owned(),
            ));
        }
        subnet_spec(region, spec)
    });
    let subnets: Vec<SubnetSpec> = specs.collect::<Result<_, _>>()?;
    if subnets.is_empty() {
        return Err(Error::value("Subnets", Fault::Empty, "it is empty"));
    }
    Ok(Command::SubnetCreate(SubnetCreate {
        tags: tags(arguments),
        region,
        vpc: vpc(arguments, "VpcId")?,
        subnets,
    }))
}

fn subnet_spec(region: Region, arguments: &Arguments) -> Result<SubnetSpec, Error> {
    refuse_unsupported(arguments)?;
    Ok(SubnetSpec {
        name: arguments.required_text("SubnetName")?.to_owned(),
        cidr: cidr(arguments, DomainError::SubnetCidr)?,
        zone: zone(region, arguments.required_text("Zone")?)?,
    })
}

/// A zone by its name, which starts with that of its region.
fn zone(region: Region, text: &str) -> Result<Zone, Error> {
    let index = text
        .strip_prefix(region.long())
        .and_then(|rest| rest.strip_prefix('-'));
    let is_decimal =
        |index: &&str| index.bytes().all(|byte| byte.is_ascii_digit()) && !index.starts_with('0');
    let index: Option<u32> = index
        .filter(is_decimal)
        .and_then(|index| index.parse().ok());
    let number = index
        .filter(|index| (1..100_000).contains(index))
        .map(|index| Zone(region.zone_prefix() * 100_000 + index));
    number.ok_or_else(|| {
        let reason = format!("`{}` is not a zone of {}", shown(text), region.long());
        Error::value("Zone", Fault::NotAllowed, reason)
    })
}

fn vpc_list(region: Region, arguments: &Arguments, _: &Limits) -> Result<Command, Error> {
    apart_from_filters(arguments, "VpcIds")?;
    Ok(Command::VpcList(VpcQuery {
        region,
        vpc: None,
        name: None,
        only: ids(arguments, "VpcIds")?,
        filters: filters(arguments, vpc_filter)?,
        order: Order::CreateTime,
        paging: paging(arguments, Direction::Descending),
    }))
}

/// `None` for a filter that all VPCs pass.
fn vpc_filter(filter: Filter<'_>) -> Result<Option<VpcFilter>, Error> {
    if let Some(tags) = tag_filter(filter) {
        return Ok(Some(VpcFilter::Tags(tags)));
    }
    let texts = || filter.texts().map(str::to_owned).collect();
    Ok(Some(match filter.name {
        "vpc-id" => VpcFilter::Ids(filter_ids(filter)?),
        "vpc-name" => VpcFilter::NameParts(texts()),
        "cidr-block" => VpcFilter::Cidrs(texts()),
        "is-default" if admits(filter, false)? => return Ok(None),
        // No VPC is a default one or has IPv6.
        _ => VpcFilter::Nothing,
    }))
}

fn subnet_list(region: Region, arguments: &Arguments, _: &Limits) -> Result<Command, Error> {
    apart_from_filters(arguments, "SubnetIds")?;
    for name in ["MaxResults", "NextToken"] {
        if arguments.has(name) {
            return Err(Error::Unsupported(format!(
                "`{name}`; use Offset and Limit"
            )));
        }
    }
    Ok(Command::SubnetList(SubnetQuery {
        region,
        vpc: None,
        subnet: None,
        name: None,
        zones: Vec::new(),
        only: ids(arguments, "SubnetIds")?,
        filters: filters(arguments, subnet_filter)?,
        order: Order::CreateTime,
        paging: paging(arguments, Direction::Descending),
    }))
}

/// `None` for a filter that all subnets pass.
fn subnet_filter(filter: Filter<'_>) -> Result<Option<SubnetFilter>, Error> {
    if let Some(tags) = tag_filter(filter) {
        return Ok(Some(SubnetFilter::Tags(tags)));
    }
    let texts = || filter.texts().map(str::to_owned).collect();
    Ok(Some(match filter.name {
        "subnet-id" => SubnetFilter::Ids(filter_ids(filter)?),
        "vpc-id" => SubnetFilter::Vpcs(filter_ids(filter)?),
        "subnet-name" => SubnetFilter::NameParts(texts()),
        "cidr-block" => SubnetFilter::Cidrs(texts()),
        "zone" => SubnetFilter::Zones(texts()),
        "is-default" | "is-remote-vpc-snat" if admits(filter, false)? => return Ok(None),
        "is-cdc-subnet" if filter.texts().any(|value| value == "0") => return Ok(None),
        // No subnet is a default one, has IPv6 or lies in a dedicated cluster.
        _ => SubnetFilter::Nothing,
    }))
}

pub(super) fn filter_ids<T: std::str::FromStr<Err = model::IdError>>(
    filter: Filter<'_>,
) -> Result<Vec<T>, Error> {
    filter.texts().map(|id| parse_id(filter.name, id)).collect()
}

/// Whether a filter by a truth value admits this one.
pub(super) fn admits(filter: Filter<'_>, wanted: bool) -> Result<bool, Error> {
    let mut admitted = false;
    for value in filter.texts() {
        let value = match value.to_ascii_lowercase().as_str() {
            "true" => true,
            "false" => false,
            other => {
                let reason = format!("`{}` is not true or false", shown(other));
                return Err(Error::value(filter.name, Fault::NotAllowed, reason));
            }
        };
        admitted |= value == wanted;
    }
    Ok(admitted)
}
