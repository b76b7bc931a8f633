"""Unit tests, without Wasm."""

import unittest

from millstream import Record, serdes
from millstream.testing import TestProcessor

from {{snake}} import {{pascal}}


class Keys(unittest.TestCase):
    def test_each_key_is_counted_by_itself(self) -> None:
        processor = TestProcessor({{pascal}}, stores=["seen"])
        for key in (b"ann", b"bob", b"ann"):
            processor.process(Record(key))
        texts = [record.value_as(serdes.text) for record in processor.take_forwarded()]
        self.assertEqual(texts, ["ann has come 1 times", "bob has come 1 times", "ann has come 2 times"])


if __name__ == "__main__":
    unittest.main()
