"""Orthanc replaced: by cut-over while it still runs, and by its storage folder when it does not run any more."""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path

import httpx2
import pytest
from dicomweb_client.api import DICOMwebClient

from tests.peers.archive import served_archive, vna
from tests.peers.orthanc import orthanc
from vna_core.catalogue import Catalogue
from vna_core.configuration import CatalogueSettings
from vna_core.testing import phantoms

pytestmark = pytest.mark.xdist_group("migration")

STUDIES = 3
INSTANCES = 4
FILES = [octets for number in range(1, STUDIES + 1) for octets in phantoms.series(INSTANCES, number, 16, 16)]


def store(web: str) -> None:
    for octets in FILES:
        httpx2.post(f"{web}/instances", content=octets).raise_for_status()


def received(data: Path, campaign: str) -> set[str]:
    """SHA-256 of the files that the ledger says were received."""
    with Catalogue.open(CatalogueSettings(), data) as catalogue:
        studies = list(catalogue.ledger_reader.studies(campaign))
        return {one.received_sha256 for study in studies for one in catalogue.ledger_reader.instances(study.pk)}


def test_the_archive_answers_for_an_orthanc_from_its_inventory_on(tmp_path: Path) -> None:
    data = tmp_path / "data"
    wanted = phantoms.uid(3)
    with contextlib.ExitStack() as running:
        server = running.enter_context(orthanc(tmp_path / "orthanc"))
        store(server.web)
        source = f"orthanc+http://127.0.0.1:{server.http_port}"
        code, _, error = vna("migrate", "plan", source, "--window", "mon-mon 03:00-03:01", data=data)
        assert code == 0, error
        with served_archive(data, VNA_JOBS__POLL="0.1", VNA_CUTOVER__WAIT_WEB="60") as archive:
            client = DICOMwebClient(f"{archive.web}/dicom-web")
            rows = client.search_for_studies()
            assert {row["0020000D"]["Value"][0] for row in rows} == {phantoms.uid(number + 1) for number in range(1, STUDIES + 1)}
            assert {row["00080056"]["Value"][0] for row in rows} == {"NEARLINE"}
            for modality, count in (("CT", STUDIES), ("MR", 0)):
                assert len(client.search_for_studies(search_filters={"ModalitiesInStudy": modality})) == count
            by_class = client.search_for_instances(search_filters={"SOPClassUID": "1.2.840.10008.5.1.4.1.1.2"})
            assert len(by_class) == STUDIES * INSTANCES
            assert len(client.retrieve_study(wanted)) == INSTANCES
            running.close()  # the source is switched off: what was asked for is here
            assert len(client.retrieve_study(wanted)) == INSTANCES
            [row] = client.search_for_studies(search_filters={"StudyInstanceUID": wanted})
            assert row["00080056"]["Value"] == ["ONLINE"]
    with Catalogue.open(CatalogueSettings(), data) as catalogue:
        found = catalogue.ledger_reader.study_by_uid(source, wanted)
        assert found is not None
        assert sum(one.new == "retrieving" for one in catalogue.ledger_reader.transitions(found.pk, 0)) == 1


@pytest.mark.parametrize("compress", [False, True])
def test_the_folder_of_an_orthanc_that_is_gone_is_migrated(tmp_path: Path, compress: bool) -> None:
    with orthanc(tmp_path / "orthanc", compress) as server:
        store(server.web)
    folder = tmp_path / "orthanc" / "storage"
    code, lines, error = vna("migrate", "run", str(folder), data=tmp_path / "data")
    assert code == 0, error
    assert lines[-1]["summary"]["held"] == lines[-1]["summary"]["inventoried"] == len(FILES)
    assert received(tmp_path / "data", str(folder)) == {hashlib.sha256(octets).hexdigest() for octets in FILES}
