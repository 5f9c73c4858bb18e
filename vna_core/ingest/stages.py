"""What one room hands to the next on the way in. Frozen; rooms know these and not one another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from vna_core.catalogue import Compare
from vna_core.domain.identifiers import PatientKey
from vna_core.domain.instance import CanonicalInstance, HeldInstance, Location
from vna_core.domain.outcome import Outcome


@dataclass(frozen=True, slots=True)
class Reconciled:
    """What `reconcile` hands to `place`.

    Attributes
    ----------
    duplicate
        The version that holds exactly these octets; nothing needs to be stored.
    damaged
        The version that should hold exactly these octets but whose every copy is bad: to be healed.
    classification
        Primary keys of other versions under the UID to ``encoding``, ``header``, ``pixel`` or ``other-parent``.
    compare
        Makes the same of versions that are recorded meanwhile.
    """

    canonical: CanonicalInstance
    patient: PatientKey
    compare: Compare
    duplicate: HeldInstance | None = None
    damaged: HeldInstance | None = None
    classification: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Placed:
    """What `place` hands to `index`. `location` is None for a duplicate. `crc32c` is of the octets that `sha256` is of."""

    reconciled: Reconciled
    location: Location | None = None
    sha256: str = ""
    crc32c: int | None = None


@dataclass(frozen=True, slots=True)
class Indexed:
    """What `index` hands to `announce`."""

    placed: Placed
    outcome: Outcome
    held: HeldInstance
