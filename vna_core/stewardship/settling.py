"""Which of the versions of an instance is right: it stands, and the others are set aside.

What is set aside answers no query and no retrieval, its octets are kept, and `Deleting.undelete` takes it back. Versions under another
patient, study or series are other instances: each has its own version that stands.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from vna_core.domain.errors import InvalidRequest, NotFound
from vna_core.domain.identifiers import PatientKey
from vna_core.domain.instance import HeldInstance

_Instance = tuple[tuple[PatientKey, str, str], str]


def others(versions: Sequence[HeldInstance], meant: Sequence[HeldInstance]) -> list[HeldInstance]:
    """The versions beside the one that is right.

    Parameters
    ----------
    versions
        All under one SOP Instance UID.
    meant
        Those of them that whoever decides may mean.

    Raises
    ------
    NotFound
        Nothing is held under the UID, or no such version.
    InvalidRequest
        Not exactly one is meant, or it is the only one.
    """
    if not versions:
        raise NotFound("Nothing is held under this UID.")
    if not meant:
        raise NotFound(f"There is no such version: {_told(versions)}.")
    if len(meant) > 1:
        raise InvalidRequest(f"Say which version is right, by its number and study or by its SHA-256: {_told(versions)}.")
    [right] = meant
    found = [one for one in versions if one.place == right.place and one.pk != right.pk]
    if not found:
        raise InvalidRequest("There is no other version of this instance in its series.")
    return found


def all_but(versions: Iterable[HeldInstance], *, latest: bool) -> list[HeldInstance]:
    """Of every instance that has several versions, all but the one that came last (`latest`) or first. Raises InvalidRequest."""
    chains: dict[_Instance, list[HeldInstance]] = {}
    for one in versions:
        chains.setdefault((one.place, one.sop_instance_uid), []).append(one)
    found: list[HeldInstance] = []
    for chain in chains.values():
        ordered = sorted(chain, key=lambda one: one.version)
        found += ordered[:-1] if latest else ordered[1:]
    if not found:
        raise InvalidRequest("No instance of it has several versions.")
    return found


def _told(versions: Sequence[HeldInstance]) -> str:
    return "; ".join(
        f"{one.version} in study {one.study_instance_uid} (SHA-256 {one.original_sha256[:8]}...)" for one in versions
    )
