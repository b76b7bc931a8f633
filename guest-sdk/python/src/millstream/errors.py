"""Why a record was not processed, and what is to be done about it."""

from __future__ import annotations

import sys
import traceback
from typing import ClassVar

from .text import well_formed


_WHAT_IS_IN_IT = "what is not imported when the component is built is not in it"


class Error(Exception):
    """A record (or a punctuation) can't be processed, for this reason. Raise one of the classes below."""

    #: What the host is to do, in the words of the contract.
    reaction: ClassVar[str] = "fatal"

    def __init__(self, reason: object = "") -> None:
        super().__init__(str(reason))

    @property
    def reason(self) -> str:
        """The reason, with those of the exceptions that caused it."""
        own = well_formed(str(self))
        return own if self.__cause__ is None else f"{own}: {reason_of(self.__cause__)}"

    @property
    def goes_on(self) -> bool:
        """Whether later records of the batch may still be processed."""
        return self.reaction in ("skip", "dead-letter")


class Skip(Error):
    """Leave the record out, count it, go on."""

    reaction = "skip"


class DeadLetter(Error):
    """Send the record to the dead-letter topic, go on."""

    reaction = "dead-letter"


class Retry(Error):
    """A dependency is away, the record is good: give it again later."""

    reaction = "retry"


class Fatal(Error):
    """Do what the plugin's policy in the manifest says: stop the task (the default), skip, or dead-letter."""

    reaction = "fatal"


def reason_of(error: BaseException) -> str:
    """An exception in one line, with those that caused it."""
    if isinstance(error, Error):
        return error.reason
    own = well_formed("".join(traceback.format_exception_only(error)).strip()) + _hint_of(error)
    return own if error.__cause__ is None else f"{own}: {reason_of(error.__cause__)}"


def _hint_of(error: BaseException) -> str:
    """What to do about an exception that a component knows, and a native test doesn't."""
    if sys.platform != "wasi":
        return ""
    if isinstance(error, ModuleNotFoundError):
        return f"; import it at the top of the module: {_WHAT_IS_IN_IT}"
    if isinstance(error, LookupError) and str(error).startswith("unknown encoding: "):
        module = "encodings." + str(error).removeprefix("unknown encoding: ").lower().replace("-", "_")
        return f"; import its module (`{module}`, say) at the top of yours: {_WHAT_IS_IN_IT}"
    if isinstance(error, OSError) and error.errno is not None:
        return "; a plugin is granted no files, network or processes"
    return ""


def lines_of(error: BaseException) -> list[str]:
    """An exception with its traceback, line by line, without the SDK's own frames at its top."""
    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_globals.get("__name__", "").startswith("millstream."):
        if frames.tb_next is None:
            break
        frames = frames.tb_next
    text = "".join(traceback.format_exception(type(error), error, frames))
    return text.rstrip().splitlines()
