"""A whole copy stands for the instance as soon as it is there, whatever was cut before its pixels and came first."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.unit.normalize.handmade import element, file, identification
from tests.unit.packs.archives import compact_all, keeper, prove, prove_rebuilt, seal_all
from tests.unit.stewardship.held_archive import NORTH, SOUTH, Place, instance, offer, rebuilt_fingerprint, text, worker
from vna_core.archival_storage.keys import is_pack
from vna_core.bootstrap import Archive, open_archive
from vna_core.catalogue import Scope
from vna_core.catalogue.standing import Contender, current_of
from vna_core.configuration import Settings
from vna_core.domain import access
from vna_core.domain.octets import ReceivedInstance, Source
from vna_core.domain.outcome import Outcome
from vna_core.domain.stewardship import Extent
from vna_core.stewardship.deletion import Deleting

SOP = "1.2.3.2.1"
WHOLE = instance(1)
OTHER = instance(1, pixels=bytes(32))
CUT = WHOLE[: WHOLE.rindex(b"\xe0\x7f\x10\x00OW")]
RENAMED = WHOLE.replace(b"DOE^JANE", b"DOE^JOAN")
CUT_AND_RENAMED = RENAMED[: len(CUT)]
EXPLICIT = "1.2.840.10008.1.2.1"
RULE = {"id": "north", "when": {"source": {"name": NORTH.name}}, "institution": "Hospital"}


@pytest.fixture
def archive(new_catalogue: Callable[[str], Place]) -> Iterator[Archive]:
    settings, data = new_catalogue("archive")
    with open_archive(Settings(data=data, catalogue=settings)) as opened:
        yield opened


def current(archive: Archive) -> bytes:
    """Octets as received of what answers for the instance."""
    [held] = archive.catalogue.instances(sop=SOP)
    return b"".join(archive.retriever.original(held))


def versions(archive: Archive) -> list[tuple[bytes, int, bool]]:
    held = archive.catalogue.versions(SOP)
    return [(b"".join(archive.retriever.original(one)), one.version, one.current) for one in held]


def offer_at(archive: Archive, octets: bytes, at: datetime, source: Source = NORTH) -> Outcome:
    with archive.pipeline.reception(source) as reception:
        reception.write(octets)
        received = reception.finish()
    return archive.pipeline.offer(ReceivedInstance(received.octets, source, at)).outcome


def test_the_whole_copy_that_follows_is_current_and_says_why(archive: Archive) -> None:
    assert offer(archive, CUT, NORTH).outcome is Outcome.HELD
    assert current(archive) == CUT
    assert offer(archive, WHOLE, NORTH).outcome is Outcome.CONFLICT
    assert versions(archive) == [(CUT, 1, False), (WHOLE, 2, True)]
    [held] = archive.catalogue.instances(study="1.2.3.1")
    assert len(list(archive.retriever.frames(held, [1]))) == 1
    [conflict] = archive.catalogue.conflicts()
    assert (conflict.classification, conflict.first.version, conflict.second.version) == ("cut-first", 1, 2)
    assert conflict.why == "Version 2 is current: version 1 ends before its pixels and is, as received, how version 2 begins."
    whole = archive.catalogue.explanation(held.pk)
    cut = archive.catalogue.explanation(conflict.first.pk)
    assert whole.standing.startswith("Stands in the place of version 1") and [one.version for one in whole.cut_copies] == [1]
    assert cut.standing.startswith("Ends before its pixels: a cut copy of version 2")
    assert archive.catalogue.statistics().instances == 1


def test_the_cut_copy_that_follows_or_comes_again_changes_nothing(archive: Archive) -> None:
    offer(archive, WHOLE, NORTH)
    assert offer(archive, CUT, NORTH).outcome is Outcome.CONFLICT
    assert versions(archive) == [(WHOLE, 1, True), (CUT, 2, False)]
    [conflict] = archive.catalogue.conflicts()
    assert conflict.classification == "cut-second" and conflict.why.startswith("Version 1 is current: version 2 ends before")
    assert offer(archive, CUT, NORTH).outcome is Outcome.DUPLICATE
    assert offer(archive, WHOLE, SOUTH).outcome is Outcome.DUPLICATE
    assert versions(archive) == [(WHOLE, 1, True), (CUT, 2, False)]


def test_what_is_no_copy_of_it_takes_no_place(archive: Archive) -> None:
    offer(archive, CUT_AND_RENAMED, NORTH)
    offer(archive, WHOLE, NORTH)
    assert current(archive) == CUT_AND_RENAMED
    assert [one.why for one in archive.catalogue.conflicts()] == ["Version 1 is current: it arrived first."]
    offer(archive, RENAMED, NORTH)
    assert current(archive) == RENAMED
    assert [one.version for one in archive.catalogue.versions(SOP) if one.current] == [3]


PIXELS = WHOLE[len(CUT) :]
DATA_SET = WHOLE.index(b"\x08\x00\x16\x00UI")


def hidden(held: bytes, other: bytes) -> bytes:
    """Another object whose Pixel Data hold the data set of a held one, and whose group length says that the data set is there."""
    octets = bytearray(other + element(0x7FE00010, "OW", held[DATA_SET:] + bytes(4)))
    octets[140:144] = (octets.rindex(held[DATA_SET:]) - 144).to_bytes(4, "little")
    return bytes(octets)


def document(title: str) -> bytes:
    """An encapsulated document, which never has pixels."""
    extra = text(0x00080060, "CS", "DOC") + text(0x00100010, "PN", "DOE^JANE") + text(0x00100020, "LO", "0042")
    content = text(0x00420010, "ST", title) + element(0x00420011, "OB", b"%PDF-1.4  " + title.encode() * 3)
    return file(identification(study="1.2.3.1", series="1.2.3.2", sop=SOP, extra=extra) + content, sop_instance=SOP)


FORGED = {
    "hidden behind the group length": (CUT, hidden(CUT, CUT_AND_RENAMED)),
    "hidden behind that of a document": (document("TRUE"), hidden(document("TRUE"), document("UNTRUE"))),
    "a document with pixels behind it": (document("TRUE"), document("TRUE") + PIXELS),
    "an element of lower tag before the pixels": (CUT, CUT + text(0x00100040, "CS", "M") + PIXELS),
    "a lower tag among those before the pixels": (CUT, CUT + text(0x00400007, "LO", "A") + text(0x00400002, "DA", "") + PIXELS),
    "another transfer syntax": (CUT, WHOLE.replace(EXPLICIT.encode() + b"\0", b"1.2.840.10008.1.2\0\0\0")),
}


@pytest.mark.parametrize("case", FORGED)
def test_what_can_be_read_in_another_way_proves_nothing(
    case: str, archive: Archive, new_catalogue: Callable[[str], Place]
) -> None:
    held, forged = FORGED[case]
    assert offer(archive, held, NORTH).outcome is Outcome.HELD
    assert offer(archive, forged, SOUTH).outcome is Outcome.CONFLICT
    assert current(archive) == held
    assert all("cut" not in one.classification for one in archive.catalogue.conflicts())
    prove_rebuilt(archive, new_catalogue("anew"))


@pytest.mark.parametrize("undefined", [False, True])
def test_sequences_may_stand_between_the_cut_and_the_pixels(undefined: bool, archive: Archive) -> None:
    inside, end = text(0x00400007, "LO", "CHEST"), bytes.fromhex("feffdde000000000")
    if undefined:
        item = bytes.fromhex("feff00e0ffffffff") + inside + bytes.fromhex("feff0de000000000")
        requested = element(0x00400275, "SQ", item + end, length=0xFFFFFFFF)
    else:
        item = bytes.fromhex("feff00e0") + len(inside).to_bytes(4, "little") + inside
        requested = element(0x00400275, "SQ", item)
    offer(archive, CUT, NORTH)
    offer(archive, CUT + requested + PIXELS, NORTH)
    assert current(archive) == CUT + requested + PIXELS


def test_a_file_and_what_is_sent_without_a_header_are_the_same(archive: Archive) -> None:
    offer(archive, CUT, SOUTH)
    beginning = WHOLE.index(b"\x08\x00\x16\x00UI")
    with archive.pipeline.reception(NORTH, transfer_syntax_uid=EXPLICIT) as reception:
        reception.write(WHOLE[beginning:])
        archive.pipeline.offer(reception.finish())
    assert current(archive) == WHOLE[beginning:]


@pytest.mark.parametrize("order", list(itertools.permutations((CUT, WHOLE, OTHER, CUT_AND_RENAMED))))
def test_a_catalogue_made_anew_has_the_same_current_version(order: Sequence[bytes], tmp_path: Path) -> None:
    begun = datetime(2026, 1, 2, tzinfo=UTC)
    with open_archive(Settings(data=tmp_path / "archive")) as archive:
        for minute, octets in enumerate(order):
            offer_at(archive, octets, begun + timedelta(minutes=minute))
        place = Settings(data=tmp_path / "anew").catalogue, tmp_path / "anew"
        assert rebuilt_fingerprint(archive, place) == archive.catalogue.fingerprint()
        first = order[0]
        if first is CUT:  # of two that continue it, the one that came first
            first = next(one for one in order if one in (WHOLE, OTHER))
        assert current(archive) == first


def test_what_is_recorded_in_another_order_than_it_arrived_ends_the_same(archive: Archive) -> None:
    noon = datetime(2026, 1, 2, 12, tzinfo=UTC)
    offer_at(archive, WHOLE, noon)
    offer_at(archive, RENAMED, noon - timedelta(hours=1))
    assert current(archive) == RENAMED
    offer_at(archive, CUT, noon - timedelta(hours=2))
    assert versions(archive) == [(CUT, 1, False), (RENAMED, 2, False), (WHOLE, 3, True)]


def test_packs_compaction_and_another_normalization_change_nothing(
    archive: Archive, new_catalogue: Callable[[str], Place]
) -> None:
    offer(archive, instance(2), NORTH)
    offer(archive, CUT, NORTH)
    seal_all(archive)
    run = worker(archive, RULE).apply(Scope())
    offer(archive, WHOLE, NORTH)
    assert current(archive) == WHOLE
    prove_rebuilt(archive, new_catalogue("late"))
    seal_all(archive)
    compact_all(archive)
    keeper(archive).remove_leftovers(at_once=True)
    [held] = archive.catalogue.instances(sop=SOP)
    assert all(is_pack(one.key) for one in held.locations)
    prove(archive, {instance(2), CUT, WHOLE})
    prove_rebuilt(archive, new_catalogue("packed"))
    worker(archive, RULE).undo(run.id)
    worker(archive, RULE).apply(Scope())
    assert current(archive) == WHOLE
    prove_rebuilt(archive, new_catalogue("again"))


def test_a_rule_that_files_it_elsewhere_takes_the_relation_along(archive: Archive, new_catalogue: Callable[[str], Place]) -> None:
    offer(archive, CUT, NORTH)
    offer(archive, WHOLE, SOUTH)
    moved = {"id": "all", "issuer": "HOSPITAL"}
    worker(archive, moved).apply(Scope())
    assert {one.patient.issuer for one in archive.catalogue.versions(SOP)} == {"HOSPITAL"}
    assert current(archive) == WHOLE
    prove_rebuilt(archive, new_catalogue("moved"))


def test_under_different_patients_neither_stands_in_the_place_of_the_other(archive: Archive) -> None:
    offer(archive, CUT, replace(NORTH, issuer="A"))
    offer(archive, WHOLE, replace(NORTH, issuer="B"))
    held = archive.catalogue.versions(SOP)
    assert [one.current for one in held] == [True, True]
    told = [archive.catalogue.explanation(one.pk) for one in held]
    assert [(one.standing, one.cut_copies, one.whole_copies) for one in told] == [("", (), ())] * 2


def test_it_goes_and_comes_back_as_it_was(archive: Archive) -> None:
    offer(archive, CUT, NORTH)
    offer(archive, WHOLE, NORTH)
    before = archive.catalogue.fingerprint()["instances"]
    deleting = Deleting(archive.stores, archive.landing, archive.catalogue)
    deletion = deleting.delete(Extent.INSTANCE, SOP, "by mistake", "me")
    assert archive.catalogue.versions(SOP) == ()
    deleting.undelete(deletion.id, "me")
    assert archive.catalogue.fingerprint()["instances"] == before
    assert current(archive) == WHOLE


DEPARTMENTS = {
    "radiology": {"principals": ["rad"], "ae_titles": [NORTH.name]},
    "cardiology": {"principals": ["card"], "ae_titles": ["ECHO1"]},
}
ECHO = Source("dimse", "ECHO1", "10.0.0.3")


def test_a_department_keeps_what_it_sees_until_it_may_see_the_whole_one(new_catalogue: Callable[[str], Place]) -> None:
    settings, data = new_catalogue("archive")
    tokens = {"rad": "1" * 64, "card": "2" * 64}
    peers = {one.name: {"host": one.address, "port": 104} for one in (NORTH, ECHO)}
    document = {
        "data": data,
        "catalogue": settings,
        "departments": DEPARTMENTS,
        "http": {"tokens": tokens},
        "dimse": {"peers": peers},
    }
    with open_archive(Settings.model_validate(document)) as archive:
        offer(archive, CUT, NORTH)
        offer(archive, WHOLE, ECHO)
        assert current(archive) == CUT
        [conflict] = archive.catalogue.conflicts()
        assert conflict.why.endswith("not everybody who sees it may see the whole one.")
        assert archive.catalogue.explanation(conflict.first.pk).standing.endswith("but not for everybody who sees this one.")
        prove_rebuilt(archive, new_catalogue("anew"))
        assert offer(archive, WHOLE, NORTH).outcome is Outcome.DUPLICATE
        assert current(archive) == WHOLE
        seen = archive.catalogue.instances(sop=SOP, scope=access.Scope(frozenset({"radiology"})))
        assert [one.original_sha256 for one in seen] == [one.original_sha256 for one in archive.catalogue.instances(sop=SOP)]
        prove_rebuilt(archive, new_catalogue("delivered"))


def test_whoever_sees_a_cut_copy_of_no_department_sees_the_whole_one_too(new_catalogue: Callable[[str], Place]) -> None:
    settings, data = new_catalogue("archive")
    document = {
        "data": data,
        "catalogue": settings,
        "departments": {"cardiology": DEPARTMENTS["cardiology"]},
        "http": {"tokens": {"card": "2" * 64}},
        "dimse": {"peers": {one.name: {"host": one.address, "port": 104} for one in (NORTH, ECHO)}},
    }
    with open_archive(Settings.model_validate(document)) as archive:
        offer(archive, CUT, NORTH)
        offer(archive, WHOLE, ECHO)
        assert current(archive) == WHOLE
        [conflict] = archive.catalogue.conflicts()
        assert "not everybody" not in conflict.why
        prove_rebuilt(archive, new_catalogue("anew"))


def test_what_is_current_depends_on_nothing_but_what_is_held() -> None:
    for number in range(500):
        chance = random.Random(number)
        held = [Contender(pk, (at, "")) for pk, at in enumerate(chance.sample(range(50), chance.randint(1, 6)))]
        pairs = [(cut, whole) for cut in range(3) for whole in range(3, 7) if chance.random() < 0.3]
        found = current_of(held, pairs)
        pks, first = {one.pk for one in held}, min(held, key=lambda one: one.stamp).pk
        continued = {whole for cut, whole in pairs if cut == first and whole in pks}
        assert found in (continued or {first})
        assert not [whole for cut, whole in pairs if cut == found and whole in pks]
        chance.shuffle(held)
        chance.shuffle(pairs)
        assert current_of(held, pairs) == found
