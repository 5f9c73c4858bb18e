"""QIDO-RS parameters to a question for the catalogue (PS3.18 section 8.3.4 and 10.6)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from vna_core.dicom.dictionary import tag_of as tag_of_keyword
from vna_core.dicom.dictionary import vr_of
from vna_core.dicom.matching_keys import condition
from vna_core.domain.errors import InvalidRequest
from vna_core.domain.query import Condition, Equals, Level, Query
from vna_core.gateways.web.exchange import BREAK_GLASS

_HEX: Final = re.compile(r"[0-9A-Fa-f]{8}")
_EMPTY: Final = '""'
_TEMPORAL: Final = frozenset(("DA", "TM", "DT"))
_CONTROL: Final = frozenset(
    (
        "limit",
        "offset",
        "includefield",
        "fuzzymatching",
        "accept",
        "charset",
        "emptyvaluematching",
        "multiplevaluematching",
        BREAK_GLASS,
    )
)


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """A parsed QIDO-RS request.

    Attributes
    ----------
    include
        Tags asked for with ``includefield``; `everything` for ``all``.
    ignored
        Parameters that name attributes of sequences or of no level of the question, or ask for empty values, in the order given.
    unknown
        What ``includefield`` names and is no attribute.
    """

    query: Query
    include: frozenset[int]
    everything: bool
    fuzzy: bool
    ignored: tuple[str, ...]
    unknown: tuple[str, ...] = ()


@lru_cache(maxsize=4096)
def tag_of(name: str) -> int:
    """Tag of a keyword or of eight hexadecimal digits; 0 when it is neither. Cached, as clients ask for the same few."""
    if _HEX.fullmatch(name):
        return int(name, 16)
    return tag_of_keyword(name)


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
    fuzzy = _boolean(options.get("fuzzymatching", "false"), "fuzzymatching")
    empty, several = (_boolean(options.get(name, "false"), name) for name in ("emptyvaluematching", "multiplevaluematching"))
    conditions: list[Condition] = [Equals(tag, (uid,)) for tag, uid in fixed]
    include: set[int] = set()
    everything = False
    ignored: list[str] = []
    unknown: list[str] = []
    for name, value in parameters:
        if name == "includefield":
            tags, whole, others = _included(value)
            include |= tags
            everything |= whole
            unknown += others
        elif name not in _CONTROL:
            tag = _matching_tag(name)
            if tag is None:
                ignored.append(name)
                continue
            include.add(tag)
            if value == _EMPTY and empty:
                ignored.append(name)
                continue
            found = _several(tag, value, fuzzy) if several else condition(tag, value, fuzzy)
            if found is not None:
                conditions.append(found)
    limit = min(_number(options.get("limit"), "limit") or page_limit, page_limit) if options.get("limit") != "0" else 0
    query = Query(level, tuple(conditions), limit, _number(options.get("offset"), "offset"))
    return SearchRequest(query, frozenset(include), everything, fuzzy, tuple(ignored), tuple(unknown))


def _several(tag: int, value: str, fuzzy: bool) -> Condition | None:
    """Multiple value matching (PS3.18 section 8.3.4.6): any of the values between backslashes, each matched as itself."""
    values = tuple(one for one in value.split("\\") if one)
    return Equals(tag, values) if len(values) > 1 and vr_of(tag) not in _TEMPORAL else condition(tag, value, fuzzy)


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
    unknown: list[str] = []
    everything = False
    for name in value.split(","):
        name = name.strip()
        if name.lower() == "all":
            everything = True
        elif tag := tag_of(name):
            tags.add(tag)
        elif name:
            unknown.append(name[:64])
    return tags, everything, unknown


def _number(text: str | None, name: str) -> int:
    if text is None or text == "":
        return 0
    if not text.isascii() or not text.isdigit() or len(text) > 12:
        raise InvalidRequest("A paging parameter is not a whole number.", parameter=name)
    return int(text)


def _boolean(text: str, name: str) -> bool:
    if text.lower() not in ("true", "false", ""):
        raise InvalidRequest(f"{name} is true or false.")
    return text.lower() == "true"
