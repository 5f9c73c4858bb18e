"""Rejection notes (IHE IOCM) that arrive: what they name is hidden by its reason, never purged, and comes back when it is taken back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.filebase import DicomBytesIO

from tests.unit.ingest.ct_samples import ct
from vna_core.bootstrap import Archive, open_archive, pack_keeper
from vna_core.bootstrap_jobs import job_work
from vna_core.catalogue import Catalogue
from vna_core.configuration import CatalogueSettings, Settings
from vna_core.dicom.rejection_note import Rejected, read_note
from vna_core.dicom.rejection_note_writing import write_note
from vna_core.domain.corrections import KEY_OBJECT_SELECTION, REJECTION_NOTE, Rejection
from vna_core.domain.errors import InvalidRequest
from vna_core.domain.identifiers import PatientKey
from vna_core.domain.migration import WORK_PRODUCT
from vna_core.domain.octets import Source
from vna_core.domain.outcome import IngestResult
from vna_core.domain.stewardship import Extent
from vna_core.migration.work_product.key_objects import key_object_selection
from vna_core.migration.work_product.residues import REJECTED
from vna_core.stewardship.deletion import Deleting
from vna_core.stewardship.rebuild import rebuild

STUDY = "1.2.826.0.1.3680043.10.5.61"
NOTE = "2.25.61"
CT = "1.2.840.10008.5.1.4.1.1.2"
MODALITY = Source("dimse", "CT1", "127.0.0.1")


def sop(number: int) -> str:
    return f"{STUDY}.1.{number}"


def image(number: int, **changes: str) -> bytes:
    uids = {"StudyInstanceUID": STUDY, "SeriesInstanceUID": f"{STUDY}.1", "SOPInstanceUID": sop(number), "PatientID": "4711"}
    return ct(number, rows=16, **uids | changes)


def note(*numbers: int, title: Rejection = Rejection.WORKLIST, uid: str = NOTE) -> bytes:
    named = [Rejected(STUDY, f"{STUDY}.1", sop(number), CT) for number in numbers]
    return write_note(uid, title, "wrong patient", PatientKey("", "4711"), named, datetime(2026, 3, 1, tzinfo=UTC))


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    with opened(tmp_path) as one:
        yield one


def opened(folder: Path, **changes: Any) -> Archive:
    return open_archive(Settings.model_validate({"data": folder, "decode": {"processes": 1}, **changes}))


def offer(archive: Archive, octets: bytes, source: Source = MODALITY) -> IngestResult:
    with archive.pipeline.reception(source) as reception:
        reception.write(octets)
        return archive.pipeline.offer(reception.finish())


def held(archive: Archive) -> set[str]:
    return {one.sop_instance_uid for one in archive.catalogue.instances(study=STUDY)}


def deleting(archive: Archive) -> Deleting:
    return Deleting(archive.stores, archive.landing, archive.catalogue, auditor=archive.audit)


def test_a_note_says_what_it_was_made_of_and_other_documents_say_nothing() -> None:
    ds = dcmread(DicomBytesIO(note(1, 2)))
    found = read_note(ds.to_json_dict())
    assert found is not None and (found.title, found.reason) == (Rejection.WORKLIST, "wrong patient")
    assert [one.sop_instance_uid for one in found.rejected] == [sop(1), sop(2)]
    assert ds.ContentSequence[1].ValueType == "IMAGE" and ds.SOPClassUID == KEY_OBJECT_SELECTION
    ds.ConceptNameCodeSequence[0].CodeValue = "113000"
    assert read_note(ds.to_json_dict()) is None
    assert read_note({}) is None and read_note({"0040A043": {"Value": "nonsense"}}) is None


@pytest.mark.parametrize("title", list(Rejection))
def test_what_a_note_names_is_hidden_with_the_note_and_comes_back(archive: Archive, title: Rejection) -> None:
    for number in (1, 2, 3):
        offer(archive, image(number))
    assert offer(archive, note(1, 2, title=title)).outcome.acknowledged
    assert held(archive) == {sop(3)}
    (rejection,) = archive.catalogue.deletions.listed()
    assert (rejection.rejection, rejection.note, rejection.versions) == (title.value, NOTE, 3)
    assert rejection.deleted_by == "CT1" and title.meaning in rejection.reason
    offer(archive, note(1, 2, title=title))
    assert len(archive.catalogue.deletions.listed()) == 1, "once is enough"
    report = deleting(archive).purge("retention", timedelta(0))
    assert report.purged == [] and report.objects == 0
    with pytest.raises(InvalidRequest, match="octets are kept"):
        deleting(archive).purge("carol", timedelta(0), rejection.id)
    deleting(archive).undelete(rejection.id, "carol")
    assert held(archive) == {sop(1), sop(2), sop(3), NOTE}


def test_an_ordinary_key_object_selection_hides_nothing(archive: Archive) -> None:
    offer(archive, image(1))
    ds = dcmread(DicomBytesIO(note(1)))
    ds.ConceptNameCodeSequence[0].CodeValue, ds.ConceptNameCodeSequence[0].CodeMeaning = "113000", "Of Interest"
    stream = DicomBytesIO()
    ds.save_as(stream, enforce_file_format=True)
    offer(archive, stream.getvalue())
    assert held(archive) == {sop(1), NOTE}


@pytest.mark.parametrize("way", [Source("migration", "oldpacs", WORK_PRODUCT), Source("migration", "vna", "/inv"), MODALITY])
def test_what_was_made_of_a_flag_of_a_former_archive_hides_nothing_whichever_way_it_comes(archive: Archive, way: Source) -> None:
    offer(archive, image(1), Source("migration", "oldpacs"))
    (header,) = archive.catalogue.source_headers("oldpacs")
    uid, made = key_object_selection(REJECTED, [header], json.loads(header.json), datetime(2026, 3, 1, tzinfo=UTC))
    assert offer(archive, made, way).outcome.value == "held"
    assert held(archive) == {sop(1), uid} and archive.catalogue.deletions.listed() == []


def test_a_note_is_applied_whichever_way_it_comes(archive: Archive) -> None:
    offer(archive, image(1))
    offer(archive, note(1, title=Rejection.QUALITY), Source("migration", "oldpacs", WORK_PRODUCT))
    assert held(archive) == set()


def test_what_is_rejected_before_it_arrives_is_hidden_when_it_does(archive: Archive) -> None:
    offer(archive, image(1))
    offer(archive, note(1, 2))
    assert archive.catalogue.rejections.hidden(STUDY).all == {sop(1), sop(2), NOTE}
    archive.rejecting._looked = float("-inf")
    assert offer(archive, image(2)).outcome.acknowledged
    assert held(archive) == set() and not archive.catalogue.rejections.any_awaited()
    for one in archive.catalogue.deletions.listed():
        deleting(archive).undelete(one.id, "carol")
    assert held(archive) == {sop(1), sop(2), NOTE}


def test_a_note_whose_process_died_is_applied_by_the_worker(archive: Archive) -> None:
    observers, archive.pipeline._observers = archive.pipeline._observers, ()
    offer(archive, image(1))
    offer(archive, note(1, 2))
    assert held(archive) == {sop(1), NOTE}
    job_work(archive, "test").run_until_idle(10)
    assert held(archive) == set() and archive.catalogue.jobs.listed(kind=REJECTION_NOTE) == []
    offer(archive, image(2))  # named by the note, and nobody looks
    archive.pipeline._observers = observers
    assert held(archive) == {sop(2)}
    archive.rejecting.round(None, None)  # type: ignore[arg-type]
    assert held(archive) == set()


def test_quality_may_stay_visible_and_notes_may_be_left_alone(tmp_path: Path) -> None:
    with opened(tmp_path / "a", corrections={"show_quality": True}) as archive:
        offer(archive, image(1))
        offer(archive, note(1, title=Rejection.QUALITY))
        assert held(archive) == {sop(1), NOTE}
    with opened(tmp_path / "b", corrections={"rejection_notes": False}) as archive:
        offer(archive, image(1))
        offer(archive, note(1))
        assert held(archive) == {sop(1), NOTE}


def test_a_department_rejects_nothing_of_another(tmp_path: Path) -> None:
    radiology = {"ae_titles": "CT1", "may": ["query", "retrieve", "store", "correct"]}
    departments = {"radiology": radiology, "cardiology": {"ae_titles": "ECHO"}}
    peers = {title: {"host": "127.0.0.1", "port": 1} for title in ("CT1", "ECHO")}
    with opened(tmp_path, departments=departments, dimse={"peers": peers}) as archive:
        offer(archive, image(1))
        offer(archive, note(1), Source("dimse", "ECHO", "127.0.0.1"))
        assert held(archive) == {sop(1), NOTE}
        offer(archive, note(1, uid="2.25.62"))
        assert held(archive) == {NOTE}


def test_a_department_rejects_no_version_of_another_by_one_of_its_own(tmp_path: Path) -> None:
    may = ["query", "retrieve", "store", "correct"]
    departments = {"radiology": {"ae_titles": "CT1", "may": may}, "cardiology": {"ae_titles": "ECHO", "may": may}}
    peers = {title: {"host": "127.0.0.1", "port": 1} for title in ("CT1", "ECHO")}
    echo = Source("dimse", "ECHO", "127.0.0.1")
    with opened(tmp_path, departments=departments, dimse={"peers": peers}) as archive:
        for number in (1, 2, 3):
            offer(archive, image(number))
        offer(archive, image(1, PatientID="4712"), echo)
        offer(archive, image(2, AccessionNumber="ECHO"), echo)
        offer(archive, image(4), echo)
        offer(archive, note(1, 2), echo)
        offer(archive, note(4, uid=sop(3)), echo)
        found = [one.sop_instance_uid for one in archive.catalogue.instances(study=STUDY, all_versions=True)]
        assert sorted(found) == sorted([sop(1), sop(1), sop(2), sop(2), sop(3), sop(3), NOTE])


def test_a_hold_does_not_keep_dangerous_images_in_use_and_a_rebuild_knows_the_rejection(archive: Archive, tmp_path: Path) -> None:
    offer(archive, image(1))
    deleting(archive).set_hold(Extent.STUDY, STUDY, "court", "carol")
    offer(archive, note(1, title=Rejection.PATIENT_SAFETY))
    assert held(archive) == set()
    (rejection,) = archive.catalogue.deletions.listed()
    with Catalogue.open(CatalogueSettings(), tmp_path / "again") as again:
        rebuild(archive.stores, again)
        (found,) = again.deletions.listed()
        assert (found.id, found.rejection, found.note) == (rejection.id, "113037", NOTE)
        assert again.instances(study=STUDY) == []


@pytest.mark.parametrize("sealed", [False, True])
def test_what_a_note_named_before_it_came_is_hidden_though_the_catalogue_was_lost_in_between(
    archive: Archive, tmp_path: Path, sealed: bool
) -> None:
    offer(archive, image(1))
    offer(archive, note(1, 2, 3, title=Rejection.PATIENT_SAFETY))
    archive.rejecting._looked = float("-inf")
    offer(archive, image(2))
    offer(archive, note(5, uid=f"{NOTE}.9"))
    taken_back = [one for one in archive.catalogue.deletions.listed() if one.note == f"{NOTE}.9"]
    deleting(archive).undelete(taken_back[0].id, "carol")
    if sealed:
        for one in archive.catalogue.packs.series():
            pack_keeper(archive).seal(one)
    wanted = archive.catalogue.rejections.awaited(sop(3))
    data = {
        "data": str(tmp_path / "again"),
        "stores": {"landing": {"type": "filesystem", "options": {"path": str(tmp_path / "store")}}},
    }
    with opened(tmp_path / "again", **data) as again:
        assert rebuild(again.stores, again.catalogue).damaged == []
        assert again.catalogue.rejections.awaited(sop(3)) == wanted != []
        offer(again, image(3))
        offer(again, image(5))
        assert held(again) == {f"{NOTE}.9", sop(5)}


def test_the_written_note_is_sound_json_for_whoever_asks(archive: Archive) -> None:
    offer(archive, note(7))
    header = next(iter(archive.catalogue.headers(study=STUDY)), None)
    assert header is None, "the note is hidden with what it rejects"
    deleting(archive).undelete(archive.catalogue.deletions.listed()[0].id, "carol")
    (_, octets), *_ = archive.catalogue.headers(study=STUDY)
    assert json.loads(octets)["0040A043"]["Value"][0]["00080100"]["Value"] == ["113038"]
