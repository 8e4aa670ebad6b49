"""Every documented code of API 3.0 that a request can cause, as the Python SDK's own exception."""

import json
import pathlib
import time
import unittest
from unittest import mock

from tencentcloud.common import credential
from tencentcloud.common.common_client import CommonClient
from tencentcloud.common.exception.tencent_cloud_sdk_exception import TencentCloudSDKException
from tencentcloud.sts.v20180813 import sts_client
from tencentcloud.vpc.v20170312 import models

import v3_documented as documented
from server import FIRST_UIN
from v3_story import FIRST, SECOND, Server, request

KEYS = {"first": FIRST, "second": SECOND}
REQUEST_ID = "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"


class Caller:
    """Calls as either account in any region."""

    def __init__(self, server):
        self.server = server
        self.clients = {}

    def client(self, who, region):
        if (who, region) not in self.clients:
            self.clients[who, region] = self.server.client(KEYS[who], region, scheme="http")
        return self.clients[who, region]

    def __call__(self, who, region, action, parameters):
        return json.loads(self.client(who, region).call(action, parameters))["Response"]

    def typed(self, who, region, action, parameters):
        """Through the SDK's own classes."""
        asked = request(getattr(models, f"{action}Request"), **parameters)
        return getattr(self.client(who, region), action)(asked)


class Refusals(unittest.TestCase):
    def refused(self, code, call, *arguments, **more):
        with self.assertRaises(TencentCloudSDKException) as refusal:
            call(*arguments, **more)
        self.assertEqual(refusal.exception.get_code(), code, refusal.exception)
        self.assertRegex(refusal.exception.get_request_id(), REQUEST_ID)
        self.caused.add(code)

    def setUp(self):
        self.caused = set()

    def test_every_documented_code_is_caused_or_has_a_reason(self):
        server = self.enterContext(Server("--rate-limit", "0"))
        call = Caller(server)
        scene = documented.Scene(call, server.operate)
        caused = set()
        for case in documented.cases(scene):
            is_typed = case.plain and hasattr(models, f"{case.action}Request")
            ask = call.typed if is_typed else call
            with self.subTest(case.why, action=case.action, code=case.code):
                self.refused(case.code, ask, case.who, case.region, case.action, case.parameters)
                caused.add((case.action, case.code))
        self.token(call, scene)
        caused.add(("CreateVpcPeeringConnection", "InvalidParameterValue.Combination"))
        pages = {entry for entry in documented.DOCUMENTED if entry[0] != "any"}
        never = {entry for entry in documented.NEVER if entry[0] != "any"}
        self.assertEqual(never - pages, set(), "reasons for what is not documented")
        self.assertEqual(never & caused, set(), "both caused and never answered")
        self.assertEqual(pages - caused - never, set(), "neither caused nor excepted")

    def test_every_exception_is_documented(self):
        text = (pathlib.Path(__file__).parents[2] / "docs" / "compatibility.md").read_text()
        rows = [line for line in text.splitlines() if line.startswith("| `")]
        for action, code in documented.NEVER:
            with self.subTest(action=action, code=code):
                self.assertTrue(any(f"`{code}`" in row and action in row for row in rows))

    def token(self, call, scene):
        """A token that comes again with other parameters; the SDK's classes have no such field."""
        asked = documented.peering(scene.hub, scene.near, FIRST_UIN, documented.HOME, ClientToken="again")
        made = call("first", documented.HOME, "CreateVpcPeeringConnection", asked)
        again = call("first", documented.HOME, "CreateVpcPeeringConnection", asked)
        self.assertEqual(again["PeeringConnectionId"], made["PeeringConnectionId"])
        asked["PeeringConnectionName"] = "another"
        self.refused("InvalidParameterValue.Combination", call, "first", documented.HOME, "CreateVpcPeeringConnection",
                     asked)

    def test_every_code_that_all_actions_have_is_caused_or_has_a_reason(self):
        server = self.enterContext(Server())
        self.keys(server)
        self.envelope(server)
        slow = self.enterContext(Server("--rate-limit", "1")).client()
        with self.assertRaises(TencentCloudSDKException) as refusal:
            for _ in range(100):
                slow.DescribeVpcs(models.DescribeVpcsRequest())
        self.assertEqual(refusal.exception.get_code(), "RequestLimitExceeded")
        self.caused.add("RequestLimitExceeded")
        # Those of single actions are caused by the other test.
        elsewhere = {"LimitExceeded", "ResourceInUse"}
        everywhere = {code for action, code in documented.DOCUMENTED if action == "any"}
        never = {code for action, code in documented.NEVER if action == "any"}
        self.assertEqual(never & self.caused, set(), "both caused and never answered")
        self.assertEqual(everywhere - self.caused - never - elsewhere, set(), "neither caused nor excepted")

    def keys(self, server):
        asked = models.DescribeVpcsRequest()
        for sign_method in ("TC3-HMAC-SHA256", "HmacSHA256", "HmacSHA1"):
            for scheme in ("http", "https"):
                how = {"sign_method": sign_method, "scheme": scheme}
                with self.subTest(**how):
                    unknown = server.client({"secretId": "AKIDnobody", "secretKey": "x"}, **how)
                    self.refused("AuthFailure.SecretIdNotFound", unknown.DescribeVpcs, asked)
                    forged = server.client({**FIRST, "secretKey": "x"}, **how)
                    self.refused("AuthFailure.SignatureFailure", forged.DescribeVpcs, asked)
                    now = time.time()
                    with mock.patch("time.time", lambda now=now: now - 301):
                        self.refused("AuthFailure.SignatureExpire", server.client(**how).DescribeVpcs, asked)
        borrowed = server.client()
        borrowed.credential = credential.Credential(FIRST["secretId"], FIRST["secretKey"], "a token")
        self.refused("AuthFailure.TokenFailure", borrowed.DescribeVpcs, asked)
        made = server.operate("key", "create", "--uin", str(FIRST_UIN), "--read-only")
        reader = server.client({"secretId": made["secret_id"], "secretKey": made["secret_key"]})
        self.assertGreater(reader.DescribeVpcs(asked).TotalCount, 0)
        self.refused("AuthFailure.UnauthorizedOperation", reader.CreateVpc,
                     request(models.CreateVpcRequest, VpcName="x", CidrBlock="10.0.0.0/16"))
        self.refused("AuthFailure.InvalidAuthorization", server.client(kind=sts_client.StsClient).call,
                     "GetCallerIdentity", {}, options={"SkipSign": True})

    def envelope(self, server):
        client = server.client(scheme="http")
        self.refused("InvalidAction", client.DescribeNatGateways, models.DescribeNatGatewaysRequest())
        other = CommonClient("vpc", "2001-01-01", client.credential, "ap-guangzhou", client.profile)
        self.refused("NoSuchVersion", other.call, "DescribeVpcs", {})
        nowhere = server.client(region="ap-nowhere")
        self.refused("UnsupportedRegion", nowhere.DescribeVpcs, models.DescribeVpcsRequest())
        self.refused("MissingParameter", server.client(region="").call, "DescribeVpcs", {})
        self.refused("UnknownParameter", client.call, "DescribeVpcs", {"Moon": "full"})
        self.refused("UnknownParameter.WithGuess", client.call, "DescribeVpcs", {"Limits": "1"})
        self.refused("InvalidParameter", client.call, "DescribeVpcs", {"VpcIds": "vpc-00000000"})
        self.refused("InvalidParameterValue", client.call, "CreateVpc", {"VpcName": "x", "CidrBlock": "8.0.0.0/16"})
        self.refused("ResourceNotFound", client.call, "DescribeVpcs", {"VpcIds": ["vpc-00000000"]})
        self.refused("UnsupportedOperation", client.call, "CreateVpc",
                     {"VpcName": "x", "CidrBlock": "10.0.0.0/16", "StackType": "IPv6Only"})
        self.refused("DryRunOperation", client.call, "CreateVpc", {"VpcName": "x", "CidrBlock": "10.0.0.0/16"},
                     headers={"X-Peerway-DryRun": "true"})
        self.refused("RequestSizeLimitExceeded", client.call, "DescribeVpcs", {"Moon": "x" * (1 << 20)})


if __name__ == "__main__":
    unittest.main()
