"""What is always so of an archive, and what is so when it has come to rest."""

from __future__ import annotations

import hashlib
import io
from collections import Counter
from datetime import timedelta
from typing import Any, Final

import pydicom

from tests.unit.life.shelves import COLD
from tests.unit.life.world import GONE, LIVE, STORES, Item, World
from vna_core.access.arrays import SeriesArrays
from vna_core.bootstrap import open_archive
from vna_core.configuration.federation import FederationSettings, MemberSettings
from vna_core.domain.errors import ObjectArchived, StoreUnavailable
from vna_core.domain.identifiers import PatientKey
from vna_core.domain.identity import LinkKind
from vna_core.domain.instance import HeldInstance
from vna_core.domain.octets import ByteRange
from vna_core.domain.query import Equals, Level, Query
from vna_core.domain.stewardship import HIDDEN, PURGING, UNDOING
from vna_core.federation.local_member import LocalMember
from vna_core.federation.members import LOCAL, Members, member
from vna_core.federation.query import FederatedQuery
from vna_core.federation.rejected import Rejected
from vna_core.stewardship.rebuild import rebuild

PATIENT_ID: Final = 0x00100020
ISSUER: Final = 0x00100021
STUDY: Final = 0x0020000D
SERIES: Final = 0x0020000E
SOP: Final = 0x00080018
PERIODIC: Final = {"place-sweep", "awaited-rejections", "place-quarantine", "store-count", "pack-clean"}

Place = tuple[PatientKey, str, str, str]


def place(one: Item | HeldInstance) -> Place:
    if isinstance(one, Item):
        return one.patient, one.study, one.series, one.sop
    return one.patient, one.study_instance_uid, one.series_instance_uid, one.sop_instance_uid


def always(world: World) -> None:
    """What is acknowledged and not deleted is held, where it was filed, and its octets come back; nothing else is held."""
    held = world.held()
    world.take_unacknowledged(held)
    sure = {one.sha256: one for one in world.live()}
    maybe = {one.sha256: one for one in world.items.values() if one.state in world.unsure}
    assert not sure.keys() - held.keys(), [place(sure[one]) for one in sure.keys() - held.keys()]
    assert not held.keys() - sure.keys() - maybe.keys(), [place(held[one]) for one in held.keys() - sure.keys() - maybe.keys()]
    for digest, version in held.items():
        item = (sure | maybe)[digest]
        assert place(item) == place(version)
        assert version.locations or world.damaged or maybe, place(item)
        try:
            assert b"".join(world.archive.retriever.original(version)) == item.octets
        except StoreUnavailable:
            assert world.down(), place(item)
        except ObjectArchived:
            assert COLD in world.shelf("deep").tiers.values(), place(item)


def everywhere(world: World) -> None:
    """Everybody who asks is told the same, and is served what is stored."""
    always(world)
    if world.unsure:
        return
    held = world.held()
    items = {one.sha256: one for one in world.live()}
    current = [one for one in held.values() if one.current]
    assert Counter(place(one) for one in current) == Counter({place(one) for one in items.values()}), "one version is current"
    for digest, version in held.items():
        _is_served(
            world, items[digest], world.archive.catalogue.held(version.pk)
        )  # a recall for the one before may have moved it
    _is_found(world, {place(one) for one in items.values()})
    for entry in world.archive.catalogue.quarantined(limit=10_000):  # what nobody was told of may wait all the same
        world.waiting.setdefault(entry.id, world.offered[entry.sha256].octets)
    _is_counted(world, list(held.values()))
    _is_in_arrays(world, current, items)
    _is_of_its_person(world)
    for one in world.items.values():
        if one.state != LIVE:
            versions = world.archive.catalogue.versions(one.sop)
            assert one.sha256 not in {version.original_sha256 for version in versions}
            deletion = world.archive.catalogue.deletions.find(one.sop, one.sha256)
            assert deletion is not None and (deletion.state == HIDDEN) == (one.state != GONE)
    quarantined = world.archive.catalogue.quarantined(limit=10_000)
    assert {one.id for one in quarantined} == set(world.waiting)
    for one_id, octets in world.waiting.items():
        assert b"".join(world.archive.pipeline.quarantine.octets(one_id)) == octets
    assert {one.id for one in world.archive.catalogue.holds.listed()} == set(world.holds)


def _is_served(world: World, item: Item, version: HeldInstance) -> None:
    try:
        served = b"".join(world.archive.retriever.part10(version))
    except ObjectArchived:
        world.recall(version.study_instance_uid)
        version = world.archive.catalogue.held(version.pk)
        if world.down():
            return
        served = b"".join(world.archive.retriever.part10(version))
    except StoreUnavailable:
        assert world.down()
        return
    assert len(served) == version.trailer_offset
    data_set = pydicom.dcmread(io.BytesIO(served))
    assert data_set.SOPInstanceUID == version.sop_instance_uid
    if item.mark:
        assert data_set.PixelData == item.mark
        assert data_set.PatientID == item.patient.patient_id
        assert b"".join(world.archive.retriever.frames(version, [1])) == item.mark
    for where in version.locations:
        if (where.store, where.key) in world.damaged or where.store in world.down():
            continue
        try:
            octets = world.archive.stores[where.store].read(where.key, ByteRange(where.offset, where.length))
        except ObjectArchived:
            continue
        assert hashlib.sha256(octets).hexdigest() == version.sha256, where
        assert octets.startswith(served)


def _is_found(world: World, wanted: set[Place]) -> None:
    search = world.archive.catalogue.search

    def rows(level: Level, *tags: int) -> Counter[Any]:
        found = search(Query(level)).matches
        return Counter((one.patient, *(one.attributes.get(tag, ("",))[0] for tag in tags)) for one in found)

    assert rows(Level.IMAGE, STUDY, SERIES, SOP).keys() == wanted or {
        (one.patient, one.attributes[SOP][0]) for one in search(Query(Level.IMAGE)).matches
    } == {(one[0], one[3]) for one in wanted}
    images = Counter((one.patient, one.attributes[SOP][0]) for one in search(Query(Level.IMAGE)).matches)
    assert images == Counter((one[0], one[3]) for one in wanted)
    assert rows(Level.SERIES, SERIES) == Counter((one[0], one[2]) for one in {one[:3] for one in wanted})
    assert rows(Level.STUDY, STUDY) == Counter(one[:2] for one in {one[:2] for one in wanted})
    known = {one for one in rows(Level.PATIENT) if one[0].patient_id}
    assert known == {(one[0],) for one in wanted if one[0].patient_id}
    for study in {one[1] for one in wanted}:
        told = Counter(one.sop_instance_uid for one in world.archive.catalogue.metadata(study=study))
        assert told == Counter(one[3] for one in wanted if one[1] == study)
    settings = FederationSettings()
    local = member(LOCAL, LocalMember(world.archive.catalogue), MemberSettings(url="local:"), settings)
    catalogue = world.archive.catalogue
    rejected = Rejected(catalogue.rejections, world.archive.gate.may_correct)
    query = FederatedQuery(Members(local, []), settings, catalogue.identity, rejected)
    answer = query(Query(Level.STUDY))
    assert not answer.missing
    assert {one.attributes["0020000D"]["Value"][0] for one in answer.rows} == {one[1] for one in wanted}


def _is_counted(world: World, held: list[HeldInstance]) -> None:
    told = world.archive.catalogue.statistics()
    assert told.versions == len(held)
    assert told.instances == len({place(one) for one in held})
    assert told.series == len({place(one)[:3] for one in held})
    assert told.studies == len({place(one)[:2] for one in held})
    assert told.bytes == sum(one.size for one in held)
    assert told.quarantined == len(world.waiting)


def _is_in_arrays(world: World, current: list[HeldInstance], items: dict[str, Item]) -> None:
    by_series: dict[tuple[PatientKey, str, str], set[bytes]] = {}
    for one in current:
        if items[one.original_sha256].mark:
            by_series.setdefault(place(one)[:3], set()).add(items[one.original_sha256].mark)
    for (patient, study, series), marks in by_series.items():
        arrays = SeriesArrays.of_series(world.archive.catalogue, world.archive.retriever, study, series, patient=patient)
        found: set[bytes] = set()
        try:
            for number, picture in enumerate(arrays.pictures):
                for chunk in picture.levels[0].frames:
                    octets = arrays.read("/".join(map(str, (number, 0, "c", *chunk))))
                    assert octets is not None
                    found.add(octets)
        except (StoreUnavailable, ObjectArchived):
            assert world.down() or COLD in world.shelf("deep").tiers.values()
            continue
        assert found == marks


def _is_of_its_person(world: World) -> None:
    """A question for a Patient ID finds what is its person's, by the decisions in force, and nothing of anybody else."""
    filed = {(one.patient, one.study) for one in world.live() if one.patient.patient_id}
    for key in {one for one, _ in filed}:
        person = {key}
        for _ in world.links:
            for kind, first, second, _study in world.links.values():
                if kind is LinkKind.MERGE and (first in person or second in person):
                    person |= {first, second}
        moved: dict[tuple[PatientKey, str], PatientKey] = {}
        for link in sorted(world.links):
            kind, first, second, study = world.links[link]
            if kind is LinkKind.MOVE:
                moved[first, study] = second
        wanted = {study for owner, study in filed if moved.get((owner, study), owner) in person}
        conditions = (Equals(PATIENT_ID, (key.patient_id,)), Equals(ISSUER, (key.issuer,)))
        found = world.archive.catalogue.search(Query(Level.STUDY, conditions, linked=True)).matches
        assert {one.attributes[STUDY][0] for one in found} == wanted, key


# -- at rest --------------------------------------------------------------------------------------------------------------


def at_rest(world: World) -> None:
    """All that was begun ends: stores answer, damage is repaired, what can be taken back is, and what was purged has left no octet."""
    world.shelves.left = None
    world.comes_back()
    world.work()
    world.recall_everything()
    if world.undoing:
        world.normalize_back()
        assert not world.undoing
    world.repair()
    for hold in list(world.holds):
        world.deleting().release_hold(hold, "judge")
        del world.holds[hold]
    for deletion in sorted(world.hidden(), key=lambda one: one in world.set_aside):  # after what rejects the instance
        world.recall_everything()
        world.take_back(deletion)
        assert deletion not in world.unsure
    everywhere(world)
    report = world.deleting().purge("me", timedelta(0))
    assert not report.held
    for _ in range(3):
        world.recall_everything()
        world.work()
        world.recall_everything()
        world.compact()
        world.clean()
    world.recall_everything()
    world.work()
    world.repair()
    world.scrub()
    everywhere(world)
    assert world.archive.catalogue.deletions.listed(HIDDEN, UNDOING, PURGING) == []
    assert {(one.store, one.key) for one in world.archive.catalogue.checks.findings()} <= world.given_up
    left = [job for job in world.archive.catalogue.jobs.every() if job.kind not in PERIODIC]
    assert not left, left
    _nothing_is_left_of_what_was_purged(world)
    _every_object_is_known(world)
    is_rebuilt_the_same(world)


def _nothing_is_left_of_what_was_purged(world: World) -> None:
    kept = {one.mark for one in world.live()}
    gone = {one.mark for one in world.items.values() if one.state == GONE and one.mark} - kept
    for store, key, content in world.every_store_object():
        assert not [mark for mark in gone if mark in content], (store, key)


def _every_object_is_known(world: World) -> None:
    """No object lies about that nothing points at."""
    catalogue = world.archive.catalogue
    for name in STORES:
        known = {one.key for one in catalogue.checks.expected(name)}
        left = {key for _store, key, _ in catalogue.packs.leftovers(100_000, due_in=1e9)}
        pks = [one.pk for one in world.held().values()]
        earlier = {one.location.key for pk in pks for one in catalogue.generations.of_version(pk)}
        there = {key for key in world.stored(name) if (name, key) not in world.given_up}
        assert there <= known | left | earlier, (name, there - known - left - earlier)


def is_rebuilt_the_same(world: World) -> None:
    """A catalogue made of the stores alone is the same."""
    wanted = world.archive.catalogue.fingerprint()
    url = world.new_catalogue()
    more = {"catalogue": {"url": url}} if url else {}
    settings = world.settings().model_copy(update={"data": world.folder / f"beside{world.catalogues}"})
    if url:
        settings = settings.model_copy(update={"catalogue": settings.catalogue.model_copy(update=more["catalogue"])})
    world.catalogues += 1
    with open_archive(settings, plugins=world.plugins) as other:
        damaged = rebuild(world.archive.stores, other.catalogue).damaged
        assert {one.split("@")[0] for one in damaged} <= {f"{store}:{key}" for store, key in world.given_up}
        found = other.catalogue.fingerprint()
    for table in wanted:
        assert found[table] == wanted[table], (table, _differing(found[table], wanted[table]))


def _differing(found: list[Any], wanted: list[Any]) -> tuple[list[Any], list[Any]]:
    return [one for one in found if one not in wanted], [one for one in wanted if one not in found]
