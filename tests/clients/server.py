"""A Peerway server for the tests of real clients: API only, on loopback, with two seeded accounts."""

import json
import os
import pathlib
import socket
import subprocess
import tempfile
import time

SEED = """
[[account]]
uin = 2407912486
app_id = 1251000001
name = "first"
[[account.key]]
secret_id = "AKIDz8krbsJ5yKBZQpn74WFkmLPx3gnPhESA"
secret_key = "Gu5t9xGARNpq86cd98joQYCN3Cozk1qA"
[[account.vpc]]
id = "gz_vpc_226"
name = "requester"
cidr = "10.1.0.0/16"
[[account.vpc]]
id = "gz_vpc_89"
name = "accepter"
cidr = "10.2.0.0/16"
[[account.vpc]]
id = "gz_vpc_90"
name = "overlapping"
cidr = "10.1.128.0/17"

[[account]]
uin = 2407912487
app_id = 1251000002
name = "second"
[[account.key]]
secret_id = "AKIDsecondsecondsecondsecondsecond00"
secret_key = "secondsecondsecondsecondsecond00"
[[account.vpc]]
id = "sh_vpc_7"
name = "other"
cidr = "10.3.0.0/16"
[[account.vpc]]
id = "gz_vpc_17"
name = "near"
cidr = "10.4.0.0/16"
"""

FIRST = {
    "secretId": "AKIDz8krbsJ5yKBZQpn74WFkmLPx3gnPhESA",
    "secretKey": "Gu5t9xGARNpq86cd98joQYCN3Cozk1qA",
}
SECOND = {
    "secretId": "AKIDsecondsecondsecondsecondsecond00",
    "secretKey": "secondsecondsecondsecondsecond00",
}
FIRST_UIN, SECOND_UIN = 2407912486, 2407912487


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """Starts in `__enter__`, is stopped by its process id in `__exit__`."""

    def __init__(self, *flags):
        self.flags = flags

    def __enter__(self):
        binary = os.environ.get("PEERWAY_TEST_BINARY")
        if not binary:
            raise RuntimeError("PEERWAY_TEST_BINARY must name the peerway program")
        self.folder = tempfile.TemporaryDirectory(prefix="peerway-clients-")
        folder = pathlib.Path(self.folder.name)
        seed = folder / "seed.toml"
        seed.write_text(SEED)
        self.endpoint = f"127.0.0.1:{free_port()}"
        self.ca = folder / "state" / "ca.pem"
        self.log = open(folder / "server.log", "w+")
        self.process = subprocess.Popen(
            [
                binary, "server", "--dataplane", "none",
                "--state-dir", str(folder / "state"),
                "--https", self.endpoint,
                "--sync", "127.0.0.1:0",
                "--admin-socket", str(folder / "admin.sock"),
                "--seed-file", str(seed),
                # Clients whose host cannot be set believe in the vendor's.
                "--tls-name", "vpc.api.qcloud.com",
                "--tls-name", "monitor.api.qcloud.com",
                *self.flags,
            ],
            stdout=self.log, stderr=subprocess.STDOUT,
        )
        self._wait()
        return self

    def operate(self, *arguments):
        """Runs an operator's verb and gives what it prints."""
        socket_path = pathlib.Path(self.folder.name) / "admin.sock"
        command = [os.environ["PEERWAY_TEST_BINARY"], *arguments, "--json", "--admin-socket", str(socket_path)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
        if done.returncode != 0:
            raise RuntimeError(f"{command}: {done.stderr}")
        return json.loads(done.stdout)

    def _wait(self):
        host, port = self.endpoint.split(":")
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                socket.create_connection((host, int(port)), timeout=1).close()
                return
            except OSError:
                if self.process.poll() is not None:
                    break
                time.sleep(0.02)
        self.log.seek(0)
        raise RuntimeError("the server did not start:\n" + self.log.read())

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(timeout=20)
        self.log.close()
        self.folder.cleanup()
