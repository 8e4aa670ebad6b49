"""The whole story of a peering, told through any client; every answer is decoded strictly."""

import time

import decoders
import server as servers

HERE = {"region": "gz", "key": servers.FIRST}
THERE = {"region": "sh", "key": servers.SECOND}


class Storyteller:
    def __init__(self, client):
        self.client = client

    def answer(self, action, parameters, region="gz", key=servers.FIRST):
        return decoders.check(action, self.client.call(action, parameters, region=region, key=key))

    def succeed(self, action, parameters, **who):
        answer = self.answer(action, parameters, **who)
        assert answer["code"] == 0, f"{action}: {answer}"
        return answer

    def end_of(self, answer, **who):
        """The peering of a task that has to succeed."""
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            data = self.succeed("DescribeVpcTaskResult", {"taskId": answer["taskId"]}, **who)["data"]
            if data["status"] != 2:
                assert data["status"] == 0, data
                return data["output"]["uniqVpcPeerId"]
            time.sleep(0.01)
        raise AssertionError("the task did not end")

    def do(self, action, parameters, **who):
        return self.end_of(self.succeed(action, parameters, **who), **who)

    def row(self, peering, **who):
        listed = self.succeed("DescribeVpcPeeringConnections", {"peeringConnectionId": peering}, **who)
        assert listed["totalCount"] == len(listed["data"]) <= 1, listed
        # This is how a client finds that a peering is gone.
        return listed["data"][0] if listed["data"] else None

    def state(self, peering, **who):
        row = self.row(peering, **who)
        return row and row["state"]

    def ask(self, name, **change):
        ask = {
            "vpcId": "gz_vpc_226",
            "peerVpcId": "sh_vpc_7",
            "peerUin": servers.SECOND_UIN,
            "peeringConnectionName": name,
            "peerRegion": "sh",
            "bandwidth": 100,
        }
        return {**ask, **change}

    def tell(self):
        self.own_peering()
        self.accepted()
        self.rejected()
        self.plain()
        self.networks()

    def own_peering(self):
        """The documented example: both ends are the caller's, so it is active at once."""
        peering = self.do("CreateVpcPeeringConnectionEx", {
            "vpcId": "gz_vpc_226", "peerVpcId": "gz_vpc_89", "peerUin": str(servers.FIRST_UIN),
            "peeringConnectionName": "tses", "peerRegion": "gz", "bandwidth": "20",
        })
        row = self.row(peering)
        assert (row["vpcId"], row["peerVpcId"]) == ("gz_vpc_226", "gz_vpc_89"), row
        assert (row["uin"], row["peerUin"]) == (servers.FIRST_UIN,) * 2, row
        assert (row["state"], row["bandwidth"], row["type"]) == (1, 20, 1), row
        assert (row["region"], row["peerRegion"]) == ("gz", "gz"), row
        assert row["unVpcId"] == row["uniqVpcId"], row
        self.do("DeleteVpcPeeringConnectionEx", {"peeringConnectionId": peering})
        assert self.row(peering) is None

    def accepted(self):
        """Asked for, listed by both, accepted, used in a route, changed, measured, deleted."""
        name = self.client.telling_name
        peering = self.do(
            "CreateVpcPeeringConnectionEx", self.ask(name, peerRegion="ap-shanghai"), region="ap-guangzhou",
        )
        assert self.state(peering) == 0 and self.state(peering, **THERE) == 0
        self.do("AcceptVpcPeeringConnectionEx", {"peeringConnectionId": peering}, **THERE)
        row = self.row(peering)
        assert (row["state"], row["peeringConnectionName"]) == (1, name), row
        assert row["region"] != row["peerRegion"], row
        # One client finds its peering by the VPCs of all of them.
        listed = self.succeed("DescribeVpcPeeringConnections", {"vpcId": row["unVpcId"], "limit": 50, "offset": 0})
        assert [one for one in listed["data"] if one["unPeerVpcId"] == row["unPeerVpcId"]], listed
        self.route(peering)
        self.do("ModifyVpcPeeringConnectionEx", {
            "peeringConnectionId": peering, "peeringConnectionName": "renamed", "bandwidth": 200,
        })
        row = self.row(peering, **THERE)
        assert (row["peeringConnectionName"], row["bandwidth"]) == ("renamed", 200), row
        if not self.client.plain_values_only:
            measured = self.succeed("GetMonitorData", {
                "namespace": "qce/pcx", "metricName": "outbandwidth", "period": 60,
                "dimensions": [{"name": "peeringConnectionId", "value": peering}],
            })
            assert measured["dataPoints"] and not any(measured["dataPoints"]), measured
        self.do("DeleteVpcPeeringConnectionEx", {"peeringConnectionId": peering}, **THERE)
        assert self.row(peering, **THERE) is None and self.state(peering) == 4
        self.do("DeleteVpcPeeringConnectionEx", {"peeringConnectionId": peering})
        assert self.row(peering) is None

    def route(self, peering):
        """A route through a peering, and away again."""
        if self.client.plain_values_only or "CreateRoute" in self.client.unknown_actions:
            return
        table = self.succeed("DescribeRouteTable", {"vpcId": "gz_vpc_226"})["data"][0]
        route = {"destinationCidrBlock": "10.3.0.0/16", "nextType": 4, "nextHub": peering}
        change = {"vpcId": "gz_vpc_226", "routeTableId": table["unRouteTableId"], "routeSet": [route]}
        routes = lambda: self.succeed("DescribeRouteTable", {"vpcId": "gz_vpc_226"})["data"][0]["routeSet"]
        for _ in range(2):
            self.succeed("CreateRoute", change)
            assert [one["nextHub"] for one in routes()] == ["Local", peering], routes()
            self.succeed("DeleteRoute", change)
            assert len(routes()) == 1, routes()

    def rejected(self):
        """Rejected: the requester lists it so, the other account no more."""
        peering = self.do("CreateVpcPeeringConnectionEx", self.ask("no"))
        self.do("RejectVpcPeeringConnectionEx", {"peeringConnectionId": peering}, **THERE)
        assert self.state(peering) == 3 and self.row(peering, **THERE) is None
        self.do("DeleteVpcPeeringConnectionEx", {"peeringConnectionId": peering})
        assert self.row(peering) is None

    def plain(self):
        """The actions for peerings inside a region, which start no task."""
        there = {"region": "gz", "key": servers.SECOND}
        ask = {
            "vpcId": "gz_vpc_226", "peerVpcId": "gz_vpc_17", "peerUin": servers.SECOND_UIN,
            "peeringConnectionName": "plain",
        }
        for verb, state in (("Accept", 1), ("Reject", 3)):
            peering = self.succeed("CreateVpcPeeringConnection", ask)["peeringConnectionId"]
            assert self.state(peering, **there) == 0
            self.succeed(f"{verb}VpcPeeringConnection", {"peeringConnectionId": peering}, **there)
            assert self.state(peering) == state
            if state == 1:
                self.rename(peering)
            self.succeed("DeleteVpcPeeringConnection", {"peeringConnectionId": peering})
            assert self.row(peering) is None
            if state == 1:
                assert self.state(peering, **there) == 4
                self.succeed("DeleteVpcPeeringConnection", {"peeringConnectionId": peering}, **there)

    def rename(self, peering):
        self.succeed("ModifyVpcPeeringConnection", {
            "peeringConnectionId": peering, "peeringConnectionName": "renamed",
        })
        assert self.row(peering)["peeringConnectionName"] == "renamed"

    def networks(self):
        """VPCs and subnets; CIDR blocks have a slash, which one client cannot sign."""
        listed = self.succeed("DescribeVpcEx", {"vpcId": "gz_vpc_226"})
        assert listed["data"][0]["vpcId"] == "gz_vpc_226", listed
        if self.client.plain_values_only:
            return
        subnet = {"subnetName": "s", "cidrBlock": "192.168.1.0/24", "zoneId": 100002}
        created = self.succeed("CreateVpc", {
            "vpcName": "third", "cidrBlock": "192.168.0.0/16", "subnetSet": [subnet],
        })
        assert created["unVpcId"] == created["uniqVpcId"], created
        more = {**subnet, "subnetName": "t", "cidrBlock": "192.168.2.0/24"}
        self.succeed("CreateSubnet", {"vpcId": created["unVpcId"], "subnetSet": [more]})
        subnets = self.succeed("DescribeSubnetEx", {"vpcId": created["vpcId"]})
        assert [one["totalIPNum"] for one in subnets["data"]] == [253, 253], subnets
        tables = self.succeed("DescribeRouteTable", {"vpcId": created["vpcId"]})
        assert tables["data"][0]["routeSet"][0]["destinationCidrBlock"] == "Local", tables
        self.changed(created, subnets["data"], tables["data"][0])

    def changed(self, vpc, subnets, default):
        """What has been made is renamed, routed by another table, and deleted."""
        where = {"vpcId": vpc["unVpcId"]}
        self.succeed("ModifyVpcAttribute", {**where, "vpcName": "renamed"})
        if "DescribeVpcs" not in self.client.unknown_actions:
            assert self.succeed("DescribeVpcs", where)["vpcName"] == "renamed"
        one, other = (subnet["unSubnetId"] for subnet in subnets)
        self.succeed("ModifySubnetAttribute", {**where, "subnetId": one, "subnetName": "web"})
        assert self.succeed("DescribeSubnet", {**where, "subnetId": one})["subnetName"] == "web"
        table = self.succeed("CreateRouteTable", {**where, "routeTableName": "own"})["unRouteTableId"]
        both = {**where, "routeTableId": table, "subnetId": [one, other]}
        self.succeed("AssociateRouteTable", both)
        self.succeed("ModifyRouteTableAttribute", {**where, "routeTableId": table, "routeTableName": "mine"})
        row = self.succeed("DescribeRouteTable", {**where, "routeTableId": table})["data"][0]
        assert (row["routeTableName"], row["subnetNum"], row["routeTableType"]) == ("mine", 2, 0), row
        self.succeed("AssociateRouteTable", {**both, "routeTableId": default["routeTableId"]})
        self.succeed("DeleteRouteTable", {**where, "routeTableId": table})
        self.succeed("DeleteSubnet", {**where, "subnetId": other})
        if "DescribeVpcLimit" not in self.client.unknown_actions:
            limits = self.succeed("DescribeVpcLimit", {"type": [0, 20]})["data"]["limit"]
            assert limits == {"0": 5, "20": 10}, limits
        self.succeed("DeleteVpc", where)
        gone = self.answer("DescribeVpcEx", where)
        assert gone["codeDesc"] == "InvalidVpc.NotFound", gone
