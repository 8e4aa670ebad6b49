"""An independent fuzzer over `/openapi.json`: every body matches its action's answer or the error, no
request is an internal error, and most actions are reached."""

import hashlib
import hmac
import random
import time
import unittest
from urllib.parse import urlsplit

import hypothesis
import requests
import schemathesis
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance, response_schema_conformance, status_code_conformance,
)
from tencentcloud.vpc.v20170312 import models

from server import FIRST_UIN
from v3_story import FIRST, Server, request

EXAMPLES = 40
# The same cases in every run; what fails is shown by its request.
SEED = 20170312
# Actions that have to succeed at least once, of all.
REACHED = 0.6


def signed(prepared):
    """Adds the signature of the vendor's SDKs to a prepared request."""
    stamp = str(int(time.time()))
    date = time.strftime("%Y-%m-%d", time.gmtime(int(stamp)))
    body = prepared.body or b""
    body = body.encode() if isinstance(body, str) else body
    prepared.headers["Host"] = urlsplit(prepared.url).netloc
    prepared.headers["X-TC-Timestamp"] = stamp
    kind = prepared.headers.setdefault("Content-Type", "application/json")
    digest = hashlib.sha256(body).hexdigest()
    canonical = f"POST\n/\n\ncontent-type:{kind}\nhost:{prepared.headers['Host']}\n\ncontent-type;host\n{digest}"
    scope = f"{date}/vpc/tc3_request"
    text = f"TC3-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = ("TC3" + FIRST["secretKey"]).encode()
    for part in (date, "vpc", "tc3_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    prepared.headers["Authorization"] = (
        f"TC3-HMAC-SHA256 Credential={FIRST['secretId']}/{scope}, SignedHeaders=content-type;host, Signature={signature}"
    )
    return prepared


class Fuzzed(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = cls.enterClassContext(Server("--rate-limit", "0"))
        cls.server.operate("quota", "set", "--uin", str(FIRST_UIN), "--vpcs-per-region", "10000",
                           "--subnets-per-vpc", "10000", "--route-tables-per-vpc", "10000")
        cls.client = cls.server.client(scheme="http")

    def call(self, action, **parameters):
        return getattr(self.client, action)(request(getattr(models, f"{action}Request"), **parameters))

    def resources(self):
        """New things that a request may name."""
        self.count = getattr(self, "count", 0) + 1
        one = self.call("CreateVpc", VpcName="one", CidrBlock="10.1.0.0/16").Vpc.VpcId
        other = self.call("CreateVpc", VpcName="other", CidrBlock="10.2.0.0/16").Vpc.VpcId
        spare = self.call("CreateVpc", VpcName="spare", CidrBlock="10.3.0.0/16").Vpc.VpcId
        peering = self.call("CreateVpcPeeringConnection", SourceVpcId=one, DestinationVpcId=other,
                            DestinationUin=str(FIRST_UIN), DestinationRegion="ap-guangzhou",
                            PeeringConnectionName="p").PeeringConnectionId
        subnet = self.call("CreateSubnet", VpcId=one, SubnetName="s", CidrBlock="10.1.1.0/24",
                           Zone="ap-guangzhou-1").Subnet.SubnetId
        table = self.call("CreateRouteTable", VpcId=one, RouteTableName="t").RouteTable.RouteTableId
        route = self.call("CreateRoutes", RouteTableId=table, Routes=[{
            "DestinationCidrBlock": "10.2.0.0/16", "GatewayType": "PEERCONNECTION", "GatewayId": peering,
        }]).RouteTableSet[0].RouteSet[0]
        return {
            "VpcId": spare, "SourceVpcId": spare, "DestinationVpcId": other, "DestinationUin": str(FIRST_UIN),
            "DestinationRegion": "ap-guangzhou", "PeeringConnectionId": peering, "SubnetId": subnet,
            "RouteTableId": table, "CidrBlock": "10.3.8.0/24", "Zone": "ap-guangzhou-2",
            "RouteIds": [route.RouteId], "LimitTypes": ["appid-max-vpcs"],
            "Routes": [{"DestinationCidrBlock": f"10.2.{self.count % 200 + 20}.0/24", "GatewayType": "PEERCONNECTION",
                        "GatewayId": peering, "RouteId": route.RouteId}],
            "Subnets": [{"SubnetName": "n", "Zone": "ap-guangzhou-2", "CidrBlock": "10.3.9.0/24"}],
        }

    def test_every_answer_is_as_described(self):
        schema = schemathesis.openapi.from_url(f"http://{self.server.http}/openapi.json")
        session, chance = requests.Session(), random.Random(SEED)
        reached, refused = set(), {}
        for found in schema.get_all_operations():
            operation = found.ok()
            known = {}

            @hypothesis.seed(SEED)
            @hypothesis.settings(max_examples=EXAMPLES, deadline=None, database=None,
                                 suppress_health_check=list(hypothesis.HealthCheck))
            @hypothesis.given(case=operation.as_strategy())
            def run(case):
                if isinstance(case.body, dict):
                    if not known or chance.random() < 0.1:
                        known.update(self.resources())
                    likely = chance.random()
                    # Names that exist instead of random ones, and sometimes nothing but what is needed.
                    for name in list(case.body):
                        if name in known and chance.random() < 0.8:
                            case.body[name] = known[name]
                        elif likely < 0.5 and name not in known and not name.endswith("Name"):
                            required = operation.body[0].definition["schema"]["required"]
                            if name not in required:
                                del case.body[name]
                if case.headers is not None:
                    case.headers["X-TC-Region"] = "ap-guangzhou"
                prepared = requests.Request(**case.as_transport_kwargs(base_url=f"http://{self.server.http}")).prepare()
                response = session.send(signed(prepared), timeout=20)
                case.validate_response(response, checks=[
                    not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance,
                ])
                error = response.json()["Response"].get("Error")
                if error is None:
                    reached.add(operation.label)
                else:
                    self.assertNotEqual(error["Code"], "InternalError", prepared.body)
                    refused.setdefault(operation.label, set()).add(error["Code"])

            with self.subTest(operation.label):
                run()
        everything = [found.ok().label for found in schema.get_all_operations()]
        missing = {label: sorted(refused.get(label, ())) for label in everything if label not in reached}
        self.assertGreaterEqual(len(reached) / len(everything), REACHED, missing)


if __name__ == "__main__":
    unittest.main()
