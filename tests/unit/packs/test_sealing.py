"""Settled series become packs, and everything is read as before: whole, in parts, as received, after a rebuild, after an undo."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from datetime import timedelta

import pydicom
import pytest
import zarr

from tests.unit.ingest.small_archive import flip
from tests.unit.packs.archives import AT_ONCE, compact_all, keeper, keys, pack_keys, prove, prove_rebuilt, seal_all
from tests.unit.stewardship.held_archive import NORTH, OFFERED, Place, fill, instance, offer, opened, served, worker
from vna_core.archival_storage.packs import read_pack
from vna_core.bootstrap import Archive
from vna_core.catalogue import Scope
from vna_core.configuration.packs import PackSettings
from vna_core.domain.errors import LeaseLost, NotFound
from vna_core.domain.octets import ByteRange
from vna_core.domain.outcome import Outcome
from vna_core.domain.stewardship import Extent
from vna_core.stewardship.deletion import PURGE, Deleting
from vna_core.stewardship.pack_jobs import COMPACT
from vna_core.stewardship.repair import LISTED, Repairing
from vna_core.stewardship.scrub import Scrub
from vna_storage_filesystem.store import FilesystemStore

ALL = {octets for octets, _ in OFFERED}
EVERYTHING = Scope()
ISSUER = {"id": "north", "when": {"source": {"name": "CT_NORTH"}}, "issuer": "NORTH"}


@pytest.fixture
def place(new_catalogue: Callable[[str], Place]) -> Place:
    return new_catalogue("archive")


@pytest.fixture
def archive(place: Place) -> Iterator[Archive]:
    with opened(place) as archive:
        fill(archive)
        yield archive


def test_a_sealed_series_is_one_object_and_reads_as_before(
    archive: Archive, place: Place, new_catalogue: Callable[[str], Place]
) -> None:
    before = served(archive)
    reports = seal_all(archive)
    assert sorted(one.members for one in reports) == [2, 4]  # the second version of an instance is in the pack
    assert len(pack_keys(archive)) == 2 and len(keys(archive)) == 2 + len(OFFERED)
    prove(archive, ALL)
    assert keeper(archive).remove_leftovers() == 6
    assert len(keys(archive)) == 2 + 2  # two series of one instance stay loose
    prove(archive, ALL)
    assert served(archive) == before
    prove_rebuilt(archive, new_catalogue("rebuilt"))
    assert seal_all(archive) == []
    assert archive.catalogue.statistics().versions == len(OFFERED)


def test_a_catalogue_rebuilt_before_removal_is_the_same(archive: Archive, new_catalogue: Callable[[str], Place]) -> None:
    seal_all(archive, PackSettings(quiet=0, removal_delay=3600))
    assert keeper(archive).remove_leftovers() == 0
    prove_rebuilt(archive, new_catalogue("rebuilt"))


def test_current_versions_are_the_array_and_others_lie_behind_them(archive: Archive) -> None:
    seal_all(archive)
    [key] = [key for key in pack_keys(archive) if "/1.2.3.2/" in key]
    size = archive.landing.stat(key).size
    pack = read_pack(lambda offset, length: archive.landing.read(key, ByteRange(offset, length)), size)
    assert [member.frames for member in pack.members] == [1, 1, 1, 0]
    folder = archive.settings.data / "store" / key.rpartition("/")[0]
    array = zarr.open(str(folder), mode="r")
    current = {held.sop_instance_uid: held for held in archive.catalogue.instances(series="1.2.3.2")}
    assert array.shape == (3, 4, 4)  # type: ignore[union-attr]
    for number, member in enumerate(pack.members[:3]):
        held = current[member.name.rsplit(".", 2)[0]]
        pixels = pydicom.dcmread(io.BytesIO(b"".join(archive.retriever.part10(held)))).PixelData
        assert array[number].tobytes() == pixels  # type: ignore[union-attr]


def test_late_arrivals_make_a_further_pack_and_compaction_one_of_them(
    archive: Archive, new_catalogue: Callable[[str], Place]
) -> None:
    seal_all(archive)
    late = {instance(number) for number in (7, 8)}
    for octets in late:
        offer(archive, octets, NORTH)
    assert [one.members for one in seal_all(archive)] == [2]
    keeper(archive).remove_leftovers()
    assert len(pack_keys(archive)) == 3
    prove(archive, ALL | late)
    prove_rebuilt(archive, new_catalogue("before"))
    made = [one for one in compact_all(archive) if one.packs]
    assert [one.members for one in made] == [6]
    prove(archive, ALL | late)
    prove_rebuilt(archive, new_catalogue("between"))  # the packs that were taken over are still there
    assert keeper(archive).remove_leftovers() == 2
    assert len(pack_keys(archive)) == 2
    prove(archive, ALL | late)
    prove_rebuilt(archive, new_catalogue("after"))
    assert not any(one.packs for one in compact_all(archive))


def test_who_holds_an_old_location_reads_on(archive: Archive) -> None:
    held = archive.catalogue.instances(all_versions=True)
    before = {one.pk: b"".join(archive.retriever.part10(one)) for one in held}
    seal_all(archive)
    keeper(archive).remove_leftovers()
    for octets in (instance(8), instance(9)):
        offer(archive, octets, NORTH)
    assert {one.pk: b"".join(archive.retriever.part10(one)) for one in held} == before
    seal_all(archive)
    compact_all(archive)
    keeper(archive).remove_leftovers()
    assert {one.pk: b"".join(archive.retriever.original(one)) for one in held} == {
        one.pk: b"".join(archive.retriever.original(archive.catalogue.held(one.pk))) for one in held
    }
    for one in held:
        assert [location.key for location in archive.catalogue.held(one.pk).locations]  # no copy was taken for damaged
        assert len(list(archive.retriever.frames(one, [1]))) == 1


def test_what_was_normalized_once_more_is_packed_and_undone(archive: Archive, new_catalogue: Callable[[str], Place]) -> None:
    before = archive.catalogue.fingerprint()
    seal_all(archive)
    run = worker(archive, ISSUER).apply(EVERYTHING)
    assert run.counts["changed"] == 5
    prove(archive, ALL)
    prove_rebuilt(archive, new_catalogue("applied"))
    assert sorted(one.members for one in seal_all(archive)) == [2, 3]
    keeper(archive).remove_leftovers()
    prove(archive, ALL)
    prove_rebuilt(archive, new_catalogue("sealed"))
    worker(archive, ISSUER).undo(run.id)
    prove(archive, ALL)
    prove_rebuilt(archive, new_catalogue("undone"))
    compact_all(archive)
    keeper(archive).remove_leftovers()
    prove(archive, ALL)
    prove_rebuilt(archive, new_catalogue("compacted"))
    after = archive.catalogue.fingerprint()
    assert {name: after[name] for name in ("patients", "studies", "series", "instances", "conflicts", "totals")} == {
        name: before[name] for name in ("patients", "studies", "series", "instances", "conflicts", "totals")
    }
    assert worker(archive, ISSUER).apply(EVERYTHING).counts["changed"] == 5
    prove(archive, ALL)


def test_a_copy_that_is_damaged_is_left_out_and_healed_by_the_next_arrival(archive: Archive) -> None:
    [held] = archive.catalogue.instances(sop="1.2.3.3.1")
    path = archive.settings.data / "store" / held.locations[0].key
    path.chmod(0o600)
    flip(path)
    report = next(one for one in seal_all(archive) if one.series_instance_uid == "1.2.3.3")
    assert report.damaged == [held.locations[0].key] and report.members == 1
    assert keeper(archive).remove_leftovers() == 5
    assert offer(archive, instance(1, series="1.2.3.3"), NORTH).outcome is Outcome.DUPLICATE
    prove(archive, ALL)


def test_damage_inside_a_pack_is_found_by_who_reads_it_and_healed(
    archive: Archive, new_catalogue: Callable[[str], Place]
) -> None:
    seal_all(archive)
    keeper(archive).remove_leftovers()
    [held] = archive.catalogue.instances(sop="1.2.3.3.1")
    path = archive.settings.data / "store" / held.locations[0].key
    path.chmod(0o600)
    flip(path, held.locations[0].offset + 400)
    assert offer(archive, instance(1, series="1.2.3.3"), NORTH).outcome is Outcome.DUPLICATE
    prove(archive, ALL)
    assert archive.catalogue.packs.listed(series="1.2.3.3")[0].live == 1
    assert any(one.packs for one in compact_all(archive))
    keeper(archive).remove_leftovers()
    prove(archive, ALL)
    prove_rebuilt(archive, new_catalogue("rebuilt"), "locations", "packs", "pack_members", "totals")


def damaged(archive: Archive, change: Callable[[bytearray, int], None]) -> tuple[set[str], str]:
    """UIDs of versions whose copy a scrub marks after a change of a pack at the offset of its second member; the finding."""
    seal_all(archive)
    keeper(archive).remove_leftovers()
    held = sorted(archive.catalogue.instances(series="1.2.3.3"), key=lambda one: one.locations[0].offset)
    path = archive.settings.data / "store" / held[1].locations[0].key
    path.chmod(0o600)
    octets = bytearray(path.read_bytes())
    change(octets, held[1].locations[0].offset)
    path.write_bytes(octets)
    for _ in range(2):  # what was found stays so
        Scrub(archive.stores, archive.catalogue).run()
    [finding] = archive.catalogue.checks.findings()
    placed = archive.catalogue.placements.of_instances([one.pk for one in held])
    bad = {one.pk for one in placed for copy in one.copies if copy.state == "bad"}
    return {one.sop_instance_uid for one in held if one.pk in bad}, f"{finding.outcome} {finding.detail}"


def test_a_scrub_tells_the_good_members_of_a_damaged_pack_from_the_bad(archive: Archive) -> None:
    def rot(octets: bytearray, at: int) -> None:
        octets[at + 400] ^= 1

    bad, finding = damaged(archive, rot)
    assert len(bad) == 1 and finding == "bit-rot members 1"
    for held in archive.catalogue.instances(series="1.2.3.3"):
        if held.sop_instance_uid not in bad:
            assert b"".join(archive.retriever.part10(held))


def test_damage_between_the_members_of_a_pack_is_found_and_costs_none_of_them(archive: Archive) -> None:
    def rot(octets: bytearray, at: int) -> None:
        octets[at - 1] ^= 1  # the last octet of the header before the member

    assert damaged(archive, rot) == (set(), "bit-rot members 0")


def test_a_pack_that_was_cut_keeps_the_members_before_the_cut(archive: Archive) -> None:
    def cut(octets: bytearray, at: int) -> None:
        del octets[at + 400 :]

    bad, finding = damaged(archive, cut)
    assert len(bad) == 1 and finding.startswith("truncated members 1: ")


def test_a_series_longer_than_a_pack_may_be_becomes_several(archive: Archive) -> None:
    for number in range(20, 30):
        offer(archive, instance(number, series="1.2.9.9", pixels=b""), NORTH)
    largest = 3 * max(held.size for held in archive.catalogue.instances(series="1.2.9.9"))
    settings = AT_ONCE.model_copy(update={"maximum_size": largest})
    report = next(one for one in seal_all(archive, settings) if one.series_instance_uid == "1.2.9.9")
    assert len(report.packs) == 4 and report.members == 10
    assert not any(one.packs for one in compact_all(archive, settings))
    assert all(archive.landing.stat(key).size < largest + 16_384 for key in report.packs)


def test_a_series_waits_until_it_has_settled_and_is_large_enough(archive: Archive) -> None:
    work = keeper(archive, PackSettings(quiet=600, minimum_instances=3))
    assert list(work.settled(time.time())) == []
    settled = list(work.settled(time.time() + 601))
    assert [one.series_instance_uid for one in settled] == ["1.2.3.2"]
    assert list(keeper(archive, PackSettings(quiet=0, minimum_size=1 << 30)).settled(2e9)) == []


def test_only_one_process_packs_a_series_and_a_lost_claim_changes_nothing(archive: Archive) -> None:
    place = next(one for one in archive.catalogue.packs.series() if one.series_instance_uid == "1.2.3.2")
    claim = archive.catalogue.packs.claim(place, 600)
    assert claim is not None
    assert keeper(archive).seal(place).skipped == "another process is packing it"
    archive.catalogue.packs.release(claim)
    before = archive.catalogue.fingerprint()

    def lose(step: str) -> None:
        if step == "described":
            archive.catalogue.packs.release(next_claim)
            assert archive.catalogue.packs.claim(place, 600) is not None

    original = archive.catalogue.packs.claim

    def remember(place: object, lease: float) -> object:
        nonlocal next_claim
        next_claim = original(place, lease)  # type: ignore[arg-type,assignment]
        archive.catalogue.packs.claim = original  # type: ignore[method-assign]
        return next_claim

    next_claim = claim
    archive.catalogue.packs.claim = remember  # type: ignore[method-assign,assignment]
    with pytest.raises(LeaseLost):
        keeper(archive, after_step=lose).seal(place)
    assert archive.catalogue.fingerprint() == before
    prove(archive, ALL)


def test_a_copy_in_another_store_takes_over_from_loose_objects_there(archive: Archive, tmp_path_factory) -> None:  # type: ignore[no-untyped-def]
    other = FilesystemStore("other", tmp_path_factory.mktemp("other"))
    seal_all(archive)
    [key] = [key for key in pack_keys(archive) if "/1.2.3.2/" in key]
    other.create(key, archive.landing.chunks(key))
    archive.catalogue.packs.record_copy(key, "other")
    for held in archive.catalogue.instances(series="1.2.3.2", all_versions=True):
        assert [(one.store, one.key) for one in held.locations] == [("landing", key), ("other", key)]
    [listed] = archive.catalogue.packs.listed(key=key)
    assert listed.stores == ("landing", "other") and (listed.members, listed.live) == (4, 4)
    offer(archive, instance(9), NORTH)
    offer(archive, instance(10), NORTH)
    seal_all(archive)
    compact_all(archive)
    [merged] = [one for one in archive.catalogue.packs.listed(series="1.2.3.2") if one.members == 6]
    other.create(merged.key, archive.landing.chunks(merged.key))
    archive.catalogue.packs.record_copy(merged.key, "other")
    assert [one.key for one in archive.catalogue.packs.listed(series="1.2.3.2")] == [merged.key]
    assert ("other", key, 0) in archive.catalogue.packs.leftovers()
    with pytest.raises(NotFound):
        archive.catalogue.packs.record_copy("packs/unknown", "other")


def test_what_is_taken_back_out_of_a_pack_counts_as_its_member_again(archive: Archive) -> None:
    seal_all(archive)
    keeper(archive).remove_leftovers()
    deleting = Deleting(archive.stores, archive.landing, archive.catalogue)
    deletion = deleting.delete(Extent.INSTANCE, "1.2.3.3.1", "x", "me")
    [pack] = archive.catalogue.packs.listed(series="1.2.3.3")
    assert (pack.members, pack.live) == (2, 1)
    deleting.undelete(deletion.id, "me")
    [pack] = archive.catalogue.packs.listed(series="1.2.3.3")
    assert (pack.members, pack.live) == (2, 2)
    assert not any(one.packs for one in compact_all(archive))
    prove(archive, ALL)


def test_a_purged_member_leaves_its_pack_and_a_series_that_is_purged_whole_leaves_none(archive: Archive) -> None:
    seal_all(archive)
    keeper(archive).remove_leftovers()
    deleting = Deleting(archive.stores, archive.landing, archive.catalogue)
    whole = deleting.delete(Extent.SERIES, "1.2.3.3", "x", "me")
    part = deleting.delete(Extent.INSTANCE, "1.2.3.2.1", "x", "me")
    report = deleting.purge("me", timedelta(0))
    assert report.purged == [whole.id] and {one.deletion for one in report.left} == {part.id}
    assert not [key for key in pack_keys(archive) if "/1.2.3.3/" in key]
    assert {job.kind for job in archive.catalogue.jobs.listed()} == {COMPACT, PURGE}
    compact_all(archive)
    keeper(archive).remove_leftovers()
    assert deleting.purge("me", timedelta(0)).purged == [part.id]
    assert not [key for key in pack_keys(archive) if b"1.2.3.2.1." in archive.landing.read(key)]


def test_a_repair_says_what_a_damaged_pack_waits_for_from_which_nothing_is_read(archive: Archive) -> None:
    seal_all(archive)
    keeper(archive).remove_leftovers()
    deleting = Deleting(archive.stores, archive.landing, archive.catalogue)
    deleting.delete(Extent.INSTANCE, "1.2.3.2.1", "x", "me")
    deleting.purge("me", timedelta(0))
    deleting.set_hold(Extent.SERIES, "1.2.3.2", "case", "lawyer")
    old = archive.catalogue.instances(series="1.2.3.2")[0].locations[0]
    flip(archive.settings.data / "store" / old.key, old.offset - 1)  # between the members
    Scrub(archive.stores, archive.catalogue).run()
    compact_all(archive)
    assert archive.catalogue.packs.places_in(old.key) == []
    [repair] = [one for one in Repairing(archive.stores, archive.catalogue).run().repairs if one.key == old.key]
    assert repair.outcome == LISTED and "under a hold" in repair.detail and COMPACT not in repair.detail
    assert old.key in pack_keys(archive)


def test_a_hold_keeps_a_purge_that_has_begun_from_taking_more_out_of_packs(archive: Archive) -> None:
    seal_all(archive)
    keeper(archive).remove_leftovers()
    deleting = Deleting(archive.stores, archive.landing, archive.catalogue)
    deletion = deleting.delete(Extent.INSTANCE, "1.2.3.2.1", "x", "me")
    deleting.purge("me", timedelta(0))
    hold = deleting.set_hold(Extent.SERIES, "1.2.3.2", "case", "lawyer")
    before = set(pack_keys(archive))
    compact_all(archive)
    keeper(archive).remove_leftovers(at_once=True)
    assert before < set(pack_keys(archive)), "the old pack, which holds it, stays beside the new one"
    assert deleting.purge("me", timedelta(0)).held == {deletion.id: hold.id}
    deleting.release_hold(hold.id, "judge")
    assert deleting.purge("me", timedelta(0)).purged == [deletion.id]
