"""What is deleted answers nowhere, can be taken back, is purged in every store, stays known; and nothing under hold goes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from tests.unit.stewardship.held_archive import NORTH, OFFERED, Place, instance, offer, originals, worker
from tests.unit.stewardship.two_stores import SCANNER, Keeper, Killed, cut, keeper
from vna_core.catalogue import Scope as Runs
from vna_core.domain.audit import AuditEvent, AuditEventId, NoAudit
from vna_core.domain.errors import (
    AuditUnavailable,
    InvalidRequest,
    NotFound,
    OutOfResources,
    StorageError,
    StoreUnavailable,
    UnderHold,
    VnaError,
)
from vna_core.domain.outcome import Outcome
from vna_core.domain.query import Level, Query
from vna_core.domain.stewardship import HIDDEN, PURGED, PURGING, UNDONE, Extent
from vna_core.stewardship.deletion import Deleting

AT_ONCE = timedelta(0)
WHAT = {
    "a study": (Extent.STUDY, "1.2.3.1"),
    "a series": (Extent.SERIES, "1.2.3.3"),
    "an instance of two versions": (Extent.INSTANCE, "1.2.3.2.2"),
    "the first, which the study has its description from": (Extent.INSTANCE, "1.2.3.2.1"),
    "the only study of a source's patient": (Extent.STUDY, "1.2.5.9"),
}


@pytest.fixture
def kept(new_catalogue: Callable[[str], Place]) -> Iterator[Keeper]:
    with keeper(new_catalogue("archive")) as made:
        yield made


def answers(kept: Keeper) -> set[str]:
    """Every SOP Instance UID that any way of asking gives."""
    catalogue = kept.archive.catalogue
    found = {one.attributes[0x00080018][0] for one in catalogue.search(Query(Level.IMAGE)).matches}
    assert found == {held.sop_instance_uid for held in catalogue.instances(all_versions=True)}
    studies = {one.attributes[0x0020000D][0] for one in catalogue.search(Query(Level.STUDY)).matches}
    listed = {header.sop_instance_uid for study in studies for header in catalogue.metadata(study=study)}
    assert listed == found
    return found


def without(kept: Keeper, place: Place, level: Extent, uid: str) -> dict[str, Any]:
    """The fingerprint of an archive to which what is deleted was never offered."""
    with keeper(place, filled=False) as other:
        for octets, source in OFFERED:
            held = next(one for one in _offered(kept) if one[0] == octets)[1]
            named = {Extent.STUDY: held.study_instance_uid, Extent.SERIES: held.series_instance_uid}
            if named.get(level, held.sop_instance_uid) != uid:
                offer(other.archive, octets, source)
        return other.archive.catalogue.fingerprint()


def _offered(kept: Keeper) -> list[tuple[bytes, Any]]:
    catalogue = kept.archive.catalogue
    return [(b"".join(kept.archive.retriever.original(held)), held) for held in catalogue.instances(all_versions=True)]


@pytest.mark.parametrize("name", WHAT)
def test_what_is_deleted_is_as_if_it_had_never_come_and_comes_back_as_it_was(
    name: str, kept: Keeper, new_catalogue: Callable[[str], Place]
) -> None:
    level, uid = WHAT[name]
    before, all_octets, statistics = (
        kept.archive.catalogue.fingerprint(),
        originals(kept.archive),
        kept.archive.catalogue.statistics(),
    )
    never = without(kept, new_catalogue("never"), level, uid)
    deletion = kept.deleting().delete(level, uid, "wrong patient", "Dr. Grün")
    after = kept.archive.catalogue.fingerprint()
    for table in ("patients", "studies", "series", "sources", "conflicts"):
        assert after[table] == never[table], table
    assert [row[:-2] for row in after["totals"]] == [row[:-2] for row in never["totals"]]
    assert answers(kept).isdisjoint({one.sop_instance_uid for one in kept.archive.catalogue.deletions.versions(deletion.id)})
    assert kept.rebuilt(new_catalogue("rebuilt")) == after
    with pytest.raises(NotFound):
        kept.deleting().delete(level, uid, "again", "me")

    assert kept.deleting().undelete(deletion.id, "me").state == UNDONE
    restored = kept.archive.catalogue.fingerprint()
    ledger = ("deletions", "deleted_versions")
    assert {name: rows for name, rows in restored.items() if name not in ledger} == {
        name: rows for name, rows in before.items() if name not in ledger
    }
    assert (originals(kept.archive), kept.archive.catalogue.statistics()) == (all_octets, statistics)
    assert kept.rebuilt(new_catalogue("rebuilt2")) == restored


def test_octets_that_were_deleted_are_told_as_such_when_they_come_again(kept: Keeper) -> None:
    assert kept.archive.catalogue.is_new("1.2.3.2.99")
    assert not kept.archive.catalogue.is_new("1.2.3.2.1")
    deletion = kept.deleting().delete(Extent.STUDY, "1.2.3.1", "wrong patient", "me")
    for _ in ("hidden", "purged"):
        assert not kept.archive.catalogue.is_new("1.2.3.2.1")
        again = offer(kept.archive, *OFFERED[0])
        assert again.outcome is Outcome.REFUSED and again.error is not None
        assert (again.error.code, again.error.fields["deletion"]) == ("deleted", deletion.id)
        assert (again.sop_instance_uid, answers(kept) & {"1.2.3.2.1"}) == ("1.2.3.2.1", set())
        kept.deleting().purge("me", AT_ONCE)
    assert kept.archive.catalogue.deletions.deletion(deletion.id).state == PURGED
    corrected = offer(kept.archive, instance(1, patient="0043"), NORTH)
    assert corrected.outcome is Outcome.HELD  # other octets under the same UID are another instance


def test_a_purge_waits_for_the_grace_and_removes_every_copy_and_nothing_else(
    kept: Keeper, new_catalogue: Callable[[str], Place]
) -> None:
    all_keys = {store: set(kept.objects(store)) for store in ("landing", "second")}
    deletion = kept.deleting().delete(Extent.SERIES, "1.2.3.3", "test images", "me")
    wanted = {where.key for where in kept.archive.catalogue.deletions.objects(deletion.id)}
    assert kept.deleting().purge("me", timedelta(days=1)).purged == []
    with pytest.raises(InvalidRequest, match="grace"):
        kept.deleting().purge("me", timedelta(days=1), only=deletion.id)
    report = kept.deleting().purge("the night", AT_ONCE)
    assert (report.purged, report.objects, report.left, report.held) == ([deletion.id], 4, [], {})
    assert {store: set(kept.objects(store)) for store in all_keys} == {store: keys - wanted for store, keys in all_keys.items()}
    tombstone = kept.archive.catalogue.deletions.deletion(deletion.id)
    assert (tombstone.state, tombstone.ended_by, tombstone.reason, tombstone.versions) == (PURGED, "the night", "test images", 2)
    [first, second] = kept.archive.catalogue.deletions.versions(deletion.id)
    assert {first.sop_instance_uid, second.sop_instance_uid} == {"1.2.3.3.1", "1.2.3.3.2"} and first.original_sha256
    with pytest.raises(InvalidRequest, match="purged"):
        kept.deleting().undelete(deletion.id, "me")
    assert kept.rebuilt(new_catalogue("rebuilt")) == kept.archive.catalogue.fingerprint()
    assert kept.deleting().purge("me", AT_ONCE).purged == []
    kept.scrub()
    assert kept.findings() == {}


def test_what_was_made_again_goes_and_comes_back_with_all_its_objects(
    kept: Keeper, new_catalogue: Callable[[str], Place]
) -> None:
    run = worker(kept.archive, {"id": "all", "institution": "Hospital"}).apply(Runs())
    before, keys = kept.archive.catalogue.fingerprint(), set(kept.objects())
    deletion = kept.deleting().delete(Extent.STUDY, "1.2.3.1", "x", "me")
    assert kept.rebuilt(new_catalogue("rebuilt"), "landing")["instances"] == kept.archive.catalogue.fingerprint()["instances"]
    kept.deleting().undelete(deletion.id, "me")
    assert kept.archive.catalogue.fingerprint()["instances"] == before["instances"]
    assert {
        one.run for held in kept.archive.catalogue.instances() for one in kept.archive.catalogue.generations.of_version(held.pk)
    } == {"", run.id}
    kept.deleting().delete(Extent.STUDY, "1.2.3.1", "x", "me")
    kept.deleting().purge("me", AT_ONCE)
    gone = keys - set(kept.objects())
    assert len(gone) == 2 * 6 and all("1.2.3.1" in key for key in gone)


HOLDS = {
    "patient": (Extent.PATIENT, "0042", ""),
    "study": (Extent.STUDY, "1.2.3.1", ""),
    "series": (Extent.SERIES, "1.2.3.3", ""),
}


@pytest.mark.parametrize("name", HOLDS)
def test_nothing_under_hold_is_deleted_and_a_hold_set_later_stops_the_purge(
    name: str, kept: Keeper, new_catalogue: Callable[[str], Place]
) -> None:
    level, identifier, issuer = HOLDS[name]
    deleting, before = kept.deleting(), kept.archive.catalogue.fingerprint()
    hold = deleting.set_hold(level, identifier, "court case 7", "lawyer", issuer)
    for route in ((Extent.STUDY, "1.2.3.1"), (Extent.SERIES, "1.2.3.3"), (Extent.INSTANCE, "1.2.3.3.1")):
        with pytest.raises(UnderHold) as raised:
            deleting.delete(*route, "x", "me")
        assert raised.value.fields == {"hold": hold.id}
    after = kept.archive.catalogue.fingerprint()
    assert after | {"holds": []} == before
    assert kept.rebuilt(new_catalogue("rebuilt")) == after
    other = deleting.delete(Extent.STUDY, "1.2.5.9", "x", "me")  # of somebody without an ID
    assert other.versions == 1

    deleting.release_hold(hold.id, "judge")
    deletion = deleting.delete(Extent.SERIES, "1.2.3.3", "x", "me")
    again = deleting.set_hold(level, identifier, "appeal", "lawyer", issuer)
    report = deleting.purge("me", AT_ONCE)
    assert (report.held, report.purged) == ({deletion.id: again.id}, [other.id])
    assert kept.archive.catalogue.deletions.deletion(deletion.id).state == HIDDEN
    assert kept.rebuilt(new_catalogue("rebuilt2")) == kept.archive.catalogue.fingerprint()
    assert deleting.undelete(deletion.id, "me").state == UNDONE
    deleting.release_hold(again.id, "judge")
    assert kept.archive.catalogue.holds.listed() == [] and len(kept.archive.catalogue.holds.listed(everything=True)) == 2


def test_a_hold_on_a_patient_is_on_that_issuers_patient_alone(kept: Keeper) -> None:
    kept.deleting().set_hold(Extent.PATIENT, "0042", "x", "me", issuer="ANOTHER")
    assert kept.deleting().delete(Extent.STUDY, "1.2.3.1", "x", "me").versions == 6


@pytest.mark.parametrize(
    "call",
    [
        lambda deleting: deleting.delete(Extent.STUDY, "1.2.3.1", " ", "me"),
        lambda deleting: deleting.delete(Extent.STUDY, "", "why", "me"),
        lambda deleting: deleting.delete(Extent.PATIENT, "0042", "why", "me"),
        lambda deleting: deleting.set_hold(Extent.STUDY, "1.2.3.1", "", "me"),
        lambda deleting: deleting.set_hold(Extent.PATIENT, "", "why", "me"),
        lambda deleting: deleting.set_hold(Extent.INSTANCE, "1.2", "why", "me"),
    ],
)
def test_a_deletion_or_hold_without_what_or_why_is_refused(call: Callable[[Deleting], object], kept: Keeper) -> None:
    before = kept.archive.catalogue.fingerprint()
    with pytest.raises(InvalidRequest):
        call(kept.deleting())
    assert kept.archive.catalogue.fingerprint() == before


@pytest.mark.parametrize("step", ["hidden", "held", "undoing", "taken-up", "purging", "noted", "removed"])
def test_what_was_killed_goes_on(step: str, kept: Keeper, new_catalogue: Callable[[str], Place]) -> None:
    def die(name: str) -> None:
        if name == step:
            raise Killed

    catalogue = kept.archive.catalogue
    before = catalogue.fingerprint()
    with pytest.raises(Killed):
        dying = kept.deleting(after_step=die)
        if step == "held":
            dying.set_hold(Extent.STUDY, "1.2.5.9", "x", "me")
        deletion = (dying if step == "hidden" else kept.deleting()).delete(Extent.STUDY, "1.2.3.1", "x", "me")
        if step in ("undoing", "taken-up"):
            dying.undelete(deletion.id, "me")
        dying.purge("me", AT_ONCE)
    if step in ("undoing", "taken-up"):
        [deletion] = catalogue.deletions.listed()
        assert kept.deleting().undelete(deletion.id, "me").state == UNDONE
        assert catalogue.fingerprint()["instances"] == before["instances"]
    else:
        kept.deleting().purge("me", AT_ONCE)
        assert [one.state for one in catalogue.deletions.listed()] == ([] if step == "held" else [PURGED])
        assert all("1.2.3.1" not in key for key in kept.objects()) or step == "held"
    assert catalogue.holds.unnoted() == [] == catalogue.deletions.unnoted()
    assert kept.rebuilt(new_catalogue("rebuilt")) == catalogue.fingerprint()


def test_a_rebuild_in_the_middle_of_a_purge_leaves_it_to_be_finished(kept: Keeper, new_catalogue: Callable[[str], Place]) -> None:
    left = iter(range(3))

    def die(name: str) -> None:
        if name == "removed" and next(left, None) is None:
            raise Killed

    kept.deleting().delete(Extent.STUDY, "1.2.3.1", "x", "me")
    with pytest.raises(Killed):
        kept.deleting(after_step=die).purge("me", AT_ONCE)
    rebuilt, held = kept.rebuilt(new_catalogue("rebuilt")), kept.archive.catalogue.fingerprint()
    assert [row[6] for row in rebuilt["deletions"]] == [PURGING]
    assert 0 < len(rebuilt["deleted_objects"]) == len(held["deleted_objects"]) - 1  # the last one went and was not noted
    assert {name: rows for name, rows in rebuilt.items() if name != "deleted_objects"} == {
        name: rows for name, rows in held.items() if name != "deleted_objects"
    }


def test_a_locked_object_stays_and_is_told_and_tried_again(kept: Keeper) -> None:
    deletion = kept.deleting().delete(Extent.SERIES, "1.2.3.3", "x", "me")

    def refuse(_: object, key: str) -> None:
        raise StorageError("The object is locked or may not be deleted.", store="second", key=key)

    with pytest.MonkeyPatch.context() as locked:
        locked.setattr(type(kept.second), "delete", refuse)
        report = kept.deleting().purge("me", AT_ONCE)
    assert report.purged == [] and {one.store for one in report.left} == {"landing", "second"}
    assert all("locked" in one.why for one in report.left)
    assert [key for key in kept.objects("second") if "1.2.3.3/" in key]
    assert kept.archive.catalogue.deletions.deletion(deletion.id).state == PURGING
    with pytest.raises(InvalidRequest, match="is being purged, which is not taken back"):
        kept.deleting().undelete(deletion.id, "me")
    assert offer(kept.archive, *OFFERED[3]).outcome is Outcome.REFUSED
    assert kept.deleting().purge("me", AT_ONCE).purged == [deletion.id]
    assert not [key for store in ("landing", "second") for key in kept.objects(store) if "1.2.3.3/" in key]


def test_a_note_that_is_damaged_in_one_store_is_read_from_the_other(kept: Keeper, new_catalogue: Callable[[str], Place]) -> None:
    kept.deleting().delete(Extent.STUDY, "1.2.3.1", "x", "me")
    kept.deleting().set_hold(Extent.STUDY, "1.2.5.9", "x", "me")
    for prefix in ("deletions/", "holds/"):
        [note] = [one.key for one in kept.archive.landing.list(prefix)]
        cut(kept.path("landing", note))
    assert kept.rebuilt(new_catalogue("rebuilt")) == kept.archive.catalogue.fingerprint()
    assert kept.scrub().complete
    assert set(kept.findings().values()) == {"bit-rot"} and len(kept.findings()) == 2


def test_notes_that_a_store_lacks_are_spread_by_a_repair(kept: Keeper) -> None:
    kept.deleting().set_hold(Extent.STUDY, "1.2.5.9", "x", "me")
    [note] = [one.key for one in kept.second.list("holds/")]
    kept.second.delete(note)
    kept.repair()
    assert json.loads(kept.second.read(note))["reason"] == "x"


@pytest.mark.parametrize("stores", [("landing",), ("second",), ("landing", "second")])
def test_a_rebuild_from_any_complete_set_of_stores_gives_an_equal_catalogue(
    stores: tuple[str, ...], kept: Keeper, new_catalogue: Callable[[str], Place]
) -> None:
    offer(kept.archive, b"neither is this" * 10, SCANNER)
    deleting = kept.deleting()
    deleting.delete(Extent.STUDY, "1.2.4.2", "x", "me")
    deleting.undelete(deleting.delete(Extent.SERIES, "1.2.3.3", "x", "me").id, "me")
    deleting.release_hold(deleting.set_hold(Extent.PATIENT, "0042", "x", "me").id, "me")
    deleting.set_hold(Extent.STUDY, "1.2.3.1", "y", "me")
    held = kept.archive.catalogue.fingerprint()
    rebuilt = kept.rebuilt(new_catalogue("rebuilt"), *stores)
    different = {name for name in held if held[name] != rebuilt[name]}
    if stores == ("landing", "second"):
        assert different == set()
    else:  # copies in the other store are not known, and quarantine is kept in landing alone
        assert different <= {"locations", "quarantine"}
        assert [row for row in held["locations"] if row[2] in stores] == rebuilt["locations"]


class Noting(NoAudit):
    """Takes events until it fails."""

    def __init__(self) -> None:
        self.failing = False
        self.events: list[AuditEvent] = []

    def note_durably(self, event: AuditEvent) -> None:
        if self.failing:
            raise AuditUnavailable("The trail cannot be written.")
        self.events.append(event)


@pytest.mark.parametrize("error", [OutOfResources("Store 'second' is full."), StoreUnavailable("It does not answer.")])
def test_a_further_store_that_takes_no_notes_keeps_nothing_from_being_done(
    error: VnaError, kept: Keeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise error

    before = kept.archive.catalogue.fingerprint()["instances"]
    with monkeypatch.context() as broken:
        broken.setattr(kept.second, "create", refuse)
        deleting = kept.deleting()
        hold = deleting.set_hold(Extent.SERIES, "1.2.3.3", "in court", "clerk")
        deletion = deleting.delete(Extent.SERIES, "1.2.3.2", "wrong patient", "me")
        deleting.undelete(deletion.id, "me")
        assert kept.archive.catalogue.fingerprint()["instances"] == before
        assert deleting.release_hold(hold.id, "clerk").released_by == "clerk"
        assert [one.key for one in kept.second.list("holds/")] == []
    kept.repair()
    assert len([one.key for one in kept.second.list("holds/")]) == 2


def test_what_cannot_be_written_down_is_not_done(kept: Keeper) -> None:
    trail = Noting()
    deleting = Deleting(kept.archive.stores, kept.archive.landing, kept.archive.catalogue, auditor=trail)
    deletion = deleting.delete(Extent.STUDY, "1.2.3.1", "wrong patient", "Dr. Grün")
    hold = deleting.set_hold(Extent.SERIES, "1.2.3.3", "in court", "clerk")
    before = kept.archive.catalogue.fingerprint()
    trail.failing = True
    for deed in (
        lambda: deleting.delete(Extent.INSTANCE, "1.2.3.2.2", "again", "me"),
        lambda: deleting.undelete(deletion.id, "me"),
        lambda: deleting.purge("me", AT_ONCE),
        lambda: deleting.release_hold(hold.id, "me"),
        lambda: deleting.set_hold(Extent.STUDY, "1.2.3.9", "why not", "me"),
    ):
        with pytest.raises(AuditUnavailable):
            deed()
    assert kept.archive.catalogue.fingerprint() == before
    assert [(event.principal.name, event.event) for event in trail.events] == [
        ("Dr. Grün", AuditEventId.DELETED),
        ("clerk", AuditEventId.DELETED),
    ]
    assert "wrong patient" in trail.events[0].description
