"""Held instances normalized once more: what is told beforehand is what is done, once, and it can be taken back."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pydicom
import pytest

from tests.unit.normalize.handmade import file, identification
from tests.unit.stewardship.held_archive import (
    NORTH,
    OFFERED,
    Place,
    fill,
    instance,
    offer,
    opened,
    originals,
    rebuilt_fingerprint,
    served,
    worker,
)
from vna_core.catalogue import Scope
from vna_core.domain.outcome import Outcome
from vna_core.domain.query import Equals, Level, Query
from vna_core.ingest.normalize import RULE_SET
from vna_core.testing.quirks import quirk_files

EVERYTHING = Scope()
ISSUER = {"id": "north", "when": {"source": {"name": "CT_NORTH"}}, "issuer": "NORTH"}
RULES: dict[str, tuple[dict[str, Any], ...]] = {
    "issuer of one source": (ISSUER,),
    "values of the study": ({"id": "names", "map": {"tag": "StudyDescription", "table": {"ABDOMEN": "Abdomen"}}},),
    "a value that only the first had": ({"id": "empty", "set": {"StudyDescription": ""}},),
    "accession numbers": ({"id": "acc", "prefix": {"tag": "AccessionNumber", "prefix": "N-"}},),
    "everything new": ({"id": "uids", "remap_uids": {"seed": "x"}}, ISSUER, {"id": "where", "institution": "Köln"}),
    "one series elsewhere": (
        {"id": "move", "when": {"tags": {"SeriesInstanceUID": "1.2.3.3"}}, "map": {"tag": "PatientID", "table": {"0042": "42"}}},
    ),
    "nothing": ({"id": "none", "when": {"modality": "MR"}, "issuer": "X"},),
}


@pytest.fixture
def place(new_catalogue: Callable[[str], Place]) -> Place:
    return new_catalogue("archive")


@pytest.mark.parametrize("name", RULES)
def test_check_tells_what_apply_does_and_undo_takes_it_back(
    name: str, place: Place, new_catalogue: Callable[[str], Place]
) -> None:
    with opened(place) as archive:
        fill(archive)
        before, files = archive.catalogue.fingerprint(), {one.key for one in archive.landing.list()}
        told = {one.held.pk: one for one in worker(archive, *RULES[name]).check(EVERYTHING)}
        assert archive.catalogue.fingerprint() == before and {one.key for one in archive.landing.list()} == files
        statistics = archive.catalogue.statistics()

        run = worker(archive, *RULES[name]).apply(EVERYTHING)
        changed = {pk for pk, one in told.items() if one.differs}
        assert run.state == "done" and run.counts.get("changed", 0) == len(changed)
        assert {one.instance for one in archive.catalogue.generations.of_run(run.id, 0)} == changed
        for held in archive.catalogue.instances(all_versions=True):
            expected = told[held.pk].canonical
            assert expected is not None
            assert (held.sop_instance_uid, held.study_instance_uid) == (expected.sop_instance_uid, expected.study_instance_uid)
        after = archive.catalogue.fingerprint()
        assert archive.catalogue.statistics().conflicts == statistics.conflicts
        assert archive.catalogue.statistics().versions == statistics.versions
        assert originals(archive) == {octets for octets, _ in OFFERED}
        assert rebuilt_fingerprint(archive, new_catalogue("rebuilt")) == after

        again = worker(archive, *RULES[name]).apply(EVERYTHING)
        assert again.counts.get("changed", 0) == 0 and archive.catalogue.fingerprint() == after
        assert {one.key for one in archive.landing.list()} >= files

        undone = worker(archive).undo(run.id)
        assert undone.state == "undone" and undone.counts.get("undone", 0) == len(changed)
        assert archive.catalogue.fingerprint() == before
        assert rebuilt_fingerprint(archive, new_catalogue("rebuilt2")) == before


def test_the_new_object_answers_and_the_earlier_one_stays(place: Place) -> None:
    with opened(place, ISSUER) as archive:
        with opened((place[0], place[1])) as plain:
            fill(plain)
        first = archive.catalogue.instances(sop="1.2.3.2.1")[0]
        run = worker(archive).apply(Scope(study="1.2.3.1"))
        held = archive.catalogue.held(first.pk)
        assert held.current and held.patient.issuer == "NORTH" and held.locations != first.locations
        assert archive.landing.stat(first.locations[0].key).size == first.size
        why = archive.catalogue.explanation(held.pk)
        assert why.rule_set.startswith(f"{RULE_SET}+site.") and [one.rule for one in why.transformations] == ["site:north"]
        assert [one.run for one in archive.catalogue.generations.of_version(held.pk)] == ["", run.id]
        data_set = served(archive)[held.original_sha256, held.version]
        assert data_set.IssuerOfPatientID == "NORTH"
        told = data_set.OriginalAttributesSequence[0]
        assert told.AttributeModificationDateTime == run.started_at.strftime("%Y%m%d%H%M%S.%f+0000")
        assert told.ModifyingSystem == f"VNA normalization {why.rule_set}"


def test_queries_answer_by_what_is_current(place: Place) -> None:
    with opened(place) as archive:
        fill(archive)

        def studies(description: str) -> list[Any]:
            return list(archive.catalogue.search(Query(Level.STUDY, (Equals(0x00081030, (description,)),))).matches)

        assert (len(studies("ABDOMEN")), len(studies("Abdomen"))) == (3, 0)
        run = worker(archive, *RULES["values of the study"]).apply(EVERYTHING)
        assert (len(studies("ABDOMEN")), len(studies("Abdomen"))) == (0, 3)
        worker(archive).undo(run.id)
        assert (len(studies("ABDOMEN")), len(studies("Abdomen"))) == (3, 0)


def test_a_source_alone_and_a_study_alone(place: Place) -> None:
    rule = {"id": "all", "institution": "Hospital"}
    with opened(place) as archive:
        fill(archive)
        assert worker(archive, rule).apply(Scope(source="south")).counts["changed"] == 3
        assert worker(archive, rule).apply(Scope(study="1.2.3.1")).counts["changed"] == 5
        assert worker(archive, rule).apply(EVERYTHING).counts["changed"] == 0


def test_the_same_octets_sent_again_are_a_duplicate_of_the_new_object(place: Place) -> None:
    rules = RULES["everything new"]
    with opened(place, *rules) as archive:
        with opened(place) as plain:
            fill(plain)
        worker(archive).apply(EVERYTHING)
        before = archive.catalogue.fingerprint()
        assert {offer(archive, octets, source).outcome for octets, source in OFFERED} == {Outcome.DUPLICATE}
        assert archive.catalogue.fingerprint() == before


def test_a_server_that_was_running_meanwhile_goes_on_rightly(place: Place, new_catalogue: Callable[[str], Place]) -> None:
    """What another process remembers of parents is forgotten when versions go to other parents."""
    with opened(place) as server, opened(place, ISSUER) as tool:
        for number in (1, 2):
            offer(server, instance(number, patient="77"), NORTH)
        worker(tool).apply(EVERYTHING)
        for number in (3, 4):
            assert offer(server, instance(number, patient="77"), NORTH).outcome is Outcome.HELD
        assert {one.patient.issuer for one in server.catalogue.instances(study="1.2.3.1")} == {"", "NORTH"}
        assert rebuilt_fingerprint(server, new_catalogue("rebuilt")) == server.catalogue.fingerprint()


def test_runs_stand_upon_one_another(place: Place, new_catalogue: Callable[[str], Place]) -> None:
    one, other = RULES["accession numbers"], RULES["everything new"]
    with opened(place) as archive:
        fill(archive)
        before = archive.catalogue.fingerprint()
        first = worker(archive, *one).apply(EVERYTHING)
        between = archive.catalogue.fingerprint()
        second = worker(archive, *other).apply(EVERYTHING)
        assert worker(archive).undo(first.id).counts["kept"] == len(OFFERED)
        after = archive.catalogue.fingerprint()
        assert rebuilt_fingerprint(archive, new_catalogue("rebuilt")) == after
        worker(archive).undo(second.id)
        assert archive.catalogue.fingerprint() == before != between
        third = worker(archive, *one).apply(EVERYTHING)
        assert archive.catalogue.generations.of_run(third.id, 0)[0].number == 3
        assert rebuilt_fingerprint(archive, new_catalogue("rebuilt2")) == archive.catalogue.fingerprint()


class Killed(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("step", ["stored", "recorded", "noted", "undone"])
def test_what_was_interrupted_goes_on(
    step: str, place: Place, new_catalogue: Callable[[str], Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vna_core.stewardship.renormalize._PIECE", 3)
    rules = RULES["everything new"]

    def die(left: str) -> None:
        if left == step:
            raise Killed

    with opened(place) as archive:
        fill(archive)
        before = archive.catalogue.fingerprint()
        if step in ("stored", "recorded"):
            with pytest.raises(Killed):
                worker(archive, *rules, after_step=die).apply(EVERYTHING)
        begun = archive.catalogue.generations.runs()
        run = worker(archive, *rules).apply(EVERYTHING)
        assert [one.id for one in begun] in ([], [run.id]) and run.counts["examined"] == len(OFFERED)
        assert rebuilt_fingerprint(archive, new_catalogue("rebuilt")) == archive.catalogue.fingerprint()
        if step in ("noted", "undone"):
            with pytest.raises(Killed):
                worker(archive, after_step=die).undo(run.id)
        worker(archive).undo(run.id)
        assert archive.catalogue.fingerprint() == before


def test_a_damaged_copy_stays_as_it_is_and_is_counted(place: Place) -> None:
    with opened(place) as archive:
        fill(archive)
        held = archive.catalogue.instances(sop="1.2.3.3.2")[0]
        path = place[1] / "store" / held.locations[0].key
        path.chmod(0o600)
        octets = bytearray(path.read_bytes())
        octets[len(octets) // 2] ^= 1
        path.write_bytes(octets)
        run = worker(archive, *RULES["accession numbers"]).apply(EVERYTHING)
        assert (run.counts["failed"], run.counts["changed"]) == (1, len(OFFERED) - 1)
        assert archive.catalogue.held(held.pk).sha256 == held.sha256


def test_what_came_without_file_meta_information_is_the_same_again(place: Place) -> None:
    """The sender of a bare data set named its transfer syntax and instance beside it; nobody does so the second time."""
    rle = next(quirk for quirk in quirk_files() if quirk.name == "P12-fragment-begins-like-a-codestream").octets
    plain, no_uid = instance(5), file(identification(sop=""))
    with opened(place) as archive:
        for octets in (rle, plain, no_uid):
            meta = pydicom.dcmread(io.BytesIO(octets), force=True, stop_before_pixels=True).file_meta
            length = 144 + meta.FileMetaInformationGroupLength
            hints = {"transfer_syntax_uid": str(meta.TransferSyntaxUID), "sop_instance_uid": "1.2.99"}
            with archive.pipeline.reception(NORTH, **hints) as reception:
                reception.write(octets[length:])
                assert archive.pipeline.offer(reception.finish()).outcome is Outcome.HELD
        assert [(one.differs, one.error) for one in worker(archive).check(EVERYTHING)] == [(False, None)] * 3
