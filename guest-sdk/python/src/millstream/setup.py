"""What a processor is told when it begins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Protocol, TypeVar, overload

from . import serdes
from .context import Child, Context, Punctuation, PunctuationType, Punctuator
from .errors import Fatal
from .serdes import Serde
from .store import KeyValueStore
from .text import well_formed

K = TypeVar("K")
V = TypeVar("V")


class WireSetup(Protocol):
    """The record `setup` of `wit/processor.wit`."""

    @property
    def processor(self) -> str: ...

    @property
    def node(self) -> str: ...

    @property
    def task(self) -> str: ...

    @property
    def config(self) -> Sequence[tuple[str, str]]: ...

    @property
    def children(self) -> Sequence[str]: ...

    @property
    def stores(self) -> Sequence[str]: ...


class Setup:
    """What a processor is told when it begins; it also opens stores and schedules punctuations."""

    def __init__(self, setup: WireSetup, context: Context) -> None:
        #: Which of the plugin's processors this is.
        self.processor: str = setup.processor
        #: The node's name in the topology.
        self.node: str = setup.node
        #: The task: number of the sub-topology, underscore, partition (`0_3`).
        self.task: str = setup.task
        #: The node's settings.
        self.config: Mapping[str, str] = dict(setup.config)
        #: The names of the nodes below this one.
        self.children: Sequence[str] = list(setup.children)
        #: The names of the stores that this node may open.
        self.stores: Sequence[str] = list(setup.stores)
        self._context = context

    def required(self, key: str) -> str:
        """A setting of the node that must be there; the error names it."""
        try:
            return self.config[key]
        except KeyError:
            raise Fatal(f"the node's setting `{key}` is missing: give it in `config`") from None

    def child(self, name: str) -> Child:
        """The node below this one with that name, for `Context.forward_to`."""
        index = self._context._host.child(well_formed(name))
        if index is None:
            raise Fatal(f"there is no child `{name}`, but {list(self.children)}: name one of them as input")
        return Child(index, name)

    @overload
    def store(self, name: str) -> KeyValueStore[bytes | str, bytes]: ...
    @overload
    def store(self, name: str, *, values: Serde[V]) -> KeyValueStore[bytes | str, V]: ...
    @overload
    def store(self, name: str, *, keys: Serde[K]) -> KeyValueStore[K, bytes]: ...
    @overload
    def store(self, name: str, *, keys: Serde[K], values: Serde[V]) -> KeyValueStore[K, V]: ...
    def store(
        self, name: str, *, keys: Serde[Any] = serdes.raw, values: Serde[Any] = serdes.raw
    ) -> KeyValueStore[Any, Any]:
        """Opens a store of the node. Without a serde, keys and values are bytes, and text is taken, too. Opening it
        again, with other serdes, gives another face of the same store."""
        return self._context._open_store(name, keys, values)

    def schedule(self, interval: timedelta, kind: PunctuationType, punctuator: Punctuator | None = None) -> Punctuation:
        """As `Context.schedule`."""
        return self._context.schedule(interval, kind, punctuator)

    def schedule_at(
        self, start: int, interval: timedelta, kind: PunctuationType, punctuator: Punctuator | None = None
    ) -> Punctuation:
        """As `Context.schedule_at`."""
        return self._context.schedule_at(start, interval, kind, punctuator)

    def cancel(self, punctuation: Punctuation) -> None:
        """As `Context.cancel`."""
        self._context.cancel(punctuation)

    def stream_time(self) -> int:
        """As `Context.stream_time`."""
        return self._context.stream_time()

    def wall_clock_time(self) -> int:
        """As `Context.wall_clock_time`."""
        return self._context.wall_clock_time()

    def commit(self) -> None:
        """As `Context.commit`."""
        self._context.commit()
