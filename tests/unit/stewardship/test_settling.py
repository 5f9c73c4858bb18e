"""The version that is right stands, in all that answers; the others are set aside, kept, and come back as they were."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

from tests.unit.packs.archives import compact_all, seal_all
from tests.unit.packs.archives import keeper as packing
from tests.unit.stewardship.held_archive import NORTH, OFFERED, SOUTH, Place, instance, offer, originals
from tests.unit.stewardship.two_stores import Keeper, Killed, keeper
from vna_core.domain.audit import AuditEvent, NoAudit
from vna_core.domain.corrections import Rejection
from vna_core.domain.errors import AuditUnavailable, InvalidRequest, NotFound
from vna_core.domain.identifiers import PatientKey
from vna_core.domain.instance import HeldInstance
from vna_core.domain.octets import Source
from vna_core.domain.outcome import Outcome
from vna_core.domain.query import Level, Query
from vna_core.domain.stewardship import HIDDEN, UNDONE, Deletion, Extent
from vna_core.stewardship.settling import all_but, others

SOP = "1.2.3.2.1"
STUDY = "1.2.3.1"
FIRST = instance(1)
CORRECTED = FIRST.replace(b"DOE^JANE", b"DOE^JOAN").replace(b"ABDOMEN", b"THORAX ")
THIRD = instance(1, pixels=bytes(32))
AT_ONCE = timedelta(0)


@pytest.fixture
def kept(new_catalogue: Callable[[str], Place]) -> Iterator[Keeper]:
    with keeper(new_catalogue("archive")) as made:
        yield made


def versions(kept: Keeper, sop: str = SOP) -> list[tuple[bytes, int, bool]]:
    held = kept.archive.catalogue.versions(sop)
    return [(b"".join(kept.archive.retriever.original(one)), one.version, one.current) for one in held]


def of_octets(kept: Keeper, octets: bytes) -> HeldInstance:
    held = kept.archive.catalogue.versions(SOP)
    return next(one for one in held if b"".join(kept.archive.retriever.original(one)) == octets)


def keep(kept: Keeper, octets: bytes) -> Deletion:
    away = others(kept.archive.catalogue.versions(SOP), [of_octets(kept, octets)])
    return kept.deleting().delete(Extent.VERSION, SOP, "corrected", "J. Doe", versions=[one.pk for one in away])


def described(kept: Keeper) -> tuple[str, str]:
    """Name of the patient and description of the study, as a query answers them."""
    [study] = [one for one in kept.archive.catalogue.search(Query(Level.STUDY)).matches if one.attributes[0x0020000D] == (STUDY,)]
    return study.attributes[0x00100010][0], study.attributes[0x00081030][0]


def test_what_is_kept_answers_as_if_the_other_had_never_come_and_all_is_taken_back(
    kept: Keeper, new_catalogue: Callable[[str], Place]
) -> None:
    with keeper(new_catalogue("never"), filled=False) as other:
        for octets, source in (*(one for one in OFFERED if one[0] != FIRST), (CORRECTED, NORTH)):
            offer(other.archive, octets, source)
        never = other.archive.catalogue.fingerprint()
    offer(kept.archive, CORRECTED, NORTH)
    catalogue, before = kept.archive.catalogue, kept.archive.catalogue.fingerprint()
    octets, counts = originals(kept.archive), kept.archive.catalogue.statistics()
    assert versions(kept) == [(FIRST, 1, True), (CORRECTED, 2, False)]
    assert counts.conflicts == 2

    done = keep(kept, CORRECTED)
    assert (done.level, done.uid, done.state, done.versions, done.deleted_by) == (Extent.VERSION, SOP, HIDDEN, 1, "J. Doe")
    assert versions(kept) == [(CORRECTED, 1, True)]
    assert catalogue.statistics().conflicts == 1
    after = catalogue.fingerprint()
    for table in ("patients", "studies", "series", "sources", "conflicts"):
        assert after[table] == never[table], table
    assert [row[:-2] for row in after["totals"]] == [row[:-2] for row in never["totals"]]
    assert kept.rebuilt(new_catalogue("rebuilt")) == after

    assert kept.deleting().undelete(done.id, "me").state == UNDONE
    restored, ledger = catalogue.fingerprint(), ("deletions", "deleted_versions")
    assert {name: rows for name, rows in restored.items() if name not in ledger} == {
        name: rows for name, rows in before.items() if name not in ledger
    }
    assert (originals(kept.archive), catalogue.statistics()) == (octets, counts)
    assert kept.rebuilt(new_catalogue("again")) == restored


def test_patient_and_study_are_described_by_what_stands(kept: Keeper, new_catalogue: Callable[[str], Place]) -> None:
    catalogue = kept.archive.catalogue
    for held in catalogue.instances(patient=PatientKey("", "0042")):
        octets = b"".join(kept.archive.retriever.original(held))
        offer(kept.archive, octets.replace(b"DOE^JANE", b"DOE^JOAN").replace(b"ABDOMEN", b"THORAX "), NORTH)
    assert described(kept) == ("DOE^JANE", "ABDOMEN")
    done = []
    for study in (STUDY, "1.2.4.2"):
        away = all_but(catalogue.instances(study=study, all_versions=True), latest=True)
        done.append(kept.deleting().delete(Extent.VERSION, study, "renamed", "me", versions=[one.pk for one in away]))
    assert described(kept) == ("DOE^JOAN", "THORAX")
    assert kept.rebuilt(new_catalogue("rebuilt")) == catalogue.fingerprint()
    for one in done:
        kept.deleting().undelete(one.id, "me")
    assert described(kept) == ("DOE^JANE", "ABDOMEN")


@pytest.mark.parametrize("right", [FIRST, CORRECTED, THIRD], ids=["first", "second", "third"])
def test_of_three_versions_any_may_stand_and_none_is_in_conflict_any_more(
    right: bytes, kept: Keeper, new_catalogue: Callable[[str], Place]
) -> None:
    offer(kept.archive, CORRECTED, NORTH)
    offer(kept.archive, THIRD, SOUTH)
    assert len(versions(kept)) == 3
    assert keep(kept, right).versions == 2
    assert versions(kept) == [(right, 1, True)]
    assert SOP not in {one.sop_instance_uid for one in kept.archive.catalogue.conflicts()}
    assert kept.rebuilt(new_catalogue("rebuilt")) == kept.archive.catalogue.fingerprint()


def test_the_same_uid_in_another_study_is_another_instance_and_stays(kept: Keeper, new_catalogue: Callable[[str], Place]) -> None:
    elsewhere = FIRST.replace(b"1.2.3.1\0", b"1.2.3.9\0")
    assert offer(kept.archive, elsewhere, SOUTH).outcome is Outcome.CONFLICT
    offer(kept.archive, CORRECTED, NORTH)
    keep(kept, CORRECTED)
    assert {one[0] for one in versions(kept)} == {elsewhere, CORRECTED}
    assert [one.classification for one in kept.archive.catalogue.conflicts() if one.sop_instance_uid == SOP] == ["other-parent"]
    assert kept.rebuilt(new_catalogue("rebuilt")) == kept.archive.catalogue.fingerprint()


@pytest.mark.parametrize("latest", [True, False])
def test_a_whole_study_is_settled_by_what_came_last_or_first(
    latest: bool, kept: Keeper, new_catalogue: Callable[[str], Place]
) -> None:
    offer(kept.archive, CORRECTED, NORTH)
    catalogue = kept.archive.catalogue
    away = all_but(catalogue.instances(study=STUDY, all_versions=True), latest=latest)
    done = kept.deleting().delete(Extent.VERSION, STUDY, "corrected", "me", versions=[one.pk for one in away])
    assert done.versions == 2
    assert versions(kept) == [(CORRECTED if latest else FIRST, 1, True)]
    assert versions(kept, "1.2.3.2.2") == [(instance(2, pixels=bytes(32) if latest else b""), 1, True)]
    assert catalogue.conflicts() == []
    assert kept.rebuilt(new_catalogue("rebuilt")) == catalogue.fingerprint()
    with pytest.raises(InvalidRequest, match="No instance of it has several versions"):
        all_but(catalogue.instances(study=STUDY, all_versions=True), latest=latest)
    kept.deleting().undelete(done.id, "me")
    assert len(catalogue.conflicts()) == 2


def test_what_lies_in_packs_is_set_aside_and_comes_back_too(kept: Keeper, new_catalogue: Callable[[str], Place]) -> None:
    seal_all(kept.archive)
    offer(kept.archive, CORRECTED, NORTH)
    seal_all(kept.archive)
    all_octets = originals(kept.archive)
    done = keep(kept, CORRECTED)
    assert originals(kept.archive) == all_octets - {FIRST}
    assert kept.rebuilt(new_catalogue("rebuilt")) == kept.archive.catalogue.fingerprint()
    compact_all(kept.archive)
    packing(kept.archive).remove_leftovers(at_once=True)
    kept.deleting().undelete(done.id, "me")
    assert originals(kept.archive) == all_octets
    assert [one[0] for one in versions(kept)] == [FIRST, CORRECTED]


def test_it_is_never_purged_and_a_hold_neither_forbids_nor_is_broken_by_it(kept: Keeper) -> None:
    offer(kept.archive, CORRECTED, NORTH)
    kept.deleting().set_hold(Extent.STUDY, STUDY, "court", "lawyer")
    done = keep(kept, CORRECTED)
    assert kept.deleting().purge("night", AT_ONCE).purged == []
    with pytest.raises(InvalidRequest, match="its octets are kept"):
        kept.deleting().purge("night", AT_ONCE, only=done.id)
    kept.scrub()
    assert kept.findings() == {}
    with pytest.raises(InvalidRequest):
        kept.deleting().set_hold(Extent.VERSION, SOP, "court", "lawyer")


def test_octets_that_were_set_aside_are_told_as_such_when_they_come_again(kept: Keeper) -> None:
    offer(kept.archive, CORRECTED, NORTH)
    done = keep(kept, CORRECTED)
    again = offer(kept.archive, FIRST, NORTH)
    assert again.outcome is Outcome.REFUSED and again.error is not None
    assert (again.error.code, again.error.fields["deletion"]) == ("deleted", done.id)
    assert "set aside" in again.error.message and "vna undelete" in again.error.message
    assert offer(kept.archive, CORRECTED, SOUTH).outcome is Outcome.DUPLICATE
    assert offer(kept.archive, THIRD, SOUTH).outcome is Outcome.CONFLICT
    assert versions(kept) == [(CORRECTED, 1, True), (THIRD, 2, False)]


def test_two_who_decide_otherwise_at_once_leave_a_version(kept: Keeper) -> None:
    offer(kept.archive, CORRECTED, NORTH)
    first, second = of_octets(kept, FIRST), of_octets(kept, CORRECTED)
    keep(kept, CORRECTED)
    before = kept.archive.catalogue.fingerprint()
    for away in ([second.pk], [first.pk], [first.pk, second.pk], []):
        with pytest.raises(InvalidRequest):
            kept.deleting().delete(Extent.VERSION, SOP, "no, the other", "somebody else", versions=away)
    with pytest.raises(InvalidRequest):
        kept.deleting().delete(Extent.INSTANCE, SOP, "not by this level", "me", versions=[second.pk])
    assert kept.archive.catalogue.fingerprint() == before


def test_which_version_is_meant_must_be_plain(kept: Keeper) -> None:
    offer(kept.archive, CORRECTED, NORTH)
    offer(kept.archive, FIRST.replace(b"1.2.3.1\0", b"1.2.3.9\0"), SOUTH)
    held = kept.archive.catalogue.versions(SOP)
    with pytest.raises(InvalidRequest, match="1 in study 1.2.3.1 .*1 in study 1.2.3.9"):
        others(held, [one for one in held if one.version == 1])
    with pytest.raises(NotFound, match="There is no such version: "):
        others(held, [])
    with pytest.raises(NotFound, match="Nothing is held"):
        others((), [])
    with pytest.raises(InvalidRequest, match="no other version"):
        others(held, [one for one in held if one.study_instance_uid == "1.2.3.9"])


def test_it_is_written_down_before_it_is_done_or_not_done(kept: Keeper) -> None:
    offer(kept.archive, CORRECTED, NORTH)
    before = kept.archive.catalogue.fingerprint()
    noted: list[AuditEvent] = []

    class Noting(NoAudit):
        def note_durably(self, event: AuditEvent) -> None:
            noted.append(event)
            if len(noted) == 1:
                raise AuditUnavailable("No room.")

    away = [of_octets(kept, FIRST).pk]
    with pytest.raises(AuditUnavailable):
        kept.deleting(auditor=Noting()).delete(Extent.VERSION, SOP, "why", "J. Doe", versions=away)
    assert kept.archive.catalogue.fingerprint() == before
    kept.deleting(auditor=Noting()).delete(Extent.VERSION, SOP, "why", "J. Doe", versions=away)
    assert noted[-1].principal.name == "J. Doe"
    assert noted[-1].description == f"versions set aside under {SOP}, as another one is right (1): why"


def test_a_process_that_dies_before_the_note_leaves_it_to_the_next(kept: Keeper, new_catalogue: Callable[[str], Place]) -> None:
    def die(step: str) -> None:
        if step == "hidden":
            raise Killed

    offer(kept.archive, CORRECTED, NORTH)
    with pytest.raises(Killed):
        kept.deleting(after_step=die).delete(Extent.VERSION, SOP, "x", "me", versions=[of_octets(kept, FIRST).pk])
    assert list(kept.archive.landing.list("deletions/")) == []
    kept.deleting().purge("the night", AT_ONCE)
    assert kept.rebuilt(new_catalogue("rebuilt")) == kept.archive.catalogue.fingerprint()


def test_it_stays_at_home_while_a_rejection_hides_the_instance_everywhere(kept: Keeper) -> None:
    offer(kept.archive, CORRECTED, NORTH)
    keep(kept, CORRECTED)
    assert kept.archive.catalogue.rejections.hidden(STUDY).all == frozenset()
    kept.deleting().delete(Extent.INSTANCE, "1.2.3.2.3", "blurred", "me", rejection=Rejection.QUALITY)
    assert kept.archive.catalogue.rejections.hidden(STUDY).all == {"1.2.3.2.3"}


def test_what_was_rejected_since_does_not_come_back_with_what_was_set_aside(kept: Keeper) -> None:
    offer(kept.archive, CORRECTED, NORTH)
    aside = keep(kept, CORRECTED).id
    rejected = kept.deleting().delete(Extent.INSTANCE, SOP, "wrong side", "me", rejection=Rejection.PATIENT_SAFETY)
    with pytest.raises(InvalidRequest, match=f"rejected since: take back {rejected.id} first"):
        kept.deleting().undelete(aside, "me")
    assert not kept.archive.catalogue.versions(SOP)
    kept.deleting().undelete(rejected.id, "me")
    kept.deleting().undelete(aside, "me")
    assert versions(kept) == [(FIRST, 1, True), (CORRECTED, 2, False)]


def test_no_department_loses_the_version_that_it_sees(new_catalogue: Callable[[str], Place]) -> None:
    divided = {
        "departments": {
            "radiology": {"principals": ["rad"], "ae_titles": [NORTH.name]},
            "cardiology": {"principals": ["card"], "ae_titles": ["ECHO1"]},
        },
        "http": {"tokens": {"rad": "1" * 64, "card": "2" * 64}},
        "dimse": {"peers": {name: {"host": "10.0.0.1", "port": 104} for name in (NORTH.name, "ECHO1")}},
    }
    with keeper(new_catalogue("divided"), filled=False, **divided) as kept:
        echo = Source("dimse", "ECHO1", "10.0.0.3")
        offer(kept.archive, FIRST, NORTH)
        offer(kept.archive, CORRECTED, echo)
        before = kept.archive.catalogue.fingerprint()
        for right in (FIRST, CORRECTED):
            with pytest.raises(InvalidRequest, match="it would see none"):
                keep(kept, right)
        assert kept.archive.catalogue.fingerprint() == before
        offer(kept.archive, CORRECTED, NORTH)  # radiology has it too now
        keep(kept, CORRECTED)
        assert versions(kept) == [(CORRECTED, 1, True)]


def test_what_no_department_sees_is_set_aside_for_what_one_sees(new_catalogue: Callable[[str], Place]) -> None:
    divided = {
        "departments": {"radiology": {"principals": ["rad"], "ae_titles": [NORTH.name]}},
        "http": {"tokens": {"rad": "1" * 64}},
        "dimse": {"peers": {name: {"host": "10.0.0.1", "port": 104} for name in (NORTH.name, "STRAY")}},
    }
    with keeper(new_catalogue("divided"), filled=False, **divided) as kept:
        offer(kept.archive, FIRST, Source("dimse", "STRAY", "10.0.0.9"))
        offer(kept.archive, CORRECTED, NORTH)
        with pytest.raises(InvalidRequest, match="it would see none"):
            keep(kept, FIRST)
        keep(kept, CORRECTED)
        assert versions(kept) == [(CORRECTED, 1, True)]


def test_a_deletion_names_what_stays_of_it_and_taken_back_that_goes_too(kept: Keeper) -> None:
    offer(kept.archive, CORRECTED, NORTH)
    aside, deleting, catalogue = keep(kept, CORRECTED), kept.deleting(), kept.archive.catalogue
    other = deleting.delete(Extent.INSTANCE, "1.2.3.2.3", "test", "J. Doe")
    assert catalogue.deletions.staying(other) == []
    first = deleting.delete(Extent.STUDY, STUDY, "of another archive", "J. Doe")
    assert [one.id for one in catalogue.deletions.staying(first)] == [aside.id]
    deleting.undelete(aside.id, "J. Doe")
    again = deleting.delete(Extent.STUDY, STUDY, "of another archive", "J. Doe")
    assert catalogue.deletions.staying(again) == []
    lies = {one.key for done in (other, first, again) for one in catalogue.deletions.objects(done.id)}
    assert len(lies) == 7
    assert deleting.purge("J. Doe", AT_ONCE).left == []
    assert not lies & {one.key for store in kept.archive.stores.values() for one in store.list("objects/")}
