"""A bucket that does not answer when the archive is opened is awaited: images come in and go out, copies follow when it answers."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest

from tests.conformance.test_s3 import bucket_of
from tests.peers.cable import Cable
from tests.peers.processes import free_port
from tests.peers.s3_service import S3Service
from tests.unit.stewardship.held_archive import NORTH, instance, offer, originals
from vna_core.archival_storage.wrappers import awaiting
from vna_core.bootstrap import Archive, open_archive
from vna_core.bootstrap_jobs import job_handlers
from vna_core.configuration import Settings
from vna_core.configuration.jobs import JobsSettings
from vna_core.domain.errors import ConfigurationError, StoreUnavailable
from vna_core.domain.placement import PLACE
from vna_core.gateways.dicomweb.app import create_app
from vna_core.gateways.web_server import serve
from vna_core.jobs import LedgerWork

pytest.importorskip("s3fs", reason="the extra s3 is not installed")

pytestmark = pytest.mark.xdist_group("s3")


def settings(folder: Path, service: S3Service, bucket: str, landing: str = "landing", lock: str = "0") -> Settings:
    cloud = {"store": "cloud", "lock": lock}
    options = service.options(bucket, connect_timeout=2, attempts=1)
    document = {
        "data": str(folder),
        "landing": landing,
        "stores": {
            "landing": {"type": "filesystem", "options": {"path": str(folder / "landing")}},
            "cloud": {"type": "s3", "options": options},
        },
        "placement": {"settle": 0, "rules": [{"name": "both", "copies": [{"store": "landing"}, cloud]}]},
    }
    return Settings.model_validate(document)


def work(archive: Archive) -> None:
    for job in archive.catalogue.jobs.listed(kind=PLACE):
        archive.catalogue.jobs.reopen(job.pk)
    handlers = {PLACE: job_handlers(archive)[PLACE]}
    LedgerWork(archive.catalogue.jobs, handlers, JobsSettings(poll=0.01, pause=60), "test").run_until_idle()


@contextmanager
def ready(archive: Archive) -> Iterator[httpx2.Client]:
    parts = (archive.settings, archive.pipeline, archive.catalogue, archive.retriever, archive.renderer)
    app = create_app(*parts, stores=archive.stores, gate=archive.gate)
    listening, stop = socket.create_server(("127.0.0.1", 0)), threading.Event()
    thread = threading.Thread(target=serve, args=(app, listening, archive.settings.http, stop))
    thread.start()
    try:
        with httpx2.Client(base_url=f"http://127.0.0.1:{listening.getsockname()[1]}", timeout=30) as client:
            yield client
    finally:
        stop.set()
        thread.join()
        listening.close()


def test_images_come_in_and_go_out_and_copies_follow(seaweed: S3Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(awaiting, "_EVERY", 0.0)
    bucket, port = seaweed.make_bucket(bucket_of(tmp_path)), free_port()
    behind = replace(seaweed, endpoint=f"http://127.0.0.1:{port}")
    with open_archive(settings(tmp_path, behind, bucket)) as archive, ready(archive) as client:
        answer = client.get("/readyz")
        assert (answer.status_code, answer.json()["status"]) == (200, "degraded")
        assert answer.json()["checks"]["store:cloud"] == "store-unavailable"
        assert offer(archive, instance(1), NORTH).outcome.acknowledged
        assert originals(archive) == {instance(1)}
        work(archive)
        [job] = archive.catalogue.jobs.listed(kind=PLACE)
        assert job.state == "open" and job.error

        cable = Cable(urlsplit(seaweed.endpoint).port or 0, own=port)
        try:
            work(archive)
            assert archive.catalogue.jobs.listed(kind=PLACE) == []
            [held] = archive.catalogue.instances()
            assert {where.store for where in held.locations} == {"landing", "cloud"}
            assert client.get("/readyz").json()["status"] == "ready"
        finally:
            cable.unplug()


def test_a_landing_store_that_does_not_answer_is_an_error(seaweed: S3Service, tmp_path: Path) -> None:
    behind = replace(seaweed, endpoint=f"http://127.0.0.1:{free_port()}")
    with pytest.raises(StoreUnavailable):
        open_archive(settings(tmp_path, behind, "any", landing="cloud"))


def test_what_the_policy_asks_of_a_store_is_checked_when_it_answers(
    seaweed: S3Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(awaiting, "_EVERY", 0.0)
    bucket, port = seaweed.make_bucket(bucket_of(tmp_path)), free_port()
    with pytest.raises(ConfigurationError, match="no object lock"):
        open_archive(settings(tmp_path, seaweed, bucket, lock="10y"))
    behind = replace(seaweed, endpoint=f"http://127.0.0.1:{port}")
    with open_archive(settings(tmp_path, behind, bucket, lock="10y")) as archive:
        cable = Cable(urlsplit(seaweed.endpoint).port or 0, own=port)
        try:
            with pytest.raises(StoreUnavailable, match="no object lock"):
                archive.stores["cloud"].probe()
        finally:
            cable.unplug()
