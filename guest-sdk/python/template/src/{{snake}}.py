"""Says of each record how often its key has come."""

from millstream import Context, Processor, Record, Setup, processor, serdes


@processor("{{name}}")
class {{pascal}}(Processor):
    def __init__(self, setup: Setup) -> None:
        self.seen = setup.store("seen", keys=serdes.text, values=serdes.long).read_ahead()

    def process(self, record: Record, context: Context) -> None:
        key = record.key_as(serdes.text)
        times = (self.seen.get(key) or 0) + 1
        self.seen.put(key, times)
        context.forward(record.with_value(f"{key} has come {times} times"))
