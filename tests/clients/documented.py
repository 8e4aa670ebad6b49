"""Every error that the vendor's documents give, and the request that causes it.

`DOCUMENTED` is the list: actions with the symbolic codes of their pages, and the numbers of the gateway. Each entry
has a request in `requests_for`, or a reason in `NEVER` why nothing here answers it; a test asserts that none is
left out. `docs/compatibility.md` has the reasons as well.
"""

import dataclasses
import json
import pathlib

import server as servers

PEERING_VERBS = ("Accept", "Reject", "Enable", "Delete", "Modify")

# Documents 215/2101 to 215/2107, 215/4803 to 215/4808.
PEERING = {
    **{
        f"CreateVpcPeeringConnection{suffix}": [
            "InvalidPeeringConnectionName", "PeeringConnectionVpcConflict", "PeeringConnectionLimitExceeded",
            "InvalidVpc.NotFound", "InvalidPeeringConnectionName.InUse",
        ]
        for suffix in ("", "Ex")
    },
    **{
        f"{verb}VpcPeeringConnection{suffix}": ["InvalidVpc.NotFound", "InvalidPeeringConnection.NotFound"]
        + (["InvalidPeeringConnectionName"] if verb == "Modify" else [])
        for verb in PEERING_VERBS
        for suffix in ("", "Ex")
    },
    "DescribeVpcPeeringConnections": ["InvalidVpc.NotFound", "InvalidPeeringConnection.NotFound"],
}

ROUTE = ["InvalidVpc.NotFound", "InvalidRouteTableId.NotFound", "InvalidDestinationCidr", "InvalidRouteNextType",
         "InvalidRouteNextHub.NotFound"]

# Documents 215/1307 to 215/1314, 215/1371, 215/1372, 215/1416 to 215/1420, 215/5688, 215/5689.
NETWORK = {
    "CreateVpc": ["InvalidVpcName", "InvalidVpcCidr", "VpcLimitExceeded", "InvalidVpc.NotFound", "InvalidVpcName.InUse"],
    "DeleteVpc": ["InvalidVpc.NotFound", "InvalidVpc.CannotDelete"],
    "ModifyVpcAttribute": ["InvalidVpcName", "InvalidVpc.NotFound"],
    "DescribeVpcEx": ["InvalidVpc.NotFound"],
    "CreateSubnet": ["InvalidVpc.NotFound", "InvalidSubnetName", "InvalidSubnetCidr", "InvalidSubnet.Conflict",
                     "SubnetLimitExceeded", "InvalidZone.NotFound"],
    "DeleteSubnet": ["InvalidVpc.NotFound", "InvalidSubnet.NotFound", "InvalidSubnet.CannotDelete"],
    "ModifySubnetAttribute": ["InvalidVpc.NotFound", "InvalidSubnet.NotFound", "InvalidSubnetName"],
    "DescribeSubnetEx": ["InvalidVpc.NotFound", "InvalidSubnet.NotFound"],
    "DescribeSubnet": ["InvalidVpc.NotFound", "InvalidSubnet.NotFound"],
    "CreateRouteTable": ["InvalidVpc.NotFound", "InvalidRouteTableName", "InvalidDestinationCidr",
                         "RouteTableLimitExceeded", "RouteLimitExceeded", "RouteAlreadyExists",
                         "InvalidRouteNextType", "InvalidRouteNextHub.NotFound"],
    "DeleteRouteTable": ["InvalidVpc.NotFound", "InvalidRouteTableId.NotFound"],
    "ModifyRouteTableAttribute": ["InvalidVpc.NotFound", "InvalidRouteTableId.NotFound", "InvalidRouteTableName",
                                  "RouteLimitExceeded", "RouteAlreadyExists", "InvalidRouteNextType",
                                  "InvalidRouteNextHub.NotFound", "InvalidRoute.NextHubLimitExceeded"],
    "DescribeRouteTable": ["InvalidVpc.NotFound", "InvalidRouteTableId.NotFound"],
    "AssociateRouteTable": ["InvalidVpc.NotFound", "InvalidSubnet.NotFound", "InvalidRouteTableId.NotFound"],
    "CreateRoute": [*ROUTE, "RouteLimitExceeded", "RouteAlreadyExists"],
    "DeleteRoute": ROUTE,
}

# Document 248/10986.
MONITOR = {
    "GetMonitorData": ["-502", "-503", "-505", "-507", "-509", "-513"],
}

# Documents 215/4781 and 215/4924: what any action may answer.
GATEWAY = {
    "any": ["4000", "4100", "4101", "4102", "4103", "4104", "4105", "4106", "4110", "4200", "4300", "4400", "4500",
            "4600", "5000", "5100", "5200", "5300", "5400", "5500", "6000", "6100", "6200", "ActionLocked",
            "ServiceUnavailable"],
}

DOCUMENTED = [
    (action, code)
    for table in (PEERING, NETWORK, MONITOR, GATEWAY)
    for action, codes in table.items()
    for code in codes
]

BY_ID = "the peering is named by its id alone, and an unknown one is InvalidPeeringConnection.NotFound"

NEVER = {
    **{
        (f"{verb}VpcPeeringConnection{suffix}", "InvalidVpc.NotFound"): BY_ID
        for verb in PEERING_VERBS
        for suffix in ("", "Ex")
    },
    **{
        (f"CreateVpcPeeringConnection{suffix}", "InvalidPeeringConnectionName.InUse"): "names need not be unique"
        for suffix in ("", "Ex")
    },
    ("CreateVpc", "InvalidVpcName.InUse"): "names need not be unique",
    ("CreateVpc", "InvalidVpc.NotFound"): "a creation names no VPC",
    ("DeleteSubnet", "InvalidSubnet.CannotDelete"): "attached hosts hold it, and without gateways there are none; tests/edges/networks.rs has it",
    ("ModifyRouteTableAttribute", "InvalidRoute.NextHubLimitExceeded"): "there are no public gateways to be next hops",
    ("GetMonitorData", "-513"): "a fault of the server's disk; no request causes it",
    ("any", "4103"): "refusals by policy are 4101 and 4102",
    ("any", "4106"): "there is no MFA",
    ("any", "4110"): "a policy is judged by the server itself, which has no other failure",
    ("any", "4200"): "newer documents have 4500 for it",
    ("any", "4300"): "no account is banned; its keys are disabled, which is 4104",
    ("any", "4400"): "no request alone causes it; tests/edges/requests.rs has it",
    ("any", "4600"): "plain HTTP on the TLS port, which no client here speaks; tests/edges/transport.rs has it",
    ("any", "5200"): "nothing is sold",
    ("any", "5300"): "nothing is sold",
    ("any", "5400"): "every batch is done as a whole or not at all",
    ("any", "5500"): "accounts need no qualification",
    ("any", "6000"): "a fault of the server; no request causes it",
    ("any", "6200"): "the store is away or overloaded; no request causes it",
    ("any", "ServiceUnavailable"): "the store is away or overloaded; no request causes it",
    ("any", "ActionLocked"): "without gateways no task runs long enough; tests/edges/tasks.rs has it",
}


@dataclasses.dataclass
class Request:
    action: str
    parameters: dict
    region: str = "gz"
    key: dict = dataclasses.field(default_factory=lambda: servers.FIRST)
    # What a client has to be able to do to send it.
    needs: str = ""


LONG = "x" * 61
POLICY = {
    "version": "2.0",
    "statement": [
        {"effect": "allow", "action": "name/vpc:Describe*", "resource": "*"},
        {"effect": "allow", "action": "name/vpc:Delete*", "resource": "qcs::vpc:::pcx/pcx-00000000"},
    ],
}


class Scene:
    """What has to be there for the errors: a peering, a route, quotas that are used up, a sub-account."""

    def __init__(self, teller, server):
        active = {
            "vpcId": "gz_vpc_226", "peerVpcId": "gz_vpc_89", "peerUin": servers.FIRST_UIN,
            "peeringConnectionName": "active", "peerRegion": "gz", "bandwidth": 20,
        }
        self.peering = teller.do("CreateVpcPeeringConnectionEx", active)
        subnet = {"subnetName": "s", "cidrBlock": "192.168.1.0/24", "zoneId": 100002}
        net = {"vpcName": "net", "cidrBlock": "192.168.0.0/16", "subnetSet": [subnet]}
        self.net = teller.succeed("CreateVpc", net)["unVpcId"]
        teller.succeed("CreateRouteTable", {"vpcId": self.net, "routeTableName": "second"})
        self.table = teller.succeed("DescribeRouteTable", {"vpcId": "gz_vpc_226"})["data"][0]["unRouteTableId"]
        self.route = {"destinationCidrBlock": "10.2.0.0/17", "nextType": 4, "nextHub": self.peering}
        teller.succeed("CreateRoute", self.routes(self.route))
        server.operate(
            "quota", "set", "--uin", str(servers.FIRST_UIN), "--vpcs-per-region", "4", "--subnets-per-vpc", "1",
            "--routes-per-table", "1", "--peerings-per-vpc", "1", "--route-tables-per-vpc", "2",
        )
        policy = pathlib.Path(server.folder.name) / "policy.json"
        policy.write_text(json.dumps(POLICY))
        owner = str(servers.FIRST_UIN)
        sub = server.operate("subaccount", "create", "--owner", owner, "--name", "sub", "--policy", str(policy))
        made = server.operate("key", "create", "--uin", owner, "--sub", str(sub["uin"]))
        self.sub = {"secretId": made["secret_id"], "secretKey": made["secret_key"]}

    def routes(self, *routes, vpc="gz_vpc_226", table=None):
        return {"vpcId": vpc, "routeTableId": table or self.table, "routeSet": list(routes)}


def requests_for(scene):
    """The request of every documented error."""
    requests = {}

    def add(action, code, parameters, **options):
        assert (action, code) not in requests
        requests[action, code] = Request(action, parameters, **options)

    _peerings(scene, add)
    _networks(scene, add)
    _routes(scene, add)
    _monitor(scene, add)
    _gateway(scene, requests)
    return requests


def _peerings(scene, add):
    unknown = {"peeringConnectionId": "pcx-00000000"}
    for suffix, more in (("", {}), ("Ex", {"peerRegion": "gz", "bandwidth": 20})):
        create = f"CreateVpcPeeringConnection{suffix}"
        good = {
            "vpcId": "gz_vpc_226", "peerVpcId": "gz_vpc_89", "peerUin": servers.FIRST_UIN,
            "peeringConnectionName": "x", **more,
        }
        add(create, "InvalidPeeringConnectionName", {**good, "peeringConnectionName": LONG})
        add(create, "PeeringConnectionVpcConflict", {**good, "peerVpcId": "gz_vpc_90"})
        add(create, "InvalidVpc.NotFound", {**good, "vpcId": "gz_vpc_1"})
        theirs = {**good, "peerVpcId": "gz_vpc_17", "peerUin": servers.SECOND_UIN}
        add(create, "PeeringConnectionLimitExceeded", theirs)
        for verb in PEERING_VERBS:
            name = {"peeringConnectionName": "y"} if verb == "Modify" else {}
            add(f"{verb}VpcPeeringConnection{suffix}", "InvalidPeeringConnection.NotFound", {**unknown, **name})
        add(f"ModifyVpcPeeringConnection{suffix}", "InvalidPeeringConnectionName", {
            "peeringConnectionId": scene.peering, "peeringConnectionName": LONG,
        })
    describe = "DescribeVpcPeeringConnections"
    add(describe, "InvalidVpc.NotFound", {"vpcId": "gz_vpc_1"})
    add(describe, "InvalidPeeringConnection.NotFound", {"peeringConnectionId": "pcx-1"})


def _networks(scene, add):
    vpc = {"vpcName": "more", "cidrBlock": "172.16.0.0/16"}
    add("CreateVpc", "InvalidVpcName", {**vpc, "vpcName": LONG})
    add("CreateVpc", "InvalidVpcCidr", {**vpc, "cidrBlock": "8.8.0.0/16"})
    add("CreateVpc", "VpcLimitExceeded", vpc)
    add("DescribeVpcEx", "InvalidVpc.NotFound", {"vpcId": "gz_vpc_1"})
    add("DeleteVpc", "InvalidVpc.NotFound", {"vpcId": "gz_vpc_1"})
    add("DeleteVpc", "InvalidVpc.CannotDelete", {"vpcId": "gz_vpc_226"})
    add("ModifyVpcAttribute", "InvalidVpc.NotFound", {"vpcId": "gz_vpc_1", "vpcName": "y"})
    add("ModifyVpcAttribute", "InvalidVpcName", {"vpcId": "gz_vpc_226", "vpcName": LONG})

    subnet = {"subnetName": "t", "cidrBlock": "192.168.2.0/24", "zoneId": 100002}
    ask = lambda vpc="", **change: {"vpcId": vpc or scene.net, "subnetSet": [{**subnet, **change}]}
    add("CreateSubnet", "InvalidVpc.NotFound", ask(vpc="gz_vpc_1"))
    add("CreateSubnet", "InvalidSubnetName", ask(subnetName=LONG))
    add("CreateSubnet", "InvalidSubnetCidr", ask(cidrBlock="10.9.0.0/24"))
    add("CreateSubnet", "InvalidSubnet.Conflict", ask(cidrBlock="192.168.1.128/25"))
    add("CreateSubnet", "InvalidZone.NotFound", ask(zoneId=7))
    add("CreateSubnet", "SubnetLimitExceeded", ask())
    for action, more in (("DeleteSubnet", {}), ("ModifySubnetAttribute", {"subnetName": "y"}),
                         ("DescribeSubnet", {}), ("DescribeSubnetEx", {})):
        add(action, "InvalidVpc.NotFound", {"vpcId": "gz_vpc_1", "subnetId": "gz_subnet_1", **more})
        add(action, "InvalidSubnet.NotFound", {"vpcId": scene.net, "subnetId": "nonsense", **more})
    add("ModifySubnetAttribute", "InvalidSubnetName", {
        "vpcId": scene.net, "subnetId": "gz_subnet_1", "subnetName": LONG,
    })


def _routes(scene, add):
    good, other = scene.route, {**scene.route, "destinationCidrBlock": "10.2.128.0/17"}
    wrong = {
        "InvalidDestinationCidr": {**other, "destinationCidrBlock": "10.1.1.0/24"},
        "InvalidRouteNextType": {**other, "nextType": 8},
        "InvalidRouteNextHub.NotFound": {**other, "nextHub": "pcx-00000000"},
    }
    for action in ("CreateRoute", "DeleteRoute"):
        add(action, "InvalidVpc.NotFound", scene.routes(other, vpc="gz_vpc_1"))
        add(action, "InvalidRouteTableId.NotFound", scene.routes(other, table="rtb-00000000"))
        for code, route in wrong.items():
            if action == "DeleteRoute" and code == "InvalidDestinationCidr":
                # No route leads inside the VPC, and to delete none is a success.
                route = {**other, "destinationCidrBlock": "everywhere"}
            add(action, code, scene.routes(route))
    add("CreateRoute", "RouteAlreadyExists", scene.routes(good))
    add("CreateRoute", "RouteLimitExceeded", scene.routes(other))

    table = {"vpcId": "gz_vpc_226", "routeTableName": "more"}
    change = {"vpcId": "gz_vpc_226", "routeTableId": scene.table, "routeTableName": "y"}
    for action, base in (("CreateRouteTable", table), ("ModifyRouteTableAttribute", change)):
        add(action, "InvalidVpc.NotFound", {**base, "vpcId": "gz_vpc_1"})
        add(action, "InvalidRouteTableName", {**base, "routeTableName": LONG})
        for code, route in wrong.items():
            if (action, code) != ("ModifyRouteTableAttribute", "InvalidDestinationCidr"):
                add(action, code, {**base, "routeSet": [route]})
        add(action, "RouteAlreadyExists", {**base, "routeSet": [other, other]})
        add(action, "RouteLimitExceeded", {**base, "routeSet": [good, other]})
    add("CreateRouteTable", "RouteTableLimitExceeded", {**table, "vpcId": scene.net})
    for action in ("DeleteRouteTable", "ModifyRouteTableAttribute", "DescribeRouteTable"):
        if action != "ModifyRouteTableAttribute":
            add(action, "InvalidVpc.NotFound", {"vpcId": "gz_vpc_1", "routeTableId": scene.table})
        # A list answers an empty one for an id that is well formed.
        table_id = "nonsense" if action == "DescribeRouteTable" else "rtb-00000000"
        add(action, "InvalidRouteTableId.NotFound", {
            "vpcId": "gz_vpc_226", "routeTableId": table_id, "routeTableName": "y",
        })
    join = {"vpcId": scene.net, "routeTableId": "rtb-00000000", "subnetId": "gz_subnet_1"}
    add("AssociateRouteTable", "InvalidVpc.NotFound", {**join, "vpcId": "gz_vpc_1"})
    add("AssociateRouteTable", "InvalidSubnet.NotFound", {**join, "vpcId": "gz_vpc_226", "routeTableId": scene.table,
                                                          "subnetId": "subnet-00000000"})
    add("AssociateRouteTable", "InvalidRouteTableId.NotFound", join)


def _monitor(scene, add):
    good = {
        "namespace": "qce/pcx", "metricName": "inbandwidth",
        "dimensions": [{"name": "peeringConnectionId", "value": scene.peering}],
    }
    data = "GetMonitorData"
    add(data, "-502", {**good, "dimensions": [{"name": "peeringConnectionId", "value": "pcx-00000000"}]})
    add(data, "-503", {**good, "metricName": "latency"})
    add(data, "-505", {name: value for name, value in good.items() if name != "metricName"})
    add(data, "-507", {**good, "period": 60, "startTime": "2020-01-01 00:00:00", "endTime": "2021-01-01 00:00:00"})
    add(data, "-509", {**good, "dimensions": [{"name": "unInstanceId", "value": scene.peering}]})


def _gateway(scene, requests):
    list_all = "DescribeVpcEx"
    peering = {"peeringConnectionId": scene.peering}
    forged = {**servers.FIRST, "secretKey": "wrong"}
    nobody = {"secretId": "AKIDnobody", "secretKey": "secret"}
    requests.update({
        ("any", "4000"): Request(list_all, {"limit": "all"}),
        ("any", "4100"): Request(list_all, {}, key=forged),
        ("any", "4101"): Request("RejectVpcPeeringConnectionEx", peering, key=scene.sub),
        ("any", "4102"): Request("DeleteVpcPeeringConnectionEx", peering, key=scene.sub),
        ("any", "4104"): Request(list_all, {}, key=nobody),
        ("any", "4105"): Request(list_all, {"Token": "temporary"}, needs="token"),
        ("any", "4500"): Request(list_all, {}, needs="clock"),
        ("any", "5000"): Request("DescribeVpcTaskResult", {"taskId": 999999}),
        ("any", "5100"): Request("RejectVpcPeeringConnectionEx", peering),
        ("any", "6100"): Request("MakeCoffee", {}, needs="unknown action"),
    })
