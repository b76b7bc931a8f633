"""Write Millstream processors in Python.

A plugin is a class with a name:

    from millstream import Context, Processor, Record, Setup, processor, serdes

    @processor("shout")
    class Shout(Processor):
        def __init__(self, setup: Setup) -> None:
            self.seen = setup.store("seen", values=serdes.text).read_ahead()

        def process(self, record: Record, context: Context) -> None:
            text = record.value_as(serdes.text)
            if self.seen.put_if_absent(record.key or b"", text) is None:
                context.forward(record.with_value(text.upper()))

Records come in batches, in packed columns, and the SDK shows them one by one. What a processor forwards is collected and
crosses to the host once a batch. Stores behave as if every access went to the host at once, but writes of a batch go back
together, and with `read_ahead` its reads come together.

The same processor runs in a native unit test, without Wasm: see `millstream.testing`.
"""

from . import log, serdes
from .batch import Batch
from .context import Child, Context, Punctuation, PunctuationType
from .errors import DeadLetter, Error, Fatal, Retry, Skip
from .host import Metadata
from .processor import Processor, key_selector, predicate, processor
from .record import Headers, Record
from .serdes import Serde
from .setup import Setup
from .store import Entry, KeyValueStore, Order

__all__ = [
    "Batch",
    "Child",
    "Context",
    "DeadLetter",
    "Entry",
    "Error",
    "Fatal",
    "Headers",
    "KeyValueStore",
    "Metadata",
    "Order",
    "Processor",
    "Punctuation",
    "PunctuationType",
    "Record",
    "Retry",
    "Serde",
    "Setup",
    "Skip",
    "key_selector",
    "log",
    "predicate",
    "processor",
    "serdes",
]
