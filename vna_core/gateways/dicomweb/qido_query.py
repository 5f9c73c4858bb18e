"""QIDO-RS parameters to a question for the catalogue (PS3.18 section 8.3.4 and 10.6)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from pydicom.datadict import tag_for_keyword

from vna_core.dicom.dictionary import vr_of
from vna_core.domain.errors import InvalidRequest
from vna_core.domain.query import Between, Condition, Equals, Level, Query, Wildcard

MAX_VALUE: Final = 65_536
"""Longest value of a parameter, in characters (a list of a thousand UIDs)."""

_HEX: Final = re.compile(r"[0-9A-Fa-f]{8}")
_TEMPORAL: Final = frozenset(("DA", "TM", "DT"))
_WILD: Final = frozenset(("AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"))
_LISTED: Final = frozenset(("UI", "CS", "IS"))
_CONTROL: Final = frozenset(
    ("limit", "offset", "includefield", "fuzzymatching", "accept", "charset", "emptyvaluematching", "multiplevaluematching")
)


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """A parsed QIDO-RS request.

    Attributes
    ----------
    include
        Tags asked for with ``includefield``; `everything` for ``all``.
    ignored
        Parameters that name attributes of sequences or of no level of the question, in the order given.
    """

    query: Query
    include: frozenset[int]
    everything: bool
    fuzzy: bool
    ignored: tuple[str, ...]


@lru_cache(maxsize=4096)
def tag_of(name: str) -> int:
    """Tag of a keyword or of eight hexadecimal digits; 0 when it is neither. Cached, as clients ask for the same few."""
    if _HEX.fullmatch(name):
        return int(name, 16)
    return int(tag_for_keyword(name) or 0)


def parse_search(
    level: Level, parameters: Sequence[tuple[str, str]], fixed: Sequence[tuple[int, str]], page_limit: int
) -> SearchRequest:
    """Translate the parameters of one request.

    Parameters
    ----------
    fixed
        UIDs from the path, by tag.
    page_limit
        Largest page (``http.page_limit``).

    Raises
    ------
    InvalidRequest
        A parameter names nothing, or its value cannot be meant.
    """
    options = {name: value for name, value in reversed(parameters) if name in _CONTROL}
    fuzzy = _boolean(options.get("fuzzymatching", "false"))
    conditions: list[Condition] = [Equals(tag, (uid,)) for tag, uid in fixed]
    include: set[int] = set()
    everything = False
    ignored: list[str] = []
    for name, value in parameters:
        if name == "includefield":
            tags, whole, unknown = _included(value)
            include |= tags
            everything |= whole
            ignored += unknown
        elif name not in _CONTROL:
            tag = _matching_tag(name)
            if tag is None:
                ignored.append(name)
                continue
            include.add(tag)
            found = condition(tag, value, fuzzy)
            if found is not None:
                conditions.append(found)
    limit = min(_number(options.get("limit"), "limit") or page_limit, page_limit) if options.get("limit") != "0" else 0
    query = Query(level, tuple(conditions), limit, _number(options.get("offset"), "offset"))
    return SearchRequest(query, frozenset(include), everything, fuzzy, tuple(ignored))


def condition(tag: int, value: str, fuzzy: bool = False) -> Condition | None:
    """How one value matches (PS3.4 C.2.2.2); None for universal matching."""
    if len(value) > MAX_VALUE or "\0" in value:
        raise InvalidRequest("A matching value is too long or holds a null character.")
    representation = vr_of(tag)
    if value in ("", '""') or (value.strip("*") == "" and representation in _WILD):
        return None
    if representation in _TEMPORAL:
        return _temporal(tag, representation, value)
    if representation == "PN" and fuzzy:
        return Wildcard(tag, value, fuzzy=True)
    if representation in _LISTED and ("," in value or "\\" in value):
        return Equals(tag, tuple(one.strip() for one in re.split(r"[,\\]", value) if one.strip()))
    if representation in _WILD and ("*" in value or "?" in value):
        return Wildcard(tag, value)
    return Equals(tag, (value,))


def _temporal(tag: int, representation: str, value: str) -> Condition:
    allowed = r"[0-9.+\-: ]{1,60}"
    if not re.fullmatch(allowed, value):
        raise InvalidRequest("A date or time is malformed.", tag=f"{tag:08X}")
    if representation == "DT":  # an offset from UTC has a hyphen of its own: -0500 right behind a time
        if re.fullmatch(r"\d[\d.]*[+-](0\d|1[0-4])[0-5]\d", value):
            return Equals(tag, (value,))
        parts = re.fullmatch(r"(\d[\d.]*(?:[+-]\d{4})?)?-(\d[\d.]*(?:[+-]\d{4})?)?", value)
        return Equals(tag, (value,)) if parts is None else Between(tag, parts[1] or "", parts[2] or "")
    low, hyphen, high = value.partition("-")
    if not hyphen:
        return Equals(tag, (value,))
    if "-" in high:  # 2024-01-31: not a form of DA, but the only thing it can mean
        raise InvalidRequest("A date is written YYYYMMDD, a range YYYYMMDD-YYYYMMDD.", tag=f"{tag:08X}")
    return Between(tag, low.strip(), high.strip())


def _matching_tag(name: str) -> int | None:
    """Tag of a matching parameter; None for an attribute of a sequence, which is not matched on."""
    if "." in name and all(tag_of(step) for step in name.split(".")):
        return None
    tag = tag_of(name)
    if not tag:
        raise InvalidRequest("A query parameter names no attribute.", parameter=name[:64])
    return tag


def _included(value: str) -> tuple[set[int], bool, list[str]]:
    tags: set[int] = set()
    ignored: list[str] = []
    everything = False
    for name in value.split(","):
        name = name.strip()
        if name.lower() == "all":
            everything = True
        elif tag := tag_of(name):
            tags.add(tag)
        elif name:
            ignored.append(name[:64])
    return tags, everything, ignored


def _number(text: str | None, name: str) -> int:
    if text is None or text == "":
        return 0
    if not text.isascii() or not text.isdigit() or len(text) > 12:
        raise InvalidRequest("A paging parameter is not a whole number.", parameter=name)
    return int(text)


def _boolean(text: str) -> bool:
    if text.lower() not in ("true", "false", ""):
        raise InvalidRequest("fuzzymatching is true or false.")
    return text.lower() == "true"
