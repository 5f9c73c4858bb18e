"""The tables of pydicom: the data dictionary (PS3.6), UIDs (PS3.6 annex A) and what is known of private elements.

They are loaded without the package around them. pydicom imports numpy, its codecs and an HTTP client whenever any part of it is
imported, which takes a command longer than everything else that it needs; its tables are modules that import nothing.

Tags are ``group << 16 | element``.
"""

from __future__ import annotations

import sys
from functools import cache
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any, Final

Entry = tuple[str, str, str, str, str]
"""Of an element: value representation, value multiplicity, name, ``Retired`` or nothing, keyword.
Of a UID: name, type, information, ``Retired`` or nothing, keyword."""


def _table(module: str) -> Any:
    """A module of tables of pydicom: that of the package where it is imported already, else by itself."""
    name = f"pydicom.{module}"
    if name in sys.modules:
        return sys.modules[name]
    package = find_spec("pydicom")
    assert package is not None and package.submodule_search_locations
    spec = spec_from_file_location(name, Path(package.submodule_search_locations[0], f"{module}.py"))
    assert spec is not None and spec.loader is not None
    tables = module_from_spec(spec)
    spec.loader.exec_module(tables)
    return tables


_ELEMENTS: Final = _table("_dicom_dict")

ELEMENTS: Final[dict[int, Entry]] = _ELEMENTS.DicomDictionary
"""Every standard element that has a tag of its own."""

REPEATERS: Final[dict[str, Entry]] = _ELEMENTS.RepeatersDictionary
"""Elements of repeating groups, by tags such as ``60xx0010``."""

UIDS: Final[dict[str, Entry]] = _table("_uid_dict").UID_dictionary
"""Every UID that the standard assigns."""


@cache
def private_elements() -> dict[str, dict[str, tuple[str, str, str, str]]]:
    """By private creator and by tags such as ``0029xx10``: value representation, multiplicity, name, ``Retired`` or nothing."""
    found: dict[str, dict[str, tuple[str, str, str, str]]] = _table("_private_dict").private_dictionaries
    return found


@cache
def _keywords() -> dict[str, int]:
    return {entry[4]: tag for tag, entry in ELEMENTS.items() if entry[4]}


def tag_for_keyword(keyword: str) -> int | None:
    """Tag of a standard element by its keyword (PS3.6 section 6)."""
    return _keywords().get(keyword)


@cache
def _repeater_masks() -> tuple[tuple[int, int, Entry], ...]:
    return tuple(
        (int("".join("0" if digit == "x" else "F" for digit in pattern), 16), int(pattern.replace("x", "0"), 16), entry)
        for pattern, entry in REPEATERS.items()
    )


def repeater(tag: int) -> Entry | None:
    """The entry of an element of a repeating group."""
    return next((entry for mask, wanted, entry in _repeater_masks() if tag & mask == wanted), None)


def is_transfer_syntax(uid: str) -> bool:
    """Whether the standard assigns a UID to a transfer syntax."""
    entry = UIDS.get(uid)
    return entry is not None and entry[1] == "Transfer Syntax"
