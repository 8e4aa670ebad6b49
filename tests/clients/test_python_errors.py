"""Every documented error that a request can cause, through every client from PyPI."""

import unittest

import adapters
import documented
import errors


class PythonClients(unittest.TestCase):
    def test_every_documented_error(self):
        caused = set()
        for variant in adapters.python_clients():
            caused |= errors.cause_all(self, variant)
        expected = set(documented.DOCUMENTED) - set(documented.NEVER)
        self.assertEqual(expected - caused, set(), "no client caused these")

    def test_the_table_is_complete(self):
        self.assertEqual(len(documented.DOCUMENTED), len(set(documented.DOCUMENTED)))
        known = set(documented.DOCUMENTED)
        self.assertEqual(set(documented.NEVER) - known, set(), "reasons for what is not documented")

        class Anything:
            peering = net = table = "x"
            sub = {}
            route = {"destinationCidrBlock": "", "nextType": 4, "nextHub": ""}
            routes = staticmethod(lambda *_, **__: {})

        caused = set(documented.requests_for(Anything()))
        self.assertEqual(caused - known, set(), "requests for what is not documented")
        self.assertEqual(caused & set(documented.NEVER), set(), "both caused and never answered")
        self.assertEqual(known - caused - set(documented.NEVER), set(), "neither caused nor excepted")


if __name__ == "__main__":
    unittest.main()
