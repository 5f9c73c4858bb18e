"""Modalities of a study as the ledger keeps them: told by the source of the study, or derived from its series."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from vna_core.catalogue.migration_rows import LedgerStudy
from vna_core.catalogue.stored_text import to_stored
from vna_core.domain.class_modalities import modality_of_series
from vna_core.domain.migration import UnknownModalities
from vna_core.ports.pacs import InventoriedInstance


def as_told(modalities: str) -> dict[str, Any]:
    """Columns of a study of which nothing but its own row is known. `modalities` joined by a backslash."""
    unknown = UnknownModalities.NONE if modalities.strip("\\ ") else UnknownModalities.OF_STUDY
    return {"modalities": to_stored(modalities), "unknown_modalities": unknown.value}


def as_inventoried(study: LedgerStudy, found: Iterable[InventoriedInstance]) -> dict[str, Any]:
    """Columns of a study whose instances are known.

    Modalities in Study (0008,0061) are by definition those of its series (PS3.4 table C.6-5): where all of these are known, they
    are more certain than what the source says of the study, and the only ones where it says nothing.
    """
    told = {one for one in study.modalities.split("\\") if one}
    of_series = _by_series(found)
    known = {modality for modality in of_series.values() if modality}
    if known and all(of_series.values()):
        return _columns(known, UnknownModalities.NONE)
    if not of_series:
        return _columns(told, UnknownModalities.NONE)
    if not told or study.unknown_modalities >= UnknownModalities.OF_STUDY:
        return _columns(told | known, UnknownModalities.OF_STUDY)
    return _columns(told | known, UnknownModalities.NONE if len(told | known) == 1 else UnknownModalities.OF_SERIES)


def _columns(modalities: set[str], unknown: UnknownModalities) -> dict[str, Any]:
    return {"modalities": to_stored("\\".join(sorted(modalities))), "unknown_modalities": unknown.value}


def _by_series(found: Iterable[InventoriedInstance]) -> dict[str, str]:
    """Modality of each series; empty where it is not known."""
    instances: dict[str, list[tuple[str, str]]] = {}
    for one in found:
        instances.setdefault(one.series_instance_uid, []).append((one.modality, one.sop_class_uid))
    return {series: modality_of_series(told) for series, told in instances.items()}
