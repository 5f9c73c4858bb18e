"""What is brought for a C-MOVE or C-GET is handed on as it arrives, noted with its instances, and leaves out what is rejected here."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.unit.federation.federated_members import Federation, federation, study, uid
from tests.unit.ingest.ct_samples import ct
from vna_core.access.gate import Permit
from vna_core.access.notes import AccessNotes
from vna_core.access.view import CatalogueView
from vna_core.domain.access import EVERYTHING, Action, Principal, PrincipalKind, Scope
from vna_core.domain.audit import AuditEvent, AuditEventId, NoAudit
from vna_core.domain.corrections import AwaitedRejection, Rejection
from vna_core.domain.errors import InvalidRequest
from vna_core.domain.octets import Octets, ReceivedInstance, Source
from vna_core.domain.stewardship import Deletion, Extent
from vna_core.federation.bringing import Bringing
from vna_core.federation.members import LOCAL
from vna_core.gateways.dimse.federated import Bringings
from vna_core.testing.faulty_pacs import PacsFaults

CITY = {"IssuerOfPatientID": "CITY", "PatientID": "4711"}
WHO = Principal(PrincipalKind.AE_TITLE, "VIEWER", "127.0.0.1")


class Recording(NoAudit):
    """Keeps events."""

    def __init__(self) -> None:
        self.events: list[AuditEvent] = []

    def note_access(self, event: AuditEvent) -> None:
        self.events.append(event)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Federation]:
    with federation(tmp_path, ("alpha", "beta"), stall=0.2) as opened:
        yield opened


class Asking:
    """Somebody who retrieves from the federation."""

    def __init__(self, house: Federation) -> None:
        here = house.archives[LOCAL]
        self.audit = Recording()
        notes = AccessNotes(self.audit, WHO, Action.RETRIEVE)
        self.permit = Permit(WHO, Action.RETRIEVE, CatalogueView(here.catalogue, EVERYTHING, notes))
        self.bringing = Bringing(house.members, house.settings, here.catalogue, here.pipeline, None)

    def __call__(self, number: int, patient: str = "", destination: str = "STORE") -> Bringings:
        retrieval = self.bringing.begin(self.permit, uid(number))
        return Bringings(self.bringing, [retrieval], self.bringing.view(EVERYTHING), patient, destination)


def nothing() -> None:
    """Nobody waits."""


def test_an_instance_is_handed_on_before_the_next_one_has_come(house: Federation, monkeypatch: pytest.MonkeyPatch) -> None:
    house.put("alpha", *study(1, range(4), **CITY))
    handed_on, waited = threading.Event(), threading.Event()
    real = house.pacs["alpha"].fetch

    def fetch(study_uid: str, deliver: Callable[[ReceivedInstance], None], *arguments: object, **named: object) -> object:
        seen = 0

        def slowly(received: ReceivedInstance) -> None:
            nonlocal seen
            if seen and handed_on.wait(60):
                waited.set()
            seen += 1
            deliver(received)

        return real(study_uid, slowly, *arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(house.pacs["alpha"], "fetch", fetch)
    asking = Asking(house)
    arriving = asking(1)
    assert arriving.total == 4
    instances = arriving.instances(nothing)
    first = next(instances)
    handed_on.set()
    rest = list(instances)
    assert waited.is_set() and len({first.sop_instance_uid, *(one.sop_instance_uid for one in rest)}) == 4
    assert arriving.missing() == ([], "")
    (event,) = asking.audit.events
    assert (event.event, event.destination) == (AuditEventId.TRANSFERRED, "STORE")
    assert (event.studies[0].patient_id, event.studies[0].instances) == ("4711", ((first.sop_class_uid, 4),))


def test_what_never_came_is_named_at_the_end_and_whoever_leaves_gets_no_more(house: Federation) -> None:
    house.put("alpha", *study(1, range(5), **CITY))
    house.pacs["alpha"].faults = PacsFaults(breaks_after=2)
    arriving = Asking(house)(1)
    got = list(arriving.instances(nothing))
    missing, why = arriving.missing()
    assert (len(got), len(missing)) == (2, 3) and "alpha" in why
    house.pacs["alpha"].faults = PacsFaults(hangs=True)
    arriving = Asking(house)(1)
    got = list(arriving.instances(arriving.leave))
    assert len(got) == 2, "what is here already; nobody waits for the rest"


def test_another_patients_instances_are_left_out_and_counted(house: Federation) -> None:
    house.put("alpha", *study(1, range(2), **CITY))
    assert len(list(Asking(house)(1, "4711").instances(nothing))) == 2
    arriving = Asking(house)(1, "0815")
    assert list(arriving.instances(nothing)) == [] and len(arriving.missing()[0]) == 2


def test_what_is_rejected_here_is_not_fetched_from_a_member_that_has_not_heard_of_it(house: Federation) -> None:
    files = study(1, range(3), **CITY)
    house.put("alpha", *files)
    house.put(LOCAL, files[0])
    catalogue = house.archives[LOCAL].catalogue
    sops = sorted(one.sop_instance_uid for one in house.archives["alpha"].catalogue.instances(study=uid(1)))
    now = datetime(2026, 3, 1, tzinfo=UTC)
    here = catalogue.instances(study=uid(1))[0].sop_instance_uid
    catalogue.deletions.hide(Deletion("d", Extent.STUDY, uid(1), "wrong", "carol", now, rejection="113038", note="2.25.1"))
    other = next(one for one in sops if one != here)
    catalogue.rejections.await_([AwaitedRejection("2.25.1", uid(1), other, Rejection.WORKLIST.value, ("local", "c", ""))])
    arriving = Asking(house)(1)
    assert arriving.total == 1
    (got,) = arriving.instances(nothing)
    assert got.sop_instance_uid not in (here, other)


@pytest.mark.parametrize(
    ("departments", "total"),
    [(None, 2), (["alpha"], 2), (["beta"], 3), ([], 3)],
    ids=["everywhere", "there", "elsewhere", "nowhere"],
)
def test_a_rejection_of_what_is_not_held_here_holds_back_what_its_sender_may_correct(
    departments: list[str] | None, total: int, house: Federation
) -> None:
    """Each member is a department of its own."""
    house.put("alpha", *study(1, range(3), **CITY))
    here = house.archives[LOCAL]
    sops = sorted(one.sop_instance_uid for one in house.archives["alpha"].catalogue.instances(study=uid(1)))
    awaited = AwaitedRejection("2.25.1", uid(1), sops[0], Rejection.QUALITY.value, ("ae-title", "CT1", "127.0.0.1"))
    here.catalogue.rejections.await_([awaited])
    scope = EVERYTHING if departments is None else Scope(frozenset(departments))
    asking = Asking(house)
    asking.bringing = Bringing(
        house.members, house.settings, here.catalogue, here.pipeline, None, may_correct=lambda principal: scope
    )
    arriving = asking(1)
    assert arriving.total == total
    assert {one.sop_instance_uid for one in arriving.instances(nothing)} == set(sops[3 - total :])


def test_asking_for_what_nobody_has_is_noted(house: Federation) -> None:
    asking = Asking(house)
    assert list(asking(9).instances(nothing)) == []
    (event,) = asking.audit.events
    assert event.outcome.name == "MINOR_FAILURE" and event.studies[0].study_instance_uid == uid(9)


def test_what_was_given_out_is_noted_also_when_whoever_asked_leaves_early(house: Federation) -> None:
    house.put("alpha", *study(1, range(4), **CITY))
    asking = Asking(house)
    instances = asking.bringing.instances(asking.bringing.begin(asking.permit, uid(1)), "STORE")
    first = next(instances)
    instances.close()  # type: ignore[attr-defined]
    (event,) = asking.audit.events
    assert event.studies[0].instances == ((first.sop_class_uid, 1),)


@pytest.mark.parametrize("odd", ["", " ", "\0", f"{uid(1)}\0", f"{uid(1)[:-1]}*", f"{uid(1)}\\{uid(2)}", "1?2", "A", "1" * 65])
def test_what_is_no_uid_is_asked_of_nobody(house: Federation, odd: str) -> None:
    house.put("alpha", *study(1, range(2), **CITY), *study(2, range(2), **CITY))
    asking = Asking(house)
    with pytest.raises(InvalidRequest):
        asking.bringing.begin(asking.permit, odd)
    assert house.pacs["alpha"].calls == []


def test_what_a_member_delivers_unasked_is_neither_taken_in_nor_kept(house: Federation, monkeypatch: pytest.MonkeyPatch) -> None:
    house.put("alpha", *study(1, range(2), **CITY))
    strangers = [*study(2, range(2), **CITY), study(1, range(7, 8), **CITY)[0], b"no DICOM at all", ct(5)[:-40]]
    real = house.pacs["alpha"].fetch

    def fetch(study_uid: str, deliver: Callable[[ReceivedInstance], None], *arguments: object, **named: object) -> object:
        for octets in strangers:
            deliver(ReceivedInstance(Octets(len(octets), "", memory=octets), Source("migration", "alpha"), datetime.now(UTC)))
        return real(study_uid, deliver, *arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(house.pacs["alpha"], "fetch", fetch)
    asking = Asking(house)
    retrieval = asking.bringing.begin(asking.permit, uid(1))
    assert len(list(asking.bringing.instances(retrieval))) == 2 and retrieval.outcome.is_complete
    catalogue = house.archives[LOCAL].catalogue
    assert (catalogue.statistics().studies, catalogue.statistics().instances) == (1, 2)
    assert catalogue.quarantined() == []
    assert "not asked for" in retrieval.outcome.reasons["alpha"] or "taken over" in retrieval.outcome.reasons["alpha"]
