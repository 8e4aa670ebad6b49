"""The vendor's command line against API 3.0, over plain HTTP and over HTTPS with the server's own CA.

It knows no setting for a CA, so the bundle of its certifi is extended while the tests run."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

import certifi

from server import SECOND_UIN
from v3_story import FIRST, SECOND, Server

TCCLI = str(pathlib.Path(sys.executable).parent / "tccli")


class Tccli(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = cls.enterClassContext(Server())
        cls.home = cls.enterClassContext(tempfile.TemporaryDirectory(prefix="peerway-tccli-"))
        bundle = pathlib.Path(certifi.where())
        before = bundle.read_bytes()
        cls.addClassCleanup(bundle.write_bytes, before)
        bundle.write_bytes(before + b"\n" + cls.server.ca.read_bytes())

    def run_tccli(self, action, *arguments, keys=FIRST, region="ap-guangzhou", scheme="http"):
        address = {"http": self.server.http, "https": self.server.endpoint}[scheme]
        environment = {
            **os.environ,
            "HOME": self.home,
            "TENCENTCLOUD_SECRET_ID": keys["secretId"],
            "TENCENTCLOUD_SECRET_KEY": keys["secretKey"],
            "TENCENTCLOUD_REGION": region,
        }
        # With a scheme the tool sends the whole URL as the Host; without one it uses HTTPS.
        endpoint = f"http://{address}" if scheme == "http" else address
        command = [TCCLI, "vpc", action, *arguments, "--endpoint", endpoint]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)

    def call(self, action, *arguments, **how):
        done = self.run_tccli(action, *arguments, **how)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return json.loads(done.stdout) if done.stdout.strip() else {}

    def test_the_story(self):
        for scheme, net in (("http", 80), ("https", 82)):
            with self.subTest(scheme=scheme):
                mine = self.call("CreateVpc", "--VpcName", "cli", "--CidrBlock", f"10.{net}.0.0/16", scheme=scheme)
                theirs = self.call("CreateVpc", "--VpcName", "cli", "--CidrBlock", f"10.{net + 1}.0.0/16",
                                   keys=SECOND, region="ap-shanghai", scheme=scheme)
                made = self.call(
                    "CreateVpcPeeringConnection", "--SourceVpcId", mine["Vpc"]["VpcId"],
                    "--DestinationVpcId", theirs["Vpc"]["VpcId"], "--DestinationUin", str(SECOND_UIN),
                    "--DestinationRegion", "ap-shanghai", "--PeeringConnectionName", "cli", scheme=scheme,
                )
                peering = made["PeeringConnectionId"]
                self.call("AcceptVpcPeeringConnection", "--PeeringConnectionId", peering,
                          keys=SECOND, region="ap-shanghai", scheme=scheme)
                listed = self.call("DescribeVpcPeeringConnections", "--PeeringConnectionIds", json.dumps([peering]),
                                   scheme=scheme)
                self.assertEqual([one["State"] for one in listed["PeerConnectionSet"]], ["ACTIVE"])
                self.call("DeleteVpcPeeringConnection", "--PeeringConnectionId", peering, scheme=scheme)

    def test_a_refusal_ends_with_an_error_and_its_code(self):
        done = self.run_tccli("RejectVpcPeeringConnection", "--PeeringConnectionId", "pcx-00000000")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("ResourceNotFound", done.stdout + done.stderr)


if __name__ == "__main__":
    unittest.main()
