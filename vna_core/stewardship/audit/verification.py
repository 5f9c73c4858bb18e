"""Reads the log again and finds what was altered, removed or reordered."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vna_core.archival_storage.keys import AUDIT, digest_of_content
from vna_core.domain.errors import DigestMismatch, ObjectMissing
from vna_core.ports.storage import Store
from vna_core.stewardship.audit.chain import NAME, first_digest, link, segments


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong: ``altered``, ``removed``, ``reordered``, ``truncated`` or ``unreadable``; the line's number, and where."""

    kind: str
    number: int
    where: str


@dataclass(slots=True)
class AuditVerification:
    """What reading the whole log showed. `records` counts lines, `anchors` notes in stores that were compared."""

    records: int = 0
    anchors: int = 0
    head: str = ""
    findings: list[Finding] = field(default_factory=list)


def read(folder: Path) -> Iterator[dict[str, Any]]:
    """Every record of the log in order, unverified; lines that are no records are passed over."""
    for path in segments(folder):
        with path.open("rb") as lines:
            for line in lines:
                body = _body(line)
                if body is not None:
                    yield body


def verify(folder: Path, stores: tuple[Store, ...] = ()) -> AuditVerification:
    """Read every line and compare: with the line before, with the anchors, and with the copies of full files in the stores.

    A chain can be forged by whoever may write to its folder and recompute it; it then contradicts the anchors and copies, which
    lie in the stores.
    """
    report = AuditVerification()
    name = _name(folder)
    digests: dict[int, str] = {}
    before, expected = first_digest(name), 1
    for path in segments(folder):
        with path.open("rb") as lines:
            for line in lines:
                before, expected = _line(line, path.name, before, expected, digests, report)
    report.head = before
    for store in stores:
        _compare_with(store, name, folder, digests, report)
    return report


def _line(
    line: bytes, where: str, before: str, expected: int, digests: dict[int, str], report: AuditVerification
) -> tuple[str, int]:
    """Check one line; the digest and number that the next one must continue."""
    body = _body(line)
    if body is None or not isinstance(body.get("n"), int):
        report.findings.append(Finding("unreadable", expected, where))
        return before, expected + 1
    report.records += 1
    number, digest = body["n"], line[:64].decode("ascii", "replace")
    if number > expected:
        report.findings.append(Finding("removed", expected, where))
    elif number < expected:
        report.findings.append(Finding("reordered", number, where))
    elif link(before, line[65:].rstrip(b"\n")) != digest:
        report.findings.append(Finding("altered", number, where))
    digests[number] = digest
    return digest, number + 1


def _compare_with(store: Store, name: str, folder: Path, digests: dict[int, str], report: AuditVerification) -> None:
    last = max(digests, default=0)
    for stored in store.list(f"{AUDIT}{name}/"):
        where = f"{store.name}:{stored.key}"
        try:
            content = store.read(stored.key)
            if stored.key.endswith(".json"):
                said = json.loads(content)
                report.anchors += 1
                if said["n"] > last:
                    report.findings.append(Finding("truncated", last + 1, where))
                elif digests.get(said["n"]) != said["digest"]:
                    report.findings.append(Finding("altered", said["n"], where))
            else:
                local = folder / (stored.key.rsplit("/", 1)[1].split(".")[0] + ".log")
                same = local.exists() and hashlib.sha256(local.read_bytes()).hexdigest() == digest_of_content(stored.key)
                if not same:
                    report.findings.append(Finding("altered" if local.exists() else "removed", 0, where))
        except (DigestMismatch, ObjectMissing, ValueError, KeyError, TypeError):
            report.findings.append(Finding("unreadable", 0, where))


def _body(line: bytes) -> dict[str, Any] | None:
    try:
        body = json.loads(line[65:])
    except ValueError:
        return None
    return body if line[64:65] == b" " and line.endswith(b"\n") and isinstance(body, dict) else None


def _name(folder: Path) -> str:
    path = folder / NAME
    return path.read_text("ascii").strip() if path.exists() else ""
