"""The certificate of a migration: signed totals over an exported ledger, checked offline by whoever has both.

Three files: ``certificate.json``, ``ledger.jsonl.zst`` (one row a line), and ``ledger.leaves`` (the 32-octet digests of the rows).
The signature covers the certificate, the certificate holds the root over the digests, and the digests say which row was altered.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import zip_longest
from pathlib import Path
from typing import IO, Any, Final

import zstandard

from vna_core import __version__
from vna_core.catalogue import Catalogue
from vna_core.catalogue.migration_inventories import COMPLETE
from vna_core.catalogue.migration_rows import LedgerInstance, LedgerStudy
from vna_core.domain.errors import ConfigurationError, InvalidRequest
from vna_core.domain.migration import REASONS
from vna_core.migration.merkle import MerkleTree, leaf
from vna_core.migration.report import summary_of

CERTIFICATE: Final = "certificate.json"
LEDGER: Final = "ledger.jsonl.zst"
LEAVES: Final = "ledger.leaves"
FORMAT: Final = "vna-migration-certificate-1"
_NAMED: Final = 1000
"""Exceptions that the certificate itself names; all are counted, and the ledger has every row."""

_LONGEST_ROW: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class CertificateCheck:
    """What a check found. `rows` names the altered, missing or added rows of the ledger by their number, counted from 1."""

    signature: bool
    root: bool
    totals: bool
    rows: tuple[int, ...]
    checked: int
    public_key: str

    @property
    def holds(self) -> bool:
        """Whether nothing was altered."""
        return self.signature and self.root and self.totals and not self.rows


def issue(catalogue: Catalogue, campaign: str, folder: Path, key_file: Path, rule_set: str) -> dict[str, Any]:
    """Export the ledger and write a signed certificate into `folder`; the certificate.

    Raises InvalidRequest (there is no complete inventory), ConfigurationError (no `cryptography`, or an unusable key).
    """
    inventory = catalogue.inventories.newest(campaign, COMPLETE)
    if inventory is None:
        raise InvalidRequest(f"{campaign} has no complete inventory: run `vna migrate plan` first.")
    private = _signing_key(key_file)
    folder.mkdir(parents=True, exist_ok=True)
    tree, states = _export(catalogue, campaign, folder)
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
        "ledger": {"rows": tree.size, "merkle_root": tree.root().hex()},
        "exceptions": _exceptions(catalogue, campaign),
        "public_key": _public_hex(private),
    }
    document["signature"] = private.sign(_signed(document)).hex()
    with _replacing(folder / CERTIFICATE) as file:
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
    tree, altered, states = MerkleTree(), [], Counter[str]()
    for number, (promised, row) in enumerate(zip_longest(_leaves(folder / LEAVES), _rows(folder / LEDGER)), 1):
        if promised is not None:
            tree.add(promised)
        if row is None or promised != leaf(row):
            altered.append(number)
        if row is not None:
            states[_state(row)] += 1
    ledger = document.get("ledger", {})
    root = isinstance(ledger, dict) and ledger.get("merkle_root") == tree.root().hex() and ledger.get("rows") == tree.size
    return CertificateCheck(signature, root, dict(states) == document.get("rows"), tuple(altered), tree.size, named)


def row_of(study: LedgerStudy, one: LedgerInstance, first: int, removed: int) -> bytes:
    """One row as it is exported: JSON with sorted keys, ASCII."""
    values = {name: value for name, value in asdict(one).items() if name != "pk"}
    values |= {"study_instance_uid": study.study_instance_uid, "study_state": study.state.value, "state": one.state.value}
    values |= {"first_inventory": first, "removed_inventory": removed}
    return json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def _export(catalogue: Catalogue, campaign: str, folder: Path) -> tuple[MerkleTree, Counter[str]]:
    tree, states = MerkleTree(), Counter[str]()
    packer = zstandard.ZstdCompressor(level=3)
    with (
        _replacing(folder / LEDGER) as file,
        _replacing(folder / LEAVES) as leaves,
        packer.stream_writer(file, closefd=False) as packed,
    ):
        for study, instances in catalogue.ledger_reader.by_uid(campaign):
            for one, first, removed in instances:
                row = row_of(study, one, first, removed)
                digest = leaf(row)
                packed.write(row + b"\n")
                leaves.write(digest)
                tree.add(digest)
                states[_state(row)] += 1
    return tree, states


def _state(row: bytes) -> str:
    try:
        read = json.loads(row)
    except ValueError:
        return "unreadable"
    return f"{read.get('state')} {read.get('outcome')}".strip() if isinstance(read, dict) else "unreadable"


def _exceptions(catalogue: Catalogue, campaign: str) -> dict[str, Any]:
    counts: dict[str, dict[str, Any]] = {}
    for (reason, state), number in sorted(catalogue.ledger_reader.exception_counts(campaign).items()):
        told = counts.setdefault(reason, {"cause": REASONS[reason].cause if reason in REASONS else ""})
        told[state] = number
    named = [
        {
            "reason": one.reason,
            "state": state,
            "study_instance_uid": one.study_instance_uid,
            "sop_instance_uid": one.sop_instance_uid,
            "detail": one.detail,
            "note": one.note,
            "closed_by": one.closed_by,
        }
        for state in ("open", "retried", "accepted")
        for one in catalogue.ledger_reader.exceptions(campaign, state=state, limit=_NAMED)
    ]
    return {"counts": counts, "named": named[:_NAMED]}


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
        document = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise InvalidRequest(f"{path} cannot be read as a certificate ({type(error).__name__}).") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise InvalidRequest(f"{path} is no certificate of a migration.")
    return document


def _leaves(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            while piece := file.read(32):
                yield piece
    except OSError as error:
        raise InvalidRequest(f"{path} cannot be read ({error.strerror}).") from error


def _rows(path: Path) -> Iterator[bytes]:
    """Rows of an exported ledger; a damaged end ends it, which shows as missing rows."""
    rest = b""
    try:
        with path.open("rb") as file, zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True) as packed:
            while piece := packed.read(1 << 20):
                lines = (rest + piece).split(b"\n")
                rest = lines.pop()
                yield from lines
                if len(rest) > _LONGEST_ROW:
                    break
    except zstandard.ZstdError:
        rest = rest or b"damaged"
    except OSError as error:
        raise InvalidRequest(f"{path} cannot be read ({error.strerror}).") from error
    if rest:
        yield rest


@contextmanager
def _replacing(path: Path) -> Iterator[IO[bytes]]:
    """A file that takes its name when it is whole."""
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
