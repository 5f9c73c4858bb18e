"""What an Inventory (PS3.3 section A.88) says of an archive: studies, their series, their instances, and where each file lies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

INVENTORY_STORAGE: Final = "1.2.840.10008.5.1.4.1.1.201.1"
COMPLETE: Final = "COMPLETE"
PARTIAL: Final = "PARTIAL"
"""Values of Inventory Completion Status (PS3.3 section C.38.1.1.3): of the whole, and of one of its parts."""

DICOM: Final = "DICOM"
TAR: Final = "TAR"
ZIP: Final = "ZIP"
BLOB: Final = "BLOB"
"""Values of Container File Type: a file that is the instance itself, or an archive with many."""

Attributes = Mapping[int, tuple[str, ...]]
"""Values as text, by tag."""


@dataclass(frozen=True, slots=True)
class FileAccess:
    """Where one file can be read without the archive (PS3.3 section C.38.2.2, Stored File Access Macro).

    Attributes
    ----------
    uri
        Whole, or relative (``./``) to the base URI above it.
    member
        Filename in the container; empty for a file of its own.
    offset, length
        First octet (from 0) and number of octets in the container; -1 where they are not told.
    sha256
        Of the file, in hexadecimal; empty where it is not told.
    """

    uri: str
    container: str = DICOM
    member: str = ""
    offset: int = -1
    length: int = -1
    transfer_syntax_uid: str = ""
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class InstanceRecord:
    """One instance, and every place its file can be read from."""

    sop_instance_uid: str
    sop_class_uid: str = ""
    instance_number: str = ""
    files: tuple[FileAccess, ...] = ()


@dataclass(frozen=True, slots=True)
class SeriesRecord:
    """One series: its attributes, the UID among them."""

    attributes: Attributes
    instances: tuple[InstanceRecord, ...] = ()


@dataclass(frozen=True, slots=True)
class StudyRecord:
    """One study: its attributes and those of its patient, the UIDs among them."""

    attributes: Attributes
    series: tuple[SeriesRecord, ...] = ()

    @property
    def instances(self) -> int:
        """Number of instances."""
        return sum(len(one.instances) for one in self.series)


@dataclass(frozen=True, slots=True)
class IncorporatedInventory:
    """A further Inventory whose content belongs to this one. `uri`: where it lies, empty where that is not told."""

    sop_instance_uid: str
    uri: str = ""


@dataclass(frozen=True, slots=True)
class InventoryHead:
    """What stands in one Inventory beside its records, as it is known behind its last element.

    Attributes
    ----------
    status
        ``COMPLETE`` only when everything in its scope is in it or in what it incorporates; empty where it is missing.
    studies
        Study records in this instance; -1 where it is not told.
    total
        Study records in all instances of the tree; -1 where it is not told.
    """

    sop_instance_uid: str = ""
    status: str = ""
    level: str = ""
    base_uri: str = ""
    studies: int = -1
    total: int = -1
    incorporated: tuple[IncorporatedInventory, ...] = field(default=())
