"""Which attributes rows of a search have (PS3.18 tables 10.6.3-3 to 10.6.3-5)."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from vna_core.domain.indexed_attributes import INDEXED
from vna_core.domain.query import Level
from vna_core.gateways.resource_paths import INSTANCE, SERIES, STUDY

_PATIENT: Final = frozenset((0x00100010, 0x00100020, 0x00100021, 0x00100030, 0x00100040))
_RETURNED: Final[dict[Level, frozenset[int]]] = {
    Level.STUDY: _PATIENT
    | {
        0x00080020,
        0x00080030,
        0x00080050,
        0x00080061,
        0x00080062,
        0x00080090,
        0x00080201,
        0x00081030,
        STUDY,
        0x00200010,
        0x00201206,
        0x00201208,
    },
    Level.SERIES: frozenset(
        (
            0x00080060,
            0x00080201,
            0x0008103E,
            SERIES,
            0x00200011,
            0x00201209,
            0x00400244,
            0x00400245,
            STUDY,
            0x00080021,
            0x00080031,
            0x00180015,
        )
    ),
    Level.IMAGE: frozenset(
        (0x00080016, INSTANCE, 0x00080201, 0x00200013, 0x00280010, 0x00280011, 0x00280100, 0x00280008, STUDY, SERIES)
    ),
}
"""Attributes returned without being asked for; those above come with a level not in the path."""

_LEVELS_ABOVE: Final = {
    Level.STUDY: (),
    Level.SERIES: (Level.STUDY,),
    Level.IMAGE: (Level.STUDY, Level.SERIES),
}

_REQUIRED: Final[dict[Level, frozenset[int]]] = {
    Level.STUDY: _PATIENT - {0x00100021} | {0x00080020, 0x00080030, 0x00080050, 0x00080061, 0x00080090, 0x00200010},
    Level.SERIES: frozenset((0x00080060, 0x00200011)),
    Level.IMAGE: frozenset(),
}
"""Those of type R that may have no value: they are told without one then (PS3.4 C.2.2.1.2). Of instances only what is present is told."""
_ANSWERED: Final = frozenset(INDEXED).union(*_RETURNED.values())
"""Tags that rows of some level have."""
_WITH: Final = {
    Level.STUDY: (Level.PATIENT, Level.STUDY),
    Level.SERIES: (Level.PATIENT, Level.STUDY, Level.SERIES),
    Level.IMAGE: (),
}
"""Levels whose attributes are told without a value, where they have none and are asked for."""


@dataclass(frozen=True, slots=True)
class Columns:
    """What rows have.

    Attributes
    ----------
    names
        Tags that are told where they have values; None: all.
    always
        Tags that are told without a value otherwise.
    """

    names: frozenset[int] | None
    always: frozenset[int]


def columns_of(level: Level, include: Set[int] | None, given_levels: int) -> Columns:
    """The columns of an answer.

    Parameters
    ----------
    include
        Tags asked for, by keys or ``includefield``; None: all.
    given_levels
        How many levels above are in the path.
    """
    return _columns(level, None if include is None else frozenset(include & _ANSWERED), given_levels)


@lru_cache(maxsize=1024)
def _columns(level: Level, include: frozenset[int] | None, given_levels: int) -> Columns:
    told = (level, *_LEVELS_ABOVE[level][given_levels:])
    always = frozenset().union(*(_REQUIRED[one] for one in told))
    if include is None:
        return Columns(None, always)
    asked = frozenset(tag for tag in include if tag in INDEXED and INDEXED[tag].level in _WITH[level])
    return Columns(include.union(*(_RETURNED[one] for one in told)), always | asked)


def required_of(level: Level, given_levels: int) -> frozenset[int]:
    """Tags that rows have whether they have values or not, where nothing is asked for; see `columns_of`."""
    return _columns(level, frozenset(), given_levels).always
