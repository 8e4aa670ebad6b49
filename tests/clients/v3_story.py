"""What tests of API 3.0 share: a server with plain HTTP and HTTPS, and clients of the official SDK."""

from tencentcloud.common import credential
from tencentcloud.common.profile.client_profile import ClientProfile
from tencentcloud.common.profile.http_profile import HttpProfile
from tencentcloud.vpc.v20170312 import vpc_client

import server

FIRST = server.FIRST
SECOND = server.SECOND


class Server(server.Server):
    """A server that also speaks plain HTTP."""

    def __init__(self, *flags):
        self.http = f"127.0.0.1:{server.free_port()}"
        super().__init__("--http", self.http, *flags)

    def profile(self, scheme="https", endpoint=None, sign_method="TC3-HMAC-SHA256", method="POST"):
        certification = str(self.ca) if scheme == "https" else None
        http = HttpProfile(
            protocol=scheme,
            endpoint=endpoint or {"http": self.http, "https": self.endpoint}[scheme],
            reqMethod=method,
            certification=certification,
        )
        return ClientProfile(signMethod=sign_method, httpProfile=http)

    def client(self, keys=FIRST, region="ap-guangzhou", kind=vpc_client.VpcClient, **profile):
        signer = credential.Credential(keys["secretId"], keys["secretKey"])
        return kind(signer, region, self.profile(**profile))


def request(kind, **parameters):
    """A request of the SDK's own class."""
    made = kind()
    made._deserialize(parameters)
    return made
