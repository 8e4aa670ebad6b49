"""Answers as typed clients decode them: what fails there fails here.

The public Go clients of the legacy API declare `code`, `totalCount`, `taskId`, `state`, `uin` and `peerUin` as
integers and `appId` as a string; one takes any other `codeDesc` than none or `Success` for a failure; one reads
`data.output.uniqVpcPeerId` unchecked; one compares `region` with `peerRegion`. JSON integers only are integers for
them: `true`, `1.0` and `"1"` are not.
"""

INT, STR, BOOL = "an integer", "a string", "a boolean"


def _is(value, kind):
    if kind == INT:
        return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63
    if kind == BOOL:
        return isinstance(value, bool)
    return isinstance(value, str)


def _fields(where, value, kinds):
    assert isinstance(value, dict), f"{where} is no object: {value!r}"
    for name, kind in kinds.items():
        assert name in value, f"{where} has no {name}: {value!r}"
        assert _is(value[name], kind), f"{where}.{name} is not {kind}: {value[name]!r}"


def _list(answer, row):
    _fields("the list", answer, {"totalCount": INT})
    assert isinstance(answer.get("data"), list), f"data is no list: {answer!r}"
    assert len(answer["data"]) <= answer["totalCount"], answer
    for one in answer["data"]:
        row(one)


VPC_IDS = {"vpcId": STR, "unVpcId": STR, "uniqVpcId": STR}

SUBNET = {
    "subnetId": STR, "unSubnetId": STR, "subnetName": STR, "cidrBlock": STR, "zoneId": INT,
    "routeTableId": STR, "unRouteTableId": STR,
}


def _peering(row):
    _fields("a peering", row, {
        **VPC_IDS,
        "peerVpcId": STR, "unPeerVpcId": STR, "uniqPeerVpcId": STR,
        "appId": STR, "peerAppId": STR,
        "peeringConnectionId": STR, "peeringConnectionName": STR,
        "state": INT, "createTime": STR, "uin": INT, "peerUin": INT,
        "region": STR, "peerRegion": STR, "bandwidth": INT, "type": INT,
    })
    assert row["region"] and row["peerRegion"], row
    assert row["unVpcId"].startswith("vpc-") and row["unPeerVpcId"].startswith("vpc-"), row
    assert row["peeringConnectionId"].startswith("pcx-"), row


def _peerings(answer):
    _list(answer, _peering)


def _task_started(answer):
    _fields("the answer", answer, {"taskId": INT})
    assert answer["taskId"] > 0, answer
    # A client declares this name as an integer at this level.
    assert "uniqVpcPeerId" not in answer, answer


def _task(answer):
    data = answer.get("data")
    _fields("data", data, {"status": INT})
    _fields("data.output", data.get("output"), {"errorCode": INT, "errorMsg": STR})
    if data["status"] == 0:
        _fields("data.output", data["output"], {"uniqVpcPeerId": STR})
        assert data["output"]["uniqVpcPeerId"].startswith("pcx-"), data


def _vpc(row):
    _fields("a VPC", row, {
        **VPC_IDS, "vpcName": STR, "cidrBlock": STR, "subnetNum": INT, "routeTableNum": INT,
        "vpnGwNum": INT, "vpcPeerNum": INT, "natNum": INT, "isDefault": BOOL, "isMulticast": BOOL,
        "createTime": STR,
    })


def _subnet(row):
    _fields("a subnet", row, {
        **VPC_IDS, **SUBNET, "vpcName": STR, "vpcCidrBlock": STR,
        "totalIPNum": INT, "availableIPNum": INT, "broadcast": BOOL,
    })


def _vpc_created(answer):
    _fields("the answer", answer, {**VPC_IDS, "vpcCreateTime": STR})
    for subnet in answer.get("subnetSet", []):
        _fields("a subnet", subnet, SUBNET)


def _subnets_created(answer):
    assert answer["subnetSet"], answer
    for subnet in answer["subnetSet"]:
        _fields("a subnet", subnet, SUBNET)


def _table(row):
    _fields("a route table", row, {
        **VPC_IDS, "routeTableId": STR, "unRouteTableId": STR, "routeTableName": STR, "routeTableType": INT,
    })
    assert row["routeSet"] == row["routeTableSet"] and row["routeSet"], row
    for route in row["routeSet"]:
        _fields("a route", route, {"destinationCidrBlock": STR, "nextType": INT, "nextHub": STR})
        if route["destinationCidrBlock"] != "Local":
            _fields("a route", route, {"unNextHub": STR})


def _table_created(answer):
    _fields("the answer", answer, {"routeTableId": STR, "unRouteTableId": STR})
    for route in answer["routeTableSet"]:
        _fields("a route", route, {"destinationCidrBlock": STR, "nextType": INT, "nextHub": STR})


def _one_subnet(answer):
    _fields("the answer", answer, {
        **SUBNET, "subnetCreateTime": STR, "totalIPNum": INT, "availableIPNum": INT,
    })


def _vpcs(answer):
    if "vpcSet" in answer:
        for vpc in answer["vpcSet"]:
            _vpc(vpc)
        return
    _vpc(answer)
    for subnet in answer["subnetSet"]:
        _one_subnet(subnet)
    for table in answer["routeTableSet"]:
        _fields("a route table", table, {"routeTableId": STR, "routeTableType": INT, "routeTableName": STR})


def _limits(answer):
    limits = answer["data"]["limit"]
    assert limits and all(name.isdigit() and _is(limit, INT) for name, limit in limits.items()), answer


def _points(answer):
    _fields("the answer", answer, {"metricName": STR, "startTime": STR, "endTime": STR, "period": INT})
    for point in answer["dataPoints"]:
        assert isinstance(point, (int, float)) and not isinstance(point, bool), answer


def _nothing(_answer):
    pass


SUCCESSES = {
    "CreateVpcPeeringConnection": lambda answer: _fields("the answer", answer, {"peeringConnectionId": STR}),
    "DescribeVpcPeeringConnections": _peerings,
    "DescribeVpcTaskResult": _task,
    "CreateVpc": _vpc_created,
    "DescribeVpcEx": lambda answer: _list(answer, _vpc),
    "CreateSubnet": _subnets_created,
    "DescribeSubnetEx": lambda answer: _list(answer, _subnet),
    "DescribeRouteTable": lambda answer: _list(answer, _table),
    "GetMonitorData": _points,
    **{
        f"{verb}VpcPeeringConnectionEx": _task_started
        for verb in ("Create", "Delete", "Modify", "Accept", "Reject", "Enable")
    },
    **{
        f"{verb}VpcPeeringConnection": _nothing
        for verb in ("Delete", "Modify", "Accept", "Reject", "Enable")
    },
    "CreateRouteTable": _table_created,
    "DescribeSubnet": _one_subnet,
    "DescribeVpcLimit": _limits,
    "DescribeVpcs": _vpcs,
    **{
        action: _nothing
        for action in (
            "AssociateRouteTable", "CreateRoute", "DeleteRoute", "DeleteRouteTable", "DeleteSubnet", "DeleteVpc",
            "ModifyRouteTableAttribute", "ModifySubnetAttribute", "ModifyVpcAttribute",
        )
    },
}


def check(action, answer):
    """Decodes an answer as each of the known clients does."""
    _fields("the envelope", answer, {"code": INT, "message": STR, "codeDesc": STR})
    if answer["code"] == 0:
        assert answer["codeDesc"] == "Success" and answer["message"] == "", answer
        SUCCESSES[action](answer)
    else:
        assert answer["codeDesc"] not in ("", "Success") and answer["message"], answer
        assert set(answer) == {"code", "message", "codeDesc"}, answer
    return answer
