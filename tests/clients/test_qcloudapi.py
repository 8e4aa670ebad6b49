"""The official legacy Python SDK, unmodified, against a Peerway server."""

import json
import os
import time
import unittest

from QcloudApi.modules.vpc import Vpc

import server


class LegacyPythonSdk(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = cls.enterClassContext(server.Server())
        os.environ["SSL_CERT_FILE"] = str(cls.server.ca)
        # The module's host is an attribute: this is the endpoint setting of this SDK.
        Vpc.requestHost = cls.server.endpoint

    def call(self, action, parameters, region="gz", key=server.FIRST, **options):
        client = Vpc({**key, "Region": region, **options})
        return json.loads(client.call(action, parameters))

    def succeed(self, *arguments, **options):
        answer = self.call(*arguments, **options)
        self.assertEqual((answer["code"], answer.get("codeDesc")), (0, "Success"), answer)
        return answer

    def await_task(self, answer, **options):
        self.assertIsInstance(answer["taskId"], int)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            data = self.succeed("DescribeVpcTaskResult", {"taskId": answer["taskId"]}, **options)["data"]
            if data["status"] != 2:
                self.assertEqual(data["status"], 0, data)
                return data["output"]["uniqVpcPeerId"]
            time.sleep(0.01)
        self.fail("the task did not end")

    def peering(self, identifier, **options):
        return self.succeed(
            "DescribeVpcPeeringConnections", {"peeringConnectionId": identifier}, **options
        )

    def test_1_the_documented_example_creates_and_describes_a_peering(self):
        for method in ("GET", "POST"):
            for digest in ("HmacSHA1", "HmacSHA256"):
                with self.subTest(method=method, digest=digest):
                    answer = self.succeed(
                        "CreateVpcPeeringConnectionEx",
                        {
                            "vpcId": "gz_vpc_226",
                            "peerVpcId": "gz_vpc_89",
                            "peerUin": "2407912486",
                            "peeringConnectionName": "tses",
                            "peerRegion": "gz",
                            "bandwidth": "20",
                        },
                        method=method,
                        SignatureMethod=digest,
                    )
                    identifier = self.await_task(answer)
                    listed = self.peering(identifier)
                    self.assertEqual(listed["totalCount"], 1)
                    row = listed["data"][0]
                    self.assertEqual(row["vpcId"], "gz_vpc_226")
                    self.assertEqual(row["peerVpcId"], "gz_vpc_89")
                    self.assertEqual(row["unVpcId"], row["uniqVpcId"])
                    self.assertEqual((row["uin"], row["peerUin"]), (server.FIRST_UIN,) * 2)
                    self.assertIsInstance(row["appId"], str)
                    self.assertEqual((row["state"], row["bandwidth"]), (1, 20))
                    self.assertEqual((row["region"], row["peerRegion"]), ("gz", "gz"))
                    self.await_task(
                        self.succeed(
                            "DeleteVpcPeeringConnectionEx", {"peeringConnectionId": identifier}
                        )
                    )
                    gone = self.peering(identifier)
                    self.assertEqual((gone["totalCount"], gone["data"]), (0, []))

    def test_2_another_account_has_to_accept(self):
        answer = self.succeed(
            "CreateVpcPeeringConnectionEx",
            {
                "vpcId": "gz_vpc_226",
                "peerVpcId": "sh_vpc_7",
                "peerUin": server.SECOND_UIN,
                "peeringConnectionName": "\u793a\u4f8b a+b&c=d",
                "peerRegion": "ap-shanghai",
                "bandwidth": 100,
            },
            region="ap-guangzhou",
            method="POST",
        )
        identifier = self.await_task(answer)
        self.assertEqual(self.peering(identifier)["data"][0]["state"], 0)
        other = {"region": "sh", "key": server.SECOND}
        self.await_task(
            self.succeed(
                "AcceptVpcPeeringConnectionEx", {"peeringConnectionId": identifier}, **other
            ),
            **other,
        )
        row = self.peering(identifier)["data"][0]
        self.assertEqual((row["state"], row["peeringConnectionName"]), (1, "\u793a\u4f8b a+b&c=d"))

    def test_3_documented_errors_keep_their_names(self):
        good = {
            "vpcId": "gz_vpc_226",
            "peerVpcId": "gz_vpc_89",
            "peerUin": server.FIRST_UIN,
            "peeringConnectionName": "x",
            "peerRegion": "gz",
            "bandwidth": 20,
        }
        for change, expected in [
            ({"peeringConnectionName": "x" * 61}, "InvalidPeeringConnectionName"),
            ({"peerVpcId": "gz_vpc_90"}, "PeeringConnectionVpcConflict"),
            ({"vpcId": "gz_vpc_1"}, "InvalidVpc.NotFound"),
            ({"peerUin": server.SECOND_UIN}, "InvalidVpc.NotFound"),
            ({"bandwidth": "fast"}, "InvalidParameter"),
        ]:
            with self.subTest(expected=expected):
                answer = self.call("CreateVpcPeeringConnectionEx", {**good, **change})
                self.assertEqual(answer["codeDesc"], expected, answer)
                self.assertNotEqual(answer["code"], 0)
        self.assertEqual(self.call("NoSuchAction", {})["code"], 6100)
        wrong = {**server.FIRST, "secretKey": "wrong"}
        self.assertEqual(self.call("DescribeVpcEx", {}, key=wrong)["code"], 4100)

    def test_4_networks_and_routes(self):
        created = self.succeed(
            "CreateVpc",
            {
                "vpcName": "third",
                "cidrBlock": "192.168.0.0/16",
                "subnetSet": [
                    {"subnetName": "s", "cidrBlock": "192.168.1.0/24", "zoneId": 100002}
                ],
            },
        )
        self.assertEqual(created["unVpcId"], created["uniqVpcId"])
        subnets = self.succeed("DescribeSubnetEx", {"vpcId": created["unVpcId"]})
        self.assertEqual(subnets["data"][0]["totalIPNum"], 253)
        tables = self.succeed("DescribeRouteTable", {"vpcId": created["vpcId"]})
        self.assertEqual(tables["data"][0]["routeSet"][0]["destinationCidrBlock"], "Local")


if __name__ == "__main__":
    unittest.main()
