"""What members deliver is passed on as they gave it where it is exactly as it should be, and taken in where that is needed."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pydicom
import pytest

from tests.unit.federation.federated_members import Federation, federation, study, uid
from tests.unit.federation.test_bringing import WHO, Recording
from tests.unit.ingest.ct_samples import ct
from vna_core.access.gate import Permit
from vna_core.access.notes import AccessNotes
from vna_core.access.view import CatalogueView
from vna_core.configuration import IngestSettings
from vna_core.dicom.codestream import EXPLICIT_LITTLE, IMPLICIT_LITTLE
from vna_core.domain.access import EVERYTHING, Action
from vna_core.domain.corrections import AwaitedRejection, Rejection
from vna_core.domain.departments import UNDIVIDED, Departments, Origin
from vna_core.domain.errors import DigestMismatch
from vna_core.domain.instance import HeldInstance
from vna_core.domain.octets import Octets, ReceivedInstance, Source
from vna_core.federation import gathering, passing
from vna_core.federation.bringing import Bringing, Retrieval, Takes
from vna_core.federation.kept import KeptFile, PassedInstance, kept_below
from vna_core.federation.locating import key_of
from vna_core.federation.members import LOCAL
from vna_core.federation.memory import Memory
from vna_core.federation.passing import Passed, PassingOn
from vna_core.federation.view import BROUGHT
from vna_core.testing import phantoms
from vna_storage_filesystem.store import FilesystemStore

CITY = {"IssuerOfPatientID": "CITY", "PatientID": "4711"}
MEMBER = Source("migration", "alpha", "", "ALPHA")


def received(octets: bytes, syntax: str = "") -> ReceivedInstance:
    return ReceivedInstance(Octets(len(octets), "", memory=octets), MEMBER, datetime.now(UTC), syntax)


def keep(passed: Passed, one: ReceivedInstance, takes: Callable[[PassedInstance], bool]) -> PassedInstance | None:
    """What a retrieval of its own makes of one instance."""
    with closing(PassingOn(passed, None, takes).keeping(uid(1), anything)) as keeping:
        return keeping.keep(one)


def anything(one: PassedInstance) -> bool:
    return bool(one.sop_instance_uid)


class Asking:
    """Somebody who retrieves from a federation that remembers."""

    def __init__(self, house: Federation, folder: Path) -> None:
        here = house.archives[LOCAL]
        self.audit = Recording()
        notes = AccessNotes(self.audit, WHO, Action.RETRIEVE)
        self.permit = Permit(WHO, Action.RETRIEVE, CatalogueView(here.catalogue, EVERYTHING, notes))

        def store(path: Path) -> FilesystemStore:
            return FilesystemStore(BROUGHT, path, durable=False)

        # One span for all of the test: the clock stands still.
        self.memory = Memory(folder, 3600, store, IngestSettings(), UNDIVIDED, clock=lambda: 1.0)
        self.bringing = Bringing(house.members, house.settings, here.catalogue, here.pipeline, self.memory)
        self.folder = folder

    def begin(self, takes: Takes | None = None, *, ahead: bool = True) -> Retrieval:
        return self.bringing.begin(self.permit, uid(1), takes=takes, ahead=ahead)

    def passed_on(self) -> list[PassedInstance]:
        return [one for one in self.bringing.passed_on(self.begin(anything)) if isinstance(one, PassedInstance)]

    def kept(self) -> int:
        """Octets in files."""
        return sum(path.stat().st_size for path in self.folder.rglob("passed/*/*/*.octets"))


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Federation]:
    with federation(tmp_path / "house", ("alpha", "beta"), stall=20) as opened:
        yield opened


@pytest.fixture
def asking(house: Federation, tmp_path: Path) -> Iterator[Asking]:
    made = Asking(house, tmp_path / "hub")
    with closing(made.memory):
        yield made


def served(house: Federation, name: str) -> dict[str, bytes]:
    archive = house.archives[name]
    return {one.sop_instance_uid: b"".join(archive.retriever.part10(one)) for one in archive.catalogue.instances(study=uid(1))}


def test_what_a_member_delivers_goes_on_octet_by_octet_and_again_without_asking_for_it(house: Federation, asking: Asking) -> None:
    house.put("alpha", *study(1, range(12), **CITY))
    expected = served(house, "alpha")
    for _ in range(2):
        retrieval = asking.begin(anything)
        got = list(asking.bringing.passed_on(retrieval))
        assert {one.sop_instance_uid: b"".join(one.pieces()) for one in got if isinstance(one, PassedInstance)} == expected
        assert len(got) == 12 and retrieval.outcome.is_complete
    assert house.pacs["alpha"].calls.count("fetch") == 1
    event = asking.audit.events[-1]
    assert (event.studies[0].patient_id, event.studies[0].issuer) == ("4711", "CITY")
    assert event.studies[0].instances == ((got[0].sop_class_uid, 12),)


def test_more_than_fits_into_memory_is_read_from_the_files(
    house: Federation, asking: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.put("alpha", *study(1, range(20), **CITY))
    expected = served(house, "alpha")
    whole = sum(map(len, expected.values()))
    monkeypatch.setattr(gathering, "_AT_HAND", whole // 3)
    arriving = asking.bringing.passed_on(asking.begin(anything))
    got = [next(arriving)]
    while asking.kept() < whole:  # nobody takes anything until all have come
        time.sleep(0.01)
    got += list(arriving)
    passed = [one for one in got if isinstance(one, PassedInstance)]
    assert {one.sop_instance_uid: b"".join(one.pieces()) for one in passed} == expected
    assert 0 < sum(one.size for one in passed if one.content is not None) <= whole // 3


def test_what_was_passed_on_is_taken_in_when_somebody_needs_that(house: Federation, asking: Asking) -> None:
    house.put("alpha", *study(1, range(3), **CITY))
    asking.passed_on()
    held = list(asking.bringing.instances(asking.begin()))
    assert [type(one) for one in held] == [HeldInstance] * 3
    assert {one.patient.patient_id for one in held} == {"4711"}
    assert house.pacs["alpha"].calls.count("fetch") == 1
    assert asking.passed_on() == [], "what is taken in is served from there"


def damage(path: Path, at: int = -1) -> None:
    octets = bytearray(path.read_bytes())
    octets[at] ^= 1
    path.write_bytes(octets)


@pytest.mark.parametrize("suffix", [".octets", ".index"])
def test_what_was_damaged_here_is_not_served_but_fetched_again(suffix: str, house: Federation, asking: Asking) -> None:
    house.put("alpha", *study(1, range(3), **CITY))
    path = asking.passed_on()[0].path
    damage(path.with_suffix(suffix))
    assert {one.sop_instance_uid: b"".join(one.pieces()) for one in asking.passed_on()} == served(house, "alpha")
    assert house.pacs["alpha"].calls.count("fetch") == 2
    assert not path.exists(), "nothing of it is trusted"
    assert len(asking.passed_on()) == 3, "what went with the damaged file is had again too"
    fetched = house.pacs["alpha"].calls.count("fetch")
    assert len(asking.passed_on()) == 3
    assert house.pacs["alpha"].calls.count("fetch") == fetched, "what came anew is found"


def test_a_file_that_was_damaged_meanwhile_gives_no_last_piece(house: Federation, asking: Asking) -> None:
    house.put("alpha", *study(1, range(2), **CITY))
    one = next(one for one in asking.passed_on() if one.offset == 0)
    damage(one.path, one.size - 1)
    with pytest.raises(DigestMismatch):
        list(replace(one, content=None).pieces())
    with pytest.raises(DigestMismatch):
        list(replace(one, content=None).pieces())


def test_a_retrieval_that_is_left_keeps_what_came(house: Federation, asking: Asking) -> None:
    house.put("alpha", *study(1, range(6), **CITY))
    with closing(asking.bringing.passed_on(asking.begin(anything))) as arriving:
        next(arriving)
    kept = kept_below(next(asking.folder.rglob("passed/*/*")))
    assert kept and {key.sop for key in kept} <= served(house, "alpha").keys()
    assert {one.sop_instance_uid: b"".join(one.pieces()) for one in asking.passed_on()} == served(house, "alpha")


def test_what_is_larger_than_memory_takes_is_kept_alone_and_taken_in_from_there(
    house: Federation, asking: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.put("alpha", *study(1, range(3), **CITY))
    monkeypatch.setattr(passing, "AT_HAND", 100)
    expected = served(house, "alpha")
    for _ in range(2):
        got = asking.passed_on()
        assert len({one.path for one in got}) == 3 and {one.content for one in got} == {None}
        assert {one.sop_instance_uid: b"".join(one.pieces()) for one in got} == expected
    assert [type(one) for one in asking.bringing.instances(asking.begin())] == [HeldInstance] * 3
    assert house.pacs["alpha"].calls.count("fetch") == 1


def test_an_instance_of_another_study_is_not_passed_on(
    house: Federation, asking: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.put("alpha", *study(1, **CITY))
    stranger = ct(77, rows=16, StudyInstanceUID=uid(2))

    def fetch(study_uid: str, deliver: Callable[[ReceivedInstance], None], *_: object, **__: object) -> None:
        deliver(received(stranger))
        raise AssertionError("it breaks here")

    monkeypatch.setattr(house.pacs["alpha"], "fetch", fetch)
    retrieval = asking.begin(anything)
    assert list(asking.bringing.passed_on(retrieval)) == []
    assert not retrieval.outcome.is_complete and "alpha" in retrieval.outcome.reasons


def test_who_takes_another_transfer_syntax_gets_what_went_through_the_rooms(house: Federation, asking: Asking) -> None:
    house.put("alpha", *study(1, range(2), **CITY))
    got = list(asking.bringing.passed_on(asking.begin(lambda one: one.transfer_syntax_uid != EXPLICIT_LITTLE)))
    assert [type(one) for one in got] == [HeldInstance] * 2
    assert asking.kept() == 0


GOOD = phantoms.ct(5, 16, 16)


def _changed(change: Callable[[pydicom.FileDataset], object], *, implicit: bool = False) -> bytes:
    data_set = pydicom.dcmread(io.BytesIO(GOOD))
    change(data_set)
    out = io.BytesIO()
    data_set.file_meta.TransferSyntaxUID = IMPLICIT_LITTLE if implicit else EXPLICIT_LITTLE
    pydicom.dcmwrite(out, data_set, implicit_vr=implicit, little_endian=True)
    return out.getvalue()


@pytest.mark.parametrize(
    "octets",
    [
        _changed(lambda _: None, implicit=True),
        GOOD[:-9],
        GOOD + b"junk",
        GOOD[132:],
        b"no DICOM at all" * 100,
        _changed(lambda one: delattr(one, "StudyInstanceUID")),
        GOOD.replace(b"UI", b"IU", 1),
        _changed(lambda one: setattr(one, "SOPInstanceUID", "1.2.3.4")),
        _changed(lambda one: setattr(one, "SOPClassUID", "1.2.840.10008.5.1.4.1.1.4")),
        _changed(lambda one: setattr(one, "DataSetTrailingPadding", b"where it came from")),
    ],
    ids=[
        "implicit",
        "cut",
        "longer",
        "without-preamble",
        "other",
        "without-study",
        "meta-vr",
        "meta-instance",
        "meta-class",
        "padding",
    ],
)
def test_what_is_not_exactly_as_it_should_be_goes_through_the_rooms(octets: bytes, tmp_path: Path) -> None:
    passed = Passed(tmp_path / "passed", IngestSettings(), UNDIVIDED)
    assert keep(passed, received(octets), anything) is None
    assert not (tmp_path / "passed").exists()
    assert keep(passed, received(_changed(lambda _: None)), anything) is not None


def test_a_bare_data_set_gets_the_head_of_a_file(tmp_path: Path) -> None:
    data_set = pydicom.dcmread(io.BytesIO(GOOD))
    bare = io.BytesIO()
    pydicom.dcmwrite(bare, pydicom.Dataset(data_set), implicit_vr=False, little_endian=True, enforce_file_format=False)
    passed = Passed(tmp_path, IngestSettings(), UNDIVIDED)
    assert keep(passed, received(bare.getvalue(), IMPLICIT_LITTLE), anything) is None, "not what was agreed on"
    one = keep(passed, received(bare.getvalue(), EXPLICIT_LITTLE), anything)
    assert one is not None
    again = pydicom.dcmread(one.path)
    assert again.file_meta.MediaStorageSOPInstanceUID == again.SOPInstanceUID == data_set.SOPInstanceUID
    assert b"".join(one.pieces()).endswith(bare.getvalue()) and one.size == one.path.stat().st_size
    assert dict(again.items()).keys() == dict(data_set.items()).keys()


def test_passed_on_is_only_what_surely_lies_in_the_scope_whatever_it_says(tmp_path: Path) -> None:
    octets = GOOD
    known = pydicom.dcmread(io.BytesIO(octets)).StudyInstanceUID
    members = {("migration", "alpha"): "cardiology"}
    by_member = Departments(holds={"cardiology": (), "radiology": ()}, members=members)
    by_content = Departments(holds={"cardiology": (), "radiology": (Origin(attributes={0x00080060: ("CT",)}),)}, members=members)
    for departments, labels, seen in (
        (by_member, frozenset(("cardiology",)), True),
        (by_member, frozenset(("radiology",)), False),
        (by_member, None, True),
        (by_content, frozenset(("cardiology",)), False),
        (by_content, None, True),
    ):
        passing_on = PassingOn(Passed(tmp_path, IngestSettings(), departments), labels, anything)
        with closing(passing_on.keeping(known, anything)) as keeping:
            assert (keeping.keep(received(octets)) is not None) is seen, (departments, labels)


def test_several_threads_keep_in_one_file_and_a_closed_file_takes_nothing(tmp_path: Path) -> None:
    passed = Passed(tmp_path / "passed", IngestSettings(), UNDIVIDED)
    files = [phantoms.ct(number, 16, 16) for number in range(1, 33)]
    with closing(PassingOn(passed, None, anything).keeping("1.2", anything)) as keeping:
        gate = threading.Barrier(4)

        def deliver(some: list[bytes]) -> None:
            gate.wait()
            for octets in some:
                assert keeping.keep(received(octets)) is not None

        threads = [threading.Thread(target=deliver, args=(files[number::4],)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert keeping.keep(received(files[0])) is None
    (folder,) = (tmp_path / "passed").glob("*/*")
    assert len(list(folder.iterdir())) == 2
    kept = [replace(one, content=None) for one in kept_below(folder).values()]
    assert sorted(b"".join(one.pieces()) for one in kept) == sorted(files)


def test_of_two_files_with_the_same_instance_the_later_is_found(tmp_path: Path) -> None:
    one = keep(Passed(tmp_path / "passed", IngestSettings(), UNDIVIDED), received(GOOD), anything)
    assert one is not None
    for content in (b"first", b"second"):
        with closing(KeptFile(tmp_path / "later")) as file:
            file.add(one, (content[:2], content[2:]))
    assert b"".join(kept_below(tmp_path / "later")[key_of(one)].pieces()) == b"second"


def test_what_is_rejected_after_it_was_brought_is_not_served_from_memory(house: Federation, asking: Asking) -> None:
    house.put("alpha", *study(1, range(3), **CITY))
    brought = list(asking.bringing.instances(asking.begin()))
    assert len(brought) == 3
    gone = brought[0]
    catalogue = house.archives[LOCAL].catalogue
    rejection = AwaitedRejection("2.25.1", uid(1), gone.sop_instance_uid, Rejection.WORKLIST.value, ("local", "carol", ""))
    catalogue.rejections.await_([rejection])
    view = asking.begin().view
    left = {one.sop_instance_uid for one in brought[1:]}
    assert {one.sop_instance_uid for one in view.instances(study=uid(1))} == left
    assert view.instances(sop=gone.sop_instance_uid) == []
    assert {one.sop_instance_uid for one, _ in view.headers(study=uid(1))} == left
    assert {one[3] for one in view.listed_headers(uid(1), gone.series_instance_uid)} == left
    assert {one.sop_instance_uid for one in view.instances_by_uid_list([one.sop_instance_uid for one in brought])} == left
    assert {one.sop_instance_uid for one in asking.bringing.instances(asking.begin())} == left
