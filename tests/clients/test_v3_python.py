"""The official Python SDK against API 3.0: the whole story, and each refusal as its own exception."""

import unittest

from tencentcloud.common.exception.tencent_cloud_sdk_exception import TencentCloudSDKException
from tencentcloud.vpc.v20170312 import models

from server import FIRST_UIN, SECOND_UIN
from v3_story import FIRST, SECOND, Server, request


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = cls.enterClassContext(Server())
        cls.first = cls.server.client()
        cls.second = cls.server.client(SECOND, "ap-shanghai")

    def refused(self, code, call, *arguments):
        with self.assertRaises(TencentCloudSDKException) as refusal:
            call(*arguments)
        self.assertEqual(refusal.exception.get_code(), code, refusal.exception)
        self.assertRegex(refusal.exception.get_request_id(), "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")

    def vpc(self, client, name, cidr):
        made = client.CreateVpc(request(models.CreateVpcRequest, VpcName=name, CidrBlock=cidr)).Vpc
        self.assertEqual((made.VpcName, made.CidrBlock, made.IsDefault), (name, cidr, False))
        return made.VpcId

    def create(self, client, source, destination, uin, region, **more):
        made = client.CreateVpcPeeringConnection(request(
            models.CreateVpcPeeringConnectionRequest,
            SourceVpcId=source, DestinationVpcId=destination, DestinationUin=str(uin),
            DestinationRegion=region, **{"PeeringConnectionName": "story", **more},
        ))
        return made.PeeringConnectionId

    def describe(self, client, *ids, **filters):
        asked = {"PeeringConnectionIds": list(ids)} if ids else {}
        if filters:
            asked["Filters"] = [
                {"Name": name.replace("_", "-"), "Values": values} for name, values in filters.items()
            ]
        return client.DescribeVpcPeeringConnections(
            request(models.DescribeVpcPeeringConnectionsRequest, **asked)
        )

    def on(self, client, action, peering, **more):
        asked = getattr(models, f"{action}VpcPeeringConnectionRequest")
        call = getattr(client, f"{action}VpcPeeringConnection")
        return call(request(asked, PeeringConnectionId=peering, **more))


class Story(Case):
    def test_two_accounts_in_two_regions_peer_and_part(self):
        mine = self.vpc(self.first, "story-a", "10.20.0.0/16")
        theirs = self.vpc(self.second, "story-b", "10.21.0.0/16")
        peering = self.create(self.first, mine, theirs, SECOND_UIN, "ap-shanghai", Bandwidth=10,
                              PeeringConnectionName="\u7814\u53d1 a&b=c", QosLevel="PT")
        listed = self.describe(self.first, peering)
        self.assertEqual(listed.TotalCount, 1)
        seen = listed.PeerConnectionSet[0]
        self.assertEqual(
            (seen.State, seen.Bandwidth, seen.PeeringConnectionName, seen.QosLevel, seen.Type),
            ("PENDING", 10, "\u7814\u53d1 a&b=c", "PT", "VPC_PEER"),
        )
        self.assertEqual((seen.SourceRegion, seen.DestinationRegion), ("gz", "sh"))
        self.assertEqual((seen.SourceUin, seen.DestinationUin), (FIRST_UIN, SECOND_UIN))
        self.assertEqual((seen.SourceVpcId, seen.PeerVpcId, seen.DestinationVpcId), (mine, theirs, theirs))
        self.assertEqual(self.describe(self.second, peering).TotalCount, 1)
        self.refused("UnsupportedOperation.VpcPeerPurviewError", self.on, self.first, "Accept", peering)
        self.on(self.second, "Accept", peering)
        self.assertEqual(self.describe(self.first, state=["ACTIVE"], vpc_id=[theirs]).TotalCount, 1)
        self.refused("UnsupportedOperation.VpcPeerInvalidStateChange", self.on, self.second, "Accept", peering)
        self.refused("UnsupportedOperation.VpcPeerInvalidStateChange", self.on, self.second, "Reject", peering)
        self.on(self.first, "Modify", peering, PeeringConnectionName="renamed", Bandwidth=20)
        seen = self.describe(self.second, peering_connection_name=["renamed"]).PeerConnectionSet[0]
        self.assertEqual((seen.Bandwidth, seen.SourceVpcId), (20, mine))
        self.on(self.second, "Delete", peering)
        self.assertEqual(self.describe(self.first, peering).PeerConnectionSet[0].State, "DELETED")
        self.assertEqual(self.describe(self.second, peering).TotalCount, 0)
        self.on(self.first, "Delete", peering)
        gone = self.describe(self.first, peering)
        self.assertEqual((gone.TotalCount, gone.PeerConnectionSet), (0, []))

    def test_a_request_is_rejected_and_asked_again(self):
        mine = self.vpc(self.first, "again-a", "10.22.0.0/16")
        theirs = self.vpc(self.second, "again-b", "10.23.0.0/16")
        peering = self.create(self.first, mine, theirs, SECOND_UIN, "sh")
        self.on(self.second, "Reject", peering)
        self.assertEqual(self.describe(self.first, peering).PeerConnectionSet[0].State, "REJECTED")
        self.assertEqual(self.describe(self.second, peering).TotalCount, 0)
        self.assertNotEqual(self.create(self.first, mine, theirs, SECOND_UIN, "sh"), peering)

    def test_one_account_peers_at_once_and_in_one_region_without_a_limit(self):
        client = self.server.client(region="ap-beijing")
        one, other = self.vpc(client, "one", "10.30.0.0/16"), self.vpc(client, "other", "10.31.0.0/16")
        peering = self.create(client, one, other, FIRST_UIN, "ap-beijing", Bandwidth=10)
        seen = self.describe(client, peering).PeerConnectionSet[0]
        self.assertEqual((seen.State, seen.Bandwidth, seen.SourceRegion), ("ACTIVE", 0, "bj"))

    def test_every_way_to_sign_and_to_send_works(self):
        for scheme in ("http", "https"):
            for sign_method in ("TC3-HMAC-SHA256", "HmacSHA256", "HmacSHA1"):
                for method in ("POST", "GET"):
                    with self.subTest(scheme=scheme, sign_method=sign_method, method=method):
                        client = self.server.client(scheme=scheme, sign_method=sign_method, method=method)
                        name = "requester"
                        listed = client.DescribeVpcs(request(
                            models.DescribeVpcsRequest, Offset="0", Limit="100",
                            Filters=[{"Name": "vpc-name", "Values": [name, "moon & sun"]}],
                        ))
                        self.assertEqual([vpc.VpcName for vpc in listed.VpcSet], [name])

    def test_an_unsigned_payload_and_an_endpoint_that_is_a_url_work(self):
        client = self.server.client(scheme="http")
        client.profile.unsignedPayload = True
        self.assertGreater(client.DescribeVpcs(models.DescribeVpcsRequest()).TotalCount, 0)
        client = self.server.client(scheme="http", endpoint=f"http://{self.server.http}")
        self.assertGreater(client.DescribeVpcs(models.DescribeVpcsRequest()).TotalCount, 0)


class Refusals(Case):
    def test_wrong_keys_are_told_apart(self):
        unknown = self.server.client({"secretId": "AKIDnobody", "secretKey": "x"})
        self.refused("AuthFailure.SecretIdNotFound", self.describe, unknown)
        forged = self.server.client({**FIRST, "secretKey": "x"})
        self.refused("AuthFailure.SignatureFailure", self.describe, forged)
        for sign_method in ("HmacSHA256", "HmacSHA1"):
            forged = self.server.client({**FIRST, "secretKey": "x"}, sign_method=sign_method)
            self.refused("AuthFailure.SignatureFailure", self.describe, forged)

    def test_regions_and_actions_that_do_not_exist(self):
        nowhere = self.server.client(region="ap-nowhere")
        self.refused("UnsupportedRegion", self.describe, nowhere)
        self.refused("InvalidAction", self.first.DescribeNatGateways, models.DescribeNatGatewaysRequest())

    def test_each_condition_of_a_creation_has_its_code(self):
        client = self.server.client(region="ap-beijing")
        made = [self.vpc(client, "c", cidr) for cidr in ("10.40.0.0/16", "10.41.0.0/16", "10.40.128.0/17")]
        far = self.vpc(self.second, "far", "10.42.0.0/16")

        def create(source=made[0], destination=made[1], uin=FIRST_UIN, region="ap-beijing", **more):
            return self.create(client, source, destination, uin, region, **more)

        for code, more in [
            ("InvalidParameterValue.Malformed", {"source": "vpc-1"}),
            ("InvalidParameterValue.Empty", {"destination": ""}),
            ("InvalidParameterValue.Empty", {"PeeringConnectionName": ""}),
            ("InvalidParameterValue", {"PeeringConnectionName": "x" * 61}),
            ("InvalidParameterValue", {"QosLevel": "XX"}),
            ("InvalidParameterValue", {"region": "ap-nowhere"}),
            ("InvalidParameterValue", {"destination": made[0]}),
            ("InvalidParameterValue.Malformed", {"uin": "me"}),
            ("UnsupportedOperation", {"Type": "VPC_BM_PEER"}),
            ("ResourceNotFound", {"source": "vpc-00000000"}),
            ("ResourceNotFound", {"destination": "vpc-00000000"}),
            ("ResourceNotFound", {"destination": far}),
            ("ResourceNotFound", {"destination": far, "uin": SECOND_UIN}),
            ("ResourceNotFound", {"uin": 1}),
            ("UnsupportedOperation.VpcPeerCidrConflict", {"destination": made[2]}),
        ]:
            with self.subTest(code=code, **more):
                self.refused(code, lambda more=more: create(**more))
        self.refused("MissingParameter", self.first.CreateVpcPeeringConnection,
                     models.CreateVpcPeeringConnectionRequest())
        create()
        self.refused("UnsupportedOperation.VpcPeerAlreadyExist", create)
        self.refused("UnsupportedOperation.VpcPeerAlreadyExist", create, made[1], made[0])

    def test_peers_of_one_vpc_do_not_overlap_across_regions(self):
        client = self.server.client(region="ap-chengdu")
        mine = self.vpc(client, "hub", "10.50.0.0/16")
        for region, expected in (("ap-nanjing", None), ("ap-seoul", "UnauthorizedOperation.VpcPeerCidrConflict")):
            spoke = self.vpc(self.server.client(region=region), "spoke", "10.51.0.0/16")
            if expected is None:
                self.create(client, mine, spoke, FIRST_UIN, region)
            else:
                self.refused(expected, self.create, client, mine, spoke, FIRST_UIN, region)

    def test_the_quota_of_peerings_has_its_code(self):
        client = self.server.client(SECOND, "ap-tokyo")
        self.server.operate("quota", "set", "--uin", str(SECOND_UIN), "--vpcs-per-region", "20")
        hub = self.vpc(client, "hub", "10.60.0.0/16")
        spokes = [self.vpc(client, "spoke", f"10.{61 + n}.0.0/16") for n in range(11)]
        for spoke in spokes[:10]:
            self.create(client, hub, spoke, SECOND_UIN, "ap-tokyo")
        self.refused("LimitExceeded.VpcPeerAvaLimitExceeded",
                     self.create, client, hub, spokes[10], SECOND_UIN, "ap-tokyo")

    def test_a_stranger_sees_nothing(self):
        client = self.server.client(region="ap-hongkong")
        one, other = self.vpc(client, "p", "10.70.0.0/16"), self.vpc(client, "q", "10.71.0.0/16")
        peering = self.create(client, one, other, FIRST_UIN, "ap-hongkong")
        stranger = self.server.client(SECOND, "ap-hongkong")
        self.assertEqual(self.describe(stranger, peering).TotalCount, 0)
        for action in ("Accept", "Reject", "Delete"):
            self.refused("ResourceNotFound", self.on, stranger, action, peering)
        self.refused("ResourceNotFound", lambda: self.on(stranger, "Modify", peering, PeeringConnectionName="x"))

    def test_lists_refuse_what_cannot_be_asked(self):
        def ask(**parameters):
            asked = request(models.DescribeVpcPeeringConnectionsRequest, **parameters)
            return self.first.DescribeVpcPeeringConnections(asked)

        for code, parameters in [
            ("InvalidParameter.Coexist", {"PeeringConnectionIds": ["pcx-00000000"], "Filters": []}),
            ("InvalidParameterValue.LimitExceeded", {"Limit": 101}),
            ("InvalidParameterValue.Range", {"Limit": 0}),
            ("InvalidParameterValue.Range", {"Offset": -1}),
            ("InvalidParameterValue.Malformed", {"PeeringConnectionIds": ["pcx-1"]}),
            ("InvalidParameterValue", {"Filters": [{"Name": "state", "Values": ["PENGDING"]}]}),
            ("InvalidParameterValue", {"OrderField": "CreateTime"}),
        ]:
            with self.subTest(code=code, **parameters):
                self.refused(code, lambda parameters=parameters: ask(**parameters))

    def test_networks_refuse_what_does_not_fit(self):
        for code, parameters in [
            ("InvalidParameterValue", {"VpcName": "v", "CidrBlock": "8.8.0.0/16"}),
            ("InvalidParameterValue", {"VpcName": "v", "CidrBlock": "10.0.0.1/16"}),
            ("MissingParameter", {"VpcName": "v"}),
            ("UnsupportedOperation", {"VpcName": "v", "StackType": "IPv6Only"}),
            ("InvalidParameterValue.TooLong", {"VpcName": "v" * 61, "CidrBlock": "10.0.0.0/16"}),
        ]:
            with self.subTest(code=code, **parameters):
                asked = request(models.CreateVpcRequest, **parameters)
                self.refused(code, self.first.CreateVpc, asked)
        missing = request(models.DescribeVpcsRequest, VpcIds=["vpc-00000000"])
        self.refused("ResourceNotFound", self.first.DescribeVpcs, missing)


if __name__ == "__main__":
    unittest.main()
