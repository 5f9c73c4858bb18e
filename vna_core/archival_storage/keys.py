"""Storage keys, made of identifiers and digests, never of names (decision D4)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Final

from vna_core.domain.identifiers import key_segment

STUDIES: Final = "studies/"
PACKS: Final = "packs/"
QUARANTINE: Final = "quarantine/"
AUDIT: Final = "audit/"
"""Anchors and full files of the audit trail."""
DELIVERIES: Final = "deliveries/"
"""Notes about octets that a second department delivered."""
UNDONE_RUNS: Final = "normalization/"
"""Notes that a run of re-normalization was undone: what it made is not current, whatever a rebuild finds."""

HOLDS: Final = "holds/"
"""Notes about legal holds and their release."""
DELETIONS: Final = "deletions/"
"""Notes about deletions, and that they were taken back or purged."""
NOTES: Final = (HOLDS, DELETIONS, UNDONE_RUNS, DELIVERIES)
"""Where what a rebuild must know besides the objects lies, in every store."""


def instance_key(study_instance_uid: str, series_instance_uid: str, sop_instance_uid: str) -> Callable[[str], str]:
    """Key of a canonical object, once its SHA-256 is known: ``studies/<2 hex>/<study>/<series>/<instance>.<sha256>.dcm``."""
    folder = f"{STUDIES}{_series_folder(study_instance_uid, series_instance_uid)}"
    name = key_segment(sop_instance_uid)
    return lambda sha256: f"{folder}/{name}.{sha256}.dcm"


def series_folder(study_instance_uid: str, series_instance_uid: str) -> str:
    """What the keys of all loose objects of a series begin with."""
    return f"{STUDIES}{_series_folder(study_instance_uid, series_instance_uid)}/"


def pack_folder(study_instance_uid: str, series_instance_uid: str) -> str:
    """What the keys of all packs of a series begin with."""
    return f"{PACKS}{_series_folder(study_instance_uid, series_instance_uid)}/"


def pack_key(study_instance_uid: str, series_instance_uid: str, sha256: str, dimensions: int) -> str:
    """Key of a pack: ``packs/<2 hex>/<study>/<series>/<sha256>.pack/c.0.0.0``.

    The last segment is the name that Zarr gives the only chunk of an array of so many dimensions (``c`` where there is none).
    """
    return f"{pack_folder(study_instance_uid, series_instance_uid)}{sha256}.pack/c{'.0' * dimensions}"


def is_pack(key: str) -> bool:
    """Whether a pack lies under the key, not something else."""
    return bool(digest_of_pack(key))


def digest_of_pack(key: str) -> str:
    """The SHA-256 that the key of a pack carries; an empty string for any other key."""
    folder, _, chunk = key.rpartition("/")
    digest = folder.rpartition("/")[2].removesuffix(".pack")
    is_one = key.startswith(PACKS) and folder.endswith(".pack") and chunk.rstrip(".0") == "c" and _is_digest(digest)
    return digest if is_one else ""


def array_key(pack: str) -> str:
    """Key of the array metadata beside a pack."""
    return f"{pack.rpartition('/')[0]}/zarr.json"


def is_array(key: str) -> bool:
    """Whether array metadata of a pack lies under the key."""
    return key.startswith(PACKS) and key.endswith(".pack/zarr.json")


def digest_of_key(key: str) -> str:
    """The SHA-256 that a key carries, or an empty string."""
    parts = key.rsplit(".", 2)
    digest = parts[-2] if len(parts) == 3 else ""
    return digest if _is_digest(digest) else ""


def digest_of_content(key: str) -> str:
    """The SHA-256 of the object under a key, or an empty string where the key carries none or that of another object."""
    return digest_of_key(key) if key.endswith((".dcm", ".bin", ".log")) else digest_of_pack(key)


def _is_digest(text: str) -> bool:
    return len(text) == 64 and set(text) <= set("0123456789abcdef")


def _series_folder(study_instance_uid: str, series_instance_uid: str) -> str:
    shelf = hashlib.sha256(study_instance_uid.encode("utf-8", "surrogateescape")).hexdigest()[:2]
    return f"{shelf}/{key_segment(study_instance_uid)}/{key_segment(series_instance_uid)}"


def quarantine_keys(quarantine_id: str, sha256: str) -> tuple[str, str]:
    """Keys of the octets and of the note beside them."""
    return f"{QUARANTINE}{quarantine_id}.{sha256}.bin", f"{QUARANTINE}{quarantine_id}.{sha256}.json"


def delivery_key(original_sha256: str, note_sha256: str) -> str:
    """Key of a note about octets that were delivered once more."""
    return f"{DELIVERIES}{original_sha256[:2]}/{original_sha256}.{note_sha256}.json"


def audit_anchor_key(chain: str, number: int, sha256: str) -> str:
    """Key of the note about one line of an audit trail."""
    return f"{AUDIT}{chain}/anchors/{number:012d}.{sha256}.json"


def audit_segment_key(chain: str, segment: str, sha256: str) -> str:
    """Key of the copy of a full file of an audit trail."""
    return f"{AUDIT}{chain}/{segment}.{sha256}.log"


def undone_run_key(run: str) -> str:
    """Key of the note about one run."""
    return f"{UNDONE_RUNS}{key_segment(run)}.undone.json"


def note_key(prefix: str, identifier: str, what: str = "") -> str:
    """Key of a note about a hold or a deletion; `what` happened to it afterwards, if anything."""
    return f"{prefix}{key_segment(identifier)}{f'.{what}' if what else ''}.json"
