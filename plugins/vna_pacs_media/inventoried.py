"""An Inventory instance (PS3.3 section A.88) as the index: what it lists is believed, files are read where it says they lie.

A file is opened only below the folder of the Inventory, or below the folder that the option ``root`` names: an Inventory comes from
somebody else, and must not make us read what it likes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from vna_core.dicom.inventory_tree import inventoried_studies, local_path
from vna_core.domain.errors import PeerError, VnaError
from vna_core.domain.inventory_records import DICOM, FileAccess, InstanceRecord
from vna_pacs_media.index import CLOSED, Index, Place
from vna_pacs_media.reading import CLASS, SOP, WANTED, IndexedFile

_NUMBER = 0x00200013
Values = Mapping[int, tuple[str, ...]]


def fill(index: Index, inventory: Path, root: Path) -> int:
    """Index everything that an Inventory lists; how many instances. Raises PeerError when it is damaged or not complete."""
    count, container = 0, index.begin(str(inventory))
    try:
        for values, one in _instances(inventory):
            place, digest = _place(one, inventory.parent, root)
            index.add(container, IndexedFile(values), place, False, digest)
            count += 1
    except (VnaError, OSError) as error:
        said = error.message if isinstance(error, VnaError) else str(error)
        raise PeerError(f"The Inventory {inventory.name} cannot be used: {said}") from error
    return count


def _instances(inventory: Path) -> Iterator[tuple[Values, InstanceRecord]]:
    for study in inventoried_studies(inventory):
        for series in study.series:
            known = {tag: values for tag, values in {**series.attributes, **study.attributes}.items() if tag in WANTED}
            for one in series.instances:
                own = {SOP: (one.sop_instance_uid,), CLASS: (one.sop_class_uid,)}
                yield {**known, **own, **({_NUMBER: (one.instance_number,)} if one.instance_number else {})}, one


def _place(one: InstanceRecord, folder: Path, root: Path) -> tuple[Place, str]:
    """The first copy that may be read here, and the digest that it must have."""
    for file in one.files:
        path = _allowed(file, folder, root)
        if path is not None:
            member = "" if file.container == DICOM else file.member or file.uri
            offset = file.offset if member else -1
            return Place(str(path), member, offset, file.length), f"sha256:{file.sha256}" if file.sha256 else ""
    return Place("", offset=CLOSED), ""


def _allowed(file: FileAccess, folder: Path, root: Path) -> Path | None:
    path = local_path(file.uri, folder)
    if path is None:
        return None
    try:
        real = path.resolve(strict=True)
    except (OSError, ValueError):
        return None
    return real if real.is_relative_to(root) and real.is_file() else None
