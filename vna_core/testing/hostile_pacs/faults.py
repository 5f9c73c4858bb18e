"""What can be wrong with a source, and which of its studies and instances it is wrong with."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from vna_core.domain.errors import InvalidRequest


class Target(StrEnum):
    """What a fault is done to."""

    SOURCE = "source"
    STUDY = "study"
    INSTANCE = "instance"


class Face(StrEnum):
    """How the source is spoken to."""

    DIMSE = "dimse"
    WEB = "web"
    """DICOMweb."""


BOTH: Final = frozenset(Face)


@dataclass(frozen=True, slots=True)
class Fault:
    """One kind of misbehaviour.

    Attributes
    ----------
    transient
        Done only the first time that its target is asked for; asking again cures it.
    faces
        Where it can be met.
    alone
        Leaves nothing to be migrated, so that it is played where it is named only, and not with ``all``.
    """

    name: str
    target: Target
    transient: bool
    summary: str
    faces: frozenset[Face] = BOTH
    alone: bool = False

    @property
    def only(self) -> str:
        """The one face that it can be met on; empty when that is every one."""
        return "" if self.faces == BOTH else next(iter(self.faces)).value


_DIMSE: Final = frozenset((Face.DIMSE,))
_WEB: Final = frozenset((Face.WEB,))


FAULTS: Final[Mapping[str, Fault]] = {
    one.name: one
    for one in (
        Fault("W1", Target.INSTANCE, False, "a new SOP Instance UID on every retrieval, the old one in a private element"),
        Fault("W2", Target.INSTANCE, False, "an instance of another study bears the same SOP Instance UID over other pixels"),
        Fault("W3", Target.STUDY, False, "the study is answered three times in one query"),
        Fault(
            "W4",
            Target.STUDY,
            True,
            "success is reported before the end: C-MOVE goes on sending, C-GET and WADO-RS leave the rest out",
        ),
        Fault("W5", Target.STUDY, False, "the answers of a retrieval carry no counts of sub-operations", _DIMSE),
        Fault("W6", Target.STUDY, True, "a retrieval is never answered"),
        Fault("W7", Target.STUDY, True, "the association or connection is broken off in the middle of a retrieval"),
        Fault("W8", Target.SOURCE, False, "queries stop after some answers and report success"),
        Fault("W9", Target.STUDY, False, "Study Date is empty, 1900 or no date"),
        Fault("W10", Target.STUDY, False, "the study has no images: an order made it"),
        Fault("W11", Target.STUDY, False, "the study is not found by general or date queries, only by patient or UID"),
        Fault("W12", Target.STUDY, False, "the study got another UID after the fact; its files carry the old one"),
        Fault("W13", Target.STUDY, False, "name and ID of the patient were corrected in the database, not in the files"),
        Fault("W14", Target.INSTANCE, False, "a code string that is too long, a date that is none, a missing type 1 element"),
        Fault("W15", Target.INSTANCE, False, "the data set is encoded otherwise than its transfer syntax says"),
        Fault("W16", Target.INSTANCE, False, "a private SOP class, left out without a word where it was not negotiated", _DIMSE),
        Fault("W17", Target.STUDY, True, "the medium is offline: refused for now (A702, HTTP 503), there the next time"),
        Fault("W18", Target.STUDY, False, "the files carry an accession number of another order"),
        Fault("W19", Target.STUDY, False, "laterality is corrected by a presentation state only"),
        Fault("W20", Target.INSTANCE, True, "some bits of the pixel data are flipped on the way"),
        Fault("W21", Target.STUDY, False, "the study is listed for two patients in one answer", _DIMSE),
        Fault("W22", Target.STUDY, False, "the list of the study's instances is refused (C001), every time", _DIMSE),
        Fault("W23", Target.STUDY, False, "the study is listed without its Study Instance UID", _DIMSE),
        Fault(
            "W24",
            Target.SOURCE,
            False,
            "questions that name neither patient, study nor less than a century of dates are refused (A700) without an answer",
            _DIMSE,
        ),
        Fault("W25", Target.SOURCE, False, "every query ends with success and without a match", alone=True),
        Fault("H1", Target.SOURCE, False, "pages are not turned: whatever the offset, the first page comes", _WEB),
        Fault("H2", Target.SOURCE, False, "behind the last page comes the first one again, for ever", _WEB),
        Fault("H3", Target.SOURCE, False, "X-Total-Count names another number of answers than there are", _WEB),
        Fault("H4", Target.SOURCE, False, "pages are shorter than asked for, with a Warning 299 that there are more", _WEB),
        Fault("H5", Target.SOURCE, False, "queries stop after some answers; a Warning 299 tells that there are more", _WEB),
        Fault("H6", Target.SOURCE, True, "a further page is answered with 200 and an empty body", _WEB),
        Fault("H7", Target.INSTANCE, False, "an instance of another study is answered in its place", _WEB),
        Fault("H8", Target.STUDY, False, "every part of an answer comes twice", _WEB),
        Fault("H9", Target.STUDY, True, "an answer ends before its closing boundary, at the length that it said", _WEB),
        Fault("H10", Target.STUDY, True, "a retrieval is answered with 200 and an empty body", _WEB),
        Fault("H11", Target.STUDY, True, "the list of instances is answered with 200 and an empty body", _WEB),
        Fault("H12", Target.STUDY, True, "the list of instances is cut short", _WEB),
        Fault("H13", Target.STUDY, False, "Number of Study Related Instances tells more than there are", _WEB),
    )
}
"""Every kind by its name."""

IN_FILES: Final = frozenset(("W12", "W13", "W18"))
"""Faults of a study that lie in its files: told of every instance that is delivered."""

DEFAULT_RATE: Final = 0.05


@dataclass(frozen=True, slots=True)
class FaultPlan:
    """Which kinds are played, and how often.

    Attributes
    ----------
    rates
        Kind to the share of targets it is done to (of the source as a whole: whether at all).
    cap
        Answers after which W8 and H5 stop a query.
    """

    seed: int
    rates: Mapping[str, float]
    cap: int = 50

    @classmethod
    def parse(cls, seed: int, text: str, cap: int = 50, face: Face = Face.DIMSE) -> FaultPlan:
        """From ``all``, ``none``, ``W1,W20`` or ``W1=0.1,W20=0.02``. Raises InvalidRequest, also for what `face` cannot play."""
        known = [one.name for one in FAULTS.values() if face in one.faces]
        if text.strip().lower() in ("none", ""):
            return cls(seed, {}, cap)
        if text.strip().lower() == "all":
            return cls(seed, dict.fromkeys((name for name in known if not FAULTS[name].alone), DEFAULT_RATE), cap)
        rates: dict[str, float] = {}
        for part in text.split(","):
            name, _, rate = part.strip().partition("=")
            try:
                rates[name.upper()] = float(rate) if rate else DEFAULT_RATE
            except ValueError as error:
                raise InvalidRequest(f"{part!r}: the rate of a fault is a number from 0 to 1.") from error
            if name.upper() not in known or not 0 <= rates[name.upper()] <= 1:
                raise InvalidRequest(f"{part!r} is no fault with a rate from 0 to 1. Faults: {', '.join(known)}.")
        return cls(seed, rates, cap)

    def plays(self, name: str) -> bool:
        """Whether a kind is played at all."""
        return self.rates.get(name, 0.0) > 0.0

    @property
    def of_source(self) -> str:
        """The one kind that the source as a whole plays; several named together would hide one another."""
        names = [name for name in self.rates if FAULTS[name].target is Target.SOURCE and self.plays(name)]
        return random.Random(f"{self.seed}:source").choice(names) if names else ""

    def assigned(self, target: Target, names: Sequence[str]) -> dict[str, str]:
        """Target names to the one kind of fault done to each; what is not named is left alone.

        At least one target gets each kind that is played, as long as there are enough of them.
        """
        dice = random.Random(f"{self.seed}:{target.value}")
        free = list(names)
        dice.shuffle(free)
        found: dict[str, str] = {}
        for name, rate in self.rates.items():
            if FAULTS[name].target is target and rate > 0:
                count = max(1, round(rate * len(names)))
                for one in free[:count]:
                    found[one] = name
                free = free[count:]
        return found
