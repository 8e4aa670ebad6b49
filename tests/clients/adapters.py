"""One way to call every client: `call(action, parameters, region, key)` gives the decoded answer.

The clients are used as they come from the registry. What is set here is what each offers its users:
endpoint, path, method, digest. Where a client offers none of these, its documented proxy setting is used.
"""

import contextlib
import dataclasses
import json
import os
import pathlib
import subprocess
import sys
import threading
import time
import unittest.mock

import server as servers
import tunnel

PATH = "/v2/index.php"


def flat(value, name=""):
    """Lists and structures as `name.0.field`, for clients that leave this to their users."""
    if isinstance(value, dict):
        pairs = value.items()
    elif isinstance(value, (list, tuple)):
        pairs = enumerate(value)
    else:
        return {name: value}
    return {
        key: one
        for inner, part in pairs
        for key, one in flat(part, f"{name}.{inner}" if name else str(inner)).items()
    }


@dataclasses.dataclass
class Client:
    """A client in one of its ways to sign and send."""

    name: str
    server: servers.Server
    method: str = "GET"
    digest: str = "HmacSHA1"

    # What this client cannot do, with the reason; see `documented.py`.
    cannot = {}

    plain_values_only = False

    # What it has no call for.
    unknown_actions = frozenset()

    # A name with what has to be encoded in a request.
    telling_name = "\u793a\u4f8b a+b&c=d"

    def __str__(self):
        return f"{self.name} {self.method} {self.digest}"

    def __post_init__(self):
        """What a client needs around it."""

    def call(self, action, parameters, region="gz", key=servers.FIRST):
        raise NotImplementedError

    def close(self):
        pass

    def at_another_time(self, secs):
        """A context in which the client's clock differs by this much."""
        now = time.time() + secs
        return unittest.mock.patch("time.time", return_value=now)


class QcloudApiPython(Client):
    """PyPI qcloudapi-sdk-python, the official legacy SDK."""

    def call(self, action, parameters, region="gz", key=servers.FIRST):
        from QcloudApi.modules.monitor import Monitor
        from QcloudApi.modules.vpc import Vpc

        module = Monitor if action == "GetMonitorData" else Vpc
        # The module's host is an attribute: this is the endpoint setting of this SDK.
        module.requestHost = self.server.endpoint
        os.environ["SSL_CERT_FILE"] = str(self.server.ca)
        configuration = {
            "secretId": key["secretId"],
            "secretKey": key["secretKey"],
            "Region": region,
            "method": self.method,
            "SignatureMethod": self.digest,
        }
        return json.loads(module(configuration).call(action, parameters))


class QcloudApi3(Client):
    """PyPI qcloudapi3. It has no module of the product, so its base is used, as its own modules do."""

    def call(self, action, parameters, region="gz", key=servers.FIRST):
        from qcloudapi3.modules.base import Base

        class Vpc(Base):
            requestHost = self.server.endpoint

        configuration = {
            "Region": region,
            "secretId": key["secretId"],
            "secretKey": key["secretKey"],
            "method": self.method.lower(),
        }
        return json.loads(Vpc(configuration).call(action, flat(parameters)))


class QcloudApiBuilder(Client):
    """PyPI qcloudapi, which signs and puts the URL together; sending is its user's."""

    # It signs values as they are encoded in a URL, so only plain ones verify.
    plain_values_only = True
    telling_name = "plain"

    def at_another_time(self, secs):
        now = time.time() + secs
        return unittest.mock.patch("qcloudapi.api.time", lambda: now)

    def call(self, action, parameters, region="gz", key=servers.FIRST):
        import requests
        from qcloudapi.api import QcloudAPI

        request = (
            QcloudAPI()
            .url(self.server.endpoint + PATH)
            .method("GET")
            .action(action)
            .region(region)
            .nonce()
            .timestamp()
            .secret_id(key["secretId"])
            .signature_method(self.digest)
            .append(flat(parameters))
            .sign(key["secretKey"])
        )
        answer = requests.get(request.final(), verify=str(self.server.ca), timeout=20)
        answer.raise_for_status()
        return answer.json()


class TencentCloudCommon(Client):
    """PyPI tencentcloud-sdk-python-common, the core of the later SDK, pointed at the legacy API."""

    def call(self, action, parameters, region="gz", key=servers.FIRST):
        from tencentcloud.common import credential
        from tencentcloud.common.common_client import CommonClient
        from tencentcloud.common.profile.client_profile import ClientProfile
        from tencentcloud.common.profile.http_profile import HttpProfile

        class Legacy(CommonClient):
            # It signs this path and sends to none, so the address has the path as well.
            _requestPath = PATH

        http = HttpProfile(
            reqMethod=self.method,
            endpoint="vpc.api.qcloud.com",
            certification=str(self.server.ca),
            reqTimeout=20,
        )
        http.apigw_endpoint = self.server.endpoint + PATH
        profile = ClientProfile(signMethod=self.digest, httpProfile=http)
        who = credential.Credential(
            key["secretId"], key["secretKey"], parameters.get("Token")
        )
        client = Legacy("vpc", "2017-03-12", who, region, profile)
        return json.loads(client.call(action, parameters))


class QcloudCli(Client):
    """PyPI qcloudcli, the official command line, run as a program.

    Its host is fixed, so it goes through a proxy, which is the one setting it has.
    """

    # It signs Latin-1 and sends UTF-8.
    telling_name = "a+b&c=d"
    unknown_actions = {"CreateRoute", "DeleteRoute", "DescribeVpcLimit", "DescribeVpcs"}

    cannot = {
        "unknown action": "it knows its actions and calls no other",
        "token": "it has no setting for one",
        "clock": "it is a program of its own",
        "unknown region": "nothing; the server is asked",
    }

    def __post_init__(self):
        self.tunnel = tunnel.Tunnel(self.server.endpoint)

    def home(self, key):
        """A home folder in which the program is configured with this key."""
        home = pathlib.Path(self.server.folder.name) / "homes" / key["secretId"] / key["secretKey"]
        folder = home / ".qcloudcli"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "configure").write_text("[default]\nregion = gz\noutput = json\n")
        (folder / "credentials").write_text(
            f"[default]\nqcloud_secretkey = {key['secretKey']}\nqcloud_secretid = {key['secretId']}\n"
        )
        return home

    def close(self):
        self.tunnel.close()

    def call(self, action, parameters, region="gz", key=servers.FIRST):
        module = "monitor" if action == "GetMonitorData" else "vpc"
        program = pathlib.Path(sys.executable).parent / "qcloudcli"
        arguments = [
            str(program), module, action,
            "--RegionId", region,
        ]
        for name, value in parameters.items():
            text = json.dumps(value) if isinstance(value, (list, dict)) else str(value)
            arguments += [f"--{name}", text]
        environment = {
            **os.environ,
            "HOME": str(self.home(key)),
            "SSL_CERT_FILE": str(self.server.ca),
            "https_proxy": f"http://{self.tunnel.address}",
            "PYTHONWARNINGS": "ignore",
        }
        done = subprocess.run(
            arguments, env=environment, capture_output=True, text=True, timeout=60
        )
        try:
            return json.loads(done.stdout)
        except json.JSONDecodeError:
            raise AssertionError(f"qcloudcli printed no answer:\n{done.stdout}\n{done.stderr}")


class NodeClient(Client):
    """A client from npm, behind `bridge.js`, which passes calls on and gives back what it got."""

    def __post_init__(self):
        self.lock = threading.Lock()
        environment = {
            **os.environ,
            "NODE_EXTRA_CA_CERTS": str(self.server.ca),
            "NODE_PATH": os.environ["PEERWAY_TEST_NODE_MODULES"],
            "NODE_NO_WARNINGS": "1",
        }
        bridge = pathlib.Path(__file__).with_name("bridge.js")
        self.process = subprocess.Popen(
            ["node", str(bridge)],
            env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )

    def close(self):
        self.process.stdin.close()
        self.process.wait(timeout=20)
        self.process.stdout.close()

    def call(self, action, parameters, region="gz", key=servers.FIRST):
        request = {
            "client": self.name,
            "method": self.method,
            "digest": self.digest,
            "endpoint": self.server.endpoint,
            "path": PATH,
            "region": region,
            "key": key,
            "action": action,
            "parameters": parameters,
            "clock": getattr(self, "clock_secs", 0),
        }
        with self.lock:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        answer = json.loads(line) if line else {"fault": "the bridge has ended"}
        if "fault" in answer:
            raise AssertionError(f"{self}: {answer['fault']}")
        return answer["answer"]

    @contextlib.contextmanager
    def at_another_time(self, secs):
        self.clock_secs = secs
        try:
            yield
        finally:
            self.clock_secs = 0


BOTH = ("HmacSHA1", "HmacSHA256")


def python_clients():
    """Every client from PyPI in every way it can sign and send."""
    for method in ("GET", "POST"):
        for digest in BOTH:
            yield QcloudApiPython, "qcloudapi-sdk-python", method, digest
            yield TencentCloudCommon, "tencentcloud-sdk-python-common", method, digest
        yield QcloudApi3, "qcloudapi3", method, "HmacSHA1"
    # It asks for the digest of SHA-256 whatever it was told.
    yield QcloudApiBuilder, "qcloudapi", "GET", "HmacSHA256"
    # It sends nothing but POST.
    yield QcloudCli, "qcloudcli", "POST", "HmacSHA1"


def node_clients():
    """Every client from npm in every way it can sign and send."""
    for name in ("qcloudapi-sdk", "@tencent-sdk/capi", "tencentcloud-sdk-nodejs-common"):
        for method in ("GET", "POST"):
            for digest in BOTH:
                yield NodeClient, name, method, digest


@contextlib.contextmanager
def opened(kind, name, method, digest, *flags):
    """A client and a server of its own."""
    with servers.Server(*flags) as server:
        client = kind(name, server, method, digest)
        try:
            yield client
        finally:
            client.close()
