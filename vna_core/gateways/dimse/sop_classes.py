"""Which SOP classes the DIMSE face speaks, and which abstract syntaxes it stores."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from vna_core.domain.data_dictionary import UIDS
from vna_core.domain.query import Level

VERIFICATION: Final = "1.2.840.10008.1.1"
STORAGE_COMMITMENT: Final = "1.2.840.10008.1.20.1"
STORAGE_COMMITMENT_INSTANCE: Final = "1.2.840.10008.1.20.1.1"

PATIENT_LEVELS: Final = (Level.PATIENT, Level.STUDY, Level.SERIES, Level.IMAGE)
STUDY_LEVELS: Final = PATIENT_LEVELS[1:]
FIND: Final = {
    "1.2.840.10008.5.1.4.1.2.1.1": PATIENT_LEVELS,
    "1.2.840.10008.5.1.4.1.2.2.1": STUDY_LEVELS,
    "1.2.840.10008.5.1.4.1.2.3.1": PATIENT_LEVELS[:2],
}
MOVE: Final = {
    "1.2.840.10008.5.1.4.1.2.1.2": PATIENT_LEVELS,
    "1.2.840.10008.5.1.4.1.2.2.2": STUDY_LEVELS,
    "1.2.840.10008.5.1.4.1.2.3.2": PATIENT_LEVELS[:2],
}
GET: Final = {
    "1.2.840.10008.5.1.4.1.2.1.3": PATIENT_LEVELS,
    "1.2.840.10008.5.1.4.1.2.2.3": STUDY_LEVELS,
    "1.2.840.10008.5.1.4.1.2.3.3": PATIENT_LEVELS[:2],
}
"""Query/Retrieve information models (PS3.4 annex C.6) and the levels each knows."""

SERVICES: Final = frozenset((VERIFICATION, STORAGE_COMMITMENT, *FIND, *MOVE, *GET))

IMPLICIT_LITTLE: Final = "1.2.840.10008.1.2"
EXPLICIT_LITTLE: Final = "1.2.840.10008.1.2.1"
EXPLICIT_BIG: Final = "1.2.840.10008.1.2.2"
IDENTIFIER_SYNTAXES: Final = (EXPLICIT_LITTLE, IMPLICIT_LITTLE)
"""Transfer syntaxes of identifiers, the one preferred first."""

_NOT_STORED: Final = ("Storage Commitment", "Storage Management")


@lru_cache(maxsize=4096)
def is_stored(abstract_syntax: str) -> bool:
    """Whether instances of the class are stored: every storage class of the standard, and everything it does not know.

    Among them is Media Storage Directory Storage: a DICOMDIR that came with its medium is held, so it must be able to leave.

    Services of the standard that we do not offer (worklist, print, performed procedure steps) are not stored.
    """
    known = UIDS.get(abstract_syntax)
    if known is None:
        return abstract_syntax not in SERVICES and bool(abstract_syntax)
    name, kind = known[0], known[1]
    return kind == "SOP Class" and "Storage" in name and not name.startswith(_NOT_STORED)
