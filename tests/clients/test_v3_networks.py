"""Networks, routes and the products beside VPC, through the official Python SDK."""

import json

from tencentcloud.cam.v20190116 import cam_client, models as cam
from tencentcloud.cvm.v20170312 import cvm_client, models as cvm
from tencentcloud.sts.v20180813 import sts_client, models as sts
from tencentcloud.tag.v20180813 import models as tag, tag_client
from tencentcloud.vpc.v20170312 import models

from server import FIRST_UIN, SECOND_UIN
from test_v3_python import Case
from v3_story import SECOND, request


class Networks(Case):
    def call(self, client, action, **parameters):
        asked = request(getattr(models, f"{action}Request"), **parameters)
        return getattr(client, action)(asked)

    def pair(self, region, net):
        """Two VPCs of one account and region, and their peering."""
        client = self.server.client(region=region)
        one, other = self.vpc(client, "one", f"10.{net}.0.0/16"), self.vpc(client, "other", f"10.{net + 1}.0.0/16")
        return client, one, other, self.create(client, one, other, FIRST_UIN, region)

    def main_table(self, client, vpc):
        found = self.call(client, "DescribeRouteTables", Filters=[
            {"Name": "vpc-id", "Values": [vpc]}, {"Name": "association.main", "Values": ["true"]},
        ])
        self.assertEqual((found.TotalCount, found.RouteTableSet[0].Main), (1, True))
        return found.RouteTableSet[0]

    def test_a_network_is_made_changed_and_removed(self):
        client = self.server.client(region="ap-chongqing")
        vpc = self.vpc(client, "net", "10.100.0.0/16")
        self.call(client, "ModifyVpcAttribute", VpcId=vpc, VpcName="renamed", EnableMulticast="false")
        seen = self.call(client, "DescribeVpcs", VpcIds=[vpc]).VpcSet[0]
        self.assertEqual((seen.VpcName, seen.EnableMulticast, seen.TagSet), ("renamed", False, []))
        subnet = self.call(client, "CreateSubnet", VpcId=vpc, SubnetName="s", CidrBlock="10.100.1.0/24",
                           Zone="ap-chongqing-1").Subnet
        self.assertEqual((subnet.AvailableIpAddressCount, subnet.TotalIpAddressCount), (253, 256))
        more = self.call(client, "CreateSubnets", VpcId=vpc, Subnets=[
            {"SubnetName": "t", "CidrBlock": "10.100.2.0/24", "Zone": "ap-chongqing-1"},
            {"SubnetName": "u", "CidrBlock": "10.100.3.0/24", "Zone": "ap-chongqing-2"},
        ]).SubnetSet
        self.assertEqual([one.Zone for one in more], ["ap-chongqing-1", "ap-chongqing-2"])
        self.call(client, "ModifySubnetAttribute", SubnetId=subnet.SubnetId, SubnetName="v", EnableBroadcast="false")
        listed = self.call(client, "DescribeSubnets", Offset="0", Limit="100", Filters=[
            {"Name": "vpc-id", "Values": [vpc]}, {"Name": "zone", "Values": ["ap-chongqing-1"]},
        ])
        self.assertEqual(sorted(one.SubnetName for one in listed.SubnetSet), ["t", "v"])
        self.refused("InvalidParameterValue.SubnetConflict", lambda: self.call(
            client, "CreateSubnet", VpcId=vpc, SubnetName="w", CidrBlock="10.100.1.128/25", Zone="ap-chongqing-1"))
        self.refused("InvalidParameterValue.SubnetRange", lambda: self.call(
            client, "CreateSubnet", VpcId=vpc, SubnetName="w", CidrBlock="10.101.1.0/24", Zone="ap-chongqing-1"))
        self.refused("InvalidParameterValue", lambda: self.call(
            client, "CreateSubnet", VpcId=vpc, SubnetName="w", CidrBlock="10.100.9.0/24", Zone="ap-beijing-1"))
        for one in (subnet, *more):
            self.call(client, "DeleteSubnet", SubnetId=one.SubnetId)
        self.refused("ResourceNotFound", lambda: self.call(client, "DeleteSubnet", SubnetId=subnet.SubnetId))
        self.call(client, "DeleteVpc", VpcId=vpc)
        self.refused("ResourceNotFound", lambda: self.call(client, "DescribeVpcs", VpcIds=[vpc]))

    def test_routes_are_made_found_replaced_switched_and_removed(self):
        client, one, _, peering = self.pair("ap-singapore", 110)
        table = self.main_table(client, one).RouteTableId
        route = {"DestinationCidrBlock": "10.111.0.0/16", "GatewayType": "PEERCONNECTION", "GatewayId": peering,
                 "RouteDescription": "to them", "Enabled": True}
        other = {**route, "DestinationCidrBlock": "10.111.2.0/24"}
        self.call(client, "CreateRoutes", RouteTableId=table, Routes=[other])
        made = self.call(client, "CreateRoutes", RouteTableId=table, Routes=[route])
        # One client fails on any other number of routes than it made.
        self.assertEqual((made.TotalCount, len(made.RouteTableSet), len(made.RouteTableSet[0].RouteSet)), (1, 1, 1))
        new = made.RouteTableSet[0].RouteSet[0]
        self.assertEqual((new.GatewayId, new.RouteType, new.Enabled), (peering, "USER", True))
        self.assertGreater(new.RouteId, 0)
        listed = self.main_table(client, one).RouteSet
        self.assertEqual([r.DestinationCidrBlock for r in listed], ["10.111.2.0/24", "10.111.0.0/16"])
        self.assertEqual(len({r.RouteId for r in listed}), 2)
        self.call(client, "DisableRoutes", RouteTableId=table, RouteIds=[new.RouteId])
        found = self.call(client, "DescribeRoutes", Filters=[{"Name": "dest-cidr", "Values": ["10.111.0."]}])
        self.assertEqual([(r.RouteId, r.Enabled) for r in found.RouteSet], [(new.RouteId, False)])
        self.call(client, "EnableRoutes", RouteTableId=table, RouteItemIds=[new.RouteItemId])
        swapped = self.call(client, "ReplaceRoutes", RouteTableId=table, Routes=[
            {**route, "DestinationCidrBlock": "10.111.3.0/24", "RouteId": new.RouteId}])
        self.assertEqual(
            (swapped.OldRouteSet[0].DestinationCidrBlock, swapped.NewRouteSet[0].DestinationCidrBlock,
             swapped.NewRouteSet[0].RouteId), ("10.111.0.0/16", "10.111.3.0/24", new.RouteId))
        gone = self.call(client, "DeleteRoutes", RouteTableId=table, Routes=[{"RouteId": new.RouteId}])
        self.assertEqual([r.DestinationCidrBlock for r in gone.RouteSet], ["10.111.3.0/24"])
        for code, action, routes in [
            ("ResourceNotFound", "DeleteRoutes", [{"RouteId": new.RouteId}]),
            ("InvalidParameterValue.Duplicate", "CreateRoutes", [other]),
            ("InvalidParameterValue.VpcCidrConflict", "CreateRoutes", [{**route, "DestinationCidrBlock": "10.110.9.0/24"}]),
            ("InvalidParameterValue.CidrNotInPeerVpc", "CreateRoutes", [{**route, "DestinationCidrBlock": "10.112.0.0/16"}]),
            ("InvalidParameterValue.RouteNextHopInvalid", "CreateRoutes", [{**route, "GatewayId": "pcx-00000000"}]),
            ("InvalidParameterValue.RouteNextHopInvalid", "CreateRoutes", [{**route, "GatewayType": "NAT"}]),
            ("InvalidParameterValue", "CreateRoutes", [{**route, "GatewayType": "MOON"}]),
            ("MissingParameter", "CreateRoutes", [{"GatewayType": "PEERCONNECTION", "GatewayId": peering}]),
        ]:
            with self.subTest(code=code, routes=routes):
                self.refused(code, lambda action=action, routes=routes: self.call(
                    client, action, RouteTableId=table, Routes=routes))
        self.call(client, "ResetRoutes", RouteTableId=table, RouteTableName="reset", Routes=[route])
        after = self.main_table(client, one)
        self.assertEqual((after.RouteTableName, len(after.RouteSet)), ("reset", 1))
        # The routes go with their peering.
        self.on(client, "Delete", peering)
        self.assertEqual(self.main_table(client, one).RouteSet, [])

    def test_route_tables_are_made_used_and_removed(self):
        client, one, _, peering = self.pair("ap-mumbai", 120)
        default = self.main_table(client, one).RouteTableId
        table = self.call(client, "CreateRouteTable", VpcId=one, RouteTableName="own").RouteTable.RouteTableId
        # The SDK has no class for this action, and calls any by name.
        full = json.loads(client.call("CreateRouteTableWithRoutes", {
            "VpcId": one, "RouteTableName": "full", "Routes": [
                {"DestinationCidrBlock": "10.121.0.0/16", "GatewayType": "PEERCONNECTION", "GatewayId": peering},
            ],
        }))
        self.assertEqual(len(full["Response"]["RouteTable"]["RouteSet"]), 1)
        subnet = self.call(client, "CreateSubnet", VpcId=one, SubnetName="s", CidrBlock="10.120.1.0/24",
                           Zone="ap-mumbai-1").Subnet.SubnetId
        self.call(client, "ReplaceRouteTableAssociation", RouteTableId=table, SubnetId=subnet)
        seen = self.call(client, "DescribeRouteTables", RouteTableIds=[table]).RouteTableSet[0]
        self.assertEqual([one.SubnetId for one in seen.AssociationSet], [subnet])
        self.assertEqual(self.call(client, "DescribeSubnets", SubnetIds=[subnet]).SubnetSet[0].RouteTableId, table)
        self.refused("UnsupportedOperation.DelRouteWithSubnet",
                     lambda: self.call(client, "DeleteRouteTable", RouteTableId=table))
        self.refused("UnsupportedOperation.NotSupportDeleteDefaultRouteTable",
                     lambda: self.call(client, "DeleteRouteTable", RouteTableId=default))
        self.call(client, "ReplaceRouteTableAssociation", RouteTableId=default, SubnetId=subnet)
        self.call(client, "ModifyRouteTableAttribute", RouteTableId=table, RouteTableName="renamed")
        self.call(client, "DeleteRouteTable", RouteTableId=table)
        self.refused("ResourceNotFound", lambda: self.call(client, "DescribeRouteTables", RouteTableIds=[table]))
        # With filters, what is not there is only not found.
        self.assertEqual(self.call(client, "DescribeRouteTables", Filters=[
            {"Name": "route-table-id", "Values": [table]}]).TotalCount, 0)
        self.refused("ResourceInUse", lambda: self.call(client, "DeleteVpc", VpcId=one))

    def test_limits_and_a_dry_run(self):
        limits = self.call(self.first, "DescribeVpcLimits", LimitTypes=["appid-max-vpcs", "vpc-max-available-vpcpeers"])
        self.assertEqual([(one.LimitType, one.LimitValue) for one in limits.VpcLimitSet],
                         [("appid-max-vpcs", 5), ("vpc-max-available-vpcpeers", 10)])
        self.refused("InvalidParameterValue", lambda: self.call(self.first, "DescribeVpcLimits", LimitTypes=["moons"]))
        client = self.server.client(region="ap-nanjing")
        before = self.call(client, "DescribeVpcs").TotalCount
        asked = request(models.CreateVpcRequest, VpcName="dry", CidrBlock="10.9.0.0/16")
        asked.headers = {"X-Peerway-DryRun": "true"}
        self.refused("DryRunOperation", client.CreateVpc, asked)
        asked.CidrBlock = "8.8.0.0/16"
        self.refused("InvalidParameterValue", client.CreateVpc, asked)
        self.assertEqual(self.call(client, "DescribeVpcs").TotalCount, before)


class Neighbours(Case):
    def test_the_products_beside_answer_what_clients_of_peerings_ask(self):
        identity = self.server.client(kind=sts_client.StsClient).GetCallerIdentity(sts.GetCallerIdentityRequest())
        self.assertEqual(identity.AccountId, str(FIRST_UIN))
        client = self.server.client(SECOND, kind=cam_client.CamClient)
        user = client.GetUserAppId(cam.GetUserAppIdRequest())
        self.assertEqual((user.OwnerUin, user.AppId), (str(SECOND_UIN), 1251000002))
        subs = client.DescribeSubAccounts(request(cam.DescribeSubAccountsRequest, FilterSubAccountUin=[SECOND_UIN]))
        self.assertEqual(subs.SubAccounts, [])
        client = self.server.client(kind=cvm_client.CvmClient)
        regions = client.DescribeRegions(cvm.DescribeRegionsRequest())
        self.assertIn(("ap-guangzhou", "AVAILABLE"), [(one.Region, one.RegionState) for one in regions.RegionSet])
        zones = client.DescribeZones(cvm.DescribeZonesRequest())
        self.assertEqual(zones.ZoneSet[0].Zone, "ap-guangzhou-1")
        self.refused("InvalidAction", client.DescribeInstances, cvm.DescribeInstancesRequest())
        client = self.server.client(kind=tag_client.TagClient)
        tags = client.DescribeResourceTagsByResourceIds(request(
            tag.DescribeResourceTagsByResourceIdsRequest, ServiceType="vpc", ResourcePrefix="subnet",
            ResourceIds=["subnet-00000000"], ResourceRegion="ap-guangzhou"))
        self.assertEqual((tags.TotalCount, tags.Tags), (0, []))
