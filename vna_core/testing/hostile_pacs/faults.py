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


@dataclass(frozen=True, slots=True)
class Fault:
    """One kind of misbehaviour.

    Attributes
    ----------
    transient
        Done only the first time that its target is asked for; asking again cures it.
    """

    name: str
    target: Target
    transient: bool
    summary: str


FAULTS: Final[Mapping[str, Fault]] = {
    one.name: one
    for one in (
        Fault("W1", Target.INSTANCE, False, "a new SOP Instance UID on every retrieval, the old one in a private element"),
        Fault("W2", Target.INSTANCE, False, "an instance of another study bears the same SOP Instance UID over other pixels"),
        Fault("W3", Target.STUDY, False, "the study is answered three times in one query"),
        Fault("W4", Target.STUDY, True, "success is reported before the end: C-MOVE goes on sending, C-GET leaves the rest out"),
        Fault("W5", Target.STUDY, False, "the answers of a retrieval carry no counts of sub-operations"),
        Fault("W6", Target.STUDY, True, "a retrieval is never answered"),
        Fault("W7", Target.STUDY, True, "the association is aborted in the middle of a retrieval"),
        Fault("W8", Target.SOURCE, False, "queries stop after some answers and report success"),
        Fault("W9", Target.STUDY, False, "Study Date is empty, 1900 or no date"),
        Fault("W10", Target.STUDY, False, "the study has no images: an order made it"),
        Fault("W11", Target.STUDY, False, "the study is not found by general or date queries, only by patient or UID"),
        Fault("W12", Target.STUDY, False, "the study got another UID after the fact; its files carry the old one"),
        Fault("W13", Target.STUDY, False, "name and ID of the patient were corrected in the database, not in the files"),
        Fault("W14", Target.INSTANCE, False, "a code string that is too long, a date that is none, a missing type 1 element"),
        Fault("W15", Target.INSTANCE, False, "the data set is encoded otherwise than its transfer syntax says"),
        Fault("W16", Target.INSTANCE, False, "a private SOP class, left out without a word where it was not negotiated"),
        Fault("W17", Target.STUDY, True, "the medium is offline: refused for now (A702), there the next time"),
        Fault("W18", Target.STUDY, False, "the files carry an accession number of another order"),
        Fault("W19", Target.STUDY, False, "laterality is corrected by a presentation state only"),
        Fault("W20", Target.INSTANCE, True, "some bits of the pixel data are flipped on the way"),
    )
}
"""Every kind by its name."""

DEFAULT_RATE: Final = 0.05


@dataclass(frozen=True, slots=True)
class FaultPlan:
    """Which kinds are played, and how often.

    Attributes
    ----------
    rates
        Kind to the share of targets it is done to (of the source as a whole: whether at all).
    cap
        Answers after which W8 stops a query.
    """

    seed: int
    rates: Mapping[str, float]
    cap: int = 50

    @classmethod
    def parse(cls, seed: int, text: str, cap: int = 50) -> FaultPlan:
        """From ``all``, ``none``, ``W1,W20`` or ``W1=0.1,W20=0.02``. Raises InvalidRequest."""
        if text.strip().lower() in ("none", ""):
            return cls(seed, {}, cap)
        if text.strip().lower() == "all":
            return cls(seed, dict.fromkeys(FAULTS, DEFAULT_RATE), cap)
        rates: dict[str, float] = {}
        for part in text.split(","):
            name, _, rate = part.strip().partition("=")
            try:
                rates[name.upper()] = float(rate) if rate else DEFAULT_RATE
            except ValueError as error:
                raise InvalidRequest(f"{part!r}: the rate of a fault is a number from 0 to 1.") from error
            if name.upper() not in FAULTS or not 0 <= rates[name.upper()] <= 1:
                raise InvalidRequest(f"{part!r} is no fault with a rate from 0 to 1. Faults: {', '.join(FAULTS)}.")
        return cls(seed, rates, cap)

    def plays(self, name: str) -> bool:
        """Whether a kind is played at all."""
        return self.rates.get(name, 0.0) > 0.0

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
