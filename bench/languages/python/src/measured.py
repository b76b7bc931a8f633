"""The processors that bench/ measures, in Python, in the way that is quick there: whole columns. The processors `one-by-one-*`
do the same record by record."""

from __future__ import annotations

from millstream import Batch, Context, Processor, Record, Setup, Skip, processor, serdes


@processor("identity")
class Identity(Processor):
    def process_batch(self, batch: Batch, context: Context) -> None:
        context.forward_batch(batch)


@processor("count")
class Count(Processor):
    def __init__(self, setup: Setup) -> None:
        self.counts = setup.store("counts", values=serdes.long)

    def process_batch(self, batch: Batch, context: Context) -> None:
        keys = batch.keys
        if None in keys:
            raise Skip("a record has no key")
        known = dict(zip(keys, self.counts.get_many(keys)))  # type: ignore[arg-type]
        counts = []
        for key in keys:
            known[key] = count = (known[key] or 0) + 1
            counts.append(count)
        self.counts.put_columns(keys, counts, batch.timestamps)  # type: ignore[arg-type]
        context.forward_batch(batch.with_values(counts, serdes.long))


@processor("one-by-one-identity")
class IdentityOneByOne(Processor):
    def process(self, record: Record, context: Context) -> None:
        context.forward(record)


@processor("one-by-one-count")
class CountOneByOne(Processor):
    def __init__(self, setup: Setup) -> None:
        self.counts = setup.store("counts", values=serdes.long).read_ahead()

    def process(self, record: Record, context: Context) -> None:
        if record.key is None:
            raise Skip("the record has no key")
        count = (self.counts.get(record.key) or 0) + 1
        self.counts.put(record.key, count)
        context.forward(record.with_value(count, serdes.long))
