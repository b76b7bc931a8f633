"""Text on its way to the host, which takes UTF-8 and nothing else."""

from __future__ import annotations


def well_formed(text: str) -> str:
    """The text, with `?` for each half of a surrogate pair: alone it is no character, and has no UTF-8."""
    return text if text.isascii() else text.encode(errors="replace").decode()
