"""Every instance offered ends in exactly one way, and nothing it brought is lost."""

from __future__ import annotations

import threading
from collections import Counter
from pathlib import Path

import pytest

from tests.unit.ingest.ct_samples import ct
from tests.unit.ingest.small_archive import SmallArchive, flip, small_archive
from vna_core.configuration import IngestSettings
from vna_core.domain.errors import CatalogueUnavailable, OutOfResources
from vna_core.domain.octets import Source
from vna_core.domain.outcome import IngestResult, Outcome
from vna_core.ingest.pipeline import ROOMS


def test_a_new_instance_is_held_and_its_octets_come_back(archive: SmallArchive) -> None:
    result = archive.offer(ct())
    assert result.outcome is Outcome.HELD
    [held] = archive.catalogue.versions(result.sop_instance_uid)
    assert archive.files() == [held.locations[0].key]
    assert held.locations[0].key.endswith(f"{held.sha256}.dcm")
    assert archive.original(held) == ct()


def test_the_same_octets_again_are_a_duplicate_and_not_stored(archive: SmallArchive) -> None:
    archive.offer(ct())
    files = archive.files()
    assert archive.offer(ct()).outcome is Outcome.DUPLICATE
    assert archive.files() == files
    assert archive.catalogue.statistics().versions == 1


def test_the_same_octets_from_a_source_of_another_issuer_are_a_duplicate(archive: SmallArchive) -> None:
    archive.offer(ct())
    assert archive.offer(ct(), Source("dimse", "OTHER", "", "ELSEWHERE")).outcome is Outcome.DUPLICATE
    assert len(archive.files()) == 1


@pytest.mark.parametrize(
    ("change", "outcome", "classification"),
    [
        ({"implicit": True}, Outcome.DUPLICATE, None),
        ({"PatientComments": "later"}, Outcome.CONFLICT, "header"),
        ({"pixel": 9}, Outcome.CONFLICT, "pixel"),
        ({"rows": 64}, Outcome.CONFLICT, "pixel"),
        ({"StudyInstanceUID": "1.2.3"}, Outcome.CONFLICT, "other-parent"),
        ({"SeriesInstanceUID": "1.2.3"}, Outcome.CONFLICT, "other-parent"),
        ({"PatientID": "other"}, Outcome.CONFLICT, "other-parent"),
    ],
)
def test_other_octets_under_one_uid_are_kept_and_told_apart(
    archive: SmallArchive, change: dict[str, object], outcome: Outcome, classification: str | None
) -> None:
    first = archive.held(ct())
    assert archive.offer(ct(**change)).outcome is outcome  # type: ignore[arg-type]
    versions = archive.catalogue.versions(first.sop_instance_uid)
    assert {archive.original(one) for one in versions} == {ct(), ct(**change)}  # type: ignore[arg-type]
    assert [one.classification for one in archive.catalogue.conflicts()] == ([classification] if classification else [])
    [current] = [one for one in versions if one.current and one.pk == first.pk]
    assert current.sha256 == first.sha256


def test_versions_that_arrive_together_are_told_apart_as_one_after_the_other_is(archive: SmallArchive) -> None:
    offered = [ct(), ct(implicit=True), ct(PatientComments="later"), ct(PatientComments="later", implicit=True), ct(pixel=9)]
    results = archive.pipeline.offer_all([archive.receive(octets) for octets in offered])
    outcomes = [one.outcome for one in results if isinstance(one, IngestResult)]
    assert outcomes == [Outcome.HELD, Outcome.DUPLICATE, Outcome.CONFLICT, Outcome.DUPLICATE, Outcome.CONFLICT]
    assert sorted(one.classification for one in archive.catalogue.conflicts()) == ["header", "pixel"]
    assert {archive.original(one) for one in archive.catalogue.versions(archive.offer(ct()).sop_instance_uid)} == set(offered)


def test_versions_that_arrive_at_the_same_moment_are_compared_with_one_another(archive: SmallArchive) -> None:
    offered = [ct(number, implicit=implicit) for number in range(1, 9) for implicit in (False, True)]
    ready = threading.Barrier(len(offered))

    def send(octets: bytes) -> None:
        received = archive.receive(octets)
        ready.wait()
        archive.pipeline.offer(received)

    threads = [threading.Thread(target=send, args=(octets,)) for octets in offered]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert archive.catalogue.conflicts() == []
    assert archive.catalogue.statistics().versions == len(offered)


@pytest.mark.parametrize("damage", ["flipped", "truncated", "missing"])
@pytest.mark.parametrize("rows", [128, 20_000])
def test_a_damaged_copy_is_healed_by_the_next_arrival_of_the_same_octets(archive: SmallArchive, damage: str, rows: int) -> None:
    octets = ct(rows=rows)
    path = archive.path(archive.held(octets))
    if damage == "flipped":
        flip(path)
    elif damage == "truncated":
        path.write_bytes(path.read_bytes()[:-1000])
    else:
        path.unlink()
    result = archive.offer(octets)
    assert result.outcome is Outcome.DUPLICATE
    [held] = archive.catalogue.versions(result.sop_instance_uid)
    assert archive.original(held) == octets
    assert b"".join(archive.retriever.part10(held))
    assert archive.offer(octets).outcome is Outcome.DUPLICATE
    assert archive.catalogue.statistics().versions == 1


@pytest.mark.parametrize("octets", [b"no DICOM at all" * 20, ct()[:-100], ct()[:200], bytes(5000)])
def test_octets_that_are_no_whole_dicom_are_quarantined_once(archive: SmallArchive, octets: bytes) -> None:
    for _ in range(2):
        result = archive.offer(octets)
        assert result.outcome is Outcome.QUARANTINED
        assert result.error is not None
        assert result.quarantine_id is not None
        assert b"".join(archive.pipeline.quarantine.octets(result.quarantine_id)) == octets
    assert [entry.id for entry in archive.catalogue.quarantined()] == [result.quarantine_id]
    assert len(archive.files()) == 2


def test_what_a_sender_broke_off_is_quarantined_and_the_whole_copy_is_held(archive: SmallArchive) -> None:
    assert archive.offer(ct(), cut_short=True).outcome is Outcome.QUARANTINED
    assert archive.offer(ct()).outcome is Outcome.HELD


def test_damaged_quarantined_octets_are_not_served_and_healed_by_their_next_arrival(archive: SmallArchive) -> None:
    octets = b"no DICOM at all" * 20
    quarantine_id = archive.offer(octets).quarantine_id or ""
    flip(archive.data / "store" / archive.pipeline.quarantine.entry(quarantine_id).key)
    with pytest.raises(Exception, match="damaged"):
        b"".join(archive.pipeline.quarantine.octets(quarantine_id))
    archive.offer(octets)
    assert b"".join(archive.pipeline.quarantine.octets(quarantine_id)) == octets


def test_a_full_quarantine_refuses_with_the_name_of_its_limit(tmp_path: Path) -> None:
    with small_archive(tmp_path, IngestSettings(quarantine_limit=1 << 20)) as archive:
        assert archive.offer(b"x" * 800_000).outcome is Outcome.QUARANTINED
        refused = archive.offer(b"y" * 800_000)
        assert refused.outcome is Outcome.REFUSED
        assert refused.error is not None
        assert refused.error.fields["limit"] == "ingest.quarantine_limit"
        assert archive.offer(b"x" * 800_000).outcome is Outcome.QUARANTINED
        assert archive.offer(ct()).outcome is Outcome.HELD


def test_an_empty_payload_is_refused(archive: SmallArchive) -> None:
    result = archive.offer(b"")
    assert result.outcome is Outcome.REFUSED
    assert result.error is not None
    assert result.error.code == "empty-payload"
    assert archive.files() == []


def test_a_fault_of_ours_while_reading_costs_no_octets(archive: SmallArchive, monkeypatch: pytest.MonkeyPatch) -> None:
    def fault(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("vna_core.ingest.pipeline.normalize", fault)
    result = archive.offer(ct())
    assert result.outcome is Outcome.QUARANTINED
    assert result.error is not None
    assert result.error.code == "internal-error"
    assert b"".join(archive.pipeline.quarantine.octets(result.quarantine_id or "")) == ct()


def test_observers_hear_every_end_and_a_failing_one_stops_nothing(tmp_path: Path) -> None:
    heard: list[IngestResult] = []

    def failing(_: IngestResult) -> None:
        raise RuntimeError

    with small_archive(tmp_path, observers=(failing, heard.append)) as archive:
        for octets in (ct(), ct(), ct(pixel=9), b"nothing" * 100, b""):
            archive.offer(octets)
    assert [one.outcome.value for one in heard] == ["held", "duplicate", "conflict", "quarantined", "refused"]


@pytest.mark.parametrize("room", ROOMS)
def test_an_offer_broken_off_after_any_room_can_be_repeated(tmp_path: Path, room: str) -> None:
    broken = [room]

    def break_off(left: str) -> None:
        if broken and left == room:
            broken.clear()
            raise CatalogueUnavailable("The database went away.") if room in ROOMS[2:] else OutOfResources("No space.")

    with small_archive(tmp_path, after_room=break_off) as archive:
        with pytest.raises((CatalogueUnavailable, OutOfResources)):
            archive.offer(ct())
        again = archive.offer(ct())
        assert again.outcome is (Outcome.DUPLICATE if room in ("index", "announce") else Outcome.HELD)
        [held] = archive.catalogue.versions(again.sop_instance_uid)
        assert archive.original(held) == ct()
        assert archive.pipeline.budget._taken == 0


def test_the_same_octets_at_once_are_held_once(archive: SmallArchive) -> None:
    outcomes: Counter[Outcome] = Counter()
    start = threading.Barrier(6)

    def send() -> None:
        received = archive.receive(ct())
        start.wait()
        outcomes[archive.pipeline.offer(received).outcome] += 1

    threads = [threading.Thread(target=send) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes == {Outcome.HELD: 1, Outcome.DUPLICATE: 5}
    [held] = archive.catalogue.versions("1.2.826.0.1.3680043.10.1.1")
    assert archive.files() == [held.locations[0].key]
    assert archive.original(held) == ct()


def test_many_different_instances_at_once_are_all_held(archive: SmallArchive) -> None:
    def send(first: int) -> None:
        for number in range(first, first + 10):
            assert archive.offer(ct(number)).outcome is Outcome.HELD

    threads = [threading.Thread(target=send, args=(1 + 10 * part,)) for part in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    held = archive.catalogue.instances()
    assert len(held) == 40
    assert {archive.original(one) for one in held} == {ct(number) for number in range(1, 41)}


def test_a_large_instance_goes_through_a_spool_byte_exact(archive: SmallArchive) -> None:
    octets = ct(rows=30_000)
    assert archive.receive(octets).octets.spooled
    held = archive.held(octets)
    assert archive.original(held) == octets
    assert archive.offer(octets).outcome is Outcome.DUPLICATE
    assert archive.offer(ct(rows=30_000, pixel=3)).outcome is Outcome.CONFLICT


def test_the_memory_budget_is_shared_by_the_processes(tmp_path: Path) -> None:
    with small_archive(tmp_path, IngestSettings(memory_budget=8 << 20), processes=4) as archive:
        assert archive.pipeline.budget.maximum == 2 << 20
