"""A processor that has begun, and the calls of the host that it answers."""

from __future__ import annotations

from .batch import Batch
from .columns import Columns
from .context import Context, Punctuation, PunctuationType, as_error
from .errors import Error
from .host import Host
from .output import RECORDS_MAX
from .processor import Processor
from .setup import Setup, WireSetup
from .unfinished import check_finished, refuse_unfinished_methods


class Running:
    """A processor and its context."""

    def __init__(self, host: Host, processor: type[Processor], setup: WireSetup) -> None:
        """Begins a processor; raises what it raises."""
        refuse_unfinished_methods(processor)
        self._name = processor.__name__
        self.context = Context(host)
        self.processor = processor(Setup(setup, self.context))
        self._is_together = type(self.processor).process_batch is not Processor.process_batch
        self.context._end()

    def process(self, columns: Columns) -> list[tuple[int, Error]]:
        """Processes a batch; returns the rows that failed, with their errors."""
        context = self.context
        batch = Batch(columns)
        context._begin_batch(batch)
        if self._is_together:
            self._process_together(batch)
        else:
            self._process_each(batch)
        context._end()
        return context._take_failures() if context._failures else []

    def _process_each(self, batch: Batch) -> None:
        context, process = self.context, self.processor.process
        output = context._output
        records, marks, spoiled = output.records, output.marks, context._spoiled
        for record in batch:
            try:
                if spoiled:
                    context._raise_spoiled()
                answer = process(record, context)
                if answer is not None:
                    self._check("process", answer)
            except Exception as error:
                if not context._fail(error):
                    marks.append(len(records))
                    break
            count = len(records)
            marks.append(count)
            if count > RECORDS_MAX:
                output.hand_over()

    def _process_together(self, batch: Batch) -> None:
        context, output = self.context, self.context._output
        if len(batch) > 1:
            # What it raises ends the call, and the host gives the records again, one by one.
            if context._spoiled:
                raise next(iter(context._spoiled.values()))
            output.is_between_rows = True
            self._call_together(batch)
            output.is_between_rows = False
            return
        try:
            context._raise_spoiled()
            self._call_together(batch)
        except Exception as error:
            # The one record is to blame.
            context._fail(error)
        output.marks.append(len(output.records))

    def _call_together(self, batch: Batch) -> None:
        answer = self.processor.process_batch(batch, self.context)  # type: ignore[func-returns-value]
        self._check("process_batch", answer)

    def punctuate(self, punctuation: int, kind: PunctuationType, timestamp: int) -> None:
        """Calls a punctuation; raises an Error."""
        context = self.context
        context._begin_punctuation(timestamp)
        own = context._punctuators.get(punctuation)
        try:
            if own is not None:
                answer = own(timestamp, context)
                check_finished("a punctuator", answer)
            else:
                answer = self.processor.punctuate(Punctuation(punctuation), kind, timestamp, context)  # type: ignore[func-returns-value]
                self._check("punctuate", answer)
        except Exception as error:
            context._take_back()
            context._end()
            raise as_error(error) from None
        context._end()

    def close(self) -> None:
        """The task is about to be closed."""
        answer = self.processor.close()  # type: ignore[func-returns-value]
        self._check("close", answer)

    def _check(self, method: str, answer: object) -> None:
        check_finished(f"`{method}` of `{self._name}`", answer)
