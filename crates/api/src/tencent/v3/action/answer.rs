//! The members of answers, as the pages declare them.

use crate::tencent::v3::field::{Declared, Field, Kind, required};

const TEXT: Kind = Kind::Text;
const COUNT: Kind = Kind::Integer {
    least: 0,
    most: i64::MAX,
};
const FLAG: Kind = Kind::Boolean(Declared::Plain);
const ANY_NUMBER: usize = usize::MAX;

const TAG: Kind = Kind::Object(&[required("Key", TEXT), required("Value", TEXT)]);
const TAGS: Kind = Kind::List {
    of: &TAG,
    most: ANY_NUMBER,
};
const TEXTS: Kind = Kind::List {
    of: &TEXT,
    most: ANY_NUMBER,
};

const PEER_CONNECTION: Kind = Kind::Object(&[
    required("SourceVpcId", Kind::Id("vpc-")),
    required("PeerVpcId", Kind::Id("vpc-")),
    required("DestinationVpcId", Kind::Id("vpc-")),
    required("PeeringConnectionId", Kind::Id("pcx-")),
    required("PeeringConnectionName", Kind::Name),
    required(
        "State",
        Kind::Word(&[
            "PENDING", "ACTIVE", "EXPIRED", "REJECTED", "DELETED", "FAILED", "ISOLATED",
        ]),
    ),
    required("IsNgw", FLAG),
    required("Bandwidth", COUNT),
    required("SourceRegion", TEXT),
    required("DestinationRegion", TEXT),
    required("CreateTime", TEXT),
    required("AppId", COUNT),
    required("PeerAppId", COUNT),
    required(
        "ChargeType",
        Kind::Word(&["POSTPAID_BY_DAY_MAX", "POSTPAID_BY_MONTH_95"]),
    ),
    required("SourceUin", COUNT),
    required("DestinationUin", COUNT),
    required("TagSet", TAGS),
    required("QosLevel", Kind::Word(&["PT", "AU", "AG"])),
    required("Type", Kind::Word(&["VPC_PEER"])),
]);

pub(super) const PEERINGS: &[Field] = &[
    required("TotalCount", COUNT),
    required(
        "PeerConnectionSet",
        Kind::List {
            of: &PEER_CONNECTION,
            most: ANY_NUMBER,
        },
    ),
];

const TASK_RESOURCE: Kind = Kind::Object(&[required("ResourceId", TEXT), required("Status", TEXT)]);

pub(super) const TASK_RESULT: &[Field] = &[
    required("Status", Kind::Word(&["SUCCESS", "FAILED", "RUNNING"])),
    required("Output", TEXT),
    required(
        "Result",
        Kind::List {
            of: &TASK_RESOURCE,
            most: ANY_NUMBER,
        },
    ),
];

const IPV6_BLOCK: Kind = Kind::Object(&[
    required("IPv6CidrBlock", TEXT),
    required("ISPType", TEXT),
    required("AddressType", TEXT),
]);

const VPC: Kind = Kind::Object(&[
    required("VpcId", Kind::Id("vpc-")),
    required("VpcName", Kind::Name),
    required("CidrBlock", TEXT),
    required("IsDefault", FLAG),
    required("EnableMulticast", FLAG),
    required("CreatedTime", TEXT),
    required("DnsServerSet", TEXTS),
    required("DomainName", TEXT),
    required("DhcpOptionsId", TEXT),
    required("EnableDhcp", FLAG),
    required("Ipv6CidrBlock", TEXT),
    required(
        "Ipv6CidrBlockSet",
        Kind::List {
            of: &IPV6_BLOCK,
            most: ANY_NUMBER,
        },
    ),
    required("TagSet", TAGS),
    required("AssistantCidrSet", ASSISTANT_CIDR_LIST),
    required("EnableRouteVpcPublish", FLAG),
    required("EnableRouteVpcPublishIpv6", FLAG),
    required("StackType", TEXT),
]);

pub(super) const VPC_CREATED: &[Field] = &[required("Vpc", VPC)];

pub(super) const VPCS: &[Field] = &[
    required("TotalCount", COUNT),
    required(
        "VpcSet",
        Kind::List {
            of: &VPC,
            most: ANY_NUMBER,
        },
    ),
];

const SUBNET: Kind = Kind::Object(&[
    required("VpcId", Kind::Id("vpc-")),
    required("SubnetId", Kind::Id("subnet-")),
    required("SubnetName", Kind::Name),
    required("CidrBlock", TEXT),
    required("IsDefault", FLAG),
    required("EnableBroadcast", FLAG),
    required("Zone", TEXT),
    required("RouteTableId", Kind::Id("rtb-")),
    required("CreatedTime", TEXT),
    required("AvailableIpAddressCount", COUNT),
    required("TotalIpAddressCount", COUNT),
    required("Ipv6CidrBlock", TEXT),
    required("NetworkAclId", TEXT),
    required("IsRemoteVpcSnat", FLAG),
    required("TagSet", TAGS),
    required("CdcId", TEXT),
    required("IsCdcSubnet", COUNT),
    required("StackType", TEXT),
]);

const SUBNET_LIST: Kind = Kind::List {
    of: &SUBNET,
    most: ANY_NUMBER,
};

const ASSISTANT_CIDR: Kind = Kind::Object(&[
    required("VpcId", Kind::Id("vpc-")),
    required("CidrBlock", TEXT),
    required("AssistantType", COUNT),
    required("SubnetSet", SUBNET_LIST),
]);

const ASSISTANT_CIDR_LIST: Kind = Kind::List {
    of: &ASSISTANT_CIDR,
    most: ANY_NUMBER,
};

pub(super) const ASSISTANT_CIDRS_CHANGED: &[Field] =
    &[required("AssistantCidrSet", ASSISTANT_CIDR_LIST)];

pub(super) const ASSISTANT_CIDRS: &[Field] = &[
    required("AssistantCidrSet", ASSISTANT_CIDR_LIST),
    required("TotalCount", COUNT),
];

const CONFLICT_ITEM: Kind = Kind::Object(&[
    required("ConflictId", TEXT),
    required("DestinationItem", TEXT),
    required("ConfilctId", TEXT),
]);

const CONFLICT_SOURCE: Kind = Kind::Object(&[
    required("ConflictSourceId", TEXT),
    required("SourceItem", TEXT),
    required(
        "ConflictItemSet",
        Kind::List {
            of: &CONFLICT_ITEM,
            most: ANY_NUMBER,
        },
    ),
]);

pub(super) const ASSISTANT_CIDR_CONFLICTS: &[Field] = &[required(
    "ConflictSourceSet",
    Kind::List {
        of: &CONFLICT_SOURCE,
        most: ANY_NUMBER,
    },
)];

pub(super) const SUBNET_CREATED: &[Field] = &[required("Subnet", SUBNET)];

pub(super) const SUBNETS_CREATED: &[Field] = &[required("SubnetSet", SUBNET_LIST)];

pub(super) const SUBNETS: &[Field] = &[
    required("TotalCount", COUNT),
    required("SubnetSet", SUBNET_LIST),
    required("NextToken", TEXT),
];

const ROUTE: Kind = Kind::Object(&[
    required("DestinationCidrBlock", TEXT),
    required("GatewayType", TEXT),
    required("GatewayId", TEXT),
    required("RouteId", COUNT),
    required("RouteItemId", Kind::Id("rti-")),
    required("RouteDescription", TEXT),
    required("Enabled", FLAG),
    required("RouteType", Kind::Word(&["USER"])),
    required("RouteTableId", Kind::Id("rtb-")),
    required("DestinationIpv6CidrBlock", TEXT),
    required("PublishedToVbc", FLAG),
    required("CreatedTime", TEXT),
    required("CdcId", TEXT),
]);

const ROUTE_LIST: Kind = Kind::List {
    of: &ROUTE,
    most: ANY_NUMBER,
};

const ASSOCIATION: Kind = Kind::Object(&[
    required("SubnetId", Kind::Id("subnet-")),
    required("RouteTableId", Kind::Id("rtb-")),
]);

const LOCAL_CIDR: Kind = Kind::Object(&[required("Cidr", TEXT), required("PublishedToVbc", FLAG)]);

const ROUTE_TABLE: Kind = Kind::Object(&[
    required("VpcId", Kind::Id("vpc-")),
    required("RouteTableId", Kind::Id("rtb-")),
    required("RouteTableName", Kind::Name),
    required("Main", FLAG),
    required("CreatedTime", TEXT),
    required(
        "AssociationSet",
        Kind::List {
            of: &ASSOCIATION,
            most: ANY_NUMBER,
        },
    ),
    required("RouteSet", ROUTE_LIST),
    required("TagSet", TAGS),
    required(
        "LocalCidrForCcn",
        Kind::List {
            of: &LOCAL_CIDR,
            most: ANY_NUMBER,
        },
    ),
]);

pub(super) const ROUTE_TABLE_CREATED: &[Field] = &[required("RouteTable", ROUTE_TABLE)];

pub(super) const ROUTE_TABLES: &[Field] = &[
    required("TotalCount", COUNT),
    required(
        "RouteTableSet",
        Kind::List {
            of: &ROUTE_TABLE,
            most: ANY_NUMBER,
        },
    ),
];

pub(super) const ROUTES_CREATED: &[Field] = ROUTE_TABLES;

pub(super) const ROUTES_DELETED: &[Field] = &[required("RouteSet", ROUTE_LIST)];

pub(super) const ROUTES_REPLACED: &[Field] = &[
    required("OldRouteSet", ROUTE_LIST),
    required("NewRouteSet", ROUTE_LIST),
];

pub(super) const ROUTES: &[Field] = &[
    required("RouteSet", ROUTE_LIST),
    required("TotalCount", COUNT),
];

const ROUTE_CONFLICT: Kind = Kind::Object(&[
    required("RouteTableId", Kind::Id("rtb-")),
    required("DestinationCidrBlock", TEXT),
    required("ConflictSet", ROUTE_LIST),
]);

pub(super) const ROUTE_CONFLICTS: &[Field] = &[required(
    "RouteConflictSet",
    Kind::List {
        of: &ROUTE_CONFLICT,
        most: ANY_NUMBER,
    },
)];

const QUOTA: Kind = Kind::Object(&[required("LimitType", TEXT), required("LimitValue", COUNT)]);

pub(super) const QUOTAS: &[Field] = &[required(
    "VpcLimitSet",
    Kind::List {
        of: &QUOTA,
        most: ANY_NUMBER,
    },
)];

pub(super) const IDENTITY: &[Field] = &[
    required("Arn", TEXT),
    required("AccountId", TEXT),
    required("UserId", TEXT),
    required("PrincipalId", TEXT),
    required("Type", TEXT),
];

pub(super) const APP_ID: &[Field] = &[
    required("Uin", TEXT),
    required("OwnerUin", TEXT),
    required("AppId", COUNT),
];

const SUB_ACCOUNT: Kind = Kind::Object(&[
    required("Uin", COUNT),
    required("Name", TEXT),
    required("Uid", COUNT),
    required("Remark", TEXT),
    required("CreateTime", TEXT),
    required("UserType", COUNT),
    required("LastLoginIp", TEXT),
    required("LastLoginTime", TEXT),
]);

pub(super) const SUB_ACCOUNTS: &[Field] = &[required(
    "SubAccounts",
    Kind::List {
        of: &SUB_ACCOUNT,
        most: ANY_NUMBER,
    },
)];

const REGION: Kind = Kind::Object(&[
    required("Region", TEXT),
    required("RegionName", TEXT),
    required("RegionState", TEXT),
]);

pub(super) const REGIONS: &[Field] = &[
    required("TotalCount", COUNT),
    required(
        "RegionSet",
        Kind::List {
            of: &REGION,
            most: ANY_NUMBER,
        },
    ),
];

const ZONE: Kind = Kind::Object(&[
    required("Zone", TEXT),
    required("ZoneName", TEXT),
    required("ZoneId", TEXT),
    required("ZoneState", TEXT),
]);

pub(super) const ZONES: &[Field] = &[
    required("TotalCount", COUNT),
    required(
        "ZoneSet",
        Kind::List {
            of: &ZONE,
            most: ANY_NUMBER,
        },
    ),
];

const RESOURCE_TAG: Kind = Kind::Object(&[
    required("TagKey", TEXT),
    required("TagValue", TEXT),
    required("ResourceId", TEXT),
    required("TagKeyMd5", TEXT),
    required("TagValueMd5", TEXT),
    required("ServiceType", TEXT),
    required("Category", TEXT),
]);

pub(super) const RESOURCE_TAGS: &[Field] = &[
    required("TotalCount", COUNT),
    required("Offset", COUNT),
    required("Limit", COUNT),
    required(
        "Tags",
        Kind::List {
            of: &RESOURCE_TAG,
            most: ANY_NUMBER,
        },
    ),
];
