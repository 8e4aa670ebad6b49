"""Every documented code of API 3.0 that a request can cause, as the Node SDK's own exception."""

import json
import os
import pathlib
import subprocess
import unittest

import v3_documented as documented
from test_v3_python_errors import KEYS, REQUEST_ID, Caller
from v3_story import Server

BRIDGE = pathlib.Path(__file__).with_name("v3_bridge.js")


class Refusals(unittest.TestCase):
    def test_every_case_is_refused_with_its_code(self):
        server = self.enterContext(Server("--rate-limit", "0"))
        scene = documented.Scene(Caller(server), server.operate)
        cases = documented.cases(scene)
        calls = [
            {
                **KEYS[case.who], "region": case.region, "action": case.action, "parameters": case.parameters,
                "method": "POST", "signMethod": "TC3-HMAC-SHA256", "protocol": "http://", "endpoint": server.http,
            }
            for case in cases
        ]
        modules = os.environ["PEERWAY_TEST_NODE_MODULES"]
        done = subprocess.run(
            ["node", str(BRIDGE)], input=json.dumps(calls), env={**os.environ, "NODE_PATH": modules},
            capture_output=True, text=True, timeout=300,
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        results = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual(len(results), len(cases))
        for case, result in zip(cases, results):
            with self.subTest(case.why, action=case.action, code=case.code):
                self.assertIn("error", result, result)
                error = result["error"]
                self.assertEqual((error["kind"], error["code"]), ("TencentCloudSDKHttpException", case.code), error)
                self.assertRegex(error["requestId"], REQUEST_ID)


if __name__ == "__main__":
    unittest.main()
