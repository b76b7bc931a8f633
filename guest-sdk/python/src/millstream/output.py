"""What a call forwards, collected until it is handed to the host: then the columns are made, all records at once."""

from __future__ import annotations

from array import array
from itertools import chain, repeat
from typing import NamedTuple

from .batch import Batch
from .columns import pack_records
from .host import Host
from .record import Record

#: Past this many records what was forwarded is handed over between two records.
RECORDS_MAX = 4096


class ToChild(NamedTuple):
    """A record for one child."""

    child: int
    record: Record


class Output:
    """What a call has forwarded so far.

    `records` are in the order in which they were forwarded, those for one child wrapped in `ToChild`. `marks` has, for
    each row from `first_row` on that was processed, how many records there were after it."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.records: list[Record | ToChild] = []
        self.marks: list[int] = []
        self.first_row = 0
        self.names_children = False
        self.batch: Batch | None = None
        #: In `process_batch`, outside of `Context.row`: what is done belongs to no row.
        self.is_between_rows = False

    def begin(self, batch: Batch | None) -> None:
        """Begins a call; without a batch it is a punctuation."""
        self.batch = batch
        self.clear()
        self.first_row = 0

    def row(self) -> int:
        """The row that is being processed."""
        return self.first_row + len(self.marks)

    def skip_to(self, row: int) -> None:
        """Leaves out the rows before `row`."""
        if row < self.row():
            raise ValueError(f"row {row} comes after row {self.row() - 1}: rows must ascend")
        self.marks.extend(repeat(len(self.records), row - self.row()))

    def take_back(self) -> None:
        """Takes back the records of the row that is being processed."""
        del self.records[self.marks[-1] if self.marks else 0 :]

    def clear(self) -> None:
        """Drops everything."""
        self.records.clear()
        self.marks.clear()
        self.names_children = False

    def hand_over(self) -> None:
        """Hands everything to the host."""
        if self.records:
            self._check()
            rows = self._rows()
            if self.names_children:
                self._hand_over_by_child(rows)
            else:
                self._forward(None, self.records, rows)  # type: ignore[arg-type]
        row = self.row()
        self.clear()
        self.first_row = row

    def forward_batch(self, child: int | None, batch: Batch) -> None:
        """Hands a whole batch to the host, after what was forwarded before; one record may still be taken back."""
        if self.batch is None or batch._source is not self.batch:
            raise TypeError("forward_batch takes the batch that is being processed, or one made from it")
        if len(self.batch) == 1:
            for record in batch:
                self.records.append(record if child is None else ToChild(child, record))
            self.names_children |= child is not None
            return
        self.hand_over()
        if len(batch) > 0:
            rows = b"" if batch._rows is None else array("I", batch._rows).tobytes()
            self.host.forward(child, batch._pack(), rows)

    def _check(self) -> None:
        kinds = set(map(type, self.records))
        if not kinds <= {Record, ToChild}:
            names = ", ".join(sorted(kind.__name__ for kind in kinds - {Record, ToChild}))
            raise TypeError(f"forward takes a record, not {names}")
        if self.batch is not None and len(self.records) != (self.marks[-1] if self.marks else 0):
            raise TypeError("in process_batch records are forwarded within context.row, or together by forward_batch")

    def _rows(self) -> list[int] | None:
        """For each record the row it descends from."""
        if self.batch is None:
            return None
        before = chain((0,), self.marks)
        counts = [after - earlier for earlier, after in zip(before, self.marks)]
        return list(chain.from_iterable(map(repeat, range(self.first_row, self.row()), counts)))

    def _hand_over_by_child(self, rows: list[int] | None) -> None:
        """With many records nobody can see the order between children (see `wit/context.wit`), so the records for each
        child are collected by themselves; but a child that gets some by name and others with everybody must get them in
        their order."""
        wrapped = {type(record) for record in self.records}
        is_sequenced = self.batch is None or len(self.batch) == 1 or len(wrapped) > 1
        segments: list[tuple[int | None, list[Record], list[int]]] = []
        by_child: dict[int | None, tuple[int | None, list[Record], list[int]]] = {}
        for index, given in enumerate(self.records):
            child, record = given if isinstance(given, ToChild) else (None, given)
            segment = by_child.get(child)
            if segment is None or (is_sequenced and segments[-1][0] != child):
                segment = by_child[child] = (child, [], [])
                segments.append(segment)
            segment[1].append(record)
            if rows is not None:
                segment[2].append(rows[index])
        for child, records, own_rows in segments:
            self._forward(child, records, own_rows if rows is not None else None)

    def _forward(self, child: int | None, records: list[Record], rows: list[int] | None) -> None:
        is_whole = rows is not None and self.batch is not None and rows == list(range(len(self.batch)))
        given = self.batch._as_given() if rows is not None and self.batch is not None else None
        columns = pack_records(records, given, None if is_whole else rows)
        is_in_order = rows is None or is_whole
        self.host.forward(child, columns, b"" if is_in_order or rows is None else array("I", rows).tobytes())
