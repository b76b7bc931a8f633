"""The conformance plugin in Python; tests/tests/conformance/README.md says what each processor and command does."""

from millstream import Batch, Context, Processor, Record, Setup, key_selector, predicate, processor, serdes

import commands  # noqa: F401 - names the processor `do`


@processor("echo")
class Echo(Processor):
    def process(self, record: Record, context: Context) -> None:
        context.forward(record)


@processor("batch")
class InBatches(Processor):
    def process_batch(self, batch: Batch, context: Context) -> None:
        context.forward_batch(batch.with_values([str(len(batch))] * len(batch)))


@processor("count")
class Count(Processor):
    def __init__(self, setup: Setup) -> None:
        self.counts = setup.store(setup.config.get("store", "plain"), values=serdes.long).read_ahead()

    def process(self, record: Record, context: Context) -> None:
        if record.key is not None:
            count = (self.counts.get(record.key) or 0) + 1
            self.counts.put(record.key, count)
            context.forward(record.with_value(count, serdes.long))


@predicate("is-even")
def is_even(record: Record) -> bool:
    number = record.value_as(serdes.optional(serdes.long))
    return number is not None and number % 2 == 0


@key_selector("by-value")
def by_value(record: Record) -> bytes | None:
    return record.value
