"""What a processor is, and how it gets the name that a manifest calls it by."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from .batch import Batch, Column
from .columns import Columns
from .context import Context, Punctuation, PunctuationType
from .errors import Fatal
from .host import Keys
from .record import Record
from .serdes import as_bytes
from .setup import Setup
from .text import well_formed
from .unfinished import check_finished, refuse_unfinished, refuse_unfinished_methods


class Processor:
    """A processor: a node of a topology that takes records and forwards records.

    One is made for each task, and again after a failure or when the host replaces the instance: what it keeps in its
    attributes, in its class and in its module is a cache. State belongs in stores."""

    def __init__(self, setup: Setup) -> None:
        """Begins: reads the settings, opens stores, schedules punctuations. What it raises is the reason why the
        processor can't begin."""

    def process(self, record: Record, context: Context) -> None:
        """Processes one record. What it raises says that the record was not processed: what it forwarded and wrote is
        taken back, and the host does what the `Error` asks for. Any other exception is logged with its traceback and is
        `Fatal`."""
        raise NotImplementedError(f"{type(self).__name__} has no method `process`")

    def process_batch(self, batch: Batch, context: Context) -> None:
        """Processes a batch instead, for work that is quicker on many records. The result must be that of one record at
        a time. What it raises ends the call, and the host gives the records again, one by one; see `Context.row`."""

    def punctuate(self, punctuation: Punctuation, kind: PunctuationType, timestamp: int, context: Context) -> None:
        """A punctuation without a punctuator of its own is due. `timestamp` is the stream time or wall-clock time now."""

    def close(self) -> None:
        """The task is about to be closed or given away. Nothing can be forwarded or written any more."""


P = TypeVar("P", bound=type[Processor])
Predicate = TypeVar("Predicate", bound=Callable[[Record], bool])
KeySelector = TypeVar("KeySelector", bound=Callable[[Record], "bytes | str | None"])


class Plugin:
    """The processors and functions that have been named: what the component contains."""

    def __init__(self) -> None:
        self.processors: dict[str, type[Processor]] = {}
        self.predicates: dict[str, Callable[[Record], bool]] = {}
        self.key_selectors: dict[str, Callable[[Record], bytes | str | None]] = {}

    def worlds(self) -> list[str]:
        """The worlds of `wit/world.wit` that it is of."""
        worlds = {
            "plugin-processor": self.processors,
            "plugin-predicate": self.predicates,
            "plugin-key-selector": self.key_selectors,
        }
        return [world for world, contents in worlds.items() if contents]

    def test(self, name: str, columns: Columns) -> bytes:
        """Asks a predicate about each record: one byte a record."""
        predicate = find("predicate", name, self.predicates)
        answers = bytearray()
        for record in Batch(columns):
            answer = predicate(record)
            if answer is not True and answer is not False:
                check_finished(f"the predicate `{name}`", answer)
            answers.append(1 if answer else 0)
        return bytes(answers)

    def select_key(self, name: str, columns: Columns) -> tuple[Keys, bytes]:
        """Chooses a key for each record: the keys, and a byte for each that says whether there is none."""
        selector = find("key selector", name, self.key_selectors)
        pieces: list[bytes | None] = []
        for record in Batch(columns):
            key = selector(record)
            if key is not None and type(key) is not bytes:
                check_finished(f"the key selector `{name}`", key)
                key = as_bytes(key)
            pieces.append(key)
        nulls = bytes(key is None for key in pieces) if None in pieces else b""
        return Keys(*Column(None, pieces, b"", 1).packed), nulls


#: The plugin of this program: there is one in a component.
PLUGIN = Plugin()

T = TypeVar("T")


def find(kind: str, name: str, contents: dict[str, T]) -> T:
    """What has that name."""
    try:
        return contents[name]
    except KeyError:
        raise Fatal(f"there is no {kind} `{name}` in this plugin, but {list(contents)}") from None


def _add(kind: str, name: str, content: Any, contents: dict[str, Any]) -> None:
    place = (getattr(content, "__module__", ""), getattr(content, "__qualname__", ""))
    if name != well_formed(name):
        raise ValueError(f"{name!r} can't be the name of a {kind}: it has half a character in it (a lone surrogate)")
    other = contents.get(name)
    if other is not None and (getattr(other, "__module__", ""), getattr(other, "__qualname__", "")) != place:
        raise ValueError(f"there are two {kind}s `{name}`: {other!r} and {content!r}")
    contents[name] = content


def processor(name: str) -> Callable[[P], P]:
    """Names a processor: `@processor("shout")` before its class."""

    def add(content: P) -> P:
        if not (isinstance(content, type) and issubclass(content, Processor)):
            raise TypeError(f"the processor `{name}` is no class made from `Processor`")
        refuse_unfinished_methods(content)
        _add("processor", name, content, PLUGIN.processors)
        return content

    return add


def predicate(name: str) -> Callable[[Predicate], Predicate]:
    """Names a function for the native `filter` and `split`: yes or no of a record."""

    def add(content: Predicate) -> Predicate:
        refuse_unfinished(f"the predicate `{name}`", content)
        _add("predicate", name, content, PLUGIN.predicates)
        return content

    return add


def key_selector(name: str) -> Callable[[KeySelector], KeySelector]:
    """Names a function for the native `group-by`: a record's key; None is none."""

    def add(content: KeySelector) -> KeySelector:
        refuse_unfinished(f"the key selector `{name}`", content)
        _add("key selector", name, content, PLUGIN.key_selectors)
        return content

    return add
