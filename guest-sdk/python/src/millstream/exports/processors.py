"""The exports of world `plugin-processor`."""

from __future__ import annotations

from typing import Any

from componentize_py_types import Err
from wit_world.exports import processor as wit
from wit_world.imports import context as wit_context
from wit_world.imports import state, types

from ..columns import Columns
from ..context import PunctuationType
from ..errors import Error
from ..host import Metadata
from ..processor import PLUGIN, find
from ..running import Running
from . import answer_of

_KINDS = {
    "stream-time": types.PunctuationType.STREAM_TIME,
    "wall-clock-time": types.PunctuationType.WALL_CLOCK_TIME,
}
_KINDS_OF_WIT = {wit_kind: PunctuationType(name) for name, wit_kind in _KINDS.items()}
_ORDERS = {"ascending": state.Order.ASCENDING, "descending": state.Order.DESCENDING}
_REACTIONS = {
    "skip": wit.Reaction_Skip,
    "dead-letter": wit.Reaction_DeadLetter,
    "retry": wit.Reaction_Retry,
    "fatal": wit.Reaction_Fatal,
}


class WitHost:
    """The imports of the contract."""

    child = staticmethod(wit_context.child)
    cancel = staticmethod(wit_context.cancel)
    stream_time = staticmethod(wit_context.stream_time)
    wall_clock_time = staticmethod(wit_context.wall_clock_time)
    commit = staticmethod(wit_context.commit)

    def forward(self, child: int | None, columns: Columns, rows: bytes) -> None:
        """Forwards to one child, or to all."""
        if child is None:
            wit_context.forward(columns, rows)
        else:
            wit_context.forward_to(child, columns, rows)

    def schedule(self, start: int | None, interval_ms: int, kind: str) -> int:
        """Schedules a punctuation."""
        try:
            id: int
            if start is None:
                id = wit_context.schedule(interval_ms, _KINDS[kind])
            else:
                id = wit_context.schedule_at(start, interval_ms, _KINDS[kind])
            return id
        except Err as error:
            raise ValueError(error.value) from None

    def metadata(self, row: int) -> Metadata | None:
        """Where the record at a row came from."""
        found = wit_context.metadata(row)
        return None if found is None else Metadata(found.topic, found.partition, found.offset)

    def open_store(self, name: str) -> state.KeyValueStore:
        """Opens a store."""
        try:
            return state.KeyValueStore.open(name)
        except Err as error:
            why = error.value
            if isinstance(why, state.Error_NoSuchStore):
                raise LookupError(f"there is no store `{name}`: declare it in the manifest") from None
            if isinstance(why, state.Error_NotGranted):
                raise LookupError(f"store `{name}` isn't among the `stores` of this node: add it there") from None
            raise LookupError(f"store `{name}` can't be opened: {why.value}") from None

    def range(
        self, store: state.KeyValueStore, lowest: bytes | None, highest: bytes | None, order: str
    ) -> state.Cursor:
        """Opens a cursor."""
        return store.range(lowest, highest, _ORDERS[order])

    def prefix(self, store: state.KeyValueStore, prefix: bytes, order: str) -> state.Cursor:
        """Opens a cursor."""
        return store.prefix(prefix, _ORDERS[order])


class Processor:
    """The interface `processor`."""

    def processors(self) -> list[str]:
        """The names of the plugin's processors."""
        return list(PLUGIN.processors)

    def init(self, setup: wit.Setup) -> None:
        """Begins a processor."""
        global _running
        try:
            processor = find("processor", setup.processor, PLUGIN.processors)
            _running = Running(WitHost(), processor, setup)
        except Exception as error:
            raise Err(answer_of(error)) from None

    def process(self, records: types.Batch) -> list[wit.Failure]:
        """Processes a batch."""
        return [wit.Failure(row, _reaction(error)) for row, error in _running.process(records)]

    def punctuate(self, id: int, kind: types.PunctuationType, timestamp: int) -> None:
        """A punctuation is due."""
        try:
            _running.punctuate(id, _KINDS_OF_WIT[kind], timestamp)
        except Error as error:
            raise Err(_reaction(error)) from None

    def close(self) -> None:
        """The task is about to be closed."""
        _running.close()


#: The processor of this instance. componentize-py makes a new `Processor` for each call.
_running: Running


def _reaction(error: Error) -> Any:
    return _REACTIONS[error.reaction](error.reason)
