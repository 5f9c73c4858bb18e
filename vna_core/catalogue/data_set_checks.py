"""Conditions as checks of whole data sets in DICOM JSON: what is asked of the items of a sequence (PS3.4 C.2.2.2.6)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from vna_core.catalogue.value_checks import check_of
from vna_core.dicom.answers import items_of, list_of
from vna_core.dicom.dictionary import vr_of
from vna_core.dicom.json_values import COMPONENT_GROUPS
from vna_core.domain.errors import InvalidRequest
from vna_core.domain.indexed_attributes import IndexedAttribute
from vna_core.domain.query import Condition, Equals, InSequence, Level, OfValues, Wildcard

KEY_LIMIT: Final = 256
"""Longest wild card key inside a sequence; every value that such a key can mean is shorter."""

_AS_WRITTEN: Final = frozenset(("AE", "CS", "LO", "SH", "UI"))
_PLAIN: Final = re.compile(r"[!#-\[\]-~][ !#-\[\]-~]*")
"""Text that JSON writes without an escape."""
_BINARY: Final = ("\0",)
"""Stands for a value that is not compared: no key equals it, and it is not empty."""

DataSet = Mapping[str, Any]
DataSetCheck = Callable[[DataSet], bool]


def data_set_check(one: Condition) -> DataSetCheck | None:
    """Whether a data set fulfils a condition; None for one that everything fulfils. Raises InvalidRequest."""
    return _in_sequence(one) if isinstance(one, InSequence) else _of_values(one)


def denial(one: Condition) -> DataSetCheck | None:
    """Whether a data set that need not tell everything shows that it does not fulfil a condition; None where none does. Raises InvalidRequest.

    It tells the attribute; of a sequence, in each of its items one that rules the item out.
    """
    if not isinstance(one, InSequence):
        name, check = f"{one.tag:08X}", _of_values(one)
        return None if check is None else lambda data_set: name in data_set and not check(data_set)
    denials = [found for inner in one.conditions if (found := denial(inner)) is not None]
    if not denials:
        return None

    def denied(data_set: DataSet) -> bool:
        items = list_of(data_set, one.tag)
        return bool(items) and all(isinstance(item, dict) and any(found(item) for found in denials) for item in items)

    return denied


def item_check(one: InSequence) -> DataSetCheck | None:
    """Whether one item fulfils all that is asked of the items of a sequence; None where any does."""
    checks = [check for inner in one.conditions if (check := data_set_check(inner)) is not None]
    return (lambda item: all(check(item) for check in checks)) if checks else None


def keys_of(one: InSequence) -> Iterator[Condition]:
    """Every condition inside a sequence, and inside the sequences in it."""
    for inner in one.conditions:
        yield inner
        if isinstance(inner, InSequence):
            yield from keys_of(inner)


def marks_of(one: InSequence) -> tuple[bytes, ...]:
    """Octets without which no header in DICOM JSON fulfils a condition: the sequence's tag, and plain values that are looked for as they are.

    To look for them costs a fraction of reading the header.
    """
    equal = [key for key in keys_of(one) if isinstance(key, Equals) and len(key.values) == 1 and vr_of(key.tag) in _AS_WRITTEN]
    values = [key.values[0].strip(" ") for key in equal]
    return b'"%08X"' % one.tag, *(value.encode() for value in values if _PLAIN.fullmatch(value))


def _in_sequence(one: InSequence) -> DataSetCheck | None:
    check = item_check(one)
    return None if check is None else lambda data_set: any(check(item) for item in items_of(data_set, one.tag))


def _of_values(one: OfValues) -> DataSetCheck | None:
    if isinstance(one, Wildcard) and len(one.pattern) > KEY_LIMIT:
        raise InvalidRequest("A matching key in a sequence is too long.", limit="query.item_key", maximum=KEY_LIMIT)
    name, vr = f"{one.tag:08X}", vr_of(one.tag)
    check = check_of(IndexedAttribute(one.tag, "", vr, Level.IMAGE, ""), one)
    return None if check is None else lambda data_set: check({one.tag: _texts(data_set.get(name))})


def _texts(element: object) -> tuple[str, ...]:
    """Values of an element as text, numbers as they are written (see `read_header`)."""
    if not isinstance(element, dict):
        return ()
    values = element.get("Value")
    if not isinstance(values, list):
        return _BINARY if element.keys() & {"InlineBinary", "BulkDataURI"} else ()
    return tuple(_text(value) for value in values)


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, dict):  # a name; items of a sequence have no text
        groups = [group if isinstance(group := value.get(name), str) else "" for name in COMPONENT_GROUPS]
        return "=".join(groups).rstrip("=") or ("\0" if value else "")
    return "" if value is None else str(value)
