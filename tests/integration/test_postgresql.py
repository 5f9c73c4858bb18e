"""The main job with the catalogue on PostgreSQL."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.peers.postgresql import PostgresqlNotInstalled, postgresql
from vna_core.bootstrap import Archive, open_archive
from vna_core.catalogue import Catalogue
from vna_core.configuration import CatalogueSettings, Settings
from vna_core.domain.octets import Source
from vna_core.domain.outcome import IngestResult, Outcome
from vna_core.domain.query import Equals, Level, Query
from vna_core.stewardship.rebuild import rebuild
from vna_core.testing import phantoms

pytestmark = pytest.mark.xdist_group("postgresql")


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Archive, str]]:
    try:
        server = postgresql()
        running = server.__enter__()
    except PostgresqlNotInstalled:
        pytest.skip("PostgreSQL (Debian package postgresql) is not installed")
    try:
        settings = Settings(
            data=tmp_path_factory.mktemp("data"), catalogue=CatalogueSettings(url=running.new_database("archive"))
        )
        with open_archive(settings) as opened:
            yield opened, running.new_database("rebuilt")
    finally:
        server.__exit__(None, None, None)


def offer(archive: Archive, octets: bytes) -> IngestResult:
    with archive.pipeline.reception(Source("file", "test")) as reception:
        reception.write(octets)
        return archive.pipeline.offer(reception.finish())


def test_the_main_job(archive: tuple[Archive, str]) -> None:
    opened, _ = archive
    octets = list(phantoms.series(12))
    results: list[IngestResult] = []

    def work(part: list[bytes]) -> None:
        results.extend(offer(opened, one) for one in part)

    threads = [threading.Thread(target=work, args=(octets[at::3],)) for at in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [result.outcome for result in results] == [Outcome.HELD] * 12
    assert offer(opened, octets[3]).outcome is Outcome.DUPLICATE
    changed = phantoms.ct(1003, 64, 64, StudyDescription="Other")
    assert offer(opened, changed).outcome is Outcome.CONFLICT
    assert offer(opened, b"no image at all" * 30).outcome is Outcome.QUARANTINED
    found = list(opened.catalogue.search(Query(Level.STUDY, (Equals(0x00100020, ("P000001",)),))).matches)
    assert [match.attributes[0x00201208] for match in found] == [("12",)]
    held = opened.catalogue.versions(results[0].sop_instance_uid)[0]
    assert b"".join(opened.retriever.original(held)) in octets


def test_a_rebuild_into_another_database_gives_an_equal_catalogue(archive: tuple[Archive, str], tmp_path: Path) -> None:
    opened, other = archive
    with Catalogue.open(CatalogueSettings(url=other), tmp_path) as rebuilt:
        report = rebuild(opened.stores, rebuilt)
        assert report.damaged == []
        assert rebuilt.fingerprint() == opened.catalogue.fingerprint()
    with Catalogue.open(CatalogueSettings(), tmp_path) as embedded:
        rebuild(opened.stores, embedded)
        assert embedded.fingerprint() == opened.catalogue.fingerprint()
