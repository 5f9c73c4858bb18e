"""A whole Inventory: the root instance and everything it incorporates, read from the files beside it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from vna_core.dicom.inventory_reading import read_inventory
from vna_core.domain.errors import LimitExceeded, Malformed, NotDicom, Truncated
from vna_core.domain.inventory_records import COMPLETE, IncorporatedInventory, InventoryHead, StudyRecord

MOST_FILES: Final = 100_000
"""Inventory instances of one tree."""


def is_inventory(path: Path) -> bool:
    """Whether a file is an Inventory instance that can be read. Raises OSError."""
    try:
        for _ in read_inventory(path):
            return True
    except (Malformed, Truncated, LimitExceeded):
        return False
    return False


def inventoried_studies(root: Path, *, partial: bool = False) -> Iterator[StudyRecord]:
    """Every study of an Inventory, from all its files; the sums that it states itself are checked at the end.

    Parameters
    ----------
    partial
        Take an Inventory that does not say it is complete.

    Raises
    ------
    Malformed
        A file is no Inventory, the root does not say that it is complete, or a sum does not close.
    Truncated, LimitExceeded, OSError
        A file ends early, is too deeply nested, or is missing.
    """
    seen: set[str] = set()
    waiting = [root]
    total, told = 0, -1
    while waiting:
        path = waiting.pop(0)
        count = 0
        for record in read_inventory(path):
            if isinstance(record, StudyRecord):
                count += 1
                yield record
                continue
            _check(record, path, count, complete=path is root and not partial)
            if record.sop_instance_uid in seen:
                raise Malformed(f"{path.name} is incorporated twice.")
            seen.add(record.sop_instance_uid)
            told = record.total if path is root else told
            waiting += [_beside(path.parent, one) for one in record.incorporated]
            if len(seen) + len(waiting) > MOST_FILES:
                raise LimitExceeded("The Inventory has too many files.", limit="inventories", maximum=MOST_FILES)
        total += count
    if not partial and told not in (-1, total):
        raise Malformed(f"The Inventory says it lists {told} studies, and lists {total}.")


def _check(head: InventoryHead, path: Path, count: int, *, complete: bool) -> None:
    if complete and head.status != COMPLETE:
        raise Malformed(
            f"{path.name} does not say that it is complete but {head.status or 'nothing'}; its maker has not finished it."
        )
    if head.studies not in (-1, count):
        raise Malformed(f"{path.name} says it holds {head.studies} study records, and holds {count}.")


def _beside(folder: Path, one: IncorporatedInventory) -> Path:
    """The file of an incorporated Inventory: in the folder of the one that names it, by the last part of its URI or by its UID."""
    names = [unquote(one.uri.rpartition("/")[2]), f"{one.sop_instance_uid}.dcm", one.sop_instance_uid]
    for name in names:
        if name and "/" not in name and "\0" not in name and name not in (".", "..") and (folder / name).is_file():
            return folder / name
    raise NotDicom(f"The Inventory incorporates {one.sop_instance_uid[:64]}, whose file {names[0][:80]!r} is not beside it.")


def local_path(uri: str, folder: Path) -> Path | None:
    """The file that a URI names on this machine; relative ones are below `folder`. None: it is not on this machine."""
    if uri.startswith("./"):
        return folder / unquote(uri[2:])
    parts = urlsplit(uri)
    if parts.scheme.lower() != "file" or parts.hostname not in (None, "", "localhost"):
        return None
    return Path(unquote(parts.path))
