"""What the standard library imports only when it is used. A component has no files to import from: what was not imported
when it was built is not there."""

from __future__ import annotations

import sys
from importlib import import_module, util
from io import BytesIO
from pathlib import Path

#: Modules that others, or CPython itself, import within a function.
_LATE_MODULES = ("_strptime", "linecache", "stringprep", "unicodedata", "warnings")

#: Modules of `encodings`: every form of Unicode, and what Europe has written before. Those of East Asia and of IBM's
#: smaller code pages would make a component twice as much larger.
_ENCODINGS = (
    "ascii charmap idna latin_1 punycode raw_unicode_escape undefined unicode_escape"
    " utf_7 utf_8 utf_8_sig utf_16 utf_16_be utf_16_le utf_32 utf_32_be utf_32_le"
    " iso8859_1 iso8859_2 iso8859_3 iso8859_4 iso8859_5 iso8859_7 iso8859_9 iso8859_10 iso8859_13 iso8859_14"
    " iso8859_15 iso8859_16"
    " cp1250 cp1251 cp1252 cp1253 cp1254 cp1257 cp437 cp500 cp737 cp775 cp850 cp852 cp855 cp857 cp858 cp866 cp1140"
    " koi8_r koi8_u mac_latin2 mac_roman"
    " base64_codec hex_codec quopri_codec rot_13"
).split()


def import_what_is_imported_late() -> None:
    """Imports these modules."""
    for name in _LATE_MODULES:
        import_module(name)
    for name in _ENCODINGS:
        import_module(f"encodings.{name}")


def keep_time_zones() -> None:
    """Has `zoneinfo` find time zones: in the package `tzdata`, if the plugin depends on it, all of which is read now."""
    if util.find_spec("tzdata") is None:
        if "zoneinfo" in sys.modules:
            _find_time_zones_in({}, "; name `tzdata` among the `dependencies` in pyproject.toml")
        return
    import_module("zoneinfo")
    found: dict[str, bytes] = {}
    # Half of the zones are other names of the same.
    known: dict[bytes, bytes] = {}
    for folder in import_module("tzdata").__path__:
        zones = Path(folder, "zoneinfo")
        for file in zones.rglob("*"):
            data = file.read_bytes() if file.is_file() else b""
            if data.startswith(b"TZif"):
                found[file.relative_to(zones).as_posix()] = known.setdefault(data, data)
    _find_time_zones_in(found, "")


def _find_time_zones_in(found: dict[str, bytes], hint: str) -> None:
    def load(key: str) -> BytesIO:
        try:
            return BytesIO(found[key])
        except KeyError:
            raise not_found(f"there is no time zone {key!r}{hint}") from None

    not_found: type[KeyError] = import_module("zoneinfo").ZoneInfoNotFoundError
    # Both that of Python and that of C ask it when no folder of the system has the zone.
    import_module("zoneinfo._common").load_tzdata = load  # type: ignore[attr-defined]
