"""A disk that is full when the archive starts, as after a restart of the machine: it answers and gives out, and takes images again when there is room."""

from __future__ import annotations

import contextlib
import io
import os
import sqlite3
from pathlib import Path

import httpx2
import pydicom
import pytest

from tests.faults.test_full_disk import fill
from tests.peers.archive import served_archive, vna
from tests.unit.web.web_samples import store
from vna_core.testing import phantoms

pytestmark = pytest.mark.xdist_group("full-disk")

SOP = phantoms.uid(2, 1, 1)
INSTANCE = f"/dicom-web/studies/{phantoms.uid(2)}/series/{phantoms.uid(2, 1)}/instances/{SOP}"


def rest(folder: Path) -> Path | None:
    """A file that takes what room is left, if any is."""
    status = os.statvfs(folder)
    return fill(folder, 0) if status.f_bavail else None


FEDERATION = "federation: {members: {elsewhere: {url: 'dicomweb+http://127.0.0.1:9/dicom-web'}}}"


@pytest.mark.parametrize(
    ("closed", "configuration"), [(False, ""), (True, ""), (True, FEDERATION)], ids=["killed", "closed", "federated"]
)
def test_a_server_starts_on_a_full_disk(small_disk: Path, tmp_path: Path, closed: bool, configuration: str) -> None:
    (tmp_path / "vna.yaml").write_text(configuration)
    first, second = phantoms.ct(1000, 256, 256), phantoms.ct(1001, 256, 256)
    (tmp_path / "first.dcm").write_bytes(first)
    assert vna("ingest", str(tmp_path / "first.dcm"), data=small_disk)[0] == 0
    with contextlib.closing(sqlite3.connect(small_disk / "catalogue.sqlite")) as left_open:
        if not closed:  # a process that is killed leaves the files beside the database, as one that has it open does
            left_open.execute("SELECT count(*) FROM instances").fetchone()
        ballast = fill(small_disk, 0)
        with (
            served_archive(small_disk, "--config", str(tmp_path / "vna.yaml")) as served,
            httpx2.Client(base_url=served.web, timeout=60) as client,
        ):
            more = rest(small_disk / "store")
            ready = client.get("/readyz")
            assert (ready.status_code, ready.json()["status"]) == (503, "not-ready")
            [row] = client.get("/dicom-web/studies", params={"PatientID": "P000001"}).json()
            assert row["00201208"]["Value"] == [1]
            answer = client.get(INSTANCE, headers={"Accept": "application/dicom; transfer-syntax=*"})
            assert pydicom.dcmread(io.BytesIO(answer.content)) == pydicom.dcmread(io.BytesIO(first))
            assert client.get(f"/api/v1/instances/{SOP}/original").content == first
            assert store(client, [second]).status_code == 503
            for one in (ballast, more):
                if one is not None:
                    one.unlink()
            assert store(client, [second]).status_code == 200
            assert client.get("/readyz").json()["checks"]["store:landing"] == "ok"
