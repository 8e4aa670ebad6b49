"""The story of a peering through every client from PyPI."""

import unittest

import adapters
import story


class PythonClients(unittest.TestCase):
    def test_the_whole_story(self):
        for variant in adapters.python_clients():
            with self.subTest(client=variant[1:]), adapters.opened(*variant) as client:
                story.Storyteller(client).tell()


if __name__ == "__main__":
    unittest.main()
