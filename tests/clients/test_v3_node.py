"""The official Node SDK against API 3.0: it signs the host without its port and takes its first label
for the service."""

import json
import os
import pathlib
import subprocess
import unittest

from server import SECOND_UIN
from v3_story import FIRST, SECOND, Server

BRIDGE = pathlib.Path(__file__).with_name("v3_bridge.js")


class Node(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = cls.enterClassContext(Server())

    def call(self, action, parameters, keys=FIRST, region="ap-guangzhou", scheme="http", method="POST",
             sign_method="TC3-HMAC-SHA256"):
        call = {
            **keys, "region": region, "action": action, "parameters": parameters, "method": method,
            "signMethod": sign_method, "protocol": f"{scheme}://",
            "endpoint": {"http": self.server.http, "https": self.server.endpoint}[scheme],
        }
        modules = os.environ.get("PEERWAY_TEST_NODE_MODULES")
        if not modules:
            raise RuntimeError("PEERWAY_TEST_NODE_MODULES must name the folder with the SDK")
        environment = {**os.environ, "NODE_PATH": modules, "NODE_EXTRA_CA_CERTS": str(self.server.ca)}
        done = subprocess.run(["node", str(BRIDGE)], input=json.dumps([call]), env=environment,
                              capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def done(self, *arguments, **how):
        result = self.call(*arguments, **how)
        self.assertIn("answer", result, result)
        return result["answer"]

    def test_the_story(self):
        for scheme, net in (("http", 90), ("https", 92)):
            with self.subTest(scheme=scheme):
                mine = self.done("CreateVpc", {"VpcName": "n", "CidrBlock": f"10.{net}.0.0/16"}, scheme=scheme)
                theirs = self.done("CreateVpc", {"VpcName": "n", "CidrBlock": f"10.{net + 1}.0.0/16"},
                                   keys=SECOND, region="ap-shanghai", scheme=scheme)
                peering = self.done("CreateVpcPeeringConnection", {
                    "SourceVpcId": mine["Vpc"]["VpcId"], "DestinationVpcId": theirs["Vpc"]["VpcId"],
                    "DestinationUin": str(SECOND_UIN), "DestinationRegion": "ap-shanghai",
                    "PeeringConnectionName": "it's \u7814\u53d1 (a)!*~",
                }, scheme=scheme)["PeeringConnectionId"]
                self.done("AcceptVpcPeeringConnection", {"PeeringConnectionId": peering},
                          keys=SECOND, region="ap-shanghai", scheme=scheme)
                listed = self.done("DescribeVpcPeeringConnections", {"PeeringConnectionIds": [peering]}, scheme=scheme)
                seen = listed["PeerConnectionSet"][0]
                self.assertEqual((seen["State"], seen["PeeringConnectionName"]),
                                 ("ACTIVE", "it's \u7814\u53d1 (a)!*~"))
                self.done("DeleteVpcPeeringConnection", {"PeeringConnectionId": peering}, scheme=scheme)

    def test_every_way_to_sign_and_to_send_works(self):
        filters = {"Filters": [{"Name": "vpc-name", "Values": ["requester", "it's (a)!*~ b"]}]}
        for sign_method in ("TC3-HMAC-SHA256", "HmacSHA256", "HmacSHA1"):
            for method in ("POST", "GET"):
                with self.subTest(sign_method=sign_method, method=method):
                    listed = self.done("DescribeVpcs", filters, method=method, sign_method=sign_method)
                    self.assertEqual([vpc["VpcName"] for vpc in listed["VpcSet"]], ["requester"])

    def test_a_refusal_is_the_sdks_exception_with_code_and_request_id(self):
        error = self.call("AcceptVpcPeeringConnection", {"PeeringConnectionId": "pcx-00000000"})["error"]
        self.assertEqual((error["kind"], error["code"]), ("TencentCloudSDKHttpException", "ResourceNotFound"))
        self.assertRegex(error["requestId"], "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")
        self.assertTrue(error["traceId"])


if __name__ == "__main__":
    unittest.main()
