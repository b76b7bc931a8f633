"""The exports of world `plugin-key-selector`."""

from __future__ import annotations

from componentize_py_types import Err
from wit_world.exports import key_selector as wit
from wit_world.imports import types

from ..processor import PLUGIN
from . import answer_of


class KeySelector:
    """The interface `key-selector`."""

    def key_selectors(self) -> list[str]:
        """The names of the plugin's key selectors."""
        return list(PLUGIN.key_selectors)

    def select_key(self, function: str, records: types.Batch) -> wit.Keys:
        """Chooses a key for each record."""
        try:
            keys, nulls = PLUGIN.select_key(function, records)
        except Exception as error:
            raise Err(answer_of(error)) from None
        return wit.Keys(keys.keys, keys.key_ends, nulls)
