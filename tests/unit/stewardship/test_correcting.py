"""Corrections that another archive sends: within its departments, also of patients who are not held here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.ingest.small_archive import SmallArchive, small_archive
from vna_core.configuration.corrections import CorrectionsSettings
from vna_core.configuration.federation import MemberSettings, departments_by_issuer
from vna_core.domain.access import EVERYTHING, Principal, PrincipalKind, Scope
from vna_core.domain.audit import AuditEvent, NoAudit
from vna_core.domain.errors import NotAuthorized
from vna_core.stewardship.correcting import Correcting, parse
from vna_core.stewardship.deletion import Deleting

WHO = Principal(PrincipalKind.TOKEN, "radiology-archive")
MEMBERS = {
    "heart": MemberSettings(url="test://", issuer="HEART", department="cardiology"),
    "xray": MemberSettings(url="test://", issuer="XRAY", department="radiology"),
    "shared": MemberSettings(url="test://", issuer="HOSPITAL", department="radiology"),
    "other": MemberSettings(url="test://", issuer="HOSPITAL", department="cardiology"),
}


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[SmallArchive]:
    with small_archive(tmp_path) as opened:
        yield opened


class Recording(NoAudit):
    """Keeps events."""

    def __init__(self) -> None:
        self.events: list[AuditEvent] = []

    def note(self, event: AuditEvent) -> None:
        self.events.append(event)


def correcting(archive: SmallArchive, audit: NoAudit | None = None) -> Correcting:
    def deleting(who: Principal) -> Deleting:
        return Deleting({"landing": archive.store}, archive.store, archive.catalogue, auditor=NoAudit(), kind=who.kind)

    return Correcting(archive.catalogue, audit or NoAudit(), CorrectionsSettings(), deleting, departments_by_issuer(MEMBERS))


@pytest.mark.parametrize("kind", ["merge", "move"])
@pytest.mark.parametrize(
    ("issuer", "departments", "may"),
    [
        ("HEART", ["radiology"], False),
        ("HEART", ["cardiology"], True),
        ("HEART", None, True),
        ("XRAY", ["radiology"], True),
        ("HOSPITAL", ["radiology"], False),
        ("HOSPITAL", ["radiology", "cardiology"], True),
        ("ELSEWHERE", ["radiology"], True),
    ],
)
def test_a_patient_of_another_departments_archive_is_corrected_by_nobody_else(
    kind: str, issuer: str, departments: list[str] | None, may: bool, archive: SmallArchive
) -> None:
    told = parse({"id": "2.25.1", "kind": kind, "study": "1.2.3", "first": [issuer, "1"], "second": ["XRAY", "2"], "reason": "r"})
    scope = EVERYTHING if departments is None else Scope(frozenset(departments))
    if may:
        assert correcting(archive).apply(told, WHO, scope) == "applied"
    else:
        audit = Recording()
        with pytest.raises(NotAuthorized):
            correcting(archive, audit).apply(told, WHO, scope)
        (event,) = audit.events
        assert (event.principal, event.outcome.name) == (WHO, "SERIOUS_FAILURE") and kind in event.description
    assert bool(archive.catalogue.identity.listed(all_=True)) is may
    assert (archive.catalogue.corrections.find("2.25.1") is not None) is may
