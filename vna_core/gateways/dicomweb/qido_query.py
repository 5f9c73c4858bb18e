"""QIDO-RS parameters to a question for the catalogue (PS3.18 section 8.3.4 and 10.6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from vna_core.dicom.dictionary import vr_of
from vna_core.dicom.matching_keys import DEEPEST, Manner, condition, goes_through_sequences, in_sequences, path_of, tag_of
from vna_core.domain.errors import InvalidRequest
from vna_core.domain.numbers import whole_number
from vna_core.domain.query import Equals, Level, OfValues, Query
from vna_core.gateways.web.exchange import BREAK_GLASS

_MANNER: Final = ("fuzzymatching", "emptyvaluematching", "multiplevaluematching")
_CONTROL: Final = frozenset(("limit", "offset", "includefield", "accept", "charset", *_MANNER, BREAK_GLASS))


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """A parsed QIDO-RS request.

    Attributes
    ----------
    include
        Tags asked for with ``includefield``; `everything` for ``all``.
    ignored
        Parameters that give a sequence a value, or go through what is no sequence, in the order given.
    unknown
        What ``includefield`` names and is no attribute.
    """

    query: Query
    include: frozenset[int]
    everything: bool
    ignored: tuple[str, ...]
    unknown: tuple[str, ...] = ()


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
    manner = Manner(*(_boolean(options.get(name, "false"), name) for name in _MANNER))
    keys: list[tuple[tuple[int, ...], OfValues]] = [((), Equals(tag, (uid,))) for tag, uid in fixed]
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
            path = path_of(name)
            include.add(path[0])
            if not goes_through_sequences(path) or (vr_of(path[-1]) == "SQ" and value):
                ignored.append(name)
            elif (found := condition(path[-1], value, manner)) is not None:
                keys.append((path[:-1], found))
    limit = min(_number(options.get("limit"), "limit") or page_limit, page_limit) if options.get("limit") != "0" else 0
    query = Query(level, in_sequences(keys), limit, _number(options.get("offset"), "offset"))
    return SearchRequest(query, frozenset(include), everything, tuple(ignored), tuple(unknown))


def _included(value: str) -> tuple[set[int], bool, list[str]]:
    tags: set[int] = set()
    unknown: list[str] = []
    everything = False
    for name in value.split(","):
        name = name.strip()
        if name.lower() == "all":
            everything = True
        elif tag := tag_of(name) or _outermost(name):
            tags.add(tag)
        elif name:
            unknown.append(name[:64])
    return tags, everything, unknown


def _outermost(name: str) -> int:
    """The sequence that a path begins with, which is told whole; 0 for what is none."""
    path = [tag_of(step) for step in name.split(".", DEEPEST - 1)]
    return path[0] if all(path) else 0


def _number(text: str | None, name: str) -> int:
    if text is None or text == "":
        return 0
    number = whole_number(text, 12)
    if number is None:
        raise InvalidRequest("A paging parameter is not a whole number.", parameter=name)
    return number


def _boolean(text: str, name: str) -> bool:
    if text.lower() not in ("true", "false", ""):
        raise InvalidRequest(f"{name} is true or false.")
    return text.lower() == "true"
