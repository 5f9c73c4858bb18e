"""What the archive holds, or what a source was found to hold, as standard Inventory instances: the way out of the archive."""

from __future__ import annotations

import itertools
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from urllib.parse import quote

from vna_core.archival_storage.keys import is_pack
from vna_core.archival_storage.packs import member_name
from vna_core.catalogue import Catalogue
from vna_core.catalogue.migration_rows import LedgerInstance
from vna_core.dicom.inventory_writing import InventoryFile
from vna_core.domain.class_modalities import modality_of_series
from vna_core.domain.errors import InvalidRequest
from vna_core.domain.indexed_attributes import INDEXED
from vna_core.domain.instance import HeldInstance, Location
from vna_core.domain.inventory_records import (
    DICOM,
    TAR,
    FileAccess,
    IncorporatedInventory,
    InstanceRecord,
    SeriesRecord,
    StudyRecord,
)
from vna_core.domain.query import Equals, Level, Query
from vna_core.ports.storage import Store

ROOT: Final = "inventory.dcm"
PER_FILE: Final = 10_000
"""Studies in one instance; an archive with more gets several, and a root that incorporates them."""

_STUDY, _SERIES, _NUMBER = 0x0020000D, 0x0020000E, 0x00200013
_MODALITY, _MODALITIES = 0x00080060, 0x00080061


@dataclass(frozen=True, slots=True)
class WrittenInventory:
    """What was written. `unreachable` counts instances whose file cannot be told of: no store of theirs has a URI for others."""

    path: Path
    sop_instance_uid: str
    files: int
    studies: int
    instances: int
    unreachable: int


class InventoryWriter:
    """Writes records into a folder: one instance, or parts and a root that incorporates them.

    Parameters
    ----------
    base_uri
        What relative URIs of the records are relative to.
    told
        Called with the number of instances of each study that was written.
    """

    def __init__(
        self, folder: Path, *, base_uri: str = "", purpose: str = "", told: Callable[[int], object] = lambda count: None
    ) -> None:
        self._folder, self._base, self._purpose, self._told = folder, base_uri, purpose, told
        self._at = datetime.now(UTC)
        self._instances = self._unreachable = 0

    def write(self, studies: Iterable[StudyRecord], expected: int, per_file: int = PER_FILE) -> WrittenInventory:
        """Write everything; the root comes last, so that a folder without it was not finished.

        Parameters
        ----------
        expected
            How many studies there are about; more than `per_file` are split over several instances.

        Raises
        ------
        InvalidRequest
            There is an Inventory in the folder already.
        OSError
            The folder cannot be written.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        root, uid = self._folder / ROOT, _new_uid()
        try:
            counted = (self._counted(one) for one in studies)
            if expected <= per_file:
                with self._file(root, uid) as file:
                    total = file.finish(counted, whole=True)
                return WrittenInventory(root, uid, 1, total, self._instances, self._unreachable)
            parts, total = self._parts(counted, per_file)
            with self._file(root, uid) as file:
                file.finish(incorporated=parts, whole=True, total=total)
        except FileExistsError as error:
            raise InvalidRequest(f"{error} An Inventory is never overwritten: give another folder.") from error
        return WrittenInventory(root, uid, len(parts) + 1, total, self._instances, self._unreachable)

    def _parts(self, studies: Iterator[StudyRecord], per_file: int) -> tuple[list[IncorporatedInventory], int]:
        parts: list[IncorporatedInventory] = []
        total = 0
        for first in studies:
            piece = itertools.chain([first], itertools.islice(studies, per_file - 1))
            name, uid = f"inventory-{len(parts) + 1:05}.dcm", _new_uid()
            with self._file(self._folder / name, uid) as file:
                total += file.finish(piece, whole=False)
            parts.append(IncorporatedInventory(uid, f"./{name}"))
        return parts, total

    def _file(self, path: Path, uid: str) -> InventoryFile:
        return InventoryFile(path, uid, base_uri=self._base, purpose=self._purpose, taken_at=self._at)

    def _counted(self, study: StudyRecord) -> StudyRecord:
        self._instances += study.instances
        self._unreachable += sum(not one.files for series in study.series for one in series.instances)
        self._told(study.instances)
        return study


def held_studies(catalogue: Catalogue, stores: Mapping[str, Store], base_uri: str) -> Iterator[StudyRecord]:
    """What the archive holds: current versions, each with every good copy whose place can be told."""
    for match in catalogue.search(Query(Level.STUDY)).matches:
        attributes = match.attributes
        uid = attributes[_STUDY][0]
        by_series: dict[str, list[InstanceRecord]] = defaultdict(list)
        for held in catalogue.instances(patient=match.patient, study=uid):
            files = tuple(_access(held, one, stores, base_uri) for one in held.locations if _base(stores, one))
            number = next(iter(held.attributes.get(_NUMBER, ())), "")
            record = InstanceRecord(held.sop_instance_uid, held.sop_class_uid, number, files)
            by_series[held.series_instance_uid].append(record)
        found = catalogue.search(Query(Level.SERIES, (Equals(_STUDY, (uid,)),))).matches
        known = {one.attributes[_SERIES][0]: one.attributes for one in found if one.patient == match.patient}
        yield StudyRecord(attributes, tuple(_series(name, known.get(name, {}), held) for name, held in by_series.items()))


def _series(uid: str, attributes: Mapping[int, tuple[str, ...]], instances: list[InstanceRecord]) -> SeriesRecord:
    own = {tag: values for tag, values in attributes.items() if tag in INDEXED and INDEXED[tag].level is Level.SERIES}
    return SeriesRecord({**own, _SERIES: (uid,)}, tuple(instances))


def _base(stores: Mapping[str, Store], location: Location) -> str:
    store = stores.get(location.store)
    return "" if store is None else store.base_uri


def _access(held: HeldInstance, location: Location, stores: Mapping[str, Store], base_uri: str) -> FileAccess:
    base = _base(stores, location)
    uri = ("./" if base == base_uri else base) + quote(location.key)
    syntax, digest = held.transfer_syntax_uid, held.sha256
    if is_pack(location.key):
        name = member_name(held.sop_instance_uid, digest)
        return FileAccess(uri, TAR, name, location.offset, location.length, syntax, digest)
    return FileAccess(uri, DICOM, length=location.length, transfer_syntax_uid=syntax, sha256=digest)


def listed_studies(catalogue: Catalogue, campaign: str, inventory: int) -> Iterator[StudyRecord]:
    """What an inventory of a campaign's source lists. Where its files lie is not known."""
    for attributes, found in catalogue.ledger_reader.described(campaign):
        listed = [one for one, first, removed in found if first <= inventory and (removed == 0 or removed > inventory)]
        if listed:
            yield _listed(attributes, listed)


def _listed(attributes: Mapping[int, tuple[str, ...]], instances: Iterable[LedgerInstance]) -> StudyRecord:
    by_series: dict[str, list[LedgerInstance]] = defaultdict(list)
    for one in instances:
        by_series[one.series_instance_uid].append(one)
    series = []
    for uid, found in by_series.items():
        told = ((one.modality, one.sop_class_uid) for one in found)
        modality = modality_of_series(told, attributes.get(_MODALITIES, ()))
        records = tuple(InstanceRecord(one.sop_instance_uid, one.sop_class_uid) for one in found)
        series.append(SeriesRecord({_SERIES: (uid,), **({_MODALITY: (modality,)} if modality else {})}, records))
    return StudyRecord(attributes, tuple(series))


def _new_uid() -> str:
    return f"2.25.{uuid.uuid4().int}"  # PS3.5 annex B.2
