"""How every instance offered ends (promise 6: never silent)."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from vna_core.domain.errors import VnaError
from vna_core.domain.identifiers import PatientKey
from vna_core.domain.octets import Source
from vna_core.domain.transformation import Transformation


class Outcome(StrEnum):
    """The five ends of an instance offered to the archive."""

    HELD = "held"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"
    QUARANTINED = "quarantined"
    REFUSED = "refused"

    @property
    def acknowledged(self) -> bool:
        """Whether the sender hears success."""
        return self in (Outcome.HELD, Outcome.DUPLICATE, Outcome.CONFLICT)


@dataclass(frozen=True, slots=True)
class IngestResult:
    """What became of one instance offered. UIDs are as stored; empty where the octets gave none.

    Of what is quarantined they are what could be read of the octets: a help to find it, no promise.
    """

    outcome: Outcome
    study_instance_uid: str = ""
    series_instance_uid: str = ""
    sop_instance_uid: str = ""
    sop_class_uid: str = ""
    transformations: tuple[Transformation, ...] = ()
    quarantine_id: str | None = None
    error: VnaError | None = field(default=None, compare=False)
    source: Source | None = field(default=None, compare=False)
    patient: PatientKey | None = field(default=None, compare=False)


HELD_IS_CUT: Final = "cut-first"
"""How two versions differ: the one that was held ends before its pixels, and the new one continues it octet for octet."""
NEW_IS_CUT: Final = "cut-second"
"""The other way round: the new one is the cut copy."""
