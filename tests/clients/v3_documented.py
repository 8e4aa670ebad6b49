"""The codes that the pages of API 3.0 give for each action, and the requests that cause them.

`DOCUMENTED` are the lists of the pages, and beside them the codes that all actions have in common. Each entry is caused
by a case of `cases`, or has a reason in `NEVER` why nothing here answers it; a test asserts that none is left out.
Parameters are JSON, so that the same cases go through every client.
"""

import dataclasses

from server import FIRST_UIN, SECOND_UIN

CREATE = ["InternalError", "InvalidParameter", "InvalidParameterValue", "InvalidParameterValue.Combination",
          "InvalidParameterValue.DuplicateRegion", "InvalidParameterValue.Empty", "InvalidParameterValue.Malformed",
          "LimitExceeded.VpcPeerAvaLimitExceeded", "LimitExceeded.VpcPeerTotalLimitExceeded", "MissingParameter",
          "ResourceNotFound", "UnauthorizedOperation.VpcPeerCidrConflict", "UnsupportedOperation",
          "UnsupportedOperation.PurchaseLimit", "UnsupportedOperation.VpcPeerAlreadyExist",
          "UnsupportedOperation.VpcPeerCidrConflict"]
LIST = ["InvalidParameter.Coexist", "InvalidParameter.FilterInvalidKey", "InvalidParameter.FilterNotDict",
        "InvalidParameter.FilterValuesNotList", "InvalidParameterValue.LimitExceeded", "InvalidParameterValue.Malformed",
        "InvalidParameterValue.NotUtf8EncodingError", "InvalidParameterValue.Range", "ResourceNotFound"]
SUBNET = ["InvalidParameterValue", "InvalidParameterValue.Duplicate", "InvalidParameterValue.Empty",
          "InvalidParameterValue.LimitExceeded", "InvalidParameterValue.Malformed", "InvalidParameterValue.SubnetConflict",
          "InvalidParameterValue.SubnetOverlap", "InvalidParameterValue.SubnetOverlapRoute",
          "InvalidParameterValue.SubnetRange", "InvalidParameterValue.TooLong", "InvalidParameterValue.ZoneConflict",
          "LimitExceeded", "MissingParameter", "ResourceNotFound", "UnsupportedOperation.AppIdMismatch",
          "UnsupportedOperation.RecordExists", "UnsupportedOperation.RecordNotExists"]
ROUTES = ["InvalidParameterValue", "InvalidParameterValue.CidrNotInPeerVpc", "InvalidParameterValue.Duplicate",
          "InvalidParameterValue.Malformed", "InvalidParameterValue.RouteNextHopInvalid",
          "InvalidParameterValue.RoutePolicyPriorityConflict", "InvalidParameterValue.SubnetOverlapRoute",
          "InvalidParameterValue.VpcCidrConflict", "InvalidParameterValue.VpcCidrOverlapRoute", "LimitExceeded",
          "ResourceNotFound", "UnknownParameter.WithGuess", "UnsupportedOperation", "UnsupportedOperation.Ecmp",
          "UnsupportedOperation.EcmpWithCcnRoute", "UnsupportedOperation.EcmpWithUserRoute",
          "UnsupportedOperation.ConflictWithDockerRoute", "UnsupportedOperation.SystemRoute"]

PAGES = {
    "CreateVpcPeeringConnection": CREATE,
    "ModifyVpcPeeringConnection": CREATE,
    "AcceptVpcPeeringConnection": [
        "InternalServerError", "InvalidParameter.Coexist", "InvalidParameterValue.Malformed", "ResourceNotFound",
        "UnsupportedOperation.VpcPeerInvalidStateChange", "UnsupportedOperation.VpcPeerPurviewError",
    ],
    "RejectVpcPeeringConnection": [
        "InternalError", "InvalidParameterValue.Malformed", "ResourceNotFound",
        "UnsupportedOperation.VpcPeerInvalidStateChange", "UnsupportedOperation.VpcPeerPurviewError",
    ],
    "DeleteVpcPeeringConnection": [
        "InternalError", "InvalidParameterValue.Malformed", "ResourceNotFound",
        "UnsupportedOperation.MutexOperationTaskRunning", "UnsupportedOperation.NotSupportDeleteVpcBmPeer",
        "UnsupportedOperation.VpcPeerPurviewError",
    ],
    "DescribeVpcPeeringConnections": [
        "InternalError", "InvalidParameter", "InvalidParameter.Coexist", "InvalidParameter.FilterNotDict",
        "InvalidParameterValue", "InvalidParameterValue.LimitExceeded", "InvalidParameterValue.Malformed",
        "InvalidParameterValue.Range", "InvalidParameterValue.TooLong", "LimitExceeded", "ResourceNotFound",
        "UnknownParameter",
    ],
    "DescribeVpcTaskResult": ["InternalError.ModuleError", "InvalidParameterValue", "ResourceNotFound",
                              "UnauthorizedOperation", "UnsupportedOperation"],
    "CreateVpc": [
        "InvalidParameterValue", "InvalidParameterValue.LimitExceeded", "InvalidParameterValue.Malformed",
        "InvalidParameterValue.SubnetOverlap", "InvalidParameterValue.TooLong", "LimitExceeded", "MissingParameter",
        "ResourceInsufficient", "ResourceNotFound", "UnauthorizedOperation", "UnsupportedOperation.AppIdMismatch",
        "UnsupportedOperation.EnableMulticast", "UnsupportedOperation.RecordExists",
    ],
    "DeleteVpc": [
        "FailedOperation.NetDetectTimeOut", "InvalidParameterValue.Malformed", "LimitExceeded.ActionLimited",
        "ResourceInUse", "ResourceNotFound", "UnsupportedOperation.AppIdMismatch", "UnsupportedOperation.RecordNotExists",
        "UnsupportedOperation.RouteTableHasSubnetRule",
    ],
    "ModifyVpcAttribute": [
        "InvalidParameterValue", "InvalidParameterValue.LimitExceeded", "InvalidParameterValue.Malformed",
        "InvalidParameterValue.TooLong", "ResourceNotFound", "UnauthorizedOperation",
        "UnsupportedOperation.EnableMulticast",
    ],
    "DescribeVpcs": LIST,
    "DescribeSubnets": [*LIST, "InvalidParameterValue.Empty"],
    "DescribeRouteTables": [*LIST, "InvalidParameter.FilterMissParameter"],
    "CreateSubnet": SUBNET,
    "CreateSubnets": [*SUBNET, "UnknownParameter.WithGuess"],
    "DeleteSubnet": ["InvalidParameterValue.Malformed", "ResourceInUse", "ResourceNotFound",
                     "UnsupportedOperation.RecordNotExists"],
    "ModifySubnetAttribute": ["InvalidParameterValue", "InvalidParameterValue.Malformed",
                              "InvalidParameterValue.TooLong", "ResourceNotFound"],
    "CreateRouteTable": [
        "InvalidParameter", "InvalidParameterValue", "InvalidParameterValue.Duplicate",
        "InvalidParameterValue.LimitExceeded", "InvalidParameterValue.Malformed", "InvalidParameterValue.TooLong",
        "LimitExceeded", "MissingParameter", "ResourceNotFound",
    ],
    "DeleteRouteTable": [
        "InvalidParameterValue.Malformed", "ResourceNotFound", "UnsupportedOperation.DelDefaultRoute",
        "UnsupportedOperation.DelRouteWithSubnet", "UnsupportedOperation.NotSupportDeleteDefaultRouteTable",
        "UnsupportedOperation.RouteTableHasSubnetRule",
    ],
    "ModifyRouteTableAttribute": ["InvalidParameterValue.Malformed", "InvalidParameterValue.TooLong", "ResourceNotFound"],
    "ReplaceRouteTableAssociation": ["InvalidParameterValue.Malformed", "ResourceNotFound",
                                     "UnsupportedOperation.VpcMismatch"],
    "CreateRoutes": ROUTES,
    "ReplaceRoutes": [*ROUTES, "UnsupportedOperation.RecordNotExists"],
    "ResetRoutes": ["InvalidParameterValue.Malformed", "ResourceNotFound"],
    "DeleteRoutes": ["InvalidParameterValue.LimitExceeded", "InvalidParameterValue.Malformed", "ResourceNotFound",
                     "UnsupportedOperation.DisabledNotifyCcn", "UnsupportedOperation.SystemRoute"],
    "EnableRoutes": [
        "InvalidParameter.Coexist", "InvalidParameterValue.Duplicate", "InvalidParameterValue.LimitExceeded",
        "InvalidParameterValue.Malformed", "MissingParameter", "ResourceNotFound", "UnsupportedOperation.Ecmp",
        "UnsupportedOperation.EcmpWithCcnRoute", "UnsupportedOperation.EcmpWithUserRoute",
    ],
    "DisableRoutes": ["InvalidParameter.Coexist", "InvalidParameterValue.LimitExceeded",
                      "InvalidParameterValue.Malformed", "MissingParameter", "ResourceNotFound"],
    "DescribeRoutes": ["InvalidParameterValue.LimitExceeded", "InvalidParameterValue.Range"],
    "DescribeRouteList": ["InvalidParameterValue.LimitExceeded", "InvalidParameterValue.Range"],
    "DescribeRouteConflicts": ["InvalidParameterValue.Malformed", "ResourceNotFound"],
    "DescribeVpcLimits": ["InvalidParameterValue", "InvalidParameterValue.LimitExceeded"],
}

# What any action may answer.
COMMON = [
    "ActionOffline", "AuthFailure.InvalidAuthorization", "AuthFailure.InvalidSecretId", "AuthFailure.MFAFailure",
    "AuthFailure.SecretIdNotFound", "AuthFailure.SignatureExpire", "AuthFailure.SignatureFailure",
    "AuthFailure.TokenFailure", "AuthFailure.UnauthorizedOperation", "DryRunOperation", "FailedOperation",
    "InternalError", "InvalidAction", "InvalidParameter", "InvalidParameterValue", "InvalidRequest", "IpInBlacklist",
    "IpNotInWhitelist", "LimitExceeded", "MissingParameter", "NoSuchProduct", "NoSuchVersion", "RequestLimitExceeded",
    "RequestLimitExceeded.GlobalRegionUinLimitExceeded", "RequestLimitExceeded.IPLimitExceeded",
    "RequestLimitExceeded.UinLimitExceeded", "RequestSizeLimitExceeded", "ResourceInUse", "ResourceInsufficient",
    "ResourceNotFound", "ResourceUnavailable", "ResponseSizeLimitExceeded", "ServiceUnavailable",
    "UnauthorizedOperation", "UnknownParameter", "UnknownParameter.WithGuess", "UnsupportedOperation",
    "UnsupportedProtocol", "UnsupportedRegion",
]

DOCUMENTED = {(action, code) for action, codes in PAGES.items() for code in codes} | {("any", code) for code in COMMON}

FAULT = "a fault of the server; no request causes it"
UNKNOWN = "what is another account's is answered like what is not there"
SOLD = "nothing is sold"
NO_CLUSTER = "there are no dedicated clusters"
ONE_CODE = "another code of the same page says it"
NO_CCN = "there are no networks of that kind"
NO_SYSTEM = "routes of the system are not listed, so none can be named"
OUTSIDE = "a destination is always outside the VPC, and a subnet inside"
ONE_ROUTE = "a second route to a destination is InvalidParameterValue.Duplicate, whatever its next hop"
NAMES = "names need not be unique"
NO_QUOTA = "a change needs no quota"
NO_CIDR = "a change leaves the ends as they are"
UTF8 = "no client can send it; crates/server/tests/edges/v3.rs does"

NEVER = {
    ("CreateVpcPeeringConnection", "InternalError"): FAULT,
    ("CreateVpcPeeringConnection", "InvalidParameterValue.DuplicateRegion"): "both ends may be in one region",
    ("CreateVpcPeeringConnection", "UnsupportedOperation.PurchaseLimit"): SOLD,
    ("ModifyVpcPeeringConnection", "InternalError"): FAULT,
    ("ModifyVpcPeeringConnection", "InvalidParameterValue.Combination"): "every change goes with every other",
    ("ModifyVpcPeeringConnection", "InvalidParameterValue.DuplicateRegion"): NO_CIDR,
    ("ModifyVpcPeeringConnection", "LimitExceeded.VpcPeerAvaLimitExceeded"): NO_QUOTA,
    ("ModifyVpcPeeringConnection", "LimitExceeded.VpcPeerTotalLimitExceeded"): NO_QUOTA,
    ("ModifyVpcPeeringConnection", "UnauthorizedOperation.VpcPeerCidrConflict"): NO_CIDR,
    ("ModifyVpcPeeringConnection", "UnsupportedOperation"): "the kinds of it have codes of their own",
    ("ModifyVpcPeeringConnection", "UnsupportedOperation.PurchaseLimit"): SOLD,
    ("ModifyVpcPeeringConnection", "UnsupportedOperation.VpcPeerAlreadyExist"): NO_CIDR,
    ("ModifyVpcPeeringConnection", "UnsupportedOperation.VpcPeerCidrConflict"): NO_CIDR,
    ("AcceptVpcPeeringConnection", "InternalServerError"): FAULT,
    ("AcceptVpcPeeringConnection", "InvalidParameter.Coexist"): "there is one parameter",
    ("RejectVpcPeeringConnection", "InternalError"): FAULT,
    ("DeleteVpcPeeringConnection", "InternalError"): FAULT,
    ("DeleteVpcPeeringConnection", "UnsupportedOperation.MutexOperationTaskRunning"): "a deletion waits for nothing",
    ("DeleteVpcPeeringConnection", "UnsupportedOperation.NotSupportDeleteVpcBmPeer"): "there is no bare metal",
    ("DeleteVpcPeeringConnection", "UnsupportedOperation.VpcPeerPurviewError"): "either end may delete",
    ("DescribeVpcPeeringConnections", "InternalError"): FAULT,
    ("DescribeVpcPeeringConnections", "LimitExceeded"): "a page that is too large has a code of its own",
    ("DescribeVpcPeeringConnections", "ResourceNotFound"): "an unknown id is not found and no error, as clients need it",
    ("DescribeVpcTaskResult", "InternalError.ModuleError"): FAULT,
    ("DescribeVpcTaskResult", "UnauthorizedOperation"): "refusals by policy are AuthFailure.UnauthorizedOperation",
    ("DescribeVpcTaskResult", "UnsupportedOperation"): "every task can be asked for",
    ("CreateVpc", "InvalidParameterValue.Malformed"): "a creation names no id",
    ("CreateVpc", "InvalidParameterValue.SubnetOverlap"): "a creation has no subnets",
    ("CreateVpc", "ResourceInsufficient"): "the caller chooses the block",
    ("CreateVpc", "ResourceNotFound"): "a creation names nothing",
    ("CreateVpc", "UnauthorizedOperation"): "refusals by policy are AuthFailure.UnauthorizedOperation",
    ("CreateVpc", "UnsupportedOperation.AppIdMismatch"): UNKNOWN,
    ("CreateVpc", "UnsupportedOperation.RecordExists"): NAMES,
    ("DeleteVpc", "FailedOperation.NetDetectTimeOut"): "there is no such probe",
    ("DeleteVpc", "LimitExceeded.ActionLimited"): "rates are RequestLimitExceeded",
    ("DeleteVpc", "UnsupportedOperation.AppIdMismatch"): UNKNOWN,
    ("DeleteVpc", "UnsupportedOperation.RecordNotExists"): ONE_CODE,
    ("DeleteVpc", "UnsupportedOperation.RouteTableHasSubnetRule"): "a VPC goes with its subnets and route tables",
    ("ModifyVpcAttribute", "UnauthorizedOperation"): "refusals by policy are AuthFailure.UnauthorizedOperation",
    **{(action, "InvalidParameterValue.NotUtf8EncodingError"): UTF8
       for action in ("DescribeVpcs", "DescribeSubnets", "DescribeRouteTables")},
    **{
        (action, f"{code}"): reason
        for action in ("CreateSubnet", "CreateSubnets")
        for code, reason in {
            "InvalidParameterValue.Duplicate": NAMES,
            "InvalidParameterValue.SubnetOverlap": ONE_CODE,
            "InvalidParameterValue.SubnetOverlapRoute": OUTSIDE,
            "InvalidParameterValue.ZoneConflict": NO_CLUSTER,
            "UnsupportedOperation.AppIdMismatch": UNKNOWN,
            "UnsupportedOperation.RecordExists": NAMES,
            "UnsupportedOperation.RecordNotExists": ONE_CODE,
        }.items()
    },
    ("DeleteSubnet", "ResourceInUse"):
        "attached hosts hold it, and without gateways there are none; crates/server/tests/edges/networks.rs has it",
    ("DeleteSubnet", "UnsupportedOperation.RecordNotExists"): ONE_CODE,
    ("CreateRouteTable", "InvalidParameterValue"): "what is wrong with a name has codes of its own",
    ("CreateRouteTable", "InvalidParameterValue.Duplicate"): NAMES,
    ("DeleteRouteTable", "UnsupportedOperation.DelDefaultRoute"): ONE_CODE,
    ("DeleteRouteTable", "UnsupportedOperation.RouteTableHasSubnetRule"): ONE_CODE,
    **{
        (action, code): reason
        for action in ("CreateRoutes", "ReplaceRoutes")
        for code, reason in {
            "InvalidParameterValue.RoutePolicyPriorityConflict": "there are no routing policies",
            "InvalidParameterValue.SubnetOverlapRoute": OUTSIDE,
            "InvalidParameterValue.VpcCidrOverlapRoute": ONE_CODE,
            "UnsupportedOperation.Ecmp": ONE_ROUTE,
            "UnsupportedOperation.EcmpWithUserRoute": ONE_ROUTE,
            "UnsupportedOperation.EcmpWithCcnRoute": NO_CCN,
            "UnsupportedOperation.ConflictWithDockerRoute": NO_CCN,
            "UnsupportedOperation.SystemRoute": NO_SYSTEM,
        }.items()
    },
    ("ReplaceRoutes", "LimitExceeded"): "a table has as many routes afterwards as before",
    ("ReplaceRoutes", "UnsupportedOperation.RecordNotExists"): ONE_CODE,
    ("DeleteRoutes", "UnsupportedOperation.DisabledNotifyCcn"): NO_CCN,
    ("DeleteRoutes", "UnsupportedOperation.SystemRoute"): NO_SYSTEM,
    ("EnableRoutes", "UnsupportedOperation.Ecmp"): ONE_ROUTE,
    ("EnableRoutes", "UnsupportedOperation.EcmpWithUserRoute"): ONE_ROUTE,
    ("EnableRoutes", "UnsupportedOperation.EcmpWithCcnRoute"): NO_CCN,
    **{
        ("any", code): reason
        for code, reason in {
            "ActionOffline": "no action was withdrawn",
            "AuthFailure.InvalidSecretId": "there is one kind of SecretId",
            "AuthFailure.MFAFailure": "there is no MFA",
            "FailedOperation": FAULT,
            "InternalError": FAULT,
            "InvalidRequest": "clients send multipart bodies to actions of other products only; edges/v3.rs has it",
            "IpInBlacklist": "addresses are not judged",
            "IpNotInWhitelist": "addresses are not judged",
            "NoSuchProduct": "the product is known by action and version; see NoSuchVersion",
            "RequestLimitExceeded.GlobalRegionUinLimitExceeded": "the limit is by account and action",
            "RequestLimitExceeded.IPLimitExceeded": "the limit is by account and action",
            "RequestLimitExceeded.UinLimitExceeded": "the limit is by account and action",
            "ResourceInsufficient": "nothing runs out but quotas",
            "ResourceUnavailable": "nothing is unavailable but the server",
            "ResponseSizeLimitExceeded": "pages are bounded",
            "ServiceUnavailable": "the store is away or overloaded; no request causes it",
            "UnauthorizedOperation": "refusals by policy are AuthFailure.UnauthorizedOperation",
            "UnsupportedProtocol": "clients send GET and POST alone; crates/server/tests/edges/v3.rs has it",
        }.items()
    },
}

LONG = "x" * 61
# How many an account may have in a region.
VPCS = 40
HOME, AWAY = "ap-guangzhou", "ap-shanghai"


@dataclasses.dataclass
class Case:
    """A request with the code that it is refused with."""

    action: str
    code: str
    parameters: dict
    # What is wrong with it.
    why: str
    region: str = HOME
    who: str = "first"
    # Whether it is one that a client with a schema of its own can be told to send.
    plain: bool = True


class Scene:
    """What has to be there for the cases. `call` is (who, region, action, parameters) to the answer."""

    def __init__(self, call, operate):
        self.call = call
        for uin in (FIRST_UIN, SECOND_UIN):
            operate("quota", "set", "--uin", str(uin), "--vpcs-per-region", str(VPCS))
        self.hub = self.vpc("first", HOME, "10.101.0.0/16")
        self.near = self.vpc("first", HOME, "10.102.0.0/16")
        self.overlapping = self.vpc("first", HOME, "10.101.128.0/17")
        self.spoke = self.vpc("first", AWAY, "10.103.0.0/16")
        self.twin = self.vpc("first", "ap-beijing", "10.103.0.0/16")
        self.theirs = self.vpc("second", AWAY, "10.104.0.0/16")
        self.theirs_free = self.vpc("second", AWAY, "10.105.0.0/16")
        self.active = self.peer("first", HOME, self.hub, self.spoke, FIRST_UIN, AWAY)
        self.pending = self.peer("first", HOME, self.hub, self.theirs, SECOND_UIN, AWAY)
        # A request from a network whose block a peer of the accepter has already.
        rival = self.vpc("first", "ap-beijing", "10.105.0.0/16")
        self.peer("first", HOME, self.near, rival, FIRST_UIN, "ap-beijing")
        self.conflicting = self.peer("second", AWAY, self.theirs_free, self.near, FIRST_UIN, HOME)
        for _ in range(VPCS):
            self.vpc("first", "ap-bangkok", "10.9.0.0/16")
        self.between_others = self.between_strangers()
        self.full = self.full_hub()
        self.inbox = self.full_inbox()
        self.networks()

    def vpc(self, who, region, cidr):
        return self.call(who, region, "CreateVpc", {"VpcName": "scene", "CidrBlock": cidr})["Vpc"]["VpcId"]

    def peer(self, who, region, source, destination, uin, far):
        parameters = peering(source, destination, uin, far)
        return self.call(who, region, "CreateVpcPeeringConnection", parameters)["PeeringConnectionId"]

    def between_strangers(self):
        """A peering that the first account has no part in."""
        one, other = self.vpc("second", HOME, "10.106.0.0/16"), self.vpc("second", HOME, "10.107.0.0/16")
        return self.peer("second", HOME, one, other, SECOND_UIN, HOME)

    def full_hub(self):
        """A VPC with as many peerings as it may have, and one more that it may not."""
        hub, *spokes = (self.vpc("first", "ap-tokyo", f"10.{120 + n}.0.0/16") for n in range(12))
        for spoke in spokes[:10]:
            self.peer("first", "ap-tokyo", hub, spoke, FIRST_UIN, "ap-tokyo")
        return hub, spokes[10]

    def full_inbox(self):
        """A VPC of the second account that waits for as many answers as it may."""
        wanted = self.vpc("second", "ap-seoul", "10.140.0.0/16")
        for n in range(25):
            source = self.vpc("first", "ap-seoul", f"10.{150 + n}.0.0/16")
            self.peer("first", "ap-seoul", source, wanted, SECOND_UIN, "ap-seoul")
        return self.vpc("first", "ap-seoul", "10.180.0.0/16"), wanted

    def networks(self):
        """Subnets, route tables and routes; quotas of them that are used up."""
        self.subnet = self.make_subnet(self.hub, "10.101.1.0/24", "s")
        self.other_subnet = self.make_subnet(self.hub, "10.101.2.0/24", "t")
        self.near_subnet = self.make_subnet(self.near, "10.102.1.0/24", "n")
        for n in range(8):
            self.make_subnet(self.overlapping, f"10.101.{129 + n}.0/24", f"f{n}")
        for n in range(2):
            self.make_subnet(self.overlapping, f"10.101.{140 + n}.0/24", f"g{n}")
        self.table = self.make_table(self.hub, "own")
        for n in range(9):
            self.make_table(self.overlapping, f"full{n}")
        self.call("first", HOME, "ReplaceRouteTableAssociation",
                  {"RouteTableId": self.table, "SubnetId": self.other_subnet})
        self.default = self.call("first", HOME, "DescribeRouteTables", {"Filters": [
            {"Name": "vpc-id", "Values": [self.hub]}, {"Name": "association.main", "Values": ["true"]},
        ]})["RouteTableSet"][0]["RouteTableId"]
        made = self.call("first", HOME, "CreateRoutes", {
            "RouteTableId": self.table, "Routes": [self.route("10.103.0.0/16"), self.route("10.103.1.0/24")]})
        self.route_set = made["RouteTableSet"][0]["RouteSet"]
        self.full_table = self.make_table(self.hub, "full")
        self.call("first", HOME, "CreateRoutes", {
            "RouteTableId": self.full_table, "Routes": [self.route(f"10.103.{n}.0/24") for n in range(50)]})

    def make_subnet(self, vpc, cidr, name):
        return self.call("first", HOME, "CreateSubnet", {
            "VpcId": vpc, "SubnetName": name, "CidrBlock": cidr, "Zone": f"{HOME}-1"})["Subnet"]["SubnetId"]

    def make_table(self, vpc, name):
        made = self.call("first", HOME, "CreateRouteTable", {"VpcId": vpc, "RouteTableName": name})
        return made["RouteTable"]["RouteTableId"]

    def route(self, destination, **more):
        return {"DestinationCidrBlock": destination, "GatewayType": "PEERCONNECTION", "GatewayId": self.active, **more}


def peering(source, destination, uin, region, **more):
    """The parameters of a creation."""
    return {
        "SourceVpcId": source, "DestinationVpcId": destination, "DestinationUin": str(uin),
        "DestinationRegion": region, "PeeringConnectionName": "case", **more,
    }


def cases(scene):
    """Every case, in groups by resource."""
    return [*peering_cases(scene), *peering_list_cases(scene), *vpc_cases(scene), *subnet_cases(scene),
            *table_cases(scene), *route_cases(scene), *list_cases(scene)]


def peering_cases(scene):
    def create(code, why, source=scene.hub, destination=scene.near, uin=FIRST_UIN, region=HOME, at=HOME, plain=True,
               **more):
        return Case("CreateVpcPeeringConnection", code, peering(source, destination, uin, region, **more), why,
                    region=at, plain=plain)

    def on(verb, code, why, peering_id, who="first", region=HOME, plain=True, **more):
        return Case(f"{verb}VpcPeeringConnection", code, {"PeeringConnectionId": peering_id, **more}, why, region, who,
                    plain)

    without_name = peering(scene.hub, scene.near, FIRST_UIN, HOME)
    del without_name["PeeringConnectionName"]
    full, one_more = scene.full
    asking, wanted = scene.inbox
    found = [
        create("InvalidParameterValue.Malformed", "an id of another form", source="vpc-1"),
        create("InvalidParameterValue.Malformed", "a destination's id of another form", destination="pcx-00000000"),
        create("InvalidParameterValue.Malformed", "an account that is no number", uin="me"),
        create("InvalidParameterValue.Empty", "an empty id", destination=""),
        create("InvalidParameterValue.Empty", "an empty name", PeeringConnectionName=""),
        create("InvalidParameterValue.Empty", "an empty account", uin=""),
        create("InvalidParameterValue.Empty", "an empty region", region=""),
        create("InvalidParameterValue", "a name of 61 characters", PeeringConnectionName=LONG),
        create("InvalidParameterValue", "an unknown QosLevel", QosLevel="XX"),
        create("InvalidParameterValue", "an unknown ChargeType", ChargeType="FREE"),
        create("InvalidParameterValue", "an unknown Type", Type="VPC0"),
        create("InvalidParameterValue", "an unknown region", region="ap-nowhere"),
        create("InvalidParameterValue", "a bandwidth above the ceiling", destination=scene.twin, region="ap-beijing",
               Bandwidth=10_001),
        create("InvalidParameterValue", "a negative bandwidth", Bandwidth=-1),
        create("InvalidParameterValue", "both ends are one VPC", destination=scene.hub),
        create("InvalidParameter", "a bandwidth that is no number", Bandwidth="much", plain=False),
        create("UnsupportedOperation", "a peering with bare metal", Type="VPC_BM_PEER"),
        create("ResourceNotFound", "a source that is not there", source="vpc-00000000"),
        create("ResourceNotFound", "a source in another region", source=scene.spoke),
        create("ResourceNotFound", "a source of another account", source=scene.theirs),
        create("ResourceNotFound", "a destination that is not there", destination="vpc-00000000"),
        create("ResourceNotFound", "a destination of another account", destination=scene.theirs, region=AWAY),
        create("ResourceNotFound", "a destination in another region", destination=scene.spoke),
        create("ResourceNotFound", "an account that is not there", uin=1),
        create("UnsupportedOperation.VpcPeerAlreadyExist", "the pair is active", destination=scene.spoke, region=AWAY),
        create("UnsupportedOperation.VpcPeerAlreadyExist", "the pair is active, the other way round",
               source=scene.spoke, destination=scene.hub, at=AWAY),
        create("UnsupportedOperation.VpcPeerAlreadyExist", "the pair is pending", destination=scene.theirs,
               uin=SECOND_UIN, region=AWAY),
        create("UnsupportedOperation.VpcPeerCidrConflict", "the ends overlap", destination=scene.overlapping),
        create("UnauthorizedOperation.VpcPeerCidrConflict", "the destination overlaps another peer",
               destination=scene.twin, region="ap-beijing"),
        create("LimitExceeded.VpcPeerAvaLimitExceeded", "the quota is used up", source=full, destination=one_more,
               at="ap-tokyo", region="ap-tokyo"),
        create("LimitExceeded.VpcPeerTotalLimitExceeded", "the inbox is full", source=asking, destination=wanted,
               uin=SECOND_UIN, at="ap-seoul", region="ap-seoul"),
        Case("CreateVpcPeeringConnection", "MissingParameter", without_name, "no name", plain=False),
    ]
    for verb in ("Accept", "Reject", "Delete", "Modify"):
        more = {"PeeringConnectionName": "x"} if verb == "Modify" else {}
        found += [
            on(verb, "InvalidParameterValue.Malformed", "an id of another form", "pcx-1", **more),
            on(verb, "InvalidParameterValue.Empty" if verb == "Modify" else "InvalidParameterValue", "an empty id", "",
               **more),
            on(verb, "ResourceNotFound", "an id that is not there", "pcx-00000000", **more),
            on(verb, "ResourceNotFound", "a peering of others", scene.between_others, **more),
            on(verb, "ResourceNotFound", "a region where it has no end", scene.active, region="ap-tokyo", **more),
            Case(f"{verb}VpcPeeringConnection", "MissingParameter", {}, "no id", plain=False),
        ]
    for verb in ("Accept", "Reject"):
        found += [
            on(verb, "UnsupportedOperation.VpcPeerPurviewError", "by the requester", scene.pending),
            on(verb, "UnsupportedOperation.VpcPeerInvalidStateChange", "it is active", scene.active, region=AWAY),
        ]
    return found + [
        # Beyond the page: the accepter's side is admitted when it accepts.
        on("Accept", "UnauthorizedOperation.VpcPeerCidrConflict", "the requester overlaps another peer",
           scene.conflicting),
        on("Modify", "InvalidParameterValue", "a name of 61 characters", scene.active, PeeringConnectionName=LONG),
        on("Modify", "InvalidParameterValue.Empty", "an empty name", scene.active, PeeringConnectionName=""),
        on("Modify", "InvalidParameterValue", "an unknown ChargeType", scene.active, ChargeType="FREE"),
        on("Modify", "InvalidParameterValue", "a bandwidth above the ceiling", scene.active, Bandwidth=10_001),
        on("Modify", "InvalidParameter", "a bandwidth that is no number", scene.active, Bandwidth="much", plain=False),
        on("Modify", "MissingParameter", "nothing to change", scene.active),
        on("Modify", "UnsupportedOperation.VpcPeerPurviewError", "the bandwidth, by the accepter", scene.pending,
           who="second", region=AWAY, Bandwidth=20),
    ]


def peering_list_cases(scene):
    def ask(code, why, plain=True, **parameters):
        return Case("DescribeVpcPeeringConnections", code, parameters, why, plain=plain)

    some = [{"Name": "state", "Values": ["ACTIVE"]}]
    return [
        ask("InvalidParameter.Coexist", "ids and filters", PeeringConnectionIds=[scene.active], Filters=some),
        ask("InvalidParameter", "an offset that is no number", Offset="x", plain=False),
        ask("InvalidParameter", "an unknown filter", Filters=[{"Name": "moon", "Values": ["full"]}]),
        ask("InvalidParameter.FilterNotDict", "a filter that is a text", Filters=["state"], plain=False),
        ask("InvalidParameter", "values that are no list", Filters=[{"Name": "state", "Values": "ACTIVE"}], plain=False),
        ask("InvalidParameterValue", "an unknown state", Filters=[{"Name": "state", "Values": ["PENGDING"]}]),
        ask("InvalidParameterValue", "an unknown order", OrderField="CreateTime"),
        ask("InvalidParameterValue", "an unknown direction", OrderDirection="UP"),
        ask("InvalidParameterValue.LimitExceeded", "a page of 101", Limit=101),
        ask("InvalidParameterValue.LimitExceeded", "101 ids", PeeringConnectionIds=[scene.active] * 101),
        ask("InvalidParameterValue.Range", "a page of none", Limit=0),
        ask("InvalidParameterValue.Range", "a negative offset", Offset=-1),
        ask("InvalidParameterValue.Malformed", "an id of another form", PeeringConnectionIds=["pcx-1"]),
        ask("InvalidParameterValue.Malformed", "a filter by no id", Filters=[{"Name": "vpc-id", "Values": ["x"]}]),
        ask("InvalidParameterValue.TooLong", "a filter's value of 1025 bytes",
            Filters=[{"Name": "peering-connection-name", "Values": ["x" * 1025]}]),
        ask("UnknownParameter", "a parameter that it has not", Moon="full", plain=False),
        ask("UnknownParameter.WithGuess", "a typing error", Limits=1, plain=False),
        Case("DescribeVpcTaskResult", "ResourceNotFound", {"TaskId": "2c9d1c0e-5f0b-4b62-9a53-3b8a4a1a7a10"},
             "no task of that request"),
        Case("DescribeVpcTaskResult", "InvalidParameterValue", {"TaskId": "7"}, "no request id"),
        Case("DescribeVpcLimits", "InvalidParameterValue", {"LimitTypes": ["moons"]}, "an unknown kind of limit"),
        Case("DescribeVpcLimits", "InvalidParameterValue.LimitExceeded", {"LimitTypes": ["appid-max-vpcs"] * 101},
             "101 kinds of limit"),
    ]


def vpc_cases(scene):
    def create(code, why, plain=True, **parameters):
        return Case("CreateVpc", code, {"VpcName": "v", "CidrBlock": "10.9.0.0/16", **parameters}, why, plain=plain)

    def modify(code, why, vpc=scene.hub, plain=True, **parameters):
        return Case("ModifyVpcAttribute", code, {"VpcId": vpc, **parameters}, why, plain=plain)

    servers = [f"10.0.0.{n}" for n in range(1, 6)]
    return [
        create("InvalidParameterValue", "a public block", CidrBlock="8.8.0.0/16"),
        create("InvalidParameterValue", "host bits", CidrBlock="10.0.0.1/16"),
        create("InvalidParameterValue", "a mask of 11", CidrBlock="10.0.0.0/11"),
        create("InvalidParameterValue", "a mask of 29", CidrBlock="10.0.0.0/29"),
        create("InvalidParameterValue", "no block at all", CidrBlock="ten"),
        create("InvalidParameterValue", "a DNS server that is no address", DnsServers=["moon"]),
        create("InvalidParameterValue", "an unknown stack", StackType="IPv8"),
        create("InvalidParameterValue.LimitExceeded", "five DNS servers", DnsServers=servers),
        create("InvalidParameterValue.TooLong", "a name of 61 characters", VpcName=LONG),
        create("UnsupportedOperation.EnableMulticast", "multicast", EnableMulticast="true"),
        create("UnsupportedOperation", "IPv6 alone", StackType="IPv6Only"),
        Case("CreateVpc", "MissingParameter", {"VpcName": "v"}, "no block"),
        Case("CreateVpc", "MissingParameter", {"CidrBlock": "10.9.0.0/16"}, "no name", plain=False),
        Case("CreateVpc", "LimitExceeded", {"VpcName": "v", "CidrBlock": "10.9.0.0/16"}, "the quota is used up",
             region="ap-bangkok"),
        Case("DeleteVpc", "InvalidParameterValue.Malformed", {"VpcId": "vpc-1"}, "an id of another form"),
        Case("DeleteVpc", "ResourceNotFound", {"VpcId": "vpc-00000000"}, "an id that is not there"),
        Case("DeleteVpc", "ResourceNotFound", {"VpcId": scene.theirs}, "another account's", region=AWAY),
        Case("DeleteVpc", "ResourceInUse", {"VpcId": scene.hub}, "it has peerings"),
        modify("InvalidParameterValue", "a DNS server that is no address", DnsServers=["moon"]),
        modify("InvalidParameterValue.LimitExceeded", "five DNS servers", DnsServers=servers),
        modify("InvalidParameterValue.Malformed", "an id of another form", vpc="vpc-1"),
        modify("InvalidParameterValue.TooLong", "a name of 61 characters", VpcName=LONG),
        modify("ResourceNotFound", "an id that is not there", vpc="vpc-00000000", VpcName="x"),
        modify("UnsupportedOperation.EnableMulticast", "multicast", EnableMulticast="true"),
    ]


def subnet_cases(scene):
    subnet = {"SubnetName": "u", "CidrBlock": "10.101.9.0/24", "Zone": f"{HOME}-1"}

    def create(code, why, vpc=scene.hub, plain=True, **more):
        return [
            Case("CreateSubnet", code, {"VpcId": vpc, **subnet, **more}, why, plain=plain),
            Case("CreateSubnets", code, {"VpcId": vpc, "Subnets": [{**subnet, **more}]}, why, plain=plain),
        ]

    def one(action, code, why, plain=True, **parameters):
        return Case(action, code, parameters, why, plain=plain)

    return [
        *create("InvalidParameterValue", "a zone of another region", Zone="ap-beijing-1"),
        *create("InvalidParameterValue.Empty", "an empty name", SubnetName=""),
        *create("InvalidParameterValue.TooLong", "a name of 61 characters", SubnetName=LONG),
        *create("InvalidParameterValue.SubnetRange", "outside the VPC", CidrBlock="10.102.9.0/24"),
        *create("InvalidParameterValue.SubnetRange", "a mask of 29", CidrBlock="10.101.9.0/29"),
        *create("InvalidParameterValue.SubnetConflict", "the block of another", CidrBlock="10.101.1.0/24"),
        *create("InvalidParameterValue.SubnetConflict", "in the block of another", CidrBlock="10.101.1.128/25"),
        *create("InvalidParameterValue.Malformed", "an id of another form", vpc="vpc-1"),
        *create("ResourceNotFound", "a VPC that is not there", vpc="vpc-00000000"),
        *create("LimitExceeded", "the quota is used up", vpc=scene.overlapping, CidrBlock="10.101.200.0/24"),
        one("CreateSubnet", "MissingParameter", "no zone", VpcId=scene.hub, SubnetName="x", CidrBlock="10.101.9.0/24",
            plain=False),
        one("CreateSubnet", "InvalidParameterValue.LimitExceeded", "101 tags", VpcId=scene.hub, **subnet,
            Tags=[{"Key": f"k{n}", "Value": "v"} for n in range(101)]),
        one("CreateSubnets", "MissingParameter", "no subnets", VpcId=scene.hub, plain=False),
        one("CreateSubnets", "InvalidParameterValue.LimitExceeded", "101 subnets", VpcId=scene.hub,
            Subnets=[subnet] * 101),
        one("CreateSubnets", "InvalidParameterValue.SubnetConflict", "twice the same block", VpcId=scene.hub,
            Subnets=[subnet, subnet]),
        one("CreateSubnets", "UnknownParameter.WithGuess", "a typing error", VpcId=scene.hub,
            Subnets=[{**subnet, "Zones": "x"}], plain=False),
        one("DeleteSubnet", "InvalidParameterValue.Malformed", "an id of another form", SubnetId="subnet-1"),
        one("DeleteSubnet", "ResourceNotFound", "an id that is not there", SubnetId="subnet-00000000"),
        one("ModifySubnetAttribute", "InvalidParameterValue", "the name of another", SubnetId=scene.subnet,
            SubnetName="t"),
        one("ModifySubnetAttribute", "InvalidParameterValue.Malformed", "an id of another form", SubnetId="subnet-1"),
        one("ModifySubnetAttribute", "InvalidParameterValue.TooLong", "a name of 61 characters",
            SubnetId=scene.subnet, SubnetName=LONG),
        one("ModifySubnetAttribute", "ResourceNotFound", "an id that is not there", SubnetId="subnet-00000000",
            SubnetName="x"),
    ]


def table_cases(scene):
    def one(action, code, why, plain=True, **parameters):
        return Case(action, code, parameters, why, plain=plain)

    return [
        one("CreateRouteTable", "InvalidParameter", "a name that is a list", VpcId=scene.hub, RouteTableName=["x"],
            plain=False),
        one("CreateRouteTable", "InvalidParameterValue.LimitExceeded", "101 tags", VpcId=scene.hub, RouteTableName="x",
            Tags=[{"Key": f"k{n}", "Value": "v"} for n in range(101)]),
        one("CreateRouteTable", "InvalidParameterValue.Malformed", "an id of another form", VpcId="vpc-1",
            RouteTableName="x"),
        one("CreateRouteTable", "InvalidParameterValue.TooLong", "a name of 61 characters", VpcId=scene.hub,
            RouteTableName=LONG),
        one("CreateRouteTable", "LimitExceeded", "the quota is used up", VpcId=scene.overlapping, RouteTableName="x"),
        one("CreateRouteTable", "MissingParameter", "no name", VpcId=scene.hub, plain=False),
        one("CreateRouteTable", "ResourceNotFound", "a VPC that is not there", VpcId="vpc-00000000", RouteTableName="x"),
        one("DeleteRouteTable", "InvalidParameterValue.Malformed", "an id of another form", RouteTableId="rtb-1"),
        one("DeleteRouteTable", "ResourceNotFound", "an id that is not there", RouteTableId="rtb-00000000"),
        one("DeleteRouteTable", "UnsupportedOperation.DelRouteWithSubnet", "a subnet uses it", RouteTableId=scene.table),
        one("DeleteRouteTable", "UnsupportedOperation.NotSupportDeleteDefaultRouteTable", "it came with its VPC",
            RouteTableId=scene.default),
        one("ModifyRouteTableAttribute", "InvalidParameterValue.Malformed", "an id of another form",
            RouteTableId="rtb-1", RouteTableName="x"),
        one("ModifyRouteTableAttribute", "InvalidParameterValue.TooLong", "a name of 61 characters",
            RouteTableId=scene.table, RouteTableName=LONG),
        one("ModifyRouteTableAttribute", "ResourceNotFound", "an id that is not there", RouteTableId="rtb-00000000",
            RouteTableName="x"),
        one("ReplaceRouteTableAssociation", "InvalidParameterValue.Malformed", "an id of another form",
            RouteTableId=scene.table, SubnetId="subnet-1"),
        one("ReplaceRouteTableAssociation", "ResourceNotFound", "a subnet that is not there",
            RouteTableId=scene.table, SubnetId="subnet-00000000"),
        one("ReplaceRouteTableAssociation", "ResourceNotFound", "a table that is not there",
            RouteTableId="rtb-00000000", SubnetId=scene.subnet),
        one("ReplaceRouteTableAssociation", "UnsupportedOperation.VpcMismatch", "a subnet of another VPC",
            RouteTableId=scene.table, SubnetId=scene.near_subnet),
    ]


def route_cases(scene):
    first, second = scene.route_set

    def one(action, code, why, plain=True, table=scene.table, **parameters):
        return Case(action, code, {"RouteTableId": table, **parameters}, why, plain=plain)

    def written(code, why, route, plain=True):
        """Both for a new route and for one in the place of another."""
        return [
            one("CreateRoutes", code, why, plain, Routes=[route]),
            one("ReplaceRoutes", code, why, plain, Routes=[{**route, "RouteId": first["RouteId"]}]),
        ]

    new = scene.route("10.103.200.0/24")
    found = [
        *written("InvalidParameterValue", "an unknown kind of next hop", {**new, "GatewayType": "MOON"}),
        *written("InvalidParameterValue", "a destination that is no block", {**new, "DestinationCidrBlock": "ten"}),
        *written("InvalidParameterValue", "a description of 501 characters", {**new, "RouteDescription": "x" * 501}),
        *written("InvalidParameterValue.Duplicate", "the destination of another route", scene.route("10.103.1.0/24")),
        *written("InvalidParameterValue.RouteNextHopInvalid", "a peering that is not there",
                 {**new, "GatewayId": "pcx-00000000"}),
        *written("InvalidParameterValue.RouteNextHopInvalid", "a kind of next hop that is not offered",
                 {**new, "GatewayType": "NAT"}),
        *written("InvalidParameterValue.RouteNextHopInvalid", "a peering of others",
                 {**new, "GatewayId": scene.between_others}),
        *written("InvalidParameterValue.CidrNotInPeerVpc", "a destination of which the peer has nothing",
                 scene.route("10.104.0.0/16")),
        *written("InvalidParameterValue.VpcCidrConflict", "a destination in the VPC", scene.route("10.101.9.0/24")),
        *written("UnknownParameter.WithGuess", "a typing error", {**new, "GatewayIds": "x"}, plain=False),
        *written("UnsupportedOperation", "IPv6", {**new, "DestinationIpv6CidrBlock": "fd00::/8"}),
        one("CreateRoutes", "LimitExceeded", "the quota is used up", table=scene.full_table,
            Routes=[scene.route("10.103.60.0/24")]),
        one("CreateRoutes", "InvalidParameterValue.Duplicate", "twice the same destination", Routes=[new, new]),
        one("DeleteRoutes", "InvalidParameterValue.LimitExceeded", "101 routes", Routes=[{"RouteId": 1}] * 101),
        one("DeleteRoutes", "ResourceNotFound", "a route that is not there", Routes=[{"RouteId": 1}]),
        one("ReplaceRoutes", "ResourceNotFound", "a route that is not there", Routes=[{**new, "RouteId": 1}]),
        one("EnableRoutes", "InvalidParameterValue.Duplicate", "twice the same route", RouteIds=[first["RouteId"]] * 2),
        Case("ResetRoutes", "InvalidParameterValue.Malformed",
             {"RouteTableId": "rtb-1", "RouteTableName": "x", "Routes": [new]}, "an id of another form"),
        Case("ResetRoutes", "ResourceNotFound",
             {"RouteTableId": "rtb-00000000", "RouteTableName": "x", "Routes": [new]}, "a table that is not there"),
        Case("DescribeRouteConflicts", "InvalidParameterValue.Malformed",
             {"RouteTableId": "rtb-1", "DestinationCidrBlocks": ["10.0.0.0/8"]}, "an id of another form"),
        Case("DescribeRouteConflicts", "ResourceNotFound",
             {"RouteTableId": "rtb-00000000", "DestinationCidrBlocks": ["10.0.0.0/8"]}, "a table that is not there"),
    ]
    for action, parameters in [
        ("CreateRoutes", {"Routes": [new]}), ("DeleteRoutes", {"Routes": [{"RouteId": 1}]}),
        ("ReplaceRoutes", {"Routes": [{**new, "RouteId": 1}]}), ("EnableRoutes", {"RouteIds": [1]}),
        ("DisableRoutes", {"RouteIds": [1]}),
    ]:
        found += [
            one(action, "InvalidParameterValue.Malformed", "an id of another form", table="rtb-1", **parameters),
            one(action, "ResourceNotFound", "a table that is not there", table="rtb-00000000", **parameters),
        ]
    for action in ("EnableRoutes", "DisableRoutes"):
        found += [
            one(action, "InvalidParameter.Coexist", "numbers and ids", RouteIds=[first["RouteId"]],
                RouteItemIds=[second["RouteItemId"]]),
            one(action, "MissingParameter", "no route"),
            one(action, "InvalidParameterValue.LimitExceeded", "101 routes", RouteIds=[1] * 101),
            one(action, "ResourceNotFound", "a route that is not there", RouteIds=[1]),
        ]
    return found


def list_cases(scene):
    found = []
    for action, name, known in [
        ("DescribeVpcs", "VpcIds", scene.hub), ("DescribeSubnets", "SubnetIds", scene.subnet),
        ("DescribeRouteTables", "RouteTableIds", scene.table),
    ]:
        kind = known.split("-")[0]
        some = [{"Name": "vpc-id", "Values": [scene.hub]}]
        for code, why, parameters, plain in [
            ("InvalidParameter.Coexist", "ids and filters", {name: [known], "Filters": some}, True),
            ("InvalidParameter.FilterInvalidKey", "an unknown filter",
             {"Filters": [{"Name": "moon", "Values": ["x"]}]}, True),
            ("InvalidParameter.FilterNotDict", "a filter that is a text", {"Filters": ["vpc-id"]}, False),
            ("InvalidParameter.FilterValuesNotList", "values that are no list",
             {"Filters": [{"Name": "vpc-id", "Values": scene.hub}]}, False),
            ("InvalidParameterValue.LimitExceeded", "a page of 101", {"Limit": "101"}, True),
            ("InvalidParameterValue.LimitExceeded", "101 ids", {name: [known] * 101}, True),
            ("InvalidParameterValue.Range", "a page of none", {"Limit": "0"}, True),
            ("InvalidParameterValue.Range", "a negative offset", {"Offset": "-1"}, True),
            ("InvalidParameterValue.Malformed", "an id of another form", {name: [f"{kind}-1"]}, True),
            ("InvalidParameterValue.Empty", "an empty value", {"Filters": [{"Name": "vpc-id", "Values": [""]}]}, True),
            ("ResourceNotFound", "an id that is not there", {name: [f"{kind}-00000000"]}, True),
        ]:
            found.append(Case(action, code, parameters, why, plain=plain))
    found.append(Case("DescribeRouteTables", "InvalidParameter.FilterMissParameter", {
        "Filters": [{"Name": "next-hop-type", "Values": ["PEERCONNECTION"]}]}, "a filter that needs others"))
    for action in ("DescribeRoutes", "DescribeRouteList"):
        found += [
            Case(action, "InvalidParameterValue.LimitExceeded", {"Limit": 101}, "a page of 101"),
            Case(action, "InvalidParameterValue.Range", {"Offset": -1}, "a negative offset"),
        ]
    return found
