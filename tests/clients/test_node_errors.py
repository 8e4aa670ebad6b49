"""Every documented error that a request can cause, through every client from npm."""

import unittest

import adapters
import documented
import errors


class NodeClients(unittest.TestCase):
    def test_every_documented_error(self):
        caused = set()
        for variant in adapters.node_clients():
            caused |= errors.cause_all(self, variant)
        expected = set(documented.DOCUMENTED) - set(documented.NEVER)
        self.assertEqual(expected - caused, set(), "no client caused these")


if __name__ == "__main__":
    unittest.main()
