"""The vendor's command line against API 3.0, over plain HTTP and over HTTPS with the server's own CA.

It knows no setting for a CA, so the bundle of its certifi is extended while the tests run."""

import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

import certifi

import v3_documented as documented
from server import SECOND_UIN
from test_v3_python_errors import KEYS, Caller
from v3_story import FIRST, SECOND, Server

TCCLI = str(pathlib.Path(sys.executable).parent / "tccli")


class Tccli(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = cls.enterClassContext(Server("--rate-limit", "0"))
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
        """One case of every code; each is a program of its own, so not all."""
        scene = documented.Scene(Caller(self.server), self.server.operate)
        cases = {case.code: case for case in documented.cases(scene) if case.plain}
        self.assertGreater(len(cases), 20)
        for code, case in cases.items():
            with self.subTest(case.why, action=case.action, code=code):
                values = ((name, value if isinstance(value, str) else json.dumps(value))
                          for name, value in case.parameters.items())
                arguments = [part for name, value in values for part in (f"--{name}", value)]
                done = self.run_tccli(case.action, *arguments, keys=KEYS[case.who], region=case.region)
                self.assertEqual(done.returncode, 255, done.stdout + done.stderr)
                self.assertRegex(done.stderr, rf"\bcode:{re.escape(code)}\s")


if __name__ == "__main__":
    unittest.main()
