"""The certificate of a migration: signed totals over an exported ledger and worklist, checked offline by whoever has them.

``certificate.json``; ``ledger.jsonl.zst`` and ``exceptions.jsonl.zst`` (one row a line: instances, entries of the worklist); and beside
each of these the 32-octet digests of its rows (``.leaves``). The signature covers the certificate, the certificate holds the roots over
the digests, and the digests say which row was altered.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, Final

from vna_core import __version__
from vna_core.catalogue import Catalogue
from vna_core.catalogue.migration_inventories import COMPLETE
from vna_core.catalogue.migration_rows import ExceptionEntry, LedgerInstance, LedgerStudy
from vna_core.domain.errors import ConfigurationError, InvalidRequest
from vna_core.domain.migration import REASONS
from vna_core.migration.report import summary_of
from vna_core.migration.signed_rows import check_rows, replacing, write_rows

CERTIFICATE: Final = "certificate.json"
LEDGER: Final = "ledger"
EXCEPTIONS: Final = "exceptions"
FORMAT: Final = "vna-migration-certificate-1"
_NAMED: Final = 1000
"""Exceptions in one state that the certificate itself names; all are counted, and every one is a signed row."""

_PIECE: Final = 1000
_LONGEST: Final = 1 << 26
"""Octets of a certificate that are read; it names some thousands of exceptions at most."""


@dataclass(frozen=True, slots=True)
class CertificateCheck:
    """What a check found. `rows` and `exceptions` name altered, missing or added rows of the ledger and of the worklist by their number,
    counted from 1; `checked` is how many rows there are of both; `files` names those of the two that are cut short, or have something
    behind their end."""

    signature: bool
    root: bool
    totals: bool
    rows: tuple[int, ...]
    exceptions: tuple[int, ...]
    checked: int
    public_key: str
    files: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether nothing was altered."""
        return self.signature and self.root and self.totals and not (self.rows or self.exceptions or self.files)


def issue(catalogue: Catalogue, campaign: str, folder: Path, key_file: Path, rule_set: str) -> dict[str, Any]:
    """Export the ledger and the worklist, and write a signed certificate into `folder`; the certificate.

    Raises InvalidRequest (there is no complete inventory), ConfigurationError (no `cryptography`, or an unusable key).
    """
    inventory = catalogue.inventories.newest(campaign, COMPLETE)
    if inventory is None:
        raise InvalidRequest(f"{campaign} has no complete inventory: run `vna migrate plan` first.")
    private = _signing_key(key_file)
    folder.mkdir(parents=True, exist_ok=True)
    states = Counter[str]()
    ledger = write_rows(folder, LEDGER, _counted(_ledger_rows(catalogue, campaign), states))
    known = catalogue.campaigns.load(campaign)
    document: dict[str, Any] = {
        "format": FORMAT,
        "campaign": campaign,
        "state": "" if known is None else known.state,
        "issued_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "product": f"vna-core {__version__}",
        "rule_set": rule_set,
        "inventory": {
            "number": inventory.number,
            "sha256": inventory.digest,
            "taken_at": inventory.finished_at.isoformat(),
            "studies": inventory.studies,
            "instances": inventory.instances,
            "asked": dict(inventory.details),
        },
        "totals": summary_of(catalogue, campaign).as_dict(),
        "rows": dict(sorted(states.items())),
        "ledger": ledger,
        "exceptions": _exceptions(catalogue, campaign, folder),
        "public_key": _public_hex(private),
    }
    document["signature"] = private.sign(_signed(document)).hex()
    with replacing(folder / CERTIFICATE) as file:
        file.write(json.dumps(document, indent=1, ensure_ascii=True).encode() + b"\n")
    return document


def check(folder: Path, public_key: str = "") -> CertificateCheck:
    """Check a certificate against the exported ledger beside it, without the archive.

    `public_key` (hexadecimal) is the one that is trusted; empty: the one that the certificate names, which then proves only that
    the files belong together. Raises InvalidRequest for files that cannot be read, ConfigurationError without `cryptography`.
    """
    document = _read(folder / CERTIFICATE)
    named = str(document.get("public_key", ""))
    signature = _is_signed(document, public_key or named) and (not public_key or public_key.lower() == named)
    states, open_states = Counter[str](), Counter[str]()
    ledger = check_rows(folder, LEDGER, document.get("ledger"), lambda row: states.update((_state(row),)))
    told = document.get("exceptions", {})
    exceptions = check_rows(folder, EXCEPTIONS, told, lambda row: open_states.update((_entry_state(row),)))
    totals = dict(states) == document.get("rows") and isinstance(told, dict) and dict(open_states) == told.get("states")
    checked = ledger.checked + exceptions.checked
    root = ledger.root and exceptions.root
    files = tuple(name for name, found in ((LEDGER, ledger), (EXCEPTIONS, exceptions)) if not found.whole)
    return CertificateCheck(signature, root, totals, ledger.altered, exceptions.altered, checked, named, files)


def row_of(study: LedgerStudy, one: LedgerInstance, first: int, removed: int) -> bytes:
    """One row as it is exported: JSON with sorted keys, ASCII."""
    values = {name: value for name, value in asdict(one).items() if name != "pk"}
    values |= {"study_instance_uid": study.study_instance_uid, "study_state": study.state.value, "state": one.state.value}
    values |= {"first_inventory": first, "removed_inventory": removed}
    return json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def _ledger_rows(catalogue: Catalogue, campaign: str) -> Iterator[bytes]:
    for study, instances in catalogue.ledger_reader.by_uid(campaign):
        for one, first, removed in instances:
            yield row_of(study, one, first, removed)


def _counted(rows: Iterator[bytes], states: Counter[str]) -> Iterator[bytes]:
    for row in rows:
        states[_state(row)] += 1
        yield row


def _state(row: bytes) -> str:
    read = _object(row)
    return f"{read.get('state')} {read.get('outcome')}".strip() if read is not None else "unreadable"


def _entry_state(row: bytes) -> str:
    read = _object(row)
    return f"{read.get('reason')} {read.get('state')}" if read is not None else "unreadable"


def _object(octets: bytes) -> dict[str, Any] | None:
    """A JSON object whose every name stands once, as two readers may take one of two for the true one; None: it is none."""
    try:
        read = json.loads(octets, object_pairs_hook=_once)
    except (ValueError, RecursionError):
        return None
    return read if isinstance(read, dict) else None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    named = dict(pairs)
    if len(named) != len(pairs):
        raise ValueError("a name stands twice")
    return named


def _entries(catalogue: Catalogue, campaign: str, state: str | None = None) -> Iterator[ExceptionEntry]:
    """Entries of the worklist, also those that are closed (in this state), oldest first."""
    last = 0
    while piece := catalogue.ledger_reader.exceptions(campaign, state=state, after=last, limit=_PIECE):
        yield from piece
        last = piece[-1].pk


def _entry(one: ExceptionEntry) -> dict[str, Any]:
    names = ("reason", "state", "study_instance_uid", "sop_instance_uid", "detail", "note", "closed_by")
    return {name: getattr(one, name) for name in names}


def _entry_row(one: ExceptionEntry) -> bytes:
    values = _entry(one) | {"sample": one.sample, "times": one.times, "opened_at": one.opened_at.isoformat()}
    return json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def _exceptions(catalogue: Catalogue, campaign: str, folder: Path) -> dict[str, Any]:
    """Export the worklist; its counts, its root, and the first entries that are not solved, of each state some."""
    states, counts = Counter[str](), dict[str, dict[str, Any]]()

    def rows() -> Iterator[bytes]:
        for one in _entries(catalogue, campaign):
            states[f"{one.reason} {one.state}"] += 1
            told = counts.setdefault(one.reason, {"cause": REASONS[one.reason].cause if one.reason in REASONS else ""})
            told[one.state] = told.get(one.state, 0) + 1
            yield _entry_row(one)

    signed = write_rows(folder, EXCEPTIONS, rows())
    unsolved = ("open", "retried", "accepted")
    named = [_entry(one) for state in unsolved for one in islice(_entries(catalogue, campaign, state), _NAMED)]
    left = sum(number for reason in counts.values() for state, number in reason.items() if state in unsolved) - len(named)
    told = {"counts": dict(sorted(counts.items())), "states": dict(sorted(states.items()))}
    return {**told, **signed, "named": named, "not_named": left}


def _signed(document: Mapping[str, Any]) -> bytes:
    """What the signature covers: everything but itself, in one form."""
    rest = {name: value for name, value in document.items() if name != "signature"}
    return json.dumps(rest, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def _is_signed(document: Mapping[str, Any], public_key: str) -> bool:
    ed25519, _, invalid = _cryptography()
    try:
        public = ed25519.Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_key))
        public.verify(bytes.fromhex(str(document.get("signature", ""))), _signed(document))
    except (ValueError, invalid):
        return False
    return True


def _signing_key(path: Path) -> Any:
    """The key in `path`, made on first use; readable by its owner only."""
    ed25519, serialization, _ = _cryptography()
    if not path.exists():
        made = ed25519.Ed25519PrivateKey.generate()
        text = made.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), None)
    except (OSError, ValueError, TypeError) as error:
        raise ConfigurationError(f"{path} holds no usable signing key ({type(error).__name__}).") from error
    if not isinstance(key, ed25519.Ed25519PrivateKey):
        raise ConfigurationError(f"{path} holds another kind of key than Ed25519.")
    return key


def _public_hex(private: Any) -> str:
    _, serialization, _ = _cryptography()
    raw = private.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return bytes(raw).hex()


def _cryptography() -> tuple[Any, Any, type[Exception]]:
    try:  # it comes with the extra only, and most archives do without
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ImportError as error:
        raise ConfigurationError("Certificates need the extra: pip install 'vna-core[encryption]'.") from error
    return ed25519, serialization, InvalidSignature


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            octets = file.read(_LONGEST + 1)
    except OSError as error:
        raise InvalidRequest(f"{path} cannot be read ({error.strerror}).") from error
    document = _object(octets) if len(octets) <= _LONGEST else None
    if document is None:
        raise InvalidRequest(f"{path} cannot be read as a certificate: it is no JSON object, or a name stands twice in it.")
    if document.get("format") != FORMAT:
        raise InvalidRequest(f"{path} is no certificate of a migration.")
    return document
