"""The exports of world `plugin-predicate`."""

from __future__ import annotations

from componentize_py_types import Err
from wit_world.imports import types

from ..processor import PLUGIN
from . import answer_of


class Predicate:
    """The interface `predicate`."""

    def predicates(self) -> list[str]:
        """The names of the plugin's predicates."""
        return list(PLUGIN.predicates)

    def test(self, function: str, records: types.Batch) -> bytes:
        """Asks a predicate about each record."""
        try:
            return PLUGIN.test(function, records)
        except Exception as error:
            raise Err(answer_of(error)) from None
