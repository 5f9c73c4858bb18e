"""Without its database the archive acknowledges nothing, and with it back nothing is missing."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from tests.peers.postgresql import PostgresqlNotInstalled, postgresql
from tests.unit.ingest.ct_samples import ct
from tests.unit.ingest.small_archive import small_archive
from vna_core.configuration import CatalogueSettings
from vna_core.domain.errors import CatalogueUnavailable
from vna_core.domain.outcome import Outcome
from vna_core.stewardship.rebuild import rebuild


def test_a_database_server_that_dies_under_load_costs_nothing_acknowledged(tmp_path: Path) -> None:
    acknowledged: list[int] = []
    try:
        with postgresql() as server:
            settings = CatalogueSettings(url=server.new_database("gone"), busy_timeout=2)
            with small_archive(tmp_path, catalogue=settings) as archive:
                enough, gone = threading.Event(), []

                def send(first: int) -> None:
                    for number in range(first, 1000, 3):
                        try:
                            archive.offer(ct(number, rows=64))
                        except CatalogueUnavailable as error:
                            gone.append(error)
                            return
                        acknowledged.append(number)
                        if len(acknowledged) > 20:
                            enough.set()

                threads = [threading.Thread(target=send, args=(first,)) for first in (1, 2, 3)]
                for thread in threads:
                    thread.start()
                assert enough.wait(60)
                with server.stopped():
                    for thread in threads:
                        thread.join()
                    assert len(gone) == 3
                    with pytest.raises(CatalogueUnavailable):
                        archive.offer(ct(2000))
                assert archive.offer(ct(2000)).outcome is Outcome.HELD
                for number in acknowledged:
                    [held] = archive.catalogue.versions(f"1.2.826.0.1.3680043.10.1.{number}")
                    assert archive.original(held) == ct(number, rows=64)
                for number in range(1, 7):
                    assert archive.offer(ct(number, rows=64)).outcome is Outcome.DUPLICATE
    except PostgresqlNotInstalled as missing:
        pytest.skip(str(missing))


def test_a_lost_database_file_comes_back_from_the_stores(tmp_path: Path) -> None:
    with small_archive(tmp_path) as archive:
        for number in range(1, 6):
            archive.offer(ct(number))
        before = archive.catalogue.fingerprint()
    for path in tmp_path.glob("catalogue.sqlite*"):
        path.unlink()
    with small_archive(tmp_path) as archive:
        assert archive.catalogue.instances() == []
        assert archive.offer(ct(3)).outcome is Outcome.HELD
        rebuild({"landing": archive.store}, archive.catalogue)
        assert archive.catalogue.statistics().versions == 5
        after = archive.catalogue.fingerprint()
        assert {row[:3] for row in after["series"]} == {row[:3] for row in before["series"]}
        for held in archive.catalogue.instances():
            number = int(held.sop_instance_uid.rsplit(".", 1)[1])
            assert archive.original(held) == ct(number)
